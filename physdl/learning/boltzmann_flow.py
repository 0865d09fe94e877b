r"""The flow of a restricted Boltzmann machine: from the visible layer to the hidden one and back.

    v_0 -> h_0 -> v_1 -> h_1 -> ...,        h_t ~ p(h | v_t),   v_(t+1) ~ p(v | h_t)

S. Iso, S. Shiba and S. Yokoo (arXiv:1801.07172) trained machines on Ising configurations of many
temperatures and report that this flow leads towards the critical temperature, against the direction
of the renormalization group. Where a flow of distributions is read by a network that tells
temperatures, the reading of what is no Ising configuration means little (arXiv:2006.10176).

What is certain: this is block Gibbs sampling. Its one stationary distribution is that of the
machine, p(v) ~ exp(-F(v)), which is what v_t tends to from anywhere; a "fixed point" of the flow
is the mean over what the machine has learned, and says how well that mixture of temperatures was
learned as much as where its centre lies. The rate of the last approach is the second eigenvalue of
the kernel.
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import ShapeError
from physdl.networks import RBM
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["reconstructions"]


def reconstructions(
    machine: RBM, start: ArrayLike, *, n_steps: int, key: Key[Array, ""]
) -> Float[Array, "n_states n_visible ..."]:
    """A configuration of the visible layer and what n steps of the flow make of it.

    One configuration; ``jax.vmap`` over starts and keys for many.

    Raises:
      SettingError: there is no step.
      ShapeError: the start is no configuration of the visible layer.

    >>> from physdl import networks, spaces
    >>> copier = networks.RBM(4.0 * jnp.eye(3), visible=spaces.SPIN, hidden=spaces.SPIN)
    >>> reconstructions(copier, [1.0, -1.0, 1.0], n_steps=2, key=jax.random.key(0)).tolist()
    [[1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, -1.0, 1.0]]
    """
    positive(n_steps, "n_steps")
    v = jnp.asarray(start, float)
    layer = machine.visible_bias
    if v.shape != layer.shape:
        raise ShapeError(
            f"the visible layer of this machine has the shape {layer.shape}, the start {v.shape}."
        )
    found: Array = _reconstructions(machine, v.astype(layer.dtype), key, n_steps=n_steps)
    return found


def _moved(machine: RBM, v: Array, key: Key[Array, ""]) -> Array:
    hidden_key, visible_key = random.split(key)
    h = machine.sample_hidden(v, key=hidden_key)
    return machine.sample_visible(h, key=visible_key)


@functools.partial(jax.jit, static_argnames="n_steps")
def _reconstructions(machine: RBM, start: Array, key: Key[Array, ""], *, n_steps: int) -> Array:
    def step(v: Array, key: Array) -> tuple[Array, Array]:
        moved = _moved(machine, v, key)
        return moved, moved

    steps = jax.lax.scan(step, start, random.split(key, n_steps))[1]
    return jnp.concatenate([start[None], steps])
