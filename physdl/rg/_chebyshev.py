"""Polynomials through Chebyshev points of [0, 1]: their derivatives, and their values between."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

__all__ = ["chebyshev", "interpolated"]

Matrix = NDArray[np.float64]


@functools.cache
def chebyshev(n: int) -> tuple[Matrix, Matrix, Matrix]:
    """n points of [0, 1], the matrix of d/dx between them, and that from values to coefficients.

    The derivative is that of L. N. Trefethen, Spectral Methods in MATLAB (2000), chapter 6.
    """
    angle = np.pi * np.arange(n) / (n - 1)
    x = (1 - np.cos(angle)) / 2
    weight = (-1.0) ** np.arange(n)
    weight[[0, -1]] *= 0.5
    away = x[:, None] - x + np.eye(n)
    derivative = weight / weight[:, None] / away
    derivative -= np.diag(derivative.sum(axis=1))
    modes = np.cos(np.outer(np.pi - angle, np.arange(n)))
    return x, derivative, np.linalg.inv(modes)


def interpolated(values: Float[Array, " n"], x: Float[Array, ""] | Any) -> Float[Array, ""]:
    """The polynomial with these values at the points, at any one x, by Clenshaw's recurrence."""
    coefficients = jnp.asarray(chebyshev(len(values))[2], values.dtype) @ values
    t = 2 * x - 1

    def add(carry: tuple[Array, Array], c: Array) -> tuple[tuple[Array, Array], None]:
        return (2 * t * carry[0] - carry[1] + c, carry[0]), None

    zero = jnp.zeros_like(coefficients[0] * t)
    (b, later), _ = jax.lax.scan(add, (zero, zero), coefficients[:0:-1])
    return t * b - later + coefficients[0]
