r"""Mirrors: isometries R of a space with R R = 1, through which a cluster may be reflected.

A bond knows two states of a pair of clusters: both reflected or neither, and one of them. What it
has to lose by the second is the coupling times

    x_i . x_j - x_i . R x_j = a_i a_j [g_i = g_j],

so that every model becomes an Ising model with couplings K a_i a_j between the clusters (U. Wolff,
Phys. Rev. Lett. 62, 361 (1989)):

| space | mirror | a_i | g_i |
|---|---|---|---|
| ``SPIN`` | x -> -x | sqrt(2) x | one group |
| ``clock(q)`` | a mirror axis of the q-gon, k -> m - k mod q | sqrt(2) x . r | one group |
| ``sphere(n)`` | the plane with a random normal r | sqrt(2) x . r | one group |
| ``potts(q)`` | the states in pairs, k -> m - k mod q | +1, -1, 0 if m = 2k | the pair |
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from numpy.typing import NDArray

from physdl.errors import SpaceError
from physdl.sampling import _random as random
from physdl.spaces import Finite, Space, Sphere, clock, labels, potts

__all__ = ["Mirror", "colours", "is_potts", "is_spin", "mirror", "potts_mirror", "require_mirrors"]


@dataclass(frozen=True, eq=False)
class Mirror:
    """A mirror and one configuration seen in it.

    Attributes:
      image: R x_i, [n_sites, n_components].
      along: a_i, [n_sites].
      group: g_i, int [n_sites]; None where all sites are in one.
      size: |a_i a_j| where it is not 0, if that is one number.
    """

    image: Float[Array, "n c"]
    along: Float[Array, " n"]
    group: Int[Array, " n"] | None
    size: float | None


def is_spin(space: Space) -> bool:
    """Whether the states are two opposite numbers."""
    return (
        isinstance(space, Finite)
        and space.scalar
        and space.n_states == 2
        and space.points[0][0] == -space.points[1][0]
    )


def is_potts(space: Space) -> bool:
    """Whether the states are the unit vectors of R^q."""
    return isinstance(space, Finite) and space == potts(space.n_states)


def _is_clock(space: Space) -> bool:
    return isinstance(space, Finite) and space.n_states > 1 and space == clock(space.n_states)


def require_mirrors(space: Space) -> None:
    """Raise ``SpaceError`` for a space whose mirrors are not known."""
    if not (isinstance(space, Sphere) or is_spin(space) or is_potts(space) or _is_clock(space)):
        raise SpaceError(
            f"cluster moves need SPIN, potts(q), clock(q) or sphere(n), got {space!r}: use "
            f"HeatBath or Metropolis."
        )


def mirror(
    space: Space,
    x: Float[Array, "n c"],
    *,
    seed: Int[Array, ""] | None = None,
    key: Key[Array, ""],
) -> Mirror:
    """A random mirror; given a seed, one of those that do not leave the seed where it is.

    After a reflection of the seed, the same mirror is drawn with the same probability.
    """
    if isinstance(space, Sphere):
        return _plane(x, key)
    assert isinstance(space, Finite)
    if is_spin(space):
        return Mirror(-x, math.sqrt(2) * x[:, 0], None, 2 * space.points[0][0] ** 2)
    q = space.n_states
    k = colours(x) if is_potts(space) else labels(space, x).astype(jnp.int32)
    drawn = random.integers(key, (), q if seed is None else max(q - 1, 1)).astype(jnp.int32)
    m = drawn if seed is None else (2 * k[seed] + 1 + drawn) % q
    partner = (m - k) % q
    if is_potts(space):
        return potts_mirror(k, partner, q, x.dtype)
    image = jnp.asarray(space.array, x.dtype)[partner]
    return Mirror(image, jnp.asarray(_components_along(q), x.dtype)[m, k], None, None)


def colours(x: Float[Array, "n q"]) -> Int[Array, " n"]:
    """Which unit vector each state is."""
    return jnp.sum(x * jnp.arange(x.shape[1], dtype=x.dtype)[None], axis=1).astype(jnp.int32)


def potts_mirror(
    k: Int[Array, " n"], partner: Int[Array, " n"], q: int, dtype: jnp.dtype
) -> Mirror:
    """The exchange of every state with its partner."""
    along = jnp.sign(partner - k).astype(dtype)
    return Mirror(jax.nn.one_hot(partner, q, dtype=dtype), along, jnp.minimum(k, partner), 1.0)


def _plane(x: Float[Array, "n c"], key: Key[Array, ""]) -> Mirror:
    """The plane with a random normal; a Newton step keeps the images at unit length.

    Both are matrix products: in elementwise form XLA would draw the normal anew for every site.
    """
    normal = random.normal(key, x.shape[1:], x.dtype)
    normal = normal / jnp.linalg.norm(normal)
    reflection = jnp.eye(x.shape[1], dtype=x.dtype) - 2 * normal[:, None] * normal[None]
    along = jnp.matmul(x, normal, precision="highest")
    image = jnp.matmul(x, reflection, precision="highest")
    image = image * (1.5 - 0.5 * jnp.sum(image**2, axis=1, keepdims=True))
    return Mirror(image, math.sqrt(2) * along, None, None)


def _components_along(q: int) -> NDArray[np.float64]:
    """sqrt(2) x_k . r of the mirror k -> m - k, whose normal r has the angle pi m / q + pi / 2."""
    turns = 2 * np.arange(q)[None, :] - np.arange(q)[:, None]
    return np.where(turns % q == 0, 0.0, math.sqrt(2) * np.sin(np.pi * turns / q))
