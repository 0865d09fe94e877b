"""Wetterich's equation: published exponents, exact limits, gradients, flows."""

import functools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import rg
from physdl.errors import SettingError, UnknownNameError

# D. F. Litim, Nucl. Phys. B 631, 128 (2002), hep-th/0203006, recomputed at n = 14 (SCIENCE 5.5)
LPA = {
    "1": (0.649562, 0.655746),
    "2": (0.708211, 0.671223),
    "3": (0.761123, 0.699830),
    "4": (0.804350, 0.733700),
    "10": (0.918605, 0.871311),
}
KAPPA = {1: 1.8148985, 2: 2.583940, 3: 3.425833}


def golden():
    """The same numbers from the shared table, where there is one."""
    table = Path(__file__).parents[3] / "shared" / "golden.json"
    return json.loads(table.read_text())["LPA_d3"] if table.exists() else LPA


@functools.partial(jax.jit, static_argnames=("potential", "anomalous"))
def solved(n, dim, potential, regulator=None, anomalous="none"):
    """(nu, omega, eta, kappa, status) for vectors of N and d."""

    def one(n, dim):
        frg = rg.FunctionalRG(
            n,
            dim,
            regulator=regulator or rg.Litim(),
            potential=potential,
            anomalous=anomalous,
        )
        at = rg.fixed_point(frg, frg.guess())
        y, k = rg.exponents(frg, at).y, at.couplings
        return 1 / y[0], -y[1], frg.eta(k), frg.minimum(k), at.status

    return jax.lax.map(lambda v: one(*v), (n, dim))


def over(pairs):
    return tuple(jnp.array(column, float) for column in zip(*pairs, strict=True))


def epsilon_slopes(n):
    """d nu / d epsilon and d omega / d epsilon at d = 4 (K. G. Wilson and M. E. Fisher, 1972)."""
    return (n + 2) / (4 * (n + 8)), 1.0


@pytest.mark.parametrize("potential", [rg.AboutMinimum(14), rg.Grid()])
def test_litim(potential):
    """d = 3 against the published values, then infinite N, then the edge of four dimensions."""
    published = golden()
    exact = [(math.inf, 2.5), (math.inf, 2.8), (math.inf, 3.0), (math.inf, 3.9)]
    edge = [(1, 3.99), (4, 3.99)]
    pairs = [(int(n), 3.0) for n in published] + exact + edge
    nu, omega, eta, kappa, status = solved(*over(pairs), potential)
    assert not np.any(status) and not np.any(eta)
    m = len(published)
    np.testing.assert_allclose(
        np.stack([nu, omega], -1)[:m], np.array(list(published.values())), atol=1e-4
    )
    for i, n in enumerate(KAPPA):
        assert np.isclose(n * kappa[i], KAPPA[n], atol=1e-5)
    dims = np.array([d for _, d in exact])
    np.testing.assert_allclose(nu[m:-2], 1 / (dims - 2), atol=1e-5)
    np.testing.assert_allclose(omega[m:-2], 4 - dims, atol=1e-5)
    np.testing.assert_allclose(kappa[m:-2], 1 / (dims - 2), atol=1e-5)
    for (n, d), found, correction in zip(edge, nu[-2:], omega[-2:], strict=True):
        slopes = epsilon_slopes(n)
        assert np.isclose((found - 0.5) / (4 - d), slopes[0], atol=1e-3)
        assert np.isclose(correction / (4 - d), slopes[1], atol=1e-2)


def test_order_two_is_exact():
    """n = 2 by hand at N = 1, d = 3: kappa = 4/3 and the matrix ((-1, ...), ...) of two couplings.

    With a = lambda, v = 2 kappa a: dkappa/dl = -kappa + 3/(1 + v)^2, da/dl = a - 18 a^2/(1 + v)^3.
    """
    frg = rg.FunctionalRG(potential=rg.AboutMinimum(2))
    found = rg.fixed_point(frg, frg.guess())
    lam = float(2 * found.couplings[1] / frg.unit**2)
    assert np.isclose(found.couplings[0], 4 / 3, rtol=1e-12)

    def beta(kappa, a):
        v = 2 * kappa * a
        return np.array([kappa - 3 / (1 + v) ** 2, a - 18 * a**2 / (1 + v) ** 3])

    np.testing.assert_allclose(beta(4 / 3, lam)[1], 0, atol=1e-12)
    y = rg.exponents(frg, found).y
    np.testing.assert_allclose(1 / y[0], 0.5, rtol=1e-10)
    np.testing.assert_allclose(-y[1], 1 / 3, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "nu"), [(4, 0.65057), (6, 0.649847), (8, 0.649481), (10, 0.649576), (12, 0.649560)]
)
def test_convergence_in_the_order(order, nu):
    """SCIENCE 5.5, recomputed there from hep-th/0203006."""
    found = solved(*over([(1, 3.0)]), rg.AboutMinimum(order))
    assert np.isclose(found[0][0], nu, atol=1e-5)


@pytest.mark.slow
def test_about_zero_settles():
    """By order 8 it is within 1e-3 of nu, which the expansion about the minimum gives to 1e-5."""
    nu = [solved(*over([(1, 3.0)]), rg.AboutZero(n))[0][0] for n in (4, 6, 8)]
    errors = np.abs(np.array(nu) - LPA["1"][0])
    assert errors[2] < 1e-3 and np.all(np.diff(errors) < 0)


