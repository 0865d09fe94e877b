"""Potts critical points: duality, a strip's transfer matrix, Ising and percolation, expansions."""

import math

import numpy as np
import pytest

from physdl.errors import SettingError
from physdl.reference import (
    honeycomb_critical_coupling,
    onsager_log_z,
    potts_critical_energy,
    potts_critical_log_z,
    potts_dual_coupling,
    potts_honeycomb_critical_coupling,
    potts_latent_heat,
    potts_square_critical_coupling,
    potts_triangular_critical_coupling,
    square_critical_coupling,
    triangular_critical_coupling,
)

STATES = [1, 1.5, 2, 3, 4, 5, 10, 1000]


@pytest.mark.parametrize("q", STATES)
def test_critical_polynomials(q):
    square = math.expm1(potts_square_critical_coupling(q))
    triangular = math.expm1(potts_triangular_critical_coupling(q))
    honeycomb = math.expm1(potts_honeycomb_critical_coupling(q))
    assert math.isclose(square**2, q, rel_tol=1e-14)
    assert math.isclose(triangular**3 + 3 * triangular**2, q, rel_tol=1e-13)
    assert math.isclose(honeycomb**3, 3 * q * honeycomb + q**2, rel_tol=1e-13)


def test_two_states_are_ising_spins_at_half_the_coupling():
    for potts, ising in [
        (potts_square_critical_coupling, square_critical_coupling),
        (potts_triangular_critical_coupling, triangular_critical_coupling),
        (potts_honeycomb_critical_coupling, honeycomb_critical_coupling),
    ]:
        assert math.isclose(potts(2) / 2, ising(), rel_tol=1e-14)


def test_one_state_is_bond_percolation():
    # Thresholds p = 1 - exp(-K): 1/2, 2 sin(pi/18), 1 - 2 sin(pi/18) (Sykes and Essam 1964).
    assert math.isclose(-math.expm1(-potts_square_critical_coupling(1)), 0.5, rel_tol=1e-14)
    threshold = 2 * math.sin(math.pi / 18)
    triangular = -math.expm1(-potts_triangular_critical_coupling(1))
    honeycomb = -math.expm1(-potts_honeycomb_critical_coupling(1))
    assert math.isclose(triangular, threshold, rel_tol=1e-14)
    assert math.isclose(honeycomb, 1 - threshold, rel_tol=1e-14)


def test_duality_is_an_involution_that_fixes_the_square_critical_point():
    for q in (2, 3, 7):
        k = potts_square_critical_coupling(q)
        assert math.isclose(potts_dual_coupling(k, q), k, rel_tol=1e-14)
        assert math.isclose(potts_dual_coupling(potts_dual_coupling(0.3, q), q), 0.3, rel_tol=1e-13)


def strip_log_z(width, q, coupling):
    """ln Z per site of an infinitely long periodic strip, by powers of its transfer matrix."""
    shape = (q,) * width
    states = np.indices(shape)
    equal = sum((states[i] == states[(i + 1) % width]).astype(float) for i in range(width))
    half = np.exp(coupling * equal / 2)
    bond = np.exp(coupling * np.eye(q))
    vector = np.ones(shape)
    for _ in range(400):
        vector = vector * half
        for _ in range(width):
            vector = np.tensordot(vector, bond, axes=(0, 0))
        vector = vector * half
        eigenvalue = np.linalg.norm(vector)
        vector /= eigenvalue
    return math.log(eigenvalue) / width


def test_critical_log_z_of_three_states_from_strips():
    # ln z(L) = ln z + pi c / (6 L^2) + O(L^-4), c = 4/5.
    k = potts_square_critical_coupling(3)
    values = [strip_log_z(width, 3, k) for width in (5, 6, 7)]
    shifted = [v - math.pi * 0.8 / (6 * w**2) for v, w in zip(values, (5, 6, 7), strict=True)]
    powers = np.stack([np.ones(3), np.array([5, 6, 7.0]) ** -4, np.array([5, 6, 7.0]) ** -6], 1)
    extrapolated = np.linalg.solve(powers, shifted)[0]
    np.testing.assert_allclose(potts_critical_log_z(3), extrapolated, rtol=0, atol=2e-5)


