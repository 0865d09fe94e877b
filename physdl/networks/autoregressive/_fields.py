r"""The energy of a configuration, shared out to its sites in their order.

    H(x) = c + sum_i E_i(x_i; x_1, ..., x_{i-1}),

where E_i gathers the energy tables whose last site is i: all that is known of the energy of site i
when it is drawn after those before it.
"""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.sites import incidence
from physdl.pytree import IntArray, Table

__all__ = ["ending_tables", "energies_of_site", "energies_of_sites", "frontier_of"]


def ending_tables(h: Hamiltonian) -> list[Potential]:
    """The energy tables of h over at least one site, each over its sites in ascending order."""
    return [p for p in h.potentials() if p.sites.array.shape[1]]


def energies_of_sites(
    tables: Sequence[Potential], label: Int[Array, " n"], q: int
) -> Float[Array, "n q"]:
    """E_i of every state of every site, those before it as labelled."""
    total = jnp.zeros((label.shape[0], q))
    for potential in tables:
        sites = potential.sites.array
        read = _read(potential, jnp.arange(len(sites)), label[sites[:, :-1]])
        total = total.at[sites[:, -1], : read.shape[-1]].add(read)
    return total


def energies_of_site(
    tables: Sequence[Potential], label: Int[Array, " n"], site: Int[Array, ""], q: int
) -> Float[Array, " q"]:
    """E_i of every state of one site, whose number may be traced."""
    total = jnp.zeros(q)
    for potential in tables:
        ends = incidence(_last(potential.sites), label.shape[0], 1)
        mine = jnp.asarray(ends)[site]
        row = jnp.maximum(mine, 0)
        read = _read(potential, row, label[jnp.asarray(potential.sites.array)[row, :-1]])
        energies = jnp.sum(jnp.where((mine >= 0)[:, None], read, 0), axis=0)
        total = total.at[: energies.shape[0]].add(energies)
    return total


def frontier_of(h: Hamiltonian) -> list[IntArray]:
    """The sites before each one that interact with it or with later ones: all that it can know.

    Given them, the site and all later ones do not depend on the others before it.
    """
    last = np.full(h.n_sites, -1)
    for potential in ending_tables(h):
        sites = potential.sites.array
        for column in sites.T:
            np.maximum.at(last, column, sites[:, -1])
    return [np.flatnonzero(last[:i] >= i) for i in range(h.n_sites)]


@functools.lru_cache(maxsize=64)
def _last(sites: Table) -> Table:
    return Table(sites.array[:, -1:])


def _read(
    potential: Potential, row: Int[Array, " m"], before: Int[Array, "m k"]
) -> Float[Array, "m q"]:
    """Tables at the labels of all their sites but the last."""
    return potential.batched[(row, *(before[:, k] for k in range(before.shape[1])))]