@pytest.mark.slow
def test_exponential_regulator():
    """Grid and polynomial agree; N = inf is regulator independent; Litim's nu is the lower bound.

    hep-th/0203006: nu of any regulator lies between that of the optimised flow and 1/(d - 2).
    """
    regulator = rg.Exponential()
    pairs = [(1, 3.0), (2, 3.0), (4, 3.0), (10, 3.0), (math.inf, 3.0)]
    grid = solved(*over(pairs), rg.Grid(), regulator)
    polynomial = solved(*over(pairs), rg.AboutMinimum(14), regulator)
    for a, b in zip(grid, polynomial, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert np.isclose(grid[0][-1], 1, atol=1e-6) and np.isclose(grid[1][-1], 1, atol=1e-6)
    lowest = np.array([LPA[str(n)][0] for n in (1, 2, 4, 10)])
    assert np.all(grid[0][:4] > lowest) and np.all(grid[0][:4] < 1)
    low = solved(*over([(1, 2.5), (10, 2.5), (math.inf, 2.5), (1, 3.9)]), rg.Grid(), regulator)
    assert not np.any(low[4])
    assert np.isclose(low[0][2], 2, atol=1e-5) and np.isclose(low[1][2], 1.5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("anomalous", ["goldstone", "radial"])
def test_anomalous_dimension_on_grid_and_polynomial(anomalous):
    """They share nothing but the thresholds: the minimum is a coupling here, a root there."""
    pairs = [(1, 3.0)] if anomalous == "radial" else [(1, 3.0), (2, 3.0), (4, 3.0), (10, 3.0)]
    grid = solved(*over(pairs), rg.Grid(), None, anomalous)
    polynomial = solved(*over(pairs), rg.AboutMinimum(14), None, anomalous)
    for a, b in zip(grid, polynomial, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert not np.any(grid[4]) and np.all(grid[2] > 0.02) and np.all(grid[2] < 0.12)


@pytest.mark.slow
@pytest.mark.parametrize("regulator", [rg.Litim(), rg.Exponential()])
@pytest.mark.parametrize("anomalous", ["none", "goldstone"])
def test_default_guess_over_dimensions(regulator, anomalous):
    """nu and omega are smooth and monotonic in d, and omega bounded by its infinite-N value."""
    dims = (2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 3.9)
    for n in (1, 3, 10):
        nu, omega, _, _, status = solved(
            *over([(n, d) for d in dims]), rg.Grid(), regulator, anomalous
        )
        assert not np.any(status)
        assert np.all(np.diff(nu) < 0) and np.all(np.diff(omega) < 0)
        assert np.all(omega < 4 - np.array(dims)) and np.all(nu < 1 / (np.array(dims) - 2))


def test_gradients_in_n_and_dimension():
    """d nu / d(N, d), through the fixed point and its anomalous dimension, by differences."""

    def nu(n, dim):
        frg = rg.FunctionalRG(n, dim, potential=rg.AboutMinimum(4), anomalous="goldstone")
        return 1 / rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y[0]

    n, dim, h = 2.0, 3.1, 1e-4
    both = jax.jit(jax.value_and_grad(nu, argnums=(0, 1)))
    differences = (
        (both(n + h, dim)[0] - both(n - h, dim)[0]) / (2 * h),
        (both(n, dim + h)[0] - both(n, dim - h)[0]) / (2 * h),
    )
    np.testing.assert_allclose(both(n, dim)[1], differences, rtol=1e-6)


@pytest.mark.slow
def test_gradients_on_the_grid():
    """The same, where the minimum is found by bisection."""

    def nu(n, dim):
        frg = rg.FunctionalRG(n, dim, anomalous="goldstone")
        return 1 / rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y[0]

    n, dim, h = 2.0, 3.0, 1e-3
    value = jax.jit(nu)
    slopes = jax.jit(jax.grad(nu, argnums=(0, 1)))(n, dim)
    differences = (
        (value(n + h, dim) - value(n - h, dim)) / (2 * h),
        (value(n, dim + h) - value(n, dim - h)) / (2 * h),
    )
    np.testing.assert_allclose(slopes, differences, rtol=1e-4)


def test_a_step_integrates_the_flow():
    """The step fixes the fixed point, and its derivative there has eigenvalues b^y."""
    frg = rg.FunctionalRG(potential=rg.AboutMinimum(2), scale=1.7)
    assert isinstance(frg, rg.RGFlow)
    found = rg.fixed_point(frg, frg.guess())

    def step(k):
        after = frg(k).couplings
        return after, after

    jacobian, after = jax.jit(jax.jacfwd(step, has_aux=True))(found.couplings)
    np.testing.assert_allclose(after, found.couplings, rtol=1e-8)
    # at rest the steps are as long as can be, and only the couplings' own error is controlled
    values = np.sort(np.linalg.eigvals(jacobian))
    np.testing.assert_allclose(values, np.sort(1.7 ** rg.exponents(frg, found).y), rtol=1e-4)


def test_heavy_modes_decouple():
    """A mass far above k grows as its dimension, u' -> b^2 u', on the grid."""
    frg = rg.FunctionalRG(potential=rg.Grid(8), scale=3.0)
    k = 1e5 * jnp.ones(8)
    np.testing.assert_allclose(jax.jit(lambda k: frg(k).couplings)(k), 9e5, rtol=1e-8)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_components": 0.5}, SettingError, "n_components=0.5"),
        ({"dim": 0}, SettingError, "dim=0"),
        ({"dim": 2}, SettingError, "dim=2"),
        ({"scale": 1}, SettingError, "scale=1"),
        ({"anomalous": "goldston"}, UnknownNameError, "goldstone"),
        ({"anomalous": "radial", "potential": rg.AboutZero()}, SettingError, "radial"),
    ],
)
def test_refusals(settings, error, message):
    with pytest.raises(error, match=message):
        rg.FunctionalRG(**settings)
