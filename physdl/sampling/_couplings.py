r"""Pair couplings and fields of a Hamiltonian: the form of it that cluster moves act on.

    H(x) = constant - sum_b K_b x_i(b) . x_j(b) - sum_i B_i . x_i

The dot is the scalar product of the components. Every space that cluster moves know has states of
one length, so x_i . x_i is a constant. Which pairs are coupled is structure and worked out once;
the couplings themselves are data.
"""

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import StructureError
from physdl.hamiltonian import Hamiltonian, Potential, Sites, Term
from physdl.pytree import IntArray, Table
from physdl.sampling._labels import order
from physdl.spaces import Space

__all__ = ["Couplings", "couplings"]


@dataclass(frozen=True, eq=False)
class Couplings:
    """Bonds, couplings and fields.

    Attributes:
      bonds: pairs of sites, int [n_bonds, 2], in the order that ``labels`` likes; a pair may occur
        more than once.
      coupling: K, one number for all bonds, or [n_bonds]; positive is ferromagnetic.
      field: B, [n_sites, n_components], or None where no term is linear.
    """

    bonds: Table
    coupling: Float[Array, "..."]
    field: Float[Array, "n_sites c"] | None


def couplings(h: Hamiltonian) -> Couplings:
    """Read couplings and fields off the terms of a Hamiltonian.

    Raises:
      StructureError: a term is a table of energies, multiplies more than two variables, or couples
        components otherwise than by a scalar product.
    """
    shapes = tuple(leaf.shape for leaf in jax.tree.leaves(h.terms))
    plan = _plan(jax.tree.structure(h.terms), shapes, h.space, h.shape)
    given = {name: _coefficient(term, h.shape, h.space) for name, term in h.terms.items()}
    pairs = [
        _taken(-given[part.name], part.bond_rows, part.weight)
        for part in plan.parts
        if len(part.bonds)
    ]
    return Couplings(plan.bonds, _joined(pairs, plan, h.dtype), _field(h, plan, given))


@dataclass(frozen=True, eq=False)
class _Part:
    """One term: coefficient ``bond_rows[b]`` times ``weight[b]`` couples the two ``bonds[b]``.

    Coefficient ``field_rows[k]`` acts on variable ``variables[k]``.
    """

    name: str
    bonds: IntArray
    bond_rows: IntArray
    weight: NDArray[np.int64]
    field_rows: IntArray
    variables: IntArray


@dataclass(frozen=True, eq=False)
class _Plan:
    """All bonds, of which bond b was number ``order[b]`` of the parts one after the other.

    The parts are in the order of a flattened dictionary, which is that of the names.
    """

    bonds: Table
    order: IntArray
    parts: tuple[_Part, ...]


@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _coefficient(term: Term, shape: tuple[int, ...], space: Space) -> Float[Array, "..."]:
    assert not isinstance(term, Potential), "refused by the plan"
    return term.to_sites(shape, space).coefficient


@functools.lru_cache(maxsize=64)
def _plan(
    structure: Hashable, shapes: tuple[tuple[int, ...], ...], space: Space, shape: tuple[int, ...]
) -> _Plan:
    leaves = [np.zeros(s) for s in shapes]
    terms: dict[str, Any] = jax.tree.unflatten(structure, leaves)
    parts = []
    for name, term in terms.items():
        if isinstance(term, Potential):
            raise StructureError(
                f"cluster moves need pair couplings and fields, term {name!r} is a table of "
                f"energies: write it as a polynomial with h.expand(), or use HeatBath."
            )
        table = term.table if isinstance(term, Sites) else term.to_sites(shape, space).table
        parts.append(_part(name, table.array, space.n_components))
    bonds = np.concatenate([np.empty((0, 2), np.int32), *(p.bonds for p in parts)])
    arranged = order(int(np.prod(shape)), Table(bonds))
    return _Plan(Table(bonds[arranged]), arranged, tuple(parts))


