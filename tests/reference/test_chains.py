"""Chains against enumeration, quadrature over angles and mpmath's Bessel functions."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError
from physdl.reference import (
    heisenberg_chain_log_z,
    heisenberg_ring_log_z,
    potts_ring_log_z,
    ring_log_z,
    ring_log_z_of,
    xy_ring_log_z,
)


def enumerate_ring(log_weights, length):
    """ln of the sum over all q^N assignments of the product of bond weights."""
    total = 0.0
    for states in itertools.product(range(len(log_weights)), repeat=length):
        steps = zip(states, states[1:] + states[:1], strict=True)
        total += math.exp(sum(log_weights[a][b] for a, b in steps))
    return math.log(total)


def ising_log_weights(coupling, field):
    spin = np.array([1.0, -1.0])
    return coupling * np.outer(spin, spin) + field * (spin[:, None] + spin) / 2


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8])
def test_ising_ring_equals_enumeration(length):
    for k, h in itertools.product((0.7, -0.7, 0.0, -1.5), (0.0, 0.4, -0.4)):
        exact = enumerate_ring(ising_log_weights(k, h), length)
        np.testing.assert_allclose(ring_log_z(length, k, h), exact, rtol=0, atol=1e-13)


def test_frustrated_ring_loses_no_digits():
    # Z = (2 cosh K)^N + (2 sinh K)^N at 80 digits; the two terms cancel to 2N exp((N - 2)|K|).
    with mpmath.workdps(80):
        for n, k in [(3, -9.0), (7, -20.0), (101, -5.0), (5, -0.3)]:
            exact = mpmath.log((2 * mpmath.cosh(k)) ** n + (2 * mpmath.sinh(k)) ** n)
            np.testing.assert_allclose(ring_log_z(n, k), float(exact), rtol=4e-15)
            potts = exact + mpmath.mpf(n) * k
            np.testing.assert_allclose(
                potts_ring_log_z(n, 2, 2 * k), float(potts), rtol=1e-13, atol=1e-13
            )


def test_ising_ring_limits():
    np.testing.assert_allclose(ring_log_z(1000, 0.0), 1000 * math.log(2), rtol=1e-15)
    np.testing.assert_allclose(ring_log_z(1000, 200.0, 0.0), 2e5 + math.log(2), rtol=1e-15)
    np.testing.assert_allclose(ring_log_z(10, 0.3, 500.0), 5003, rtol=1e-15)
    free = 10 * math.log(2 * math.cosh(0.6))
    np.testing.assert_allclose(ring_log_z(10, 0.0, 0.6), free, rtol=1e-15)


@pytest.mark.parametrize(("coupling", "field"), [(0.5, 0.2), (-0.8, 0.3), (0.0, 0.0), (3.0, 0.0)])
def test_ising_ring_hessian_is_the_covariance(coupling, field):
    length = 7
    spins = 1 - 2 * ((np.arange(2**length)[:, None] >> np.arange(length)) & 1)
    features = np.stack([(spins * np.roll(spins, 1, axis=1)).sum(1), spins.sum(1)]).astype(float)
    weight = np.exp(np.array([coupling, field]) @ features - 3 * length)
    weight /= weight.sum()
    k = jnp.array([coupling, field])
    f = lambda k: ring_log_z(length, k[0], k[1])
    np.testing.assert_allclose(jax.jit(jax.grad(f))(k), features @ weight, rtol=0, atol=1e-12)
    covariance = np.cov(features, aweights=weight, ddof=0)
    np.testing.assert_allclose(jax.jit(jax.hessian(f))(k), covariance, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("length", "q"), [(1, 3), (2, 3), (3, 3), (5, 3), (4, 4), (5, 2), (6, 2)])
def test_potts_ring_equals_enumeration(length, q):
    for k in (0.8, 0.0, -0.8, -2.0):
        exact = enumerate_ring(k * np.eye(q), length)
        np.testing.assert_allclose(potts_ring_log_z(length, q, k), exact, rtol=0, atol=1e-13)


def test_potts_ring_at_zero_temperature_counts_colourings():
    # The chromatic polynomial of a cycle, (q-1)^N + (-1)^N (q-1).
    np.testing.assert_allclose(potts_ring_log_z(5, 3, -60.0), math.log(30), rtol=1e-15)
    np.testing.assert_allclose(potts_ring_log_z(6, 4, -60.0), math.log(732), rtol=1e-15)
    np.testing.assert_allclose(potts_ring_log_z(6, 4, 300.0), 1800 + math.log(4), rtol=1e-15)


def test_any_transfer_matrix_need_not_be_symmetric():
    log_weights = np.random.default_rng(0).normal(size=(3, 3))
    for length in (1, 2, 5, 6):
        exact = enumerate_ring(log_weights, length)
        np.testing.assert_allclose(ring_log_z_of(log_weights, length), exact, rtol=0, atol=1e-13)


def test_any_transfer_matrix_long_ring_equals_closed_forms():
    weights = jnp.asarray(ising_log_weights(0.4, 0.3))
    np.testing.assert_allclose(
        ring_log_z_of(weights, 10**6), ring_log_z(10**6, 0.4, 0.3), rtol=1e-11
    )
    np.testing.assert_allclose(
        ring_log_z_of(500.0 * jnp.eye(4), 77), potts_ring_log_z(77, 4, 500.0), rtol=1e-15
    )


def test_forbidden_steps_count_walks():
    lucas = [1, 3, 4, 7, 11, 18, 29, 47, 76, 123]
    golden_mean = jnp.array([[0.0, 0.0], [0.0, -jnp.inf]])
    for length, number in enumerate(lucas, start=1):
        np.testing.assert_allclose(jnp.exp(ring_log_z_of(golden_mean, length)), number, rtol=1e-14)
    one_way = jnp.array([[-jnp.inf, 0.0], [-jnp.inf, -jnp.inf]])
    assert ring_log_z_of(one_way, 4) == -jnp.inf


def test_gradient_of_any_transfer_matrix_is_the_mean_number_of_steps():
    log_weights = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3)))
    length, h = 6, 1e-5
    gradient = jax.jit(jax.grad(lambda w: ring_log_z_of(w, length)))(log_weights)
    np.testing.assert_allclose(gradient.sum(), length, rtol=1e-13)
    for a, b in [(0, 0), (0, 2), (2, 1)]:
        bump = h * np.eye(9)[3 * a + b].reshape(3, 3)
        difference = enumerate_ring(log_weights + bump, length) - enumerate_ring(
            log_weights - bump, length
        )
        np.testing.assert_allclose(gradient[a, b], difference / (2 * h), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("length", "k"), [(1, 0.7), (2, 1.3), (3, -1.0), (6, 20.0), (8, -50.0)])
def test_xy_ring_equals_the_sum_over_bessel_functions(length, k):
    with mpmath.workdps(40):
        modes = [(2 * mpmath.pi * mpmath.besseli(m, k)) ** length for m in range(-90, 91)]
        exact = mpmath.log(mpmath.fsum(modes))
    np.testing.assert_allclose(xy_ring_log_z(length, k), float(exact), rtol=1e-13)


def test_xy_ring_equals_the_integral_over_angles():
    theta = 2 * np.pi * np.arange(40) / 40
    a, b = theta[:, None], theta
    # Three sites, one angle fixed by symmetry.
    integrand = np.exp(0.9 * (np.cos(a) + np.cos(b) + np.cos(a - b)))
    exact = math.log(2 * math.pi * (2 * math.pi) ** 2 * integrand.mean())
    np.testing.assert_allclose(xy_ring_log_z(3, 0.9), exact, rtol=1e-14)
    np.testing.assert_allclose(xy_ring_log_z(9, 0.0), 9 * math.log(2 * math.pi), rtol=1e-14)


@pytest.mark.parametrize(("length", "k"), [(1, 0.7), (2, 1.3), (3, -1.0), (6, 20.0), (8, -50.0)])
def test_heisenberg_ring_equals_the_sum_over_spherical_bessel_functions(length, k):
    with mpmath.workdps(40):
        modes = [
            (2 * n + 1)
            * (
                4
                * mpmath.pi
                * mpmath.sqrt(mpmath.pi / (2 * abs(k)))
                * mpmath.besseli(n + 0.5, abs(k))
            )
            ** length
            * (math.copysign(1, k) ** (n * length))
            for n in range(90)
        ]
        exact = mpmath.log(mpmath.fsum(modes))
    rtol = 3e-11 if length == 1 else 1e-13
    np.testing.assert_allclose(heisenberg_ring_log_z(length, k), float(exact), rtol=rtol)


def test_heisenberg_ring_of_one_or_two_sites_is_one_integral():
    # A site bound to itself; two sites with two bonds: 4 pi * 4 pi sinh(2K)/2K.
    np.testing.assert_allclose(
        heisenberg_ring_log_z(1, 0.8), math.log(4 * math.pi) + 0.8, rtol=3e-11
    )
    exact = 2 * math.log(4 * math.pi) + math.log(math.sinh(2.6) / 2.6)
    np.testing.assert_allclose(heisenberg_ring_log_z(2, 1.3), exact, rtol=1e-14)


@pytest.mark.parametrize("k", [1e-9, 0.2, 0.49, 0.51, -0.5, 2.0, -7.0, 600.0])
def test_heisenberg_chain(k):
    with mpmath.workdps(40):
        exact = mpmath.log((4 * mpmath.pi) ** 9 * (mpmath.sinh(k) / k) ** 8)
        slope = 8 * (mpmath.coth(k) - 1 / mpmath.mpf(k))
        curvature = 8 * (1 / mpmath.mpf(k) ** 2 - mpmath.csch(k) ** 2)
    np.testing.assert_allclose(heisenberg_chain_log_z(9, k), float(exact), rtol=2e-15)
    chain = lambda x: heisenberg_chain_log_z(9, x)
    np.testing.assert_allclose(jax.grad(chain)(k), float(slope), rtol=1e-13)
    np.testing.assert_allclose(jax.grad(jax.grad(chain))(k), float(curvature), rtol=2e-12)


def test_derivatives_of_vector_rings_equal_differences():
    h = 1e-4
    for ring in (xy_ring_log_z, heisenberg_ring_log_z):
        f = jax.jit(lambda k, ring=ring: ring(6, k))
        slope, curvature = jax.jit(jax.grad(f)), jax.jit(jax.grad(jax.grad(f)))
        for k in (0.0, 1.1, -0.6):
            np.testing.assert_allclose(slope(k), (f(k + h) - f(k - h)) / (2 * h), atol=2e-7)
            second = (slope(k + h) - slope(k - h)) / (2 * h)
            np.testing.assert_allclose(curvature(k), second, atol=2e-7)


def test_float32_accuracy():
    for function in (
        lambda k: ring_log_z(20, k, k),
        lambda k: potts_ring_log_z(20, 3, k),
        lambda k: xy_ring_log_z(20, k),
        lambda k: heisenberg_ring_log_z(20, k),
        lambda k: heisenberg_chain_log_z(20, k),
    ):
        for k in (0.3, 2.0):
            single = function(np.float32(k))
            assert single.dtype == jnp.float32
            np.testing.assert_allclose(single, function(float(np.float32(k))), rtol=1e-6)


def test_refusals():
    with pytest.raises(SettingError, match="length must be an integer of at least 1, got 0"):
        ring_log_z(0, 0.3)
    with pytest.raises(SettingError, match="q must be"):
        potts_ring_log_z(4, 1, 0.3)
    with pytest.raises(ShapeError, match=r"\[q, q\], got \(2, 3\)"):
        ring_log_z_of(np.zeros((2, 3)), 4)
