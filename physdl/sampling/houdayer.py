r"""Houdayer's cluster move: two replicas exchange a cluster in which they differ.

Two configurations s and t of one Hamiltonian differ on some sites (for Ising spins, where the
overlap q_i = s_i t_i is -1). Connect two such sites when a monomial of the Hamiltonian contains
both, and take the connected cluster C of one of them (the first after a random site). Then

    s_i <-> t_i  for all i in C

leaves H(s) + H(t) as it was, exactly: of the sites of a monomial in which the replicas
differ, C contains all or none. If all, the two replicas exchange its value, if none, it stays. So
the move needs no rejection, whatever the couplings, fields, degrees and constraints are; the graph
on which clusters grow joins *all pairs of sites of each monomial or table*, and for pair couplings
is the lattice itself. Where the replicas differ is not changed by the move, so it is drawn with
equal probability in both directions and is its own inverse: detailed balance holds for the product
measure exp(-H(s) - H(t)) / Z^2.

Convention: both replicas have the same Hamiltonian, hence the same temperature.

Consequence: alone it is not ergodic, so ``Houdayer`` follows a sweep of another kernel. It helps
while the sites that differ do not percolate, that is in two dimensions and on sparse graphs at low
temperature; beyond, the cluster is nearly all of them, and the move exchanges the replicas' names.

Sources: J. Houdayer, Eur. Phys. J. B 22, 479 (2001); Z. Zhu, A. J. Ochoa and H. G. Katzgraber,
Phys. Rev. Lett. 115, 077201 (2015).
"""

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian, Potential, Sites
from physdl.pytree import IntArray, Table, module, static
from physdl.sampling import _random as random
from physdl.sampling._kernel import EnsembleKernel, Info, Kernel
from physdl.sampling._labels import labels, order
from physdl.spaces import Finite, Product, Space

__all__ = ["Houdayer", "houdayer_move"]


def houdayer_move(
    h: Hamiltonian, pair: Float[Array, "2 ..."], *, key: Key[Array, ""]
) -> tuple[Float[Array, "2 ..."], Info]:
    """Exchange one cluster of sites in which two replicas differ.

    Args:
      h: the Hamiltonian of both, on a finite space.
      pair: two configurations.

    Returns:
      The pair, and ``"cluster_size"``, the share of the sites exchanged: 0 where the replicas agree
      everywhere, and nothing is done.

    Raises:
      SpaceError: the space is not finite (replicas differ everywhere).
      ShapeError: the pair has another shape.

    >>> from physdl import lattices, models
    >>> h = models.edwards_anderson(lattices.square(4, 4), 2.0)
    >>> pair = jnp.stack([jnp.ones((4, 4)), jnp.ones((4, 4)).at[2].set(-1)])
    >>> after, info = houdayer_move(h, pair, key=jax.random.key(0))
    >>> before, later = jnp.sum(jax.vmap(h)(pair)), jnp.sum(jax.vmap(h)(after))
    >>> bool(jnp.isclose(before, later)), float(info["cluster_size"])
    (True, 0.25)
    """
    _require_finite(h.space)
    if pair.shape != (2, *h.state_shape):
        raise ShapeError(
            f"the move takes two configurations, shape {(2, *h.state_shape)}, got {pair.shape}."
        )
    s, t = pair.reshape(2, h.n_sites, h.space.n_components)
    differ = jnp.any(s != t, axis=1)
    bonds = _together(
        jax.tree.structure(h.terms),
        tuple(leaf.shape for leaf in jax.tree.leaves(h.terms)),
        h.space,
        h.shape,
    )
    i, j = bonds.array.T
    label = labels(h.n_sites, bonds, differ[i] & differ[j])
    start = random.integers(key, (), h.n_sites).astype(jnp.int32)
    seed = (start + jax.lax.argmax(jnp.roll(differ, -start), 0, jnp.int32)) % h.n_sites
    cluster = differ & (label == label[seed]) & differ[seed]
    exchanged = jnp.where(cluster[None, :, None], jnp.stack([t, s]), jnp.stack([s, t]))
    size = jnp.mean(cluster.astype(h.dtype))
    return exchanged.reshape(pair.shape), {"cluster_size": size}


