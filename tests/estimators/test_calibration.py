"""Are error bars right? z-scores of 400 seeds for every sampled estimator; see benchmarks."""

import functools
import math

import calibration
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models, reference, sampling

pytestmark = pytest.mark.slow

N_SEEDS = 400
CASES = [
    pytest.param(method, model, id=f"{method}-{model}")
    for model in calibration.MODELS
    for method in calibration.METHODS
    if calibration.applies(method, model)
]


@functools.cache
def model_of(name):
    return calibration.MODELS[name]()


@pytest.mark.parametrize("method, name", CASES)
def test_z_scores_are_normal(method, name):
    h, truth = model_of(name)
    found = calibration.z_scores(calibration.methods(name)[method], h, truth, N_SEEDS)
    z = np.array(found["z"])
    assert len(z) > N_SEEDS / 2
    noise = 3 / math.sqrt(len(z))
    low, high = calibration.WANTED_SD
    assert abs(z.mean()) < calibration.WANTED_MEAN + noise
    assert low - noise / math.sqrt(2) < z.std(ddof=1) < high + noise / math.sqrt(2)
    if method == "ReverseAIS":
        assert found["held"] >= 0.95


def test_hessian_is_the_specific_heat_and_the_susceptibility():
    """L = 16: against Kaufman's formula, and against cluster moves that share nothing with it."""
    lattice, coupling, n_seeds = lattices.square(16, 16), 0.42, 16
    method = estimators.MBAR(n_sweeps=1000)

    def log_z(w, key):
        return method(models.ising(lattice, w[0], w[1]), key=key).log_z

    curvature = jax.jit(
        lambda key: jnp.diagonal(jax.hessian(log_z)(jnp.array([coupling, 0.0]), key))
    )
    found = np.array([curvature(key) for key in jax.random.split(jax.random.key(5), n_seeds)])
    mean, stderr = found.mean(0), found.std(0, ddof=1) / math.sqrt(n_seeds)
    heat = reference.kaufman_specific_heat(16, 16, coupling) / coupling**2
    assert abs(mean[0] - heat) < 3 * stderr[0]
    assert stderr[0] < 0.05 * heat
    h = models.ising(lattice, coupling)
    run = sampling.run(sampling.SwendsenWang(), h, key=jax.random.key(6), n_sweeps=20_000)
    square = run["m2"].mean
    scale = 256.0**2
    assert abs(mean[1] - scale * square.value) < 3 * math.hypot(
        stderr[1], scale * float(square.stderr)
    )
