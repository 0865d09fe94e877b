"""The random numbers are those of JAX, and decisions have the probabilities they were given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from physdl.sampling import _random as random

KEY = jax.random.key(11)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4, 5), (1000,)])
def test_bits_and_uniforms_are_those_of_jax(shape):
    np.testing.assert_array_equal(random.bits(KEY, shape), jax.random.bits(KEY, shape, "uint32"))
    for dtype in (jnp.float32, jnp.float64):
        ours, theirs = random.uniform(KEY, shape, dtype), jax.random.uniform(KEY, shape, dtype)
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, theirs)


def test_keys_are_those_of_jax():
    same = lambda a, b: np.testing.assert_array_equal(
        jax.random.key_data(a), jax.random.key_data(b)
    )
    same(random.split(KEY, 5), jax.random.split(KEY, 5))
    same(random.folded(KEY, 12345), jax.random.fold_in(KEY, 12345))


def test_vmap_over_keys_gives_each_its_own():
    keys = jax.random.split(KEY, 6)
    batch = jax.vmap(lambda k: random.bits(k, (4,)))(keys)
    np.testing.assert_array_equal(batch, jnp.stack([random.bits(k, (4,)) for k in keys]))


def hashed_by_hand(k0, k1, n):
    """The words of ``hashed`` in Python's integers."""

    def mixed(x):
        x = ((x ^ (x >> 16)) * 0x7FEB352D) % 2**32
        x = ((x ^ (x >> 15)) * 0x846CA68B) % 2**32
        return x ^ (x >> 16)

    return np.array([mixed(mixed((0x9E3779B9 * i) % 2**32 ^ k0) ^ k1) for i in range(n)], np.uint64)


@pytest.mark.parametrize("shape", [(), (1,), (3, 4, 5), (1000,)])
def test_hashed_numbers_are_those_documented(shape):
    k0, k1 = map(int, jax.random.key_data(KEY))
    n = int(np.prod(shape))
    high, low = hashed_by_hand(k0, k1, n), hashed_by_hand(k1, k0, n)
    single = (high >> np.uint64(9)) / 2.0**23
    double = ((high << np.uint64(20)) | (low >> np.uint64(12))) / 2.0**52
    for dtype, expected in ((jnp.float32, single), (jnp.float64, double)):
        found = random.hashed(KEY, shape, dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.reshape(-1), expected)


def hashed_of(keys, n):
    return np.asarray(jax.jit(jax.vmap(lambda k: random.hashed(k, (n,), jnp.float32)))(keys))


def test_hashed_numbers_are_independent_of_their_neighbours():
    """Of the next site, of the next walker, and of another layer: pairs fill a square evenly."""
    walkers = random.split(KEY, 1000)
    first, second = jax.vmap(random.split)(walkers).T
    u, other = hashed_of(first, 500), hashed_of(second, 500)
    pairs = [(u[:, :-1], u[:, 1:]), (u[:, :-64], u[:, 64:]), (u[:-1], u[1:]), (u, other)]
    for a, b in pairs:
        cells = (np.floor(64 * a) * 64 + np.floor(64 * b)).astype(int).reshape(-1)
        assert stats.chisquare(np.bincount(cells, minlength=64**2)).pvalue > 1e-4


def test_hashed_sums_over_sites_and_walkers_scatter_as_those_of_independent_numbers():
    u = hashed_of(random.split(KEY, 1000), 500)
    for p in (0.5, 0.02):
        hits = u < p
        for axis, n in ((0, 1000), (1, 500)):
            sums = hits.sum(axis=axis)
            ratio = sums.var(ddof=1) / (n * p * (1 - p))
            assert abs(ratio - 1) < 4 * np.sqrt(2 / len(sums))


def test_every_bit_of_a_hashed_word_is_fair_and_follows_no_other():
    words = (hashed_of(random.split(KEY, 1000), 200) * 2.0**23).astype(np.int64)
    bits = 2.0 * ((words[..., None] >> np.arange(23)) & 1) - 1
    here, there = bits[:, :-1].reshape(-1, 23), bits[:, 1:].reshape(-1, 23)
    n = len(here)
    assert np.all(np.abs(here.sum(axis=0)) < 4.5 * np.sqrt(n))
    assert np.all(np.abs(here.T @ there) < 5 * np.sqrt(n))


def test_normals_are_normal():
    x = np.asarray(random.normal(KEY, (100_000,)))
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert np.isfinite(np.asarray(random.normal(KEY, (100_000,), jnp.float32))).all()


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 2**16 + 1, 2**31 - 1])
def test_integers_are_uniform(n):
    x = np.asarray(random.integers(KEY, (60_000,), n))
    assert x.min() >= 0 and x.max() < n
    counts = np.bincount((x.astype(float) * min(n, 50) / n).astype(int), minlength=min(n, 50))
    edges = np.floor(np.arange(min(n, 50) + 1) * n / min(n, 50))
    assert n == 1 or stats.chisquare(counts, 60_000 * np.diff(edges) / n).pvalue > 1e-4


@pytest.mark.parametrize("q", [2, 3, 16, 17, 40])
def test_categorical_has_its_probabilities(q):
    weights = np.random.default_rng(q).exponential(size=q)
    weights[[0, -1]] = [0.0, weights[-1]] if q > 2 else weights[[0, -1]]
    log_p = jnp.log(jnp.asarray(weights)) + 700.0
    x = np.asarray(random.categorical(KEY, jnp.broadcast_to(log_p, (40_000, q))))
    counts, p = np.bincount(x, minlength=q), weights / weights.sum()
    assert np.all(counts[p == 0] == 0)
    assert stats.chisquare(counts[p > 0], 40_000 * p[p > 0]).pvalue > 1e-4


def test_forbidden_states_are_never_chosen():
    log_p = jnp.where(jnp.arange(5) == 2, 0.0, -jnp.inf)
    assert np.all(random.categorical(KEY, jnp.broadcast_to(log_p, (20_000, 5))) == 2)
    pair = jnp.array([-jnp.inf, 0.0])
    assert np.all(random.categorical(KEY, jnp.broadcast_to(pair, (20_000, 2))) == 1)


def test_bernoulli_has_its_probability():
    p = jnp.array([0.0, 0.03, 0.5, 1.0])
    x = np.asarray(random.bernoulli(KEY, jnp.broadcast_to(p, (50_000, 4)))).mean(axis=0)
    assert x[0] == 0 and x[3] == 1
    assert np.all(np.abs(x - p) < 4 * np.sqrt(np.asarray(p * (1 - p)) / 50_000) + 1e-12)
