"""Multicanonical sampling: the recursion by hand, densities of states, calibrated errors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, reference
from physdl.errors import SettingError
from physdl.estimators import Auto, Status
from physdl.estimators.multicanonical import Multicanonical, _renewed
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.reference.density_of_states import ising_density_of_states
from physdl.spaces import SPIN

COUPLING = 0.44
SMALL = Multicanonical(n_walkers=32, n_learn=200, n_sweeps=800, n_kept=20)


def test_one_histogram_gives_its_logarithm_and_skips_bins_that_do_not_exist():
    counts = jnp.array([0.0, 10.0, 0.0, 20.0, 5.0, 0.0])
    visited = counts > 0
    correction, weight = _renewed(jnp.zeros(6), jnp.zeros(6), counts, visited)
    log_h = np.log([10.0, 20.0, 5.0])
    np.testing.assert_allclose(np.diff(correction[np.array([1, 3, 4])]), np.diff(log_h))
    np.testing.assert_allclose(weight, [0, 0, 0, 200 / 30, 4, 0])
    assert correction[2] == correction[1] and correction[0] == correction[1]


def test_histograms_accumulate_with_their_weights():
    visited = jnp.ones(2, bool)
    first, weight = _renewed(jnp.zeros(2), jnp.zeros(2), jnp.array([10.0, 30.0]), visited)
    second, total = _renewed(first, weight, jnp.array([8.0, 4.0]), visited)
    w, v = 10 * 30 / 40, 8 * 4 / 12
    step = math.log(3) + v / (w + v) * math.log(0.5)
    assert math.isclose(float(second[1] - second[0]), step, rel_tol=1e-12)
    assert math.isclose(float(total[1]), w + v, rel_tol=1e-12)


@pytest.mark.slow
def test_density_of_states_of_the_ising_model_8_by_8():
    h = models.ising(lattices.square(8, 8), COUPLING)
    density = Multicanonical(n_sweeps=2000).density(h, key=jax.random.key(0))
    energies, states = ising_density_of_states(8, 8)
    exact = {int(e): math.log(s) for e, s in zip(energies, states, strict=True) if s}
    known = np.isfinite(density.log_g) & (np.asarray(density.stderr) > 0)
    levels = np.rint(np.asarray(density.energies)[known] / COUPLING)
    off = np.asarray(density.log_g)[known] - np.array([exact[int(e)] for e in levels])
    z = off / np.asarray(density.stderr)[known]
    assert known.sum() > 32 and np.max(np.abs(z)) < 5 and 0.3 < np.sqrt(np.mean(z**2)) < 2
    assert np.sqrt(np.mean(off**2)) < 0.15


@pytest.mark.slow
def test_continuous_spectrum():
    rng = np.random.default_rng(5)
    bonds = Sites(rng.normal(size=14), np.stack([np.arange(14), (np.arange(14) + 1) % 14], axis=1))
    fields = Sites(rng.normal(size=14), np.arange(14)[:, None])
    h = Hamiltonian({"bond": bonds, "field": fields}, space=SPIN, shape=(14,))
    estimate = SMALL(h, key=jax.random.key(1))
    assert int(estimate.status) == Status.OK
    assert abs(float(estimate.log_z - Auto()(h).log_z)) < 4 * float(estimate.stderr) < 0.8


@pytest.mark.slow
def test_errors_are_calibrated():
    h = models.ising(lattices.square(4, 4), COUPLING)
    exact = float(reference.kaufman_log_z(4, 4, COUPLING))
    method = Multicanonical(n_walkers=32, n_learn=100, n_sweeps=300, n_kept=20)
    run = jax.jit(lambda key: method(h, key=key))
    estimates = [run(jax.random.key(k)) for k in range(40)]
    z = np.array([(float(e.log_z) - exact) / float(e.stderr) for e in estimates])
    assert all(int(e.status) == Status.OK for e in estimates)
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    assert 0.65 < z.std(ddof=1) < 1.4


def test_refuses_bad_settings():
    with pytest.raises(SettingError, match="give key"):
        Multicanonical()(models.ising(lattices.chain(4), 0.3))
    with pytest.raises(SettingError, match="n_iterations of 1 or more, got 0"):
        Multicanonical(n_iterations=0)
    with pytest.raises(SettingError, match="n_learn of 50 or more, got 20"):
        Multicanonical(n_iterations=50, n_learn=20)
