"""The Gaussian map against closed forms, quadrature, and block averages of drawn fields."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from physdl import rg
from physdl.errors import SettingError, ShapeError

FIXED = jnp.array([0.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("scale, dim", [(2.0, 1), (1.5, 3), (7.3, 2.6)])
def test_exponents_are_two_minus_two_i(scale, dim):
    found = rg.exponents(rg.GaussianRG(scale=scale, dim=dim), FIXED)
    np.testing.assert_allclose(found.y, [2.0, 0.0, -2.0, -4.0], atol=1e-12)
    assert found.kinds() == ("relevant", "marginal", "irrelevant", "irrelevant")


def test_steps_compose():
    """A step of 2 and one of 3 are one of 6, log weights included."""
    y = jnp.array([0.3, 1.0, 0.2])
    two, three, six = (rg.GaussianRG(scale=b, dim=3) for b in (2.0, 3.0, 6.0))
    first = two(y)
    second, at_once = three(first.couplings), six(y)
    np.testing.assert_allclose(second.couplings, at_once.couplings, rtol=1e-14)
    weight = first.log_weight + second.log_weight / 8
    np.testing.assert_allclose(weight, at_once.log_weight, rtol=1e-12)


def direct_free_energy(y, dim):
    """Half the mean of log(y(k) / pi) over Debye's sphere, by scipy."""
    volume = np.pi ** (dim / 2) / special.gamma(dim / 2 + 1)
    cutoff = 2 * np.pi / volume ** (1 / dim)
    log_y = lambda t: np.log(np.polyval(y[::-1], (cutoff * t) ** 2) / np.pi) / 2
    return integrate.quad(lambda t: dim * t ** (dim - 1) * log_y(t), 0, 1, epsabs=1e-13)[0]


@pytest.mark.parametrize("scale, dim", [(2.0, 2), (3.0, 1), (1.7, 3)])
@pytest.mark.parametrize("y", [[0.7, 1.0, 0.1], [1e-3, 0.5], [0.0, 1.0, 0.3]])
def test_shells_sum_to_the_free_energy(scale, dim, y):
    f = rg.free_energy(rg.GaussianRG(scale=scale, dim=dim), jnp.array(y))
    assert float(f) == pytest.approx(direct_free_energy(y, dim), rel=1e-10, abs=1e-10)


def test_an_unstable_mode_is_not_a_number():
    assert np.isnan(rg.GaussianRG()(jnp.array([-1000.0, 1.0])).log_weight)


@pytest.mark.parametrize("settings", [{"scale": 1.0}, {"scale": float("nan")}, {"dim": 0}])
def test_refuses_settings(settings):
    with pytest.raises(SettingError, match="above"):
        rg.GaussianRG(**settings)


def test_refuses_a_table():
    with pytest.raises(ShapeError, match="vector"):
        rg.GaussianRG()(jnp.ones((2, 2)))


def drawn_spectra(y, size, n_samples, key):
    """<|phi_k|^2> / N of fields of the plane and of their 2 x 2 block averages, n_samples each."""
    k = 2 * np.pi * np.fft.fftfreq(size)
    square = jnp.asarray(k[:, None] ** 2 + k[None, :] ** 2)
    amplitude = 1 / jnp.sqrt(2 * jnp.polyval(jnp.asarray(y[::-1]), square))

    def one(key):
        white = jax.random.normal(key, (size, size))
        field = jnp.fft.ifft2(jnp.fft.fft2(white) * amplitude.astype(complex)).real
        blocks = field.reshape(size // 2, 2, size // 2, 2).mean(axis=(1, 3))
        power = lambda f: jnp.abs(jnp.fft.fft2(f)) ** 2 / f.size
        return power(field), power(blocks)

    return jax.lax.map(one, jax.random.split(key, n_samples), batch_size=50)


def fitted(power, k_max, form):
    """y_0, y_1, y_2 (and y_3) with errors, from the inverse mean spectrum below k_max."""
    size, n = power.shape[1], len(power)
    k = 2 * np.pi * np.fft.fftfreq(size)
    square = k[:, None] ** 2 + k[None, :] ** 2
    use = (square < k_max**2) & (np.arange(size) <= size // 2)[None, :]
    mean = np.asarray(power.mean(axis=0))
    shape = np.ones_like(square)
    for axis in (k[:, None], k[None, :]):
        shape = shape * (np.cos(axis / 4) ** 2 if form else 1)
    inverse = (shape / (2 * mean))[use]
    error = inverse / np.sqrt(n)
    basis = np.stack([square[use] ** i for i in range(4)], axis=1) / error[:, None]
    covariance = np.linalg.inv(basis.T @ basis)
    # a spectrum of n samples is inverted with a bias of 1/n, and k and -k are one mode
    return (covariance @ basis.T @ (inverse / error)) * (1 - 1 / n), np.sqrt(
        2 * np.diag(covariance)
    )


@pytest.mark.slow
def test_block_averages_of_drawn_fields_scale_by_four_and_one():
    """2 x 2 averages, rescaled: y_0 grows by 4 and y_1 stays, within three standard errors.

    cos^2(k / 4) is the form factor of a block. What short waves add to the blocks by aliasing is of
    order k^4 here, so y_2 is not measured this way.
    """
    y = [0.05, 1.0, 0.3]
    whole, blocks = drawn_spectra(y, 64, 4000, jax.random.key(3))
    before, before_error = fitted(whole, 0.6, form=False)
    after, after_error = fitted(blocks, 1.2, form=True)
    for i, expected in enumerate([4.0, 1.0]):
        assert abs(before[i] - y[i]) < 3 * before_error[i]
        assert abs(after[i] - expected * y[i]) < 3 * after_error[i]
        assert after[i] / before[i] == pytest.approx(expected, rel=0.01)  # the same waves
