"""Compiled networks against the same layers by hand: pytest benchmarks/test_networks.py

One round evaluates a batch of configurations; energies, then energies with forces. The peer is
written in plain jax with the same weights. The two alternate within one run; medians in wall and in
CPU time and their ratios are recorded as ``extra_info``, beside the time of ``h`` itself.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from physdl import lattices, models
from physdl.networks import compile_polynomial

jax.config.update("jax_enable_x64", True)

BATCH, ROUNDS, REPEATS = 256, 15, 4
CASES = {
    "ising": (lambda: models.ising(lattices.square(32, 32), 0.44), {}),
    "phi4": (lambda: models.phi4(lattices.square(32, 32), r=-1.0, u=0.5), {"radius": 2.0}),
}


def by_hand(network):
    """The same affine maps and activations as a list of arrays and a loop."""
    module = nnx.merge(network.graphdef, network.params)
    layers = [
        (level.table.array, *(p[...] for p in (level.inner, level.bias, level.outer)))
        for level in module.levels
    ]
    weight, constant = module.output.weight[...], module.output.constant[...]
    last = module.output.table.array

    def energy(x):
        v = x.reshape(-1)
        for table, inner, bias, outer in layers:
            z = bias + sum(w * v[row][None, :] for w, row in zip(inner, table, strict=True))
            v = jnp.concatenate([v, (outer * jax.nn.softplus(z)).sum(0)])
        return constant[0] + weight @ v[last]

    return energy


def clocked(run, x):
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(REPEATS):
        jax.block_until_ready(run(x))
    return time.perf_counter() - wall, time.process_time() - cpu


@pytest.mark.parametrize("what", ["energy", "force"])
@pytest.mark.parametrize("name", CASES)
def test_against_the_same_layers_by_hand(benchmark, name, what):
    make, domain = CASES[name]
    h = make()
    network, _ = compile_polynomial(h, **domain)
    wrap = (lambda f: f) if what == "energy" else jax.value_and_grad
    runs = {
        key: jax.jit(jax.vmap(wrap(f)))
        for key, f in {"network": network, "hand": by_hand(network), "hamiltonian": h}.items()
    }
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, size=(BATCH, 32, 32)))
    first = [jax.tree.leaves(runs[key](x))[0] for key in ("network", "hand")]
    np.testing.assert_allclose(*first, rtol=1e-9, atol=1e-5)
    times = {key: [] for key in runs}
    for _ in range(ROUNDS):
        for key, run in runs.items():
            times[key].append(clocked(run, x))
    median = {key: np.median(found[1:], axis=0) / REPEATS for key, found in times.items()}
    for key, (wall, cpu) in median.items():
        benchmark.extra_info[f"{key}_wall_ms"] = round(1e3 * float(wall), 3)
        benchmark.extra_info[f"{key}_cpu_ms"] = round(1e3 * float(cpu), 3)
    for k, clock in enumerate(("wall", "cpu")):
        ratio = float(median["network"][k] / median["hand"][k])
        benchmark.extra_info[f"ratio_{clock}"] = round(ratio, 3)
    benchmark.pedantic(lambda: jax.block_until_ready(runs["network"](x)), rounds=10)


@pytest.mark.parametrize("layout", ["tree", "horner"])
def test_compiling(benchmark, layout):
    """From a Hamiltonian of 64 x 64 sites to a network, report included."""
    h = models.ising(lattices.square(64, 64), 0.44)
    benchmark.pedantic(lambda: compile_polynomial(h, layout=layout), rounds=3)
