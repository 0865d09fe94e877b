r"""What a ladder of rungs says: the value, its error from influence functions, and its health.

To first order the error of log Z is a sum over all samples of their influence phi, less the mean of
phi at their rung. Samples of different rungs are correlated in time and by exchanges, but chains
are not: the sums over the rungs at one time,

    S_ct = sum_k (phi_kct - mean_ct phi_k),

are series of which the error of the mean, autocorrelation included, times their number is the
standard error of log Z.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl import statistics
from physdl.ensemble import Ensemble
from physdl.estimators._base import Estimate, Status
from physdl.estimators._sampled import RELIABLE, sampled
from physdl.estimators.multistate import MultiState
from physdl.hamiltonian import Hamiltonian

__all__ = ["MOST_R_HAT", "centred", "health", "ladder_estimate"]

LEAST_OVERLAP = 0.03
MOST_R_HAT = 1.1
SAME = 64  # rounding errors that a constant may vary by


def centred(slopes: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, ""]]:
    """Slopes less their mean, and the mean; forbidden ones stay infinite."""
    finite = jnp.isfinite(slopes)
    n = jnp.maximum(jnp.sum(finite), 1).astype(slopes.dtype)
    centre = jnp.sum(jnp.where(finite, slopes, 0)) / n
    return slopes - centre, centre


def health(
    series: Float[Array, "n_chains n_draws"], size: Array
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """R-hat, effective size and the standard error of the sum of a series of terms of some size.

    1, all and 0 for a constant.
    """
    constant = jnp.ptp(series) <= SAME * float(np.finfo(series.dtype).eps) * size
    stderr = series.size * statistics.mean(series).stderr
    return (
        jnp.where(constant, 1, statistics.r_hat(series)),
        jnp.where(constant, series.size, statistics.effective_sample_size(series)),
        jnp.where(constant, 0, stderr),
    )


@functools.partial(jax.jit, static_argnames=("method",))
def ladder_estimate(
    h: Hamiltonian,
    ensemble: Ensemble,
    found: MultiState,
    slopes: Float[Array, "K n_chains n_draws"],
    influence: Float[Array, "K n_chains n_draws"],
    *,
    method: str,
    info: dict[str, Array],
) -> Estimate:
    """The estimate of h, from the influence of every sample on its log Z."""
    series = jnp.sum(influence - jnp.mean(influence, axis=(1, 2), keepdims=True), axis=0)
    k = len(found.overlap)
    below = np.tri(k, dtype=bool)[: k - 1]
    crossing = below[:, :, None] & ~below[:, None, :]
    overlap = jnp.sum(jnp.where(crossing, found.overlap[None], 0), axis=(1, 2))
    gap = jnp.argmin(overlap)
    end = slopes[-1]
    finite = jnp.where(jnp.isfinite(end), end, 0)
    own, at_end = (
        health(series, jnp.max(jnp.abs(influence))),
        health(finite, jnp.max(jnp.abs(finite))),
    )
    r_hat, n_effective = jnp.maximum(own[0], at_end[0]), jnp.minimum(own[1], at_end[1])
    left = jnp.any(jnp.isposinf(slopes[1:]))
    stuck = (r_hat > MOST_R_HAT) | (n_effective < RELIABLE) | left
    said = jnp.int32(Status.OK)
    for wrong, why in (
        (ensemble.effective_sample_size < RELIABLE, Status.FEW),
        (stuck | ~found.converged, Status.UNCONVERGED),
        (overlap[gap] < LEAST_OVERLAP, Status.GAP),
    ):
        said = jnp.where(wrong, jnp.int32(why), said)
    least = jnp.where(overlap[gap] < LEAST_OVERLAP, found.stderr[-1, 0], 0)
    return sampled(
        h,
        ensemble,
        jnp.fmax(own[2], least),
        method=method,
        status=said,
        info={
            **info,
            "overlap": overlap,
            "gap": gap,
            "r_hat": r_hat,
            "n_effective": n_effective,
        },
    )
