"""The multi-histogram method against counted levels, and against reweighting of every sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, spaces
from physdl.errors import SettingError
from physdl.estimators import Auto, Status
from physdl.estimators.histogram_reweighting import HistogramReweighting, _bins
from physdl.estimators.parallel_tempering import MBAR
from physdl.hamiltonian import Hamiltonian, Potential, Sites

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(12)
SETTINGS = {"n_states": 6, "n_sweeps": 400, "n_chains": 6}
DISCRETE = models.ising(lattices.square(4, 4), 0.44)
LATTICE = lattices.square(4, 4, periodic=False)
CONTINUOUS = models.ising(LATTICE, RNG.normal(size=LATTICE.n_bonds), 0.3 * RNG.normal(size=16))


def hard_squares():
    lattice = lattices.square(3, 3, periodic=False)
    exclusion = Potential([[0.0, 0.0], [0.0, np.inf]], lattice.bonds)
    terms = {"exclusion": exclusion, "activity": Sites(-0.3, np.arange(9)[:, None])}
    return Hamiltonian(terms, space=spaces.BINARY, shape=(3, 3))


@pytest.mark.parametrize("h", [DISCRETE, hard_squares()], ids=["ising", "hard squares"])
def test_levels_lose_nothing(h):
    key = jax.random.key(0)
    binned, whole = (E(**SETTINGS)(h, key=key) for E in (HistogramReweighting, MBAR))
    np.testing.assert_allclose(binned.log_z, whole.log_z, rtol=1e-11)
    np.testing.assert_allclose(binned.stderr, whole.stderr, rtol=1e-8)
    np.testing.assert_allclose(
        jnp.exp(binned.ensemble.log_weights), jnp.exp(whole.ensemble.log_weights), atol=1e-12
    )
    assert abs(binned.info["binning"]) < 1e-9
    assert abs(binned.log_z - Auto()(h).log_z) < 4 * binned.stderr


def test_density_of_states():
    """Of the 4 x 4 torus: 2, 32, 64, 424, 1728, 6688, ... configurations."""
    found = HistogramReweighting(n_states=8, n_sweeps=4000)(DISCRETE, key=jax.random.key(1)).info
    seen = ~np.isnan(found["levels"])
    levels = np.rint(np.asarray(found["levels"])[seen] / 0.44).astype(int)
    density = np.exp(np.asarray(found["log_density"])[seen])
    states = np.array(list(np.ndindex(*(2,) * 16))).reshape(-1, 4, 4) * 2.0 - 1
    energies = np.rint(np.asarray(jax.vmap(DISCRETE)(states)) / 0.44).astype(int)
    exact = dict(zip(*np.unique(energies, return_counts=True), strict=True))
    for level, own in zip(levels, density, strict=True):
        if level < 16:  # the ladder goes to low energies only
            assert abs(own / exact[level] - 1) < (0.15 if level < 0 else 0.3)
    assert {-32, -24, -20, -16, 0} <= set(levels.tolist())


@pytest.mark.parametrize("n_bins", [64, 1024])
def test_bins_of_equal_width(n_bins):
    key = jax.random.key(2)
    binned = HistogramReweighting(n_bins=n_bins, **SETTINGS)(CONTINUOUS, key=key)
    whole = MBAR(**SETTINGS)(CONTINUOUS, key=key)
    assert binned.status == Status.OK
    off = whole.log_z - binned.log_z
    assert abs(off) < 0.1 * binned.stderr
    assert abs(binned.info["binning"]) < 0.1 * binned.stderr
    assert abs(binned.log_z - Auto()(CONTINUOUS).log_z) < 4 * binned.stderr


def test_bins_that_are_too_wide_are_seen():
    binned = HistogramReweighting(n_bins=2, **SETTINGS)(CONTINUOUS, key=jax.random.key(3))
    assert binned.status != Status.OK
    assert abs(binned.info["binning"]) > binned.stderr


def test_calibrated():
    estimator = HistogramReweighting(n_bins=128, **SETTINGS)
    exact = Auto()(CONTINUOUS).log_z
    keys = jax.random.split(jax.random.key(4), 48)
    runs = jax.jit(lambda keys: jax.lax.map(lambda key: estimator(CONTINUOUS, key=key), keys))(keys)
    z = (runs.log_z - exact) / runs.stderr
    assert jnp.mean(runs.status == Status.OK) > 0.9
    assert abs(jnp.mean(z)) < 0.55 and 0.7 < jnp.std(z) < 1.35


def test_places_of_samples():
    slope = jnp.array([3.0, 1.0, jnp.inf, 1.0 + 1e-15, 2.0])
    assert _bins(slope, 3).tolist() == [2, 0, 3, 0, 1]
    assert _bins(slope, 2).tolist() == [1, 0, 2, 0, 1]
    assert _bins(jnp.array([5.0, 5.0]), 4).tolist() == [0, 0]


def test_gradient():
    estimator, key = HistogramReweighting(n_states=6, n_sweeps=1000), jax.random.key(5)
    gradient = jax.grad(lambda h: estimator(h, key=key).log_z)(DISCRETE)
    exact = jax.grad(lambda h: Auto()(h).log_z)(DISCRETE)
    own, known = (h.terms["bond"].coefficient for h in (gradient, exact))
    np.testing.assert_allclose(own, known, rtol=0.05)


def test_refusals():
    with pytest.raises(SettingError, match="give key="):
        HistogramReweighting()(DISCRETE)
    with pytest.raises(SettingError, match="n_bins of 2"):
        HistogramReweighting(n_bins=1)
    with pytest.raises(SettingError, match="increase from 0 to 1"):
        HistogramReweighting(betas=[0.5, 1.0])
