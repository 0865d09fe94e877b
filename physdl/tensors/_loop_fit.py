r"""The best eight tensors of three legs for four tensors of four legs around a plaquette.

Psi_A is the ring of the four, Psi_B that of the eight, s_1 ... s_8. The distance

    |Psi_A - Psi_B|^2

is quadratic in each s_i. A sweep minimises it over one after the other by solving

    (N_i + mu) s_i = W_i + mu s_i(before),

N_i being the overlap of Psi_B with itself without s_i, W_i that with Psi_A; mu is a rounding error,
for N_i is singular. Sweeps alone converge slowly, so they are accelerated (Yu. E. Nesterov, Soviet
Math. Dokl. 27, 372 (1983)), with a new start whenever the distance grows. The first guess splits
every tensor by singular values, weighed by the triangular factors of the three others.

The derivative does not go through sweeps: it would follow the flat directions, which the distance
does not see. With J the derivative of Psi_B in s, the eight follow the four by least squares,

    ds = (J^T J + mu')^(-1) J^T dPsi_A,

solved by conjugate gradients. It leaves out the curvature of Psi_B times the small distance, so it
is a first derivative only, and a second one is refused.
"""

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float

from physdl.errors import SettingError
from physdl.numerics import full_precision
from physdl.tensors._factors import FRAME, divided, factors, zero_below
from physdl.tensors._loop_filter import around, leftward, negligible, overlap, rightward

__all__ = ["fitted", "least_squares"]

DAMPING = 1e-6
N_FOLLOW = 100

State: TypeAlias = tuple[Array, Array, Array, Array]


def fitted(
    ring: Float[Array, "4 n n n n"], n_sweeps: int
) -> tuple[Float[Array, "8 n n n"], Float[Array, " n_1"], Bool[Array, ""], Float[Array, ""]]:
    """The eight, singular values of the guess, whether equal ones were divided, the distance."""
    held = jax.lax.stop_gradient(ring)
    guess, values = _guess(held)
    best = jax.lax.stop_gradient(_optimised(held, guess, n_sweeps))
    eight = checkpoint_name(best, FRAME)  # type: ignore[no-untyped-call]
    own, mixed, square = around(jax.vmap(overlap)(held, held)), *_overlaps(held, eight)
    lost = jnp.abs(own - 2 * mixed + square) / jnp.where(own > 0, own, 1)
    return _followed(ring, eight), values[0], jnp.any(jax.vmap(divided)(values)), jnp.sqrt(lost)


def least_squares(
    normal: Callable[[Array], Array],
    target: Array,
    damping: Array,
    n_steps: int,
    precondition: Callable[[Array], Array] | None = None,
) -> Array:
    """x of normal(x) + damping x = target by conjugate gradients, ``normal`` being symmetric."""

    def matvec(x: Array) -> Array:
        return normal(x) + damping * x

    def solve(matvec: Callable[[Array], Array], y: Array) -> Array:
        small = zero_below(y.dtype)
        found: Array
        found, _ = jax.scipy.sparse.linalg.cg(  # type: ignore[no-untyped-call]
            matvec, y, maxiter=n_steps, tol=small, M=precondition
        )
        return found

    x: Array = jax.lax.custom_linear_solve(matvec, target, solve, symmetric=True)
    return x


def _gram(bra: Array, ket: Array) -> Array:
    n, _, m = bra.shape
    return jnp.einsum("apb,cpd->acbd", bra, ket).reshape(n * n, m * m)


def _mixed(tensor: Array, pair: Array) -> Array:
    """[(left, left'), (right, right')] of a tensor with its two halves."""
    half = jnp.einsum("apqc,bpx->abxqc", tensor, pair[0])
    whole = jnp.einsum("abxqc,xqd->abcd", half, pair[1])
    return whole.reshape(whole.shape[0] ** 2, -1)


def _pairs(eight: Array) -> Array:
    return eight.reshape(4, 2, *eight.shape[1:])


