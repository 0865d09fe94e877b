"""Triangular and honeycomb lattices: double integrals, tabulated constants, transformations."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from physdl.reference import (
    honeycomb_critical_coupling,
    honeycomb_log_z,
    onsager_log_z,
    triangular_critical_coupling,
    triangular_log_z,
)

TRIANGULAR_KC = triangular_critical_coupling()
HONEYCOMB_KC = honeycomb_critical_coupling()


def triangular_integral(k1, k2, k3):
    """Houtappel's double integral by the trapezoid rule, away from criticality."""
    p = 2 * np.pi * np.arange(600) / 600
    cosh, sinh = np.cosh(2 * np.array([k1, k2, k3])), np.sinh(2 * np.array([k1, k2, k3]))
    argument = (
        cosh.prod()
        + sinh.prod()
        - sinh[0] * np.cos(p)[:, None]
        - sinh[1] * np.cos(p)
        - sinh[2] * np.cos(p[:, None] + p)
    )
    return np.log(2) + np.log(argument).mean() / 2


def triangular_torus(side, k1, k2, k3):
    """ln Z of a side x side triangular torus from its row-to-row transfer matrix."""
    rows = 1 - 2 * ((np.arange(2**side)[:, None] >> np.arange(side)) & 1)
    in_row = k1 * (rows * np.roll(rows, 1, axis=1)).sum(1)
    between = k2 * rows @ rows.T + k3 * rows @ np.roll(rows, 1, axis=1).T
    matrix = np.exp(in_row[:, None] + between)
    largest = np.abs(np.linalg.eigvals(matrix)).max()
    return side * np.log(largest) + np.log(
        np.trace(np.linalg.matrix_power(matrix / largest, side)).real
    )


@pytest.mark.parametrize(
    "couplings",
    [
        (0.1, 0.1, 0.1),
        (0.2, 0.05, 0.1),
        (0.5, 0.4, 0.3),
        (-0.2, 0.3, 0.5),
        (-0.2, -0.3, 0.5),
        (-0.2, -0.3, -0.5),
        (-0.4, -0.4, -0.4),
        (-0.9, 0.1, 0.2),
        (0.9, -0.1, 0.0),
    ],
)
def test_equals_the_double_integral_in_every_order_of_the_couplings(couplings):
    exact = triangular_integral(*couplings)
    for order in itertools.permutations(couplings):
        np.testing.assert_allclose(triangular_log_z(*order), exact, rtol=0, atol=2e-14)


@pytest.mark.parametrize("couplings", [(0.12, 0.05, 0.1), (-0.12, -0.1, -0.08), (0.1, -0.15, 0.1)])
def test_equals_the_transfer_matrix_of_a_torus_at_high_temperature(couplings):
    # The finite-size correction falls as tanh(K)^9 here.
    torus = triangular_torus(9, *couplings) / 81
    np.testing.assert_allclose(triangular_log_z(*couplings), torus, rtol=0, atol=2e-7)


def test_critical_values():
    # f = -ln z / K at K_c, as tabulated in the source of TNRKit.jl.
    np.testing.assert_allclose(
        -triangular_log_z(TRIANGULAR_KC) / TRIANGULAR_KC, -3.202532486607908, rtol=1e-15
    )
    np.testing.assert_allclose(
        -honeycomb_log_z(HONEYCOMB_KC) / HONEYCOMB_KC, -1.556707467816387, rtol=1e-15
    )


def test_critical_couplings_are_where_the_gap_closes():
    s = math.sinh(2 * TRIANGULAR_KC)
    assert math.isclose(3 * s * s, 1, rel_tol=1e-14)
    # Critical energies: -2 per site (three bonds) and -2/sqrt 3 (three halves of a bond).
    np.testing.assert_allclose(jax.grad(triangular_log_z)(TRIANGULAR_KC), 2, rtol=1e-12)
    np.testing.assert_allclose(
        jax.grad(honeycomb_log_z)(HONEYCOMB_KC), 2 / math.sqrt(3), rtol=1e-12
    )


