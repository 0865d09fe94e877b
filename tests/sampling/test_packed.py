"""Packed spins: random words, decisions and updates exactly; distributions by chi-square."""

import functools
import itertools

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Stencil
from physdl.reference import kaufman_energy
from physdl.sampling import _packed_bits as bits
from physdl.sampling._packed_layout import Box, Graph
from physdl.sampling._packed_model import model_of
from physdl.sampling.packed import PackedIsing
from physdl.spaces import BINARY, SPIN

pytestmark = pytest.mark.slow

RULES = ["metropolis", "heat_bath"]


# --- random words ---------------------------------------------------------------------------------


def words_by_hand(seed, n_positions, n):
    """The stream in arithmetic of 64-bit integers."""
    mask = np.uint64(0xFFFFFFFF)
    u = np.uint64

    def mixed(x):
        x = ((x ^ (x >> u(16))) * u(0x7FEB352D)) & mask
        x = ((x ^ (x >> u(15))) * u(0x846CA68B)) & mask
        return x ^ (x >> u(16))

    def rotated(x, r):
        return ((x << u(r)) | (x >> u(32 - r))) & mask

    position = (np.arange(n_positions, dtype=np.uint64) * u(0x9E3779B9)) & mask
    w = [mixed(position ^ u(s)) for s in seed]
    while len(w) < n:
        w.append(rotated(w[-4], 3) ^ rotated(w[-3], 23) ^ rotated(w[-2], 6))
    return np.array(w[:n])


def test_random_words_are_those_documented():
    seed = np.array([1, 2, 0xDEADBEEF, 0xFFFFFFFF], dtype=np.uint32)
    found = np.array(list(bits.words(jnp.asarray(seed), (5, 2), 24)))
    assert np.array_equal(found.reshape(24, 10), words_by_hand(seed, 10, 24))
    assert found[[0, 1, 4, 23], 0, 0].tolist() == KNOWN_WORDS


KNOWN_WORDS = [1753845952, 3507691905, 244690794, 238762867]


def rank(rows):
    """Rank over GF(2) of rows given as integers."""
    pivots = {}
    for row in rows:
        while row and row.bit_length() in pivots:
            row ^= pivots[row.bit_length()]
        if row:
            pivots[row.bit_length()] = row
    return len(pivots)


def test_any_three_replicas_draw_independent_numbers():
    # every bit of every word as a linear function of the 128 bits of the four first words;
    # rotating all words maps the recurrence to itself, so replica 0 may be one of the three
    words = [[1 << (32 * j + b) for b in range(32)] for j in range(4)]
    rotated = lambda w, r: w[-r:] + w[:-r]
    while len(words) < 32:
        parts = [rotated(words[k], r) for k, r in zip((-4, -3, -2), bits.ROTATIONS, strict=True)]
        words.append([a ^ b ^ c for a, b, c in zip(*parts, strict=True)])
    for others in itertools.combinations(range(1, 32), 2):
        assert rank([w[b] for b in (0, *others) for w in words]) == 96


# --- decisions and counts -------------------------------------------------------------------------


