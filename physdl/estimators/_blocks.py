"""Energies of the states of blocks of sites, by table look-up.

All tables lie in one flat array. A state's entry in a table is the product of its labels with the
table's strides, so one integer matrix product addresses every table for every state, and what is
compiled does not grow with the number of sites. ``+inf`` becomes a large number, which sums and
matrix products carry without NaN; an energy above half of it is forbidden.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from physdl.hamiltonian import Hamiltonian
from physdl.pytree import IntArray

__all__ = ["FORBIDDEN", "Block", "Tables", "energies_between", "energies_within", "flattened"]

FORBIDDEN = 1e30


@dataclass(frozen=True)
class Tables:
    """Energy tables of equal shape inside one flat array of energies.

    Attributes:
      sites: the groups of sites, ascending, [n, k].
      lengths: the numbers of states of the k sites.
      start: where each table begins, [n].
    """

    sites: IntArray
    lengths: tuple[int, ...]
    start: Int[Array, " n"] | IntArray

    def where(self, mask: NDArray[np.bool_]) -> "Tables":
        """The tables of some groups of sites."""
        rows = np.flatnonzero(mask)
        return Tables(self.sites[rows], self.lengths, self.start[rows])

    @property
    def strides(self) -> IntArray:
        """How far apart the states of each site are."""
        return np.array([math.prod(self.lengths[k + 1 :]) for k in range(len(self.lengths))], int)

    def split(self, block: "Block") -> "list[tuple[int, Tables]]":
        """The tables with k sites in the block, for each k there is."""
        n_inside = block.holds(self.sites).sum(axis=1)
        return [(k, self.where(n_inside == k)) for k in np.unique(n_inside).tolist()]

    def after(self, block: "Block", k: int) -> "Tables":
        """The tables on all but the first k sites, with these in the only state of the block."""
        start = self.start + block.index(self.sites[:, :k], self.strides[:k])[0]
        return Tables(self.sites[:, k:], self.lengths[k:], start)


def flattened(h: Hamiltonian) -> tuple[Float[Array, " e"], list[Tables]]:
    """The energies of all tables, infinities as large numbers, and where they are."""
    flat, tables, start = [jnp.zeros(0, h.dtype)], list[Tables](), 0
    for p in h.potentials():
        n, lengths = p.table.shape[0], p.table.shape[1:]
        if p.table.size == 0:
            continue
        size = math.prod(lengths)
        begin = start + size * np.arange(n, dtype=np.int32)
        tables.append(Tables(p.sites.array, lengths, begin))
        flat.append(p.table.reshape(-1).astype(h.dtype))
        start += n * size
    energies = jnp.concatenate(flat)
    return jnp.where(jnp.isposinf(energies), FORBIDDEN, energies), tables


@dataclass(frozen=True)
class Block:
    """States of the neighbouring sites first, ..., first + m - 1, as labels [s, m]."""

    first: int
    labels: Int[Array, "s m"]

    @classmethod
    def of(cls, states: Int[Array, " s"], sizes: IntArray, sites: IntArray) -> "Block":
        """The states with these numbers, in C order."""
        own = sizes[sites].tolist()
        strides = np.array([math.prod(own[k + 1 :]) for k in range(len(own))], np.int32)
        labels = states[:, None] // strides[None] % np.array(own, np.int32)[None]
        return cls(int(sites[0]) if len(sites) else 0, labels)

    def __len__(self) -> int:
        return len(self.labels)

    def holds(self, sites: IntArray) -> NDArray[np.bool_]:
        """Which sites are in the block."""
        return (self.first <= sites) & (sites < self.first + self.labels.shape[1])

    def index(self, scopes: IntArray, strides: IntArray) -> Int[Array, "s n"]:
        """Sum of label times stride over the sites of each group [n, k]."""
        weight = np.zeros((self.labels.shape[1], len(scopes)), np.int32)
        columns = np.arange(len(scopes))
        for axis, stride in enumerate(strides.tolist()):
            weight[scopes[:, axis] - self.first, columns] += stride
        return self.labels @ weight


def _at(energies: Float[Array, " e"], index: Int[Array, "..."]) -> Float[Array, "..."]:
    return energies.at[index].get(mode="promise_in_bounds")


def energies_within(
    energies: Float[Array, " e"], tables: list[Tables], block: Block
) -> Float[Array, " s"]:
    """Sum of tables whose sites are all in the block."""
    if not tables:
        return jnp.zeros(len(block), energies.dtype)
    index = [block.index(t.sites, t.strides) + t.start[None] for t in tables]
    return jnp.sum(_at(energies, jnp.concatenate(index, axis=1)), axis=1)


def energies_between(
    energies: Float[Array, " e"], tables: list[Tables], left: Block, right: Block
) -> Float[Array, "l r"]:
    """Energies between two blocks, for every pair of their states: one matrix product.

    Tables with the same sites on the right are first added, for every state of the left.
    """
    total = jnp.zeros((len(left), len(right)), energies.dtype)
    for k, own in (found for t in tables for found in t.split(left)):
        n_right = math.prod(own.lengths[k:])
        begin = left.index(own.sites[:, :k], own.strides[:k]) + own.start[None]
        picked = _at(energies, begin[:, :, None] + np.arange(n_right, dtype=np.int32)[None, None])
        distinct, which = np.unique(own.sites[:, k:], axis=0, return_inverse=True)
        member = np.eye(len(distinct), dtype=energies.dtype)[which.reshape(-1)]
        features = jnp.einsum("snq,nd->sdq", picked, member, precision="highest")
        index = right.index(distinct, own.strides[k:])
        indicator = jax.nn.one_hot(index, n_right, dtype=energies.dtype)
        total = total + jnp.matmul(
            features.reshape(len(left), -1),
            indicator.reshape(len(right), -1).T,
            precision="highest",
        )
    return total
