"""What a sweep needs to know of a Hamiltonian's structure, worked out once on the host.

Two sites may be updated together when no term contains both. ``Plan`` holds the classes of such
sites and, for every class, the tables of what touches it, in the numbering in which the sites of
one class are contiguous. It depends on structure alone and is kept.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.lattices.colouring import adjacency, box_colouring, dsatur, two_colouring
from physdl.pytree import IntArray
from physdl.spaces import Line, Product

__all__ = ["Monomials", "Plan", "Tables", "plan_of"]


@dataclass(frozen=True, eq=False)
class Monomials:
    """Monomials of one term that touch the sites of one class in the same way.

    Attributes:
      term: the term's name.
      pattern: the components of the own site that each monomial multiplies, repeated for powers.
      row: which coefficient, int [n_class, most]; -1 where a site has fewer.
      others: the other variables, int [n_class, most, degree - len(pattern)].
    """

    term: str
    pattern: tuple[int, ...]
    row: IntArray
    others: IntArray


@dataclass(frozen=True, eq=False)
class Tables:
    """Energy tables of one potential that touch the sites of one class at one of their axes.

    Attributes:
      term: the term's name.
      axis: the axis of the own site.
      group: which table, int [n_class, most]; -1 where a site has fewer.
      others: the sites of the other axes, int [n_class, most, k - 1].
    """

    term: str
    axis: int
    group: IntArray
    others: IntArray


@dataclass(frozen=True, eq=False)
class Plan:
    """Classes of sites that may be updated together.

    Attributes:
      order: sites class by class; position p of the new numbering is site ``order[p]``.
      position: the inverse of ``order``.
      bounds: class k holds the positions ``bounds[k]`` to ``bounds[k + 1]``.
      colour: the class of every site.
      monomials: per class, what ``Sites`` and ``Stencil`` terms contribute.
      tables: per class, what ``Potential`` terms contribute.
    """

    order: IntArray
    position: IntArray
    bounds: tuple[int, ...]
    colour: IntArray
    monomials: tuple[tuple[Monomials, ...], ...]
    tables: tuple[tuple[Tables, ...], ...]

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.bounds) - 1


def plan_of(h: Hamiltonian, *, together: bool = True) -> Plan:
    """The plan of a Hamiltonian; ``together=False`` puts all sites in one class, in their order."""
    blocks = {n: t.coefficient.shape for n, t in h.terms.items() if isinstance(t, Dense)}
    return _plan(jax.tree.structure(h), tuple(blocks.items()), together)


@functools.lru_cache(maxsize=32)
def _plan(structure: Any, blocks: tuple[tuple[str, tuple[int, int]], ...], together: bool) -> Plan:
    h: Hamiltonian = jax.tree.unflatten(structure, [None] * structure.num_leaves)
    variables = {
        name: _variables(term, h)
        for name, term in h.terms.items()
        if isinstance(term, Sites | Stencil)
    }
    colour = np.zeros(h.n_sites, dtype=int)
    if together:
        colour = _colours(h, [v // h.space.n_components for v, _ in variables.values()], blocks)
    order = np.argsort(colour, kind="stable")
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(colour))])
    monomials: list[list[Monomials]] = [[] for _ in bounds[1:]]
    tables: list[list[Tables]] = [[] for _ in bounds[1:]]
    for name, (table, rows) in variables.items():
        touching = _touching(table, rows, h.space.n_components, position)
        for (pattern, _), (own, row, others) in touching.items():
            for k, (number, rest) in _padded(own, row, others, bounds):
                monomials[k].append(Monomials(name, pattern, number, rest))
    for name, term in h.terms.items():
        if isinstance(term, Potential):
            groups = position[term.sites.array]
            for axis in range(groups.shape[1]):
                rest = np.delete(groups, axis, axis=1)
                number = np.arange(len(groups))
                for k, (row, others) in _padded(groups[:, axis], number, rest, bounds):
                    tables[k].append(Tables(name, axis, row, others))
    return Plan(
        order,
        position,
        tuple(int(b) for b in bounds),
        colour,
        tuple(map(tuple, monomials)),
        tuple(map(tuple, tables)),
    )


def _variables(term: Sites | Stencil, h: Hamiltonian) -> tuple[IntArray, IntArray]:
    """Monomials one by one: their variables [n, degree], and which coefficient each has."""
    if isinstance(term, Stencil):
        term = Stencil(0.0, term.offsets, term.components).to_sites(h.shape, h.space)
    table = term.table.array
    n, degree = len(table), table.shape[-1]
    n_summed = table.shape[1] if table.ndim == 3 else 1
    if not degree:
        return np.zeros((n, 0), dtype=int), np.arange(n)
    return table.reshape(n * n_summed, degree), np.repeat(np.arange(n), n_summed)


def _colours(
    h: Hamiltonian, supports: list[IntArray], blocks: tuple[tuple[str, tuple[int, int]], ...]
) -> IntArray:
    """The class of every site, numbered from 0."""
    colour = None
    if all(isinstance(t, Stencil) for t in h.terms.values()):
        links = _links(h)
        colour = box_colouring(h.shape, (True,) * len(h.shape), links) if links else None
    if colour is None:
        groups = [*supports, *(t.sites.array for t in h.terms.values() if isinstance(t, Potential))]
        pairs = np.concatenate([_pairs(g) for g in groups] or [np.empty((0, 2), dtype=int)])
        pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
        colour = two_colouring(h.n_sites, pairs.astype(np.int32))
        if colour is None:
            colour = dsatur(adjacency(h.n_sites, pairs.astype(np.int32)))
    labels = [colour]
    for name, (rows, columns) in blocks:
        term = h.terms[name]
        assert isinstance(term, Dense) and term.blocks is not None
        side = np.zeros(h.n_sites, dtype=int)
        side[term.blocks[0] : term.blocks[0] + rows] = 1
        side[term.blocks[1] : term.blocks[1] + columns] = 2
        labels.append(side)
    if isinstance(h.space, Product):
        labels.append(np.array([isinstance(s, Line) for s in h.space.spaces], dtype=int))
    _, inverse = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)
    classes: IntArray = inverse.reshape(-1)
    return classes


def _links(h: Hamiltonian) -> list[tuple[int, int, tuple[int, ...]]]:
    """Distinct displacements between two factors of a monomial, as links of a one-site cell."""
    found = set()
    for term in h.terms.values():
        assert isinstance(term, Stencil)
        for monomial in term.offsets.array:
            steps = (monomial[:, None] - monomial[None]).reshape(-1, monomial.shape[1])
            half = np.array(h.shape) // 2
            found |= {
                tuple(((s + half) % h.shape - half).tolist()) for s in steps if np.any(s % h.shape)
            }
    return [(0, 0, step) for step in sorted(found)]


def _pairs(groups: IntArray) -> IntArray:
    """All pairs of sites that share a group [n, k]."""
    k = groups.shape[1]
    i, j = np.triu_indices(k, 1)
    return np.stack([groups[:, i].reshape(-1), groups[:, j].reshape(-1)], axis=1)


def _touching(
    table: IntArray, rows: IntArray, n_components: int, position: IntArray
) -> dict[tuple[tuple[int, ...], int], tuple[IntArray, IntArray, IntArray]]:
    """(pattern of the own site, number of others) -> own positions, coefficients, others."""
    site, component = np.divmod(table, n_components)
    moved = position[site] * n_components + component
    found: dict[tuple[tuple[int, ...], int], list[tuple[IntArray, IntArray, IntArray]]] = {}
    for k in range(table.shape[1]):
        first = ~np.any(site[:, :k] == site[:, k : k + 1], axis=1)
        own = site == site[:, k : k + 1]
        signature = np.where(own, component, -1)[first]
        kinds, inverse = np.unique(signature, axis=0, return_inverse=True)
        for label, kind in enumerate(kinds):
            chosen = np.flatnonzero(first)[inverse.reshape(-1) == label]
            pattern = tuple(sorted(int(a) for a in kind if a >= 0))
            rest = moved[chosen][:, kind < 0]
            entry = (position[site[chosen, k]], rows[chosen], rest)
            found.setdefault((pattern, rest.shape[1]), []).append(entry)
    return {
        key: (
            np.concatenate([own for own, _, _ in entries]),
            np.concatenate([row for _, row, _ in entries]),
            np.concatenate([rest for _, _, rest in entries]),
        )
        for key, entries in found.items()
    }


def _padded(
    own: IntArray, row: IntArray, others: IntArray, bounds: IntArray
) -> Iterator[tuple[int, tuple[IntArray, IntArray]]]:
    """Per class: rows [n_class, most], -1 where there are fewer, and others [n_class, most, d]."""
    by_site = np.argsort(own, kind="stable")
    own, row, others = own[by_site], row[by_site], others[by_site]
    for k, (start, stop) in enumerate(itertools.pairwise(bounds)):
        mine = slice(*np.searchsorted(own, [start, stop]))
        site = own[mine] - start
        count = np.bincount(site, minlength=stop - start)
        if not count.any():
            continue
        slot = np.arange(len(site)) - (np.cumsum(count) - count)[site]
        number = np.full((stop - start, count.max()), -1, dtype=np.int32)
        rest = np.zeros((*number.shape, others.shape[1]), dtype=np.int32)
        number[site, slot], rest[site, slot] = row[mine], others[mine]
        yield k, (number, rest)
