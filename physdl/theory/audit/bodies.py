r"""How local a coarse Hamiltonian is: its weight by the number of bodies and by diameter.

A function of n sites is a polynomial with one coefficient for each monomial (the Walsh-Hadamard
expansion on ``SPIN``). Ordered by how many sites a monomial joins and by how far apart they are,

    w[m, l] = sum over monomials of m sites and diameter l of abs(c),

the coefficients say whether the coarse model can be written down at all. P. M. Lenggenhager, D. E.
Gokmen, Z. Ringel, S. D. Huber and M. Koch-Janusz (Phys. Rev. X 10, 011037 (2020)) use two ratios of
couplings K' = -c: the range K'_2(2) / K'_2(1), of pairs, and the m-bodyness K'_4 / K'_2. Both
vanish for the decimation of an Ising chain, whose coarse model is again a chain.

Convention: distances are bonds between sites of the coarse lattice, a monomial's diameter is the
largest of them; K'_m(l) is the mean over all monomials of m sites and diameter l, and K'_m without
a distance that over m sites whose distances have the least sum (neighbours in a row, or the corners
of a square).
"""

import itertools
import math

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import LatticeError, ShapeError
from physdl.hamiltonian import coefficients_of
from physdl.lattices import Lattice
from physdl.pytree import module
from physdl.spaces import SPIN, Finite
from physdl.theory.audit.tables import energy_table

__all__ = ["Locality", "locality"]

PAIR, FOUR = 2, 4


@module
class Locality:
    """A coarse Hamiltonian by bodies and diameter.

    Attributes:
      weight: sum of abs(c), shape [n_sites + 1, largest distance + 1]; the constant is left out.
      coupling: the mean K'_m(l), same shape; NaN where there is no such monomial.
      compact: the mean K'_m of the closest m sites, shape [n_sites + 1].
    """

    weight: Float[Array, "bodies diameters"]
    coupling: Float[Array, "bodies diameters"]
    compact: Float[Array, " bodies"]

    @property
    def by_bodies(self) -> Float[Array, " bodies"]:
        """Share of the weight by number of sites."""
        return jnp.sum(self.weight, axis=1) / jnp.sum(self.weight)

    @property
    def by_diameter(self) -> Float[Array, " diameters"]:
        """Share of the weight by diameter."""
        return jnp.sum(self.weight, axis=0) / jnp.sum(self.weight)

    @property
    def rangeness(self) -> Float[Array, ""]:
        """K'_2(2) / K'_2(1); NaN where no pair is two bonds apart."""
        if min(self.coupling.shape) <= PAIR:
            return jnp.full((), jnp.nan, self.coupling.dtype)
        return self.coupling[PAIR, 2] / self.coupling[PAIR, 1]

    @property
    def m_bodyness(self) -> Float[Array, ""]:
        """K'_4 / K'_2 of the closest sites; NaN where there are fewer than four."""
        if len(self.compact) <= FOUR:
            return jnp.full((), jnp.nan, self.compact.dtype)
        return self.compact[FOUR] / self.compact[PAIR]


def locality(h: ArrayLike, lattice: Lattice, *, space: Finite = SPIN) -> Locality:
    """The weights of a Hamiltonian's polynomial, given as the energies of all configurations.

    Args:
      h: energies [n_states], all finite, as ``coarse_hamiltonian`` gives them; C order of sites.
      lattice: of the sites, connected, with one bond at least.
      space: of every site. For spaces of more than two points several monomials have the same sites
        and all of them count.

    Raises:
      ShapeError: there is not one energy for each configuration of the lattice.
      LatticeError: the lattice is not connected.

    >>> from physdl import lattices, models
    >>> from physdl.theory.audit import energy_table
    >>> ring = lattices.chain(6)
    >>> found = locality(energy_table(models.ising(ring, 0.5)), ring)
    >>> round(float(found.coupling[2, 1]), 6), bool(abs(found.rangeness) < 1e-6)
    (0.5, True)
    """
    table, n = energy_table(h), lattice.n_sites
    if table.shape != (space.n_states**n,):
        raise ShapeError(
            f"{n} sites of {space!r} have {space.n_states**n} configurations, got {len(table)} "
            f"energies."
        )
    hops = lattice.distances
    if not np.all(np.isfinite(hops)) or n < PAIR:
        raise LatticeError(
            f"diameters need a connected lattice of two sites or more, got {n} sites."
        )
    coefficients = coefficients_of(table.reshape((space.n_states,) * n), (space,) * n).reshape(-1)
    bodies, diameter, spread = _supports(n, space.n_states, hops)
    shape = (n + 1, int(hops.max()) + 1)
    cell = bodies * shape[1] + diameter
    least = np.full(n + 1, np.inf)
    np.minimum.at(least, bodies, spread)
    counted = np.flatnonzero(spread == least[bodies])
    size = jnp.where(jnp.asarray(bodies > 0), jnp.abs(coefficients), 0.0)
    weight = jnp.zeros(math.prod(shape), size.dtype).at[cell].add(size)
    return Locality(
        weight=weight.reshape(shape),
        coupling=_mean(-coefficients, cell, math.prod(shape)).reshape(shape),
        compact=_mean(-coefficients[counted], bodies[counted], n + 1),
    )


def _mean(
    values: Float[Array, " n"], cell: NDArray[np.int64], n_cells: int
) -> Float[Array, " cells"]:
    """The mean over the members of every cell, NaN where it has none."""
    number = np.bincount(cell, minlength=n_cells).astype(float)
    divisor = jnp.asarray(np.where(number > 0, number, np.nan), values.dtype)
    return jnp.zeros(n_cells, values.dtype).at[cell].add(values) / divisor


def _supports(
    n: int, q: int, hops: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Number of sites, diameter and sum of distances of every monomial, in C order of indices."""
    number = np.arange(q**n)
    present = [(number // q ** (n - 1 - i)) % q > 0 for i in range(n)]
    bodies = np.sum(present, axis=0)
    diameter, spread = np.zeros(q**n, int), np.zeros(q**n, int)
    for i, j in itertools.combinations(range(n), 2):
        both = present[i] & present[j]
        diameter[both] = np.maximum(diameter[both], int(hops[i, j]))
        spread[both] += int(hops[i, j])
    return bodies, diameter, spread
