"""What a thermometer says, and whether it was within its scale."""

import enum

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from physdl.pytree import module

__all__ = ["Reading", "ReadingStatus", "reading"]


class ReadingStatus(enum.IntEnum):
    """Why a reading is or is not to be trusted; carried as an int32 array."""

    OK = 0
    EDGE = 1
    NONFINITE = 2

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return {
            ReadingStatus.OK: "The reading is inside the scale.",
            ReadingStatus.EDGE: "The configuration points beyond the scale: widen it.",
            ReadingStatus.NONFINITE: "The reading is not finite: look at the configuration.",
        }[self]


@module
class Reading:
    """The inverse temperature of one configuration.

    Attributes:
      beta: the reading.
      stderr: the error it claims.
      status: a ``ReadingStatus`` as int32.
    """

    beta: Float[Array, ""]
    stderr: Float[Array, ""]
    status: Int[Array, ""]

    @property
    def temperature(self) -> Float[Array, ""]:
        """1 / beta."""
        return 1 / self.beta

    def __repr__(self) -> str:
        try:
            name = ReadingStatus(int(self.status)).name
            return f"beta = {float(self.beta):.6g} +/- {float(self.stderr):.2g} [{name}]"
        except TypeError:  # traced or batched: no single number to show
            return f"Reading(beta={self.beta}, stderr={self.stderr})"


def reading(beta: Float[Array, ""], stderr: Float[Array, ""], at_edge: Bool[Array, ""]) -> Reading:
    """A reading with its status."""
    status = jnp.where(at_edge, ReadingStatus.EDGE.value, ReadingStatus.OK.value)
    status = jnp.where(jnp.isfinite(beta), status, ReadingStatus.NONFINITE.value)
    return Reading(beta, stderr, status.astype(jnp.int32))
