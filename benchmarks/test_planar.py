"""The Kac-Ward determinant, with cotengra as peer: OPENBLAS_NUM_THREADS=1 pytest benchmarks

Compilation, drawing in the plane and search for a contraction tree are outside the timed region and
recorded beside it in seconds.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.estimators import Planar

jax.config.update("jax_enable_x64", True)


def glass(length):
    lattice = lattices.square(length, length, periodic=False)
    coupling = np.random.default_rng(length).normal(size=lattice.n_bonds)
    return lattice, jnp.asarray(coupling)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("length", [20, 64, 128])
def test_planar_glass(benchmark, length, gradient):
    lattice, coupling = glass(length)
    log_z = lambda k: Planar()(models.ising(lattice, k)).log_z
    function = jax.jit(jax.value_and_grad(log_z) if gradient else log_z)
    start = time.perf_counter()
    jax.block_until_ready(function(coupling))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    benchmark(lambda: jax.block_until_ready(function(coupling)))


@pytest.mark.parametrize("length", [16, 32])
def test_torus(benchmark, length):
    function = jax.jit(lambda k: Planar()(models.ising(lattices.square(length, length), k)).log_z)
    start = time.perf_counter()
    jax.block_until_ready(function(0.44))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    benchmark(lambda: jax.block_until_ready(function(0.44)))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_peer_cotengra_on_the_same_glass(benchmark):
    cotengra = pytest.importorskip("cotengra")
    length = 20
    lattice, coupling = glass(length)
    weights = [np.exp(k * np.array([[1.0, -1.0], [-1.0, 1.0]])) for k in np.asarray(coupling)]
    name = cotengra.get_symbol
    inputs = [(name(i), name(j)) for i, j in lattice.bonds.array.tolist()]
    start = time.perf_counter()
    search = cotengra.HyperOptimizer(
        methods=["greedy", "labels"], max_time=8, parallel=False, progbar=False, optlib="random"
    )
    tree = search.search(inputs, (), {name(i): 2 for i in range(length**2)})
    benchmark.extra_info["search_s"] = time.perf_counter() - start
    benchmark.extra_info["log2_largest"] = tree.contraction_width()
    benchmark(lambda: tree.contract(weights, strip_exponent=True))
