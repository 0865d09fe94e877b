"""Corner transfer matrices of the square Ising model: time to an accuracy of log Z per site.

pytest benchmarks/test_ctmrg.py with one BLAS thread; ``first_call_s`` has tracing and compilation
in it. Goals of the project: 1e-13 in 0.05 s at T = 2, 1e-9 at the critical point in 5 s. A
derivative is that of the converged environment, and costs one linear system more.
"""

import time

import jax
import jax.numpy as jnp
import pytest

from physdl import lattices, models, reference, tensors

jax.config.update("jax_enable_x64", True)

CRITICAL = float(reference.square_critical_coupling())
SETTINGS = {
    "T=2": (0.5, tensors.CTMRG(chi=16, symmetric=True, tolerance=1e-7)),
    "T=2, general": (0.5, tensors.CTMRG(chi=16, tolerance=1e-7)),
    "critical, chi=24": (CRITICAL, tensors.CTMRG(chi=24, symmetric=True, max_steps=1500)),
    "critical, chi=48": (CRITICAL, tensors.CTMRG(chi=48, symmetric=True, max_steps=1500)),
}


def bulk(coupling):
    return tensors.bulk(models.ising(lattices.square(2, 2), coupling))


def timed(benchmark, function, *arguments, rounds):
    first = time.perf_counter()
    found = jax.block_until_ready(function(*arguments))
    benchmark.extra_info["first_call_s"] = round(time.perf_counter() - first, 2)
    benchmark.pedantic(lambda: jax.block_until_ready(function(*arguments)), rounds=rounds)
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_value(benchmark, name):
    coupling, settings = SETTINGS[name]
    found = timed(benchmark, settings, bulk(coupling), rounds=20 if coupling == 0.5 else 3)
    benchmark.extra_info.update(
        relative_error=float(found.log_z_per_tensor / reference.onsager_log_z(coupling) - 1),
        n_steps=int(found.n_steps),
        residual=float(found.residual),
    )
    print(name, benchmark.extra_info)


@pytest.mark.parametrize("name", ["T=2", "T=2, general"])
def test_gradient(benchmark, name):
    coupling, settings = SETTINGS[name]
    slope = jax.jit(jax.grad(lambda k: settings(bulk(k)).log_z_per_tensor))
    found = timed(benchmark, slope, jnp.asarray(coupling), rounds=20)
    truth = -reference.onsager_energy(coupling)
    benchmark.extra_info["relative_error"] = float(found / truth - 1)
    print(name, benchmark.extra_info)
