"""100 states x 10^5 samples of harmonic oscillators, with pymbar as peer: pytest benchmarks

PHYSDL_PYMBAR names the Python of an environment that has pymbar and psutil; the peer runs there, in
a process of its own. Both report the seconds of a solution with its errors (the first call, which
compiles, apart) and the largest resident memory less that before the call. The peer is given the
energies [K, N]; ours are parameters @ features, never stored. Errors are asked of both.
"""

import json
import os
import subprocess
import sys

import pytest

N_STATES, N_DRAWS = 100, 1000

PROBLEM = """
import numpy as np
def oscillators(n_states, n_draws):
    rng = np.random.default_rng(0)
    centre, stiff = np.linspace(0, 20, n_states), np.linspace(1, 4, n_states)
    x = np.concatenate([rng.normal(o, k**-0.5, n_draws) for o, k in zip(centre, stiff)])
    parameters = np.stack([stiff / 2, -stiff * centre, stiff * centre**2 / 2], axis=1)
    features = np.stack([x**2, x, np.ones_like(x)], axis=1)
    return parameters, features, np.full(n_states, n_draws), -np.log(stiff / stiff[0]) / 2
"""

MEASURE = """
import json, resource, sys, time
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
parameters, features, n, exact = oscillators(*map(int, sys.argv[1:3]))
times, before = [], used()
for _ in range(2):
    begin = time.perf_counter()
    log_z, stderr = solve(parameters, features, n)
    times.append(time.perf_counter() - begin)
z = np.max(np.abs(np.asarray(log_z) - exact)[1:] / np.asarray(stderr)[1:])
print(json.dumps({"first_s": times[0], "s": times[1], "mb": used() - before, "worst_z": float(z),
                  "log_z": float(log_z[-1]), "stderr": float(stderr[-1])}))
"""

OURS = """
import jax
jax.config.update("jax_enable_x64", True)
from physdl.estimators.multistate import mbar
def solve(parameters, features, n):
    found = jax.block_until_ready(mbar(parameters, features, n))
    return found.log_z, found.stderr[0]
"""

PEER = """
import pymbar
def solve(parameters, features, n):
    found = pymbar.MBAR(parameters @ features.T, n)
    result = found.compute_free_energy_differences()
    return -result["Delta_f"][0], result["dDelta_f"][0]
"""


def measured(python, solver):
    code = PROBLEM + solver + MEASURE
    arguments = [python, "-c", code, str(N_STATES), str(N_DRAWS)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_process_of_its_own(benchmark):
    found = benchmark.pedantic(measured, (sys.executable, OURS), rounds=1)
    benchmark.extra_info.update(found)
    assert found["worst_z"] < 5


def test_peer_pymbar(benchmark):
    python = os.environ.get("PHYSDL_PYMBAR")
    if python is None:
        pytest.skip("PHYSDL_PYMBAR names no Python that has pymbar")
    found = benchmark.pedantic(measured, (python, PEER), rounds=1)
    benchmark.extra_info.update(found)
    assert found["worst_z"] < 5
