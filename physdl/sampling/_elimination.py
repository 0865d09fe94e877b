r"""Elimination of sites, one after another: exact sums forward, exact draws backward.

To eliminate site v, all tables that contain it are added and v is summed out,

    m_v(rest) = log sum_{x_v} exp(J_v(x_v, rest)),      J_v = sum of the tables that contain v,

where the rest are the sites that share a table with v; m_v is a new table. The last one is log Z.
Backward, x_v is drawn from exp(J_v(x_v, rest) - m_v(rest)) at the rest drawn before: the draws are
exact and independent. This is the transfer matrix on a strip, one site at a time, and bucket
elimination on any graph (R. Dechter, Artif. Intell. 113, 41 (1999)).

Work and memory are q^(w + 1) for each site, where the width w is the largest number of sites in a
rest. It depends on the order alone: along the axes of the box, along the narrow way through the
graph (reverse Cuthill-McKee), or by the minimum-degree and minimum-fill heuristics of networkx; the
cheapest is taken.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.csgraph import reverse_cuthill_mckee

from physdl.lattices.colouring import adjacency
from physdl.pytree import IntArray

__all__ = ["Elimination", "Scope", "Step", "best_elimination", "flat_index", "joint_tables"]

Scope = tuple[int, ...]
ENTRIES_WITHOUT_SEARCH = 1e6
MOST_SITES_MIN_DEGREE, MOST_SITES_MIN_FILL = 2000, 150
MOST_ENTRIES = 1e18


@dataclass(frozen=True)
class Step:
    """The elimination of one site.

    Attributes:
      site: the site that is summed out.
      rest: the sites its sum depends on.
      tables: which tables contain it: those of the Hamiltonian are numbered first, then one for
        every step before this one.
    """

    site: int
    rest: Scope
    tables: tuple[int, ...]


@dataclass(frozen=True)
class Elimination:
    """The elimination of all sites in one order.

    Attributes:
      steps: site after site.
      entries: of all joint tables together; infinite (and no steps) where the order was given up.
      largest: entries of the largest joint table.
      width: the largest number of sites in a rest that was met.
    """

    steps: tuple[Step, ...]
    entries: float
    largest: float
    width: int


@functools.lru_cache(maxsize=64)
def best_elimination(
    scopes: tuple[Scope, ...], sizes: tuple[int, ...], shape: tuple[int, ...]
) -> Elimination:
    """The cheapest of the known orders, for tables over ``scopes`` of sites with ``sizes`` states.

    >>> chain = tuple((i, i + 1) for i in range(9))
    >>> best_elimination(chain, (2,) * 10, (10,)).width
    1
    """
    index = np.arange(len(sizes)).reshape(shape)
    orders = [np.moveaxis(index, k, 0).reshape(-1).tolist() for k in range(len(shape))]
    pairs = sorted({(i, j) for s in scopes for i in s for j in s if i < j})
    links = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    narrow = reverse_cuthill_mckee(adjacency(len(sizes), links).tocsr(), symmetric_mode=True)
    found = [_eliminated(scopes, sizes, order) for order in (*orders, narrow.tolist())]
    if min(e.entries for e in found) > ENTRIES_WITHOUT_SEARCH:
        found += [_eliminated(scopes, sizes, o) for o in _by_decomposition(pairs, len(sizes))]
    return min(found, key=lambda e: e.entries)


def _by_decomposition(pairs: list[tuple[int, int]], n: int) -> list[list[int]]:
    """Orders from tree decompositions: the sites of a leaf that its neighbour has not, repeated."""
    from networkx import Graph
    from networkx.algorithms import approximation

    graph = Graph(pairs)
    graph.add_nodes_from(range(n))
    searches = [approximation.treewidth_min_degree] if n <= MOST_SITES_MIN_DEGREE else []
    searches += [approximation.treewidth_min_fill_in] if n <= MOST_SITES_MIN_FILL else []
    orders = []
    for search in searches:
        _, tree = search(graph)
        order: list[int] = []
        leaves = [bag for bag in tree if tree.degree(bag) <= 1]
        while leaves:
            bag = leaves.pop()
            if bag not in tree:
                continue
            others = list(tree.neighbors(bag))
            order += sorted(bag.difference(*others))
            tree.remove_node(bag)
            leaves += [b for b in others if tree.degree(b) <= 1]
        orders.append(order)
    return orders


def _eliminated(
    scopes: tuple[Scope, ...], sizes: tuple[int, ...], order: Sequence[int]
) -> Elimination:
    """The steps of an order and what they cost; given up where that has no end."""
    holders: list[set[int]] = [set() for _ in sizes]
    tables = [frozenset(s) for s in scopes]
    for number, scope in enumerate(scopes):
        for i in scope:
            holders[i].add(number)
    rank = {site: k for k, site in enumerate(order)}
    steps, total, largest = [], 0.0, 1.0
    for site in order:
        own = tuple(sorted(holders[site]))
        around = frozenset[int]().union(*(tables[t] for t in own)) - {site}
        rest = tuple(sorted(around, key=rank.__getitem__))
        entries = float(sizes[site]) * math.prod(float(sizes[i]) for i in rest)
        total, largest = total + entries, max(largest, entries)
        if total > MOST_ENTRIES:
            return Elimination((), math.inf, math.inf, len(rest))
        for i in rest:
            holders[i].difference_update(own)
            holders[i].add(len(tables))
        tables.append(frozenset(rest))
        steps.append(Step(site, rest, own))
    return Elimination(tuple(steps), total, largest, max((len(s.rest) for s in steps), default=0))


def joint_tables(
    plan: Elimination, scopes: Sequence[Scope], tables: Sequence[Any], xp: Any
) -> tuple[list[Any], Any]:
    """J_v of every step, site first and its rest after it, and log Z without constants."""
    known: list[Any] = list(tables)
    held = [*scopes, *(s.rest for s in plan.steps)]
    joints, log_z = [], xp.zeros((), tables[0].dtype)
    for step in plan.steps:
        axes = (step.site, *step.rest)
        own = [_aligned(known[t], held[t], axes, xp) for t in step.tables]
        joint = functools.reduce(xp.add, own)
        message = _log_sum(joint, xp)
        known.append(message)
        joints.append(joint)
        if not step.rest:
            log_z = log_z + message
    return joints, log_z


def _aligned(table: Any, scope: Scope, axes: Scope, xp: Any) -> Any:
    """The table with its axes in the order of ``axes``, missing ones of length 1."""
    present = [i for i in axes if i in scope]
    moved = xp.transpose(table, [scope.index(i) for i in present])
    length = dict(zip(present, moved.shape, strict=True))
    return moved.reshape([length.get(i, 1) for i in axes])


def _log_sum(joint: Any, xp: Any) -> Any:
    top = xp.max(joint, axis=0)
    top = xp.where(xp.isneginf(top), xp.zeros_like(top), top)
    return xp.log(xp.sum(xp.exp(joint - top[None]), axis=0)) + top


def flat_index(step: Step, sizes: IntArray, labels: Any) -> Any:
    """Positions in the flattened rest of a joint table, for labels drawn so far."""
    index: Any = 0
    for i in step.rest:
        index = index * int(sizes[i]) + labels[i]
    return index
