"""Annealed populations of a 64 x 64 Ising torus, with blackjax's tempered SMC as peer.

256 configurations, 24 equal steps to K = 0.4, 4 heat-bath sweeps after each, systematic resampling,
float64. The kernel that blackjax is given is what its interface offers for spins: a checkerboard
heat bath whose fields are the gradient of the tempered log density. Rounds alternate. Beside time:
log Z and its distance from Kaufman's value.

    pytest benchmarks/test_population.py
"""

import functools
import statistics
import time
from typing import NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.smc import resampling

from physdl import lattices, models, reference, sampling

SIZE, COUPLING, N_POPULATION, N_STEPS, N_SWEEPS, N_ROUNDS = 64, 0.4, 256, 24, 4, 5
BETAS = np.linspace(0, 1, N_STEPS + 1)


class Spins(NamedTuple):
    position: jax.Array


def ours(h, key):
    ensemble, _ = sampling.population_annealing(
        h,
        key=key,
        n_population=N_POPULATION,
        kernel=sampling.HeatBath(),
        betas=BETAS,
        n_sweeps=N_SWEEPS,
    )
    return ensemble.log_z


@jax.jit
def peer(h, key):
    """The same with ``blackjax.tempered_smc``."""
    parity = jnp.asarray(np.indices((SIZE, SIZE)).sum(0) % 2)

    def step(key, state, log_density):
        x = state.position
        for colour in (0, 1):
            key, own = jax.random.split(key)
            field = jax.grad(log_density)(x)
            up = jax.random.uniform(own, x.shape) < jax.nn.sigmoid(2 * field)
            x = jnp.where(parity == colour, jnp.where(up, 1.0, -1.0), x)
        return Spins(x), None

    smc = blackjax.tempered_smc(
        lambda x: 0.0 * jnp.sum(x),
        lambda x: -h(x),
        step,
        lambda x, *_: Spins(x),
        {},
        resampling.systematic,
        num_mcmc_steps=N_SWEEPS,
    )
    start_key, key = jax.random.split(key)
    spins = jax.random.rademacher(start_key, (N_POPULATION, SIZE, SIZE)).astype(h.dtype)

    def advance(carry, own):
        state, log_z = carry
        beta, key = own
        state, info = smc.step(key, state, beta)
        return (state, log_z + info.log_likelihood_increment), None

    keys = jax.random.split(key, N_STEPS)
    (_, log_z), _ = jax.lax.scan(advance, (smc.init(spins), 0.0), (jnp.asarray(BETAS[1:]), keys))
    return log_z + SIZE**2 * jnp.log(2.0)


def test_population(benchmark):
    h = models.ising(lattices.square(SIZE, SIZE), jnp.asarray(COUPLING))
    exact = float(reference.kaufman_log_z(SIZE, SIZE, COUPLING))
    rows = {"physdl": functools.partial(ours, h), "blackjax": functools.partial(peer, h)}
    wall, cpu, off = ({name: [] for name in rows} for _ in range(3))
    for number in range(N_ROUNDS + 1):
        for name, run in rows.items():
            begin, busy = time.perf_counter(), time.process_time()
            log_z = float(run(jax.random.key(number)))
            if number:
                wall[name].append(time.perf_counter() - begin)
                cpu[name].append(time.process_time() - busy)
                off[name].append(log_z - exact)
    for name in rows:
        benchmark.extra_info[name] = {
            "wall_s": statistics.median(wall[name]),
            "wall_range_s": [min(wall[name]), max(wall[name])],
            "cpu_s": statistics.median(cpu[name]),
            "log_z_minus_exact": [round(v, 3) for v in off[name]],
        }
    benchmark.pedantic(lambda: jax.block_until_ready(ours(h, jax.random.key(9))), rounds=1)
    print(benchmark.extra_info)