def _overlaps(ring: Array, eight: Array) -> tuple[Array, Array]:
    """<Psi_A, Psi_B> and <Psi_B, Psi_B>."""
    mixed = around(jax.vmap(_mixed)(ring, _pairs(eight)))
    return mixed, around(jax.vmap(_gram)(eight, eight))


def _guess(ring: Array) -> tuple[Array, Array]:
    n = ring.shape[1]
    eye = jnp.eye(n, dtype=ring.dtype)

    def split(k: Array) -> tuple[Array, Array]:
        turned = jnp.roll(ring, -k, 0)
        left = functools.reduce(rightward, turned[1:], eye)
        right = functools.reduce(leftward, turned[:0:-1], eye)
        weighted = jnp.einsum("xa,apqb,by->xpqy", left, turned[0], right)
        found = factors(weighted.reshape(n * n, n * n), n)
        first, second = (half.reshape(n, n, n) for half in found.halves)
        small = zero_below(ring.dtype)
        first = jnp.tensordot(jnp.linalg.pinv(left, rtol=small), first, 1)
        second = jnp.tensordot(second, jnp.linalg.pinv(right, rtol=small), 1)
        return jnp.stack([first, second]), found.values

    halves, values = jax.lax.map(split, jnp.arange(4))
    eight = halves.reshape(8, n, n, n)
    mixed, square = _overlaps(ring, eight)
    return eight * (jnp.abs(mixed) / jnp.where(square > 0, square, 1)) ** (1 / 8), values


def _optimised(ring: Array, eight: Array, n_sweeps: int) -> Array:
    def step(state: State, _: None) -> tuple[State, None]:
        best, ahead, age, least = state
        new, cost = _sweep(ring, ahead)
        older = (1 + jnp.sqrt(1 + 4 * age**2)) / 2
        better = cost <= least
        return (
            jnp.where(better, new, best),
            jnp.where(better, new + (age - 1) / older * (new - best), best),
            jnp.where(better, older, 1),
            jnp.where(better, cost, jnp.inf),
        ), None

    one = jnp.ones((), ring.dtype)
    return jax.lax.scan(step, (eight, eight, one, jnp.inf * one), length=n_sweeps)[0][0]


