"""Cluster moves on the critical square lattice, with peapods as peer: pytest benchmarks

A round is many sweeps in one call; ``extra_info`` holds nanoseconds per spin and sweep of the
median round, where a Wolff move counts as a sweep of all spins. peapods has no cluster move without
a Metropolis sweep: its rows come with and without clusters, and the difference is the cost.
``--benchmark-timer=time.process_time`` compares CPU time, which is what counts on a busy machine.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.sampling._labels import labels
from physdl.sampling.cluster import SwendsenWang, Wolff

jax.config.update("jax_enable_x64", True)

CRITICAL = np.log(1 + np.sqrt(2)) / 2
KERNELS = {"swendsen_wang": SwendsenWang(), "wolff": Wolff()}


def sweeps_of(length, chains):
    return max(4, int(2e6 / (length**2 * chains)))


def report(benchmark, n_updates):
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_spin"] = 1e9 * benchmark.stats["median"] / n_updates


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("chains", [1, 16])
@pytest.mark.parametrize("length", [64, 128, 256])
def test_cluster_move(benchmark, length, chains, kernel):
    h, n_sweeps = models.ising(lattices.square(length, length), CRITICAL), sweeps_of(length, chains)

    def chain(x, key):
        sweep = lambda x, k: KERNELS[kernel](h, x, key=k)
        x, info = jax.lax.scan(sweep, x, jax.random.split(key, n_sweeps))
        return x, jax.tree.map(jnp.mean, info)

    run, keys = jax.jit(jax.vmap(chain)), jax.random.split(jax.random.key(0), chains)
    start = time.perf_counter()
    x, _ = jax.block_until_ready(run(jnp.ones((chains, length, length)), keys))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    benchmark(lambda: jax.block_until_ready(run(x, keys)))
    report(benchmark, n_sweeps * chains * length**2)


@pytest.mark.parametrize("length", [64, 128, 256])
def test_labels_at_the_threshold(benchmark, length):
    lattice = lattices.square(length, length)
    active = jnp.asarray(np.random.default_rng(0).random((16, lattice.n_bonds)) < 0.5)
    run = jax.jit(jax.vmap(lambda a: labels(lattice.n_sites, lattice.bonds, a)))
    jax.block_until_ready(run(active))
    benchmark(lambda: jax.block_until_ready(run(active)))
    report(benchmark, active.shape[0] * length**2)


@pytest.mark.parametrize("mode", ["sw", "wolff", None], ids=["swendsen_wang", "wolff", "sweep"])
@pytest.mark.parametrize("chains", [1, 16])
@pytest.mark.parametrize("length", [64, 128, 256])
def test_peer_peapods(benchmark, length, chains, mode):
    peapods = pytest.importorskip("peapods")
    model = peapods.Ising((length, length), temperatures=np.full(chains, 1 / CRITICAL))
    n_sweeps = sweeps_of(length, chains)
    clusters = {"cluster_update_interval": 1, "cluster_mode": mode} if mode else {}
    run = lambda n: model.sample(n, sweep_mode="metropolis", **clusters)
    run(20 * n_sweeps if length < 256 else 4 * n_sweeps)
    benchmark(run, n_sweeps)
    report(benchmark, n_sweeps * chains * length**2)
