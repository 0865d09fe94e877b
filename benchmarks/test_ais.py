"""Annealed importance sampling of an RBM, with rbms as peer: pytest benchmarks/test_ais.py

A machine of 784 x 500 units, 500 chains and 100 temperatures, in float32 on all cores. What bounds
any such run are two products of matrices per temperature, [500, 784] x [784, 500] and back; they
are timed as rows of their own, and ``share_of_bound`` is their time over that of the whole call.
The rounds of both alternate, so that a busy machine slows both; CPU time is given too. On a busy
machine the threads of the peer wait for each other in turns that cost CPU time: give all programs
one core, ``taskset -c 0 pytest benchmarks/test_ais.py``.

``rbms`` (and with it torch) lives in an environment of its own: set ``PHYSDL_RBMS_PYTHON`` to its
interpreter. It takes 100 steps from the same weights, and starts from its independent model, the
biases alone, where physdl starts from zero; both are the defaults.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import models
from physdl.estimators.ais import AIS

N_CHAINS, N_STEPS, N_VISIBLE, N_HIDDEN, N_ROUNDS = 500, 100, 784, 500, 9

PEER = """
import sys, time
import numpy as np, torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.partition_function.ais import compute_partition_function_ais
torch.set_num_threads(int(sys.argv[2]))
w, v, h = (torch.from_numpy(a) for a in np.load(sys.argv[1]).values())
machine = BBRBM(w, v, h)
for line in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    log_z = compute_partition_function_ais(int(line), int(sys.argv[3]) + 1, machine)
    print("ran", time.perf_counter() - start, time.process_time() - cpu, log_z, flush=True)
"""


@pytest.fixture(autouse=True)
def as_a_user():
    """Single precision and JAX's defaults."""
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        yield


def coefficients():
    rng = np.random.default_rng(0)
    weights = 0.05 * rng.normal(size=(N_VISIBLE, N_HIDDEN))
    biases = 0.1 * rng.normal(size=N_VISIBLE), 0.1 * rng.normal(size=N_HIDDEN)
    return [a.astype(np.float32) for a in (weights, *biases)]


def timed(run):
    start, cpu = time.perf_counter(), time.process_time()
    out = jax.block_until_ready(run())
    return time.perf_counter() - start, time.process_time() - cpu, out


def described(samples):
    low, middle, high = statistics.quantiles(samples, n=4)
    return {"min": min(samples), "quartiles": [low, middle, high]}


def runs():
    """The whole call of the estimator, and the products that bound it."""
    weights, visible, hidden = map(jnp.asarray, coefficients())
    h = models.rbm(weights, visible, hidden)
    settings = AIS(n_chains=N_CHAINS, betas=jnp.linspace(0, 1, N_STEPS + 1))
    keys = iter(jax.random.split(jax.random.key(0), 1000))
    x = jnp.asarray(np.random.default_rng(1).integers(0, 2, (N_CHAINS, N_VISIBLE)), jnp.float32)

    @jax.jit
    def products(x, weights):
        back = lambda k, x: (x @ weights) @ weights.T
        return jax.lax.fori_loop(0, N_STEPS, back, x)

    return lambda: settings(h, key=next(keys)).log_z, lambda: products(x, weights)


class Peer:
    """The other program, started once and warmed up; None where it is not installed."""

    def __init__(self, python):
        with tempfile.NamedTemporaryFile(suffix=".npz", delete=False) as file:
            np.savez(file, *coefficients())
        cores = str(len(os.sched_getaffinity(0)))
        command = [python, "-W", "ignore", "-c", PEER, file.name, cores, str(N_STEPS)]
        self.file = Path(file.name)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self):
        self.process.stdin.write(f"{N_CHAINS}\n")
        self.process.stdin.flush()
        line = next(line for line in self.process.stdout if line.startswith("ran "))
        wall, cpu, log_z = map(float, line.split()[1:])
        return wall, cpu, log_z

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.file.unlink()


def test_rbm(benchmark):
    """Rounds of the bound, the estimator and the peer in turn."""
    call, products = runs()
    python = os.environ.get("PHYSDL_RBMS_PYTHON")
    programs = {"bound": lambda: timed(products), "physdl": lambda: timed(call)}
    peer = Peer(python) if python else None
    if peer is not None:
        programs["rbms"] = peer
    seen = {name: [] for name in programs}
    for k in range(N_ROUNDS + 1):
        for name, program in programs.items():
            sample = program()
            if k:
                seen[name].append(sample)
    if peer is not None:
        peer.close()
    wall = {name: [s[0] for s in samples] for name, samples in seen.items()}
    cpu = {name: [s[1] for s in samples] for name, samples in seen.items()}
    middle = lambda samples, over: statistics.median(
        a / b for a, b in zip(samples, over, strict=True)
    )
    for name in seen:
        benchmark.extra_info[f"{name}_wall_s"] = described(wall[name])
        benchmark.extra_info[f"{name}_cpu_s"] = described(cpu[name])
        if name != "bound":
            found = [float(s[2]) for s in seen[name]]
            benchmark.extra_info[f"{name}_log_z"] = [float(np.mean(found)), float(np.std(found))]
    benchmark.extra_info["share_of_bound_wall"] = middle(wall["bound"], wall["physdl"])
    benchmark.extra_info["share_of_bound_cpu"] = middle(cpu["bound"], cpu["physdl"])
    if peer is not None:
        benchmark.extra_info["times_faster_wall"] = middle(wall["rbms"], wall["physdl"])
        benchmark.extra_info["times_faster_cpu"] = middle(cpu["rbms"], cpu["physdl"])
    benchmark(lambda: jax.block_until_ready(call()))
