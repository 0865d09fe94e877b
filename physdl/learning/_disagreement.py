"""How far a network is from a function in values and Jacobians, for ``imitation``."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.pytree import module, static
from physdl.sampling import _random as random

__all__ = [
    "Disagreement",
    "Examples",
    "Function",
    "Sampler",
    "Scales",
    "drawn",
    "real",
    "relative_errors",
    "scales_of",
    "squares",
]

Function: TypeAlias = Callable[[Array], Array]
Sampler: TypeAlias = Callable[[Key[Array, ""]], Array]
ROUNDING = 16


@module
class Examples:
    """A random one of some inputs."""

    inputs: Float[Array, "n ..."]

    def __call__(self, key: Key[Array, ""]) -> Float[Array, "..."]:
        return self.inputs[jax.random.randint(key, (), 0, len(self.inputs))]


@module
class Scales:
    """<|g - <g>|^2>, or 1 where it is zero, and <|Dg|^2>."""

    value: Float[Array, ""]
    jacobian: Float[Array, ""]


@module
class Disagreement:
    """The loss as an objective: (network, key) -> number."""

    function: Function
    draw: Sampler
    scales: Scales
    weight: Float[Array, ""]
    batch_size: int = static()
    n_directions: int = static()

    def __call__(self, network: Function, key: Key[Array, ""]) -> Float[Array, ""]:
        x_key, v_key = random.split(key)
        x = drawn(self.draw, x_key, self.batch_size)
        off, off_jacobian = _off(self.function, network, x, v_key, self.n_directions)
        loss = jnp.mean(off) / self.scales.value
        if not self.n_directions:
            return loss
        slope = jnp.mean(off_jacobian) / self.scales.jacobian
        return loss + self.weight.astype(loss.dtype) * slope


def real(x: ArrayLike) -> Float[Array, "..."]:
    """The array, of floating-point numbers."""
    array = jnp.asarray(x)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


def drawn(draw: Sampler, key: Key[Array, ""], n: int) -> Float[Array, "n ..."]:
    """n independent inputs."""
    return real(jax.vmap(draw)(random.split(key, n)))


def _off(
    function: Function, network: Function, x: Array, key: Key[Array, ""], k: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """|f - g|^2 of every input, and |Df - Dg|^2 along k directions; zeros without any."""
    return squares(lambda one: network(one) - function(one), x, key, k)


def squares(
    f: Function, x: Float[Array, "n ..."], key: Key[Array, ""], k: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """|f|^2 of every input, and |Df|^2 along k directions."""
    if not k:
        value = jax.vmap(f)(x)
        return _norms(value), jnp.zeros(len(x), value.dtype)

    def along(one: Array, v: Array) -> tuple[Array, Array]:
        out: tuple[Array, Array] = jax.jvp(f, (one,), (v,))
        return out

    size = x[0].size
    if k == 1 < size:  # an axis of length one would make every product of matrices a batch
        value, tangent = jax.vmap(along)(x, jax.random.normal(key, x.shape, x.dtype))
        return _norms(value), _norms(tangent)
    if k < size:
        v, weight = jax.random.normal(key, (len(x), k, *x.shape[1:]), x.dtype), 1 / k
    else:
        units = jnp.eye(size, dtype=x.dtype).reshape(1, size, *x.shape[1:])
        v, weight = jnp.broadcast_to(units, (len(x), *units.shape[1:])), 1
    value, tangents = jax.vmap(jax.vmap(along, (None, 0), (None, 0)))(x, v)
    return _norms(value), weight * _norms(tangents)


def _norms(values: Float[Array, "n ..."]) -> Float[Array, " n"]:
    return jnp.sum(values.reshape(len(values), -1) ** 2, axis=1)


def scales_of(
    function: Function, x: Float[Array, "n ..."], key: Key[Array, ""], k: int
) -> tuple[Scales, Array]:
    """How much the target varies over some inputs, and whether it does not."""
    g = jax.vmap(function)(x)
    centre = jnp.mean(g, axis=0, keepdims=True)
    variance = jnp.mean(_norms(g - centre))
    square = jnp.mean(squares(function, x, key, k)[1]) if k else jnp.ones_like(variance)
    noise = (ROUNDING * float(np.finfo(g.dtype).eps)) ** 2 * jnp.mean(_norms(g))
    constant = variance <= noise
    scales = Scales(jnp.where(constant, 1, variance), jnp.where(square > 0, square, 1))
    return scales, constant


def relative_errors(
    function: Function, network: Function, x: Float[Array, "n ..."], key: Key[Array, ""], k: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of values and of Jacobians, NaN without directions."""
    off_key, scale_key = random.split(key)
    off, off_jacobian = _off(function, network, x, off_key, k)
    scales, _ = scales_of(function, x, scale_key, k)
    jacobian = jnp.sqrt(jnp.mean(off_jacobian) / scales.jacobian)
    missing = jnp.full_like(jacobian, jnp.nan)
    return jnp.sqrt(jnp.mean(off) / scales.value), jacobian if k else missing
