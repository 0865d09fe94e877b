"""Coarse-graining of tensors: seconds a step, against numpy and quimb, and growth with chi.

pytest benchmarks/test_tensors.py (threads of BLAS limited to one: OPENBLAS_NUM_THREADS=1). Peers do
the same job in the same run: a plain TRG in numpy at chi = 24 with full decompositions, the TRG of
tenax (the package tenax-tn) as it comes, and quimb's ``contract_hotrg`` for the 32 x 32 torus at an
error of 8.5e-6 in log Z.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models, reference, tensors

jax.config.update("jax_enable_x64", True)

CRITICAL = float(reference.square_critical_coupling())
BULK = tensors.bulk(models.ising(lattices.square(2, 2), CRITICAL))
PER_SITE = float(reference.onsager_log_z(CRITICAL))
STEPS = 24
SCHEMES = {
    "trg": tensors.TRG(chi=24),
    "trg, parity": tensors.TRG(chi=24, parity=(0, 1)),
    "btrg": tensors.BTRG(chi=24),
    "btrg, parity": tensors.BTRG(chi=24, parity=(0, 1)),
    "hotrg": tensors.HOTRG(chi=16),
    "atrg": tensors.ATRG(chi=24),
    "loop-tnr": tensors.LoopTNR(chi=8),
}
GROWTH = {
    "trg": (tensors.TRG, (16, 24, 32, 48)),
    "btrg": (tensors.BTRG, (16, 24, 32, 48)),
    "hotrg": (tensors.HOTRG, (8, 12, 16, 20)),
    "atrg": (tensors.ATRG, (16, 24, 32, 48)),
}


def record(benchmark, run):
    """Run a benchmark with processor time beside wall time."""
    jax.block_until_ready(run())
    start = time.process_time()
    out = benchmark.pedantic(lambda: jax.block_until_ready(run()), rounds=5, iterations=1)
    benchmark.extra_info["cpu_s"] = (time.process_time() - start) / 5
    return out


@pytest.mark.parametrize("name", SCHEMES)
def test_steps_at_criticality(benchmark, name):
    scheme = SCHEMES[name]
    found = record(benchmark, lambda: tensors.log_z_per_tensor(scheme, BULK, STEPS))
    benchmark.extra_info["relative_error"] = abs(float(found) / PER_SITE - 1)


def test_peer_numpy_trg(benchmark):
    found = benchmark.pedantic(lambda: numpy_trg(np.asarray(BULK), 24, STEPS), rounds=3)
    benchmark.extra_info["relative_error"] = abs(found / PER_SITE - 1)


def test_peer_tenax_trg(benchmark):
    tenax = pytest.importorskip("tenax")
    bulk = tenax.compute_ising_tensor(CRITICAL)
    config = tenax.TRGConfig(max_bond_dim=24, num_steps=STEPS)
    found = benchmark.pedantic(
        lambda: jax.block_until_ready(tenax.trg(bulk, config)), rounds=2, warmup_rounds=1
    )
    benchmark.extra_info["relative_error"] = abs(float(found) / PER_SITE - 1)


def numpy_trg(t, chi, n_steps):
    """Levin and Nave as one writes it down: two decompositions and a contraction a step."""
    total, volume = 0.0, 1.0
    for _ in range(n_steps):
        n = len(t)
        halves = []
        for order in ("lrud->lurd", "lrud->urdl"):
            u, s, vt = np.linalg.svd(np.einsum(order, t).reshape(n * n, n * n))
            k = min(chi, n * n)
            root = np.sqrt(s[:k])
            halves += [
                (u[:, :k] * root).reshape(n, n, k),
                (root[:, None] * vt[:k]).reshape(k, n, n),
            ]
        a1, a2, b1, b2 = halves
        upper = np.einsum("aps,btp->asbt", a2, b2, optimize=True)
        lower = np.einsum("qtc,sqd->tscd", a1, b1, optimize=True)
        t = np.einsum("asbt,tscd->acdb", upper, lower, optimize=True)
        volume *= 2
        norm = np.linalg.norm(t)
        t, total = t / norm, total + np.log(norm) / volume
    return total


@pytest.mark.parametrize(
    "scheme", [tensors.TRG(chi=16, parity=(0, 1)), tensors.BTRG(chi=12)], ids=["trg", "btrg"]
)
def test_torus_of_32(benchmark, scheme):
    h = models.ising(lattices.square(32, 32), CRITICAL)
    estimator = estimators.TensorRG(scheme)
    exact = float(reference.kaufman_log_z(32, 32, CRITICAL))
    found = record(benchmark, lambda: estimator(h).log_z)
    benchmark.extra_info["relative_error"] = abs(float(found) / exact - 1)


def test_peer_quimb_torus_of_32(benchmark):
    qtn = pytest.importorskip("quimb.tensor")
    exact = float(reference.kaufman_log_z(32, 32, CRITICAL))

    def run():
        network = qtn.TN2D_classical_ising_partition_function(32, 32, beta=CRITICAL, cyclic=True)
        return network.contract_hotrg(
            max_bond=8, cutoff=0.0, equalize_norms=1.0, strip_exponent=True
        )

    mantissa, exponent = benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    found = np.log(np.real(mantissa)) + float(exponent) * np.log(10)
    benchmark.extra_info["relative_error"] = abs(float(found) / exact - 1)


@pytest.mark.parametrize("name", GROWTH)
def test_growth_with_the_bond_dimension(benchmark, name):
    """The exponent of seconds a step in chi, by least squares of logarithms."""
    seconds = []
    kind, chis = GROWTH[name]
    for chi in chis:
        scheme = kind(chi=chi)
        step = jax.jit(scheme.step)
        network = tensors.coarsen(scheme, BULK, 8).network
        jax.block_until_ready(step(network))
        times = []
        for _ in range(5):
            start = time.process_time()
            jax.block_until_ready(step(network))
            times.append(time.process_time() - start)
        seconds.append(float(np.median(times)))
    slope = np.polyfit(np.log(chis), np.log(seconds), 1)[0]
    benchmark.extra_info["exponent"] = float(slope)
    benchmark.extra_info["cpu_s_per_step"] = dict(zip(map(str, chis), seconds, strict=True))
    benchmark.pedantic(lambda: jnp.zeros(()), rounds=1)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives(benchmark, order):
    """Energy, and energy with specific heat, of TRG at chi = 16."""

    def log_z(k):
        bulk = tensors.bulk(models.ising(lattices.square(2, 2), k))
        return tensors.log_z_per_tensor(tensors.TRG(chi=16), bulk, STEPS)

    slope = jax.grad(log_z)
    function = slope if order == 1 else lambda k: jax.jvp(slope, (k,), (1.0,))
    compiled = jax.jit(function)
    record(benchmark, lambda: compiled(0.4))