def _part(name: str, table: IntArray, n_components: int) -> _Part:
    degree, none = table.shape[-1], np.empty(0, np.int64)
    owner: IntArray
    rows = table.reshape(len(table), table.size // max(1, len(table) * degree), degree)
    if degree > 2 and table.size:
        raise StructureError(
            f"cluster moves need pair couplings and fields, term {name!r} multiplies {degree} "
            f"variables (the first: {rows[0, 0].tolist()}): reduce powers with h.expand(), or use "
            f"HeatBath."
        )
    if degree == 1:
        owner = np.repeat(np.arange(len(rows)), rows.shape[1])
        return _Part(name, none.reshape(0, 2), none, none, owner, rows.reshape(-1))
    if degree == 0 or table.size == 0:
        return _Part(name, none.reshape(0, 2), none, none, none, none)
    bonds, owner, weight = _products(name, rows, n_components)
    apart = bonds[:, 0] != bonds[:, 1]
    return _Part(name, bonds[apart], owner[apart], weight[apart], none, none)


def _products(
    name: str, rows: IntArray, n_components: int
) -> tuple[IntArray, IntArray, NDArray[np.int64]]:
    """Scalar products in each row of pairs of variables: sites, row, and how many times."""
    n_rows, n_summed, _ = rows.shape
    sites, components = np.divmod(rows.reshape(-1, 2), n_components)
    swap = sites[:, 0] > sites[:, 1]
    sites[swap], components[swap] = sites[swap, ::-1], components[swap, ::-1]
    owner: IntArray = np.repeat(np.arange(n_rows), n_summed)
    if n_components == 1:
        return sites, owner, np.ones(len(sites), np.int64)
    groups, inverse = np.unique(
        np.concatenate([owner[:, None], sites], axis=1), axis=0, return_inverse=True
    )
    count = np.zeros((len(groups), n_components, n_components), np.int64)
    np.add.at(count, (inverse.reshape(-1), components[:, 0], components[:, 1]), 1)
    same = groups[:, 1] == groups[:, 2]  # x_a x_b and x_b x_a of one site are the same
    count[same] = np.triu(count[same]) + np.triu(count[same].transpose(0, 2, 1), 1)
    weight = count[:, 0, 0]
    wrong = np.any(count != weight[:, None, None] * np.eye(n_components, dtype=int), axis=(1, 2))
    if np.any(wrong):
        _, i, j = groups[np.argmax(wrong)]
        raise StructureError(
            f"cluster moves need couplings x_i . x_j with one coefficient for all components, term "
            f"{name!r} couples sites {i} and {j} otherwise: give it a table of shape "
            f"[n, {n_components}, 2], or use HeatBath."
        )
    return groups[:, 1:], groups[:, 0], weight


def _taken(
    c: Float[Array, "..."], rows: IntArray, weight: NDArray[np.int64]
) -> Float[Array, "..."]:
    """weight[k] * c[rows[k]], one number where all are equal."""
    once = bool(np.all(weight == 1))
    if c.ndim == 0:
        return c if once else c * jnp.asarray(weight, c.dtype)
    each = c if np.array_equal(rows, np.arange(len(c))) else c[rows]
    return each if once else each * jnp.asarray(weight, c.dtype)


def _joined(pairs: list[Float[Array, "..."]], plan: _Plan, dtype: jnp.dtype) -> Array:
    if len(pairs) == 1 and pairs[0].ndim == 0:
        return pairs[0].astype(dtype)
    counts = [len(p.bonds) for p in plan.parts if len(p.bonds)]
    each = [jnp.broadcast_to(k, (n,)) for k, n in zip(pairs, counts, strict=True)]
    joined = jnp.concatenate([jnp.zeros(0, dtype), *(k.astype(dtype) for k in each)])
    return joined[plan.order]


def _field(h: Hamiltonian, plan: _Plan, given: dict[str, Array]) -> Float[Array, "n c"] | None:
    n = h.n_sites * h.space.n_components
    total = None
    for part in plan.parts:
        if len(part.variables) == 0:
            continue
        c = given[part.name]
        value = -(c if c.ndim == 0 else _taken(c, part.field_rows, np.ones(1, np.int64)))
        value = jnp.broadcast_to(value, part.variables.shape).astype(h.dtype)
        if not np.array_equal(part.variables, np.arange(n)):
            value = jnp.zeros(n, h.dtype).at[part.variables].add(value)
        total = value if total is None else total + value
    return None if total is None else total.reshape(h.n_sites, h.space.n_components)
