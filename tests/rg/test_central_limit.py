"""Block sums against sums of known distributions, and Edgeworth's polynomial against them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from physdl import rg
from physdl.errors import SettingError, ShapeError

UNIFORM = np.array([0.0, 1.0, 0.0, -1.2])  # of the interval of variance one
EXPONENTIAL = np.array([0.0, 1.0, 2.0, 6.0])


@pytest.mark.parametrize("scale", [2, 3, 1.7])
def test_exponents_are_one_minus_n_half(scale):
    clt = rg.CentralLimit(order=6, scale=scale)
    found = rg.exponents(clt, jnp.zeros(6).at[1].set(1.0))
    np.testing.assert_allclose(found.y, [0.5, 0.0, -0.5, -1.0, -1.5, -2.0], atol=1e-12)


def test_uniform_and_exponential_sums_of_eight():
    """Excess kurtosis -1.2 / k; skewness 2 / sqrt k and kurtosis 6 / k (SCIENCE 1.7)."""
    clt = rg.CentralLimit(order=4, scale=2)
    uniform = rg.flow(clt, jnp.asarray(UNIFORM), 3).couplings[-1]
    exponential = rg.flow(clt, jnp.asarray(EXPONENTIAL), 3).couplings[-1]
    np.testing.assert_allclose(uniform, [0, 1, 0, -0.15], atol=1e-14)
    np.testing.assert_allclose(exponential, [0, 1, 2 / np.sqrt(8), 0.75], atol=1e-14)


def test_cumulants_of_a_sum_by_enumeration():
    """Three unfair coins of +1 and -1, divided by sqrt 3, state by state."""
    p, values = np.array([0.3, 0.7]), np.array([1.0, -1.0])
    total = (values[:, None, None] + values[:, None] + values) / np.sqrt(3)
    weight = p[:, None, None] * p[:, None] * p
    one = rg.cumulants_of_moments([float(p @ values**n) for n in range(1, 7)])
    three = rg.cumulants_of_moments([float(np.sum(weight * total**n)) for n in range(1, 7)])
    blocked = rg.CentralLimit(order=6, scale=3)(one)
    np.testing.assert_allclose(blocked.couplings, three, atol=1e-13)
    assert float(blocked.log_weight) == float(blocked.error) == 0


def test_moments_and_cumulants_are_inverse():
    kappa = jnp.array([0.3, 1.2, -0.4, 0.7, 2.0, -3.0])
    back = rg.cumulants_of_moments(rg.moments_of_cumulants(kappa))
    np.testing.assert_allclose(back, kappa, rtol=1e-12, atol=1e-12)
    gamma = stats.gamma(3.0, scale=0.5)  # kappa_n = 3 (n - 1)! / 2^n
    moments = [float(gamma.moment(n)) for n in range(1, 5)]
    np.testing.assert_allclose(
        rg.cumulants_of_moments(moments), [1.5, 0.75, 0.75, 1.125], rtol=1e-10
    )


@pytest.mark.parametrize("order", [3, 4, 5, 6])
def test_edgeworth_converges_at_its_order(order):
    """-log p of a sum of k exponential variables is a Gamma density: error k^(-(order - 1) / 2)."""
    x = np.linspace(-1.0, 1.5, 11)
    errors = []
    for k in (400, 1600):
        n = np.arange(1, order + 1)
        kappa = np.array([float(np.prod(np.arange(1, m))) for m in n]) * k ** (1 - n / 2)
        kappa[0] = 0.0
        h = np.polynomial.polynomial.polyval(x, np.asarray(rg.edgeworth(kappa)))
        exact = -stats.gamma(k).logpdf(k + x * np.sqrt(k)) - np.log(k) / 2
        errors.append(np.abs(h - exact).max())
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx((order - 1) / 2, abs=0.15)


def test_edgeworth_knows_mean_and_variance():
    """Shifting and stretching the variable moves the polynomial with it."""
    kappa = np.array([0.0, 1.0, 0.2, -0.1])
    mean, sigma, x = 1.3, 0.7, np.linspace(-2, 2, 9)
    moved = np.append(mean, kappa[1:] * sigma ** np.arange(2, 5))
    at = lambda c, x: np.polynomial.polynomial.polyval(x, np.asarray(c))
    expected = at(rg.edgeworth(kappa), x) + np.log(sigma)
    np.testing.assert_allclose(at(rg.edgeworth(moved), mean + sigma * x), expected, rtol=1e-12)


def test_a_symmetric_sum_is_a_phi4_site():
    h = rg.edgeworth_hamiltonian(rg.CentralLimit(scale=8)(jnp.asarray(UNIFORM)).couplings)
    assert h.degree == 4
    assert float(h.terms["phi4"].coefficient) == pytest.approx(0.15 / 24, rel=1e-12)
    assert float(h.terms["phi3"].coefficient) == 0
    gradient = jax.grad(lambda k: rg.edgeworth(k)[4])(jnp.asarray(UNIFORM))
    assert float(gradient[3]) == pytest.approx(-1 / 24, rel=1e-12)


def test_refusals():
    with pytest.raises(SettingError, match="order=0"):
        rg.CentralLimit(order=0)
    with pytest.raises(SettingError, match="scale=1"):
        rg.CentralLimit(scale=1)
    with pytest.raises(ShapeError, match="kappa_4"):
        rg.CentralLimit(order=4)(jnp.ones(3))
    with pytest.raises(ShapeError, match="two cumulants"):
        rg.edgeworth([1.0])
    with pytest.raises(ShapeError, match="vector"):
        rg.cumulants_of_moments(1.0)
