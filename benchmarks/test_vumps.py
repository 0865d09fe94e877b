"""Uniform matrix product states and corner transfer matrices at the critical point, in one run.

pytest benchmarks/test_vumps.py (threads of BLAS limited to one). The first call compiles.
"""

import time

import jax
import pytest

from physdl import lattices, models, reference, tensors

jax.config.update("jax_enable_x64", True)

CRITICAL = float(reference.square_critical_coupling())
BULK = tensors.bulk(models.ising(lattices.square(2, 2), CRITICAL))
EXACT = float(reference.onsager_log_z(CRITICAL))
SCHEMES = {
    "vumps, chi=24": tensors.VUMPS(chi=24, max_steps=1000),
    "vumps, chi=48": tensors.VUMPS(chi=48, max_steps=1000),
    "vumps, chi=64": tensors.VUMPS(chi=64, max_steps=1000),
    "ctmrg, chi=24": tensors.CTMRG(chi=24, symmetric=True, max_steps=1500),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_critical_point(benchmark, name):
    scheme = SCHEMES[name]
    start = time.perf_counter()
    found = jax.block_until_ready(scheme(BULK))
    benchmark.extra_info["first_call_s"] = time.perf_counter() - start
    benchmark.extra_info["relative_error"] = float(found.log_z_per_tensor) / EXACT - 1
    benchmark.extra_info["residual"] = float(found.residual)
    benchmark.extra_info["n_steps"] = int(found.n_steps)
    benchmark.pedantic(lambda: jax.block_until_ready(scheme(BULK)), rounds=3)
