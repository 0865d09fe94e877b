r"""Cluster moves: Swendsen-Wang and Wolff for Ising, Potts, clock and O(n) models.

On H = -sum_b K_b x_i . x_j - sum_i B_i . x_i a mirror R (``_mirrors``: x -> -x, an exchange of
states, a reflection) makes an Ising model: every site stays or is reflected. A bond is *satisfied*
when reflecting one of its sites costs energy, Delta = K (x_i . x_j - x_i . R x_j) > 0, and is then
made active with probability

    p = 1 - exp(-Delta)          (Ising: 1 - exp(-2 |K|);  Potts: 1 - exp(-K) on equal neighbours).

Given the active bonds, their connected components are reflected independently of each other: with
probability 1/2 without a field, and in general with the heat-bath probability of the cluster's
energy in the field,

    P(reflected) = 1 / (1 + exp(sum_{i in cluster} B_i . (x_i - R x_i))).

Sources: P. W. Kasteleyn and C. M. Fortuin, J. Phys. Soc. Jpn. Suppl. 26, 11 (1969); R. H. Swendsen
and J.-S. Wang, Phys. Rev. Lett. 58, 86 (1987); R. G. Edwards and A. D. Sokal, Phys. Rev. D 38, 2009
(1988); U. Wolff, Phys. Rev. Lett. 62, 361 (1989); antiferromagnetic Potts models: J.-S. Wang, R. H.
Swendsen and R. Kotecky, Phys. Rev. Lett. 63, 109 (1989).

Convention: fields are those of a ghost spin to which every site is coupled, here with the bonds to
it summed over: a cluster is not frozen by one site that is attached to the ghost, but weighed by
the field on all of them.

Consequence: any couplings and any fields are valid, and satisfy detailed balance. What is gained
depends on them: in ferromagnets clusters are what fluctuates, and a critical lattice forgets in a
few sweeps; under frustration they percolate before anything happens, and a cluster move is a slow
way to reflect the whole system.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from physdl.bibliography import cites
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module
from physdl.sampling import _random as random
from physdl.sampling._couplings import Couplings, couplings
from physdl.sampling._kernel import Info
from physdl.sampling._labels import labels, sizes
from physdl.sampling._mirrors import (
    Mirror,
    colours,
    is_potts,
    is_spin,
    mirror,
    potts_mirror,
    require_mirrors,
)

__all__ = ["SwendsenWang", "Wolff"]


@cites("swendsen1987", "edwards1988")
@module
class SwendsenWang:
    """Every cluster takes a fresh state.

    On ``SPIN``, ``clock(q)`` and ``sphere(n)`` a cluster is reflected or not, in one random mirror
    for all. On ``potts(q)`` with no antiferromagnetic coupling a cluster takes any of the q states;
    otherwise the states are exchanged in pairs (for odd q one state, drawn anew each time, rests).

    What is reported: ``"n_clusters"``; ``"largest_cluster"``, its share of the sites; and on Ising
    and Potts models without a field ``"cluster_moment"``, the sum over clusters of (n_c / N)^2. In
    ferromagnets its mean is <m^2> exactly, with less noise than m^2 itself, where m = sum_i s_i / N
    for Ising and m^2 = (q sum_k rho_k^2 - 1) / (q - 1) for Potts spins, rho_k the share of state k.

    Raises:
      SpaceError: the space has no known mirrors.
      StructureError: the terms are not pair couplings x_i . x_j and fields.

    Source: R. H. Swendsen and J.-S. Wang, Phys. Rev. Lett. 58, 86 (1987).

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(8, 8), 0.44)
    >>> x, info = SwendsenWang()(h, jnp.ones((8, 8)), key=jax.random.key(0))
    >>> x.shape, sorted(info)
    ((8, 8), ['cluster_moment', 'largest_cluster', 'n_clusters'])
    """

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """One update of all clusters."""
        pairs, x = _read(h, state)
        update = _recoloured if is_potts(h.space) else _reflected
        x, label = update(h, pairs, x, key)
        share = sizes(label).astype(h.dtype) / max(h.n_sites, 1)
        info = {
            "n_clusters": jnp.sum(share > 0).astype(h.dtype),
            "largest_cluster": jnp.max(share, initial=0),
        }
        if pairs.field is None and (is_potts(h.space) or is_spin(h.space)):
            info["cluster_moment"] = jnp.sum(share**2)
        return x.reshape(h.state_shape), info


@cites("wolff1989")
@module
class Wolff:
    """One cluster, that of a random site, is reflected.

    The cluster is found by labelling all of them, which is the same as growing it. The mirror is
    drawn among those that move the site. In a field the reflection is accepted with probability
    min(1, exp(-sum_{i in cluster} B_i . (x_i - R x_i))), without one always.

    What is reported: ``"cluster_size"``, the cluster's share of the sites, and ``"acceptance"``,
    the probability of its reflection. In Ising and Potts ferromagnets without a field the mean of
    the first is <m^2> (as normalised in ``SwendsenWang``).

    Raises:
      SpaceError: the space has no known mirrors.
      StructureError: the terms are not pair couplings x_i . x_j and fields.

    Source: U. Wolff, Phys. Rev. Lett. 62, 361 (1989).

    >>> from physdl import lattices, models
    >>> h = models.xy(lattices.square(8, 8), 1.1)
    >>> x = jnp.zeros((8, 8, 2)).at[..., 0].set(1)
    >>> x, info = Wolff()(h, x, key=jax.random.key(0))
    >>> bool(jnp.allclose(jnp.sum(x**2, axis=-1), 1)), float(info["acceptance"])
    (True, 1.0)
    """

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """One cluster; about 1 / <cluster_size> calls make a sweep."""
        pairs, x = _read(h, state)
        key_seed, key_mirror, key_bonds, key_accept = jax.random.split(key, 4)
        seed = random.integers(key_seed, (), h.n_sites)
        seen = mirror(h.space, x, seed=seed, key=key_mirror)
        label = _clusters(h, pairs, seen, key_bonds)
        moved = label == label[seed]
        size = jnp.mean(moved.astype(h.dtype))
        accepted = jnp.ones((), h.dtype)
        if pairs.field is not None:
            cost = jnp.sum(jnp.where(moved, _cost(pairs.field, x, seen.image), 0))
            accepted = jnp.exp(jnp.minimum(-cost, 0))
            moved = moved & random.bernoulli(key_accept, accepted)
        x = jnp.where(moved[:, None], seen.image, x)
        return x.reshape(h.state_shape), {"cluster_size": size, "acceptance": accepted}


def _read(h: Hamiltonian, state: Float[Array, "*state"]) -> tuple[Couplings, Float[Array, "n c"]]:
    require_mirrors(h.space)
    return couplings(h), state.astype(h.dtype).reshape(h.n_sites, h.space.n_components)


def _clusters(
    h: Hamiltonian, pairs: Couplings, seen: Mirror, key: Key[Array, ""]
) -> Int[Array, " n"]:
    """Labels of the clusters of the active bonds."""
    i, j = pairs.bonds.array.T
    delta = pairs.coupling * (seen.along[i] * seen.along[j])
    satisfied = delta > 0
    if seen.group is not None:
        satisfied = satisfied & (seen.group[i] == seen.group[j])
    size = delta if seen.size is None else jnp.abs(pairs.coupling) * seen.size
    p = jnp.where(satisfied, 1 - jnp.exp(-size), 0)
    return labels(h.n_sites, pairs.bonds, random.bernoulli(key, p))


def _cost(
    field: Float[Array, "n c"], x: Float[Array, "n c"], image: Float[Array, "n c"]
) -> Float[Array, " n"]:
    """What the reflection of each site costs in its field."""
    return jnp.sum(field * (x - image), axis=1)


def _over_clusters(label: Int[Array, " n"], value: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """The sum over each cluster, at the site that names it."""
    return jnp.zeros_like(value).at[label].add(value, mode="promise_in_bounds")


def _reflected(
    h: Hamiltonian, pairs: Couplings, x: Float[Array, "n c"], key: Key[Array, ""]
) -> tuple[Float[Array, "n c"], Int[Array, " n"]]:
    """Every cluster reflected or not."""
    key_mirror, key_bonds, key_clusters = jax.random.split(key, 3)
    seen = mirror(h.space, x, key=key_mirror)
    label = _clusters(h, pairs, seen, key_bonds)
    if pairs.field is None:
        moved = random.integers(key_clusters, (h.n_sites,), 2) == 1
    else:
        cost = _over_clusters(label, _cost(pairs.field, x, seen.image))
        moved = random.bernoulli(key_clusters, jax.nn.sigmoid(-cost))
    return jnp.where(moved[label][:, None], seen.image, x), label


def _recoloured(
    h: Hamiltonian, pairs: Couplings, x: Float[Array, "n q"], key: Key[Array, ""]
) -> tuple[Float[Array, "n q"], Int[Array, " n"]]:
    """Every cluster of Potts spins in a fresh state.

    Where all couplings are ferromagnetic, neighbours in any state may be bound, and a cluster has
    one state, which is replaced. Otherwise it is exchanged or not: the site that names it takes its
    own state or the partner's.
    """
    key_mirror, key_bonds, key_clusters = jax.random.split(key, 3)
    q, k = x.shape[1], colours(x)
    partner = (random.integers(key_mirror, (), q).astype(jnp.int32) - k) % q
    exchange = potts_mirror(k, partner, q, h.dtype)
    ferromagnet = jnp.all(pairs.coupling >= 0)
    assert exchange.group is not None
    bound = Mirror(
        image=exchange.image,
        along=jnp.where(ferromagnet, jnp.ones_like(exchange.along), exchange.along),
        group=jnp.where(ferromagnet, k, exchange.group),
        size=exchange.size,
    )
    label = _clusters(h, pairs, bound, key_bonds)
    if pairs.field is None:
        drawn = random.integers(key_clusters, (h.n_sites,), 2 * q).astype(jnp.int32)
        fresh, moved = drawn // 2, drawn % 2 == 1
    else:
        log_p = _log_weights(label, pairs.field, x, exchange.image)
        log_p = jnp.where(ferromagnet, _over_clusters(label, pairs.field), log_p)
        fresh = random.categorical(key_clusters, log_p).astype(jnp.int32)
        moved = fresh != k
    after = jnp.where(ferromagnet, fresh[label], jnp.where(moved[label], partner, k))
    return jax.nn.one_hot(after, q, dtype=h.dtype), label


def _log_weights(
    label: Int[Array, " n"],
    field: Float[Array, "n q"],
    x: Float[Array, "n q"],
    image: Float[Array, "n q"],
) -> Float[Array, "n q"]:
    """Of the two states that the site which names a cluster may take: the field on all sites."""
    kept, exchanged = (
        _over_clusters(label, jnp.sum(field * state, axis=1, keepdims=True)) for state in (x, image)
    )
    return jnp.where(image > 0, exchanged, jnp.where(x > 0, kept, -jnp.inf))
