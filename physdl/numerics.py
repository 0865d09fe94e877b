r"""Sums of exponentials that neither overflow nor lose derivatives, and products in full precision.

Partition functions are sums of weights whose logarithms are extensive, so they are kept as
logarithms. Two rules are used everywhere: a sum is taken relative to its largest term,

    log sum_i exp(a_i) = m + log sum_i exp(a_i - m),        m = max_i a_i,

and a sum without any term, or with weights that are all zero, is exactly ``-inf`` with derivative
zero. ``jax.nn.logsumexp`` has the first property but returns NaN derivatives in the second case,
which hard constraints produce.

Products of matrices of float32 are rounded to fewer digits on many accelerators unless one asks:
``full_precision`` asks. ``eigh``, ``qr`` and ``svd`` take the matrices of a batch one by one:
jaxlib (to 0.10.1) lets a batch of decompositions on a CPU wait for the pool of threads in which it
runs itself, and as many batches at a time as there are threads stand still for ever. They carry no
derivative; where one is needed it is that of what a decomposition is used for.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["eigh", "full_precision", "log_or_zero", "logsumexp", "qr", "rescale", "svd"]

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """The function with all its matrix products, and those of its derivatives, in full precision.

    A ``custom_jvp`` rule is traced on its own, and asks for itself.
    """

    @functools.wraps(function)
    def asking(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return asking


def log_or_zero(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log x for x >= 0: ``-inf`` with zero derivative where x is zero; NaN stays NaN."""
    zero = x == 0
    return jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1, x)))


def logsumexp(
    a: Float[Array, "..."], axis: int | Sequence[int] | None = None
) -> Float[Array, "..."]:
    """log sum exp(a) over ``axis``; ``-inf`` with zero derivative where every a is ``-inf``.

    >>> float(logsumexp(jnp.array([-jnp.inf, -jnp.inf])))
    -inf
    >>> jax.grad(logsumexp)(jnp.array([-jnp.inf, -jnp.inf])).tolist()
    [0.0, 0.0]
    """
    axes = tuple(range(a.ndim)) if axis is None else axis
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    largest = jax.lax.stop_gradient(jnp.max(a, axis=axes, keepdims=True, initial=-jnp.inf))
    shift = jnp.where(jnp.isfinite(largest), largest, 0)
    total = jnp.sum(jnp.exp(a - shift), axis=axes)
    return log_or_zero(total) + jnp.squeeze(shift, axis=axes)


def rescale(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, ""]]:
    """x divided by its largest absolute value s, and log s.

    The scale carries no derivative: in ``log f(x / s) + log s`` it cancels exactly for a
    homogeneous f. An array of zeros is returned as it is, with log s = 0.
    """
    s = jax.lax.stop_gradient(jnp.max(jnp.abs(x), initial=0.0))
    s = jnp.where(s > 0, s, 1)
    return x / s, jnp.log(s)


def eigh(x: Float[Array, "n n"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix, without derivative."""
    values, vectors = _one_by_one(jnp.linalg.eigh, x)
    return values, vectors


def qr(x: Float[Array, "m n"]) -> tuple[Float[Array, "m k"], Float[Array, "k n"]]:
    """Q and R of x = Q R, with k = min(m, n), without derivative."""
    q, r = _one_by_one(jnp.linalg.qr, x)
    return q, r


def svd(
    x: Float[Array, "m n"], *, full_matrices: bool = True
) -> tuple[Float[Array, "m k"], Float[Array, " r"], Float[Array, "l n"]]:
    """U, the singular values, descending, and V^T, without derivative."""
    u, s, vt = _one_by_one(functools.partial(jnp.linalg.svd, full_matrices=full_matrices), x)
    return u, s, vt


def _one_by_one(decomposition: Callable[[Array], Iterable[Array]], x: Array) -> tuple[Array, ...]:
    def parts(x: Array) -> tuple[Array, ...]:
        return tuple(decomposition(x))

    one_by_one = jax.custom_batching.sequential_vmap(parts)  # type: ignore[no-untyped-call]
    found: tuple[Array, ...] = one_by_one(jax.lax.stop_gradient(x))
    return found
