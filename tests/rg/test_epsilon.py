"""The epsilon expansion against published series, the large-N limit, and contracted tensors."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from physdl import rg
from physdl.errors import SettingError, ShapeError

Z3, Z4, Z5 = 1.2020569031595943, math.pi**4 / 90, 1.0369277551433699


def published(n):
    """y_t, omega and eta to eps^4, closed forms in N, series of hep-th/9503230 as recalled."""
    m, a, b = n + 8, 5 * n + 22, 2 * n**2 + 55 * n + 186
    third = 3 * n**3 - 452 * n**2 - 2672 * n - 5312 + Z3 * m * 96 * a
    fourth = 3 * n**5 + 398 * n**4 - 12900 * n**3 - 81552 * n**2 - 219968 * n - 357120
    fourth += Z3 * m * 16 * (3 * n**4 - 194 * n**3 + 148 * n**2 + 9472 * n + 19488)
    fourth += Z4 * m**3 * 288 * a - Z5 * m**2 * 1280 * b
    y_t = [
        2,
        -(n + 2) / m,
        -(n + 2) * (13 * n + 44) / (2 * m**3),
        (n + 2) * third / (8 * m**5),
        (n + 2) * fourth / (32 * m**7),
    ]
    third = 33 * n**3 + 538 * n**2 + 4288 * n + 9568 + Z3 * m * 96 * a
    fourth = 5 * n**5 - 1488 * n**4 - 46616 * n**3 - 419528 * n**2 - 1750080 * n - 2599552
    fourth += -Z3 * m * 96 * (63 * n**3 + 548 * n**2 + 1916 * n + 3872)
    fourth += Z4 * m**3 * 288 * a - Z5 * m**2 * 1920 * b
    omega = [0, 1, -3 * (3 * n + 14) / m**2, third / (4 * m**4), fourth / (16 * m**6)]
    fourth = -5 * n**4 - 230 * n**3 + 1124 * n**2 + 17920 * n + 46144 - Z3 * m * 384 * a
    eta = [
        0,
        0,
        (n + 2) / (2 * m**2),
        (n + 2) * (-(n**2) + 56 * n + 272) / (8 * m**4),
        (n + 2) * fourth / (32 * m**6),
    ]
    return y_t, omega, eta


@pytest.mark.parametrize("n", [-3.0, 0.0, 1.0, 2.0, 3.0, 7.5])
def test_series_are_the_published_ones(n):
    found = rg.epsilon_series(n)
    for series, expected in zip((found.y_t, found.omega, found.eta), published(n), strict=True):
        np.testing.assert_allclose(series, expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(jnp.convolve(found.nu, found.y_t)[:5], [1, 0, 0, 0, 0], atol=1e-14)


def large_n_eta(epsilon):
    """eta_1 of eta = eta_1 / N, exact in d (S.-K. Ma, Rev. Mod. Phys. 45, 589 (1973))."""
    d = 4 - epsilon
    top = 4 * mpmath.gamma(d - 2) * mpmath.sin(mpmath.pi * d / 2)
    return top * mpmath.rgamma(d / 2 + 1) * mpmath.rgamma(d / 2 - 2) / mpmath.pi


def test_large_n_to_four_loops():
    """eta = eta_1 / N and 1 / nu = d - 2 + 2 (d - 1) (d - 2) eta_1 / ((4 - d) N), exact in d.

    At d = 3 these are 8 / (3 pi^2) and 1 + 32 / (3 pi^2 N).
    """
    assert float(large_n_eta(1)) == pytest.approx(8 / (3 * math.pi**2), rel=1e-12)
    exact = np.array(mpmath.taylor(large_n_eta, 0, 5), dtype=float)
    n = 1e7
    series = rg.epsilon_series(n)
    np.testing.assert_allclose(n * series.eta, exact[:5], atol=1e-5)
    factor = np.convolve([6.0, -2.0], [2.0, -1.0])
    expected = np.convolve(factor, exact[1:])[:5]
    shift = jnp.array([2.0, -1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(n * (series.y_t - shift), expected, atol=1e-4)


@pytest.mark.parametrize("loops", [1, 2, 3, 4])
def test_two_less_than_zero_components_are_free(loops):
    series = rg.epsilon_series(-2.0, loops)
    np.testing.assert_allclose(series.eta, 0, atol=1e-15)
    np.testing.assert_allclose(series.nu, [0.5] + [0] * loops, atol=1e-15)


def test_numbers_of_the_table():
    """SCIENCE 5.6 at eps = 1, N = 1 to 4."""
    table = {
        ("nu", 1): [0.6, 0.625, 0.647059, 0.666667],
        ("nu", 2): [0.645418, 0.684932, 0.719654, 0.75],
        ("eta", 2): [0.018519, 0.02, 0.020661, 0.020833],
        ("eta", 3): [0.037209, 0.039, 0.039060, 0.038194],
    }
    for (name, loops), expected in table.items():
        for n, value in zip((1.0, 2.0, 3.0, 4.0), expected, strict=True):
            series = rg.epsilon_series(n, loops)
            found = 1 / jnp.sum(series.y_t) if name == "nu" else jnp.sum(series.eta)
            assert float(found) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("loops", [1, 2, 3, 4])
def test_exponents_of_the_flow_are_the_series(loops):
    """At small eps the zero of the truncated beta function is the series up to eps^(loops + 1)."""
    eps, n = 0.01, 2.0
    flow = rg.EpsilonExpansion(n=n, epsilon=eps, loops=loops)
    at = rg.fixed_point(flow, jnp.array([0.0, 0.0, 3 * eps / (n + 8)]))
    found = rg.exponents(flow, at)
    assert int(at.status) == int(found.status) == 0
    series = rg.epsilon_series(n, loops)
    sums = [float(jnp.polyval(c[::-1], eps)) for c in (series.eta, series.y_t, series.omega)]
    expected = [(6 - eps - sums[0]) / 2, sums[1], -sums[2]]
    np.testing.assert_allclose(found.y, expected, atol=20 * eps ** (loops + 1))


def test_one_loop_flow_in_its_normal_form():
    """g = (N + 8) u / 3: dg/dl = eps g - g^2, dr/dl = 2 r - (N + 2) / (N + 8) g r (SCIENCE 5.6)."""
    n, eps, g, r, h = 3.0, 0.7, 0.4, 0.2, 0.1
    flow = rg.EpsilonExpansion(n=n, epsilon=eps, loops=1, scale=1.8)
    u = 3 * g / (n + 8)
    beta = flow.beta(jnp.array([h, r, u]))
    expected = [
        (6 - eps) / 2 * h,
        2 * r - (n + 2) / (n + 8) * g * r,
        3 / (n + 8) * (eps * g - g**2),
    ]
    np.testing.assert_allclose(beta, expected, rtol=1e-14)
    after = flow(jnp.array([h, r, u])).couplings
    growth = np.exp(eps * np.log(1.8))
    logistic = eps * g * growth / (eps + g * (growth - 1))
    assert float(after[2]) == pytest.approx(3 * logistic / (n + 8), rel=1e-9)
    assert float(after[0]) == pytest.approx(h * 1.8 ** ((6 - eps) / 2), rel=1e-9)


def test_flow_is_differentiable_in_n():
    slope = jax.grad(lambda n: jnp.sum(rg.epsilon_series(n, 3).eta))(2.0)
    step = [float(jnp.sum(rg.epsilon_series(2.0 + d, 3).eta)) for d in (1e-5, -1e-5)]
    assert float(slope) == pytest.approx((step[0] - step[1]) / 2e-5, rel=1e-8)


def tensor(n, u, v):
    """lambda_ijkl of u (phi^2)^2 / 4! + v sum phi_i^4 / 4!."""
    d = np.eye(n)
    pairs = [np.einsum(e, d, d) for e in ("ij,kl->ijkl", "ik,jl->ijkl", "il,jk->ijkl")]
    four = np.einsum("ia,ja,ka,la->ijkl", d, d, d, d)
    return u / 3 * sum(pairs) + v * four


def symmetrised(t):
    return sum(np.transpose(t, p) for p in itertools.permutations(range(4))) / 24


def general_functions(t, loops):
    """beta, 2 gamma_phi and gamma of r of a general quartic coupling, to two loops.

    From beta_V = V_ij V_ij / 2 - V_ij V_ikl V_jkl / 2 + phi_i gamma_ij V_j for a potential V, with
    gamma_ij = lambda_iklm lambda_jklm / 12 (I. Jack and H. Osborn, Nucl. Phys. B 343, 647 (1990)).
    """
    beta = 3 * symmetrised(np.einsum("ijmn,mnkl->ijkl", t, t))
    mass = np.einsum("ijkk->ij", t)
    field = np.zeros_like(mass)
    if loops == 2:
        pair = np.einsum("iklm,jklm->ij", t, t)
        field = pair / 12
        beta = beta - 6 * symmetrised(np.einsum("ijmn,mkpq,nlpq->ijkl", t, t, t))
        beta = beta + 4 * symmetrised(np.einsum("im,mjkl->ijkl", field, t))
        mass = mass - pair + 2 * field
    return beta, 2 * field, mass


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize("u, v", [(0.3, 0.0), (0.2, 0.5), (0.4, -0.3)])
def test_functions_are_contractions_of_the_coupling_tensor(n, loops, u, v):
    beta, eta, gamma = general_functions(tensor(n, u, v), loops)
    flow = rg.EpsilonExpansion(n=float(n), epsilon=0.0, loops=loops, cubic=True)
    found = flow.beta(jnp.array([1.0, 1.0, u, v]))
    own_u = 3 * beta[0, 0, 1, 1]
    np.testing.assert_allclose(
        -found[2:], [own_u, beta[0, 0, 0, 0] - own_u], rtol=1e-12, atol=1e-14
    )
    assert float(6 - 2 * found[0]) == pytest.approx(eta[0, 0], rel=1e-10, abs=1e-13)
    assert float(2 - found[1]) == pytest.approx(gamma[0, 0], rel=1e-12)
    if v == 0:
        plain = rg.EpsilonExpansion(n=float(n), epsilon=0.0, loops=loops)
        np.testing.assert_allclose(plain.beta(jnp.array([1.0, 1.0, u])), found[:3], rtol=1e-13)


def test_cubic_fixed_points_at_one_loop():
    """Gaussian, Ising, O(N), cubic: u = eps / N, v = eps (N - 4) / (3 N) (A. Aharony 1973)."""
    n, eps = 3.0, 0.1
    flow = rg.EpsilonExpansion(n=n, epsilon=eps, loops=1, cubic=True)
    for u, v, omegas in [
        (0.0, eps / 3, (-eps, eps / 3)),
        (3 * eps / (n + 8), 0.0, (-eps, -eps * (4 - n) / (n + 8))),
        (eps / n, eps * (n - 4) / (3 * n), (-eps, eps * (4 - n) / (3 * n))),
    ]:
        at = rg.fixed_point(flow, jnp.array([0.0, 0.0, u + 1e-4, v - 1e-4]))
        np.testing.assert_allclose(at.couplings[2:], [u, v], atol=1e-10)
        found = np.sort(np.asarray(rg.exponents(flow, at).y)[2:])
        np.testing.assert_allclose(found, np.sort(omegas), atol=1e-9)


@pytest.mark.parametrize("loops, has_zero", [(1, True), (2, False), (3, True), (4, False)])
def test_even_loops_have_no_fixed_point_at_eps_one(loops, has_zero):
    flow = rg.EpsilonExpansion(n=1.0, epsilon=1.0, loops=loops)
    u = jnp.linspace(1e-3, 10, 2000)
    beta = jax.vmap(lambda u: flow.beta(jnp.zeros(3, u.dtype).at[2].set(u))[2])(u)
    assert bool(jnp.any(beta < 0)) == has_zero


def test_refusals():
    with pytest.raises(SettingError, match="loops=5"):
        rg.EpsilonExpansion(loops=5)
    with pytest.raises(SettingError, match="cubic anisotropy are known here to 2"):
        rg.EpsilonExpansion(loops=3, cubic=True)
    with pytest.raises(SettingError, match="scale=1"):
        rg.EpsilonExpansion(scale=1.0)
    with pytest.raises(ShapeError, match=r"\[h, r, u\]"):
        rg.EpsilonExpansion().beta(jnp.ones(4))
    with pytest.raises(SettingError, match="1 to 4"):
        rg.epsilon_series(1, 0)