def test_critical_log_z_of_soluble_cases():
    # q = 1: Z = exp(2KN). q = 2: Onsager, shifted by the energy of unlike spins.
    assert math.isclose(potts_critical_log_z(1), 2 * math.log(2), rel_tol=1e-14)
    ising = float(onsager_log_z(square_critical_coupling())) + 2 * square_critical_coupling()
    assert math.isclose(potts_critical_log_z(2), ising, rel_tol=1e-14)


def test_critical_log_z_of_many_states_from_the_low_temperature_series():
    # ln z = 2K + (q-1) x^4 + 2(q-1) x^6 + 2(q-1)(q-2) x^7 + ..., x = exp(-K) ~ q^{-1/2}.
    q = 1e4
    k = potts_square_critical_coupling(q)
    x = math.exp(-k)
    series = 2 * k + (q - 1) * x**4 + 2 * (q - 1) * x**6 + 2 * (q - 1) * (q - 2) * x**7
    assert math.isclose(potts_critical_log_z(q), series, abs_tol=10 / q**2)


def test_critical_log_z_is_continuous_at_four_states():
    h = 1e-6
    below, at, above = (potts_critical_log_z(q) for q in (4 - h, 4, 4 + h))
    assert abs(above - 2 * at + below) < 1e-12
    seam = (2 * math.cosh(1e-3)) ** 2
    below, above = potts_critical_log_z(seam - 1e-12), potts_critical_log_z(seam + 1e-12)
    assert abs(above - below) < 1e-12


def test_critical_energy():
    # q = 2: half of Onsager's -sqrt 2 less half of the two bonds.
    assert math.isclose(potts_critical_energy(2), -(math.sqrt(2) + 2) / 2, rel_tol=1e-15)
    # d/dK of duality, ln z(K) = ln z(K*) + ln[(e^K - 1)^2 / q], at the self-dual point.
    for q in (3, 10):
        k, h = potts_square_critical_coupling(q), 1e-6
        factor = (2 * math.log(math.expm1(k + h)) - 2 * math.log(math.expm1(k - h))) / (2 * h)
        slope = (potts_dual_coupling(k + h, q) - potts_dual_coupling(k - h, q)) / (2 * h)
        assert math.isclose(potts_critical_energy(q), -factor / (1 - slope), rel_tol=1e-9)


def test_latent_heat():
    for q in (1, 2, 3, 4):
        assert potts_latent_heat(q) == 0
    # Exact e_d and e_o of q = 10, -0.96820 and -1.66425 (W. Janke, Phys. Rev. B 47, 14757 (1993)).
    assert math.isclose(potts_latent_heat(10), 0.69605, abs_tol=1e-5)
    assert math.isclose(potts_latent_heat(8), 0.48636, abs_tol=1e-5)
    assert math.isclose(potts_latent_heat(5), 0.05292, abs_tol=1e-5)
    # All bonds break at once when there are many states.
    assert math.isclose(potts_latent_heat(1e12), 2, rel_tol=1e-5)


@pytest.mark.parametrize(("width", "q", "coupling"), [(3, 3, 0.4)])
def test_the_strip_of_the_tests_obeys_a_direct_sum(width, q, coupling):
    states = np.indices((q,) * width).reshape(width, -1)
    in_row = sum(states[i] == states[(i + 1) % width] for i in range(width))
    between = sum(np.equal.outer(row, row) for row in states)
    matrix = np.exp(coupling * (between + in_row[:, None] / 2 + in_row / 2))
    exact = math.log(np.linalg.eigvalsh(matrix)[-1]) / width
    assert math.isclose(strip_log_z(width, q, coupling), exact, rel_tol=1e-13)


def test_refusals():
    with pytest.raises(SettingError, match=r"q must be a number of at least 1, got 0\.5"):
        potts_latent_heat(0.5)
    with pytest.raises(SettingError, match=r"coupling must be positive, got -0\.3"):
        potts_dual_coupling(-0.3, 3)
