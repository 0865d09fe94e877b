r"""Tables and polynomials of a finite space: the same function in two bases.

A function on the q points of a finite space is a table of q values, or a polynomial with q
coefficients: with a basis of q monomials phi_a that are linearly independent on the points,

    f(x_b) = sum_a B_ba c_a,        B_ba = phi_a(x_b),

and on several sites the matrix acts on every axis (a Kronecker product). The basis is built
greedily from the lowest degree up: 1, x for ``SPIN`` (the transform is then the Walsh-Hadamard
transform) and ``BINARY`` (the Moebius transform), 1, x, x^2 for ``spin(1)``, and 1, x_0, ...,
x_{q-2} for ``potts(q)``, where the last state is the reference.
"""

import functools
import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.pytree import module, static
from physdl.spaces import Finite

__all__ = ["Basis", "coefficients_of", "monomial_basis", "table_of"]


@module
class Basis:
    """q monomials that are independent on the q points of a finite space.

    Attributes:
      monomials: for each basis function the components it multiplies, e.g. (0, 0) for x_0^2.
      values: B_ba = phi_a(x_b) as a nested tuple.
    """

    monomials: tuple[tuple[int, ...], ...] = static()
    values: tuple[tuple[float, ...], ...] = static()

    @property
    def matrix(self) -> NDArray[np.float64]:
        """B, shape [q points, q monomials]."""
        return np.array(self.values)

    @property
    def inverse(self) -> NDArray[np.float64]:
        """Inverse of B, with rounding below 1e-13 set to zero so that sparsity is seen."""
        inverse: NDArray[np.float64] = np.linalg.inv(self.matrix).astype(np.float64)
        inverse[np.abs(inverse) < 1e-13 * np.abs(inverse).max()] = 0.0
        return inverse

    @property
    def degree(self) -> int:
        """The highest degree among the monomials."""
        return max(len(m) for m in self.monomials)


@functools.lru_cache(maxsize=256)
def monomial_basis(space: Finite) -> Basis:
    """The lowest-degree monomial basis of the functions on ``space``.

    >>> from physdl.spaces import spin
    >>> monomial_basis(spin(1)).monomials
    ((), (0,), (0, 0))
    """
    points = space.array
    chosen: list[tuple[int, ...]] = []
    columns = np.empty((space.n_states, 0))
    for degree in itertools.count():
        for monomial in itertools.combinations_with_replacement(range(space.n_components), degree):
            column = np.prod(points[:, list(monomial)], axis=1, keepdims=True)
            trial = np.hstack([columns, column])
            if np.linalg.matrix_rank(trial, tol=1e-9 * np.linalg.norm(trial)) == trial.shape[1]:
                columns, chosen = trial, [*chosen, monomial]
            if len(chosen) == space.n_states:
                rows = tuple(tuple(float(v) for v in row) for row in columns)
                return Basis(tuple(chosen), rows)
    raise AssertionError("unreachable: monomials of degree q - 1 separate q points")


def _on_every_axis(
    table: Float[Array, "..."], matrices: Sequence[NDArray[np.float64]]
) -> Float[Array, "..."]:
    first = table.ndim - len(matrices)
    for axis, matrix in enumerate(matrices, start=first):
        moved = jnp.tensordot(table, jnp.asarray(matrix, table.dtype), axes=((axis,), (1,)))
        table = jnp.moveaxis(moved, -1, axis)
    return table


def coefficients_of(table: Float[Array, "..."], spaces: Sequence[Finite]) -> Float[Array, "..."]:
    """Polynomial coefficients of tables whose last axes run over the points of ``spaces``.

    For ``SPIN`` this is the Walsh-Hadamard transform divided by 2^k.

    >>> from physdl.spaces import SPIN
    >>> xor = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> coefficients_of(xor, (SPIN, SPIN)).tolist()  # exactly the monomial x y
    [[0.0, 0.0], [0.0, 1.0]]
    """
    return _on_every_axis(table, [monomial_basis(s).inverse for s in spaces])


def table_of(coefficients: Float[Array, "..."], spaces: Sequence[Finite]) -> Float[Array, "..."]:
    """Values on all points of polynomials in the monomial bases of ``spaces``."""
    return _on_every_axis(coefficients, [monomial_basis(s).matrix for s in spaces])
