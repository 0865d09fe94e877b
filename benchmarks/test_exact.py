"""pytest benchmarks --benchmark-only. Compilation is outside the timed region.

Peers: enumeration against a vmapped logsumexp of all energies, the stencil energy against a
hand-written roll expression, the transfer matrix against its own growth with width.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models

jax.config.update("jax_enable_x64", True)


def timed(benchmark, function, *arguments, **info):
    jax.block_until_ready(function(*arguments))
    benchmark.extra_info.update(info)
    benchmark(lambda: jax.block_until_ready(function(*arguments)))


@pytest.mark.parametrize("n_sites", [20, 24, 26, 28])
def test_enumeration(benchmark, n_sites):
    h = models.sherrington_kirkpatrick(n_sites, 1.0, 0.1)
    timed(benchmark, lambda h: estimators.Enumeration()(h).log_z, h, states=2**n_sites)


def test_enumeration_by_vmapped_energies(benchmark):
    h = models.sherrington_kirkpatrick(18, 1.0, 0.1)
    states = jnp.asarray(list(itertools.product([-1, 1], repeat=18)), dtype=jnp.int8)
    plain = jax.jit(lambda h, x: jax.nn.logsumexp(-jax.vmap(h)(x)))
    timed(benchmark, plain, h, states, states=2**18)


@pytest.mark.parametrize("width", [8, 10, 12, 14, 16, 18, 20])
def test_transfer_matrix_against_width(benchmark, width):
    h = models.ising(lattices.square(16, width, periodic=(False, True)), 0.44)
    method = estimators.TransferMatrix(axis=0)
    timed(benchmark, lambda h: method(h).log_z, h, per_row=width * 2**width)


@pytest.mark.parametrize("length", [8, 10, 12])
def test_contraction_of_a_grid(benchmark, length):
    h = models.ising(lattices.square(length, length, periodic=False), 0.44)
    timed(benchmark, lambda h: estimators.Contraction()(h).log_z, h)


@pytest.mark.parametrize("length", [8, 10, 12])
def test_peer_quimb_on_the_same_grid(benchmark, length):
    quimb = pytest.importorskip("quimb.tensor")
    lattice = lattices.square(length, length, periodic=False)
    weight = np.exp(0.44 * np.array([[1.0, -1.0], [-1.0, 1.0]]))

    def peer():
        tensors = [quimb.Tensor(weight, (f"s{i}", f"s{j}")) for i, j in lattice.bonds.array]
        network = quimb.TensorNetwork(tensors)
        return network.contract(output_inds=(), optimize="auto-hq")

    timed(benchmark, peer)


@pytest.mark.parametrize("gradient", [False, True], ids=["energy", "gradient"])
@pytest.mark.parametrize("kind", ["stencil", "hand-written"])
def test_energy_of_a_large_lattice(benchmark, kind, gradient):
    h = models.ising(lattices.square(512, 512), 0.44)
    x = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (512, 512)))
    roll = lambda h, x: -0.44 * jnp.sum(x * (jnp.roll(x, -1, 0) + jnp.roll(x, -1, 1)))
    energy = (lambda h, x: h(x)) if kind == "stencil" else roll
    timed(benchmark, jax.jit(jax.grad(energy, argnums=1) if gradient else energy), h, x)
