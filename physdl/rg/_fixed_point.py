r"""Fixed points by Newton's method, differentiable by the implicit function theorem.

Newton's step solves J dk = -g with g the displacement (R(k) - k, or beta(k)) and J its Jacobian; it
is halved until |g| falls. At the root k* of a map with parameters p,

    dk*/dp = -J^(-1) dg/dp,

which is what ``jax.lax.custom_root`` gives, to any order, without the iteration being
differentiated. The guess chooses the fixed point and has derivative zero.
"""

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from physdl.pytree import module
from physdl.rg._base import RGMap, RGStatus, flat_map

__all__ = ["FixedPoint", "couplings_of", "fixed_point", "root"]

S = TypeVar("S")
Carry: TypeAlias = tuple[Array, Array, Array, Array, Array]

MAX_STEPS = 100
MAX_HALVINGS = 40
SINGULAR = 1e-9


@module
class FixedPoint(Generic[S]):
    """Where a flow stands still. Where the couplings are one array it can be read as that array.

    Attributes:
      couplings: k*, structured as the guess.
      residual: the largest component of the displacement there.
      n_steps: Newton steps taken.
      status: an ``RGStatus``.
    """

    couplings: S
    residual: Float[Array, ""]
    n_steps: Int[Array, ""]
    status: Int[Array, ""]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.couplings, dtype=dtype)

    def __getitem__(self, index: Any) -> Any:
        return self.couplings[index]  # type: ignore[index]


def couplings_of(at: Any) -> Any:
    """The couplings of a fixed point, or couplings as they are."""
    return at.couplings if isinstance(at, FixedPoint) else at


def fixed_point(rg: RGMap, guess: S, *, max_steps: int = MAX_STEPS) -> FixedPoint[S]:
    """The fixed point that Newton's method reaches from a guess.

    ``status`` says where there is none near (UNCONVERGED), where the map is not defined on the way
    (LEFT), and where the fixed point is not isolated or marginal (DEGENERATE).

    >>> from physdl import rg
    >>> found = rg.fixed_point(rg.MigdalKadanoff(scale=2, dim=2), jnp.array([0.3]))
    >>> bool(jnp.isclose(found.couplings[0], 0.304689, atol=1e-6)), int(found.status)
    (True, 0)
    """
    found: FixedPoint[S] = _fixed_point(rg, couplings_of(guess), max_steps)
    return found


@functools.partial(jax.jit, static_argnames="max_steps")
def _fixed_point(rg: RGMap, guess: S, max_steps: int) -> FixedPoint[S]:
    moved, flat, unravel = flat_map(rg, guess)
    at, (residual, n_steps, status) = root(moved, flat, max_steps=max_steps)
    return FixedPoint(unravel(at), residual, n_steps, status)


def root(
    f: Callable[[Array], Array], guess: Float[Array, " n"], *, max_steps: int = MAX_STEPS
) -> tuple[Float[Array, " n"], tuple[Array, Array, Array]]:
    """The root of f near a guess; its residual, the steps taken, and a status."""

    def solve(f: Callable[[Array], Array], x: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        return _newton(f, x, max_steps)

    def tangent_solve(g: Callable[[Array], Array], y: Array) -> Array:
        solved: Array = jnp.linalg.solve(jax.jacfwd(g)(jnp.zeros_like(y)), y)
        return solved

    start = jax.lax.stop_gradient(guess)
    at, (residual, n_steps, status) = jax.lax.custom_root(
        f, start, solve, tangent_solve, has_aux=True
    )
    return at, (residual, n_steps.astype(jnp.int32), status.astype(jnp.int32))


def _newton(
    f: Callable[[Array], Array], x: Float[Array, " n"], max_steps: int
) -> tuple[Float[Array, " n"], tuple[Array, Array, Array]]:
    eps = float(np.finfo(x.dtype).eps)

    def size(v: Array) -> Array:
        return jnp.max(jnp.abs(v), initial=0.0)

    def newton_step(carry: Carry) -> Carry:
        x, fx, n, _, _ = carry
        step = -jnp.linalg.pinv(jax.jacfwd(f)(x), rtol=4 * eps) @ fx

        def halve(c: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            t = c[0] / 2
            return t, f(x + t * step), c[2] + 1

        def worse(c: tuple[Array, Array, Array]) -> Array:
            return ~(size(c[1]) < size(fx)) & (c[2] < MAX_HALVINGS)

        t, after, _ = jax.lax.while_loop(worse, halve, (jnp.ones_like(x[0]), f(x + step), n * 0))
        better = size(after) < size(fx)
        nearer = jnp.where(better, x + t * step, x), jnp.where(better, after, fx)
        return nearer[0], nearer[1], n + 1, size(step), better

    def unfinished(carry: Carry) -> Array:
        x, fx, n, last, better = carry
        return better & (n < max_steps) & (size(fx) > 0) & (last > eps * (1 + size(x)))

    far = jnp.full((), jnp.inf, x.dtype)
    begin = (x, f(x), jnp.zeros((), x.dtype), far, jnp.asarray(True))
    x, fx, n, last, _ = jax.lax.while_loop(unfinished, newton_step, begin)
    singular = jnp.linalg.svd(jax.jacfwd(f)(x), compute_uv=False)
    near = (last <= eps**0.5 * (1 + size(x))) | (size(fx) == 0)
    status = jnp.select(
        [
            ~jnp.isfinite(size(fx)),
            ~near | (size(fx) > eps**0.5 * (1 + size(x))),
            ~(jnp.min(singular) > SINGULAR * jnp.max(singular)),
        ],
        [RGStatus.LEFT.value, RGStatus.UNCONVERGED.value, RGStatus.DEGENERATE.value],
        RGStatus.OK.value,
    )
    return x, (size(fx), n, status.astype(x.dtype))
