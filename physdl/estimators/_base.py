"""The estimator contract: ``estimator(h, *, key=None) -> Estimate``.

An estimator is a frozen dataclass of settings with one pure call. An estimate says what log Z is,
how well it is known, and whether to trust it; a failure that depends on values is a ``status``,
never an exception and never a silent NaN.
"""

import enum
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from physdl.ensemble import Ensemble
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module, static

__all__ = ["Estimate", "Estimator", "Status", "exact", "linear_where_safe"]


class Status(enum.IntEnum):
    """Why an estimate is or is not to be trusted; carried as an int32 array."""

    OK = 0
    ZERO = 1
    NONFINITE = 2
    PRECISION = 3
    DIVERGENT = 4
    FEW = 5
    UNCONVERGED = 6
    GAP = 7
    QUADRATURE = 8
    TRUNCATED = 9
    OUT_OF_RANGE = 10

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return {
            Status.OK: "The estimate can be trusted within its error.",
            Status.ZERO: "Z is exactly zero: every configuration is forbidden, so log Z = -inf.",
            Status.NONFINITE: "A coefficient is NaN or -inf or an energy overflows: no log Z.",
            Status.PRECISION: "Rounding errors may exceed the digits shown; use another method.",
            Status.DIVERGENT: "The weight exp(-H) is not integrable, so Z is infinite.",
            Status.FEW: "Too few configurations carry the weight: more chains or temperatures.",
            Status.UNCONVERGED: "Chains, directions or iterations still disagree: run longer.",
            Status.GAP: "Neighbouring states hardly overlap (info: gap): put states between.",
            Status.QUADRATURE: "The quadrature errs by more than is allowed: more nodes.",
            Status.TRUNCATED: "The bond dimension is small, or divides a multiplet: another chi.",
            Status.OUT_OF_RANGE: "Couplings lie outside the box that was learned: widen it.",
        }[self]


@module
class Estimate:
    """An estimate of log Z with its uncertainty and its health.

    Attributes:
      log_z: natural logarithm of Z, in nats, extensive.
      stderr: standard error of ``log_z``; 0 for exact, nan where no claim is made.
      lower: a lower bound of log Z, ``-inf`` where there is none.
      upper: an upper bound of log Z, ``inf`` where there is none.
      status: a ``Status`` as int32; anything but ``Status.OK`` needs attention.
      info: method-specific diagnostics, each a named array.
      method: what was done, for reports.
      n_sites: number of sites, for ``per_site``.
      ensemble: of a sampled method the weighted configurations it rests on, else ``None``.
    """

    log_z: Float[Array, ""]
    stderr: Float[Array, ""]
    lower: Float[Array, ""]
    upper: Float[Array, ""]
    status: Int[Array, ""]
    info: dict[str, Array]
    method: str = static()
    n_sites: int = static()
    ensemble: Ensemble | None = None

    @property
    def free_energy(self) -> Float[Array, ""]:
        """F / (k_B T) = -log Z."""
        return -self.log_z

    @property
    def per_site(self) -> Float[Array, ""]:
        """log Z / N, in nats per site."""
        return self.log_z / max(self.n_sites, 1)

    def __repr__(self) -> str:
        try:
            error = float(self.stderr)
            text = "" if error != error else f" +/- {error:.2g}" if error else " (exact)"
            return f"log Z = {float(self.log_z):.10g}{text} [{Status(int(self.status)).name}]"
        except TypeError:  # traced or batched: no single number to show
            return f"Estimate(log_z={self.log_z}, method={self.method!r})"


@runtime_checkable
class Estimator(Protocol):
    """Anything callable as below. Settings are fields; the call is pure."""

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """Estimate log Z of ``h``."""
        ...


def exact(
    log_z: Float[Array, ""],
    h: Hamiltonian,
    method: str,
    *,
    precise: Array | bool = True,
    info: dict[str, Array] | None = None,
) -> Estimate:
    """The estimate of an exact method: no error, both bounds tight, status from the value.

    ``precise`` is False where rounding is known to spoil the digits.
    """
    healthy = jnp.where(jnp.asarray(precise), Status.OK, Status.PRECISION)
    broken = jnp.where(jnp.isneginf(log_z), Status.ZERO, Status.NONFINITE)
    status = jnp.where(jnp.isfinite(log_z), healthy, broken).astype(jnp.int32)
    zero = jnp.zeros_like(log_z)
    return Estimate(log_z, zero, log_z, log_z, status, info or {}, method=method, n_sites=h.n_sites)


def linear_where_safe(
    h: Hamiltonian,
    linear: Callable[[Hamiltonian], tuple[Estimate, Array]],
    logarithmic: Callable[[Hamiltonian], Estimate],
) -> Estimate:
    """The estimate on plain numbers where it says that it is safe, else the one on logarithms.

    Where the coefficients have values, as they have outside ``jit`` and ``vmap`` even under
    derivatives, the second is not compiled unless it is needed.
    """
    known = jax.lax.stop_gradient(h)
    if is_traced(known):
        _, safe = linear(known)
        out: Estimate = jax.lax.cond(safe, lambda h: linear(h)[0], logarithmic, h)
        return out
    estimate, safe = linear(h)
    return estimate if safe else logarithmic(h)
