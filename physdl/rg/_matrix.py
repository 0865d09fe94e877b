"""Products, powers and logarithms of small positive matrices, degenerate ones included.

Everything is built from sums, products and solves, so it is differentiable to all orders also where
eigenvalues coincide, as symmetry makes them do.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.numerics import logsumexp

__all__ = ["log_power", "log_product", "matrix_exponential", "matrix_logarithm"]

N_ROOTS = 5
N_ROOT_STEPS = 20
N_NODES = 16
N_SQUARINGS = 10
N_TERMS = 14


def log_product(a: Float[Array, "n n"], b: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """log(exp(a) exp(b)) of matrices given by the logarithms of their entries."""
    return logsumexp(a[:, :, None] + b[None, :, :], axis=1)


def log_power(a: Float[Array, "n n"], n: int) -> Float[Array, "n n"]:
    """log(exp(a)^n) for n >= 1, by squaring; ``a`` holds the logarithms of the entries."""
    if n == 1:
        return a
    half = log_power(log_product(a, a), n // 2)
    return log_product(half, a) if n % 2 else half


def matrix_logarithm(w: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The logarithm of a matrix with positive eigenvalues; NaN or wrong where one is not.

    Square roots by the product form of Newton's iteration bring w near the identity, there

        log w = int_0^1 (w - 1) (1 + x (w - 1))^(-1) dx

    by Gauss-Legendre (N. J. Higham, Functions of Matrices (SIAM 2008), sections 6.3 and 11.4).

    >>> w = jnp.array([[2.0, 1.0], [1.0, 2.0]])
    >>> bool(jnp.allclose(matrix_exponential(matrix_logarithm(w)), w, rtol=1e-4))
    True
    """
    identity = jnp.eye(len(w), dtype=w.dtype)
    size = jnp.max(jnp.sum(jnp.abs(w), axis=1))

    def newton(_: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        x, m = pair
        inverse = jnp.linalg.inv(m)
        return x @ (identity + inverse) / 2, (2 * identity + m + inverse) / 4

    def square_root(_: Array, x: Array) -> Array:
        root: Array = jax.lax.fori_loop(0, N_ROOT_STEPS, newton, (x, x))[0]
        return root

    root = jax.lax.fori_loop(0, N_ROOTS, square_root, w / size)
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    rest = root - identity
    x, weight = jnp.asarray((nodes + 1) / 2, w.dtype), jnp.asarray(weights / 2, w.dtype)
    parts = jax.vmap(lambda x: jnp.linalg.solve(identity + x * rest, rest))(x)
    total: Array = 2**N_ROOTS * jnp.einsum("x,xij->ij", weight, parts) + jnp.log(size) * identity
    return total


def matrix_exponential(a: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """exp(a) by Taylor's series of a / 2^10 and ten squarings, for norms up to some hundred."""
    identity = jnp.eye(len(a), dtype=a.dtype)
    small = a / 2**N_SQUARINGS
    series = jax.lax.fori_loop(
        0, N_TERMS, lambda n, e: identity + small @ e / (N_TERMS - n).astype(a.dtype), identity
    )
    power: Array = jax.lax.fori_loop(0, N_SQUARINGS, lambda _, e: e @ e, series)
    return power
