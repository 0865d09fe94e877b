r"""A box of couplings: all Hamiltonians of a family with couplings between two bounds.

    h(k) = h_0 + sum_a k_a h_a,          lower_a <= k_a <= upper_a,

for any family whose coefficients are affine functions of the couplings: the Ising model over (K,
h), a spin glass with fixed bonds over its inverse temperature, a sum of operators. Couplings of a
Hamiltonian of the family are read off its coefficients again, by least squares, and what is left
says whether it is of the family at all.

Convention: z in [-1, 1]^n are the couplings relative to the centre and half the widths of the box.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import SettingError, ShapeError, StructureError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module

__all__ = ["CouplingBox"]

SINGULAR = 1e-10
AFFINE = 1e-6


@module
class CouplingBox:
    """The Hamiltonians ``family(k)`` with lower <= k <= upper.

    Attributes:
      lower: [n].
      upper: [n].
      centre: the Hamiltonian of z = 0.
      directions: dh/dz_a, a Hamiltonian whose coefficients have a first axis [n].

    Args:
      family: couplings [n] -> Hamiltonian, affine in its coefficients.
      lower, upper: the corners.

    Raises:
      SettingError: a bound is not below the other.
      ShapeError: bounds are not two vectors of one length.
      StructureError: the family is not affine, or two couplings change it alike.

    >>> from physdl import lattices, models
    >>> lattice = lattices.square(4, 4)
    >>> box = CouplingBox(lambda k: models.ising(lattice, k[0], k[1]), [0.0, -0.5], [0.6, 0.5])
    >>> z, off = box.coordinates(models.ising(lattice, 0.45, field=0.1))
    >>> [round(float(v), 6) for v in z], bool(off < 1e-6)
    ([0.5, 0.2], True)
    """

    lower: Float[Array, " n"]
    upper: Float[Array, " n"]
    centre: Hamiltonian
    directions: Hamiltonian

    def __init__(
        self, family: Callable[[Array], Hamiltonian], lower: ArrayLike, upper: ArrayLike
    ) -> None:
        low, high = jnp.asarray(lower, float), jnp.asarray(upper, float)
        if low.ndim != 1 or low.shape != high.shape or not low.size:
            raise ShapeError(
                f"the corners of a box are two vectors of one length, got shapes {low.shape} and "
                f"{high.shape}."
            )
        if not is_traced((low, high)) and not bool(jnp.all(low < high)):
            raise SettingError(f"lower bounds are below upper ones, got {low} and {high}.")

        def of(z: Array) -> Hamiltonian:
            return family((low + high) / 2 + z * (high - low) / 2)

        zero, units = jnp.zeros_like(low), jnp.eye(low.size, dtype=low.dtype)
        directions = jax.vmap(lambda unit: jax.jvp(of, (zero,), (unit,))[1])(units)
        object.__setattr__(self, "lower", low)
        object.__setattr__(self, "upper", high)
        object.__setattr__(self, "centre", of(zero))
        object.__setattr__(self, "directions", directions)
        if not is_traced(self):
            self._check(of)

    def _check(self, family: Callable[[Array], Hamiltonian]) -> None:
        d = np.asarray(self._matrix())
        singular = np.linalg.svd(d, compute_uv=False)
        if len(singular) < len(d) or singular[-1] <= SINGULAR * singular[0]:
            raise StructureError(
                "couplings of a box must be told apart by the coefficients of its Hamiltonians: "
                "leave out those that change them alike."
            )
        corner = jnp.where(jnp.arange(len(d)) % 2 == 0, 1, -1).astype(self.lower.dtype)
        z, off = self.coordinates(family(corner))
        if not float(off + jnp.max(jnp.abs(z - corner))) < AFFINE:
            raise StructureError(
                "coefficients of a family must be affine functions of its couplings: give the "
                "coefficients themselves as couplings."
            )

    @property
    def n_couplings(self) -> int:
        """n."""
        return int(self.lower.shape[-1])

    def __call__(self, z: Float[Array, " n"]) -> Hamiltonian:
        """The Hamiltonian at a point of [-1, 1]^n."""
        moved: Hamiltonian = jax.tree.map(
            lambda c, d: c + jnp.tensordot(z.astype(d.dtype), d, 1), self.centre, self.directions
        )
        return moved

    def couplings(self, z: Float[Array, " n"]) -> Float[Array, " n"]:
        """k at a point of [-1, 1]^n."""
        return (self.lower + self.upper) / 2 + z * (self.upper - self.lower) / 2

    def coordinates(self, h: Hamiltonian) -> tuple[Float[Array, " n"], Float[Array, ""]]:
        """z of a Hamiltonian, and the largest part of a coefficient that no z explains.

        The latter is relative to the size of the coefficients; infinite tables must be the same.

        Raises:
          StructureError: the Hamiltonian has other terms, sites or spaces than the family.
        """
        shapes = [
            (jax.tree.structure(tree), [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)])
            for tree in (h, self.centre)
        ]
        if shapes[0] != shapes[1]:
            raise StructureError(
                f"a Hamiltonian of the family has the structure of {self.centre!r}, got {h!r}: "
                f"make it by the same function."
            )
        d, c, centre = self._matrix(), ravel_pytree(h)[0], ravel_pytree(self.centre)[0]
        soft = jnp.isfinite(centre)
        apart = jnp.where(soft, c - centre, 0)
        z = jnp.linalg.solve(d @ d.T, d @ apart)
        rest = jnp.where(soft | (c == centre), apart - z @ d, jnp.inf)
        return z, jnp.max(jnp.abs(rest)) / (1 + jnp.max(jnp.abs(jnp.where(soft, centre, 0))))

    def _matrix(self) -> Float[Array, "n n_coefficients"]:
        matrix: Array = jax.vmap(lambda d: ravel_pytree(d)[0])(self.directions)
        return matrix
