"""The end of a finite torus: how often it can be halved, and the ring of tensors that is left."""

import string

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.errors import LatticeError
from physdl.numerics import full_precision
from physdl.tensors._base import frobenius

__all__ = ["halvings", "ring"]


def halvings(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """How often a torus of tensors can be halved along all axes, and its shape then.

    Raises:
      LatticeError: more than one side is longer than one tensor then.
    """
    n, left = 0, tuple(shape)
    while all(side % 2 == 0 for side in left):
        n, left = n + 1, tuple(side // 2 for side in left)
    if n == 0 or sum(side > 1 for side in left) > 1:
        raise LatticeError(
            f"a torus of {shape} tensors cannot be halved to a ring: all sides but one must be the "
            f"same power of two, which divides the other: use Contraction or TransferMatrix."
        )
    return n, left


@full_precision
def ring(tensor: Float[Array, "..."], shape: tuple[int, ...]) -> Float[Array, ""]:
    """log tr of a ring of tensors, each closed on itself along the axes of length one."""
    longest = max(range(len(shape)), key=lambda axis: shape[axis])
    legs = list(string.ascii_lowercase[: 2 * len(shape)])
    for axis in range(len(shape)):
        if axis != longest:
            legs[2 * axis + 1] = legs[2 * axis]
    ends = legs[2 * longest] + legs[2 * longest + 1]
    matrix = jnp.einsum("".join(legs) + "->" + ends, tensor)
    power, log_scale = matrix, jnp.zeros((), matrix.dtype)
    for bit in bin(shape[longest])[3:]:
        power, log_scale = power @ power, 2 * log_scale
        power = power @ matrix if bit == "1" else power
        size = frobenius(power)
        power, log_scale = power / size, log_scale + jnp.log(size)
    return jnp.log(jnp.trace(power)) + log_scale
