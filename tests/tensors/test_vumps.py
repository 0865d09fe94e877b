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


def test_tensors_without_the_symmetry_are_not_called_converged():
    assert not bool(VUMPS(chi=8, max_steps=50)(ising(-0.5)).converged)


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
