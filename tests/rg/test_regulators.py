"""Threshold functions against quadrature of their definitions by scipy."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from physdl import rg
from physdl.errors import SettingError

CASES = [(0.3, -0.2, 3.0, 0.1), (-0.8, 0.0, 2.5, 0.0), (2.0, 2.0, 3.3, 0.3)]


def integral(f):
    return sum(quad(f, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in ((0, 1), (1, 8), (8, 60)))


@pytest.mark.parametrize(("w", "v", "dim", "eta"), CASES)
def test_exponential(w, v, dim, eta):
    """l and m of r = a / (exp(y) - 1), with D taken by a difference of whole integrals."""
    amplitude, step = 1.5, 1e-4
    yr = lambda y: amplitude * y / np.expm1(y) if y else amplitude
    d_yr = lambda y: amplitude * (np.expm1(y) - y * np.exp(y)) / np.expm1(y) ** 2
    s = lambda y: 2 * amplitude * y**2 * np.exp(y) / np.expm1(y) ** 2 - eta * yr(y)
    d_s = lambda y: (s(y * (1 + 1e-4)) - s(y * (1 - 1e-4))) / (2e-4 * y)
    regulator = rg.Exponential(amplitude)
    poles, weights = regulator.poles(dim, eta)
    a, b = regulator.kinetic(jnp.array(w), jnp.array(v), dim)

    l = dim / 4 * integral(lambda y: y ** (dim / 2 - 1) * s(y) / (y + yr(y) + w) if y else 0.0)
    assert np.isclose(float(jnp.sum(weights / (poles + w))), l, rtol=1e-9)

    def kinetic(e):
        def integrand(y):
            p, slope = y + yr(y) + e * s(y), 1 + d_yr(y) + e * d_s(y)
            return y ** (dim / 2) * slope**2 / ((p + w) * (p + v)) ** 2

        cut = [1e-3, 1, 8, 60]
        return sum(quad(integrand, *ends, epsabs=1e-12)[0] for ends in itertools.pairwise(cut))

    m = -(kinetic(step) - kinetic(-step)) / (4 * step)
    assert np.isclose(float(a - eta * b), m, rtol=1e-4)


def test_litim_is_the_integral_below_the_scale():
    """s = 2 - eta (1 - y) and P = 1 for y < 1."""
    dim, eta, w = 2.7, 0.2, 0.4
    poles, weights = rg.Litim().poles(dim, eta)
    l = dim / 4 * quad(lambda y: y ** (dim / 2 - 1) * (2 - eta * (1 - y)) / (1 + w), 0, 1)[0]
    assert np.isclose(float(jnp.sum(weights / (poles + w))), l, rtol=1e-8)


def test_quadrature_has_converged():
    """Twice the nodes change nothing, in the exponents' range of masses and dimensions."""
    for dim, w in ((2.2, -0.9), (3.0, 0.0), (3.9, 3.0)):
        sums = []
        for n in (64, 128):
            regulator = rg.Exponential(n_nodes=n)
            p, weight = regulator.poles(dim, 0.1)
            a, b = regulator.kinetic(jnp.array(w), jnp.array(0.0), dim)
            sums.append([float(jnp.sum(weight / (p + w))), float(a), float(b)])
        np.testing.assert_allclose(sums[0], sums[1], rtol=1e-11)


def test_refusals():
    with pytest.raises(SettingError, match="amplitude=0"):
        rg.Exponential(0)
    with pytest.raises(SettingError, match="n_nodes=1"):
        rg.Exponential(n_nodes=1)
