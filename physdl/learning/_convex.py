"""Convex functions of a vector, minimised to rounding: L-BFGS, and FISTA under an l1 penalty."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

__all__ = ["Minimum", "minimised", "curvature"]

MEMORY = 20
SHRINK, GROW = 0.5, 1.1
BATCH = 32

Function = Callable[[Array], Array]
Iterate = tuple[Array, Array, Array, Array, Array, Array]


class Minimum(NamedTuple):
    """Where, how low, how steep still (the largest subgradient component), after how many steps."""

    point: Float[Array, " n"]
    value: Float[Array, ""]
    slope: Float[Array, ""]
    n_steps: Int[Array, ""]


def minimised(
    f: Function, start: Float[Array, " n"], l1: Float[Array, " n"] | None, max_steps: int
) -> Minimum:
    """The minimum of f(x) + sum l1 abs(x), until the slope is below eps^0.7."""
    tolerance = float(np.finfo(start.dtype).eps) ** 0.7
    return (
        _smooth(f, start, tolerance, max_steps)
        if l1 is None
        else _sparse(f, start, l1, tolerance, max_steps)
    )


def _smooth(f: Function, start: Array, tolerance: float, max_steps: int) -> Minimum:
    optimiser = optax.lbfgs(memory_size=MEMORY)
    value_and_slope = optax.value_and_grad_from_state(f)

    def step(carry: tuple[Array, Any, Array, Array]) -> tuple[Array, Any, Array, Array]:
        x, memory, _, n = carry
        with jax.numpy_dtype_promotion("standard"):
            value, slope = value_and_slope(x, state=memory)
            change, memory = optimiser.update(slope, memory, x, value=value, grad=slope, value_fn=f)
        return x + change, memory, jnp.max(jnp.abs(slope), initial=0), n + 1

    x, _, _, n = jax.lax.while_loop(
        lambda c: (c[2] > tolerance) & (c[3] < max_steps),
        step,
        (
            start,
            optimiser.init(start),
            jnp.full((), jnp.inf, start.dtype),
            jnp.zeros((), jnp.int32),
        ),
    )
    value, slope = jax.value_and_grad(f)(x)
    return Minimum(x, value, jnp.max(jnp.abs(slope), initial=0), n)


def _sparse(f: Function, start: Array, l1: Array, tolerance: float, max_steps: int) -> Minimum:
    """Accelerated proximal gradients with restarts (Beck and Teboulle, SIAM J. Imaging Sci. 2, 183
    (2009); O'Donoghue and Candes, Found. Comput. Math. 15, 715 (2015))."""
    value_and_slope = jax.value_and_grad(f)

    def proximal(y: Array, slope: Array, size: Array) -> Array:
        moved = y - size * slope
        return jnp.sign(moved) * jnp.maximum(jnp.abs(moved) - size * l1, 0)

    def too_long(y: Array, value: Array, slope: Array, size: Array) -> Bool[Array, ""]:
        x = proximal(y, slope, size)
        d = x - y
        allowed = value + jnp.vdot(slope, d) + jnp.vdot(d, d) / (2 * size)
        return f(x) > allowed + 10 * float(np.finfo(x.dtype).eps) * jnp.abs(value)

    def step(carry: Iterate) -> Iterate:
        x, y, t, size, _, n = carry
        value, slope = value_and_slope(y)
        size = jax.lax.while_loop(
            functools.partial(too_long, y, value, slope), lambda s: s * SHRINK, size * GROW
        )
        after = proximal(y, slope, size)
        back = jnp.vdot(y - after, after - x) > 0
        t = jnp.where(back, 1, t)
        later = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        y_after = after + jnp.where(back, 0, (t - 1) / later) * (after - x)
        moved = jnp.max(jnp.abs(after - y), initial=0) / size
        return after, y_after, later, size, moved, n + 1

    one = jnp.ones((), start.dtype)
    x, _, _, _, moved, n = jax.lax.while_loop(
        lambda c: (c[4] > tolerance) & (c[5] < max_steps),
        step,
        (start, start, one, one, jnp.inf * one, jnp.zeros((), jnp.int32)),
    )
    return Minimum(x, f(x) + jnp.sum(l1 * jnp.abs(x)), moved, n)


def curvature(f: Function, x: Float[Array, " n"]) -> Float[Array, "n n"]:
    """The matrix of second derivatives, some columns at a time."""
    found: Array = jax.lax.map(
        lambda v: jax.jvp(jax.grad(f), (x,), (v,))[1],
        jnp.eye(len(x), dtype=x.dtype),
        batch_size=BATCH,
    )
    return found
