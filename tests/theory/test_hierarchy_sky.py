"""The Gaussian sky against dense covariances, scipy's normal density, and its own draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from physdl.errors import SettingError, ShapeError
from physdl.theory.hierarchy import GaussianSky

THETA = jnp.array([0.6, 1.3])


def massive(theta, k2):
    return 1 / (theta[0] + theta[1] * k2)


def dense(shape, theta):
    """The inverse of theta_0 + theta_1 (minus Laplacian), bond by bond."""
    n = int(np.prod(shape))
    precision = float(theta[0]) * np.eye(n)
    number = np.arange(n).reshape(shape)
    for axis in range(len(shape)):
        for i, j in zip(number.reshape(-1), np.roll(number, -1, axis).reshape(-1), strict=True):
            e = np.zeros(n)
            e[i] += 1
            e[j] -= 1
            precision += float(theta[1]) * np.outer(e, e)
    return np.linalg.inv(precision)


@pytest.mark.parametrize("shape", [(7,), (6,), (4, 5), (3, 2, 4)])
def test_covariance_and_likelihood(shape):
    sky = GaussianSky(massive, shape)
    c = dense(shape, THETA)
    np.testing.assert_allclose(sky.covariance(THETA), c, atol=1e-13)
    field = np.random.default_rng(0).normal(size=shape)
    exact = multivariate_normal(np.zeros(c.shape[0]), c).logpdf(field.reshape(-1))
    found = sky.log_likelihood(THETA, sky.power_spectrum(jnp.asarray(field)))
    assert float(found) == pytest.approx(exact, rel=1e-12)
    assert sky.multiplicity.sum() == c.shape[0] and len(sky.k2) < c.shape[0]


@pytest.mark.parametrize("shape", [(9,), (4, 6)])
def test_the_spectrum_keeps_the_fisher_information_of_the_map(shape):
    """Three ways: shells, traces of solves, and traces with a covariance made bond by bond."""
    sky, e = GaussianSky(massive, shape), 1e-4
    of_spectrum = np.asarray(sky.fisher(THETA))
    np.testing.assert_allclose(of_spectrum, sky.fisher_of_map(THETA), rtol=1e-12)
    c = dense(shape, THETA)
    slopes = []
    for axis in range(2):
        step = np.zeros(2)
        step[axis] = e
        up, down = (dense(shape, np.asarray(THETA) + s * step) for s in (1, -1))
        slopes.append(np.linalg.solve(c, (up - down) / (2 * e)))
    traces = [[np.trace(a @ b) / 2 for b in slopes] for a in slopes]
    np.testing.assert_allclose(of_spectrum, traces, rtol=1e-6)


def test_an_amplitude():
    """P = A f(k): F = N / (2 A^2) whatever f."""
    sky = GaussianSky(lambda theta, k2: theta[0] / (0.3 + k2), (8, 8))
    assert float(sky.fisher(jnp.array([2.5]))[0, 0]) == pytest.approx(64 / 2 / 2.5**2, rel=1e-13)


def test_a_coarser_map_keeps_less():
    sky = GaussianSky(massive, (16, 16))
    kept = [np.linalg.det(np.asarray(sky.fisher(THETA, largest_k2=k))) for k in (0.5, 1, 2, 4, 8)]
    assert np.all(np.diff(kept) > 0)
    assert kept[-1] == np.linalg.det(np.asarray(sky.fisher(THETA)))


def test_two_maps_of_equal_spectrum_have_equal_likelihood():
    """Sufficiency: phases of the modes say nothing; a shifted and mirrored map is one case."""
    sky = GaussianSky(massive, (6, 6))
    field = np.random.default_rng(1).normal(size=(6, 6))
    other = np.roll(field[::-1].T, (1, 2), (0, 1))
    powers = [sky.power_spectrum(jnp.asarray(f)) for f in (field, other)]
    np.testing.assert_allclose(powers[0], powers[1], rtol=1e-11)


def test_draws_and_estimates_reach_the_cramer_rao_bound():
    """400 skies of 32 x 32: spectrum, score and variance of the estimates in standard errors."""
    sky, n = GaussianSky(massive, (32, 32)), 400
    keys = jax.random.split(jax.random.key(3), n)
    power = jax.jit(jax.vmap(lambda k: sky.power_spectrum(sky.sample(THETA, key=k))))(keys)
    expected = np.asarray(massive(THETA, sky.k2))
    error = expected * np.sqrt(2 / sky.multiplicity / n)
    assert np.all(np.abs(np.mean(power, axis=0) - expected) < 5 * error)
    theta = np.asarray(jax.jit(jax.vmap(lambda s: sky.estimate(s, jnp.array([1.0, 1.0]))))(power))
    bound = np.linalg.inv(np.asarray(sky.fisher(THETA)))
    ratio = theta.var(axis=0, ddof=1) / np.diag(bound)
    assert np.all(np.abs(ratio - 1) < 4 * np.sqrt(2 / (n - 1)))
    score = jax.vmap(lambda s: jax.grad(sky.log_likelihood)(THETA, s))(power)
    information = np.cov(np.asarray(score).T)
    fisher = np.asarray(sky.fisher(THETA))
    assert np.all(np.abs(np.diag(information) / np.diag(fisher) - 1) < 4 * np.sqrt(2 / (n - 1)))
    assert np.all(np.abs(score.mean(axis=0)) < 4 * np.sqrt(np.diag(fisher) / n))


def test_the_estimate_is_a_stationary_point():
    """Small skies, where undamped scoring may leave the parameters with P > 0 (key 3 does)."""
    sky = GaussianSky(massive, (32, 32))
    keys = jax.random.split(jax.random.key(3), 400)
    power = jax.jit(jax.vmap(lambda k: sky.power_spectrum(sky.sample(THETA, key=k))))(keys)
    best = jax.jit(jax.vmap(lambda s: sky.estimate(s, jnp.array([1.0, 1.0]))))(power)
    value, score = jax.vmap(jax.value_and_grad(sky.log_likelihood))(best, power)
    inside = np.asarray(best[:, 0]) > 0.01
    assert np.all(np.abs(score[inside]) < 1e-5) and inside.mean() > 0.99
    assert np.all(best[:, 0] > 0) and np.all(np.isfinite(value))
    assert np.all(value >= jax.vmap(lambda s: sky.log_likelihood(THETA, s))(power))


def test_refusals():
    with pytest.raises(SettingError, match="lengths of 1"):
        GaussianSky(massive, ())
    with pytest.raises(ShapeError, match="the shape"):
        GaussianSky(massive, (4, 4)).power_spectrum(jnp.zeros((4, 5)))
