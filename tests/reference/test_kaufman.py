"""Kaufman's torus against enumeration, 24-digit numbers, the ring, the infinite lattice."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError
from physdl.reference import (
    kaufman_energy,
    kaufman_log_z,
    kaufman_specific_heat,
    onsager_log_z,
    ring_log_z,
    square_critical_coupling,
)

KC = square_critical_coupling()

# Kaufman's formula with signed gamma_0 in mpmath at 30 digits, checked there against transfer
# matrices for L = 4, 6, 8, 10.
LOG_Z_AT_KC = {
    2: 4.382026634673881612269688,
    3: 9.020213400944334793608003,
    4: 15.5219154587552831938275,
    6: 34.11154105498624869020489,
    8: 60.14178078906915340731087,
    10: 93.61030051022210630630881,
    16: 238.6422566351328864999216,
    20: 372.5182766032214913343456,
    32: 952.6480795485428020547191,
    64: 3808.672283419809238938386,
}
LOG_Z = {
    (16, 0.1): 180.0271980251731192519,
    (16, 0.2): 188.039887955983169202,
    (16, 0.3): 202.3832322625403660071,
    (16, 0.4): 225.228846755875803169,
    (16, 0.5): 263.2962104340212176213,
    (16, 0.6): 310.4870385898649806992,
    (16, 0.7): 360.1738562312178462867,
    (16, 0.8): 410.7567602822367837817,
    (16, 0.9): 461.6954109928493192297,
    (16, 1.0): 512.7823078079417771495,
    (32, 0.1): 720.1087921006924130581,
    (32, 0.3): 809.5324886600896507008,
    (32, 0.5): 1051.104987614516840577,
    (32, 1.0): 2049.04978969008727267,
}
SIZES = [(3, 3), (3, 4), (4, 3), (4, 4), (3, 5), (5, 3), (2, 2), (2, 3), (3, 2), (1, 1), (1, 4)]


def bond_sums(rows, cols):
    """Sum of s s' over the bonds along the rows and along the columns, for all configurations."""
    bits = (np.arange(2 ** (rows * cols))[:, None] >> np.arange(rows * cols)) & 1
    spins = (1 - 2 * bits).reshape(-1, rows, cols)
    along_row = (spins * np.roll(spins, -1, axis=2)).sum((1, 2))
    along_col = (spins * np.roll(spins, -1, axis=1)).sum((1, 2))
    return along_row, along_col


@pytest.mark.parametrize(("rows", "cols"), SIZES)
def test_equals_enumeration_for_all_signs(rows, cols):
    along_row, along_col = bond_sums(rows, cols)
    log_z = jax.jit(partial(kaufman_log_z, rows, cols))
    for kx, ky in itertools.product((0.3, 0.7, -0.3, -0.7, 0.0), (0.25, 0.6, -0.25, -0.6, 0.0)):
        exact = np.log(np.exp(kx * along_row + ky * along_col).sum())
        np.testing.assert_allclose(log_z(kx, ky), exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("side", "exact"), LOG_Z_AT_KC.items())
def test_critical_values(side, exact):
    np.testing.assert_allclose(jax.jit(partial(kaufman_log_z, side, side))(KC), exact, rtol=2e-15)


@pytest.mark.parametrize("side", [16, 32])
def test_tabulated_values_on_both_sides_of_the_transition(side):
    table = {k: value for (size, k), value in LOG_Z.items() if size == side}
    log_z = jax.jit(jax.vmap(partial(kaufman_log_z, side, side)))(jnp.array(list(table)))
    np.testing.assert_allclose(log_z, list(table.values()), rtol=2e-15)


def test_signed_gamma_0_costs_no_log_2_above_the_critical_temperature():
    # L = 8, K = 0.3 by a row-to-row transfer matrix of 256 x 256.
    bits = 1 - 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
    in_row = 0.3 * (bits * np.roll(bits, 1, axis=1)).sum(1)
    matrix = np.exp(0.3 * bits @ bits.T + (in_row[:, None] + in_row) / 2)
    eigenvalues = np.linalg.eigvalsh(matrix)
    exact = 8 * np.log(eigenvalues[-1]) + np.log(np.sum((eigenvalues / eigenvalues[-1]) ** 8))
    np.testing.assert_allclose(kaufman_log_z(8, 8, 0.3), exact, rtol=1e-14)


def test_energy_and_specific_heat_are_the_moments_of_the_enumeration():
    energy = -np.sum(bond_sums(3, 4), axis=0)
    exact_energy = jax.jit(partial(kaufman_energy, 3, 4))
    exact_heat = jax.jit(partial(kaufman_specific_heat, 3, 4))
    for k in (0.0, 0.2, KC, 0.8, -0.3):
        weight = np.exp(-k * energy)
        weight /= weight.sum()
        mean = weight @ energy
        variance = weight @ (energy - mean) ** 2
        np.testing.assert_allclose(exact_energy(k), mean, rtol=0, atol=1e-12)
        np.testing.assert_allclose(exact_heat(k), k**2 * variance, atol=1e-11)


