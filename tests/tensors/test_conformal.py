"""Conformal data against the minimal models, phases against their number."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, reference, tensors
from physdl.errors import SettingError, ShapeError, TooLargeError

SQUARE = lattices.square(2, 2)
CRITICAL = float(reference.square_critical_coupling())


def left(scheme, k, n_steps):
    return tensors.coarsen(scheme, tensors.bulk(models.ising(SQUARE, k)), n_steps).network


@pytest.fixture(scope="module")
def loop():
    return left(tensors.LoopTNR(chi=12), CRITICAL, 14)


def ising_torus(aspect):
    """Z of the Ising field theory, (theta_2 + theta_3 + theta_4) / 2 eta at tau = i aspect."""
    q = math.exp(-math.pi * aspect)
    n = np.arange(-20, 21)
    theta = [np.sum(q ** ((n + 0.5) ** 2)), np.sum(q ** (n**2)), np.sum((-1.0) ** n * q ** (n**2))]
    eta = q ** (1 / 12) * np.prod(1 - q ** (2 * np.arange(1, 40)))
    return sum(theta) / (2 * eta)


def test_ising(loop):
    found = tensors.conformal_data(loop)
    assert float(found.central_charge) == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(found.dimensions[:3], [0, 1 / 8, 1], atol=5e-4)
    np.testing.assert_allclose(found.dimensions[3:5], 9 / 8, atol=2e-3)
    np.testing.assert_allclose(found.spins[:3], 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(found.spins[3:5]), 1, atol=1e-6)


def test_ratio_at_criticality_is_that_of_the_field_theory(loop):
    exact = ising_torus(1) ** 2 / ising_torus(2)
    assert float(tensors.gu_wen_ratio(loop)) == pytest.approx(exact, abs=1e-3)


@pytest.mark.slow
def test_trg_after_ten_steps():
    found = tensors.conformal_data(left(tensors.TRG(chi=24), CRITICAL, 10), width=1)
    assert float(found.dimensions[1]) == pytest.approx(1 / 8, abs=2e-4)
    assert float(found.dimensions[2]) == pytest.approx(1, abs=1e-2)
    assert float(found.central_charge) == pytest.approx(0.5, abs=1e-2)


@pytest.mark.parametrize("scheme, n_steps", [(tensors.HOTRG(chi=10), 4), (tensors.BTRG(chi=12), 8)])
def test_other_networks(scheme, n_steps):
    found = tensors.conformal_data(left(scheme, CRITICAL, n_steps))
    assert float(found.central_charge) == pytest.approx(0.5, abs=2e-2)
    np.testing.assert_allclose(found.dimensions[:3], [0, 1 / 8, 1], atol=2e-2)
    assert sorted(np.round(np.abs(found.spins[:5]))) == [0, 0, 0, 1, 1]


@pytest.mark.slow
def test_three_around_tell_spins_by_sign():
    found = tensors.conformal_data(left(tensors.HOTRG(chi=10), CRITICAL, 4), width=3)
    assert sorted(np.round(found.spins[3:5])) == [-1, 1]


@pytest.mark.slow
def test_three_state_potts():
    """V. S. Dotsenko, Nucl. Phys. B 235, 54 (1984): c = 4/5, spin 2/15 twice, energy 4/5."""
    bulk = tensors.bulk(models.potts(SQUARE, 3, math.log(1 + math.sqrt(3))))
    found = tensors.conformal_data(tensors.coarsen(tensors.LoopTNR(chi=12), bulk, 8).network)
    assert float(found.central_charge) == pytest.approx(4 / 5, abs=5e-3)
    np.testing.assert_allclose(found.dimensions[1:3], 2 / 15, atol=1e-3)
    assert float(found.dimensions[3]) == pytest.approx(4 / 5, abs=3e-2)


@pytest.mark.parametrize("scheme", [tensors.TRG(chi=16), tensors.LoopTNR(chi=8)])
@pytest.mark.parametrize("shift, phases", [(-0.01, 1), (0.01, 2)])
def test_ising_phases(scheme, shift, phases):
    ratio = tensors.gu_wen_ratio(left(scheme, CRITICAL + shift, 18))
    assert float(ratio) == pytest.approx(phases, abs=1e-2)


def test_potts_phases():
    for k, phases in ((0.8, 1), (1.2, 3)):
        bulk = tensors.bulk(models.potts(SQUARE, 3, k))
        ratio = tensors.gu_wen_ratio(tensors.coarsen(tensors.HOTRG(chi=9), bulk, 8).network)
        assert float(ratio) == pytest.approx(phases, abs=1e-6)


def test_scale_does_not_matter(loop):
    found, scaled = tensors.conformal_data(loop), tensors.conformal_data(3 * loop)
    assert float(found.central_charge) == pytest.approx(float(scaled.central_charge), abs=1e-9)
    assert float(tensors.gu_wen_ratio(3 * loop)) == pytest.approx(
        float(tensors.gu_wen_ratio(loop)), rel=1e-12
    )


def test_refusals():
    tensor = jnp.ones((3, 3, 3, 3))
    with pytest.raises(SettingError, match="width=0"):
        tensors.conformal_data(tensor, width=0)
    with pytest.raises(SettingError, match="width=1"):
        tensors.conformal_data(jnp.stack([tensor, tensor]), width=1)
    with pytest.raises(SettingError, match="n=10"):
        tensors.conformal_data(tensor, n=10)
    with pytest.raises(TooLargeError, match="4096"):
        tensors.conformal_data(tensor, width=8)
    with pytest.raises(ShapeError, match="two dimensions"):
        tensors.gu_wen_ratio(jnp.ones((2, 2)))
    with pytest.raises(ShapeError, match="two dimensions"):
        tensors.gu_wen_ratio((tensor, jnp.eye(3)))
