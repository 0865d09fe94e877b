r"""Critical points: where a line of models crosses the critical surface.

Two ways. *Bisection* asks in which phase the flow from line(t) ends: a point of the interval
belongs to the end whose flow its own resembles after ``n_steps``. It needs no fixed point; the
interval it leaves is as narrow as the flow can tell, about b^(-y n_steps). Where the end of the
flow changes smoothly along the line there are no two phases.

*The stable manifold* of a fixed point k* is where its relevant scaling field vanishes,

    u(t) = l . (R^n(line(t)) - k*) = 0,

with l the left eigenvector of the one relevant eigenvalue, and n the number of steps after which
the flow from the bisected point passes nearest to k*, so that terms of second order are small. That
root differentiates, by the implicit function theorem, in the parameters of map and line.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from physdl.errors import SettingError
from physdl.pytree import module
from physdl.rg._base import RGMap, RGStatus
from physdl.rg._exponents import Exponents, exponents
from physdl.rg._fixed_point import FixedPoint, couplings_of, root

__all__ = ["CriticalPoint", "critical_point"]

MOST_BISECTIONS = 64
FAR = 1e6
WINDOW = 1e-3
ALIKE = 1e-6


@module
class CriticalPoint:
    """Where a line of models is critical.

    Attributes:
      parameter: t_c.
      couplings: line(t_c).
      width: what is left of the interval.
      status: an ``RGStatus``; SAME_PHASE where both ends of the interval flow alike,
        or the end of the flow changes smoothly between them.
    """

    parameter: Float[Array, ""]
    couplings: Any
    width: Float[Array, ""]
    status: Int[Array, ""]


def critical_point(
    rg: RGMap,
    line: Callable[[Array], Any],
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    at: FixedPoint[Any] | Any = None,
    n_steps: int = 100,
    phase: Callable[[Any], Array] | None = None,
) -> CriticalPoint:
    """The t between ``lower`` and ``upper`` at which ``line(t)`` is critical.

    Args:
      rg: the map.
      line: couplings as a function of one real parameter.
      lower: a t whose model lies in one phase.
      upper: a t whose model lies in the other.
      at: a fixed point with one relevant direction within the family of the line; then the root on
        its stable manifold is found, which can be differentiated.
      n_steps: steps of the flow.
      phase: a function of the couplings at the end of a flow that tells phases apart; all couplings
        by default.

    Raises:
      SettingError: ``n_steps`` is less than one.

    >>> from physdl import rg
    >>> mk = rg.MigdalKadanoff(scale=2, dim=2)
    >>> found = rg.critical_point(mk, lambda t: t[None], 0.1, 1.0)
    >>> bool(jnp.isclose(found.parameter, 0.304689, atol=1e-5)), int(found.status)
    (True, 0)
    """
    if n_steps < 1:
        raise SettingError(f"a flow has one or more steps, got n_steps={n_steps}.")
    low = jnp.asarray(lower, jnp.result_type(float))
    high = jnp.asarray(upper, low.dtype)

    def trajectory(t: Array) -> Array:
        return _flattened(rg, line(t), n_steps)

    def end(t: Array) -> Array:
        last = ravel_pytree(line(t))[1](trajectory(t)[-1])
        return jnp.tanh(ravel_pytree(last if phase is None else phase(last))[0])

    held = jax.lax.stop_gradient
    t, width, status = held(_bisected(end, held(low), held(high)))
    if at is not None:
        t, status = _on_manifold(rg, trajectory, t, couplings_of(at), status)
    return CriticalPoint(t, line(t), width, status)


def _flattened(rg: RGMap, couplings: Any, n_steps: int) -> Float[Array, "n_steps+1 n"]:
    """The couplings before and after every step, as vectors.

    They are held within a far box, and those below the rounding of the largest are zero: in a phase
    couplings grow without end, and rounding would break a symmetry that the map keeps.
    """
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, couplings))
    rounding = 16 * float(np.finfo(flat.dtype).eps)

    def step(k: Array, _: None) -> tuple[Array, Array]:
        after = jnp.clip(ravel_pytree(rg(unravel(k)).couplings)[0], -FAR, FAR)
        size = jnp.max(jnp.abs(after), initial=0.0)
        held: Array = jnp.where(jnp.abs(after) < rounding * size, 0, after)
        return held, held

    return jnp.concatenate([flat[None], jax.lax.scan(step, flat, length=n_steps)[1]])


def _bisected(
    end: Callable[[Array], Array], low: Float[Array, ""], high: Float[Array, ""]
) -> tuple[Array, Array, Array]:
    below, above = end(low), end(high)
    apart = jnp.max(jnp.abs(below - above), initial=0.0)

    def halve(_: Array, interval: tuple[Array, Array]) -> tuple[Array, Array]:
        a, b = interval
        middle = (a + b) / 2
        here = end(middle)
        like_low = jnp.sum((here - below) ** 2) < jnp.sum((here - above) ** 2)
        return jnp.where(like_low, middle, a), jnp.where(like_low, b, middle)

    a, b = jax.lax.fori_loop(0, MOST_BISECTIONS, halve, (low, high))
    around = WINDOW * (high - low)
    jump = jnp.max(jnp.abs(end(a - around) - end(b + around)), initial=0.0)
    status = jnp.select(
        [~jnp.isfinite(apart), (apart < ALIKE) | (jump < apart / 2)],
        [RGStatus.LEFT.value, RGStatus.SAME_PHASE.value],
        RGStatus.OK.value,
    )
    return (a + b) / 2, jnp.abs(b - a), status.astype(jnp.int32)


def _on_manifold(
    rg: RGMap, trajectory: Callable[[Array], Array], t: Float[Array, ""], at: Any, status: Array
) -> tuple[Array, Array]:
    point = ravel_pytree(jax.tree.map(jnp.asarray, at))[0]
    linear: Exponents = exponents(rg, jax.lax.stop_gradient(at))
    field = jnp.real(linear.left[0])
    away = jnp.max(jnp.abs(trajectory(t) - jax.lax.stop_gradient(point)[None]), axis=1)
    nearest = jnp.argmin(jnp.where(jnp.isfinite(away), away, jnp.inf))
    growth = jnp.abs(linear.eigenvalues[0]) ** nearest.astype(t.dtype)

    def scaling_field(t: Array) -> Array:
        return (field @ (trajectory(t[0])[nearest] - point) / growth)[None]

    found, (_, _, converged) = root(scaling_field, t[None])
    return found[0], jnp.where(status == RGStatus.OK.value, converged, status)
