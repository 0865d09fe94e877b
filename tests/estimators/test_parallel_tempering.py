"""MBAR on ladders against exact log Z, with calibrated errors, derivatives and honest failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, spaces
from physdl.errors import SettingError, StructureError
from physdl.estimators import Auto, Status
from physdl.estimators._ladder_run import ladder_run
from physdl.estimators._start import started
from physdl.estimators.parallel_tempering import MBAR
from physdl.hamiltonian import Hamiltonian, Potential, Sites
from physdl.pytree import module

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(11)
QUICK = MBAR(n_states=6, n_sweeps=400, n_chains=6)


@module
class Still:
    """Moves nothing."""

    def __call__(self, h, state, *, key):
        return state, {}


def glass():
    lattice = lattices.square(4, 4, periodic=False)
    return models.ising(lattice, RNG.normal(size=lattice.n_bonds), 0.3 * RNG.normal(size=16))


def hard_squares(rows, cols, activity=0.3):
    lattice = lattices.square(rows, cols, periodic=False)
    exclusion = Potential([[0.0, 0.0], [0.0, np.inf]], lattice.bonds)
    sites = Sites(-activity, np.arange(lattice.n_sites)[:, None])
    terms = {"exclusion": exclusion, "activity": sites}
    return Hamiltonian(terms, space=spaces.BINARY, shape=lattice.shape)


MODELS = {
    "ising": models.ising(lattices.square(4, 4), 0.44, 0.05),
    "glass": glass(),
    "hard squares": hard_squares(3, 3),
    "potts": models.potts(lattices.triangular(3, 3), 3, 0.5),
}


@pytest.mark.parametrize("name", MODELS)
def test_calibrated(name):
    """z scores of 48 seeds: mean 0 and standard deviation 1 within their own errors."""
    h = MODELS[name]
    exact = Auto()(h).log_z
    keys = jax.random.split(jax.random.key(1), 48)
    runs = jax.jit(lambda keys: jax.lax.map(lambda key: QUICK(h, key=key), keys))(keys)
    assert jnp.mean(runs.status == Status.OK) > 0.8
    z = (runs.log_z - exact) / runs.stderr
    assert abs(jnp.mean(z)) < 0.55 and 0.7 < jnp.std(z) < 1.35


def test_a_field_on_the_line():
    """phi^4 on 2 x 2 sites: log Z by transfer matrices of Gauss quadrature."""
    h = models.phi4(lattices.square(2, 2), r=-4.0, u=6.975)
    estimate = QUICK(h, key=jax.random.key(2))
    assert estimate.status == Status.OK and estimate.stderr < 0.1
    assert abs(estimate.log_z - 1.173184710778) < 4 * estimate.stderr


def test_from_a_reference():
    lattice = lattices.square(4, 4)
    h, reference = models.ising(lattice, 0.3, 0.3), models.ising(lattice, 0.3)
    estimate = MBAR(n_states=5, n_sweeps=600, reference=reference)(h, key=jax.random.key(3))
    assert estimate.status == Status.OK
    assert abs(estimate.log_z - Auto()(h).log_z) < 4 * estimate.stderr
    shifted = MBAR(n_states=5, n_sweeps=600, reference=reference, reference_log_z=0.0)
    other = shifted(h, key=jax.random.key(3))
    np.testing.assert_allclose(estimate.log_z - other.log_z, Auto()(reference).log_z, rtol=1e-12)


def test_rungs_of_the_path():
    """log Z of every rung is that of b h."""
    h, betas = MODELS["ising"], np.array([0.0, 0.3, 0.6, 0.8, 1.0])
    found = MBAR(betas=betas, n_sweeps=1000)(h, key=jax.random.key(4)).info
    exact = [Auto()(float(b) * h).log_z for b in betas]
    np.testing.assert_allclose(found["path_log_z"], exact, atol=0.2)
    assert found["path_log_z"][0] == exact[0]
    assert found["overlap"].shape == (4,)


def test_derivatives_are_those_of_the_ensemble():
    h, key = MODELS["ising"], jax.random.key(5)
    estimator = MBAR(n_states=5, n_sweeps=2000)
    value, gradient = jax.value_and_grad(lambda h: estimator(h, key=key).log_z)(h)
    exact = jax.grad(lambda h: Auto()(h).log_z)(h)
    for name, term in exact.terms.items():
        np.testing.assert_allclose(gradient.terms[name].coefficient, term.coefficient, rtol=0.08)
    assert value == estimator(h, key=key).log_z


def test_the_ensemble_is_of_h():
    h = MODELS["hard squares"]
    ensemble = QUICK(h, key=jax.random.key(6)).ensemble
    occupied = ensemble.expectation(jnp.sum)
    exact = 0.3 * jax.grad(lambda a: Auto()(hard_squares(3, 3, a)).log_z)(0.3) / 0.3
    assert abs(occupied.value - exact) < 5 * occupied.stderr
    forbidden = jnp.isposinf(jax.vmap(jax.vmap(h))(ensemble.states))
    assert jnp.any(forbidden)
    assert jnp.all(jnp.isneginf(ensemble.log_weights) == forbidden)
    gradient = jax.grad(ensemble.log_z_of)(h)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_a_gap_is_seen():
    h = models.ising(lattices.square(4, 4), 3.0)
    estimate = MBAR(betas=[0.0, 0.02, 1.0], n_sweeps=200)(h, key=jax.random.key(7))
    assert estimate.status == Status.GAP
    assert estimate.info["gap"] == 1 and estimate.info["overlap"][1] < 0.03


def test_a_constraint_that_free_sites_never_meet_is_a_gap():
    estimate = MBAR(n_states=4, n_sweeps=100)(hard_squares(8, 8), key=jax.random.key(8))
    assert estimate.status == Status.GAP and estimate.stderr > 100


def test_chains_that_do_not_move_are_seen():
    h = models.ising(lattices.square(4, 4), 0.3)
    stuck = MBAR(betas=[0.0, 0.9, 0.95, 1.0], kernel=Still(), n_sweeps=100, n_warmup=0)
    assert stuck(h, key=jax.random.key(9)).status in (Status.UNCONVERGED, Status.GAP)


def test_dense_ladders_have_no_gap():
    h = models.ising(lattices.chain(4), 0.5)
    estimate = MBAR(betas=np.linspace(0, 1, 65), n_sweeps=200)(h, key=jax.random.key(10))
    assert estimate.status == Status.OK


def test_no_interaction_has_no_error():
    estimate = MBAR(n_states=3, n_sweeps=100)(
        models.ising(lattices.chain(5), 0.0), key=jax.random.key(0)
    )
    np.testing.assert_allclose(estimate.log_z, 5 * np.log(2), rtol=1e-12)
    assert estimate.stderr == 0 and estimate.status == Status.OK


def test_single_precision():
    with jax.enable_x64(False):
        h = models.ising(lattices.square(4, 4), jnp.float32(0.44), jnp.float32(0.05))
        estimate = QUICK(h, key=jax.random.key(11))
        assert estimate.log_z.dtype == jnp.float32 and estimate.status == Status.OK
        exact = float(Auto()(h).log_z)
    assert abs(float(estimate.log_z) - exact) < 4 * float(estimate.stderr)


def test_slopes_of_a_run_are_those_of_its_rungs():
    h = MODELS["ising"]
    start = started(h, None, None, None, key=jax.random.key(12))
    betas = jnp.array([0.0, 0.4, 0.7, 1.0])
    slopes, states = ladder_run(start, betas, 8, 2000, 2, 200, jax.random.key(13))
    assert slopes.shape == (4, 8, 1000) and states.shape == (4, 8, 1000, 4, 4)
    np.testing.assert_allclose(slopes, jax.vmap(jax.vmap(jax.vmap(h)))(states), atol=1e-12)
    for b, own in zip(betas, slopes, strict=True):
        exact = -jax.grad(lambda b: Auto()(b * h).log_z)(b)
        error = jnp.std(jnp.mean(own, axis=1), ddof=1) / np.sqrt(8)
        assert abs(jnp.mean(own) - exact) < 5 * error


def test_larger():
    assert QUICK.larger().n_sweeps == 2 * QUICK.n_sweeps


def test_refusals():
    h = MODELS["ising"]
    with pytest.raises(SettingError, match="give key="):
        MBAR()(h)
    with pytest.raises(SettingError, match="increase from 0 to 1"):
        MBAR(betas=[0.1, 0.5, 1.0])
    with pytest.raises(SettingError, match="increase from 0 to 1"):
        MBAR(betas=[0.0, 0.5, 0.5, 1.0])
    with pytest.raises(SettingError, match="two places"):
        MBAR(betas=[1.0])
    with pytest.raises(SettingError, match="n_states of 2"):
        MBAR(n_states=1)
    with pytest.raises(SettingError, match="16 times thin"):
        MBAR(n_sweeps=30, thin=2)
    with pytest.raises(StructureError):
        MBAR(reference=models.ising(lattices.chain(3), 0.0))(h, key=jax.random.key(0))
