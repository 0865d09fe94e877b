r"""Entanglement filtering: taking out of a plaquette what is entangled only around it.

The four tensors around a plaquette are a periodic matrix product state. Carried around it again and
again, the triangular factors L (rightward) and R (leftward) of

    L T_k = Q L',        T_k R = R' Q,

forget the states of a bond which no leg outside the plaquette can tell apart. A bond with
L R = U S V^T is projected by P_R = R V S^(-1/2) and P_L = S^(-1/2) U^T L. Every bond belongs to one
of the plaquettes that are filtered. Where loops had several states their plaquettes change by a
factor, which is taken out.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from physdl.numerics import qr, svd
from physdl.tensors._base import frobenius
from physdl.tensors._factors import FRAME

__all__ = ["around", "filtered", "leftward", "negligible", "overlap", "rightward", "squares"]

RING = ("lrud->dlur", "lrud->lurd", "lrud->urdl", "lrud->rdlu")


def negligible(dtype: jnp.dtype) -> float:
    """Relative size of what is lost in rounding, with a margin."""
    found: float = float(np.finfo(dtype).eps) ** (3 / 4)
    return found


def squares(network: Float[Array, "2 n n n n"]) -> Float[Array, "4 n n n n"]:
    """The tensors A B A B clockwise around a plaquette, from its upper left corner.

    Their legs are [to the one before, outside, outside, to the next].
    """
    a, b = network
    return jnp.stack([jnp.einsum(legs, t) for legs, t in zip(RING, (a, b, a, b), strict=True)])


def overlap(first: Float[Array, "n p q m"], second: Float[Array, "n p q m"]) -> Array:
    """sum_pq of two tensors of a ring, as the matrix [(left, left'), (right, right')]."""
    whole = jnp.einsum("apqc,bpqd->abcd", first, second)
    return whole.reshape(whole.shape[0] ** 2, -1)


def around(matrices: Float[Array, "k n n"]) -> Float[Array, ""]:
    """The trace of a product."""
    eye = jnp.eye(matrices.shape[1], dtype=matrices.dtype)
    return jnp.trace(jax.lax.scan(lambda whole, m: (whole @ m, None), eye, matrices)[0])


def rightward(left: Float[Array, "n n"], tensor: Float[Array, "n p q n"]) -> Float[Array, "n n"]:
    """The triangular factor on the right of L T."""
    n = len(left)
    factor = qr(jnp.tensordot(left, tensor, 1).reshape(-1, n))[1]
    return factor / frobenius(factor)


def leftward(right: Float[Array, "n n"], tensor: Float[Array, "n p q n"]) -> Float[Array, "n n"]:
    """The triangular factor on the left of T R."""
    n = len(right)
    factor = qr(jnp.tensordot(tensor, right, 1).reshape(n, -1).T)[1]
    return factor.T / frobenius(factor)


def filtered(
    network: Float[Array, "2 n n n n"], n_turns: int
) -> tuple[Float[Array, "2 n n n n"], Float[Array, ""]]:
    """The network on filtered bonds, and log of the factor that every plaquette lost.

    The projections carry no derivative.
    """
    ring = squares(network)
    projections = _projections(jax.lax.stop_gradient(ring), n_turns)
    left, right = checkpoint_name(projections, FRAME)  # type: ignore[no-untyped-call]
    inner = jnp.einsum("kxa,kapqb,kby->kxpqy", left, ring, jnp.roll(right, -1, 0))
    mixed = around(jax.vmap(overlap)(ring, inner))
    square = around(jax.vmap(overlap)(inner, inner))
    a, b = network
    a = jnp.einsum("lrud,le,rf,gu,hd->efgh", a, right[3], right[1], left[2], left[0])
    b = jnp.einsum("lrud,el,fr,ug,dh->efgh", b, left[1], left[3], right[0], right[2])
    some = (mixed > 0) & (square > 0)
    log_factor = jnp.log(jnp.where(some, mixed, 1)) - jnp.log(jnp.where(some, square, 1))
    return jnp.stack([a, b]), log_factor


def _projections(ring: Array, n_turns: int) -> tuple[Array, Array]:
    """P_L and P_R of the bonds on the left of every tensor."""
    eye = jnp.eye(ring.shape[1], dtype=ring.dtype)

    def right_step(left: Array, tensor: Array) -> tuple[Array, Array]:
        return rightward(left, tensor), left

    def left_step(right: Array, tensor: Array) -> tuple[Array, Array]:
        return (found := leftward(right, tensor)), found

    def turn(ends: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        left, right = ends
        left = jax.lax.scan(right_step, left, ring)[0]
        return (left, jax.lax.scan(left_step, right, ring, reverse=True)[0]), None

    left, right = jax.lax.scan(turn, (eye, eye), length=n_turns)[0]
    lefts = jax.lax.scan(right_step, left, ring)[1]
    rights = jax.lax.scan(left_step, right, ring, reverse=True)[1]
    u, s, vt = jax.vmap(svd)(lefts @ rights)
    alive = s > negligible(ring.dtype) * s[:, :1]
    root = jnp.where(alive, 1 / jnp.sqrt(jnp.where(alive, s, 1)), 0)
    by_left = root[:, :, None] * (u.transpose(0, 2, 1) @ lefts)
    return by_left, rights @ vt.transpose(0, 2, 1) * root[:, None, :]
