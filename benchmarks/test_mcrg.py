"""Swendsen's Monte Carlo renormalization group of the critical 64 x 64 Ising model.

Nine operators at five levels, 32 chains, in float64. ``extra_info`` holds y_T and y_H of the second
step with their errors, seconds, and errors squared times CPU seconds: what a kernel is judged by.
Compilation is apart (``first_call_s``). Calls return before they are done, so they are waited for.
``hybrid`` is a Swendsen-Wang update after 20 sweeps of spins packed in words. The table of 3e5
samples is a goal of the project: under 5 minutes on two cores.

    pytest benchmarks/test_mcrg.py
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, rg, sampling
from physdl.pytree import module, static

jax.config.update("jax_enable_x64", True)

LENGTH, CHAINS, CRITICAL = 64, 32, np.log(1 + np.sqrt(2)) / 2
FEWEST = 8


@module
class Hybrid:
    """32 configurations: local sweeps in packed words, then a cluster update of each."""

    n_sweeps: int = static(default=20)
    n_replicas: int = static(default=32)

    def init(self, h: Any, x: Any, *, key: Any) -> Any:
        return x

    def configurations(self, h: Any, state: Any) -> Any:
        return state

    def __call__(self, h: Any, state: Any, *, key: Any) -> Any:
        local, clusters = sampling.PackedIsing(n_sweeps=self.n_sweeps), sampling.SwendsenWang()
        packed_key, cluster_key = jax.random.split(key)
        words, _ = local(h, local.init(h, state), key=packed_key)
        keys = jax.random.split(cluster_key, self.n_replicas)
        one = lambda x, k: clusters(h, x, key=k)[0]
        return jax.vmap(one)(local.configurations(h, words), keys), {}


KERNELS = {
    "swendsen_wang": (sampling.SwendsenWang(), 1),
    "swendsen_wang every second": (sampling.SwendsenWang(), 2),
    "wolff every second": (sampling.Wolff(), 2),
    "swendsen_wang and heat bath": (
        sampling.Cycle((sampling.SwendsenWang(), sampling.HeatBath())),
        1,
    ),
    "hybrid": (Hybrid(), 1),
}


def measured(kernel, thin, n_draws):
    lattice = lattices.square(LENGTH, LENGTH)
    return rg.mcrg_run(
        kernel,
        models.ising(lattice, CRITICAL),
        rg.Majority(2),
        even=rg.operator_basis(lattice, max_range={2: 5**0.5, 4: 1.5}),
        odd=rg.operator_basis(lattice, 3, 2, parity="odd"),
        n_steps=4,
        key=jax.random.key(0),
        n_sweeps=n_draws * thin,
        thin=thin,
        n_chains=CHAINS,
        n_warmup=200,
        n_blocks=256,
        initial=jnp.ones((LENGTH, LENGTH)),
    )


def timed(benchmark, kernel, thin, n_draws):
    """Compiled first, with the fewest draws; what is timed is waited for."""
    run = lambda n: jax.block_until_ready(measured(kernel, thin, n))
    first = time.perf_counter()
    run(FEWEST)
    first = time.perf_counter() - first
    wall, cpu, found = time.perf_counter(), time.process_time(), []
    benchmark.pedantic(lambda: found.append(run(n_draws)), rounds=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    y_t, y_h = found[0].even.y(2), found[0].odd.y(2)
    benchmark.extra_info.update(
        samples=n_draws * CHAINS,
        first_call_s=round(first, 1),
        wall_s=round(wall, 1),
        cpu_s=round(cpu, 1),
        y_t=(float(y_t.value), float(y_t.stderr)),
        y_h=(float(y_h.value), float(y_h.stderr)),
        y_t_variance_times_cpu_s=float(y_t.stderr**2) * cpu,
        y_h_variance_times_cpu_s=float(y_h.stderr**2) * cpu,
    )
    print(benchmark.extra_info)
    return found[0]


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(benchmark, name):
    kernel, thin = KERNELS[name]
    timed(benchmark, kernel, thin, 1600)


def test_table_of_300000_samples(benchmark):
    found = timed(benchmark, sampling.SwendsenWang(), 1, 9400)
    print(found)
