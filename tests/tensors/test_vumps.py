"""Uniform matrix product states against exact solutions and corner transfer matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, reference
from physdl.errors import PhysdlError
from physdl.tensors import bulk, impurity
from physdl.tensors.ctmrg import CTMRG
from physdl.tensors.vumps import VUMPS

SQUARE = lattices.square(2, 2)


def ising(coupling, field=0.0):
    return bulk(models.ising(SQUARE, coupling, field))


@pytest.mark.parametrize("coupling", [0.3, 0.5])
def test_is_onsager(coupling):
    found = VUMPS(chi=16)(ising(coupling))
    assert bool(found.converged)
    truth = float(reference.onsager_log_z(coupling))
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-12)


def test_agrees_with_corner_transfer_matrices_in_a_field():
    tensor = ising([0.3, 0.4], 0.1)
    found, other = VUMPS(chi=12)(tensor), CTMRG(chi=12)(tensor)
    assert bool(found.converged)
    expected = float(other.log_z_per_tensor)
    assert float(found.log_z_per_tensor) == pytest.approx(expected, rel=1e-10)


def test_slope_is_the_energy_and_a_second_derivative_is_refused():
    def f(k):
        return VUMPS(chi=16)(ising(k)).log_z_per_tensor

    found = float(-jax.grad(f)(jnp.asarray(0.3)))
    assert found == pytest.approx(float(reference.onsager_energy(0.3)), rel=1e-10)
    with pytest.raises(PhysdlError, match="first derivative"):
        jax.grad(jax.grad(f))(jnp.asarray(0.3))


def test_refuses_settings():
    with pytest.raises(PhysdlError, match="bond dimension"):
        VUMPS(chi=1)
    with pytest.raises(PhysdlError, match="tolerance"):
        VUMPS(tolerance=-1.0)
    with pytest.raises(PhysdlError, match="max_steps"):
        VUMPS(max_steps=0)


def test_at_the_critical_point():
    found = VUMPS(chi=24, max_steps=300)(ising(float(reference.square_critical_coupling())))
    truth = float(reference.onsager_log_z(reference.square_critical_coupling()))
    assert abs(float(found.log_z_per_tensor) / truth - 1) < 2e-8
    assert not bool(found.converged)


@pytest.mark.parametrize(
    "h", [models.potts(SQUARE, 3, 0.9), models.blume_capel(SQUARE, 0.5, 0.2)], ids=["potts", "bc"]
)
def test_other_spaces(h):
    found, other = VUMPS(chi=12)(bulk(h)), CTMRG(chi=12)(bulk(h))
    assert bool(found.converged)
    expected = float(other.log_z_per_tensor)
    assert float(found.log_z_per_tensor) == pytest.approx(expected, rel=1e-8)


def test_the_state_chooses_a_phase():
    """Yang's magnetisation up to its sign, where a symmetric start would give zero."""
    h, spin = models.ising(SQUARE, 0.5), models.ising(SQUARE, 0.0, -1.0)
    found = VUMPS(chi=16)(bulk(h)).expectation(impurity(h, spin))
    truth = float(reference.yang_magnetisation(0.5))
    assert abs(float(found)) == pytest.approx(truth, rel=1e-9)


def test_expectations_agree_with_corners_and_edges():
    h, spin = models.ising(SQUARE, 0.42, 0.1), models.ising(SQUARE, 0.0, -1.0)
    inserted = impurity(h, spin)
    found, other = (s(bulk(h)).expectation(inserted) for s in (VUMPS(chi=12), CTMRG(chi=12)))
    assert float(found) == pytest.approx(float(other), rel=1e-9)


def lopsided(seed):
    """A positive tensor without any symmetry."""
    return jnp.exp(jax.random.normal(jax.random.key(seed), (3, 3, 3, 3)))