@pytest.mark.parametrize("n_bits", [1, 5, 8])
def test_a_chain_accepts_exactly_below_its_threshold(n_bits):
    size = 2**n_bits
    threshold = np.arange(size + 1)
    steps, last = bits.chains(jnp.asarray(threshold / size), n_bits)
    w = np.arange(size)[:, None] >> np.arange(n_bits) & 1  # all strings of bits, last digit first
    as_words = [jnp.asarray(np.where(column, 0xFFFFFFFF, 0).astype(np.uint32)) for column in w.T]
    decided, _ = bits.decisions(steps, last, iter(as_words), as_words[0])
    for t, word in zip(threshold, decided, strict=True):
        digits = t >> np.arange(n_bits) & 1 if t < size else np.ones(n_bits, int)
        u = np.sum((1 ^ w ^ digits) << np.arange(n_bits), axis=1)
        assert len(np.unique(u)) == size
        assert np.array_equal(np.asarray(word), np.where(u < t, 0xFFFFFFFF, 0)), t


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_thresholds_are_nearest(dtype):
    p = jnp.asarray([0.0, 2.0**-26, 2.0**-25 * 1.01, 0.1, 0.5, 1 - 2.0**-24, 1.0], dtype)
    found = np.asarray(bits.thresholds(p, 24), np.float64)
    assert np.array_equal(found, np.round(np.asarray(p, np.float64) * 2**24))
    steps, last = bits.chains(p, 24)
    mask = np.zeros(len(p), np.uint32)
    number = np.zeros(len(p))
    for j, step in enumerate(np.asarray(steps).T):  # t_j = x_j ^ t_{j-1}
        mask = mask ^ step
        number += np.where(mask & 1, 2.0**j, 0)
    assert np.array_equal(number[:-1], found[:-1])
    assert np.asarray(last)[-1] == 0xFFFFFFFF


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 8, 11])
def test_bit_sliced_counts(n):
    rng = np.random.default_rng(n)
    x = rng.integers(0, 2, (n, 70, 3, 32))
    packed = [jnp.asarray(np.sum(a << np.arange(32), axis=-1).astype(np.uint32)) for a in x]
    digits = bits.added(packed)
    for number in range(n + 2):
        same = np.asarray(bits.equals(digits, number))[..., None] >> np.arange(32) & 1
        assert np.array_equal(same, x.sum(axis=0) == number)
    total = np.asarray(bits.column_sums(digits, 3))
    assert np.array_equal(total, x.sum(axis=(0, 1)).reshape(-1))


# --- updates, exactly -----------------------------------------------------------------------------


def glass(lattice, size=0.31, field=0.0, seed=0):
    return models.edwards_anderson(lattice, size, field, seed=seed, disorder="bimodal")


def random_field(lattice, size):
    sign = np.random.default_rng(5).choice([-1.0, 1.0], lattice.n_sites)
    return models.ising(lattice, -0.23, jnp.asarray(size * sign))


SMALL = {
    "square": (models.ising(lattices.square(2, 4), 0.37), Box),
    "antiferromagnet": (models.ising(lattices.square(4, 2), -0.37), Box),
    "anisotropic signs": (models.ising(lattices.square(2, 4), jnp.array([0.3, -0.3])), Box),
    "square glass": (glass(lattices.square(2, 4)), Box),
    "square glass in a field": (glass(lattices.square(2, 4), 0.3, 0.17), Box),
    "random field": (random_field(lattices.square(2, 4), 0.4), Box),
    "strong negative field": (models.ising(lattices.square(2, 4), 0.2, -1.1), Box),
    "cubic glass": (glass(lattices.cubic(2, 2, 2)), Box),
    "triangular, 4 colours": (glass(lattices.triangular(2, 4)), Box),
    "triangular, 3 colours": (glass(lattices.triangular(3, 3), 0.2), Box),
    "chain": (models.ising(lattices.chain(6), 0.6, 0.2), Box),
    "far bonds": (Hamiltonian({"bond": Stencil(-0.4, [[[0], [3]]])}, space=SPIN, shape=(8,)), Box),
    "odd box": (glass(lattices.square(3, 3)), Box),
    "odd chain": (models.ising(lattices.chain(7), 0.4), Graph),
    "open square": (models.ising(lattices.square(2, 4, periodic=False), 0.4), Graph),
    "open glass": (glass(lattices.square(3, 3, periodic=False), 0.4, 0.3), Graph),
    "star": (models.ising(lattices.bethe(4, 1), 0.4), Graph),
    "isolated site": (
        Hamiltonian({"bond": Sites([0.5, -0.5], [[0, 1], [3, 1]])}, space=SPIN, shape=(4,)),
        Graph,
    ),
    "honeycomb": (glass(lattices.honeycomb(2, 2)), Graph),
    "random graph": (glass(lattices.random_regular(8, 3, seed=1)), Graph),
}


