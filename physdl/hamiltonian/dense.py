r"""All pairs at once, as one matrix product: SK, Hopfield, Gaussian fields, RBM.

    E(x) = 1/2 sum_ij C_ij x_i . x_j                 (all sites; blocks = None)
    E(x) = sum_{i in rows, j in columns} C_ij x_i . x_j      (two blocks, e.g. visible and hidden)

The dot is the scalar product of the components. In the first form only the symmetric part of C
counts, a pair i < j has the weight (C_ij + C_ji)/2, and the diagonal contributes C_ii x_i^2 / 2.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from physdl.errors import ShapeError, SupportError
from physdl.hamiltonian.sites import Sites
from physdl.pytree import IntArray, Table, module, static
from physdl.spaces import Space

__all__ = ["Dense"]


@module
class Dense:
    """A quadratic form over all sites, or a bilinear form between two blocks of sites.

    Attributes:
      coefficient: shape [n_sites, n_sites], or [n_rows, n_columns] with ``blocks``.
      blocks: ``None``, or (first row site, first column site) of two disjoint blocks.

    Raises:
      ShapeError: the coefficient is no matrix, or not square without ``blocks``.
      SupportError: the blocks overlap.

    >>> from physdl.hamiltonian import Hamiltonian
    >>> from physdl.spaces import SPIN
    >>> couplings = jnp.array([[0.0, 2.0], [2.0, 0.0]])
    >>> float(Hamiltonian({"pair": Dense(couplings)}, space=SPIN, shape=(2,))(jnp.array([1, -1])))
    -2.0
    """

    coefficient: Float[Array, "rows columns"]
    blocks: tuple[int, int] | None = static(default=None)

    def __init__(self, coefficient: ArrayLike, blocks: tuple[int, int] | None = None):
        c = jnp.asarray(coefficient, dtype=float)
        if c.ndim != 2 or (blocks is None and c.shape[0] != c.shape[1]):
            need = "[n_rows, n_columns]" if blocks else "[n_sites, n_sites]"
            raise ShapeError(f"a dense term takes a matrix of shape {need}, got {c.shape}.")
        if blocks is not None:
            (row, column) = blocks = (int(blocks[0]), int(blocks[1]))
            if min(blocks) < 0 or (row < column + c.shape[1] and column < row + c.shape[0]):
                raise SupportError(
                    f"the blocks of a dense term must not overlap, got rows from {row} "
                    f"({c.shape[0]}) and columns from {column} ({c.shape[1]})."
                )
        object.__setattr__(self, "coefficient", c)
        object.__setattr__(self, "blocks", blocks)

    def check(self, name: str, shape: tuple[int, ...], space: Space) -> None:
        """Raise when the matrix does not fit the number of sites."""
        n_sites, (rows, columns) = int(np.prod(shape)), self.coefficient.shape
        if self.blocks is None and rows != n_sites:
            raise ShapeError(
                f"term {name!r} couples {rows} sites, but the Hamiltonian has {n_sites}."
            )
        if self.blocks is not None and (
            self.blocks[0] + rows > n_sites or self.blocks[1] + columns > n_sites
        ):
            raise SupportError(
                f"term {name!r} has blocks that end at sites {self.blocks[0] + rows} and "
                f"{self.blocks[1] + columns}, but the Hamiltonian has {n_sites} sites."
            )

    def degree(self, space: Space) -> int:
        """Two factors."""
        return 2

    def energy(self, x: Float[Array, "*shape c"], space: Space) -> Float[Array, ""]:
        """The term's contribution to H, for a configuration with component axis."""
        v = x.reshape(-1, x.shape[-1])
        if self.blocks is None:
            return 0.5 * jnp.sum(v * (self.coefficient @ v))
        (row, column), (rows, columns) = self.blocks, self.coefficient.shape
        return jnp.sum(v[row : row + rows] * (self.coefficient @ v[column : column + columns]))

    def conditional(
        self, x: Float[Array, "*shape c"], sites: Int[Array, " m"], points: Float[Array, "n q c"]
    ) -> Float[Array, "m q"]:
        """Energy of the pairs that touch each site, for each of its q values."""
        v, c = x.reshape(-1, x.shape[-1]), self.coefficient
        if self.blocks is None:
            diagonal = jnp.diagonal(c)[:, None]
            field = 0.5 * (c @ v + c.T @ v) - diagonal * v
        else:
            (row, column), (rows, columns) = self.blocks, c.shape
            diagonal = jnp.zeros((len(v), 1), v.dtype)
            field = jnp.zeros_like(v)
            field = field.at[row : row + rows].add(c @ v[column : column + columns])
            field = field.at[column : column + columns].add(c.T @ v[row : row + rows])
        own = points[sites]
        linear = jnp.sum(own * field[sites][:, None, :], axis=-1)
        energies: Array = linear + 0.5 * diagonal[sites] * jnp.sum(own**2, axis=-1)
        return energies

    def scaled(self, beta: Float[Array, ""]) -> "Dense":
        """The term times a number."""
        return Dense(beta * self.coefficient, self.blocks)

    def to_sites(self, shape: tuple[int, ...], space: Space) -> Sites:
        """The same sum as an explicit table of pairs."""
        c, n = self.coefficient, self.coefficient.shape
        if self.blocks is None:
            i, j = np.triu_indices(n[0])
            coefficient = 0.5 * jnp.where(jnp.asarray(i == j), c[i, j], c[i, j] + c[j, i])
        else:
            i, j = (a.reshape(-1) for a in np.indices(n))
            coefficient = c.reshape(-1)
            i, j = i + self.blocks[0], j + self.blocks[1]
        pairs, a = np.stack([i, j], axis=1), np.arange(space.n_components)
        if not space.event_shape:
            return Sites(coefficient, Table(pairs))
        return Sites(coefficient, Table(pairs[:, None, :] * len(a) + a[:, None]))

    def gauged(self, signs: IntArray, shape: tuple[int, ...], space: Space) -> "Dense":
        """The term after x_i -> signs_i x_i."""
        row, column = self.blocks or (0, 0)
        rows, columns = self.coefficient.shape
        outer = np.outer(signs[row : row + rows], signs[column : column + columns])
        return Dense(self.coefficient * jnp.asarray(outer, float), self.blocks)
