"""The canonical polynomial of a Hamiltonian, and its average over a symmetry group."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from physdl.errors import ShapeError
from physdl.hamiltonian.factors import MonomialGroup, Term, monomial_groups, separated
from physdl.hamiltonian.potential import Potential
from physdl.hamiltonian.sites import Sites
from physdl.hamiltonian.transforms import Basis, monomial_basis
from physdl.pytree import IntArray, Table
from physdl.spaces import Finite, Product, Space

__all__ = ["expand", "symmetrise"]

Rows = tuple[Array, IntArray]


def expand(terms: Mapping[str, Term], space: Space, shape: tuple[int, ...]) -> dict[str, Sites]:
    """One term per degree, each monomial once, reduced by the identities of the space."""
    found: dict[int, list[Rows]] = {}
    for term in terms.values():
        for coefficient, rows in _monomials(term, space, shape):
            found.setdefault(rows.shape[1], []).append((coefficient, rows))
    return {f"degree_{degree}": _collected(found[degree]) for degree in sorted(found)}


def _monomials(term: Term, space: Space, shape: tuple[int, ...]) -> list[Rows]:
    if isinstance(term, Potential):
        return [(s.coefficient, s.table.array) for s in term.to_polynomial(space)]
    sites = separated(term.to_sites(shape, space), space)
    if not isinstance(space, Finite):
        sites = sites.flattened()
    if not isinstance(space, Finite | Product):
        return [(sites.coefficient, sites.table.array)]
    coefficient = jnp.broadcast_to(sites.coefficient, sites.table.array.shape[:1])
    out: list[Rows] = []
    for group in monomial_groups(sites, space):
        bases = [_basis(group, axis) for axis in range(len(group.spaces))]
        table = group.table
        values = table
        for axis, basis in enumerate(bases):
            values = np.moveaxis(np.tensordot(values, basis.inverse, (axis, 1)), -1, axis)
        threshold = 1e-12 * np.abs(table).max(initial=0.0)
        for index in np.argwhere(np.abs(values) > threshold):
            variables = [
                group.scopes[:, k] * space.n_components + a
                for k, i in enumerate(index)
                for a in bases[k].monomials[i]
            ]
            rows = np.array(variables, dtype=np.int32).reshape(-1, len(group.rows)).T
            out.append((values[tuple(index)] * coefficient[group.rows], rows))
    return out


def _basis(group: MonomialGroup, axis: int) -> Basis:
    """The basis of one site; on a continuous one the power itself, which nothing reduces."""
    space = group.spaces[axis]
    if isinstance(space, Finite):
        return monomial_basis(space)
    power = sum(position == axis for position, _ in group.factors[0])
    return Basis(((0,) * power,), ((1.0,),))


def _collected(entries: list[Rows]) -> Sites:
    rows = np.sort(np.concatenate([r for _, r in entries]), axis=1)
    coefficient = jnp.concatenate([c for c, _ in entries])
    if rows.shape[1] == 0:
        return Sites(jnp.sum(coefficient, keepdims=True), Table(np.empty((1, 0), dtype=np.int32)))
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    total = jnp.zeros(len(distinct), coefficient.dtype).at[inverse.reshape(-1)].add(coefficient)
    return Sites(total, Table(distinct))


def symmetrise(
    polynomial: Mapping[str, Sites], permutations: IntArray, n_sites: int, n_components: int
) -> dict[str, Sites]:
    """Average an expanded polynomial over site permutations: one coefficient per orbit.

    The average over the generated group gives every monomial of an orbit the mean coefficient of
    the orbit, so generators suffice.
    """
    permutations = np.asarray(permutations)
    sites = np.arange(n_sites)
    if permutations.ndim != 2 or not all(np.array_equal(np.sort(p), sites) for p in permutations):
        raise ShapeError(
            f"a symmetry group is given as permutations of the {n_sites} sites, int "
            f"[n_permutations, {n_sites}]; got an array of shape {permutations.shape}."
        )
    out = {}
    for name, term in polynomial.items():
        for size, (coefficient, rows) in _orbits(term, permutations, n_components).items():
            out[name if size == 1 else f"{name}_orbit_{size}"] = Sites(coefficient, Table(rows))
    return out


def _orbits(
    term: Sites, permutations: IntArray, n_components: int
) -> dict[int, tuple[Array, IntArray]]:
    """Mean coefficient and monomials of the orbits, by orbit size."""
    rows = term.table.array
    if rows.shape[1] == 0:
        return {1: (term.coefficient, rows)}
    known = rows
    while True:
        site, component = np.divmod(known, n_components)
        images = permutations[:, site] * n_components + component
        images = np.sort(images, axis=-1)
        everything = np.concatenate([known, images.reshape(-1, rows.shape[1])])
        distinct, inverse = np.unique(everything, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        if len(distinct) == len(known):
            break
        known = distinct
    start, image = inverse[: len(known)], inverse[len(known) :]
    start = np.tile(start, len(permutations))
    graph = coo_array((np.ones(len(image)), (start, image)), shape=(len(known), len(known)))
    n_orbits, orbit = connected_components(graph, directed=False)
    size = np.bincount(orbit)
    _, position = np.unique(np.concatenate([distinct, rows]), axis=0, return_inverse=True)
    own = position.reshape(-1)[len(distinct) :]
    mean = jnp.zeros(n_orbits, term.coefficient.dtype).at[orbit[own]].add(term.coefficient)
    mean = mean / jnp.asarray(size, mean.dtype)
    order = np.argsort(orbit, kind="stable")
    start_of = np.concatenate([[0], np.cumsum(size)])
    out = {}
    for s in np.unique(size):
        which = np.flatnonzero(size == s)
        members = np.stack([distinct[order[start_of[o] : start_of[o + 1]]] for o in which])
        out[int(s)] = (mean[which], members)
    return out
