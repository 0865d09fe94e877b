"""Random 3-regular graph of Gaussian weights: pytest benchmarks/test_packed_glass.py -s

``test_interleaved`` runs packed spins, HeatBath (8 chains) and thrml (8 chains, its best; skipped
where it is not installed) in turn and reports medians of flips per nanosecond, by wall and by CPU
time; ratios are to be taken from there. Compilation is not timed.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.sampling.heat_bath import HeatBath
from physdl.sampling.packed_glass import PackedGlass

N_SITES, N_CHAINS, ROUNDS = 100_000, 8, 7


@pytest.fixture(scope="module")
def glass():
    lattice = lattices.random_regular(N_SITES, 3, seed=0)
    return lattice, models.edwards_anderson(lattice, 1.0, disorder="gaussian")


def packed(glass, n_sweeps=10, n_words=1):
    h = glass[1]
    kernel = PackedGlass(n_words=n_words, n_sweeps=n_sweeps)
    call = jax.jit(kernel)
    held = [kernel.init(h, jnp.ones((kernel.n_replicas, N_SITES))), jax.random.key(0)]

    def run():
        held[1], key = jax.random.split(held[1])
        held[0], _ = jax.block_until_ready(call(h, held[0], key=key))

    return run, N_SITES * kernel.n_replicas * n_sweeps


def packed_256_replicas(glass):
    return packed(glass, n_sweeps=2, n_words=8)


def heat_bath(glass):
    """Eight chains, in float32."""
    h = jax.tree.map(lambda c: c.astype(jnp.float32), glass[1])
    call = jax.jit(jax.vmap(lambda x, key: HeatBath()(h, x, key=key)[0]))
    held = [jnp.ones((N_CHAINS, N_SITES), jnp.float32), jax.random.key(0)]

    def run():
        held[1], key = jax.random.split(held[1])
        held[0] = jax.block_until_ready(call(held[0], jax.random.split(key, N_CHAINS)))

    return run, N_SITES * N_CHAINS


def thrml(glass):
    """Block Gibbs sampling of 8 chains, by the documented interface, in float32."""
    pytest.importorskip("thrml")
    from thrml import Block, SamplingSchedule, SpinNode, sample_states
    from thrml.models import IsingEBM, IsingSamplingProgram

    lattice, n_sweeps = glass[0], 5
    nodes = [SpinNode() for _ in range(N_SITES)]
    edges = [(nodes[i], nodes[j]) for i, j in lattice.bonds.array.tolist()]
    colour = np.asarray(lattice.colouring)
    blocks = [Block([nodes[i] for i in np.flatnonzero(colour == c)]) for c in np.unique(colour)]
    schedule = SamplingSchedule(n_warmup=n_sweeps, n_samples=1, steps_per_sample=1)
    weights = np.random.default_rng(0).normal(size=len(edges))
    with jax.enable_x64(False):
        model = IsingEBM(nodes, edges, jnp.zeros(N_SITES), jnp.asarray(weights), jnp.float32(1.0))
        program = IsingSamplingProgram(model, blocks, [])
        start = [jnp.ones((N_CHAINS, len(b.nodes)), bool) for b in blocks]
        held = [jax.random.key(0)]
    sample = lambda key, start: sample_states(key, program, schedule, start, [], blocks)
    call = jax.jit(jax.vmap(sample))

    def run():
        with jax.enable_x64(False):
            held[0], key = jax.random.split(held[0])
            jax.block_until_ready(call(jax.random.split(key, N_CHAINS), start))

    return run, N_SITES * N_CHAINS * n_sweeps


def test_interleaved(glass):
    cases = {}
    for case in (packed, packed_256_replicas, heat_bath, thrml):
        try:
            cases[case.__name__] = case(glass)
        except pytest.skip.Exception as reason:
            print(reason)
    speed = {name: [] for name in cases}
    for i in range(ROUNDS + 1):
        for name, (run, flips) in cases.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if i:  # the first call compiles
                speed[name].append([flips / 1e9 / t for t in spent])
    for name, values in speed.items():
        wall, cpu = np.median(values, axis=0)
        print(f"{name:24s} flips/ns: wall {wall:8.3f}  per CPU ns {cpu:8.3f}")
