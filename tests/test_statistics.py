"""Errors of correlated data against AR(1) processes with known tau, textbook sums, and arviz."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import statistics
from physdl.errors import SettingError, ShapeError


def ar1(phi, n_chains, n_draws, seed=0):
    """x_t = phi x_{t-1} + noise, stationary with variance 1, in plain numpy."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_chains, n_draws)) * np.sqrt(1 - phi**2)
    out = np.empty((n_chains, n_draws))
    out[:, 0] = rng.normal(size=n_chains)
    for t in range(1, n_draws):
        out[:, t] = phi * out[:, t - 1] + noise[:, t]
    return out


def tau_of(phi):
    return 0.5 * (1 + phi) / (1 - phi)


def test_autocorrelation_is_its_sum():
    x = np.random.default_rng(1).normal(size=(3, 40))
    d = x - x.mean()
    expected = [np.mean([np.sum(c[: 40 - t] * c[t:]) / 40 for c in d]) for t in range(40)]
    np.testing.assert_allclose(statistics.autocorrelation(x), np.array(expected) / expected[0])


@pytest.mark.parametrize("window", ["sokal", "geyer"])
@pytest.mark.parametrize("phi", [-0.3, 0.0, 0.5, 0.9, 0.97])
def test_autocorrelation_time_of_ar1(phi, window):
    tau = statistics.autocorrelation_time(ar1(phi, 8, 40_000, seed=2), window=window)
    assert abs(float(tau.value) - tau_of(phi)) < 4 * float(tau.stderr)
    assert float(tau.stderr) < 0.1 * float(tau.value)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_errors_of_the_mean_cover(phi):
    """Of 400 runs the deviations in standard errors have mean square one; n is in units of tau."""
    runs = ar1(phi, 400, 4096, seed=3)
    for error in (statistics.mean, statistics.blocking):
        out = jax.jit(jax.vmap(error))(jnp.asarray(runs))
        z = np.asarray(out.value / out.stderr)
        z = z[np.isfinite(z)]
        assert len(z) > 380
        assert abs(np.mean(z**2) - 1) < 4 * np.sqrt(2 / len(z)) + 0.05
        assert abs(np.mean(z)) < 4 / np.sqrt(len(z))


def test_blocking_gives_up_where_blocks_stay_correlated():
    assert np.isnan(statistics.blocking(np.arange(4096.0)).stderr)


def test_jackknife_of_a_mean_is_the_textbook_error():
    x = np.random.default_rng(4).normal(size=120)
    out = statistics.jackknife(jnp.mean, x, n_blocks=120)
    assert float(out.value) == pytest.approx(x.mean(), rel=1e-12)
    assert float(out.stderr) == pytest.approx(x.std(ddof=1) / np.sqrt(120), rel=1e-12)


def test_jackknife_and_bootstrap_of_a_ratio_agree_with_error_propagation():
    rng = np.random.default_rng(5)
    x = np.stack([rng.normal(3.0, 0.5, 4000), rng.normal(2.0, 0.4, 4000)], axis=1)
    ratio = lambda d: jnp.mean(d[:, 0]) / jnp.mean(d[:, 1])
    a, b = x.mean(axis=0)
    expected = np.std(x[:, 0] / b - a * x[:, 1] / b**2) / np.sqrt(4000)
    jack = statistics.jackknife(ratio, x, n_blocks=200)
    boot = statistics.bootstrap(ratio, x, key=jax.random.key(0), n_resamples=500)
    assert float(jack.stderr) == pytest.approx(expected, rel=4 / np.sqrt(2 * 200))
    assert float(boot.stderr) == pytest.approx(expected, rel=4 / np.sqrt(2 * 500))


def test_bootstrap_in_blocks_knows_correlation():
    x = ar1(0.8, 1, 20_000, seed=6)[0]
    blocks = statistics.bootstrap(jnp.mean, x, key=jax.random.key(1), n_blocks=200, n_resamples=400)
    expected = np.sqrt(2 * tau_of(0.8) / 20_000)
    assert float(blocks.stderr) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("phi", [0.0, 0.7])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_r_hat_and_sample_size_against_arviz(phi, shift):
    arviz = pytest.importorskip("arviz_stats.base").array_stats
    x = ar1(phi, 4, 1000, seed=7)
    x[0] += shift
    ours = float(statistics.r_hat(x)), float(statistics.effective_sample_size(x))
    theirs = (
        float(arviz.rhat(x, chain_axis=0, draw_axis=1)),
        float(arviz.ess(x, chain_axis=0, draw_axis=1, method="bulk")),
    )
    assert ours[0] == pytest.approx(theirs[0], abs=1e-6)
    assert ours[1] == pytest.approx(theirs[1], rel=0.02)


def test_constant_data_say_nothing():
    x = np.ones((2, 100))
    for number in (
        statistics.autocorrelation_time(x).value,
        statistics.r_hat(x),
        statistics.effective_sample_size(x),
    ):
        assert np.isnan(number)


def test_binder_cumulant_of_order_and_disorder():
    assert float(statistics.binder_cumulant([2.0, -2.0])) == pytest.approx(2 / 3)
    gauss = np.random.default_rng(8).normal(size=200_000)
    out = statistics.jackknife(statistics.binder_cumulant, gauss)
    assert abs(float(out.value)) < 4 * float(out.stderr) < 0.05


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match="n_chains, n_draws"):
        statistics.mean(np.zeros((2, 3, 4)))
    with pytest.raises(ShapeError, match="at least one chain of 8 draws"):
        statistics.r_hat(np.zeros((2, 5)))
    with pytest.raises(SettingError, match="'sokal' or 'geyer'"):
        statistics.autocorrelation_time(np.zeros(100), window="flat")
    with pytest.raises(SettingError, match="two blocks, got 1"):
        statistics.jackknife(jnp.mean, np.zeros(10), n_blocks=1)
    with pytest.raises(ShapeError, match="50 blocks"):
        statistics.jackknife(jnp.mean, np.zeros(10))
    with pytest.raises(SettingError, match="two resamples"):
        statistics.bootstrap(jnp.mean, np.zeros(10), key=jax.random.key(0), n_resamples=1)