@pytest.mark.parametrize("seed", range(3))
def test_above_and_below_may_differ(seed):
    tensor = lopsided(seed)
    found, other = VUMPS(chi=16)(tensor), CTMRG(chi=16)(tensor)
    assert bool(found.converged)
    assert bool(other.converged)
    expected = float(other.log_z_per_tensor)
    assert float(found.log_z_per_tensor) == pytest.approx(expected, abs=1e-9)
    inserted = lopsided(seed + 10)
    there = float(other.expectation(inserted))
    assert float(found.expectation(inserted)) == pytest.approx(there, rel=1e-6)


def test_slope_of_a_lopsided_tensor():
    start, direction = lopsided(0), lopsided(1)

    def f(x):
        return VUMPS(chi=16)(start + x * direction).log_z_per_tensor

    step = 1e-4
    difference = float(f(step) - f(-step)) / (2 * step)
    assert float(jax.grad(f)(jnp.asarray(0.0))) == pytest.approx(difference, rel=1e-7)


@pytest.mark.parametrize("coupling", [0.2, 0.3])
def test_triangular_lattice(coupling):
    found = VUMPS(chi=16)(bulk(models.ising(lattices.triangular(2, 2), coupling)))
    assert bool(found.converged)
    truth = float(reference.triangular_log_z(coupling))
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-9)


def test_an_antiferromagnet_converges_where_its_order_has_the_period_of_the_tensor():
    found = VUMPS(chi=16)(ising(-0.3))
    assert bool(found.converged)
    truth = float(reference.onsager_log_z(0.3))
    assert float(found.log_z_per_tensor) == pytest.approx(truth, rel=1e-12)
    assert not bool(VUMPS(chi=8, max_steps=50)(ising(-0.5)).converged)


def test_correlation_length_comes_from_below():
    """Exactly 1/(log coth K - 2K) above T_c (McCoy and Wu); a finite state has a shorter one."""
    coupling = 0.35
    exact = 1 / (-np.log(np.tanh(coupling)) - 2 * coupling)
    found = [float(VUMPS(chi=chi)(ising(coupling)).correlation_length) for chi in (4, 8, 16)]
    assert found == sorted(found)
    assert 0.97 * exact < found[-1] < exact


def test_scaling_with_the_correlation_length_at_the_critical_point():
    """S = (c/6) log xi with c = 1/2, m = xi^(-1/8) (Pollmann et al., 2009)."""
    critical = float(reference.square_critical_coupling())
    h, spin = models.ising(SQUARE, critical), models.ising(SQUARE, 0.0, -1.0)
    states = [VUMPS(chi=chi, tolerance=1e-6, max_steps=2000)(bulk(h)) for chi in (8, 12, 16, 24)]
    assert all(bool(s.converged) for s in states)
    length = np.log([float(s.correlation_length) for s in states])
    charge = 6 * np.polyfit(length, [float(s.entropy) for s in states], 1)[0]
    assert charge == pytest.approx(0.5, abs=0.02)
    magnetisation = [abs(float(s.expectation(impurity(h, spin)))) for s in states]
    assert np.polyfit(length, np.log(magnetisation), 1)[0] == pytest.approx(-0.125, abs=0.005)


def test_batches_and_single_precision():
    def f(k):
        return VUMPS(chi=8)(ising(k)).log_z_per_tensor

    ks = jnp.array([0.2, 0.3])
    np.testing.assert_allclose(jax.vmap(f)(ks), [f(k) for k in ks], rtol=1e-12)
    found = VUMPS(chi=8)(ising(0.3).astype(jnp.float32))
    assert found.log_z_per_tensor.dtype == jnp.float32
    assert bool(found.converged)
    assert float(found.log_z_per_tensor) == pytest.approx(
        float(reference.onsager_log_z(0.3)), rel=5e-6
    )


def test_refuses_tensors():
    with pytest.raises(PhysdlError, match="chi=3"):
        VUMPS(chi=2)(jnp.ones((3, 3, 2, 2)))
    with pytest.raises(PhysdlError, match="legs"):
        VUMPS(chi=4)(jnp.ones((2, 3, 2, 2)))
    with pytest.raises(PhysdlError, match="impurity"):
        VUMPS(chi=4)(ising(0.3)).expectation(jnp.ones((3, 3, 2, 2)))
