r"""Summing out some sites exactly: the effective Hamiltonian of the rest.

    exp(-H'(y)) = sum_z exp(-H(y, z))

Sites that are summed out and interact form a cluster; a cluster with b neighbours becomes one
table over the b neighbours, whose transform (a subset transform for two-state spaces) is a
polynomial in them; where tables take part they may hold infinities, and the result stays a table.
Clusters of equal structure, such as every second site of a chain, are summed
together. This is decimation, and with the hidden units of a Boltzmann machine it is the free
energy of the visible ones.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from physdl.errors import TooLargeError
from physdl.hamiltonian.condition import renumbered
from physdl.hamiltonian.factors import Term, potentials, require_finite, separated
from physdl.hamiltonian.potential import Potential, state_counts
from physdl.hamiltonian.sites import Sites
from physdl.numerics import logsumexp
from physdl.pytree import IntArray, Table
from physdl.spaces import Space, without

__all__ = ["marginalise"]

MAX_TABLE = 2**24


def marginalise(
    terms: Mapping[str, Term], space: Space, shape: tuple[int, ...], sites: IntArray
) -> dict[str, Term]:
    """The terms of the effective Hamiltonian on the remaining sites, renumbered."""
    finite = require_finite(space, "marginalising exactly")
    n_sites = int(np.prod(shape))
    new = renumbered(n_sites, sites)
    untouched, touched = _split(terms, space, shape, new)
    found: dict[tuple[int, ...], list[tuple[IntArray, Array]]] = {}
    tables = potentials(touched, space, shape)
    for scope, table in _summed_clusters(tables, new):
        found.setdefault(table.shape[1:], []).append((new[scope], table))
    in_a_term = [t.sites.array.reshape(-1) for t in tables]
    free = np.setdiff1d(sites, np.concatenate([np.empty(0, np.int32), *in_a_term]))
    if len(free):
        log_states = np.sum(np.log(state_counts(finite, n_sites)[free]))
        found.setdefault((), []).append((np.empty((1, 0), int), jnp.full(1, -log_states, float)))
    marginal = [
        Potential(jnp.concatenate([t for _, t in e]), Table(np.concatenate([s for s, _ in e])))
        for e in found.values()
    ]
    constrained = any(isinstance(t, Potential) for t in touched.values())
    remaining = without(space, sites)
    parts: Sequence[Term] = marginal
    if not constrained:
        parts = [s for p in marginal for s in p.to_polynomial(remaining)]
    unused = (name for i in itertools.count() if (name := f"marginal_{i}") not in untouched)
    return {**untouched, **dict(zip(unused, parts, strict=False))}


def _split(
    terms: Mapping[str, Term], space: Space, shape: tuple[int, ...], new: IntArray
) -> tuple[dict[str, Term], dict[str, Term]]:
    """Rows that avoid the summed sites (renumbered), and rows that touch them."""
    untouched: dict[str, Term] = {}
    touched: dict[str, Term] = {}
    for name, term in terms.items():
        if isinstance(term, Potential):
            sites = term.sites.array
            inside = np.any(new[sites] < 0, axis=1)
            for rows, out in ((~inside, untouched), (inside, touched)):
                if rows.any():
                    table = term.table if term.table.ndim == sites.shape[1] else term.table[rows]
                    numbers = new[sites[rows]] if out is untouched else sites[rows]
                    out[name] = Potential(table, Table(numbers))
            continue
        plain = separated(term.to_sites(shape, space), space)
        c, variables = space.n_components, plain.table.array
        inside = np.any(new[plain.rows // c] < 0, axis=1)
        for rows, out in ((~inside, untouched), (inside, touched)):
            if rows.any():
                value = (
                    plain.coefficient if plain.coefficient.ndim == 0 else plain.coefficient[rows]
                )
                own = variables[rows]
                moved = new[own // c] * c + own % c if out is untouched else own
                out[name] = Sites(value, Table(moved))
    return untouched, touched


@dataclass(frozen=True)
class _Factor:
    """A batch of tables over local sites of equal clusters: [n_clusters, q_1, ..., q_k]."""

    scope: tuple[int, ...]
    table: Array


def _summed_clusters(tables: tuple[Potential, ...], new: IntArray) -> list[tuple[IntArray, Array]]:
    """Scope [n, b] and table [n, ...] of what is left of each kind of cluster."""
    members = _clusters(tables, new)
    kinds: dict[object, list[tuple[IntArray, list[tuple[int, int]]]]] = {}
    for rows in members:
        own = np.unique(np.concatenate([tables[p].sites.array[r] for p, r in rows]))
        local = [
            (p, tuple(np.searchsorted(own, tables[p].sites.array[r]).tolist())) for p, r in rows
        ]
        order = sorted(range(len(rows)), key=lambda i: local[i])
        kind = (tuple(local[i] for i in order), tuple((new[own] < 0).tolist()))
        kinds.setdefault(kind, []).append((own, [rows[i] for i in order]))
    out = []
    for clusters in kinds.values():
        owns = np.stack([own for own, _ in clusters])
        factors = []
        for slot, (p, row) in enumerate(clusters[0][1]):
            scope = tuple(np.searchsorted(owns[0], tables[p].sites.array[row]).tolist())
            picked = np.array([rows[slot][1] for _, rows in clusters])
            factors.append(_Factor(scope, -tables[p].table[picked]))
        summed = np.flatnonzero(new[owns[0]] < 0).tolist()
        rest = _eliminated(factors, summed, len(clusters))
        out.append((owns[:, list(rest.scope)], -rest.table))
    return out


def _clusters(tables: tuple[Potential, ...], new: IntArray) -> list[list[tuple[int, int]]]:
    """The (potential, row) pairs of each connected cluster of summed sites."""
    entries = [(p, r) for p, t in enumerate(tables) for r in range(len(t.sites.array))]
    scopes = [tables[p].sites.array[r] for p, r in entries]
    inner = [s[new[s] < 0] for s in scopes]
    first = np.concatenate([np.repeat(s[:1], len(s)) for s in inner]) if inner else np.empty(0, int)
    other = np.concatenate(inner) if inner else np.empty(0, int)
    graph = coo_array((np.ones(len(first)), (first, other)), shape=(len(new), len(new)))
    _, cluster = connected_components(graph, directed=False)
    found: dict[int, list[tuple[int, int]]] = {}
    for entry, sites in zip(entries, inner, strict=True):
        found.setdefault(int(cluster[sites[0]]), []).append(entry)
    return list(found.values())


def _eliminated(factors: list[_Factor], summed: list[int], n_clusters: int) -> _Factor:
    """Sum out local sites in log domain, the one with the fewest neighbours first."""
    remaining = set(summed)
    while remaining:
        width = {v: len({w for f in factors if v in f.scope for w in f.scope}) for v in remaining}
        site = min(remaining, key=lambda v: (width[v], v))
        joint = _product([f for f in factors if site in f.scope], n_clusters)
        axis = joint.scope.index(site)
        rest = tuple(w for w in joint.scope if w != site)
        factors = [f for f in factors if site not in f.scope]
        factors.append(_Factor(rest, logsumexp(joint.table, axis=axis + 1)))
        remaining.remove(site)
    return _product(factors, n_clusters)


def _product(factors: list[_Factor], n_clusters: int) -> _Factor:
    scope = tuple(sorted({v for f in factors for v in f.scope}))
    length = {v: n for f in factors for v, n in zip(f.scope, f.table.shape[1:], strict=True)}
    shape = (n_clusters, *(length[v] for v in scope))
    if np.prod([float(n) for n in shape]) > MAX_TABLE:
        raise TooLargeError(
            f"summing out these sites needs a table of {' x '.join(map(str, shape))} entries, more "
            f"than {MAX_TABLE}: sum out fewer sites or sites with fewer neighbours."
        )
    total = jnp.zeros(shape, factors[0].table.dtype)
    for f in factors:
        order = np.argsort(f.scope)
        table = jnp.transpose(f.table, (0, *(order + 1)))
        open_shape = (n_clusters, *(length[v] if v in f.scope else 1 for v in scope))
        total = total + table.reshape(open_shape)
    return _Factor(scope, total)