def swept_by_hand(h, x, u_of, n_bits, rule):
    """One sweep where every site of replica r draws the n_bits-bit number u_r, by energies."""
    layout, flat = model_of(h).layout, np.array(x).reshape(len(x), -1)
    energy = jax.jit(jax.vmap(lambda s: h(s.reshape(h.shape))))
    for sites in layout.split(jnp.arange(h.n_sites)[:, None]):
        before, after = np.asarray(energy(flat)), flat.copy()
        for site in np.asarray(sites).reshape(-1):
            other = flat.copy()
            other[:, site] *= -1
            cost = np.round(np.asarray(energy(other)) - before, 12)
            after[:, site] *= np.where(flips(cost, u_of, n_bits, rule), -1, 1)
        flat = after
    return flat.reshape(x.shape)


def flips(cost, u_of, n_bits, rule):
    """Whether u < T for the threshold of a cost; certain and complementary where it is negative."""
    p = np.exp(-np.abs(cost)) if rule == "metropolis" else 1 / (1 + np.exp(np.abs(cost)))
    t = np.round(p * 2**n_bits).astype(int)
    decided = u_of(t) < t
    if rule == "metropolis":
        return np.where(cost > 0, decided, True)
    return np.where(cost >= 0, decided, ~decided)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", SMALL)
