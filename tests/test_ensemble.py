"""Ensembles against exact counting: with every configuration in it, an ensemble is exact."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import files, lattices, models
from physdl.ensemble import Ensemble, concatenate, load
from physdl.errors import FormatError, PhysdlError, SettingError, ShapeError
from physdl.estimators import Enumeration

LATTICE = lattices.square(3, 3)
FIELD = np.linspace(-1, 1, 9)


def ising(coupling, field):
    return models.ising(LATTICE, coupling, field * FIELD)


def spins(n):
    return np.random.default_rng(n).choice([-1.0, 1.0], size=(n, 3, 3))


@pytest.fixture(scope="module")
def every():
    """All configurations, weighted for K = 0.3 and a field."""
    h = ising(0.3, 0.2)
    states = jnp.asarray(brute_force.all_states([(-1.0,), (1.0,)], 9).reshape(-1, 1, 3, 3))
    energy = jax.vmap(h)(states[:, 0])
    return Ensemble(states, -energy[:, None], Enumeration()(h).log_z, h=h)


@pytest.mark.parametrize("coupling, field", [(0.3, 0.2), (0.0, 0.0), (0.6, -0.5)])
def test_log_z_and_its_derivatives_are_those_of_counting(every, coupling, field):
    point = jnp.array([coupling, field])
    ours = lambda p: every.log_z_of(ising(p[0], p[1]))
    exact = lambda p: Enumeration()(ising(p[0], p[1])).log_z
    assert float(ours(point)) == pytest.approx(float(exact(point)), rel=1e-13)
    np.testing.assert_allclose(
        jax.grad(ours)(point), jax.grad(exact)(point), rtol=1e-11, atol=1e-13
    )
    np.testing.assert_allclose(
        jax.hessian(ours)(point), jax.hessian(exact)(point), rtol=1e-10, atol=1e-13
    )


def test_third_derivative_is_the_third_cumulant(every):
    third = jax.grad(jax.grad(jax.grad(lambda b: every.log_z_of(b * every.h))))(1.0)
    energy = np.asarray(jax.vmap(every.h)(every.states[:, 0]))
    p = np.exp(np.asarray(every.log_weights[:, 0]))
    centred = energy - p @ energy
    assert float(third) == pytest.approx(-(p @ centred**3), rel=1e-11)


def test_reweighting_changes_weights_and_log_z(every):
    h = ising(0.5, 0.0)
    moved = every.reweighted(h)
    assert float(moved.log_z) == pytest.approx(float(Enumeration()(h).log_z), rel=1e-13)
    assert float(jnp.sum(jnp.exp(moved.log_weights))) == pytest.approx(1.0, rel=1e-13)
    gradient = jax.grad(moved.log_z_of)(h)
    bond = lambda x: jnp.sum(x * jnp.roll(x, 1, 0)) + jnp.sum(x * jnp.roll(x, 1, 1))
    bonds = float(jnp.sum(gradient.terms["bond"].coefficient))
    assert float(moved.expectation(bond).value) == pytest.approx(-bonds, rel=1e-11)


def test_unknown_log_z_leaves_derivatives_as_they_are(every):
    unknown = Ensemble(every.states, every.log_weights, h=every.h)
    assert np.isnan(unknown.log_z_of(every.h))
    point = jnp.array([0.3, 0.2])
    ours, known = (
        jax.grad(lambda p, e=e: e.log_z_of(ising(p[0], p[1])))(point) for e in (unknown, every)
    )
    np.testing.assert_allclose(ours, known, rtol=1e-13)


def test_expectation_of_independent_draws_covers():
    h = models.ising(LATTICE, 0.0)
    z = []
    for seed in range(300):
        x = np.random.default_rng(seed).choice([-1.0, 1.0], size=(200, 1, 3, 3))
        m = Ensemble(x, h=h).expectation(lambda s: jnp.mean(s) ** 2)
        z.append(float((m.value - 1 / 9) / m.stderr))
    assert abs(np.mean(np.square(z)) - 1) < 4 * np.sqrt(2 / 300) + 0.1


def test_expectation_of_a_slow_chain_knows_it():
    """A chain that repeats each draw ten times has an error sqrt(10) larger than it looks."""
    h = models.ising(LATTICE, 0.0)
    once = spins(4000)
    slow = Ensemble(np.repeat(once, 10, axis=0)[None], h=h).expectation(jnp.mean)
    fast = Ensemble(once[:, None], h=h).expectation(jnp.mean)
    assert float(slow.value) == pytest.approx(float(fast.value), abs=1e-12)
    assert float(slow.stderr) == pytest.approx(float(fast.stderr), rel=0.1)


def test_effective_sample_size():
    h = models.ising(LATTICE, 0.3)
    assert float(Ensemble(spins(50)[None], h=h).effective_sample_size) == pytest.approx(50)
    weights = jnp.where(jnp.arange(50) < 5, 0.0, -jnp.inf)[None]
    assert float(Ensemble(spins(50)[None], weights, h=h).effective_sample_size) == pytest.approx(5)


def test_thinning_and_joining():
    h = models.ising(LATTICE, 0.3)
    one, two = (Ensemble(spins(60).reshape(k, -1, 3, 3), 0 * jnp.ones((k, 60 // k)), k * 1.0, h=h)
                for k in (2, 4))  # fmt: skip
    short = one.thinned(2)
    assert short.n_draws == two.n_draws == 15
    both = concatenate([short, two])
    assert (both.n_chains, both.n_draws) == (6, 15)
    assert float(both.log_z) == pytest.approx((2 * 2 + 4 * 4) / 6)
    np.testing.assert_array_equal(short.states[:, -1], one.states[:, -1])
    np.testing.assert_allclose(jnp.exp(both.log_weights), 1 / 90, rtol=1e-12)


def test_a_saved_ensemble_is_the_same(every, tmp_path):
    file = tmp_path / "every.npz"
    every.save(file)
    again = load(file)
    assert again.h == every.h and files.load(file) == every.h
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(every), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-15, atol=1e-15)


def test_a_file_that_is_no_ensemble_is_named(tmp_path):
    files.save(tmp_path / "model.npz", models.ising(LATTICE, 0.3))
    with pytest.raises(FormatError, match="'states' is missing"):
        load(tmp_path / "model.npz")
    with pytest.raises(FormatError, match="does not exist"):
        load(tmp_path / "nothing.npz")


def test_bad_input_is_named():
    h = models.ising(LATTICE, 0.3)
    with pytest.raises(ShapeError, match="n_chains, n_draws, 3, 3"):
        Ensemble(spins(5), h=h)
    with pytest.raises(ShapeError, match="weights of an ensemble"):
        Ensemble(spins(5)[None], jnp.zeros(5), h=h)
    ensemble = Ensemble(spins(5)[None], h=h)
    with pytest.raises(PhysdlError, match="says nothing about"):
        ensemble.log_z_of(models.ising(lattices.chain(9), 0.3))
    with pytest.raises(SettingError, match="1 to 5 draws, got 6"):
        ensemble.thinned(6)
    with pytest.raises(PhysdlError, match="equal coefficients"):
        concatenate([ensemble, Ensemble(spins(5)[None], h=models.ising(LATTICE, 0.4))])
    with pytest.raises(PhysdlError, match="got 0 kinds"):
        concatenate([])
