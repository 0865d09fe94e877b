r"""Which two-state models are ferromagnets after some sites are turned over.

A pair table E over states 0 and 1 attracts where E(0,0) + E(1,1) <= E(0,1) + E(1,0) and repels in
the other case. Turn over the sites of a set: a table between a turned site and another changes its
kind. If a set exists that leaves nothing that repels, the model is *attractive* in the turned
states: raising any site never lowers the probability that another is up. The sets are found on a
graph with two nodes for each site, its state and the opposite: attraction joins equal nodes and
repulsion opposite ones, and a site joined to its own opposite is frustrated.
"""

import itertools
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from physdl.errors import SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import IntArray, is_traced

__all__ = ["highest_labels"]

ROUNDING = 1e-10


def highest_labels(h: Hamiltonian) -> IntArray:
    """The label, 0 or 1, of every site in the highest configuration of an attractive order.

    Raises:
      SpaceError: a site has not two states.
      StructureError: the coefficients are traced, the interactions are frustrated, or more than two
        sites share a hard constraint.

    >>> from physdl import lattices, models
    >>> highest_labels(models.ising(lattices.chain(4), -1.0)).tolist()  # an antiferromagnet
    [1, 0, 1, 0]
    """
    sizes = state_counts(require_finite(h.space, "coupling from the past"), h.n_sites)
    if np.any(sizes != 2):
        site = int(np.flatnonzero(sizes != 2)[0])
        raise SpaceError(
            f"coupling from the past needs two states a site, site {site} has {sizes[site]}: use "
            f"exact_sample or a Markov chain."
        )
    if is_traced(h):
        raise StructureError(
            "coupling from the past must know the signs of the interactions, but the coefficients "
            "are traced: call it outside of jit and vmap, or let only the key be traced."
        )
    pairs, repels = _interactions(h)
    n = h.n_sites
    i, j = pairs.T
    ends = np.concatenate([i, i + n]), np.concatenate([j + n * repels, j + n * ~repels])
    graph = coo_array((np.ones(2 * len(i)), ends), shape=(2 * n, 2 * n))
    _, component = connected_components(graph, directed=False)
    own, opposite = component[:n], component[n:]
    frustrated = np.flatnonzero(own == opposite)
    if len(frustrated):
        raise StructureError(
            f"coupling from the past needs interactions that are not frustrated, but those around "
            f"site {frustrated[0]} are ({len(frustrated)} of {n} sites): use exact_sample or a "
            f"Markov chain."
        )
    labels: IntArray = (own < opposite).astype(np.int32)
    return labels


def _interactions(h: Hamiltonian) -> tuple[IntArray, NDArray[np.bool_]]:
    """Pairs of sites that interact [n, 2], and whether they repel."""
    found = [np.empty((0, 2), dtype=int)]
    signs = [np.empty(0, dtype=bool)]
    with jax.ensure_compile_time_eval():
        potentials = h.potentials()
    for potential in potentials:
        sites, tables = potential.sites.array, np.asarray(potential.table)
        k = sites.shape[1]
        if k > 2 and np.isinf(tables).any():
            raise StructureError(
                f"coupling from the past takes hard constraints on pairs, but sites "
                f"{sites[0].tolist()} share one: use exact_sample or a Markov chain."
            )
        for a, b in itertools.combinations(range(k), 2):
            pair = sites[:, [a, b]]
            attracts, repels = _signs(np.moveaxis(tables, (a + 1, b + 1), (1, 2)), pair)
            found.append(pair[attracts | repels])
            signs.append(repels[attracts | repels])
    return np.concatenate(found), np.concatenate(signs)


def _signs(tables: NDArray[Any], pairs: IntArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each table [n, 2, 2, ...] attracts somewhere, and whether it repels somewhere."""
    flat = tables.reshape(len(tables), 2, 2, -1)
    equal, different = flat[:, 0, 0] + flat[:, 1, 1], flat[:, 0, 1] + flat[:, 1, 0]
    finite = np.where(np.isfinite(flat), np.abs(flat), 0)
    slack = ROUNDING * finite.max(axis=(1, 2, 3))[:, None]
    attracts = np.any(equal < different - slack, axis=1)
    repels = np.any(equal > different + slack, axis=1)
    mixed = np.flatnonzero(attracts & repels)
    if len(mixed):
        raise StructureError(
            f"coupling from the past needs a definite sign, but whether sites "
            f"{pairs[mixed[0]].tolist()} attract depends on others: use exact_sample or a Markov "
            f"chain."
        )
    return attracts, repels