def test_every_state_and_every_random_number(monkeypatch, name, rule):
    h, kind = SMALL[name]
    assert isinstance(model_of(h).layout, kind)
    n_bits = 4
    states = brute_force.all_states(h.space.points, h.n_sites).reshape(-1, *h.shape)
    x = np.repeat(states, 2**n_bits, axis=0)
    drawn = np.tile(np.arange(2**n_bits), len(states))  # bits of w, for each replica
    kernel = PackedIsing(n_words=len(x) // 32, n_bits=n_bits, rule=rule)

    def scripted(seed, shape, n):
        lanes = drawn.reshape(-1, 32)
        for j in range(n):
            word = np.sum((lanes >> j & 1) << np.arange(32), axis=1).astype(np.uint32)
            yield jnp.asarray(np.tile(word, int(np.prod(shape)) // len(word)).reshape(shape))

    monkeypatch.setattr(bits, "words", scripted)
    after = lambda x: kernel(h, kernel.init(h, x), key=jax.random.key(0))[0]
    found = np.asarray(jax.jit(lambda x: kernel.configurations(h, after(x)))(x))
    u_of = lambda t: (2**n_bits - 1) ^ drawn ^ np.minimum(t, 2**n_bits - 1)
    expected = swept_by_hand(h, x, u_of, n_bits, rule)
    assert np.array_equal(found, expected)
    assert np.any(found != x)


@pytest.mark.parametrize("name", SMALL)
def test_sites_of_a_colour_share_no_bond(name):
    h, _ = SMALL[name]
    layout = model_of(h).layout
    colour = np.empty(h.n_sites, int)
    parts = layout.split(jnp.arange(h.n_sites)[:, None])
    for c, sites in enumerate(parts):
        colour[np.asarray(sites).reshape(-1)] = c
    assert sum(p.size for p in parts) == h.n_sites
    (pair,) = (t for t in h.terms.values() if t.degree(SPIN) == 2)
    i, j = pair.to_sites(h.shape, SPIN).table.array.T
    assert np.all(colour[i] != colour[j])


@pytest.mark.parametrize("name", SMALL)
def test_energy_and_magnetisation_of_replicas(name):
    h, _ = SMALL[name]
    kernel = PackedIsing(n_words=1 if "square" in name else 3)
    x = np.random.default_rng(0).choice([-1.0, 1.0], (kernel.n_replicas, *h.shape))

    @jax.jit
    def measured(x):
        state = kernel.init(h, x)
        energy = kernel.energy(h, state), jax.vmap(h)(x)
        return energy, kernel.magnetisation(h, state), kernel.configurations(h, state)

    (energy, expected), magnetisation, same = measured(x)
    assert np.array_equal(same, x)
    assert np.allclose(energy, expected)
    assert np.array_equal(magnetisation, x.reshape(len(x), -1).sum(axis=1))


# --- distributions --------------------------------------------------------------------------------


ALL_16 = 2.0 * (np.arange(2**16)[:, None] >> np.arange(16) & 1) - 1


@functools.cache
def largest_cluster(lattice):
    """The size of the largest cluster of equal spins, for each state of 16 sites."""
    states, bonds = ALL_16, np.unique(np.sort(lattice.bonds.array), axis=0)
    label = np.tile(np.arange(states.shape[1]), (len(states), 1))
    for _ in range(states.shape[1]):
        before = label.copy()
        for i, j in bonds:
            low = np.minimum(label[:, i], label[:, j])
            same = states[:, i] == states[:, j]
            label[:, i] = np.where(same, low, label[:, i])
            label[:, j] = np.where(same, low, label[:, j])
        if np.array_equal(before, label):
            break
    return np.max([np.sum(label == k, axis=1) for k in range(states.shape[1])], axis=0)


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


def sampled(h, kernel, n_samples, key):
    """Configurations of all replicas, [n_samples * n_replicas, n_sites], from an ordered start."""

    def step(state, key):
        state, _ = kernel(h, state, key=key)
        return state, kernel.configurations(h, state).reshape(kernel.n_replicas, -1) > 0

    @jax.jit
    def run(state, key):
        return jax.lax.scan(step, state, jax.random.split(key, n_samples + 1))[1][1:]

    ones = jnp.ones((kernel.n_replicas, *h.shape))
    return np.asarray(run(kernel.init(h, ones), key))


LARGER = {
    "square K=0.2": (lattices.square(4, 4), 0.2, 0.0),
    "square K=0.44": (lattices.square(4, 4), 0.44, 0.0),
    "square glass": (lattices.square(4, 4), None, 0.0),
    "square glass in a field": (lattices.square(4, 4), None, 0.15),
    "triangular": (lattices.triangular(4, 4), 0.25, 0.0),
    "cubic": (lattices.cubic(2, 2, 4), 0.25, 0.0),
    "open square in a field": (lattices.square(4, 4, periodic=False), 0.4, 0.2),
}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *((name, RULES[i % 2]) for i, name in enumerate(LARGER)),
        ("square K=0.44", "metropolis"),
        ("square glass in a field", "metropolis"),
    ],
)
def test_the_exact_distribution(name, rule):
    lattice, coupling, field = LARGER[name]
    h = glass(lattice, 0.5, field) if coupling is None else models.ising(lattice, coupling, field)
    kernel = PackedIsing(n_words=512, rule=rule, n_sweeps=150)
    x = sampled(h, kernel, 20, jax.random.key(11)).reshape(-1, 16)
    counts = np.bincount(x @ (1 << np.arange(16)), minlength=2**16).astype(float)
    states = ALL_16
    energy = np.asarray(jax.jit(jax.vmap(lambda s: h(s.reshape(h.shape))))(states))
    p = np.exp(energy.min() - energy)
    p /= p.sum()
    levels = np.stack([np.round(energy, 9), states.sum(axis=1)], axis=1)
    cluster = largest_cluster(lattice)
    assert p_value(counts, p, levels) > 1e-4
    assert p_value(counts, p, cluster) > 1e-4
    assert p_value(counts, p, states[:, :8]) > 1e-4  # half the lattice, site by site
    product = states[:, :, None] * states[:, None, :]
    pairs = product[:, *np.triu_indices(16, 1)]  # two-point functions at all distances
    mean, n = p @ pairs, counts.sum()
    z = (counts @ pairs / n - mean) / np.sqrt((1 - mean**2) / n)
    assert np.max(np.abs(z)) < stats.norm.isf(1e-4 / 2 / len(z))


def test_replicas_are_independent():
    h = models.ising(lattices.square(4, 4), 0.3)
    kernel = PackedIsing(n_words=1024, n_sweeps=60)
    x = sampled(h, kernel, 8, jax.random.key(2)).reshape(8, 1024, 32, 16)
    m = (2.0 * x - 1).sum(axis=-1).reshape(-1, 32)
    for series in (m, m**2 - np.mean(m**2)):
        c = series.T @ series / len(series)
        r = c / np.sqrt(np.outer(np.diag(c), np.diag(c)))
        z = r[np.triu_indices(32, 1)] * np.sqrt(len(series))
        assert stats.chi2.sf(np.sum(z**2), len(z)) > 1e-4
        assert np.max(np.abs(z)) < stats.norm.isf(1e-4 / 2 / len(z))


@pytest.mark.parametrize("rule", RULES)
def test_energy_at_the_critical_point(rule):
    length, k = 16, float(np.log1p(np.sqrt(2)) / 2)
    h = models.ising(lattices.square(length, length), k)
    kernel = PackedIsing(n_words=16, rule=rule, n_sweeps=100)

    @jax.jit
    def run(state, key):
        def step(state, key):
            state, _ = kernel(h, state, key=key)
            return state, kernel.energy(h, state)

        return jax.lax.scan(step, state, jax.random.split(key, 30))[1]

    x = jnp.ones((kernel.n_replicas, length, length))
    energy = np.asarray(run(kernel.init(h, x), jax.random.key(1)))[10:].mean(axis=0)
    mean, error = energy.mean(), energy.std(ddof=1) / np.sqrt(len(energy))
    exact = k * jax.jit(lambda k: kaufman_energy(length, length, k))(k)
    assert error / length**2 < 1e-3
    assert abs(mean - exact) < 4 * error


# --- contract -------------------------------------------------------------------------------------


def test_same_key_same_answer_and_sweeps_differ():
    h = models.ising(lattices.square(8, 8), 0.1)
    kernel = PackedIsing(rule="heat_bath", n_bits=3)
    state = kernel.init(h, jnp.ones((32, 8, 8)))
    call = jax.jit(kernel)
    once, _ = call(h, state, key=jax.random.key(0))
    again, _ = kernel(h, state, key=jax.random.key(0))  # without jit
    other, _ = call(h, state, key=jax.random.key(1))
    assert all(jnp.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(jnp.array_equal(a, b) for a, b in zip(once, other, strict=True))


def test_vmap_over_chains_and_float32():
    h = models.ising(lattices.square(4, 4), 0.3)
    h = jax.tree.map(lambda c: c.astype(jnp.float32), h)
    kernel = PackedIsing(n_sweeps=2, n_bits=8)
    x = jnp.ones((32, 4, 4), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 3)
    state = kernel.init(h, x)
    many = jax.tree.map(lambda s: jnp.stack([s] * 3), state)
    after, info = jax.jit(jax.vmap(lambda s, k: kernel(h, s, key=k)))(many, keys)
    call = jax.jit(kernel)
    for i, key in enumerate(keys):
        single, _ = call(h, state, key=key)
        assert all(jnp.array_equal(a[i], b) for a, b in zip(after, single, strict=True))
    assert kernel.configurations(h, state).dtype == kernel.energy(h, state).dtype == jnp.float32
    assert info["unequal"].shape == (3,)


def test_vmap_over_hamiltonians():
    lattice, kernel = lattices.square(4, 4), PackedIsing(n_bits=4)
    k = jnp.array([0.1, -0.4, 0.7])
    state = kernel.init(models.ising(lattice, 0.1), jnp.ones((32, 4, 4)))
    call = lambda k: kernel(models.ising(lattice, k), state, key=jax.random.key(0))[0]
    many, one = jax.jit(jax.vmap(call))(k), jax.jit(call)
    for i in range(3):
        assert all(jnp.array_equal(a[i], b) for a, b in zip(many, one(k[i]), strict=True))


def test_a_traced_coupling_of_another_size_is_reported():
    lattice = lattices.square(4, 4)
    kernel = PackedIsing()
    state = kernel.init(models.ising(lattice, 0.3), jnp.ones((32, 4, 4)))
    run = jax.jit(lambda k: kernel(models.ising(lattice, k), state, key=jax.random.key(0))[1])
    k = np.full(32, 0.3)
    assert run(jnp.asarray(k))["unequal"] == 0
    k[5] = -0.3
    assert run(jnp.asarray(k))["unequal"] == 0
    k[7] = 0.1
    assert run(jnp.asarray(k))["unequal"] == 1 / 32
    k[8] = np.nan
    assert run(jnp.asarray(k))["unequal"] > 0


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"n_words": 0}, "n_words is an integer from 1"),
        ({"n_bits": 33}, "n_bits is an integer from 1 to 32, got 33"),
        ({"n_bits": 2.5}, "n_bits"),
        ({"n_sweeps": True}, "n_sweeps"),
        ({"rule": "glauber"}, "'metropolis', 'heat_bath', got 'glauber'"),
    ],
)
def test_bad_settings(setting, match):
    with pytest.raises(SettingError, match=match):
        PackedIsing(**setting)