@cites("houdayer2001", "zhu2015")
@module
class Houdayer:
    """Sweeps of another kernel on each of several replicas, then cluster moves between pairs.

    Replicas 0 and 1, 2 and 3, ... are pairs. What the inner kernel reports is averaged over the
    replicas and named ``Kernel.name``; ``"cluster_size"`` is the mean share of exchanged sites.

    Attributes:
      kernel: the kernel of the sweeps; its state is one configuration.
      n_replicas: an even number of replicas.

    Raises:
      SettingError: the number of replicas is odd or not positive, or the kernel moves several
        configurations.

    >>> from physdl import lattices, models
    >>> from physdl.sampling.cluster import Wolff
    >>> h = models.edwards_anderson(lattices.square(4, 4), 1.0)
    >>> kernel = Houdayer(Wolff())
    >>> x = kernel.init(h, jnp.ones((2, 4, 4)), key=jax.random.key(0))
    >>> x, info = kernel(h, x, key=jax.random.key(1))
    >>> x.shape, sorted(info)
    ((2, 4, 4), ['Wolff.acceptance', 'Wolff.cluster_size', 'cluster_size'])
    """

    kernel: Kernel
    n_replicas: int = static(default=2)

    def __post_init__(self) -> None:
        if isinstance(self.kernel, EnsembleKernel):
            raise SettingError(
                f"the replicas are swept by a kernel that moves one configuration, got "
                f"{type(self.kernel).__name__}."
            )
        n = self.n_replicas
        if not isinstance(n, int) or n < 2 or n % 2:
            raise SettingError(f"n_replicas is a positive even number, got {n!r}.")

    def init(
        self, h: Hamiltonian, x: Float[Array, "n ..."], *, key: Key[Array, ""]
    ) -> Float[Array, "n ..."]:
        """The configurations themselves."""
        del key
        _require_finite(h.space)
        if x.shape != (self.n_replicas, *h.state_shape):
            raise ShapeError(
                f"{self.n_replicas} replicas have shape {(self.n_replicas, *h.state_shape)}, got "
                f"{x.shape}."
            )
        return x.astype(h.dtype)

    def configurations(self, h: Hamiltonian, state: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """All replicas."""
        return state

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "n ..."], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "n ..."], Info]:
        """One sweep of every replica and one cluster move of every pair."""
        sweeps, moves = jax.random.split(key)
        n = self.n_replicas
        state, said = jax.vmap(lambda x, k: self.kernel(h, x, key=k))(
            state, jax.random.split(sweeps, n)
        )
        pairs = state.reshape(n // 2, 2, *h.state_shape)
        pairs, info = jax.vmap(lambda p, k: houdayer_move(h, p, key=k))(
            pairs, jax.random.split(moves, n // 2)
        )
        report = {f"{type(self.kernel).__name__}.{name}": v for name, v in said.items()}
        means = {name: jnp.mean(v, axis=0) for name, v in {**report, **info}.items()}
        return pairs.reshape(state.shape), means


def _require_finite(space: Space) -> None:
    spaces = space.spaces if isinstance(space, Product) else (space,)
    if not all(isinstance(s, Finite) for s in spaces):
        raise SpaceError(
            f"Houdayer's move needs a finite space, got {space!r}: replicas of continuous "
            f"variables differ everywhere, so that it would exchange them whole."
        )


@functools.lru_cache(maxsize=64)
def _together(
    structure: Hashable, shapes: tuple[tuple[int, ...], ...], space: Space, shape: tuple[int, ...]
) -> Table:
    """The pairs of sites that a term contains together, each once."""
    terms: dict[str, Any] = jax.tree.unflatten(structure, [np.zeros(s) for s in shapes])
    found: list[IntArray] = [np.empty((0, 2), np.int64)]
    for term in terms.values():
        if isinstance(term, Potential):
            found.append(_pairs(term.sites.array))
            continue
        table = term.table if isinstance(term, Sites) else term.to_sites(shape, space).table
        monomials = table.array.reshape(-1, table.array.shape[-1])
        found.append(_pairs(monomials // space.n_components))
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    bonds = Table(pairs[pairs[:, 0] != pairs[:, 1]])
    return Table(bonds.array[order(int(np.prod(shape)), bonds)])


def _pairs(groups: IntArray) -> IntArray:
    a, b = np.triu_indices(groups.shape[1], 1)
    return np.stack([groups[:, a].reshape(-1), groups[:, b].reshape(-1)], axis=1)