def test_derivatives_at_the_critical_point_where_one_product_vanishes():
    # Energies and specific heats per site of L x L at K_c, mpmath, 30 digits.
    for side, energy, heat in [
        (8, -1.491589107439707, 1.1455592399),
        (32, -1.433658466146248, 1.8467675900),
    ]:
        exact_energy = jax.jit(partial(kaufman_energy, side, side))(KC)
        exact_heat = jax.jit(partial(kaufman_specific_heat, side, side))(KC)
        np.testing.assert_allclose(exact_energy / side**2, energy, rtol=1e-14)
        np.testing.assert_allclose(exact_heat / side**2, heat, rtol=0, atol=6e-11)


def test_anisotropic_hessian_is_the_covariance_of_the_bond_sums():
    sums = np.stack(bond_sums(3, 4)).astype(float)
    hessian = jax.jit(jax.hessian(lambda k: kaufman_log_z(3, 4, k[0], k[1])))
    for couplings in ([0.2, 0.5], [-0.4, 0.3], [0.0, 0.0], [0.0, 0.4]):
        weight = np.exp(np.array(couplings) @ sums)
        covariance = np.cov(sums, aweights=weight / weight.sum(), ddof=0)
        np.testing.assert_allclose(hessian(jnp.array(couplings)), covariance, rtol=0, atol=1e-11)


def test_one_row_is_a_ring_whose_sites_bind_to_themselves():
    for length, k in itertools.product((1, 2, 5, 8), (0.7, -0.7)):
        ring = ring_log_z(length, k) + length * 0.3
        np.testing.assert_allclose(kaufman_log_z(1, length, k, 0.3), ring, rtol=1e-13)
        np.testing.assert_allclose(kaufman_log_z(length, 1, 0.3, k), ring, rtol=1e-13)


def test_transposing_the_lattice_exchanges_the_couplings():
    for kx, ky in [(0.3, 0.8), (-0.2, 0.4), (1.0, 0.1)]:
        np.testing.assert_allclose(
            kaufman_log_z(6, 9, kx, ky), kaufman_log_z(9, 6, ky, kx), rtol=1e-14
        )


def test_even_torus_does_not_see_the_sign_of_the_coupling():
    log_z = jax.jit(lambda k: kaufman_log_z(512, 512, k))
    for k in (1e-6, 0.3, KC, 10.0):
        np.testing.assert_allclose(log_z(-k), log_z(k), rtol=1e-15)


def test_limits_of_a_large_lattice():
    log_z = jax.jit(partial(kaufman_log_z, 512, 512))
    sites = 512**2
    np.testing.assert_allclose(log_z(0.0, 0.0), sites * math.log(2), rtol=1e-15)
    np.testing.assert_allclose(log_z(10.0, 10.0), 20 * sites + math.log(2), rtol=1e-15)
    for kx, ky in [(0.3, 0.3), (1.0, 0.1), (0.1, 1.0)]:
        np.testing.assert_allclose(log_z(kx, ky), sites * onsager_log_z(kx, ky), rtol=1e-14)


def test_critical_finite_size_constant_of_the_square_torus():
    # ln Z - N f -> ln[(theta_2 + theta_3 + theta_4)/(2 eta)] at tau = i (Ferdinand-Fisher 1969).
    nome = math.exp(-math.pi)
    theta_2 = 2 * sum(nome ** ((n + 0.5) ** 2) for n in range(6))
    theta_3 = 1 + 2 * sum(nome ** (n**2) for n in range(1, 6))
    theta_4 = 1 + 2 * sum((-1) ** n * nome ** (n**2) for n in range(1, 6))
    eta = math.exp(-math.pi / 12) * math.prod(1 - nome ** (2 * n) for n in range(1, 12))
    constant = math.log((theta_2 + theta_3 + theta_4) / (2 * eta))
    assert math.isclose(constant, 0.6399119471916226, rel_tol=1e-14)
    excess = kaufman_log_z(256, 256, KC) - 256**2 * onsager_log_z(KC)
    np.testing.assert_allclose(excess, constant, rtol=0, atol=1.3e-6)


def test_float32_keeps_six_digits_and_its_dtype():
    log_z = jax.jit(partial(kaufman_log_z, 16, 16))
    for k in (0.1, 0.3, 0.6, 1.0, 10.0):
        single = log_z(np.float32(k))
        assert single.dtype == jnp.float32
        exact = log_z(float(np.float32(k)))
        np.testing.assert_allclose(single, exact, rtol=1e-6)


def test_a_frustrated_torus_without_digits_left_is_nan():
    assert np.isnan(kaufman_log_z(33, 33, -2.0))


def test_refuses_what_is_no_lattice():
    with pytest.raises(SettingError, match="rows must be an integer of at least 1, got 0"):
        kaufman_log_z(0, 4, 0.3)
    with pytest.raises(SettingError, match=r"got 2\.5"):
        kaufman_log_z(4, 2.5, 0.3)
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        kaufman_log_z(4, 4, jnp.array([0.1, 0.2]))
