"""What sampled estimates have in common: the value is that of an ensemble, and so are derivatives.

A sampled method draws configurations for the coefficients it is given, held fixed, and returns
through an ``Ensemble``, whose identity

    log Z(h') = log Z(h) + log sum_i w_i exp(h(x_i) - h'(x_i))        at h' = h

has the drawn value, minus the moments as its gradient and their covariance as its Hessian.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import logsumexp

__all__ = ["LIKELY", "RELIABLE", "at_least", "log_mean", "required", "sampled"]

LIKELY = 2.326  # standard errors of a bound that holds in 99 of 100 cases
RELIABLE = 20.0  # equal weights that an ensemble must be worth
SKEWED = 0.6


def sampled(
    h: Hamiltonian,
    ensemble: Ensemble,
    stderr: Float[Array, ""],
    *,
    method: str,
    status: Int[Array, ""] | Status = Status.OK,
    lower: Float[Array, ""] | float = -jnp.inf,
    upper: Float[Array, ""] | float = jnp.inf,
    info: dict[str, Array] | None = None,
) -> Estimate:
    """The estimate of ``h`` from an ensemble that was drawn under its coefficients.

    Where its log Z is not a finite number the status says so instead, and no error is claimed: no
    sample can show that Z is zero, so ``-inf`` means that no allowed configuration was met.
    """
    found = jnp.where(jnp.isneginf(ensemble.log_z), Status.FEW, Status.NONFINITE)
    finite = jnp.isfinite(ensemble.log_z)
    said = jnp.where(finite, jnp.asarray(status, jnp.int32), found.astype(jnp.int32))
    log_z = ensemble.log_z_of(h)
    return Estimate(
        log_z,
        jnp.where(finite, stderr, jnp.nan).astype(log_z.dtype),
        jnp.asarray(lower, log_z.dtype),
        jnp.asarray(upper, log_z.dtype),
        said,
        info or {},
        method=method,
        n_sites=h.n_sites,
        ensemble=ensemble,
    )


def at_least(purpose: str, **settings: tuple[int | None, int]) -> None:
    """Raise ``SettingError`` for a setting, given as (value, least), that is too small."""
    for name, (value, least) in settings.items():
        if value is not None and (not isinstance(value, int) or value < least):
            raise SettingError(f"{purpose} takes {name} of {least} or more, got {value!r}.")


def required(key: Key[Array, ""] | None) -> Key[Array, ""]:
    """The key; ``SettingError`` where none is given."""
    if key is None:
        raise SettingError("a sampled estimator draws random numbers: give key=jax.random.key(0).")
    return key


def log_mean(
    log_w: Float[Array, " n"],
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """log of the mean weight, its standard error, the effective number of weights, and a warning.

    The effective number is (sum w)^2 / sum w^2, or n exp(-var(log w)), what it is for log-normal
    weights, where that is less. The warning is given below 20 of them, and where the mean of
    log-normal weights with this variance v is skewed, exp(3 v / 2) > 0.6 sqrt(n): the heaviest
    weights of a wide distribution are not among few samples.
    """
    n = log_w.shape[0]
    mean = logsumexp(log_w) - math.log(n)
    square = jnp.exp(logsumexp(2 * log_w) - math.log(n) - 2 * mean)
    variance = jnp.var(log_w, where=jnp.isfinite(log_w))
    effective = n * jnp.fmin(1 / square, jnp.exp(-variance))
    few = (effective < RELIABLE) | (1.5 * variance > math.log(SKEWED * math.sqrt(n)))
    return mean, jnp.sqrt(jnp.maximum(square - 1, 0) / (n - 1)), effective, few
