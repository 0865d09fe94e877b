"""Round trips of parallel tempering on +-J glasses, with hamon as peer: pytest benchmarks

Both run the same couplings, the same tuned ladder and one sweep of every replica between swaps, in
float32. ``extra_info`` holds round trips per round (how good the moves are), per second of the
median (how good and how fast), and nanoseconds per spin and sweep. A run is warmed up before it is
timed, so that replicas are under way. ``--benchmark-timer=time.process_time`` compares CPU time,
which is what counts on a busy machine.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.sampling import HeatBath
from physdl.sampling._ladder import tune_ladder
from physdl.sampling.population import population_annealing
from physdl.sampling.tempering import ParallelTempering

N_ROUNDS, BETA = 2000, 2.0


pytestmark = pytest.mark.usefixtures("as_a_user")


@functools.lru_cache
def problem(length):
    """A lattice, its couplings and a tuned ladder of 2 Lambda + 1 rungs."""
    lattice = lattices.square(length, length)
    coupling = np.random.default_rng(length).choice([-1.0, 1.0], lattice.n_bonds)
    h = models.ising(lattice, jnp.asarray(BETA * coupling, jnp.float32))
    start = ParallelTempering(HeatBath(), np.linspace(0.0, 1.0, 8))
    tuned, info = tune_ladder(start, h, key=jax.random.key(0), n_rounds=7)
    return lattice, coupling, h, tuned, info


def report(benchmark, trips, length, k):
    benchmark.extra_info["n_replicas"] = k
    benchmark.extra_info["round_trips_per_round"] = trips / N_ROUNDS
    if benchmark.stats is not None:
        seconds = benchmark.stats["median"]
        benchmark.extra_info["round_trips_per_s"] = trips / seconds
        benchmark.extra_info["ns_per_spin"] = 1e9 * seconds / (N_ROUNDS * k * length**2)


@pytest.mark.parametrize("length", [8, 10])
def test_round_trips(benchmark, length):
    _, _, h, tuned, info = problem(length)
    for name in ("barrier", "predicted_round_trip_rate", "best_round_trip_rate"):
        benchmark.extra_info[name] = float(info[name])

    @jax.jit
    def run(state, key):
        step = lambda state, key: (tuned(h, state, key=key)[0], None)
        return jax.lax.scan(step, state, jax.random.split(key, N_ROUNDS))[0]

    state = info["state"]
    start = time.perf_counter()
    jax.block_until_ready(run(state, jax.random.key(1)))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    seen, keys = [], iter(jax.random.split(jax.random.key(2), 1000))

    def once():
        nonlocal state
        after = jax.block_until_ready(run(state, next(keys)))
        seen.append(int(after.round_trips) - int(state.round_trips))
        state = after

    benchmark(once)
    report(benchmark, float(np.mean(seen)), length, tuned.n_replicas)


@pytest.mark.parametrize("length", [8, 10])
def test_peer_hamon_on_the_same_ladder(benchmark, length):
    hamon = pytest.importorskip("hamon")
    ising = pytest.importorskip("hamon.models.ising")
    lattice, coupling, _, tuned, _ = problem(length)
    betas = jnp.asarray(tuned.betas, jnp.float32)
    nodes = [hamon.SpinNode() for _ in range(lattice.n_sites)]
    edges = [(nodes[i], nodes[j]) for i, j in lattice.bonds.array.tolist()]
    weights = jnp.asarray(BETA * coupling, jnp.float32)
    zero = jnp.zeros(lattice.n_sites, jnp.float32)
    ebm = ising.IsingEBM(nodes, edges, zero, weights, jnp.asarray(1.0, jnp.float32))
    even = np.indices((length, length)).sum(axis=0).reshape(-1) % 2 == 0
    blocks = [
        hamon.Block([n for n, mine in zip(nodes, colour, strict=True) if mine])
        for colour in (even, ~even)
    ]
    program = ising.IsingSamplingProgram(ebm, blocks, [])
    states = ising.hinton_init(jax.random.key(0), ebm, blocks, (len(betas),))

    def run(states, key):
        states, stats = hamon.nrpt(
            key, ebm, program, states, [], N_ROUNDS, 1, betas=betas, device="cpu"
        )
        jax.block_until_ready(states)
        return states, int(stats["round_trip_diagnostics"]["round_trips_per_chain"].sum())

    start = time.perf_counter()
    states, _ = run(states, jax.random.key(1))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    seen, keys = [], iter(jax.random.split(jax.random.key(2), 1000))

    def once():
        nonlocal states
        states, trips = run(states, next(keys))
        seen.append(trips)

    benchmark(once)
    report(benchmark, float(np.mean(seen)), length, len(betas))


@pytest.mark.parametrize("population", [1000])
def test_population_annealing(benchmark, population):
    _, _, h, _, _ = problem(10)
    run = lambda key: population_annealing(h, key=key, n_population=population, kernel=HeatBath())
    _, info = jax.block_until_ready(run(jax.random.key(0)))
    benchmark.extra_info["n_temperatures"] = int(info["n_temperatures"])
    benchmark.extra_info["rho_t"] = float(info["rho_t"])
    benchmark(lambda: jax.block_until_ready(run(jax.random.key(0))))