def _sweep(ring: Array, eight: Array) -> tuple[Array, Array]:
    """One minimisation over each of the eight, and the distance then, less |Psi_A|^2."""
    n = ring.shape[1]
    pairs = _pairs(eight)
    after_gram = _pairs(_after(jax.vmap(_gram)(eight, eight)))
    after_mixed = _after(jax.vmap(_mixed)(ring, pairs))

    def step(
        before: tuple[Array, Array], xs: tuple[Array, ...]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        gram, mixed = before
        tensor, (first, second), (after_1, after_2), after = xs
        rest = (after @ mixed).reshape(n, n, n, n)
        half = jnp.einsum("apqc,xqd->apcxd", tensor, second)
        first = _solved(after_1 @ gram, jnp.einsum("apcxd,cdab->bpx", half, rest), first)
        gram = gram @ _gram(first, first)
        half = jnp.einsum("apqc,bpx->abxqc", tensor, first)
        target = jnp.einsum("abxqc,cdab->xqd", half, rest)
        second = _solved(after_2 @ gram, target, second)
        square = jnp.sum(_contracted(after_2 @ gram, second) * second)
        gram, pair = gram @ _gram(second, second), jnp.stack([first, second])
        cost = square - 2 * jnp.sum(target * second)
        return (gram, mixed @ _mixed(tensor, pair)), (pair, cost)

    eye = jnp.eye(n * n, dtype=ring.dtype)
    pairs, cost = jax.lax.scan(step, (eye, eye), (ring, pairs, after_gram, after_mixed))[1]
    return pairs.reshape(eight.shape), cost[-1]


def _after(matrices: Array) -> Array:
    """The products of all that follow each."""
    eye = jnp.eye(matrices.shape[1], dtype=matrices.dtype)
    return jax.lax.scan(lambda p, m: (m @ p, p), eye, matrices, reverse=True)[1]


def _before(matrices: Array) -> Array:
    eye = jnp.eye(matrices.shape[1], dtype=matrices.dtype)
    return jax.lax.scan(lambda p, m: (p @ m, p), eye, matrices)[1]


def _contracted(rest: Array, tensor: Array) -> Array:
    """N s, N given as the matrix [(right, right'), (left, left')]."""
    n = len(tensor)
    return jnp.einsum("bdac,cpd->apb", rest.reshape(n, n, n, n), tensor)


def _solved(rest: Array, target: Array, old: Array) -> Array:
    n = len(old)
    matrix = _matrix(rest)
    trace = jnp.trace(matrix)
    shift = jnp.where(trace > 0, negligible(old.dtype) * trace, 1)
    right = (target + shift * old).transpose(0, 2, 1).reshape(n * n, n)
    matrix = matrix + shift * jnp.eye(n * n, dtype=old.dtype)
    found = jax.scipy.linalg.solve(matrix, right, assume_a="pos")
    return found.reshape(n, n, n).transpose(0, 2, 1)


@jax.custom_jvp
def _followed(ring: Array, eight: Array) -> Array:
    """The eight, which follow the four."""
    del ring
    return eight


@_followed.defjvp
@full_precision
def _followed_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    ring, eight = primals
    return eight, _change(_once(ring), tangents[0], jax.lax.stop_gradient(eight))


@jax.custom_jvp
def _once(ring: Array) -> Array:
    return ring


@_once.defjvp
def _once_jvp(primals: object, tangents: object) -> tuple[Array, Array]:
    raise SettingError(
        "LoopTNR has first derivatives only: use HOTRG, BTRG or TRG for second ones."
    )


def _change(ring: Array, d_ring: Array, eight: Array) -> Array:
    """ds, for dPsi_A."""
    n = ring.shape[1]
    grams = jax.vmap(_gram)(eight, eight)
    rests = _rests(grams)
    blocks = jax.vmap(_matrix)(rests)
    damping = DAMPING * jnp.mean(jnp.trace(blocks, axis1=1, axis2=2))
    damping = jnp.where(damping > 0, damping, 1)
    damped = blocks + damping * jnp.eye(n * n, dtype=ring.dtype)[None]
    factor = jnp.linalg.cholesky(damped)

    def normal(v: Array) -> Array:
        turned = jax.jvp(_rests, (grams,), (jax.vmap(_gram)(eight, v),))[1]
        return jax.vmap(_contracted)(rests, v) + jax.vmap(_contracted)(turned, eight)

    def precondition(v: Array) -> Array:
        columns = v.transpose(0, 1, 3, 2).reshape(8, n * n, n)
        found = jax.vmap(lambda c, y: jax.scipy.linalg.cho_solve((c, True), y))(factor, columns)
        return found.reshape(8, n, n, n).transpose(0, 1, 3, 2)

    def overlap_with(four: Array) -> Array:
        found: Array = jax.grad(lambda bra: around(jax.vmap(_mixed)(four, _pairs(bra))))(eight)
        return found

    target = jax.jvp(overlap_with, (ring,), (d_ring,))[1]
    return least_squares(normal, target, damping, N_FOLLOW, precondition)


def _rests(matrices: Array) -> Array:
    """The products of all but each, from the one after it around to the one before."""
    return _after(matrices) @ _before(matrices)


def _matrix(rest: Array) -> Array:
    """N as the symmetric matrix [(left, right), (left', right')]."""
    n = math.isqrt(len(rest))
    matrix = rest.reshape(n, n, n, n).transpose(2, 0, 3, 1).reshape(n * n, n * n)
    symmetric: Array = (matrix + matrix.T) / 2
    return symmetric
