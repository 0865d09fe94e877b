"""phi4 HMC, 32^2, 16 chains, 10 leapfrogs, with blackjax as peer: pytest benchmarks/test_hmc.py

One round is a jitted scan over 200 trajectories of all chains with donated state. The peer's
potential is written by hand with rolls. The two alternate within one run; the medians of both, in
wall and in CPU time, and their ratios are recorded as ``extra_info``, in trajectories per second.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.sampling._force import force_of
from physdl.sampling.fourier import FourierHMC
from physdl.sampling.hmc import HMC, MALA

jax.config.update("jax_enable_x64", True)

LENGTH, CHAINS, LEAPFROGS, TRAJECTORIES, STEP = 32, 16, 10, 200, 0.05
R, U = -4.0, 6.975


def field(dtype):
    h = models.phi4(lattices.square(LENGTH, LENGTH), r=R, u=U)
    return jax.tree.map(lambda c: c.astype(dtype), h)


def energy_by_hand(x):
    gradient = sum((jnp.roll(x, -1, axis) - x) ** 2 for axis in (0, 1))
    square = x * x
    return jnp.sum(gradient + R * square + U * square * square)


def gradient_by_hand(x):
    near = sum(jnp.roll(x, shift, axis) for axis in (0, 1) for shift in (1, -1))
    return 2 * (4 * x - near) + 2 * R * x + 4 * U * x**3


def scanned(step):
    """step(state, keys) repeated; a function of the configurations and a key."""

    def run(x, key):
        keys = jax.random.split(key, (TRAJECTORIES, CHAINS))
        return jax.lax.scan(step, x, keys)

    return jax.jit(run, donate_argnums=0)


def ours(kernel, h):
    def step(x, keys):
        x, info = jax.vmap(lambda x, key: kernel(h, x, key=key))(x, keys)
        return x, info["acceptance"]

    return scanned(step)


def blackjaxs(dtype, potential):
    blackjax = pytest.importorskip("blackjax")
    mass = jnp.ones(LENGTH**2, dtype)
    kernel = blackjax.hmc(lambda x: -potential(x), STEP, mass, LEAPFROGS)
    start = jax.vmap(kernel.init)

    def step(state, keys):
        state, info = jax.vmap(kernel.step)(keys, state)
        return state, info.acceptance_rate

    def run(x, key):
        keys = jax.random.split(key, (TRAJECTORIES, CHAINS))
        state, acceptance = jax.lax.scan(step, start(x), keys)
        return state.position, acceptance

    return jax.jit(run, donate_argnums=0)


def clocked(run, dtype, seed):
    x = jnp.zeros((CHAINS, LENGTH, LENGTH), dtype)
    key = jax.block_until_ready(jax.random.key(seed))
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(run(x, key))
    return time.perf_counter() - wall, time.process_time() - cpu


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["float32", "float64"])
def test_phi4_against_blackjax(benchmark, dtype):
    h = field(dtype)
    runs = {
        "hmc": ours(HMC(STEP, LEAPFROGS), h),
        "blackjax": blackjaxs(dtype, energy_by_hand),
        "blackjax_on_h": blackjaxs(dtype, h),
    }
    times = {name: [] for name in runs}
    for seed in range(12):
        for name, run in runs.items():
            times[name].append(clocked(run, dtype, seed))
    n = CHAINS * TRAJECTORIES
    rate = {name: n / np.median(found[1:], axis=0) for name, found in times.items()}
    for name, (wall, cpu) in rate.items():
        benchmark.extra_info[f"{name}_per_wall_s"] = round(wall)
        benchmark.extra_info[f"{name}_per_cpu_s"] = round(cpu)
    for k, clock in enumerate(("wall", "cpu")):
        benchmark.extra_info[f"ratio_{clock}"] = round(rate["hmc"][k] / rate["blackjax"][k], 2)
    run_rounds(benchmark, runs["hmc"], dtype)


def run_rounds(benchmark, run, dtype):
    def setup():
        x = jnp.zeros((CHAINS, LENGTH, LENGTH), dtype)
        return (x, jax.random.key(0)), {}

    target = lambda x, key: jax.block_until_ready(run(x, key))
    benchmark.pedantic(target, setup=setup, rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "kernel",
    [MALA(STEP), HMC(STEP, LEAPFROGS, integrator="omelyan"), FourierHMC(STEP, LEAPFROGS)],
    ids=["mala", "omelyan", "fourier"],
)
def test_kernels(benchmark, kernel, dtype):
    run_rounds(benchmark, ours(kernel, field(dtype)), dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("how", ["flat", "autodiff", "rolls"])
def test_leapfrog_steps(benchmark, how, dtype):
    """2000 leapfrog steps of 16 chains without random numbers, by three ways to the gradient."""
    h = field(dtype)
    force, shape = force_of(h), (LENGTH, LENGTH)
    gradient = {"flat": lambda x: force(x)[0], "autodiff": jax.grad(h), "rolls": gradient_by_hand}
    one, weight = gradient[how], np.dtype(dtype).type(STEP**2)

    @jax.jit
    def run(x):
        def step(_, state):
            x, u = state
            x = x + u
            return x, u - weight * jax.vmap(one)(x)

        return jax.lax.fori_loop(0, 2000, step, (x, 0 * x))

    x = 0.3 * jnp.ones((CHAINS, *((LENGTH**2,) if how == "flat" else shape)), dtype)
    benchmark.pedantic(lambda: jax.block_until_ready(run(x)), rounds=10, warmup_rounds=1)