def on_four(terms, space=SPIN):
    return Hamiltonian(terms, space=space, shape=(4,))


PAIRS = Sites(1.0, [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ("h", "error", "match"),
    [
        (on_four({"bond": PAIRS}, BINARY), SpaceError, "needs? the space SPIN"),
        (on_four({}), StructureError, "one Sites or Stencil term of pairs"),
        (on_four({"a": PAIRS, "b": PAIRS}), StructureError, "one Sites or Stencil term"),
        (on_four({"all": Dense(np.ones((4, 4)))}), StructureError, "Dense of degree 2"),
        (on_four({"three": Sites(1.0, [[0, 1, 2]])}), StructureError, "of degree 3"),
        (on_four({"bond": Sites(1.0, [[0, 0]])}), StructureError, "joins a site to itself"),
        (on_four({"bond": Stencil(1.0, [[[1], [5]]])}), StructureError, "to itself"),
        (on_four({"a": PAIRS, "f": Sites(1.0, [[0]])}), StructureError, "each of the 4 sites"),
        (models.ising(lattices.complete(20), 0.1), StructureError, "at most 16 neighbours"),
        (on_four({"bond": Sites([1.0, 0.0], [[0, 1], [2, 3]])}), StructureError, "from 0 to 1"),
        (on_four({"bond": Sites([1.0, np.nan], [[0, 1], [2, 3]])}), StructureError, "finite"),
        (on_four({"bond": Sites(np.inf, [[0, 1]])}), StructureError, "finite couplings"),
        (
            models.ising(lattices.chain(4), 1.0, jnp.array([1.0, -1.0, 1.0, 2.0])),
            StructureError,
            "fields of one absolute value",
        ),
        (models.edwards_anderson(lattices.square(4, 4)), StructureError, "use HeatBath"),
    ],
)
def test_other_hamiltonians_are_refused(h, error, match):
    with pytest.raises(error, match=match):
        PackedIsing().check(h)
    with pytest.raises(error, match=match):
        PackedIsing().init(h, jnp.ones((32, *h.shape)))


def test_a_wrong_number_of_configurations_is_refused():
    h = models.ising(lattices.square(4, 4), 0.3)
    with pytest.raises(ShapeError, match="2 words hold 64 configurations"):
        PackedIsing(n_words=2).init(h, jnp.ones((32, 4, 4)))
