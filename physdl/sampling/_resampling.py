"""Weights of a population, how far a step may go, who survives it, and what families tell."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from physdl.numerics import logsumexp
from physdl.sampling import _random as random

__all__ = ["RESAMPLING", "log_weights", "log_z_stderr", "longest_stride"]

BISECTIONS = 30


def log_weights(slope: Float[Array, " R"], stride: Float[Array, ""]) -> Float[Array, " R"]:
    """-stride * slope, and -inf for forbidden configurations at every stride."""
    forbidden = jnp.isposinf(slope)
    return jnp.where(forbidden, -jnp.inf, -stride * jnp.where(forbidden, 0, slope))


def longest_stride(
    slope: Float[Array, " R"], most: Float[Array, ""], target: Float[Array, ""]
) -> Float[Array, ""]:
    """The longest step at which the effective sample size stays above its target.

    It decreases with the step s: the derivative of 2 log sum w - log sum w^2 is twice the
    difference of the mean slopes at 2s and at s.
    """
    n_allowed = jnp.sum(~jnp.isposinf(slope)).astype(slope.dtype)

    def enough(stride: Float[Array, ""]) -> Array:
        log_w = log_weights(slope, stride)
        return 2 * logsumexp(log_w) - logsumexp(2 * log_w) >= jnp.log(target * n_allowed)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        good = enough(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    low, _ = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros_like(most), most))
    return jnp.where(enough(most), most, low)


def systematic(key: Key[Array, ""], log_w: Float[Array, " R"]) -> Int[Array, " R"]:
    """R indices: i occurs R w_i / sum w times, rounded up or down."""
    n = log_w.shape[0]
    u = random.uniform(key, (), log_w.dtype)
    return _chosen(log_w, (jnp.arange(n, dtype=log_w.dtype) + u) / n)


def multinomial(key: Key[Array, ""], log_w: Float[Array, " R"]) -> Int[Array, " R"]:
    """R independent indices, i with probability w_i / sum w."""
    return _chosen(log_w, random.uniform(key, log_w.shape, log_w.dtype))


RESAMPLING = {"systematic": systematic, "multinomial": multinomial}


def _chosen(log_w: Float[Array, " R"], u: Float[Array, " R"]) -> Int[Array, " R"]:
    """Where numbers in [0, 1) fall among the cumulative weights; never where the weight is 0."""
    w = jnp.exp(log_w - logsumexp(log_w))
    below = jnp.cumsum(w)
    last = (w.shape[0] - 1 - jnp.argmax(w[::-1] > 0)).astype(jnp.int32)
    found = jnp.searchsorted(below, u * below[-1], side="right").astype(jnp.int32)
    return jnp.minimum(found, last)


def log_z_stderr(
    square: Float[Array, ""], n: int, n_steps: Float[Array, ""], resampling: str
) -> Float[Array, ""]:
    """The standard error of log Z from sum nu^2 of a population of n; NaN where it gives none.

    After T multinomial resamplings 1 - (R / (R - 1))^(T + 1) (1 - sum nu^2) is an unbiased estimate
    of the relative variance of Z (A. Lee and N. Whiteley, Biometrika 105, 609 (2018)). Systematic
    resampling of equal weights changes no family, so there T = 0, and the estimate is too large.
    """
    power = n_steps + 1 if resampling == "multinomial" else jnp.ones_like(n_steps)
    variance = 1 - jnp.exp(power * math.log(n / (n - 1))) * (1 - square)
    return jnp.where(variance > 0, jnp.sqrt(jnp.maximum(variance, 0)), jnp.nan)
