"""Onsager and Yang against mpmath integrals of the published formulas and 15-digit numbers."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from physdl.errors import ShapeError
from physdl.reference import (
    dual_coupling,
    onsager_energy,
    onsager_log_z,
    onsager_specific_heat,
    square_critical_coupling,
    yang_magnetisation,
)

KC = square_critical_coupling()

# K: ln z, energy, magnetisation of the infinite lattice (mpmath, 30 digits).
INFINITE_LATTICE = {
    0.4: (0.879363820774948, -1.106079203745791, 0.0),
    0.45: (0.943383773098793, -1.513045805998303, 0.74932261253),
    0.5: (1.02579281269492, -1.745564575312554, 0.91131937788),
    0.6: (1.21013238828841, -1.909086177684075, 0.97360866744),
}


def second_difference(f, x, h):
    return (-f(x + 2 * h) + 16 * f(x + h) - 30 * f(x) + 16 * f(x - h) - f(x - 2 * h)) / (12 * h**2)


def onsager_integral(kx, ky):
    """The momentum integral with the trapezoid rule in both directions, away from criticality."""
    p = 2 * np.pi * np.arange(400) / 400
    argument = (
        np.cosh(2 * kx) * np.cosh(2 * ky)
        - np.sinh(2 * kx) * np.cos(p)[:, None]
        - np.sinh(2 * ky) * np.cos(p)
    )
    return np.log(2) + np.log(argument).mean() / 2


def test_log_z_at_the_critical_point():
    # ln 2 / 2 + 2 G / pi, G Catalan's constant (Onsager 1944).
    catalan = 0.915965594177219015054603514932384110774
    np.testing.assert_allclose(
        onsager_log_z(KC), math.log(2) / 2 + 2 * catalan / math.pi, rtol=0, atol=5e-16
    )
    np.testing.assert_allclose(onsager_log_z(KC), 0.929695398341610214985, rtol=0, atol=5e-16)


@pytest.mark.parametrize(("coupling", "numbers"), INFINITE_LATTICE.items())
def test_tabulated_values(coupling, numbers):
    log_z, energy, magnetisation = numbers
    np.testing.assert_allclose(onsager_log_z(coupling), log_z, rtol=0, atol=6e-15)
    np.testing.assert_allclose(onsager_energy(coupling), energy, rtol=2e-15)
    np.testing.assert_allclose(yang_magnetisation(coupling), magnetisation, rtol=0, atol=6e-12)


@pytest.mark.parametrize(
    ("kx", "ky"), [(0.1, 0.2), (0.2, 0.7), (0.9, 0.02), (0.6, 0.8), (-0.3, 0.2), (0.5, -0.6)]
)
def test_anisotropic_log_z_equals_the_double_integral(kx, ky):
    np.testing.assert_allclose(onsager_log_z(kx, ky), onsager_integral(kx, ky), rtol=1e-14)


def test_log_z_of_a_vanishing_coupling_is_that_of_chains():
    for k in (0.3, 2.0, -1.0):
        chain = math.log(2 * math.cosh(k))
        np.testing.assert_allclose(onsager_log_z(k, 0.0), chain, rtol=1e-14)
        np.testing.assert_allclose(onsager_log_z(0.0, k), chain, rtol=1e-14)


def test_high_and_low_temperature_limits():
    np.testing.assert_allclose(onsager_log_z(0.0), math.log(2), rtol=1e-15)
    np.testing.assert_allclose(onsager_log_z(1e-4) - math.log(2), 1e-8, rtol=1e-7)
    for k in (20.0, 300.0):
        np.testing.assert_allclose(onsager_log_z(k), 2 * k, rtol=1e-15)
    low = onsager_log_z(2.5) - 5.0
    np.testing.assert_allclose(low, math.exp(-20) + 2 * math.exp(-30), rtol=1e-5)


@pytest.mark.parametrize(("kx", "ky"), [(0.2, 0.2), (0.1, 0.7), (0.43, 0.43), (KC, KC)])
def test_kramers_wannier_duality(kx, ky):
    # ln z(K) - ln[sinh 2Kx sinh 2Ky] / 4 is the same at the dual couplings (exchanged).
    def reduced(x, y):
        return onsager_log_z(x, y) - jnp.log(jnp.sinh(2 * x) * jnp.sinh(2 * y)) / 4

    dual = reduced(dual_coupling(ky), dual_coupling(kx))
    np.testing.assert_allclose(reduced(kx, ky), dual, rtol=0, atol=4e-15)


def test_the_dual_of_the_critical_coupling_is_itself_and_duality_an_involution():
    np.testing.assert_allclose(dual_coupling(KC), KC, rtol=1e-15)
    for k in (1e-3, 0.2, 1.0, 5.0):
        dual = dual_coupling(k)
        np.testing.assert_allclose(dual_coupling(dual), k, rtol=1e-12)
        np.testing.assert_allclose(np.sinh(2 * k) * np.sinh(2 * dual), 1, rtol=1e-13)


def elliptic_energy_and_heat(coupling):
    """Onsager's closed forms at 40 digits, with mpmath's elliptic integrals."""
    with mpmath.workdps(40):
        k = mpmath.mpf(coupling)
        tanh = mpmath.tanh(2 * k)
        parameter = (2 * mpmath.sinh(2 * k) / mpmath.cosh(2 * k) ** 2) ** 2
        first, second = mpmath.ellipk(parameter), mpmath.ellipe(parameter)
        kappa = 2 * tanh**2 - 1
        energy = -(1 + 2 / mpmath.pi * kappa * first) / tanh
        bracket = first - second - (1 - tanh**2) * (mpmath.pi / 2 + kappa * first)
        heat = 4 / mpmath.pi * (k / tanh) ** 2 * bracket
        return float(energy), float(heat)


@pytest.mark.parametrize(
    "coupling", [1e-6, 0.01, 0.2, 0.4, 0.44, 0.4406, 0.441, 0.45, 0.7, 1.5, 4.0, -0.3, -0.6]
)
def test_energy_and_specific_heat_equal_the_elliptic_integrals_to_rounding(coupling):
    energy, heat = elliptic_energy_and_heat(coupling)
    np.testing.assert_allclose(onsager_energy(coupling), energy, rtol=2e-14)
    np.testing.assert_allclose(onsager_specific_heat(coupling), heat, rtol=2e-13)


@pytest.mark.parametrize("coupling", [0.0, 0.1, 0.4, KC - 1e-3, KC + 1e-3, KC - 1e-7, 0.6, -0.5])
def test_derivatives_of_log_z_are_the_closed_forms(coupling):
    slope = jax.grad(onsager_log_z)(coupling)
    np.testing.assert_allclose(-slope, onsager_energy(coupling), rtol=0, atol=1e-14)
    curvature = jax.grad(jax.grad(onsager_log_z))(coupling)
    # Rounding of K itself, relative to the distance from K_c, limits the logarithm.
    np.testing.assert_allclose(
        coupling**2 * curvature, onsager_specific_heat(coupling), rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize("coupling", [0.3, 0.6])
def test_specific_heat_is_the_second_difference_of_log_z(coupling):
    difference = second_difference(lambda k: onsager_log_z(k), coupling, 1e-3)
    np.testing.assert_allclose(onsager_specific_heat(coupling), coupling**2 * difference, rtol=1e-6)
    slope = jax.grad(onsager_energy)(coupling)
    np.testing.assert_allclose(-(coupling**2) * slope, onsager_specific_heat(coupling), rtol=1e-13)


def test_the_critical_point_itself():
    np.testing.assert_allclose(onsager_energy(KC), -math.sqrt(2), rtol=1e-14)
    assert np.isfinite(onsager_specific_heat(KC))
    # C ~ -(8/pi) K_c^2 ln|1 - K/K_c| + constant: its logarithmic slope from two decades.
    near, far = onsager_specific_heat(KC * (1 - 1e-8)), onsager_specific_heat(KC * (1 - 1e-6))
    np.testing.assert_allclose((near - far) / math.log(100), 8 / math.pi * KC**2, rtol=1e-5)


def test_magnetisation_vanishes_on_the_critical_line_of_unequal_couplings():
    k = 0.2
    partner = float(dual_coupling(k))
    assert yang_magnetisation(k, partner - 1e-9) == 0
    np.testing.assert_allclose(yang_magnetisation(k, partner + 1e-9), 1e-9**0.125, rtol=0.5)
    assert yang_magnetisation(0.0, 50.0) == 0
    exact = (1 - 1 / (math.sinh(0.4) * math.sinh(2.4)) ** 2) ** 0.125
    np.testing.assert_allclose(yang_magnetisation(k, 1.2), exact, rtol=1e-14)
    np.testing.assert_allclose(yang_magnetisation(-k, 1.2), exact, rtol=1e-14)
    assert yang_magnetisation(400.0) == 1


def test_magnetisation_derivatives_are_finite_off_the_critical_point():
    k, h = 0.5, 1e-6
    difference = (yang_magnetisation(k + h) - yang_magnetisation(k - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(yang_magnetisation)(k), difference, rtol=1e-9)
    for far in (0.0, 0.3, 400.0):
        assert jax.grad(yang_magnetisation)(far) == 0


def test_float32_accuracy_stated_in_the_docstrings():
    for k in (0.0, 0.2, KC, 0.6, 3.0):
        single = np.float32(k)
        assert onsager_log_z(single).dtype == jnp.float32
        np.testing.assert_allclose(onsager_log_z(single), onsager_log_z(float(single)), rtol=1e-6)
    np.testing.assert_allclose(onsager_energy(np.float32(0.4)), -1.106079203745791, rtol=3e-6)


def test_maps_and_compiles():
    couplings = jnp.array([0.1, 0.4, 0.6])
    for function in (onsager_log_z, onsager_energy, onsager_specific_heat, yang_magnetisation):
        batch = jax.jit(jax.vmap(function))(couplings)
        np.testing.assert_allclose(batch, [function(k) for k in couplings], rtol=1e-13)
    with pytest.raises(ShapeError, match=r"jax\.vmap"):
        onsager_log_z(couplings)
