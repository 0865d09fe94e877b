"""Lattice phi^4 against direct quadrature, Gaussian determinants and tabulated values."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.reference import phi4_log_z, phi4_single_site_log_z

# (side, lambda, nodes): ln Z at m^2 = -4, from an independent program that stopped at that many
# nodes; the values of lambda are those of Albergo, Kanwar and Shanahan, Phys. Rev. D 100, 034515
# (2019). The value at (2, 6.975) is also that of a direct integral over four sites.
LOG_Z = {
    (2, 6.975, 12): 1.173184710778,
    (3, 6.975, 12): 1.969824275117,
    (4, 6.975, 12): 3.218328922879,
    (4, 6.008, 10): 4.20823266016,
    (4, 5.550, 10): 4.79851688432,
    (4, 5.276, 10): 5.20640711754,
}


@pytest.mark.parametrize(
    ("r", "u"), [(0.0, 0.7), (1.3, 0.2), (-2.0, 0.5), (-8.0, 0.3), (6.0, 1e-3)]
)
def test_single_site_equals_quadrature(r, u):
    top = r * r / (4 * u) if r < 0 else 0.0
    weight = lambda x: mpmath.exp(-r * x**2 - u * x**4 - top)
    reach = 4 + 2 * math.sqrt(max(0.0, -r / (2 * u)))
    integral = 2 * mpmath.quad(weight, np.linspace(0, 2 * reach, 12).tolist())
    exact = float(mpmath.log(integral)) + top
    np.testing.assert_allclose(phi4_single_site_log_z(r, u), exact, rtol=1e-13, atol=1e-13)


def test_single_site_gaussian():
    assert math.isclose(phi4_single_site_log_z(2.0, 0.0), math.log(math.pi / 2) / 2, rel_tol=1e-15)
    np.testing.assert_allclose(
        phi4_single_site_log_z(2.0, 1e-9), math.log(math.pi / 2) / 2, rtol=1e-8
    )


def enumerate_field(shape, r, u, gradient, step=0.16, reach=2.6):
    """ln Z by the trapezoid rule on every site, bond by bond: slow and independent."""
    x = np.arange(-reach, reach + step / 2, step)
    sites = list(itertools.product(*map(range, shape)))
    axes = {
        site: np.expand_dims(x, [a for a in range(len(sites)) if a != i])
        for i, site in enumerate(sites)
    }
    energy = np.zeros((1,) * len(sites))
    for site in sites:
        energy = energy + r * axes[site] ** 2 + u * axes[site] ** 4
        for axis in range(len(shape)):
            neighbour = tuple((s + (a == axis)) % shape[a] for a, s in enumerate(site))
            energy = energy + gradient * (axes[site] - axes[neighbour]) ** 2
    return math.log(np.exp(-energy).sum() * step ** len(sites))


@pytest.mark.parametrize(
    ("shape", "gradient"),
    [((1,), 1.0), ((2,), 1.0), ((3,), 0.5), ((4,), 1.0), ((1, 3), 1.0), ((2, 2), 1.0)],
)
def test_equals_the_integral_over_every_site(shape, gradient):
    exact = enumerate_field(shape, -4.0, 6.975, gradient)
    value = phi4_log_z(shape, -4.0, 6.975, gradient, n_nodes=16)
    np.testing.assert_allclose(value.log_z, exact, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("case", "exact"), LOG_Z.items())
def test_tabulated_values(case, exact):
    side, u, n_nodes = case
    value = phi4_log_z((side, side), -4.0, u, n_nodes=n_nodes)
    np.testing.assert_allclose(value.log_z, exact, rtol=0, atol=6e-12)


def test_default_number_of_nodes_is_enough_for_eleven_digits():
    # 14 nodes on the 4 x 4 torus at the weakest of the couplings above.
    value = phi4_log_z((4, 4), -4.0, 5.276)
    np.testing.assert_allclose(value.log_z, 5.2064071177538, rtol=0, atol=1e-12)
    assert 1e-10 < value.error < 3e-10


def gaussian_log_z(shape, r, gradient):
    """(N/2) ln pi - 1/2 sum over momenta of ln(r + g sum of 2 - 2 cos p)."""
    momenta = [2 - 2 * np.cos(2 * np.pi * np.arange(side) / side) for side in shape]
    operator = r + gradient * sum(np.meshgrid(*momenta, indexing="ij"))
    return math.prod(shape) / 2 * math.log(math.pi) - np.log(operator).sum() / 2


@pytest.mark.parametrize("shape", [(1,), (7,), (200,), (2, 2), (3, 5), (2, 9)])
def test_free_field_is_a_determinant(shape):
    value = phi4_log_z(shape, 1.0, 0.0, 0.3, n_nodes=40 if len(shape) == 1 else 20)
    np.testing.assert_allclose(value.log_z, gaussian_log_z(shape, 1.0, 0.3), rtol=1e-11)


def test_decoupled_sites():
    for shape in [(5,), (3, 4)]:
        one = phi4_single_site_log_z(-3.0, 2.0)
        np.testing.assert_allclose(
            phi4_log_z(shape, -3.0, 2.0, 0.0).log_z, math.prod(shape) * one, rtol=1e-13
        )


def test_error_estimate_covers_what_is_left():
    best = phi4_log_z((3, 3), -4.0, 5.0, n_nodes=16).log_z
    for n_nodes in (5, 6, 8, 10):
        value = phi4_log_z((3, 3), -4.0, 5.0, n_nodes=n_nodes)
        assert abs(value.log_z - best) < value.error


def test_rows_and_columns_exchange():
    one, other = phi4_log_z((2, 5), -4.0, 6.975), phi4_log_z((5, 2), -4.0, 6.975)
    assert one == other
    # The same torus with the long side as the row of the transfer matrix.
    assert phi4_log_z((3, 4), -4.0, 6.975).error < 1e-9


def test_refusals():
    with pytest.raises(ShapeError, match="no transfer matrix"):
        phi4_log_z((2, 2, 2), -4.0, 6.0)
    with pytest.raises(TooLargeError, match="use fewer nodes or a shorter side"):
        phi4_log_z((8, 8), -4.0, 6.0)
    with pytest.raises(SettingError, match="not integrable"):
        phi4_log_z((4,), -1.0, 0.0)
    with pytest.raises(SettingError, match="n_nodes"):
        phi4_log_z((4,), 1.0, 1.0, n_nodes=0)
    with pytest.raises(SettingError, match="gradient"):
        phi4_log_z((4,), 1.0, 1.0, -1.0)
