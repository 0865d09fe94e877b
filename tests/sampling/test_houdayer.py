"""The isoenergetic cluster move on pairs of replicas, exactly."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transition import boltzmann, states_of, transition_matrix

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites
from physdl.sampling._kernel import EnsembleKernel, configurations, n_replicas, start
from physdl.sampling.cluster import SwendsenWang, Wolff
from physdl.sampling.houdayer import Houdayer, houdayer_move
from physdl.spaces import BINARY, SPIN

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(1)

MODELS = {
    "glass in fields": models.ising(lattices.chain(4), RNG.normal(size=4), RNG.normal(size=4)),
    "open chain": models.ising(lattices.chain(4, periodic=False), RNG.normal(size=3)),
    "three spins": Hamiltonian(
        {"three": Sites([1.0, -0.7], [[0, 1, 2], [1, 2, 3]]), "field": Sites(0.3, [[0], [3]])},
        space=SPIN,
        shape=(4,),
    ),
    "dense": models.sherrington_kirkpatrick(4, 1.5, 0.2),
    "table": Hamiltonian(
        {"table": Potential(RNG.normal(size=(2, 2, 2)), [[0, 2, 3]]), "pair": Sites(1.0, [[0, 1]])},
        space=BINARY,
        shape=(4,),
    ),
    "machine": Hamiltonian({"w": Dense(RNG.normal(size=(2, 2)), (0, 2))}, space=SPIN, shape=(4,)),
    "potts": models.potts(lattices.chain(3, periodic=False), 3, [0.8, -1.1], 0.4),
}


def pairs_of(h):
    """All pairs of configurations and their probabilities."""
    states = states_of(h)
    p = boltzmann(h, states)
    pairs = np.stack([np.stack(pair) for pair in itertools.product(states, states)])
    return pairs, np.outer(p, p).reshape(-1)


def move(h, pair, *, key):
    return houdayer_move(h, pair, key=key)


@pytest.mark.parametrize("name", MODELS)
def test_detailed_balance_and_energy(name):
    h = MODELS[name]
    pairs, p = pairs_of(h)
    matrix = transition_matrix(move, h, pairs)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    flow = p[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)
    energy = np.asarray(jax.vmap(jax.vmap(h))(jnp.asarray(pairs))).sum(axis=1)
    moved = np.argwhere(matrix > 0)
    np.testing.assert_allclose(energy[moved[:, 0]], energy[moved[:, 1]], atol=1e-12)
    if name == "open chain":
        assert np.any(np.diag(matrix) < 1)


def test_a_graph_that_misses_a_pair_would_be_seen():
    """Three spins in a product, joined as a path: energy is not conserved."""
    h = MODELS["three spins"]
    s, t = jnp.array([1.0, 1, 1, 1]), jnp.array([-1.0, 1, -1, 1])
    swapped = jnp.stack([s.at[0].set(t[0]), t.at[0].set(s[0])])
    assert abs(float(h(swapped[0]) + h(swapped[1]) - h(s) - h(t))) > 1


def test_exactly_one_cluster_is_exchanged():
    h = models.ising(lattices.square(4, 4, periodic=False), 1.0)
    s = jnp.ones((4, 4))
    t = s.at[0].set(-1).at[2:, 1:3].set(-1)
    found, step = set(), jax.jit(lambda pair, key: houdayer_move(h, pair, key=key))
    for key in jax.random.split(jax.random.key(0), 20):
        after, info = step(jnp.stack([s, t]), key)
        changed = np.asarray(after[0] != s)
        np.testing.assert_array_equal(changed, np.asarray(after[1] != t))
        np.testing.assert_allclose(info["cluster_size"], changed.mean())
        found.add(tuple(np.flatnonzero(changed)))
    assert found == {(0, 1, 2, 3), (9, 10, 13, 14)}


def test_equal_replicas_stay():
    h = models.edwards_anderson(lattices.square(4, 4), 1.0)
    pair = jnp.ones((2, 4, 4))
    after, info = jax.jit(lambda pair, key: houdayer_move(h, pair, key=key))(
        pair, jax.random.key(0)
    )
    np.testing.assert_array_equal(after, pair)
    assert info["cluster_size"] == 0


def test_sweeps_and_move_leave_the_product_measure():
    h = models.ising(lattices.chain(3, periodic=False), [0.9, -1.2], [0.3, -0.2, 0.5])
    pairs, p = pairs_of(h)
    sweep = transition_matrix(Wolff(), h, states_of(h))
    both = np.kron(sweep, sweep) @ transition_matrix(move, h, pairs)
    np.testing.assert_allclose(p @ both, p, atol=1e-12)
    assert np.linalg.matrix_power(both, 64).min() > 0


def test_the_kernel_is_sweeps_and_move():
    h, inner = models.edwards_anderson(lattices.square(4, 4), 1.0), SwendsenWang()
    kernel = Houdayer(inner, n_replicas=4)
    assert isinstance(kernel, EnsembleKernel) and n_replicas(kernel) == 4
    x = jnp.sign(jax.random.normal(jax.random.key(0), (4, 4, 4)))
    state = start(kernel, h, x, key=jax.random.key(1))
    step = jax.jit(lambda k, h, s, key: k(h, s, key=key))
    after, info = step(kernel, h, state, jax.random.key(2))
    assert configurations(kernel, h, after).shape == (4, 4, 4)

    sweeps, moves = jax.random.split(jax.random.key(2))
    one = [step(inner, h, s, k) for s, k in zip(state, jax.random.split(sweeps, 4), strict=True)]
    swept, pair = [s for s, _ in one], jax.jit(lambda p, k: houdayer_move(h, p, key=k))
    for i, k in enumerate(jax.random.split(moves, 2)):
        expected, _ = pair(jnp.stack(swept[2 * i : 2 * i + 2]), k)
        np.testing.assert_array_equal(after[2 * i : 2 * i + 2], expected)
    assert all(jnp.ndim(v) == 0 for v in info.values())
    clusters = np.mean([said["n_clusters"] for _, said in one])
    np.testing.assert_allclose(info["SwendsenWang.n_clusters"], clusters)

    keys = jax.random.split(jax.random.key(3), 2)
    batch = jax.jit(jax.vmap(lambda s, key: kernel(h, s, key=key)[0]))(jnp.stack([state] * 2), keys)
    np.testing.assert_array_equal(batch[1], step(kernel, h, state, keys[1])[0])


def test_bad_input():
    h = models.edwards_anderson(lattices.square(4, 4), 1.0)
    with pytest.raises(ShapeError, match="two configurations"):
        houdayer_move(h, jnp.ones((3, 4, 4)), key=jax.random.key(0))
    with pytest.raises(SpaceError, match="finite space"):
        xy = models.xy(lattices.chain(4), 1.0)
        houdayer_move(xy, jnp.ones((2, 4, 2)), key=jax.random.key(0))
    with pytest.raises(SettingError, match="even number, got 3"):
        Houdayer(SwendsenWang(), n_replicas=3)
    with pytest.raises(SettingError, match="got Houdayer"):
        Houdayer(Houdayer(SwendsenWang()))
    with pytest.raises(ShapeError, match="2 replicas"):
        Houdayer(SwendsenWang()).init(h, jnp.ones((4, 4, 4)), key=jax.random.key(0))
