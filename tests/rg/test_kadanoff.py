"""Kadanoff's map against Onsager's free energy, a sum over states, and the published exponents."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import reference, rg
from physdl.errors import ShapeError

GUESS = jnp.array([0.28, 0.14, -0.01, 0.0, 0.0])
FROM_BONDS = jnp.array([0.32, 0.11, -0.01, 0.0, 0.0])


@pytest.fixture(scope="module")
def best():
    return jax.jit(rg.best_kadanoff)(GUESS)


def square_function(k, s):
    """S of one square, spins in ring order, written out."""
    a, b, c, d = s
    pairs = k[0] / 2 * (a * b + b * c + c * d + d * a) + k[1] * (a * c + b * d)
    odd = k[3] / 4 * (a + b + c + d) + k[4] * (a * b * c + b * c * d + c * d * a + d * a * b)
    return pairs + k[2] * a * b * c * d + odd


def test_one_step_is_the_sum_over_four_spins():
    k, p = [0.3, 0.1, -0.05, 0.2, 0.02], 0.7
    step = rg.Kadanoff(p)(jnp.array(k))
    states = list(itertools.product((1, -1), repeat=4))
    for mu in states:
        total = 0.0
        for s in states:
            tie = p * np.dot(mu, s) - np.log(2 * np.cosh(p * sum(s)))
            total += np.exp(4 * square_function(k, s) + tie)
        after = square_function(np.asarray(step.couplings), mu) + 4 * float(step.log_weight)
        assert after == pytest.approx(np.log(total), rel=1e-13)


def test_published_exponents(best):
    """alpha = 0.0017 and delta = 15.04 of the square lattice (SCIENCE 5.3, there from memory)."""
    at = rg.fixed_point(best, GUESS)
    found = rg.exponents(best, at)
    assert int(at.status) == int(found.status) == 0
    y_h, y_t = found.y[:2].tolist()
    assert 2 - 2 / y_t == pytest.approx(0.0017, abs=1e-4)
    assert y_h / (2 - y_h) == pytest.approx(15.04, abs=5e-3)


def test_the_best_parameter_makes_the_bound_largest(best):
    k = rg.fixed_point(best, GUESS).couplings
    f = jax.jit(lambda p: rg.free_energy(rg.Kadanoff(p), k))
    p = float(best.parameter)
    assert abs(float(jax.grad(f)(p))) < 1e-9
    assert float(f(p)) > max(float(f(p - 0.02)), float(f(p + 0.02)))


@pytest.mark.parametrize("p", [0.2, 0.5, 0.766, 1.5])
def test_bounds_the_free_energy_from_below(p):
    """-log Z per site of the map is below Onsager's, with and without a best parameter."""
    couplings = jnp.array([0.1, 0.3, 0.43, 0.5, 1.0])
    f = jax.jit(
        jax.vmap(lambda k: rg.free_energy(rg.Kadanoff(p), jnp.zeros(5, k.dtype).at[0].set(k)))
    )(couplings)
    exact = [-float(reference.onsager_log_z(k)) for k in couplings]
    assert np.all(np.asarray(f) <= exact)


tightest = jax.jit(rg.tightest_kadanoff)


@jax.jit
def tight_bound(k):
    return rg.free_energy(rg.tightest_kadanoff(k), k)


@pytest.mark.parametrize("coupling", [0.05, 0.2, 0.4406868, 0.5, 1.0])
def test_tightest_bound(coupling):
    """Below Onsager's free energy and above all other p, the best at the fixed point among them."""
    k = jnp.zeros(5).at[0].set(coupling)
    found = float(tight_bound(k))
    others = jnp.append(jnp.linspace(0.0, 3.0, 301), 0.7659830352)
    bounds = jax.jit(jax.vmap(lambda p: rg.free_energy(rg.Kadanoff(p), k)))(others)
    assert float(jnp.max(bounds)) <= found <= -float(reference.onsager_log_z(coupling))
    assert float(jnp.max(bounds)) > found - 1e-4


