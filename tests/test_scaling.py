"""Collapse of data whose exponents are known: synthetic sets, and exact Ising strips."""

import itertools

import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError
from physdl.scaling import collapse

pytestmark = pytest.mark.slow

SIZES = np.array([[8.0], [12.0], [16.0], [24.0], [32.0]])


def ratio(z):
    return 0.6 - 0.5 * np.tanh(z / 3) + 0.05 * np.exp(-(z**2) / 8)


def peak(z):
    return 2 / (1 + z**2 / 20) + 0.3 * np.tanh(z / 3)


def synthetic(rng, f, rho, critical=2.3, nu=0.8, noise=0.01, amplitude=0.0, unit=1.0):
    t = critical + unit * np.linspace(-0.15, 0.15, 13)[None]
    z = (t - critical) / unit * SIZES ** (1 / nu)
    y = SIZES**rho * (f(z) + amplitude * SIZES**-1.0 * (1 + 0.1 * z))
    stderr = noise * SIZES**rho * np.ones_like(y)
    return t, y + stderr * rng.normal(size=y.shape), stderr, SIZES


def deviations(fits, truth):
    """(fitted - true) / stderr of several fits, [n_fits, n_exponents]."""
    means = {name: [getattr(fit, name) for fit in fits] for name in truth}
    columns = [[(m.value - truth[name]) / m.stderr for m in means[name]] for name in truth]
    return np.array(columns).T


@pytest.mark.parametrize(
    ("f", "rho", "degree", "n_sets"), [(ratio, 0.0, 8, 150), (peak, 1.75, 11, 100)]
)
def test_errors_cover(f, rho, degree, n_sets):
    """Deviations of many sets have mean square one, and one error holds two thirds of them."""
    rng = np.random.default_rng(1)
    truth = {"critical": 2.3, "nu": 0.8} | ({"rho": rho} if rho else {})
    fits = [
        collapse(*synthetic(rng, f, rho), rho=None if rho else 0.0, degree=degree)
        for _ in range(n_sets)
    ]
    d = deviations(fits, truth)
    assert np.all(np.abs(np.mean(d**2, axis=0) - 1) < 4 * np.sqrt(2 / n_sets))
    assert np.all(np.abs(np.mean(np.abs(d) < 1, axis=0) - 0.683) < 4 * 0.466 / np.sqrt(n_sets))
    assert np.all(np.abs(np.mean(d, axis=0)) < 4 / np.sqrt(n_sets))
    chi2 = np.array([fit.chi2 for fit in fits])
    n_dof = fits[0].n_dof
    assert abs(chi2.mean() - n_dof) < 4 * np.sqrt(2 * n_dof / n_sets)


@pytest.mark.parametrize(("f", "rho"), [(ratio, 0.0), (peak, 1.75)])
def test_the_degree_is_found(f, rho):
    rng = np.random.default_rng(2)
    fits = [collapse(*synthetic(rng, f, rho), rho=None if rho else 0.0) for _ in range(6)]
    d = deviations(fits, {"critical": 2.3, "nu": 0.8})
    assert np.all(np.abs(d) < 4) and np.mean(d**2) < 3
    assert all(fit.p_value > 1e-3 and fit.degree < 16 for fit in fits)


def test_a_correction_to_scaling_is_fitted():
    data = synthetic(np.random.default_rng(3), ratio, 0.0, noise=0.002, amplitude=0.5)
    plain = collapse(*data)
    fit = collapse(*data, correction=1, omega=1.0)
    assert float(plain.chi2_per_dof) > 3 > 1.5 > float(fit.chi2_per_dof)
    assert np.all(np.abs(deviations([fit], {"critical": 2.3, "nu": 0.8})) < 4)
    assert float(fit.omega.value) == 1.0 and float(fit.omega.stderr) == 0.0
    assert np.isnan(plain.omega.value)
    free = collapse(*data, correction=1, degree=fit.degree)
    assert abs(float(free.omega.value) - 1) < 4 * float(free.omega.stderr) < 4


