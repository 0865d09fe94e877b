r"""Derivatives of a network that leave out changes of basis on its bonds.

A network does not change when 1 + x is put on a bond and its inverse beside it, but a truncated
step does, by as much as it truncates; derivatives with much of such a change in them grow from step
to step until they drown the rest. So the part of a derivative that is a change of basis to first
order, G x for some x on the four kinds of bonds, is taken out by least squares.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.tensors._loop_fit import least_squares

__all__ = ["fixed_gauge"]

DAMPING = 1e-6
N_STEPS = 100


def fixed_gauge(network: Float[Array, "2 n n n n"]) -> Float[Array, "2 n n n n"]:
    """The network as it is, with a derivative that changes no basis."""
    held = jax.lax.stop_gradient(network)
    bases = jnp.zeros((4, *held.shape[1:3]), held.dtype)

    def forth(x: Array) -> Array:
        return _changed(held, x)

    def back(y: Array) -> Array:
        found: Array = jax.linear_transpose(forth, bases)(y)[0]
        return found

    size = DAMPING * jnp.sum(held**2)
    damping = jnp.where(size > 0, size, 1)
    x = least_squares(lambda x: back(forth(x)), back(network - held), damping, N_STEPS)
    return network - forth(x)


def _changed(network: Array, x: Array) -> Array:
    """G x: to first order x on the bonds right of A, right of B, above A and above B."""
    right_a, right_b, above_a, above_b = x
    a, b = network
    return jnp.stack(
        [
            _turned(a, right_b, right_a, above_a, above_b),
            _turned(b, right_a, right_b, above_b, above_a),
        ]
    )


def _turned(tensor: Array, left: Array, right: Array, above: Array, below: Array) -> Array:
    return (
        jnp.einsum("lrud,rs->lsud", tensor, right)
        - jnp.einsum("lrud,sl->srud", tensor, left)
        + jnp.einsum("lrud,us->lrsd", tensor, above)
        - jnp.einsum("lrud,sd->lrus", tensor, below)
    )
