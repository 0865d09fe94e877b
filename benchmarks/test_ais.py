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

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rounds import in_turn, measured, peer, ratio

from physdl import models
from physdl.estimators.ais import AIS

N_CHAINS, N_STEPS, N_VISIBLE, N_HIDDEN, N_ROUNDS = 500, 100, 784, 500, 9

PEER = """
import sys, time
import numpy as np, torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.partition_function.ais import compute_partition_function_ais
n_cores, n_steps, n_chains = map(int, sys.argv[2:])
torch.set_num_threads(n_cores)
w, v, h = (torch.from_numpy(a) for a in np.load(sys.argv[1]).values())
machine = BBRBM(w, v, h)
for _ in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    log_z = compute_partition_function_ais(n_chains, n_steps + 1, machine)
    print("ran", time.perf_counter() - start, time.process_time() - cpu, log_z, flush=True)
"""


pytestmark = pytest.mark.usefixtures("as_a_user")


def coefficients():
    rng = np.random.default_rng(0)
    weights = 0.05 * rng.normal(size=(N_VISIBLE, N_HIDDEN))
    biases = 0.1 * rng.normal(size=N_VISIBLE), 0.1 * rng.normal(size=N_HIDDEN)
    return [a.astype(np.float32) for a in (weights, *biases)]


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


def test_rbm(benchmark):
    """Rounds of the bound, the estimator and the peer in turn."""
    call, products = runs()
    cores = len(os.sched_getaffinity(0))
    arrays = dict(zip(("w", "v", "h"), coefficients(), strict=True))
    python = os.environ.get("PHYSDL_RBMS_PYTHON")
    programs = {"bound": lambda: measured(products), "physdl": lambda: measured(call, float)}
    with peer(python, PEER, cores, N_STEPS, N_CHAINS, **arrays) as rbms:
        if rbms is not None:
            programs["rbms"] = rbms
        seen = in_turn(programs, N_ROUNDS)
    for name, samples in seen.items():
        wall, cpu, *found = zip(*samples, strict=True)
        benchmark.extra_info[f"{name}_wall_s"] = described(wall)
        benchmark.extra_info[f"{name}_cpu_s"] = described(cpu)
        for log_z in found:
            benchmark.extra_info[f"{name}_log_z"] = [float(np.mean(log_z)), float(np.std(log_z))]
    for column, kind in enumerate(("wall", "cpu")):
        benchmark.extra_info[f"share_of_bound_{kind}"] = ratio(seen, "bound", "physdl", column)
        if "rbms" in seen:
            benchmark.extra_info[f"times_faster_{kind}"] = ratio(seen, "rbms", "physdl", column)
    benchmark(lambda: jax.block_until_ready(call()))