def test_tightest_bound_differentiates_twice():
    k, step = jnp.array([0.3, 0.02, 0.01, 0.05, 0.01]), 1e-5 * np.eye(5)
    gradient, hessian = jax.jit(jax.grad(tight_bound)), jax.jit(jax.hessian(tight_bound))
    slopes = [(tight_bound(k + e) - tight_bound(k - e)) / 2e-5 for e in step]
    np.testing.assert_allclose(gradient(k), slopes, atol=1e-8)
    curved = np.stack([(gradient(k + e) - gradient(k - e)) / 2e-5 for e in step])
    np.testing.assert_allclose(hessian(k), curved, atol=1e-5)
    p = tightest(k).parameter
    held = jax.jit(jax.hessian(lambda k: rg.free_energy(rg.Kadanoff(p), k)))(k)
    assert np.max(np.abs(np.asarray(held) - curved)) > 1


def test_tightest_without_order():
    """An antiferromagnet gains from no tie; without couplings any small one is as good."""
    assert float(tightest(jnp.zeros(5).at[0].set(-0.3)).parameter) < 1e-12
    free = jnp.zeros(5)
    assert float(tight_bound(free)) == pytest.approx(-np.log(2), rel=1e-12)
    np.testing.assert_allclose(jax.grad(tight_bound)(free), 0, atol=1e-9)


def test_tightest_at_a_fixed_point_is_best_there(best):
    for guess in (GUESS, FROM_BONDS):
        here = jax.jit(rg.best_kadanoff)(guess)
        at = rg.fixed_point(here, guess).couplings
        assert float(tightest(at).parameter) == pytest.approx(float(here.parameter), abs=1e-7)


def test_where_critical_nearest_neighbours_flow(best):
    """Not to the published fixed point, which is unstable against K_1 other than 2 K_2."""
    published = rg.fixed_point(best, GUESS)
    k = published.couplings
    assert float(k[0] - 2 * k[1]) == pytest.approx(0, abs=1e-12)
    linear = rg.exponents(best, published)
    assert float(linear.y[2]) == pytest.approx(0.2033, abs=1e-4)
    np.testing.assert_allclose(
        np.abs(np.real(linear.right[:, 2])), [0.5**0.5, 0.5**0.5, 0, 0, 0], atol=1e-9
    )
    other = jax.jit(rg.best_kadanoff)(FROM_BONDS)
    at = rg.fixed_point(other, FROM_BONDS)
    assert float(other.parameter) == pytest.approx(0.760989, abs=1e-6)
    line = jnp.zeros(5).at[0].set(1.0)
    critical = rg.critical_point(other, lambda t: t * line, 0.1, 2.0, phase=lambda k: k[0])
    path = rg.flow(other, critical.couplings, 20).couplings
    away = jnp.max(jnp.abs(path - at.couplings[None]), axis=1)
    assert int(critical.status) == 0 and bool(jnp.all(away[1:] < 0.9 * away[:-1]))
    found = rg.exponents(other, at)
    assert float(found.y[1]) == pytest.approx(1.0175, abs=1e-4)
    assert all(kind == "irrelevant" for kind in found.kinds()[2:])


def test_no_coupling_and_strong_coupling_are_exact():
    """Without a tie free spins stay free; a strong tie keeps an ordered lattice ordered."""
    free = rg.free_energy(rg.Kadanoff(0.0), jnp.zeros(5))
    assert float(free) == pytest.approx(-np.log(2), rel=1e-12)
    cold = rg.free_energy(rg.Kadanoff(5.0), jnp.array([6.0, 0.0, 0.0, 0.1, 0.0]))
    assert float(cold) == pytest.approx(-12.1, rel=1e-9)


def test_refuses_couplings():
    with pytest.raises(ShapeError, match="K_1, K_2, K_4, h, K_3"):
        rg.Kadanoff(0.7)(jnp.ones(4))
    with pytest.raises(ShapeError, match="K_1, K_2, K_4, h, K_3"):
        rg.tightest_kadanoff(jnp.ones(3))
