r"""The contract of a renormalization-group map, and the status of what is computed from one.

A map takes couplings to the couplings of a lattice coarser by the length ratio b,

    Z(k) = exp(N w(k)) Z'(k'),        k' = R(k),

with w the part of log Z per site of the finer lattice that the step sums out. Couplings are any
pytree of arrays: a vector, a Hamiltonian, a table, a tensor; the structure out is the structure in.
A map is a ``@module`` (a frozen dataclass that is a pytree) of settings with one pure call, so its
settings that are data (a real b, a dimension, the weights of a network) can be differentiated.

A continuous group, dk/dl = beta(k) with l the logarithm of the length, is an ``RGFlow``: a map that
also knows its ``beta``. Fixed points and exponents are then those of ``beta``, and the map itself
is its integral over l = log b.
"""

import enum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from physdl.pytree import module

__all__ = ["RGFlow", "RGMap", "RGStatus", "RGStep", "displacement", "flat_map"]

S = TypeVar("S")


class RGStatus(enum.IntEnum):
    """Why a fixed point, exponent or critical point is or is not to be trusted; an int32 array."""

    OK = 0
    UNCONVERGED = 1
    DEGENERATE = 2
    LEFT = 3
    COMPLEX = 4
    SAME_PHASE = 5

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return {
            RGStatus.OK: "The result can be trusted.",
            RGStatus.UNCONVERGED: "The iteration did not converge: start nearer, or run longer.",
            RGStatus.DEGENERATE: "An eigenvalue is 1: the fixed point is not isolated or marginal.",
            RGStatus.LEFT: "The map left its domain (a coupling is not finite): start nearer.",
            RGStatus.COMPLEX: "Eigenvalues are complex: y is the growth of a spiral.",
            RGStatus.SAME_PHASE: "Both ends flow into one phase: widen the interval.",
        }[self]


@module
class RGStep(Generic[S]):
    """One coarse-graining step.

    Attributes:
      couplings: the renormalized couplings, structured as the input.
      log_weight: log Z summed out by this step, in nats per site of the *input* lattice.
      error: the method's own measure of what it discarded; 0 where the map is exact.
    """

    couplings: S
    log_weight: Float[Array, ""]
    error: Float[Array, ""]


@runtime_checkable
class RGMap(Protocol):
    """Settings as fields, one pure call.

    ``scale`` is the length ratio b > 1 of one step and ``dim`` the dimension d of the lattice, so a
    step leaves 1 / b^d of the sites.
    """

    @property
    def scale(self) -> Any: ...

    @property
    def dim(self) -> Any: ...

    def __call__(self, couplings: Any) -> RGStep[Any]:
        """The couplings of the coarser lattice, and what was summed out."""
        ...


@runtime_checkable
class RGFlow(RGMap, Protocol):
    """A continuous group: a map with a ``beta`` function."""

    def beta(self, couplings: Any) -> Any:
        """dk/dl, structured as the couplings; l is the logarithm of the length."""
        ...


def displacement(rg: RGMap, couplings: S) -> S:
    """What vanishes at a fixed point: beta(k) of a continuous group, else R(k) - k."""
    if isinstance(rg, RGFlow):
        moved: S = rg.beta(couplings)
        return moved
    after = rg(couplings).couplings
    difference: S = jax.tree.map(jnp.subtract, after, couplings)
    return difference


def flat_map(rg: RGMap, like: Any) -> tuple[Any, Any, Any]:
    """``displacement`` as a function of one vector, the vector of ``like``, and the way back."""
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, like))

    def moved(vector: Float[Array, " n"]) -> Float[Array, " n"]:
        flat_moved: Array = ravel_pytree(displacement(rg, unravel(vector)))[0]
        return flat_moved

    return moved, flat, unravel
