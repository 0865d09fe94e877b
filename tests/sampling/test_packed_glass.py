"""Packed spins of any weights: updates exactly, bit for bit; distributions by chi-square."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Stencil
from physdl.sampling import _packed_bits as bits
from physdl.sampling import packed_glass
from physdl.sampling._structure import plan_of
from physdl.sampling.packed_glass import PackedGlass
from physdl.spaces import BINARY, SPIN

pytestmark = pytest.mark.slow


def glass(lattice, size=0.6, field=0.0, seed=0):
    """Gaussian couplings, and Gaussian fields where ``field`` is not 0."""
    rng = np.random.default_rng(seed)
    fields = jnp.asarray(field * rng.normal(size=lattice.n_sites)) if field else 0.0
    return models.edwards_anderson(lattice, size, fields, seed=seed, disorder="gaussian")


def on(n, **terms):
    return Hamiltonian(terms, space=SPIN, shape=(n,))


SMALL = {
    "random graph": glass(lattices.random_regular(8, 3, seed=1)),
    "random graph, random field": glass(lattices.random_regular(8, 3, seed=1), 0.6, 0.4),
    "strong": glass(lattices.random_regular(8, 3, seed=1), 3.0, 0.5),
    "open square": glass(lattices.square(2, 4, periodic=False), 0.5, 0.3),
    "box": glass(lattices.square(2, 4), 0.5),
    "star of 6": glass(lattices.bethe(6, 1), 0.4),
    "uniform": models.ising(lattices.chain(7), 0.4, 0.2),
    "three spins": on(
        6,
        a=Sites([0.5, -0.7, 0.2], [[0, 1, 2], [3, 1, 4], [2, 1, 0]]),
        b=Sites([0.3, -0.4], [[0, 1], [4, 5]]),
        f=Sites([0.25], [[2]]),
    ),
    "powers": on(5, a=Sites([0.5, -0.7, 0.9], [[0, 1, 1, 2], [3, 3, 3, 4], [1, 1, 2, 2]])),
    "plaquettes": on(7, p=Stencil(0.4, [[[0], [1], [2], [3]]])),
    "many on one weight": on(6, p=Sites([0.4, -0.2], [[[0, 1], [2, 3]], [[0, 1], [4, 2]]])),
    "no terms": on(3),
    "a field alone": on(3, f=Sites([0.4, -0.8], [[0], [2]])),
}


def swept_by_hand(h, x, u, n_bits, found):
    """One sweep of replicas [r, n_sites] that draw the numbers u [r], by energies.

    Which of two equally likely values is the less likely one is taken from what was ``found``.
    """
    energy = jax.jit(jax.vmap(lambda s: h(s.reshape(h.shape))))
    plan = plan_of(h)
    x = np.array(x)
    for k in range(plan.n_classes):
        after = x.copy()
        for site in plan.order[plan.bounds[k] : plan.bounds[k + 1]]:
            both = [np.array(x), np.array(x)]
            for s, value in zip(both, (-1.0, 1.0), strict=True):
                s[:, site] = value
            cost = np.round(np.asarray(energy(both[1])) - np.asarray(energy(both[0])), 12)
            t = np.round(2**n_bits / (1 + np.exp(np.abs(cost)))).astype(int)
            likely = np.where(cost < 0, 1.0, -1.0)
            drawn = np.where(u < t, -likely, likely)
            after[:, site] = np.where(cost == 0, found[:, site], drawn)
            if k == 0:  # all numbers are drawn from one state: either value by half of them
                tie = (cost == 0).reshape(-1, 2**n_bits)
                assert np.all(np.sum(tie * found[:, site].reshape(tie.shape), axis=1) == 0)
        x = after
    return x


@pytest.mark.parametrize("name", SMALL)
def test_every_state_and_every_random_number(monkeypatch, name):
    h, n_bits = SMALL[name], 4
    states = brute_force.all_states(h.space.points, h.n_sites).reshape(-1, h.n_sites)
    x = np.repeat(states, 2**n_bits, axis=0)
    drawn = np.tile(np.arange(2**n_bits), len(states))
    kernel = PackedGlass(n_words=len(x) // 32, n_bits=n_bits)

    def scripted(seed, shape, n):
        lanes = drawn.reshape(-1, 32)
        for j in range(n):
            word = np.sum((lanes >> j & 1) << np.arange(32), axis=1).astype(np.uint32)
            yield jnp.asarray(np.broadcast_to(word[:, None], shape))

    monkeypatch.setattr(bits, "words", scripted)
    start = kernel.init(h, x.reshape(-1, *h.shape))
    assert np.array_equal(kernel.configurations(h, start).reshape(x.shape), x)
    after = lambda state: kernel(h, state, key=jax.random.key(0))[0]
    found = np.asarray(kernel.configurations(h, jax.jit(after)(start))).reshape(x.shape)
    expected = swept_by_hand(h, x, (2**n_bits - 1) ^ drawn, n_bits, found)
    assert np.array_equal(found, expected)
    assert np.any(found != x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_thresholds_are_the_nearest_to_the_probabilities(dtype):
    j = np.array([0.3, -1.1, 4.0])
    h = on(4, a=Sites(j, [[0, 1], [0, 2], [3, 0]]), f=Sites([0.2], [[0]]))
    h = jax.tree.map(lambda c: jnp.asarray(c, dtype), h)
    (near,) = (n for n in packed_glass._structure_of(h).classes if len(n.neighbours) == 3)
    found = np.asarray(packed_glass._thresholds(h, near, 24))
    column = np.flatnonzero(found[0] != found[-1])[0]
    pattern = 2 * (np.arange(8)[:, None] >> np.arange(3) & 1) - 1
    field = pattern @ j + 0.2
    expected = 2**24 / (1 + np.exp(2 * np.abs(field)))
    t = found[:, column]
    tolerance = 0.5 + 1e-6 if dtype == jnp.float64 else 0.5 + 3e-6 * expected.max()
    assert np.max(np.abs((t & (2**31 - 1)).astype(float) - expected)) <= tolerance
    assert np.array_equal(t >> 31 == 1, field < 0)


# --- distributions --------------------------------------------------------------------------------


def p_value(counts, p, groups):
    """Of the chi-square test of counts of states, summed over groups of at least 20 expected."""
    _, group = np.unique(groups, axis=0, return_inverse=True)
    found = np.bincount(group.reshape(-1), counts)
    expected = np.bincount(group.reshape(-1), p) * counts.sum()
    rare = expected < 20
    found = np.append(found[~rare], found[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 0
    return stats.chisquare(found[keep], expected[keep]).pvalue


LARGER = {
    "random graph in random fields": glass(lattices.random_regular(10, 3, seed=3), 0.7, 0.4),
    "random graph": glass(lattices.random_regular(10, 3, seed=3), 0.7),
    "diluted box": glass(lattices.diluted(lattices.square(4, 4), 0.7, seed=2), 0.5, 0.2),
}


@pytest.mark.parametrize("name", LARGER)
def test_the_exact_distribution(name):
    h, n = LARGER[name], LARGER[name].n_sites
    kernel = PackedGlass(n_words=256, n_sweeps=60)

    @jax.jit
    def run(state, key):
        def step(state, key):
            state, _ = kernel(h, state, key=key)
            return state, kernel.configurations(h, state).reshape(kernel.n_replicas, -1) > 0

        return jax.lax.scan(step, state, jax.random.split(key, 9))[1][1:]

    x = jnp.ones((kernel.n_replicas, *h.shape))
    up = np.asarray(run(kernel.init(h, x), jax.random.key(7))).reshape(-1, n)
    counts = np.bincount(up @ (1 << np.arange(n)), minlength=2**n).astype(float)
    states = 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1
    energy = np.asarray(jax.jit(jax.vmap(lambda s: h(s.reshape(h.shape))))(states))
    p = np.exp(energy.min() - energy)
    p /= p.sum()
    assert p_value(counts, p, np.arange(2**n)) > 1e-4
    assert p_value(counts, p, np.round(4 * (energy - energy.min()))) > 1e-4
    assert p_value(counts, p, states[:, :6]) > 1e-4


# --- contract -------------------------------------------------------------------------------------


def test_same_key_same_answer_and_sweeps_differ():
    h = SMALL["random graph, random field"]
    kernel = PackedGlass(n_bits=3, n_words=2)
    state = kernel.init(h, jnp.ones((64, 8)))
    call = jax.jit(kernel)
    once, _ = call(h, state, key=jax.random.key(0))
    again, _ = kernel(h, state, key=jax.random.key(0))  # without jit
    other, _ = call(h, state, key=jax.random.key(1))
    assert all(jnp.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(jnp.array_equal(a, b) for a, b in zip(once, other, strict=True))


def test_vmap_over_states_and_float32():
    h = jax.tree.map(lambda c: c.astype(jnp.float32), SMALL["random graph"])
    kernel = PackedGlass(n_sweeps=2, n_bits=8)
    keys = jax.random.split(jax.random.key(0), 3)
    state = kernel.init(h, jnp.ones((32, 8), jnp.float32))
    many = jax.tree.map(lambda s: jnp.stack([s] * 3), state)
    after, info = jax.jit(jax.vmap(lambda s, k: kernel(h, s, key=k)))(many, keys)
    call = jax.jit(kernel)
    for i, key in enumerate(keys):
        single, _ = call(h, state, key=key)
        assert all(jnp.array_equal(a[i], b) for a, b in zip(after, single, strict=True))
    assert kernel.configurations(h, state).dtype == jnp.float32
    assert info["frozen"].shape == (3,) and info["frozen"].dtype == jnp.float32


def test_vmap_over_temperatures():
    lattice, kernel = lattices.random_regular(8, 3, seed=1), PackedGlass(n_bits=4)
    beta = jnp.array([0.1, 0.4, 0.7])
    state = kernel.init(glass(lattice), jnp.ones((32, 8)))
    call = lambda b: kernel(b * glass(lattice), state, key=jax.random.key(0))[0]
    many, one = jax.jit(jax.vmap(call))(beta), jax.jit(call)
    for i in range(3):
        assert all(jnp.array_equal(a[i], b) for a, b in zip(many, one(beta[i]), strict=True))


def test_thresholds_of_zero_are_counted():
    pair = lambda k: on(2, a=Sites([k], [[0, 1]]))
    kernel = PackedGlass(n_bits=8)
    state = kernel.init(pair(0.1), jnp.ones((32, 2)))
    frozen = jax.jit(lambda k: kernel(pair(k), state, key=jax.random.key(0))[1]["frozen"])
    assert frozen(0.1) == 0
    assert frozen(8.0) == frozen(jnp.inf) == frozen(jnp.nan) == 1


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"n_words": 0}, "n_words is an integer from 1"),
        ({"n_bits": 32}, "n_bits is an integer from 1 to 31, got 32"),
        ({"n_bits": 2.5}, "n_bits"),
        ({"n_sweeps": True}, "n_sweeps"),
    ],
)
def test_bad_settings(setting, match):
    with pytest.raises(SettingError, match=match):
        PackedGlass(**setting)


@pytest.mark.parametrize(
    ("h", "error", "match"),
    [
        (models.potts(lattices.chain(4), 3, 0.2), SpaceError, "need the space SPIN"),
        (
            Hamiltonian({"a": Sites(1.0, [[0, 1]])}, space=BINARY, shape=(2,)),
            SpaceError,
            "HeatBath",
        ),
        (on(4, d=Dense(jnp.zeros((4, 4)))), StructureError, "got 'd' of type Dense"),
        (glass(lattices.bethe(7, 1)), StructureError, "at most 6 neighbours, got 7: use HeatBath"),
    ],
)
def test_bad_hamiltonians(h, error, match):
    with pytest.raises(error, match=match):
        PackedGlass().check(h)


def test_bad_configurations():
    with pytest.raises(ShapeError, match="2 words hold 64 configurations"):
        PackedGlass(n_words=2).init(SMALL["random graph"], jnp.ones((32, 8)))
