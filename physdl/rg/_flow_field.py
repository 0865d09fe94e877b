r"""The picture of a group with two couplings: arrows, fixed points, and the separatrix.

On a grid of couplings the displacement (R(k) - k, or beta(k)) is an arrow. Newton's method from
every point of the grid finds the fixed points inside the frame, and bisection along the lines of
the grid finds where neighbouring flows end in different phases: the critical surface.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import SettingError
from physdl.pytree import module
from physdl.rg._base import RGMap, RGStatus, displacement
from physdl.rg._critical_point import critical_point
from physdl.rg._exponents import exponents
from physdl.rg._fixed_point import fixed_point

__all__ = ["FlowField", "flow_field"]

SAME = 1e-6


@module
class FlowField:
    """A flow of two couplings in a frame.

    Attributes:
      x: first coupling of the grid, [n].
      y: second coupling, [m].
      arrows: the displacement at every grid point, [m, n, 2]; NaN where the map is not defined.
      fixed_points: those inside the frame, [f, 2].
      exponents: their exponents, [f, 2].
      separatrix: points (x, y) of the critical surface, [s, 2], on the lines of constant y.
    """

    x: Float[Array, " n"]
    y: Float[Array, " m"]
    arrows: Float[Array, "m n 2"]
    fixed_points: Float[Array, "f 2"]
    exponents: Float[Array, "f 2"]
    separatrix: Float[Array, "s 2"]


def flow_field(
    rg: RGMap,
    x: Float[Array, " n"] | NDArray[Any],
    y: Float[Array, " m"] | NDArray[Any],
    *,
    n_steps: int = 60,
) -> FlowField:
    """Arrows, fixed points and separatrix of a map whose couplings are vectors of length two.

    Raises:
      SettingError: the grid has fewer than two points on a side.

    >>> from physdl import rg, spaces
    >>> mk = rg.MigdalKadanoff(2, 2, rg.bond(spaces.SPIN, field=True))
    >>> seen = rg.flow_field(mk, jnp.linspace(0.05, 1.0, 4), jnp.linspace(-0.1, 0.1, 3))
    >>> seen.arrows.shape, bool(jnp.any(jnp.abs(seen.fixed_points[:, 0] - 0.304689) < 1e-5))
    ((3, 4, 2), True)
    """
    across, up = jnp.asarray(x), jnp.asarray(y)
    if min(across.size, up.size) < 2 or across.ndim != 1 or up.ndim != 1:
        raise SettingError(
            f"a picture needs a grid of two or more values a side, got shapes {across.shape} and "
            f"{up.shape}."
        )
    grid = jnp.stack(jnp.meshgrid(across, up), axis=-1)
    every = grid.reshape(-1, 2)
    arrows = jax.jit(jax.vmap(lambda k: displacement(rg, k)))(every).reshape(grid.shape)
    found = jax.jit(jax.vmap(lambda k: fixed_point(rg, k)))(every)
    inside = _inside(np.asarray(found.couplings), np.asarray(found.status), across, up)
    points = _distinct(inside)
    dimensions = [np.asarray(exponents(rg, jnp.asarray(p)).y) for p in points]
    crossing = jax.jit(
        jax.vmap(
            lambda v: critical_point(
                rg, lambda t: jnp.stack([t, v]), across[0], across[-1], n_steps=n_steps
            )
        )
    )(up)
    meets = np.asarray(crossing.status) == RGStatus.OK.value
    return FlowField(
        across,
        up,
        arrows,
        jnp.asarray(points.reshape(-1, 2)),
        jnp.asarray(np.array(dimensions).reshape(-1, 2)),
        jnp.asarray(np.asarray(crossing.couplings)[meets]),
    )


def _inside(points: NDArray[Any], status: NDArray[Any], x: Array, y: Array) -> NDArray[np.float64]:
    """The points that are isolated fixed points within the frame of the grid."""
    low = np.array([float(jnp.min(x)), float(jnp.min(y))])
    high = np.array([float(jnp.max(x)), float(jnp.max(y))])
    margin = SAME * (high - low)
    good = np.isin(status, [RGStatus.OK.value, RGStatus.DEGENERATE.value])
    within = np.all((points >= low - margin) & (points <= high + margin), axis=1)
    kept: NDArray[np.float64] = points[good & within]
    return kept


def _distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    kept: list[NDArray[np.float64]] = []
    for p in points:
        if all(np.max(np.abs(p - k)) > SAME for k in kept):
            kept.append(p)
    return np.array(kept)
