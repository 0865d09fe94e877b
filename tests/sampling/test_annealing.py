"""Simulated annealing finds the ground states that enumeration finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transition import states_of

from physdl import lattices, models
from physdl.errors import SettingError
from physdl.sampling import HeatBath, Metropolis
from physdl.sampling.annealing import simulated_annealing
from physdl.sampling.tempering import ParallelTempering

pytestmark = pytest.mark.slow

GLASSES = {
    "+-J": models.edwards_anderson(lattices.square(4, 4), 1.0, disorder="bimodal", seed=2),
    "gaussian": models.edwards_anderson(lattices.square(4, 4), 1.0, 0.1, seed=3),
    "sherrington-kirkpatrick": models.sherrington_kirkpatrick(16, 1.0, seed=4),
    "potts": models.potts(lattices.chain(7), 3, jnp.array([1.0, -1, 2, -0.5, 1, 1, -1])),
}
CASES = [(name, HeatBath()) for name in GLASSES] + [("+-J", Metropolis())]


@pytest.mark.parametrize(("name", "kernel"), CASES)
def test_ground_states(name, kernel):
    h, n = GLASSES[name], 100
    found = simulated_annealing(
        h,
        key=jax.random.key(0),
        n_chains=24,
        n_sweeps=n,
        kernel=kernel,
        betas=jnp.linspace(0.0, 4.0, n),
    )
    exact = np.asarray(jax.jit(jax.vmap(h))(jnp.asarray(states_of(h)))).min()
    energies = np.asarray(jax.vmap(h)(found.configurations))
    np.testing.assert_allclose(found.energies, energies, rtol=1e-12)
    np.testing.assert_allclose(found.energies.min(), exact, rtol=1e-12)
    assert np.mean(energies < exact + 1e-9) > 0.2
    assert float(h(found.best)) == energies.min()
    assert np.all(np.asarray(jax.vmap(h)(found.final)) >= energies - 1e-12)


def test_the_best_is_kept_while_the_chain_goes_on():
    """At infinite temperature the chain leaves the best configuration, the record does not."""
    h = GLASSES["gaussian"]
    options = {"key": jax.random.key(1), "n_chains": 8, "kernel": HeatBath()}
    short, long = (
        simulated_annealing(h, n_sweeps=n, betas=jnp.zeros(n), **options) for n in (1, 40)
    )
    np.testing.assert_array_equal(short.configurations, short.final)
    assert long.energies.mean() < short.energies.mean()
    assert np.all(jax.vmap(h)(long.final) > long.energies)


def test_default_schedule_jit_and_float32():
    h = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), 4.0 * GLASSES["+-J"])
    anneal = jax.jit(
        lambda h, key: simulated_annealing(h, key=key, n_chains=6, n_sweeps=60, kernel=HeatBath())
    )
    found = anneal(h, jax.random.key(0))
    assert found.energies.dtype == jnp.float32
    exact = jax.vmap(h)(jnp.asarray(states_of(h))).min()
    np.testing.assert_allclose(found.energies.min(), exact, rtol=1e-6)


def test_bad_settings():
    h = GLASSES["+-J"]
    good = {"key": jax.random.key(0), "n_chains": 2, "n_sweeps": 3, "kernel": HeatBath()}
    for wrong, text in (
        ({"n_chains": 0}, "n_chains of 1 or more"),
        ({"n_sweeps": 0}, "n_sweeps of 1 or more"),
        ({"betas": jnp.ones(4)}, r"shape \(4,\)"),
        ({"betas": jnp.array([0.0, -1.0, 1.0])}, "not negative"),
        ({"betas": jnp.array([0.0, jnp.nan, 1.0])}, "not negative"),
        ({"kernel": ParallelTempering(HeatBath(), [0.0, 1.0])}, "got ParallelTempering"),
    ):
        with pytest.raises(SettingError, match=text):
            simulated_annealing(h, **{**good, **wrong})
