r"""A quadratic trend that a network corrects.

    f(z) = c + B z + z.A z + s g(z)

Smooth functions over a box, such as log Z or a renormalization-group map over couplings, are mostly
their second-order trend; a network g is left with a residual of variance one, and all its digits
are digits of the residual. Convention: the box is [-1, 1]^n.

Consequence: before g is trained f is the least-squares parabola, and far from the box f follows the
parabola where g saturates.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.pytree import module, static

__all__ = ["Corrected", "Quadratic", "quadratic_fit"]


@module
class Quadratic:
    """c + B z + z.A z for every output.

    Attributes:
      constant: c, [m].
      slope: B, [m, n].
      curvature: A, symmetric, [m, n, n].
    """

    constant: Float[Array, " m"]
    slope: Float[Array, "m n"]
    curvature: Float[Array, "m n n"]

    def __call__(self, z: Float[Array, " n"]) -> Float[Array, " m"]:
        """The values at one point."""
        return self.constant + self.slope @ z + (self.curvature @ z) @ z


@module
class Corrected:
    """trend + scale * network, averaged over a change of sign of some inputs.

    Attributes:
      trend: z -> [m], a ``Quadratic`` or any pytree that is called like one.
      scale: s, [m].
      network: g, z -> [m].
      mirror: sigma, +1 or -1 for every input, under which f is even, f(z) = f(sigma z); ``None``
        where there is no such symmetry.

    >>> trend = Quadratic(jnp.zeros(1), jnp.ones((1, 2)), jnp.zeros((1, 2, 2)))
    >>> f = Corrected(trend, jnp.ones(1), lambda z: z[:1] * z[1:], mirror=(1, -1))
    >>> f(jnp.array([0.5, 0.3])).tolist()  # what is odd in the second input is gone
    [0.5]
    """

    trend: Callable[[Array], Array]
    scale: Float[Array, " m"]
    network: Callable[[Array], Array]
    mirror: tuple[int, ...] | None = static(default=None)

    def __call__(self, z: Float[Array, " n"]) -> Float[Array, " m"]:
        """The values at one point; ``jax.vmap`` for many."""
        if self.mirror is None:
            return self._value(z)
        return (self._value(z) + self._value(z * jnp.asarray(self.mirror, z.dtype))) / 2

    def _value(self, z: Float[Array, " n"]) -> Float[Array, " m"]:
        return self.trend(z) + self.scale * self.network(z)


def quadratic_fit(z: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Quadratic:
    """The parabola of least squares; a plane or a constant where points are few.

    Args:
      z: points, [k, n].
      values: at the points, [k, m].
      weights: of the squares, [k]; values of weight zero may be anything.

    >>> z = jnp.linspace(-1.0, 1.0, 21)[:, None]
    >>> found = quadratic_fit(z, 1.0 - 2.0 * z + 3.0 * z**2)
    >>> [round(float(v), 4) for v in (found.constant[0], found.slope[0, 0])]
    [1.0, -2.0]
    >>> round(float(found.curvature[0, 0, 0]), 4)
    3.0
    """
    x, y = jnp.asarray(z, float), jnp.asarray(values, float)
    w = jnp.ones(len(x), x.dtype) if weights is None else jnp.asarray(weights, x.dtype)
    n, m = x.shape[1], y.shape[1]
    rows, cols = np.triu_indices(n)
    blocks = [jnp.ones((len(x), 1), x.dtype), x, x[:, rows] * x[:, cols]]
    while len(blocks) > 1 and 2 * sum(b.shape[1] for b in blocks) > len(x):
        blocks.pop()
    root = jnp.sqrt(w)[:, None]
    design = root * jnp.concatenate(blocks, axis=1)
    found = jnp.linalg.lstsq(design, jnp.where(root > 0, root * y, 0))[0].T
    sizes = (1, n, len(rows))
    padded = jnp.zeros((m, sum(sizes)), found.dtype).at[:, : found.shape[1]].set(found)
    constant, slope, upper = jnp.split(padded, np.cumsum(sizes)[:-1], axis=1)
    half = jnp.zeros((m, n, n), found.dtype).at[:, rows, cols].set(upper / 2)
    return Quadratic(constant[:, 0], slope, half + jnp.swapaxes(half, 1, 2))
