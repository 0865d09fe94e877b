"""Configurations as labels of states, and what a network is told of a label."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from physdl.errors import ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.spaces import labels

__all__ = ["allowed_labels", "code_table", "is_invariant", "labels_of", "shifted", "states_of"]

PURPOSE = "an autoregressive network"
ROUNDING = 1e-6


def allowed_labels(h: Hamiltonian) -> NDArray[np.bool_]:
    """Which of the q labels each site may have, [n, q]."""
    return np.isfinite(require_finite(h.space, PURPOSE).padded(h.n_sites)[..., 0])


def code_table(q: int) -> NDArray[np.floating[Any]]:
    """How a label is told, [q, d]: a sign where there are two, else a unit vector less the mean."""
    return np.array([[-1.0], [1.0]]) if q == 2 else np.eye(q) - 1 / q


def labels_of(h: Hamiltonian, x: ArrayLike) -> Int[Array, " n"]:
    """The labels of one configuration.

    Raises:
      ShapeError: x has another shape than configurations of h.
    """
    state = jnp.asarray(x)
    if state.shape != h.state_shape:
        raise ShapeError(
            f"log q takes one configuration of shape {h.state_shape}, got {state.shape}: for a "
            f"batch use jax.vmap."
        )
    space = require_finite(h.space, PURPOSE)
    points = state.astype(h.dtype).reshape(h.n_sites, space.n_components)
    return labels(space, points).astype(jnp.int32)


def states_of(h: Hamiltonian, label: Int[Array, " n"]) -> Float[Array, " *state"]:
    """The configuration with these labels."""
    padded = require_finite(h.space, PURPOSE).padded(h.n_sites)
    points = jnp.asarray(np.nan_to_num(padded, posinf=0.0), h.dtype)
    chosen = jnp.take_along_axis(points, label[:, None, None], axis=1)
    return chosen.reshape(h.state_shape)


def shifted(h: Hamiltonian, x: ArrayLike, shift: ArrayLike) -> Float[Array, " *state"]:
    """The configuration with every label moved on by a number, the last to the first."""
    q = allowed_labels(h).shape[1]
    return states_of(h, (labels_of(h, x) + jnp.asarray(shift, jnp.int32)) % q)


def is_invariant(h: Hamiltonian, x: Float[Array, " n *state"], shift: ArrayLike) -> Bool[Array, ""]:
    """Whether the energies of these configurations stay when all labels are moved on."""
    before = jax.vmap(h)(x)
    after = jax.vmap(lambda x: h(shifted(h, x, shift)))(x)
    scale = 1 + jnp.max(jnp.abs(jnp.where(jnp.isfinite(before), before, 0)))
    return jnp.all((before == after) | (jnp.abs(before - after) <= ROUNDING * scale))
