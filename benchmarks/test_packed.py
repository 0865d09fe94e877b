"""Packed spins against peers: pytest benchmarks/test_packed.py --benchmark-only

Square lattice, L = 256, K at the critical point, 32 replicas (thrml: 8 chains, its best). Every
peer is skipped where it is not installed. ``test_interleaved`` runs all of them in turn and reports
medians of wall and CPU time; ratios are to be taken from there. Compilation is not timed.
"""

import ctypes
import functools
import math
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.sampling.packed import PackedIsing

LENGTH, K = 256, math.log1p(math.sqrt(2)) / 2
SQUARE = lattices.square(LENGTH, LENGTH)


def packed(h, n_sweeps=50, **settings):
    """A call, and the flips it attempts."""
    kernel = PackedIsing(n_sweeps=n_sweeps, **settings)
    call = jax.jit(kernel, donate_argnums=1)
    held = [kernel.init(h, jnp.ones((kernel.n_replicas, *h.shape))), jax.random.key(0)]

    def run():
        held[1], key = jax.random.split(held[1])
        held[0], _ = call(h, held[0], key=key)
        jax.block_until_ready(held[0])

    return run, h.n_sites * kernel.n_replicas * n_sweeps


def uniform():
    return packed(models.ising(SQUARE, K))


def uniform_heat_bath():
    return packed(models.ising(SQUARE, K), rule="heat_bath")


def glass():
    return packed(models.edwards_anderson(SQUARE, K, disorder="bimodal"))


def one_sweep_a_call():
    return packed(models.ising(SQUARE, K), n_sweeps=1)


def cubic():
    return packed(models.ising(lattices.cubic(32, 32, 32), 0.2216546))


def triangular():
    return packed(models.ising(lattices.triangular(LENGTH, LENGTH), math.log(3) / 4))


def random_graph():
    h = models.ising(lattices.random_regular(100_000, 3, seed=0), 0.3)
    return packed(h, n_sweeps=10)


def random_graph_256_replicas():
    h = models.ising(lattices.random_regular(100_000, 3, seed=0), 0.3)
    return packed(h, n_sweeps=2, n_words=8)


