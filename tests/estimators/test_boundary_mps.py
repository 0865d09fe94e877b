"""Boundary matrix products against exact methods, where rows are cut; derivatives, statuses."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_models import MODELS, hard_squares

from physdl import estimators, lattices, models, reference, spaces
from physdl.errors import PhysdlError
from physdl.estimators import BoundaryMPS, Status
from physdl.hamiltonian import Hamiltonian, Potential, Sites

BOUNDARIES = [(False, False), (True, False), (False, True), (True, True)]
each_boundary = pytest.mark.parametrize("periodic", BOUNDARIES)


def glass(lattice, field=1.0, seed=0):
    rng = np.random.default_rng(seed)
    coupling, fields = rng.normal(size=lattice.n_bonds), rng.normal(size=lattice.n_sites)
    return models.ising(lattice, jnp.asarray(coupling), jnp.asarray(field * fields))


def zero_field(lattice, seed=0):
    coupling = np.random.default_rng(seed).normal(size=lattice.n_bonds)
    return models.ising(lattice, jnp.asarray(coupling))


def agrees(h, truth, chi, **tolerances):
    found = BoundaryMPS(chi=chi)(h)
    assert float(found.log_z) == pytest.approx(float(truth), **tolerances)
    assert np.isnan(float(found.stderr))
    assert float(found.lower) == -np.inf and float(found.upper) == np.inf
    return found


@each_boundary
def test_a_glass_in_a_field_is_that_of_the_transfer_matrix(periodic):
    h = glass(lattices.square(8, 9, periodic=periodic))
    chi = 48 if all(periodic) else 24 if any(periodic) else 12
    found = agrees(h, estimators.TransferMatrix()(h).log_z, chi, rel=1e-10)
    assert Status(int(found.status)) is Status.OK


@pytest.mark.parametrize("periodic", BOUNDARIES[:3])
def test_a_large_glass_is_that_of_kac_and_ward(periodic):
    h = zero_field(lattices.square(24, 20, periodic=periodic))
    chi = 48 if any(periodic) else 20
    agrees(h, estimators.Planar()(h).log_z, chi, rel=1e-9)


@pytest.mark.parametrize(
    "length, chi", [(16, 32), *(pytest.param(n, 64, marks=pytest.mark.slow) for n in (16, 32))]
)
def test_critical_tori(length, chi):
    k = reference.square_critical_coupling()
    h = models.ising(lattices.square(length, length), k)
    bound = {(16, 32): 1e-6, (16, 64): 2e-8, (32, 64): 1e-6}[length, chi]
    agrees(h, reference.kaufman_log_z(length, length, k), chi, rel=bound)


def test_a_triangular_glass_is_that_of_kac_and_ward():
    h = zero_field(lattices.triangular(9, 8, periodic=False))
    agrees(h, estimators.Planar()(h).log_z, 24, rel=1e-10)


@pytest.mark.parametrize(
    "periodic", [b if b[0] == b[1] else pytest.param(b, marks=pytest.mark.slow) for b in BOUNDARIES]
)
def test_hard_squares_are_those_of_the_transfer_matrix(periodic):
    lattice = lattices.square(9, 8, periodic=periodic)
    exclusion = Potential([[0.0, 0.0], [0.0, np.inf]], lattice.bonds)
    activity = Sites(-0.3, np.arange(lattice.n_sites)[:, None])
    terms = {"exclusion": exclusion, "activity": activity}
    h = Hamiltonian(terms, space=spaces.BINARY, shape=lattice.shape)
    chi = 80 if all(periodic) else 24 if any(periodic) else 12
    agrees(h, estimators.TransferMatrix()(h).log_z, chi, rel=1e-9)
    cut = 24 if all(periodic) else 12
    slope, truth = (
        jax.jit(jax.grad(lambda h, e=e: e(h).log_z))(h).terms["activity"].coefficient
        for e in (BoundaryMPS(chi=cut), estimators.TransferMatrix())
    )
    assert float(slope) == pytest.approx(float(truth), rel=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "potts",
        pytest.param("blume-capel", marks=pytest.mark.slow),
        pytest.param("glass triangular", marks=pytest.mark.slow),
        "glass honeycomb",
    ],
)
def test_more_states_lose_less(name):
    truth = brute_force.log_z_of(MODELS[name])
    errors = [abs(float(BoundaryMPS(chi=c)(MODELS[name]).log_z) - truth) for c in (4, 12, 80)]
    rounding = 1e-13 * abs(truth)
    assert errors[2] <= errors[1] + rounding <= errors[0] + 2 * rounding
    assert errors[2] < 1e-6


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_low_temperatures_in_a_field_keep_their_digits(scale):
    lattice = lattices.square(10, 10, periodic=False)
    h = scale * glass(lattice)
    truth = float(estimators.TransferMatrix()(h).log_z)
    assert float(BoundaryMPS(chi=16)(h).log_z) == pytest.approx(truth, rel=1e-11)


def moved(f, x, direction, step):
    values = [f(x + k * step * direction) for k in (-2, -1, 0, 1, 2)]
    first = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
    second = -values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]
    return first, second / (12 * step**2)


@pytest.mark.parametrize(
    "periodic, chi", [pytest.param((False, False), 4, marks=pytest.mark.slow), ((True, False), 5)]
)
def test_derivatives_agree_with_differences_where_rows_are_cut(periodic, chi):
    lattice = lattices.square(5, 5, periodic=periodic)
    n = lattice.n_bonds

    def f(x):
        return BoundaryMPS(chi=chi)(models.ising(lattice, x[:n], x[n:])).log_z

    def both(x, v):
        slope = jax.grad(f)
        return slope(x) @ v, jax.jvp(slope, (x,), (v,))[1] @ v

    found, expected = jax.jit(both), jax.jit(lambda x, v: moved(f, x, v, 2e-3))
    rng = np.random.default_rng(11)
    for _ in range(20):
        x = jnp.asarray(rng.normal(size=n + lattice.n_sites))
        v = jnp.asarray(rng.normal(size=x.shape) / 4)
        (first, second), truth = found(x, v), expected(x, v)
        assert float(first) == pytest.approx(float(truth[0]), rel=1e-7, abs=1e-7)
        assert float(second) == pytest.approx(float(truth[1]), rel=1e-4, abs=1e-4)


def test_gradients_are_correlations():
    lattice = lattices.square(12, 12, periodic=False)
    h = zero_field(lattice, seed=4)
    found = jax.grad(lambda h: BoundaryMPS(chi=16)(h).log_z)(h)
    truth = jax.grad(lambda h: estimators.Planar()(h).log_z)(h)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_couplings_that_are_zero_have_their_derivative():
    lattice = lattices.square(8, 8, periodic=False)
    rng = np.random.default_rng(5)
    coupling = jnp.asarray(rng.normal(size=lattice.n_bonds) * rng.integers(0, 2, lattice.n_bonds))
    h = models.ising(lattice, coupling, 0.3)
    found = jax.grad(lambda h: BoundaryMPS(chi=12)(h).log_z)(h)
    truth = jax.grad(lambda h: estimators.TransferMatrix()(h).log_z)(h)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_batches_are_loops_and_trace_once():
    traces = []
    lattice = lattices.square(7, 6, periodic=(False, True))
    n = lattice.n_bonds

    @jax.jit
    def log_z(x):
        traces.append(1)
        return BoundaryMPS(chi=6)(models.ising(lattice, x[:n], x[n:])).log_z

    xs = jnp.asarray(np.random.default_rng(6).normal(size=(3, n + lattice.n_sites)))
    looped = [float(log_z(x)) for x in xs]
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(log_z)(xs), looped, rtol=1e-10)


def test_float32_keeps_its_digits():
    h = glass(lattices.square(9, 9, periodic=False))
    truth = float(estimators.TransferMatrix()(h).log_z)
    with jax.enable_x64(False):
        out = BoundaryMPS(chi=12)(glass(lattices.square(9, 9, periodic=False)))
        assert out.log_z.dtype == jnp.float32
        assert float(out.log_z) == pytest.approx(truth, rel=2e-6)


def test_a_cut_that_is_too_deep_is_reported():
    h = models.ising(lattices.square(12, 12), reference.square_critical_coupling())
    assert Status(int(BoundaryMPS(chi=4)(h).status)) is Status.TRUNCATED
    assert Status(int(BoundaryMPS(chi=4, tolerance=100.0)(h).status)) is Status.OK


@pytest.mark.parametrize("chi", [8, 16, 24])
def test_the_change_measures_the_error_from_above(chi):
    h = models.ising(lattices.square(10, 10), reference.square_critical_coupling())
    out = BoundaryMPS(chi=chi)(h)
    off = abs(float(out.log_z) - float(reference.kaufman_log_z(10, 10, 0.5 * np.log1p(2**0.5))))
    assert 1e-8 < off < float(out.info["change"])


@pytest.mark.parametrize("length", [3, 8])
def test_values_that_make_no_sum_are_reported(length):
    lattice = lattices.square(length, length)
    broken = BoundaryMPS(chi=16)(models.ising(lattice, np.nan, 0.1))
    assert Status(int(broken.status)) is Status.NONFINITE


def test_weights_beyond_numbers_are_reported():
    out = BoundaryMPS(chi=256)(MODELS["frozen glass"])
    assert Status(int(out.status)) is Status.PRECISION


def test_an_empty_ensemble_is_zero_and_says_so():
    forbidden = Potential(np.full((1, 2, 2), np.inf), [[0, 1]])
    pair = Sites(0.3, [[0, 1], [2, 3]])
    h = Hamiltonian({"no": forbidden, "pair": pair}, space=spaces.BINARY, shape=(2, 2))
    out = BoundaryMPS()(h)
    assert float(out.log_z) == -np.inf
    assert Status(int(out.status)) is Status.ZERO
    gradient = jax.grad(lambda h: BoundaryMPS()(h).log_z)(h)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_hard_constraints_have_finite_derivatives():
    gradient = jax.grad(lambda h: BoundaryMPS(chi=4)(h).log_z)(hard_squares(6, 5))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("settings", [{"chi": 1}, {"chi": 2.5}, {"tolerance": 0.0}])
def test_refuses_settings(settings):
    with pytest.raises(PhysdlError):
        BoundaryMPS(**settings)


@pytest.mark.parametrize("h", [models.ising(lattices.chain(8), 0.3), MODELS["mixed levels"]])
def test_refuses_what_is_no_box(h):
    with pytest.raises(PhysdlError, match="needs"):
        BoundaryMPS()(h)
