r"""Pairs of projectors that cut a bond between two halves of a network, Q Q', to chi states.

    Q Q' = U S V^T,     P = Q' V S^(-1/2),     P~ = S^(-1/2) U^T Q,     P~ P = 1,

so that Q P P~ Q' keeps the chi largest singular values. A multiplet is kept whole or not at all:
the cut is moved to the last singular value that exceeds the next by ``GAP``. Which states are kept
is then a smooth function of Q and Q', and a symmetry of both survives.

``moving`` is the same pair as an explicit function near the held Q and Q', exact to second order,
in the gauge P~_0 P = 1 with P~_0 the held projector: the new states are carried along and not
turned. (Any other gauge in which small singular values appear as divisors makes a step that
contracts look like one that expands.)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from physdl.numerics import svd
from physdl.pytree import module
from physdl.tensors._factors import ORDER, zero_below

__all__ = ["Projectors", "moving", "projectors"]

GAP = 0.1


@module
class Projectors:
    """What is put on a bond, [n, chi] and [chi, n]; columns of states not kept are zero.

    Attributes:
      into: P.
      out: P~.
      values: the chi largest singular values, zero where not kept.
      error: what is discarded, relative, in the Frobenius norm.
      n_kept: how many states are kept.
      cut: whether there is no gap in the upper half of the chi values, so that the cut stays at
        chi.
    """

    into: Float[Array, "n chi"]
    out: Float[Array, "chi n"]
    values: Float[Array, " chi"]
    error: Float[Array, ""]
    n_kept: Int[Array, ""]
    cut: Bool[Array, ""]


def projectors(q: Float[Array, "m n"], r: Float[Array, "n m"], chi: int) -> Projectors:
    """The pair for the bond between ``q`` and ``r``; n is chi at least."""
    u, s, vt = svd(q @ r)
    keep, cut = _kept(s, chi)
    root = _inverse_root(s, keep)
    return _pair(r @ (vt[:chi].T * root[None]), (root[:, None] * u[:, :chi].T) @ q, s, keep, cut)


def moving(q: Float[Array, "m n"], r: Float[Array, "n m"], chi: int) -> Projectors:
    """The same, to be differentiated with respect to ``q`` and ``r``."""
    a = q @ r
    held = jax.lax.stop_gradient(a)
    u, s, vt = svd(held)
    keep, cut = _kept(s, chi)
    b = jnp.diag(s) + u.T @ (a - held) @ vt.T
    one = jnp.eye(len(s), chi, dtype=a.dtype) * keep[None].astype(a.dtype)
    values, others = s[None, :chi], s[:, None]
    outside = keep[None] & (jnp.sum(one, axis=1) == 0)[:, None]
    gap = jnp.where(outside, values**2 - others**2, 1)
    inverse_gap = jnp.where(outside & (gap > 0), 1 / jnp.where(gap > 0, gap, 1), 0)
    x = y = jnp.zeros_like(one)
    for _ in range(ORDER):
        by, bx = b @ (one + y), b.T @ (one + x)
        f, g = by - (one + x) @ (one.T @ by), bx - (one + y) @ (one.T @ bx)
        x, y = (
            x + inverse_gap * (values * f + others * g),
            y + inverse_gap * (others * f + values * g),
        )
    root = _inverse_root(s, keep)
    dropped = jnp.diag(1 - keep.astype(a.dtype))
    into = r @ (vt.T @ ((one + y) * root[None]))
    out = (u @ ((one + x) * root[None])).T @ q
    into = into @ _near_one(jax.lax.stop_gradient(out) @ into + dropped)
    out = _near_one(out @ into + dropped) @ out
    return _pair(into, out, s, keep, cut)


def _pair(into: Array, out: Array, s: Array, keep: Array, cut: Array) -> Projectors:
    values = jnp.where(keep, s[: len(keep)], 0)
    whole = jnp.sum(s**2)
    lost = jnp.sum(s**2) - jnp.sum(values**2)
    error = jnp.sqrt(jnp.maximum(lost, 0) / jnp.where(whole > 0, whole, 1))
    return Projectors(into, out, values, error, jnp.sum(keep), cut)


def _kept(s: Float[Array, " n"], chi: int) -> tuple[Bool[Array, " chi"], Bool[Array, ""]]:
    """Which states are kept, and whether no gap was found."""
    s = jnp.pad(s, (0, 1))
    number = jnp.arange(1, chi + 1)
    apart = (s[:chi] > (1 + GAP) * s[1 : chi + 1]) & (2 * number >= chi)
    alive = s[:chi] > zero_below(s.dtype) * s[0]
    cut = ~jnp.any(apart | ~alive)
    last = jnp.max(jnp.where(apart, number, 0))
    return alive & (number <= jnp.where(last > 0, last, chi)), cut


def _inverse_root(s: Array, keep: Bool[Array, " chi"]) -> Float[Array, " chi"]:
    return jnp.where(keep, 1 / jnp.sqrt(jnp.where(keep, s[: len(keep)], 1)), 0)


def _near_one(x: Float[Array, "chi chi"]) -> Float[Array, "chi chi"]:
    """The inverse of a matrix that is 1 but for its derivatives."""
    one = jnp.eye(len(x), dtype=x.dtype)
    inverse = 2 * one - x
    return inverse @ (2 * one - x @ inverse)
