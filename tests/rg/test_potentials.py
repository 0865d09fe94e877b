"""The flow of a potential and its anomalous dimension, term by term, by brute quadrature."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from physdl import rg
from physdl.errors import SettingError, ShapeError


def exponential(amplitude, eta):
    yr = lambda y: amplitude * y / np.expm1(y)
    return yr, lambda y: 2 * amplitude * y**2 * np.exp(y) / np.expm1(y) ** 2 - eta * yr(y)


def loop(w, dim, eta, amplitude):
    yr, s = exponential(amplitude, eta)
    f = lambda y: y ** (dim / 2 - 1) * s(y) / (y + yr(y) + w)
    return dim / 4 * sum(quad(f, *ends, epsabs=1e-13)[0] for ends in ((1e-12, 1), (1, 50)))


@pytest.mark.parametrize("potential", [rg.AboutMinimum(3), rg.AboutZero(3), rg.Grid(20)])
def test_flow_is_the_equation(potential):
    """du'/dl at a point, with the integrals by scipy and all derivatives in rho by differences.

    A polynomial's flow is exact where it is expanded, a grid's everywhere.
    """
    n, dim, amplitude = 2.7, 2.9, 1.3
    frg = rg.FunctionalRG(n, dim, regulator=rg.Exponential(amplitude), potential=potential)
    if isinstance(potential, rg.AboutMinimum):
        k, at = jnp.array([1.3, 0.5, 0.07]), 1.3
    elif isinstance(potential, rg.AboutZero):
        k, at = jnp.array([-0.4, 0.6, 0.1]), 0.0
    else:
        rho = potential.rho(frg)
        k, at = 0.3 * rho + 0.02 * rho**2 - 0.4, 0.9
    slope = lambda rho: float(frg.slope(k, jnp.array(rho)))

    def rate(rho, h=1e-3):
        curve = lambda r: (slope(r + h) - slope(r - h)) / (2 * h)
        loops = lambda r: (
            (1 - 1 / n) * loop(slope(r), dim, 0, amplitude)
            + loop(slope(r) + 2 * r * curve(r), dim, 0, amplitude) / n
        )
        return (
            2 * slope(rho)
            - (dim - 2) * rho * curve(rho)
            - (loops(rho + h) - loops(rho - h)) / (2 * h)
        )

    _, moved = jax.jvp(lambda k: frg.slope(k, jnp.array(at)), (k,), (frg.beta(k),))
    assert np.isclose(float(moved), rate(at), atol=1e-5)


def self_energy_eta(frg, k, amplitude, radial):
    r"""eta from the q^2 term of the one-loop self-energy, integrated over p and an angle, d = 3.

    dSigma/dlog k = -V^2 D int d^3p/(2 pi)^3 G(p) G(p + q), in units where Z = k = 1.
    """
    n, volume = float(frg.n_components), 4 / 3 / (2**4 * math.pi**1.5 * math.gamma(1.5))
    kappa, second, third = (float(v) for v in frg.potential.minimum(frg, k))
    kappa, second, third = kappa * n * volume, second / n / volume, third / (n * volume) ** 2
    heavy = 2 * kappa * second
    if radial:
        cubic = math.sqrt(2 * kappa) * (3 * second + 2 * kappa * third)
        light = math.sqrt(2 * kappa) * second
        parts = [(cubic**2 / 2, heavy, heavy), ((n - 1) * light**2 / 2, 0.0, 0.0)]
    else:
        parts = [(2 * kappa * second**2, heavy, 0.0)]

    p, wp = np.polynomial.legendre.leggauss(160)
    p, wp = 3.5 * (p + 1), 3.5 * wp
    t, wt = np.polynomial.legendre.leggauss(24)

    def sigma(q, eta, e):
        yr, s = exponential(amplitude, eta)
        g = lambda y, mass: 1 / (y + yr(y) + e * s(y) + mass)
        far = p[:, None] ** 2 + 2 * q * p[:, None] * t + q**2
        total = 0.0
        for v2, m1, m2 in parts:
            total -= v2 * np.sum(
                wp[:, None] * p[:, None] ** 2 * wt * g(p**2, m1)[:, None] * g(far, m2)
            )
        return total / (2 * math.pi) ** 2

    def right(eta, q=0.05, e=1e-3):
        at = lambda q: (sigma(q, eta, e) - sigma(q, eta, -e)) / (2 * e)
        first, second_ = (at(q) - at(0.0)) / q**2, (at(2 * q) - at(0.0)) / (4 * q**2)
        return -(4 * first - second_) / 3

    offset = right(0.0)
    return offset / (1 - (right(1.0) - offset))


@pytest.mark.parametrize("anomalous", ["goldstone", "radial"])
def test_eta_is_the_momentum_dependence_of_the_self_energy(anomalous):
    frg = rg.FunctionalRG(
        2.5,
        3.0,
        regulator=rg.Exponential(1.4),
        potential=rg.AboutMinimum(3),
        anomalous=anomalous,
    )
    k = jnp.array([1.1, 0.8, 0.2])
    expected = self_energy_eta(frg, k, 1.4, anomalous == "radial")
    assert expected > 0.01
    assert np.isclose(float(frg.eta(k)), expected, rtol=1e-4)


def test_eta_on_the_grid_is_that_of_its_polynomial():
    """A cubic potential is the same function about its minimum and on a grid."""
    settings = {"n_components": 2.0, "dim": 2.8, "anomalous": "radial"}
    cubic = rg.FunctionalRG(potential=rg.AboutMinimum(3), **settings)
    grid = rg.FunctionalRG(potential=rg.Grid(8), **settings)
    k = jnp.array([1.1, 0.8, 0.2])
    values = jax.vmap(lambda rho: cubic.slope(k, rho))(grid.potential.rho(grid))
    assert np.isclose(grid.minimum(values), 1.1, rtol=1e-10)
    assert np.isclose(grid.eta(values), cubic.eta(k), rtol=1e-8)
    assert float(grid.eta(jnp.abs(values) + 0.1)) == 0


def test_refusals_of_potentials():
    for potential in (rg.AboutMinimum, rg.AboutZero):
        with pytest.raises(SettingError, match="order=1"):
            potential(1)
    with pytest.raises(SettingError, match="n_points=3"):
        rg.Grid(3)
    with pytest.raises(SettingError, match="reach=0"):
        rg.Grid(8, reach=0)
    with pytest.raises(ShapeError, match=r"\[24\].*\[3\]"):
        rg.FunctionalRG().beta(jnp.zeros(3))
