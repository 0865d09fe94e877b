"""The No-U-Turn sampler: exact moments, its warm-up, and its refusals."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sampling.fields import PHI4_MOMENTS, assert_means, chains, covariance_of, moments

from physdl import lattices, models
from physdl.errors import MissingDependencyError, SettingError, ShapeError, SpaceError
from physdl.sampling.nuts import NUTS, tune_nuts

pytestmark = pytest.mark.slow

pytest.importorskip("blackjax")

PHI4 = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)


def test_phi4_torus():
    values, acceptance = chains(NUTS(0.2), PHI4, moments, n_chains=32, n_draws=500)
    assert 0.5 < acceptance < 0.97
    assert_means(values, PHI4_MOMENTS[4])


def test_single_precision():
    h = jax.tree.map(lambda c: c.astype(jnp.float32), PHI4)
    values, _ = chains(NUTS(0.2), h, moments, n_chains=32, n_draws=500)
    assert values.dtype == np.float32
    assert_means(values.astype(np.float64), PHI4_MOMENTS[4])


def test_warm_up_on_a_disordered_gaussian_field():
    rng = np.random.default_rng(3)
    lattice = lattices.random_regular(8, 3, seed=2)
    h = models.gaussian(
        lattice, r=np.geomspace(0.1, 30.0, 8), gradient=0.1, field=rng.normal(size=8)
    )
    tune = jax.jit(lambda key: tune_nuts(h, key=key, n_steps=600))
    kernel, x = tune(jax.random.key(1))
    mean, covariance = covariance_of(h)
    ratio = np.asarray(kernel.inverse_mass) / np.diag(covariance)
    assert x.shape == (8,) and 0.4 < ratio.min() < ratio.max() < 2.5
    both = lambda x: jnp.concatenate([x, x**2])
    values, acceptance = chains(kernel, h, both, n_chains=32, n_draws=500)
    assert 0.7 < acceptance < 0.97
    assert_means(values, np.concatenate([mean, np.diag(covariance) + mean**2]), n_sigma=4.5)


def test_what_it_reports():
    x = 0.3 * jnp.ones((4, 4))
    move = jax.jit(lambda x, k: NUTS(0.05, max_doublings=3)(PHI4, x, key=k))
    y, info = move(x, jax.random.key(0))
    assert y.shape == (4, 4) and not np.array_equal(x, y)
    assert int(info["n_leapfrogs"]) == 7 and not bool(info["divergent"])


def test_divergent_trajectories_keep_a_finite_state():
    x = 0.3 * jnp.ones((4, 4))
    y, info = jax.jit(lambda x, k: NUTS(1e3)(PHI4, x, key=k))(x, jax.random.key(0))
    assert bool(info["divergent"])
    np.testing.assert_array_equal(x, y)


def test_promotion_settings_are_left_alone():
    assert jax.config.jax_numpy_dtype_promotion == "strict"
    assert jax.config.jax_numpy_rank_promotion == "raise"


def test_without_blackjax(monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(MissingDependencyError, match="needs the package 'blackjax'"):
        NUTS(0.1)(PHI4, jnp.zeros((4, 4)), key=jax.random.key(0))
    with pytest.raises(MissingDependencyError, match="needs the package 'blackjax'"):
        tune_nuts(PHI4, key=jax.random.key(0))


def test_bad_input():
    with pytest.raises(SettingError, match="step_size is finite and positive, got 0"):
        NUTS(0)
    with pytest.raises(SettingError, match="max_doublings is an integer of at least 1, got 0"):
        NUTS(0.1, max_doublings=0)
    with pytest.raises(SettingError, match="at least 20, got 5"):
        tune_nuts(PHI4, key=jax.random.key(0), n_steps=5)
    with pytest.raises(SettingError, match=r"between 0 and 1, got 1\.0"):
        tune_nuts(PHI4, key=jax.random.key(0), target=1.0)
    ising = models.ising(lattices.chain(4), 1.0)
    with pytest.raises(SpaceError, match="needs the space LINE, got SPIN"):
        NUTS(0.1)(ising, jnp.ones(4), key=jax.random.key(0))
    with pytest.raises(SpaceError, match="needs the space LINE, got SPIN"):
        tune_nuts(ising, key=jax.random.key(0))
    with pytest.raises(ShapeError, match="inverse mass has shape"):
        NUTS(0.1, jnp.ones(3))(PHI4, jnp.zeros((4, 4)), key=jax.random.key(0))