def test_what_is_given_is_kept():
    data = synthetic(np.random.default_rng(4), peak, 1.75)
    fit = collapse(*data, nu=0.8, rho=1.75, degree=12)
    assert float(fit.nu.value) == pytest.approx(0.8) and float(fit.nu.stderr) == 0
    assert abs(float(fit.critical.value) - 2.3) < 4 * float(fit.critical.stderr)
    both = collapse(*data, critical=2.3, nu=0.8, rho=1.75, degree=12)
    assert float(both.critical.value) == 2.3 and both.n_dof == fit.n_dof + 1
    order = np.argsort(both.z)
    curve = np.asarray(both.scaled.value)[order]
    np.testing.assert_allclose(curve, peak(np.asarray(both.z)[order]), atol=0.06)


def test_units_of_t_do_not_matter():
    """A shift and a scale of t move the critical point and nothing else."""
    one = collapse(*synthetic(np.random.default_rng(5), ratio, 0.0), degree=8)
    tiny = synthetic(np.random.default_rng(5), ratio, 0.0, critical=1e-7, unit=1e-9)
    other = collapse(*tiny, degree=8)
    assert float(other.nu.value) == pytest.approx(float(one.nu.value), rel=1e-6)
    assert float(other.nu.stderr) == pytest.approx(float(one.nu.stderr), rel=1e-4)
    assert float(other.chi2) == pytest.approx(float(one.chi2), rel=1e-6)
    moved = (float(other.critical.value) - 1e-7) / 1e-9
    assert moved == pytest.approx(float(one.critical.value) - 2.3, rel=1e-4)


def strip_ratio(length, coupling):
    """xi / L of the Ising model on an infinite cylinder, from its transfer matrix."""
    s = np.array(list(itertools.product([-1.0, 1.0], repeat=length)))
    half = np.exp(0.5 * coupling * np.sum(s * np.roll(s, 1, axis=1), axis=1))
    matrix = half[:, None] * np.exp(coupling * s @ s.T) * half[None]
    below, top = np.linalg.eigvalsh(matrix)[-2:]
    return 1 / (length * np.log(top / below))


def test_exact_strips_of_the_ising_model():
    """nu = 1, K_c = log(1 + sqrt 2) / 2, and xi / L = 4 / pi there (J. L. Cardy, 1984)."""
    exact_k = np.log(1 + np.sqrt(2)) / 2
    k = exact_k + np.linspace(-0.01, 0.01, 7)
    sizes = np.arange(5.0, 10.0)[:, None]
    y = np.array([[strip_ratio(int(n[0]), v) for v in k] for n in sizes])
    fit = collapse(k[None], y, 3e-4, sizes, correction=3, omega=2.0)
    assert abs(float(fit.critical.value) - exact_k) < 1.5e-4
    assert abs(float(fit.nu.value) - 1) < 5e-3
    assert float(fit.chi2_per_dof) < 1
    critical = np.asarray(fit.scaled.value).reshape(y.shape)[:, 3]
    np.testing.assert_allclose(critical, 4 / np.pi, rtol=5e-3)
    without = collapse(k[None], y, 3e-4, sizes)
    assert float(without.chi2_per_dof) > 10 and without.p_value < 1e-6


def test_bad_input_is_named():
    t, y, stderr, size = synthetic(np.random.default_rng(6), ratio, 0.0)
    with pytest.raises(ShapeError, match="broadcast together"):
        collapse(t[:, :5], y, stderr, size)
    with pytest.raises(SettingError, match=r"standard errors are positive, got 0\.0"):
        collapse(t, y, 0.0, size)
    with pytest.raises(SettingError, match="sizes are positive"):
        collapse(t, y, stderr, -size)
    with pytest.raises(SettingError, match="finite, got a y that is not"):
        collapse(t, np.nan * y, stderr, size)
    with pytest.raises(SettingError, match="two sizes or more"):
        collapse(t, y[:1], stderr[:1], 8.0)
    with pytest.raises(SettingError, match="different values of t"):
        collapse(2.3, y, stderr, size)
    with pytest.raises(SettingError, match="nu is positive and finite, got -1"):
        collapse(t, y, stderr, size, nu=-1)
    with pytest.raises(SettingError, match="scaling function is 1 to 30, got 0"):
        collapse(t, y, stderr, size, degree=0)
    with pytest.raises(SettingError, match="correction is 0 to 16, got -1"):
        collapse(t, y, stderr, size, correction=-1)
    with pytest.raises(ShapeError, match="4 data are too few"):
        collapse(t[:, :2], y[:2, :2], stderr[:2, :2], size[:2])