def test_residual_entropy_of_the_triangular_antiferromagnet():
    # (2/pi) int_0^{pi/3} ln(2 cos w) dw (Wannier 1950, erratum Phys. Rev. B 7, 5017 (1973)).
    entropy = (
        2 / mpmath.pi * mpmath.quad(lambda w: mpmath.log(2 * mpmath.cos(w)), [0, mpmath.pi / 3])
    )
    assert math.isclose(entropy, 0.323065947219451, rel_tol=1e-14)
    for k in (-10.0, -20.0, -50.0, -300.0):
        np.testing.assert_allclose(
            triangular_log_z(k) + k, float(entropy), rtol=0, atol=2e-14 - k * 1e-15
        )


def test_antiferromagnet_with_one_weak_direction_has_no_residual_entropy():
    for weak in range(3):
        couplings = [-30.0, -30.0, -30.0]
        couplings[weak] = -20.0
        np.testing.assert_allclose(triangular_log_z(*couplings), 40.0, rtol=1e-12)


def test_changing_two_signs_changes_nothing():
    base = triangular_log_z(0.2, 0.3, 0.4)
    for signs in [(-1, -1, 1), (-1, 1, -1), (1, -1, -1)]:
        flipped = triangular_log_z(*(s * k for s, k in zip(signs, (0.2, 0.3, 0.4), strict=True)))
        np.testing.assert_allclose(flipped, base, rtol=1e-14)


@pytest.mark.parametrize("coupling", [0.2, 0.5, HONEYCOMB_KC, 0.9])
def test_honeycomb_is_dual_to_the_triangular_lattice(coupling):
    # High-temperature graphs of the one are domain walls of the other; for each triangular site
    # there are two honeycomb sites and three bonds: Z_hc(K) = 2^(N/2) (sinh 2K)^(3N/2) Z_tri(K*).
    dual = -math.log(math.tanh(coupling)) / 2
    dual_side = triangular_log_z(dual) + math.log(2) / 2 + 1.5 * math.log(math.sinh(2 * coupling))
    np.testing.assert_allclose(2 * honeycomb_log_z(coupling), dual_side, rtol=1e-14)


def test_honeycomb_without_one_direction_is_a_chain():
    for l1, l2 in [(0.3, 0.8), (-0.5, 0.2)]:
        chain = (math.log(2 * math.cosh(l1)) + math.log(2 * math.cosh(l2))) / 2
        np.testing.assert_allclose(honeycomb_log_z(l1, l2, 0.0), chain, rtol=1e-14)


def test_limits():
    np.testing.assert_allclose(triangular_log_z(0.0), math.log(2), rtol=1e-15)
    np.testing.assert_allclose(honeycomb_log_z(0.0), math.log(2), rtol=1e-15)
    np.testing.assert_allclose(triangular_log_z(30.0), 90, rtol=1e-15)
    np.testing.assert_allclose(honeycomb_log_z(30.0), 45, rtol=1e-15)
    np.testing.assert_allclose(honeycomb_log_z(-0.4), honeycomb_log_z(0.4), rtol=1e-15)
    np.testing.assert_allclose(triangular_log_z(0.0, 0.3, 0.5), onsager_log_z(0.3, 0.5), rtol=1e-14)


@pytest.mark.parametrize("function", [triangular_log_z, honeycomb_log_z])
def test_derivatives_equal_differences(function):
    def f(k):
        return function(k[0], k[1], k[2])

    log_z, slope = jax.jit(f), jax.jit(jax.grad(f))
    hessian = jax.jit(jax.hessian(f))
    h = 1e-4
    for couplings in [(0.1, 0.2, 0.25), (0.4, 0.3, 0.2), (-0.3, -0.5, -0.4), (-1.0, -1.1, -0.9)]:
        k = jnp.array(couplings)
        for i, unit in enumerate(h * np.eye(3)):
            first = (log_z(k + unit) - log_z(k - unit)) / (2 * h)
            second = (slope(k + unit) - slope(k - unit)) / (2 * h)
            np.testing.assert_allclose(first, slope(k)[i], rtol=0, atol=2e-7)
            np.testing.assert_allclose(second, hessian(k)[i], rtol=0, atol=2e-6)


def test_second_derivative_stays_accurate_next_to_the_critical_point():
    # C diverges as a logarithm: equal steps in ln|K - K_c| give equal steps in C.
    curvature = jax.jit(jax.grad(jax.grad(triangular_log_z)))
    steps = [float(curvature(TRIANGULAR_KC + 10.0**-n)) for n in (4, 6, 8, 10)]
    np.testing.assert_allclose(np.diff(steps)[1:], np.diff(steps)[1], rtol=1e-4)
