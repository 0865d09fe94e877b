"""Gradient-informed moves against a plain heat bath: time per sweep, effective samples per second.

OPENBLAS_NUM_THREADS=1 pytest benchmarks/test_gradient.py. A sweep is one call: as many proposals as
sites for ``GibbsWithGradients``, one move of all sites for ``DiscreteLangevin``. The effective
samples are those of the energy.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import models, statistics
from physdl.sampling.gradient import DiscreteLangevin, GibbsWithGradients
from physdl.sampling.heat_bath import HeatBath

jax.config.update("jax_enable_x64", True)

N_CHAINS, N_SWEEPS = 64, 100


def rbm():
    rng = np.random.default_rng(0)
    weights, visible, hidden = (rng.normal(size=s) for s in ((100, 50), 100, 50))
    return models.rbm(0.3 * weights, 0.5 * visible, 0.5 * hidden)


MODELS = {
    "rbm_100x50": rbm,
    "sk_150": lambda: models.sherrington_kirkpatrick(150, 0.8),
}
KERNELS = {
    "heat_bath": HeatBath(),
    "gibbs_with_gradients": GibbsWithGradients(),
    "discrete_langevin": DiscreteLangevin(0.3),
    "discrete_langevin_large": DiscreteLangevin(1.0),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("model", MODELS)
def test_sweeps(benchmark, model, kernel):
    h, move = MODELS[model](), KERNELS[kernel]

    @jax.jit
    def run(x, key):
        def sweep(x, key):
            keys = jax.random.split(key, N_CHAINS)
            x, info = jax.vmap(lambda x, k: move(h, x, key=k))(x, keys)
            return x, (jax.vmap(h)(x), info.get("acceptance", jnp.nan))

        return jax.lax.scan(sweep, x, jax.random.split(key, N_SWEEPS))

    start = time.perf_counter()
    x, _ = jax.block_until_ready(run(jnp.ones((N_CHAINS, h.n_sites)), jax.random.key(0)))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    _, (energy, acceptance) = benchmark.pedantic(
        lambda: jax.block_until_ready(run(x, jax.random.key(1))), rounds=3, iterations=1
    )
    seconds = benchmark.stats.stats.median
    ess = float(statistics.effective_sample_size(energy.T))
    benchmark.extra_info["us_per_sweep_and_chain"] = 1e6 * seconds / N_SWEEPS / N_CHAINS
    benchmark.extra_info["effective_samples_per_s"] = ess / seconds
    benchmark.extra_info["effective_samples_per_sweep"] = ess / N_SWEEPS / N_CHAINS
    benchmark.extra_info["acceptance"] = float(jnp.mean(acceptance))
