"""Imitation against a bare optax loop: pytest benchmarks/test_imitation.py

The same network, loss, optimiser and number of steps, in one ``lax.scan`` written by hand with
nothing around it: no check of steps, no errors, no status. The two alternate within one run, each
with a new key every time; medians in wall and in CPU time and their ratios are recorded as
``extra_info``. The loss has values alone, or values and a Jacobian along one random direction.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import networks
from physdl.learning import imitate

jax.config.update("jax_enable_x64", True)

STEPS, BATCH, N_IN, ROUNDS = 2000, 128, 4, 9
ADAM = optax.adam(1e-3)


def function(x):
    return jnp.stack([jnp.sin(x[0] * x[1]) + x[2], jnp.tanh(jnp.sum(x**2))])


def sampler(key):
    return jax.random.normal(key, (N_IN,))


def by_hand(with_jacobian):
    """A jitted (network, key) -> (network, losses), scales given."""

    def loss(network, key):
        x_key, v_key = jax.random.split(key)
        x = jax.vmap(sampler)(jax.random.split(x_key, BATCH))
        off = lambda x: network(x) - function(x)
        if not with_jacobian:
            return jnp.mean(jnp.sum(jax.vmap(off)(x) ** 2, axis=1))
        v = jax.random.normal(v_key, x.shape)
        value, slope = jax.vmap(lambda x, v: jax.jvp(off, (x,), (v,)))(x, v)
        return jnp.mean(jnp.sum(value**2, axis=1)) + jnp.mean(jnp.sum(slope**2, axis=1))

    @jax.jit
    def run(network, key):
        def step(carry, key):
            network, memory = carry
            value, slope = jax.value_and_grad(loss)(network, key)
            with jax.numpy_dtype_promotion("standard"):
                change, memory = ADAM.update(slope, memory, network)
                network = optax.apply_updates(network, change)
            return (network, memory), value

        keys = jax.random.split(key, STEPS)
        (network, _), losses = jax.lax.scan(step, (network, ADAM.init(network)), keys)
        return network, losses

    return run


def ours(with_jacobian):
    def run(network, key):
        found = imitate(
            function,
            network,
            sampler,
            optimizer=ADAM,
            n_steps=STEPS,
            batch_size=BATCH,
            jacobian_weight=1.0 if with_jacobian else 0,
            key=key,
        )
        return found.network, found.losses

    return run


def clocked(run, network, key):
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(run(network, key))
    return time.perf_counter() - wall, time.process_time() - cpu


@pytest.mark.parametrize("with_jacobian", [False, True], ids=["values", "jacobians"])
def test_against_a_bare_loop(benchmark, with_jacobian):
    network = networks.mlp(N_IN, 2, widths=(64, 64), key=jax.random.key(0))
    runs = {"ours": ours(with_jacobian), "bare": by_hand(with_jacobian)}
    for run in runs.values():
        _, losses = run(network, jax.random.key(1))
        assert losses[-1] < 0.2 * losses[0]
    times = {name: [] for name in runs}
    for k in range(ROUNDS):
        for name, run in runs.items():
            times[name].append(clocked(run, network, jax.random.key(k)))
    median = {name: np.median(found, axis=0) for name, found in times.items()}
    for name, (wall, cpu) in median.items():
        benchmark.extra_info[f"{name}_wall_ms"] = round(1e3 * float(wall), 1)
        benchmark.extra_info[f"{name}_cpu_ms"] = round(1e3 * float(cpu), 1)
    for k, clock in enumerate(("wall", "cpu")):
        ratios = [a[k] / b[k] for a, b in zip(times["ours"], times["bare"], strict=True)]
        benchmark.extra_info[f"ratio_{clock}"] = round(float(np.median(ratios)), 3)
    benchmark.pedantic(lambda: clocked(runs["ours"], network, jax.random.key(0)), rounds=3)
