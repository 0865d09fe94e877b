"""Fixing some sites: the Hamiltonian of the rest, given their values."""

import itertools
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.hamiltonian.factors import Term
from physdl.hamiltonian.potential import Potential
from physdl.hamiltonian.sites import Sites
from physdl.pytree import IntArray, Table
from physdl.spaces import Finite, Product, Space, labels

__all__ = ["condition", "renumbered"]


def renumbered(n_sites: int, removed: IntArray) -> IntArray:
    """New number of every site when some are removed, -1 for those."""
    kept = np.ones(n_sites, dtype=bool)
    kept[removed] = False
    return np.where(kept, np.cumsum(kept) - 1, -1)


def condition(
    terms: Mapping[str, Term],
    space: Space,
    shape: tuple[int, ...],
    sites: IntArray,
    values: Float[Array, "m c"],
) -> dict[str, Term]:
    """The terms on the remaining sites, renumbered in ascending order.

    A term of which different monomials keep different numbers of free factors becomes several,
    named ``name``, ``name|1``, ``name|2``, ...
    """
    n_sites = int(np.prod(shape))
    new = renumbered(n_sites, sites)
    x = jnp.zeros((n_sites, space.n_components), values.dtype).at[sites].set(values)
    out: dict[str, Term] = {}
    for name, term in terms.items():
        parts: Sequence[Term]
        if isinstance(term, Potential):
            assert isinstance(space, Finite | Product)
            parts = _potential(term, new, labels(space, x))
        else:
            parts = _sites(term.to_sites(shape, space), new, x)
        for part in parts:
            out[_free_name(name, out)] = part
    return out


def _free_name(name: str, taken: Mapping[str, Term]) -> str:
    candidates = (name if i == 0 else f"{name}|{i}" for i in itertools.count())
    return next(c for c in candidates if c not in taken)


def _by_mask(fixed: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], IntArray]]:
    """The distinct rows of a mask, each with the rows that have it."""
    kinds, inverse = np.unique(fixed, axis=0, return_inverse=True)
    return [(kind, np.flatnonzero(inverse.reshape(-1) == i)) for i, kind in enumerate(kinds)]


def _sites(term: Sites, new: IntArray, x: Float[Array, "n c"]) -> list[Sites]:
    c = x.shape[1]
    touched = np.any(new[term.rows // c] < 0, axis=1)
    coefficient = jnp.broadcast_to(term.coefficient, touched.shape)

    def moved(table: IntArray) -> Table:
        return Table(new[table // c] * c + table % c)

    out: list[Sites] = []
    if not touched.all():
        kept = np.flatnonzero(~touched)
        own = term.coefficient if term.coefficient.ndim == 0 else coefficient[kept]
        out.append(Sites(own, moved(term.table.array[kept])))
    if not touched.any():
        return out
    flat = Sites(coefficient[touched], Table(term.table.array[touched])).flattened()
    table = flat.table.array
    found: dict[int, list[tuple[Array, IntArray]]] = {}
    for fixed, which in _by_mask(new[table // c] < 0):
        factor = jnp.prod(x.reshape(-1)[table[which][:, fixed]], axis=1)
        entry = (flat.coefficient[which] * factor, table[which][:, ~fixed])
        found.setdefault(int(fixed.sum()), []).append(entry)
    for entries in (found[n_fixed] for n_fixed in sorted(found)):
        value = jnp.concatenate([v for v, _ in entries])
        out.append(Sites(value, moved(np.concatenate([t for _, t in entries]))))
    return out


def _potential(term: Potential, new: IntArray, label: Array) -> list[Potential]:
    sites, tables = term.sites.array, term.batched
    out: list[Potential] = []
    for fixed, rows in _by_mask(new[sites] < 0):
        table = tables[rows]
        for k in np.flatnonzero(fixed)[::-1]:
            index = label[sites[rows, k]].reshape(-1, *(1,) * (table.ndim - 1))
            table = jnp.squeeze(jnp.take_along_axis(table, index, axis=k + 1), axis=k + 1)
        out.append(Potential(table, Table(new[sites[rows][:, ~fixed]])))
    return out
