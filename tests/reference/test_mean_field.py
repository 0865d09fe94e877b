"""Curie-Weiss against enumeration and large N; the Bethe lattice against recursion and limits."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from physdl.errors import SettingError
from physdl.reference import (
    bethe_critical_coupling,
    bethe_log_z,
    bethe_magnetisation,
    bethe_potts_spinodal_coupling,
    curie_weiss_log_z,
    curie_weiss_log_z_per_site,
    curie_weiss_magnetisation,
    ring_log_z,
)


@pytest.mark.parametrize("n_sites", [1, 2, 7, 10])
def test_curie_weiss_equals_enumeration(n_sites):
    spins = 1 - 2 * ((np.arange(2**n_sites)[:, None] >> np.arange(n_sites)) & 1)
    total = spins.sum(1)
    for k, h in [(0.7, 0.2), (1.5, 0.0), (-0.8, 0.3), (0.0, 0.0)]:
        exact = math.log(np.exp(k * total**2 / (2 * n_sites) + h * total).sum())
        np.testing.assert_allclose(curie_weiss_log_z(n_sites, k, h), exact, rtol=0, atol=1e-13)


def test_curie_weiss_pairs_alone_differ_by_half_the_coupling():
    # Three sites with coupling K/3 on each of their three pairs.
    k = 0.9
    pairs_only = math.log(2 * math.exp(k) + 6 * math.exp(-k / 3))
    np.testing.assert_allclose(curie_weiss_log_z(3, k), pairs_only + k / 2, rtol=1e-14)


@pytest.mark.parametrize(
    ("k", "h"), [(0.5, 0.0), (1.2, 0.0), (1.2, 0.1), (0.9, -0.3), (-0.7, 0.4), (3.0, -0.2)]
)
def test_curie_weiss_limit_is_the_maximum_over_the_magnetisation(k, h):
    def minus_exponent(m):
        entropy = -(1 + m) / 2 * math.log((1 + m) / 2) - (1 - m) / 2 * math.log((1 - m) / 2)
        return -(k * m**2 / 2 + h * m + entropy)

    side = -1 if h < 0 else 1
    bounds = (-1 + 1e-12, 0) if side < 0 else (0, 1 - 1e-12)
    best = minimize_scalar(
        minus_exponent, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    )
    np.testing.assert_allclose(curie_weiss_log_z_per_site(k, h), -best.fun, rtol=0, atol=1e-14)
    np.testing.assert_allclose(curie_weiss_magnetisation(k, h), best.x, rtol=0, atol=3e-6)
    m = float(curie_weiss_magnetisation(k, h))
    assert math.isclose(m, math.tanh(k * m + h), abs_tol=2e-16)


def test_curie_weiss_finite_size_approaches_the_limit():
    for k, h in [(0.6, 0.0), (0.8, 0.3)]:
        # Gaussian fluctuations: ln Z - N ln z -> -ln(1 - K (1 - m^2)) / 2.
        m = float(curie_weiss_magnetisation(k, h))
        correction = -math.log(1 - k * (1 - m**2)) / 2
        n = 20_000
        excess = curie_weiss_log_z(n, k, h) - n * curie_weiss_log_z_per_site(k, h)
        np.testing.assert_allclose(excess, correction, rtol=0, atol=2e-4)


def test_curie_weiss_derivatives_through_the_self_consistency():
    f = lambda x: curie_weiss_log_z_per_site(x[0], x[1])
    gradient, hessian = jax.jit(jax.grad(f)), jax.jit(jax.hessian(f))
    for k, h in [(0.7, 0.0), (1.3, 0.0), (1.3, 0.2), (0.5, -0.4)]:
        m = float(curie_weiss_magnetisation(k, h))
        np.testing.assert_allclose(gradient(jnp.array([k, h])), [m**2 / 2, m], atol=1e-14)
        chi = (1 - m**2) / (1 - k * (1 - m**2))
        exact = chi * np.array([[m * m, m], [m, 1]])
        np.testing.assert_allclose(hessian(jnp.array([k, h])), exact, rtol=1e-11, atol=1e-14)
    # The second derivative of m itself, which needs both Newton steps.
    curvature = jax.grad(jax.grad(curie_weiss_magnetisation, argnums=1), argnums=1)(0.8, 0.3)
    m = curie_weiss_magnetisation
    difference = (m(0.8, 0.301) - 2 * m(0.8, 0.3) + m(0.8, 0.299)) / 1e-6
    np.testing.assert_allclose(curvature, difference, rtol=2e-5)


def test_curie_weiss_critical_behaviour():
    for k in (0.0, 0.9, 1.0):
        assert curie_weiss_magnetisation(k) == 0
    # m^2 = 3 (K - 1) + O((K - 1)^2), and m^3 = 3 h at K = 1.
    np.testing.assert_allclose(curie_weiss_magnetisation(1 + 1e-6), math.sqrt(3e-6), rtol=1e-5)
    np.testing.assert_allclose(curie_weiss_magnetisation(1.0, 1e-9), 3e-9 ** (1 / 3), rtol=1.0e-5)
    assert curie_weiss_magnetisation(1.5, -1e-3) < -0.8


def bethe_recursion(z, k, h, start):
    """Effective field of a branch after many generations of a tree with fixed leaves."""
    u = start
    for _ in range(20_000):
        g = h + (z - 1) * u
        u = math.atanh(math.tanh(k) * math.tanh(g))
    return math.tanh(h + z * u)


@pytest.mark.parametrize(
    ("z", "k", "h"), [(3, 0.7, 0.0), (4, 0.4, 0.1), (3, 0.3, 0.2), (6, 0.25, -0.05), (3, 0.56, 0.0)]
)
def test_bethe_magnetisation_is_that_of_the_centre_of_a_tree(z, k, h):
    start = math.copysign(k, h)
    exact = bethe_recursion(z, k, h, start)
    np.testing.assert_allclose(bethe_magnetisation(z, k, h), exact, rtol=1e-12)


def test_bethe_with_two_neighbours_is_the_infinite_chain():
    for k, h in [(0.5, 0.0), (0.7, 0.3), (1.2, -0.2)]:
        chain = math.log(
            math.exp(k) * math.cosh(h)
            + math.sqrt(math.exp(2 * k) * math.sinh(h) ** 2 + math.exp(-2 * k))
        )
        np.testing.assert_allclose(bethe_log_z(2, k, h), chain, rtol=1e-14)
    np.testing.assert_allclose(
        jax.grad(bethe_log_z, argnums=2)(2, 0.7, 0.3),
        jax.grad(lambda h: ring_log_z(2000, 0.7, h) / 2000)(0.3),
        rtol=1e-12,
    )


def test_bethe_with_many_neighbours_is_curie_weiss():
    z = 10**6
    for k, h in [(1.3, 0.1), (0.6, 0.2)]:
        np.testing.assert_allclose(
            bethe_magnetisation(z, k / z, h), curie_weiss_magnetisation(k, h), rtol=1e-5
        )
        np.testing.assert_allclose(
            bethe_log_z(z, k / z, h), curie_weiss_log_z_per_site(k, h), rtol=1e-5
        )


def test_bethe_derivatives_are_magnetisation_and_bond_energy():
    for z, k, h in [(3, 0.7, 0.0), (4, 0.3, 0.2), (4, 0.5, -0.3)]:
        slope = jax.grad(bethe_log_z, argnums=2)(z, k, h)
        expected = bethe_magnetisation(z, k, h)
        np.testing.assert_allclose(slope, expected if h else abs(expected), rtol=1e-12)
        # <s s'> of a bond between two branches with field g each.
        u = float(jnp.arctanh(bethe_magnetisation(z, k, h)) - h) / z
        g = h + (z - 1) * u
        like, unlike = math.exp(k) * math.cosh(2 * g), math.exp(-k)
        bond = (like - unlike) / (like + unlike)
        np.testing.assert_allclose(
            jax.grad(bethe_log_z, argnums=1)(z, k, h), z / 2 * bond, rtol=1e-11
        )


def test_bethe_critical_coupling_is_where_order_begins():
    for z in (3, 4, 6):
        k = bethe_critical_coupling(z)
        assert math.isclose((z - 1) * math.tanh(k), 1, rel_tol=1e-14)
        assert bethe_magnetisation(z, k - 1e-9) == 0
        assert bethe_magnetisation(z, k + 1e-9) > 1e-5
        assert math.isclose(bethe_potts_spinodal_coupling(z, 2), 2 * k, rel_tol=1e-14)


@pytest.mark.parametrize(("z", "q"), [(3, 3), (4, 5)])
def test_potts_spinodal_is_where_a_small_order_neither_grows_nor_decays(z, q):
    k = bethe_potts_spinodal_coupling(z, q)
    cavity = np.full(q, 1 / q)
    cavity[0] += 1e-6
    cavity /= cavity.sum()
    message = np.exp(k * np.eye(q)) @ cavity
    new = message ** (z - 1) / (message ** (z - 1)).sum()
    np.testing.assert_allclose((new[0] - 1 / q) / (cavity[0] - 1 / q), 1, rtol=1e-5)


def test_float32_accuracy():
    for function in (
        lambda k: curie_weiss_log_z(100, k, k),
        lambda k: curie_weiss_log_z_per_site(k, k),
        lambda k: bethe_log_z(3, k, k),
    ):
        single = function(np.float32(0.7))
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, function(float(np.float32(0.7))), rtol=1e-6)


def test_refusals():
    with pytest.raises(SettingError, match="coordination must be an integer of at least 3, got 2"):
        bethe_critical_coupling(2)
    with pytest.raises(SettingError, match="n_sites"):
        curie_weiss_log_z(0, 0.3)
