r"""All Hamiltonians of a degree: which monomials are there to be found in data.

Functions of one site form a basis 1, f_1, f_2, ... of monomials in its components that differ on
the points of its space (spins: x; lattice gas: x; spin one: x, x^2; q states: q - 1 indicators; the
line: every power). Products over different sites are independent functions again, so that no two
coefficients of ``polynomial`` say the same, and a Hamiltonian is known from its probabilities.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from physdl.errors import LatticeError, SettingError, SpaceError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Sites, monomial_basis
from physdl.hamiltonian.factors import Term
from physdl.lattices import Lattice
from physdl.spaces import SPIN, Finite, Line, Space

__all__ = ["polynomial"]

LARGEST = 2**20

Monomial = tuple[int, ...]


def polynomial(
    shape: Sequence[int],
    space: Space = SPIN,
    *,
    degree: int = 2,
    lattice: Lattice | None = None,
    reach: int = 1,
) -> Hamiltonian:
    """The Hamiltonian of all monomials up to a degree, every coefficient zero.

    Args:
      shape: of a configuration.
      space: finite, the line, or a product of both.
      degree: the highest total degree.
      lattice: where given, the sites of a monomial are within ``reach`` bonds of one another.
      reach: how many bonds.

    Returns:
      One term for each degree, ``Sites`` with a coefficient for every monomial.

    Raises:
      SettingError: the degree or the reach is less than one.
      LatticeError: the lattice has another number of sites.
      SpaceError: the space is a sphere.
      TooLargeError: there are more than 2^20 monomials.

    >>> polynomial((10,)).n_parameters  # 10 fields, 45 pairs
    55
    >>> from physdl import lattices
    >>> polynomial((4, 4), lattice=lattices.square(4, 4)).n_parameters
    48
    """
    n_sites = math.prod(shape)
    if degree < 1 or reach < 1:
        raise SettingError(f"degree and reach are at least 1, got {degree} and {reach}.")
    if lattice is not None and lattice.n_sites != n_sites:
        raise LatticeError(f"a lattice of {lattice.n_sites} sites does not fit {n_sites} sites.")
    basis = [_functions(space.at(site), site, degree) for site in range(n_sites)]
    tables: dict[int, list[Monomial]] = defaultdict(list)
    count = 0
    for body in range(1, degree + 1):
        for sites in _groups(n_sites, body, lattice, reach):
            for factors in itertools.product(*(basis[s] for s in sites)):
                monomial = sum(factors, ())
                if len(monomial) <= degree:
                    tables[len(monomial)].append(monomial)
                    count += 1
            if count > LARGEST:
                raise TooLargeError(
                    f"there are more than {LARGEST} monomials of degree {degree} on {n_sites} "
                    f"sites: give a lattice, or a smaller degree."
                )
    terms: dict[str, Term] = {
        f"degree {d}": Sites(jnp.zeros(len(rows)), np.asarray(rows, np.int32))
        for d, rows in sorted(tables.items())
    }
    return Hamiltonian(terms, space=space, shape=tuple(shape))


def _functions(space: Space, site: int, degree: int) -> list[Monomial]:
    """Monomials of one site that differ on its points, as lists of its variables."""
    if isinstance(space, Line):
        return [(site,) * power for power in range(1, degree + 1)]
    if not isinstance(space, Finite):
        raise SpaceError(
            f"monomials of {space!r} are not independent functions: list those wanted as Sites."
        )
    c = space.n_components
    monomials = monomial_basis(space).monomials
    return [tuple(site * c + part for part in m) for m in monomials if 0 < len(m) <= degree]


def _groups(
    n_sites: int, body: int, lattice: Lattice | None, reach: int
) -> Iterator[tuple[int, ...]]:
    """Sets of sites, in order, all within reach of one another."""
    if lattice is None or body == 1:
        yield from itertools.combinations(range(n_sites), body)
        return
    near = lattice.distances <= reach
    for first in range(n_sites):
        after = np.flatnonzero(near[first, first + 1 :]) + first + 1
        for rest in itertools.combinations(after.tolist(), body - 1):
            if all(near[a, b] for a, b in itertools.combinations(rest, 2)):
                yield (first, *rest)
