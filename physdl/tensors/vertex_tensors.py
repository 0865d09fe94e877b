"""Tensors of vertex models, and of models whose sites are summed in closed form."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from physdl.errors import SettingError

__all__ = ["six_vertex", "xy_vertex"]

ANGLES = 256


def six_vertex(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Float[Array, "2 2 2 2"]:
    """The tensor of the six-vertex model: two arrows in and two out at every vertex.

    Lines that go straight on weigh a where both point up or right (or both down or left), b where
    they differ, and c where the arrows turn; a = b = c = 1 counts the states of square ice.

    >>> int(jnp.sum(six_vertex(1.0, 1.0, 1.0)))
    6
    """
    a, b, c = (jnp.asarray(w, float) for w in (a, b, c))
    index = [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (1, 1, 0, 0), (0, 1, 1, 0), (1, 0, 0, 1)]
    weights = jnp.stack([a, a, b, b, c, c])
    empty = jnp.zeros((2, 2, 2, 2), weights.dtype)
    return empty.at[tuple(np.array(index).T)].set(weights)


def xy_vertex(
    coupling: ArrayLike, field: ArrayLike = 0.0, n_max: int = 6
) -> Float[Array, "n n n n"]:
    r"""The tensor of the XY model on the square lattice, its angles summed exactly.

    Bonds are expanded in characters, exp(K cos t) = sum_n I_n(K) e^{int} with n from -n_max to
    n_max, and the integral over the angle of a site leaves

        T[l, r, u, d] = 2 pi sqrt(I_l I_r I_u I_d) I_(l - r + u - d)(h),

    with the modified Bessel functions I_n of K, and of the field h in the last one. (Where I_n(K)
    is negative, legs r and d carry the sign.) The measure is that of ``models.xy``, 2 pi a site.
    What is left out is of the relative size I_(n_max + 1) / I_0. Entries are as large as
    exp(2K + |h|), which double precision holds for K up to 300.

    Args:
      coupling: K, or the two of the axes.
      field: h along one direction.
      n_max: the highest character kept; legs are 2 n_max + 1 long.

    Raises:
      SettingError: ``n_max`` is not between 1 and 64.

    >>> t = xy_vertex(0.0, 0.5)
    >>> print(f"{t[6, 6, 6, 6] / (2 * jnp.pi):.5f}")  # I_0(1/2), between legs of n = 0
    1.06348
    """
    if not 1 <= n_max <= ANGLES // 4:
        raise SettingError(f"n_max is between 1 and {ANGLES // 4}, got n_max={n_max}.")
    n = np.arange(-n_max, n_max + 1)
    legs = []
    for k in jnp.broadcast_to(jnp.asarray(coupling, float), (2,)):
        weight = _bessel(k)[np.abs(n)]
        some = jnp.abs(weight) > float(np.finfo(weight.dtype).eps) * weight[n_max]
        root = jnp.where(some, jnp.sqrt(jnp.where(some, jnp.abs(weight), 1)), 0)
        legs += [root, jnp.sign(weight) * root]
    left, right, up, down = np.meshgrid(n, n, n, n, indexing="ij")
    site = _bessel(jnp.asarray(field, float))[np.abs(left - right + up - down)]
    return 2 * jnp.pi * jnp.einsum("l,r,u,d,lrud->lrud", *legs, site)


def _bessel(k: Float[Array, ""]) -> Float[Array, " m"]:
    """I_n(k) for n from 0 to half the number of angles, by the trapezoidal rule."""
    angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
    weight = jnp.exp(k * np.cos(angle).astype(k.dtype))
    return jnp.fft.rfft(weight).real / ANGLES
