"""Corner transfer matrices against exact solutions, a transfer matrix, and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, reference, tensors
from physdl.errors import PhysdlError

CRITICAL = float(reference.square_critical_coupling())
both = pytest.mark.parametrize("symmetric", [True, False])


def ising(coupling, field=0.0):
    return tensors.bulk(models.ising(lattices.square(2, 2), coupling, field))


def hard_squares(log_activity):
    """Bond tensors: two particles are never neighbours."""
    root = jnp.exp(jnp.asarray(log_activity) / 2)
    end = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    other = jnp.array([[1.0, 1.0], [1.0, 0.0]])
    weight = jnp.stack([jnp.ones_like(root), root**2])
    return jnp.einsum("s,sl,rs,su,ds->lrud", weight, end, other, end, other)


@both
@pytest.mark.parametrize("coupling", [0.2, 0.35, 0.5, 0.7])
def test_is_onsager_away_from_the_critical_point(symmetric, coupling):
    found = tensors.CTMRG(chi=20, symmetric=symmetric)(ising(coupling))
    assert bool(found.converged)
    truth = float(reference.onsager_log_z(coupling))
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-13)


def test_an_antiferromagnet_is_a_ferromagnet():
    found = tensors.CTMRG(chi=16)(ising(-0.5))
    truth = float(reference.onsager_log_z(0.5))
    assert bool(found.converged)
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-12)


def test_at_the_critical_point():
    settings = tensors.CTMRG(chi=24, symmetric=True, tolerance=1e-6, max_steps=1000)
    found = settings(ising(CRITICAL))
    truth = float(reference.onsager_log_z(CRITICAL))
    assert abs(float(found.log_z_per_tensor) / truth - 1) <= 6e-8
    assert not bool(found.converged)
    assert not bool(found.cut)


def test_couplings_of_two_directions():
    found = tensors.CTMRG(chi=24)(ising([0.3, 0.5]))
    truth = float(reference.onsager_log_z(0.3, 0.5))
    assert bool(found.converged)
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-12)


def test_plaquettes_of_a_triangular_lattice():
    couplings = (0.1, 0.3, -0.2)
    lattice = lattices.triangular(4, 4)
    bulk = tensors.bulk(models.ising(lattice, list(couplings)))
    boundary = tensors.bulk(models.ising(lattice, list(couplings), 1.0))
    found = tensors.CTMRG(chi=8)(bulk, boundary)
    assert bool(found.converged)
    truth = float(reference.triangular_log_z(*couplings))
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-9)


def test_plaquettes_bind_the_ends_of_the_default_boundary():
    """The environment is a sum of two equal ones, each with half of the states, and is not
    unique."""
    lattice = lattices.triangular(4, 4)
    bulk, boundary = (tensors.bulk(models.ising(lattice, 0.2, field)) for field in (0.0, 1.0))
    found = tensors.CTMRG(chi=16, max_steps=60)(bulk)
    half = tensors.CTMRG(chi=8)(bulk, boundary)
    assert float(found.log_z_per_tensor) == pytest.approx(float(half.log_z_per_tensor), rel=1e-13)
    assert not bool(found.converged)


def test_hard_squares_at_unit_activity():
    """The entropy constant of hard squares, kappa = 1.5030480824753322643..., R. J. Baxter,
    Annals of Combinatorics 3, 191 (1999)."""
    found = tensors.CTMRG(chi=24)(hard_squares(0.0))
    assert bool(found.converged)
    assert float(jnp.exp(found.log_z_per_tensor)) == pytest.approx(1.5030480824753322643, rel=1e-13)


def test_three_state_potts_obeys_duality():
    """Z(K) = q^(-1) (e^K - 1)^2 Z(K*) per site (R. B. Potts, Proc. Camb. Phil. Soc. 48, 106
      (1952)):
    in logarithms ln z(K) - ln z(K*) = 2 ln (e^K - 1) - ln q."""
    coupling = 0.9
    dual = reference.potts_dual_coupling(coupling, 3)
    values = [
        tensors.CTMRG(chi=30, symmetric=True)(
            tensors.bulk(models.potts(lattices.square(2, 2), 3, k))
        ).log_z_per_tensor
        for k in (coupling, dual)
    ]
    expected = 2 * np.log(np.expm1(coupling)) - np.log(3)
    assert float(values[0] - values[1]) == pytest.approx(expected, abs=1e-10)


def test_critical_potts():
    k = reference.potts_square_critical_coupling(3)
    bulk = tensors.bulk(models.potts(lattices.square(2, 2), 3, k))
    found = tensors.CTMRG(chi=24, symmetric=True, max_steps=500)(bulk)
    truth = reference.potts_critical_log_z(3)
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=2e-6)


def test_square_ice():
    """E. H. Lieb, Phys. Rev. Lett. 18, 692 (1967): (3/2) ln (4/3)."""
    found = tensors.CTMRG(chi=12, max_steps=150)(tensors.six_vertex(1.0, 1.0, 1.0))
    assert float(found.log_z_per_tensor) == pytest.approx(1.5 * np.log(4 / 3), rel=1e-4)


@both
def test_yang_magnetisation_and_correlation_length(symmetric):
    coupling = 0.5
    spin = ising_impurity(coupling)
    broken = tensors.CTMRG(chi=24, symmetric=symmetric)(ising(coupling), ising(coupling, 0.1))
    assert bool(broken.converged)
    assert float(broken.expectation(spin)) == pytest.approx(
        float(reference.yang_magnetisation(coupling)), rel=1e-10
    )
    even = tensors.CTMRG(chi=24, symmetric=symmetric)(ising(coupling))
    assert abs(float(even.expectation(spin))) < 1e-8
    assert bool(jnp.all(broken.correlation_length < 2.5))
    assert bool(jnp.all(even.correlation_length > 1e4))


def ising_impurity(coupling):
    """The spin in the middle: what a field on one site differentiates."""
    return jax.jvp(lambda h: ising(coupling, h), (jnp.asarray(0.0),), (jnp.asarray(1.0),))[1]


def test_correlation_length_approaches_the_exact_one_from_below():
    """1/xi = ln coth K - 2 K along an axis (L. Onsager, Phys. Rev. 65, 117 (1944)); finitely many
    states have no continuum of eigenvalues below it."""
    coupling = 0.3
    exact = 1 / (np.log(1 / np.tanh(coupling)) - 2 * coupling)
    few, many = (
        tensors.CTMRG(chi=chi, symmetric=True)(ising(coupling)).correlation_length
        for chi in (4, 24)
    )
    assert bool(jnp.all((few < many) & (many < exact)))
    np.testing.assert_allclose(many, [exact, exact], rtol=0.03)


def test_expectations_are_derivatives():
    """<s> from an impurity is the derivative of log Z in a field."""
    settings = tensors.CTMRG(chi=10)

    def log_z(h):
        return settings(ising([0.3, 0.4], h)).log_z_per_tensor

    at = jnp.asarray(0.2)
    change = jax.jvp(lambda h: ising([0.3, 0.4], h), (at,), (jnp.ones_like(at),))[1]
    found = settings(ising([0.3, 0.4], at)).expectation(change)
    assert float(found) == pytest.approx(float(jax.grad(log_z)(at)), rel=1e-9)


def ring_log_z(tensor, n):
    """Per tensor, of an infinite cylinder n tensors round."""
    t = row = np.asarray(tensor)
    for _ in range(n - 1):
        legs = row.shape[2] * t.shape[2]
        row = np.einsum("lrud,rsvc->lsuvdc", row, t).reshape(t.shape[0], t.shape[0], legs, legs)
    return np.log(np.max(np.abs(np.linalg.eigvals(np.einsum("lluv->uv", row))))) / n


def test_agrees_with_a_cylinder():
    """Where correlations are short, and no symmetry is left, nor equal legs."""
    rng = np.random.default_rng(0)
    unequal = np.exp(0.3 * rng.normal(size=(3, 3, 2, 2)))
    found = tensors.CTMRG(chi=12)(jnp.asarray(unequal))
    assert bool(found.converged)
    assert float(found.log_z_per_tensor) == pytest.approx(ring_log_z(unequal, 8), rel=1e-9)
    in_a_field = ising([0.1, 0.2], 0.6)
    found = tensors.CTMRG(chi=12)(in_a_field)
    assert float(found.log_z_per_tensor) == pytest.approx(ring_log_z(in_a_field, 9), rel=1e-9)


def differences(f, x, direction, step):
    values = [f(x + k * step * direction) for k in (-2, -1, 0, 1, 2)]
    first = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
    second = -values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]
    return first, second / (12 * step**2)


@pytest.mark.slow
def test_derivatives_agree_with_differences_on_random_models():
    rng = np.random.default_rng(5)
    settings = tensors.CTMRG(chi=12)
    points = jnp.asarray(rng.uniform([0.1, 0.1, 0.05], [0.7, 0.7, 0.5], size=(4, 3)))
    directions = jnp.asarray(rng.normal(size=(4, 3)))

    @jax.jit
    def f(c):
        return settings(ising(c[:2], c[2])).log_z_per_tensor

    slope, curvature = jax.jit(jax.grad(f)), jax.jit(jax.hessian(f))
    for x, v in zip(points, directions, strict=True):
        first, second = differences(f, x, v, 1e-3)
        assert float(slope(x) @ v) == pytest.approx(float(first), rel=1e-7, abs=1e-8)
        assert float(v @ curvature(x) @ v) == pytest.approx(float(second), rel=1e-4, abs=1e-6)


@both
def test_energy_and_specific_heat_are_onsagers(symmetric):
    settings = tensors.CTMRG(chi=16, symmetric=symmetric)

    def f(k):
        return settings(ising(k)).log_z_per_tensor

    @jax.jit
    def derivatives(k):
        return jax.jvp(jax.grad(f), (k,), (jnp.ones_like(k),))

    for k in jnp.asarray([0.35, 0.5]):
        slope, curvature = derivatives(k)
        assert float(-slope) == pytest.approx(float(reference.onsager_energy(k)), rel=1e-10)
        heat = float(reference.onsager_specific_heat(k))
        assert float(k**2 * curvature) == pytest.approx(heat, rel=1e-8)


@both
@pytest.mark.parametrize("dtype", [pytest.param(jnp.float32, marks=pytest.mark.slow), jnp.float64])
def test_symmetric_tensors_have_finite_derivatives(symmetric, dtype):
    settings = tensors.CTMRG(chi=8, symmetric=symmetric, max_steps=100)

    def f(k):
        return settings(ising(k).astype(dtype)).log_z_per_tensor

    @jax.jit
    def derivatives(k):
        return f(k), *jax.jvp(jax.grad(f), (k,), (jnp.ones_like(k),))

    for coupling in (0.2, CRITICAL, 0.6):
        found = derivatives(jnp.asarray(coupling, dtype))
        assert all(x.dtype == dtype and bool(jnp.isfinite(x)) for x in found)
        truth = float(reference.onsager_log_z(coupling))
        assert float(found[0]) == pytest.approx(truth, rel=1e-5)


def test_multiplets_are_kept_whole():
    bulk = tensors.bulk(models.potts(lattices.square(2, 2), 3, 0.9))
    found = tensors.CTMRG(chi=7, symmetric=True)(bulk)
    pairs = np.asarray(found.spectrum)
    assert bool(found.converged)
    assert int(found.n_kept) == 6
    assert pairs[1] == pytest.approx(pairs[2], rel=1e-8)
    assert not bool(found.cut)


def test_a_tensor_without_the_symmetry_is_reported():
    found = tensors.CTMRG(chi=8, symmetric=True, max_steps=50)(ising([0.3, 0.5]))
    assert not bool(found.converged)


def test_batches_compile_once():
    traces = []

    @jax.jit
    def f(k):
        traces.append(1)
        return tensors.CTMRG(chi=8, symmetric=True)(ising(k)).log_z_per_tensor

    ks = jnp.array([0.2, 0.3, 0.6])
    looped = [float(f(k)) for k in ks]
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(f)(ks), looped, rtol=1e-11)


def test_refuses_settings_and_tensors():
    with pytest.raises(PhysdlError, match="bond dimension"):
        tensors.CTMRG(chi=1)
    with pytest.raises(PhysdlError, match="tolerance"):
        tensors.CTMRG(tolerance=-1.0)
    with pytest.raises(PhysdlError, match="max_steps"):
        tensors.CTMRG(max_steps=0)
    settings = tensors.CTMRG(chi=4)
    with pytest.raises(PhysdlError, match="legs"):
        settings(jnp.ones((2, 3, 2, 2)))
    with pytest.raises(PhysdlError, match="chi=5"):
        settings(jnp.ones((5, 5, 2, 2)))
    with pytest.raises(PhysdlError, match="impurity"):
        settings(ising(0.2)).expectation(jnp.ones((3, 3, 2, 2)))
