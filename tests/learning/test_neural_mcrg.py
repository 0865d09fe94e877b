"""Block spins of a learned filter, against sums over all configurations."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from physdl import lattices, models, rg, sampling
from physdl.errors import LatticeError, SettingError, ShapeError
from physdl.learning import SpinFilter, learn_filter, match_filter
from physdl.theory import audit

CRITICAL = np.log(1 + np.sqrt(2)) / 2
WEIGHTS = jnp.asarray(np.random.default_rng(0).normal(0, 0.4, (4, 4)))


def all_spins(n):
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


def window_field(x, weights, row, col):
    """f of the block whose corner is (row, col), by two loops."""
    w = np.asarray(weights)
    first = -((w.shape[0] - 2) // 2)
    return sum(
        w[a, b] * x[(row + first + a) % len(x), (col + first + b) % len(x)]
        for a in range(len(w))
        for b in range(len(w))
    )


def test_fields_are_sums_over_windows():
    x = np.random.default_rng(1).choice([-1.0, 1.0], (6, 6))
    f = SpinFilter(WEIGHTS).fields(jnp.asarray(x))
    by_hand = [[window_field(x, WEIGHTS, r, c) for c in (0, 2, 4)] for r in (0, 2, 4)]
    np.testing.assert_allclose(f, by_hand, atol=1e-12)


@pytest.mark.parametrize(("window", "box"), [((3, 3), (4, 6)), ((2, 5), (6, 4)), ((6, 4), (4, 4))])
def test_windows_lie_where_those_of_the_linear_filter_lie(window, box):
    rng = np.random.default_rng(6)
    w, x = jnp.asarray(rng.normal(size=window)), jnp.asarray(rng.normal(size=box))
    linear = rg.LinearFilter(w)(x, key=jax.random.key(0))
    np.testing.assert_allclose(SpinFilter(w).fields(x), linear, atol=1e-12)


def test_draws_have_the_probabilities():
    x = jnp.asarray(np.random.default_rng(2).choice([-1.0, 1.0], (4, 4)))
    spins = SpinFilter(WEIGHTS)
    p = spins.probabilities(x)
    np.testing.assert_allclose(jnp.sum(p, axis=1), 1, atol=1e-14)
    draws = jax.vmap(lambda key: spins(x, key=key))(jax.random.split(jax.random.key(0), 4000))
    mean, expected = jnp.mean(draws, axis=0).reshape(-1), p[:, 1] - p[:, 0]
    assert np.all(np.abs(mean - expected) < 4 * np.sqrt((1 - expected**2) / 4000) + 1e-3)
    flipped = spins.probabilities(-x)
    np.testing.assert_allclose(flipped, p[:, ::-1], atol=1e-14)


def test_large_equal_weights_are_the_majority():
    sure = SpinFilter(jnp.full((2, 2), 50.0))
    kernel = audit.block_kernel(sure.probabilities, (2, 4))
    majority = audit.block_kernel(rg.Majority(2), (2, 4))
    np.testing.assert_allclose(jnp.exp(kernel), jnp.exp(majority), atol=1e-12)


def test_the_audit_takes_the_rule():
    found = audit.audit(
        audit.block_kernel(SpinFilter(jnp.full(2, 0.7)).probabilities, (6,)),
        models.ising(lattices.chain(6), 0.5),
        lattice=lattices.chain(3),
    )
    assert "trace condition" in found.verdict


def test_the_free_energy_is_the_sum_over_block_spins():
    x = np.random.default_rng(3).choice([-1.0, 1.0], (4, 4))
    f = np.array([window_field(x, WEIGHTS, r, c) for r in (0, 2) for c in (0, 2)])
    by_hand = -np.log(np.sum(np.exp(all_spins(4) @ f)))
    assert float(SpinFilter(WEIGHTS).free_energy(jnp.asarray(x))) == pytest.approx(by_hand)


def test_the_way_back_is_that_of_the_same_machine():
    """P(x_i | h) from exp(sum_B h_B f_B(x)) with one spin up and down."""
    spins = SpinFilter(WEIGHTS)
    rng = np.random.default_rng(4)
    h, x = (jnp.asarray(rng.choice([-1.0, 1.0], shape)) for shape in ((2, 2), (4, 4)))
    up = []
    for i in np.ndindex(4, 4):
        weight = [float(jnp.sum(h * spins.fields(x.at[i].set(s)))) for s in (1.0, -1.0)]
        up.append(1 / (1 + np.exp(weight[1] - weight[0])))
    keys = jax.random.split(jax.random.key(1), 4000)
    mean = jnp.mean(jax.vmap(lambda key: spins.generate(h, key=key))(keys), axis=0).reshape(-1)
    p = np.array(up)
    assert np.all(np.abs(mean - (2 * p - 1)) < 4 * np.sqrt(4 * p * (1 - p) / 4000) + 1e-3)


@functools.cache
def critical(length, n=400):
    h = models.ising(lattices.square(length, length), CRITICAL)
    return sampling.exact_sample(h, n=n, key=jax.random.key(length)).states[:, 0]


def test_contrastive_divergence_climbs_the_exact_likelihood():
    """On a ring of 8, where p(x) is summed over all 256 configurations."""
    h, every = models.ising(lattices.chain(8), 0.6), jnp.asarray(all_spins(8))
    p = jax.nn.softmax(-jax.vmap(h)(every))
    key = jax.random.key(3)
    data = sampling.exact_sample(h, n=2000, key=jax.random.key(2)).states[:, 0]

    def loss(spins):
        energies = jax.vmap(spins.free_energy)(every)
        return p @ energies + jax.nn.logsumexp(-energies)

    start = SpinFilter(jnp.array([0.02, 0.3, 0.2, 0.01]))
    found = learn_filter(data, start, n_steps=600, n_sweeps=3, symmetric=False, key=key)
    of = jax.jit(jax.value_and_grad(lambda w: loss(SpinFilter(w))))
    best = scipy.optimize.minimize(of, start.weights, jac=True, method="BFGS").fun
    gained = float(loss(start) - loss(found.result)) / float(loss(start) - best)
    assert 0.9 < gained < 1.0 + 1e-6


def test_matching_makes_block_spins_look_like_spins():
    large, small = critical(8), critical(4, 2000)
    basis = rg.operator_basis(lattices.square(4, 4), 2, 1.5)
    start = SpinFilter(jnp.full((2, 2), 0.3))
    found = match_filter(large, small, start, basis, n_steps=300, key=jax.random.key(4)).result
    target = np.asarray(jnp.mean(jax.vmap(basis)(small), axis=0)) / 16

    def off(spins):
        keys = jax.random.split(jax.random.key(5), len(large))
        blocks = jax.vmap(lambda x, key: spins(x, key=key))(large, keys)  # draws, not means
        return np.abs(np.asarray(jnp.mean(jax.vmap(basis)(blocks), axis=0)) / 16 - target)

    assert np.all(off(start) > 0.5) and np.all(off(found) < 0.1)


def test_it_stands_where_a_majority_stands():
    lattice = lattices.square(8, 8)
    odd, even = rg.operator_basis(lattice, 1, parity="odd"), rg.operator_basis(lattice, 2, 1.0)
    found = rg.mcrg_run(
        sampling.SwendsenWang(),
        models.ising(lattice, CRITICAL),
        SpinFilter(jnp.full((2, 2), 0.8)),
        even=even,
        odd=odd,
        n_steps=1,
        n_sweeps=100,
        n_chains=8,
        key=jax.random.key(6),
    )
    y = found.odd.y(1)
    assert abs(float(y.value) - 1.875) < 0.05 + 4 * float(y.stderr)
    assert SpinFilter(WEIGHTS).lattice(lattice) == lattices.square(4, 4)


def test_symmetric_windows():
    """Equivalent to turning and reflecting the lattice: the field of a turned configuration."""
    spins = SpinFilter(WEIGHTS).symmetrised()
    x = jnp.asarray(np.random.default_rng(5).choice([-1.0, 1.0], (6, 6)))
    np.testing.assert_allclose(spins.fields(jnp.rot90(x)), jnp.rot90(spins.fields(x)), atol=1e-12)
    np.testing.assert_allclose(spins.fields(x.T), spins.fields(x).T, atol=1e-12)
    np.testing.assert_allclose(spins.symmetrised().weights, spins.weights, atol=1e-15)
    with pytest.raises(ShapeError, match="even number"):
        SpinFilter(WEIGHTS[:3, :3]).symmetrised()


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingError):
        SpinFilter(WEIGHTS, scale=1)
    with pytest.raises(ShapeError):
        SpinFilter(WEIGHTS).fields(jnp.ones((5, 4)))
    with pytest.raises(ShapeError, match="axes"):
        learn_filter(jnp.ones((3, 8)), SpinFilter(WEIGHTS), key=jax.random.key(0))
    with pytest.raises(ShapeError, match="small"):
        match_filter(
            critical(4),
            critical(4),
            SpinFilter(WEIGHTS),
            rg.operator_basis(lattices.square(4, 4), 2, 1.0),
            key=jax.random.key(0),
        )
    with pytest.raises(LatticeError):
        SpinFilter(WEIGHTS).lattice(lattices.square(5, 5))
