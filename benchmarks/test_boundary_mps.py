"""Boundary matrix products on spin glasses and tori, with quimb as peer: one BLAS thread.

Tracing and compilation are outside the timed region, in ``first_call_s``. quimb contracts the same
open glass, from one side and compressed to the same number of states; its time has the building of
the network in it. Both differ from the Kac-Ward determinant by ``error``, in nats.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, reference
from physdl.estimators import BoundaryMPS, Planar

jax.config.update("jax_enable_x64", True)


def glass(length, field=False):
    lattice = lattices.square(length, length, periodic=False)
    rng = np.random.default_rng(length)
    coupling = rng.normal(size=lattice.n_bonds)
    return lattice, coupling, rng.normal(size=lattice.n_sites) if field else None


def timed(benchmark, function, *arguments):
    start = time.perf_counter()
    found = jax.block_until_ready(function(*arguments))
    benchmark.extra_info["first_call_s"] = round(time.perf_counter() - start, 2)
    benchmark.pedantic(lambda: jax.block_until_ready(function(*arguments)), rounds=3)
    return found


@pytest.mark.parametrize("length, chi", [(16, 16), (32, 16), (32, 32), (64, 32)])
def test_glass(benchmark, length, chi):
    lattice, coupling, _ = glass(length)
    h = models.ising(lattice, jnp.asarray(coupling))
    found = timed(benchmark, lambda h: BoundaryMPS(chi=chi)(h).log_z, h)
    benchmark.extra_info["error"] = float(found - Planar()(h).log_z)


def test_glass_in_a_field(benchmark):
    lattice, coupling, field = glass(64, field=True)
    h = models.ising(lattice, jnp.asarray(coupling), jnp.asarray(field))
    found = timed(benchmark, lambda h: BoundaryMPS(chi=16)(h).log_z, h)
    benchmark.extra_info["error"] = float(found - BoundaryMPS(chi=32)(h).log_z)


def test_gradient(benchmark):
    lattice, coupling, field = glass(32, field=True)
    h = models.ising(lattice, jnp.asarray(coupling), jnp.asarray(field))
    timed(benchmark, jax.jit(jax.grad(lambda h: BoundaryMPS(chi=16)(h).log_z)), h)


@pytest.mark.parametrize("length, chi", [(16, 32), (16, 64), (32, 64)])
def test_critical_torus(benchmark, length, chi):
    k = reference.square_critical_coupling()
    h = models.ising(lattices.square(length, length), k)
    found = timed(benchmark, lambda h: BoundaryMPS(chi=chi)(h).log_z, h)
    benchmark.extra_info["error"] = float(found - reference.kaufman_log_z(length, length, k))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("length, chi", [(16, 16), (32, 16), (32, 32)])
def test_peer_quimb_on_the_same_glass(benchmark, length, chi):
    qtn = pytest.importorskip("quimb.tensor")
    lattice, coupling, _ = glass(length)
    pairs = lattice.bonds.array.tolist()
    strength = {
        frozenset((divmod(i, length), divmod(j, length))): float(k)
        for (i, j), k in zip(pairs, coupling, strict=True)
    }

    def contract():
        network = qtn.TN2D_classical_ising_partition_function(
            length, length, beta=1.0, j=lambda a, b: -strength[frozenset((a, b))]
        )
        mantissa, exponent = network.contract_boundary(max_bond=chi, strip_exponent=True)
        return float(np.log(np.abs(mantissa)) + exponent * np.log(10))

    found = contract()
    benchmark.pedantic(contract, rounds=3)
    h = models.ising(lattice, jnp.asarray(coupling))
    benchmark.extra_info["error"] = found - float(Planar()(h).log_z)