@functools.cache
def compiled():
    """The shared library of ``multispin.c``."""
    gcc = shutil.which("gcc") or pytest.skip("gcc is not installed")
    target = Path(tempfile.mkdtemp()) / "multispin.so"
    flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
    source = Path(__file__).with_name("multispin.c")
    subprocess.run([gcc, *flags, str(source), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def flags_by_colour(h):
    """For ``multispin.c``: bits of the inverted bonds up, down, in place and aside."""
    right, down = np.asarray(h.terms["bond"].coefficient) > 0
    left, up = np.roll(right, 1, axis=1), np.roll(down, 1, axis=0)
    column = np.arange(LENGTH) % 2
    here, aside = np.where(column, left, right), np.where(column, right, left)
    packed_bits = (up + 2 * down + 4 * here + 8 * aside).astype(np.uint8)
    place = lambda c: 2 * np.arange(LENGTH // 2) + (np.arange(LENGTH)[:, None] + c) % 2
    return [np.take_along_axis(packed_bits, place(c), 1).copy() for c in range(2)]


def c_program(h=None, n_sweeps=50):
    """The call, the flips, and the words of both colours."""
    library = compiled()
    words = [np.full((LENGTH, LENGTH // 2), 0xFFFFFFFF, np.uint32) for _ in range(2)]
    threshold = np.round(np.exp([-8 * K, -4 * K]) * 2**24).astype(np.uint32)
    state = np.array([1], np.uint64)
    signs = [None, None] if h is None else flags_by_colour(h)
    pointer = lambda a: None if a is None else a.ctypes.data_as(ctypes.c_void_p)

    def run():
        library.sweeps(
            LENGTH,
            n_sweeps,
            *map(pointer, words),
            pointer(threshold),
            *map(pointer, signs),
            ctypes.c_uint32(0),
            pointer(state),
        )

    return run, LENGTH**2 * 32 * n_sweeps, words


def c_uniform():
    return c_program()[:2]


def c_glass():
    return c_program(models.edwards_anderson(SQUARE, K, disorder="bimodal"))[:2]


def thrml():
    """Block Gibbs sampling of 8 chains, by the documented interface, in float32."""
    pytest.importorskip("thrml")
    from thrml import Block, SamplingSchedule, SpinNode, sample_states
    from thrml.models import IsingEBM, IsingSamplingProgram

    n_chains, n_sweeps = 8, 10
    nodes = [SpinNode() for _ in range(SQUARE.n_sites)]
    edges = [(nodes[i], nodes[j]) for i, j in SQUARE.bonds.array.tolist()]
    blocks = [Block([nodes[i] for i in np.flatnonzero(SQUARE.colouring == c)]) for c in range(2)]
    schedule = SamplingSchedule(n_warmup=n_sweeps, n_samples=1, steps_per_sample=1)
    with jax.enable_x64(False):
        model = IsingEBM(nodes, edges, jnp.zeros(len(nodes)), jnp.ones(len(edges)), jnp.float32(K))
        program = IsingSamplingProgram(model, blocks, [])
        held = [[jnp.ones((n_chains, len(b.nodes)), bool) for b in blocks], jax.random.key(0)]
    sample = lambda key, start: sample_states(key, program, schedule, start, [], blocks)
    call = jax.jit(jax.vmap(sample))

    def run():
        with jax.enable_x64(False):
            held[1], key = jax.random.split(held[1])
            after = call(jax.random.split(key, n_chains), held[0])
            held[0] = [jax.block_until_ready(a[:, 0]) for a in after]

    return run, SQUARE.n_sites * n_chains * n_sweeps


def peapods():
    """Metropolis of 32 replicas at one temperature, in its threads; one sweep of 20 is measured."""
    package = pytest.importorskip("peapods")
    n_sweeps = 20
    model = package.Ising((LENGTH, LENGTH), temperatures=np.array([1 / K]), n_replicas=32)
    run = lambda: model.sample(n_sweeps, warmup_ratio=0.95)
    return run, SQUARE.n_sites * 32 * n_sweeps


CASES = [
    uniform,
    uniform_heat_bath,
    glass,
    one_sweep_a_call,
    cubic,
    triangular,
    random_graph,
    random_graph_256_replicas,
    c_uniform,
    c_glass,
    thrml,
    peapods,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_flips(benchmark, case):
    run, flips = case()
    run()
    benchmark(run)
    if benchmark.stats is not None:
        benchmark.extra_info["flips_per_ns"] = flips / benchmark.stats.stats.median / 1e9


def test_interleaved(benchmark):
    """Every case in turn, nine times: medians of flips per nanosecond, by wall and by CPU time."""
    cases = {}
    for case in CASES:
        try:
            cases[case.__name__] = case()
        except pytest.skip.Exception as reason:
            benchmark.extra_info[case.__name__] = str(reason)
    times = {name: [] for name in cases}

    def rounds():
        for name, (run, flips) in cases.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].append(
                (flips / (time.perf_counter() - wall), flips / (time.process_time() - cpu))
            )

    rounds()
    for name in times:
        times[name].clear()
    benchmark.pedantic(rounds, rounds=9, iterations=1)
    for name, values in times.items():
        wall, cpu = np.median(values, axis=0) / 1e9
        benchmark.extra_info[name] = {"wall": round(wall, 3), "cpu": round(cpu, 3)}
        print(f"{name:28s} flips/ns: wall {wall:8.3f}  per CPU ns {cpu:8.3f}")


@pytest.mark.parametrize("h", [None, models.edwards_anderson(SQUARE, K, disorder="bimodal")])
def test_the_c_program_samples_the_same_model(benchmark, h):
    run, _, words = c_program(h, n_sweeps=500)
    benchmark.pedantic(run, rounds=1)
    model = models.ising(SQUARE, K) if h is None else h
    kernel = PackedIsing(n_sweeps=500)
    state = kernel.init(model, jnp.ones((32, LENGTH, LENGTH)))
    state, _ = jax.jit(kernel)(model, state, key=jax.random.key(0))
    energy = jax.jit(kernel.energy)
    ours, theirs = energy(model, state), energy(model, tuple(map(jnp.asarray, words)))
    error = jnp.sqrt((jnp.var(ours) + jnp.var(theirs)) / 31)
    assert abs(jnp.mean(ours) - jnp.mean(theirs)) < 5 * error
