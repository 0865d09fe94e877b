r"""One step of a continuous group: dk/dl = beta(k) integrated over l = log b.

By Tsitouras' method of order 5 with adaptive steps (``diffrax``; P. Kidger, On Neural Differential
Equations, thesis, Oxford (2021), chapter 5), differentiable forwards and backwards.
"""

import math
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from physdl.rg._base import RGFlow, RGStep

__all__ = ["integrated"]

FIRST_STEP = 0.01
LARGEST_STEP = 0.1
MAX_STEPS = 4096


def integrated(flow: RGFlow, couplings: Any) -> RGStep[Any]:
    """The couplings after l = log(scale).

    Only couplings are followed, so ``log_weight`` is NaN; ``error`` is the tolerance of the
    integration. Couplings that run away come back as infinite.
    """
    k = jax.tree.map(jnp.asarray, couplings)
    dtype = jnp.result_type(*jax.tree.leaves(k))
    tolerance = float(np.finfo(dtype).eps) ** 0.75
    end = jnp.asarray(jnp.log(flow.scale), dtype)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda l, k, flow: flow.beta(k)),
        diffrax.Tsit5(),
        t0=jnp.zeros((), dtype),
        t1=end,
        dt0=end * FIRST_STEP,
        y0=k,
        args=flow,
        stepsize_controller=diffrax.PIDController(
            rtol=tolerance, atol=tolerance, dtmax=end * LARGEST_STEP
        ),
        adjoint=diffrax.DirectAdjoint(),
        max_steps=MAX_STEPS,
        throw=False,
    )
    done = solution.result == diffrax.RESULTS.successful
    after = jax.tree.map(lambda v: jnp.where(done, v[-1], jnp.inf), solution.ys)
    return RGStep(after, jnp.asarray(math.nan, dtype), jnp.asarray(tolerance, dtype))
