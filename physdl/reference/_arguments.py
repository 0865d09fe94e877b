"""Checking of the arguments every reference answer takes: one scalar at a time, sizes as integers.

A coupling may be a number or a traced scalar; batches are made by ``jax.vmap`` outside.
"""

import operator

import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from physdl.errors import SettingError, ShapeError

__all__ = ["integer", "log_cosh", "magnitude", "scalar"]


def scalar(value: ArrayLike, name: str) -> Float[Array, ""]:
    """The value as a floating scalar of jax, in its own precision.

    Raises:
      ShapeError: the value has axes.
    """
    array = jnp.asarray(value)
    if array.ndim:
        raise ShapeError(
            f"{name} must be one number, got an array of shape {array.shape}: "
            "put jax.vmap around the call for a batch."
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(jnp.result_type(float))
    return array


def integer(value: int, name: str, least: int) -> int:
    """The value as an integer not below ``least``.

    Raises:
      SettingError: the value is no integer, or too small.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise SettingError(
            f"{name} must be an integer of at least {least}, got {value!r}: give such a size."
        )
    return number


def magnitude(x: Float[Array, ""]) -> Float[Array, ""]:
    """|x| with slope 1 at 0, so that an even function of it keeps all its derivatives at 0."""
    return jnp.where(x < 0, -x, x)


def log_cosh(x: Float[Array, ""]) -> Float[Array, ""]:
    """ln cosh x without overflow."""
    return jnp.logaddexp(x, -x) - jnp.log(2.0).astype(x.dtype)
