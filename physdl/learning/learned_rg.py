r"""A network in the place of a renormalization-group map.

    k' = f(k),        log Z summed out = w(k),

learned from any map in values and Jacobians (``imitation``), and a map itself: ``rg.flow``,
``rg.fixed_point``, ``rg.exponents``, ``rg.critical_point`` and ``rg.free_energy`` take it as it is.
Exponents are logarithms of eigenvalues of Df, so it is the Jacobian that has to be right at the
fixed point, to b^y times the precision that is wanted of y ln b.

Convention: the box of training is between two sets of couplings, z in [-1, 1]^n within it; the
network corrects the parabola of least squares. Beyond the box a step is that of the nearest
couplings of the box, so that flows stay finite and still tell phases apart, and its ``error`` is
infinite. Inside, ``error`` is the largest standard deviation of a coupling on fresh examples.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, ShapeError
from physdl.learning._falling import falling_adam
from physdl.learning.imitation import imitate
from physdl.learning.training import TrainingStatus
from physdl.networks import Corrected, Network, mlp, quadratic_fit
from physdl.pytree import is_traced, module, static
from physdl.rg import RGMap, RGStep
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["LearnedMap", "LearnedRG", "learn_rg"]

S = TypeVar("S")
RATE = 1e-2
WIDTHS = (32, 32)
N_TREND = 512
N_FRESH = 1024
EDGE = 1e-6
ROUNDING = 64.0


@module
class LearnedRG(Generic[S]):
    """A network that is an ``RGMap``.

    Attributes:
      function: z in [-1, 1]^n -> k' as a vector, and w where ``weighs``; ``networks.Corrected``.
      lower: the corner of the box, structured as the couplings.
      upper: the opposite corner.
      deviation: of a coupling on fresh examples, root mean square, [n].
      scale: the length ratio b of the map it learned from.
      dim: its dimension.
      weighs: whether w was learned; NaN where it was not.
    """

    function: Callable[[Array], Array]
    lower: S
    upper: S
    deviation: Float[Array, " n"]
    scale: Any
    dim: Any
    weighs: bool = static(default=True)

    def __call__(self, couplings: S) -> RGStep[S]:
        """The renormalized couplings.

        Raises:
          ShapeError: the couplings are structured otherwise than the box.
        """
        _same_structure(couplings, self.lower)
        k, unravel = ravel_pytree(jax.tree.map(jnp.asarray, couplings))
        low, high = ravel_pytree(self.lower)[0], ravel_pytree(self.upper)[0]
        z = (2 * k - low - high) / (high - low)
        held = jnp.where(jnp.abs(z) <= 1 + EDGE, z, jnp.sign(z))
        out = self.function(held.astype(k.dtype)).astype(k.dtype)
        weight = out[-1] if self.weighs else jnp.full((), jnp.nan, k.dtype)
        inside = jnp.max(jnp.abs(z)) <= 1 + EDGE
        error = jnp.where(inside, jnp.max(self.deviation), jnp.inf).astype(k.dtype)
        return RGStep(unravel(out[: len(k)]), weight, error)


@module
class LearnedMap(Generic[S]):
    """A map that was learned, and how well.

    Attributes:
      rg: the ``LearnedRG``.
      losses: of the imitation of what the parabola leaves, [n_steps].
      jacobian_deviation: of dk'_a / dk_b on fresh examples, root mean square, [n, n].
      status: a ``TrainingStatus`` as int32; CONSTANT where the parabola is exact.
    """

    rg: LearnedRG[S]
    losses: Float[Array, " n_steps"]
    jacobian_deviation: Float[Array, "n n"]
    status: Int[Array, ""]

    def __repr__(self) -> str:
        try:
            off = float(jnp.max(self.rg.deviation)), float(jnp.max(self.jacobian_deviation))
            name = TrainingStatus(int(self.status)).name
        except TypeError:  # traced or batched: no single number to show
            return f"LearnedMap(deviation={self.rg.deviation}, status={self.status})"
        return f"errors: couplings {off[0]:.2g}, Jacobian {off[1]:.2g} [{name}]"


@module
class Target:
    """z -> what a map makes of the couplings at z, as a vector, less a trend, in units."""

    rg: RGMap
    lower: Any
    upper: Any
    weighs: bool = static()
    trend: Callable[[Array], Array] | None = None
    unit: ArrayLike = 1.0

    def __call__(self, z: Float[Array, " n"]) -> Float[Array, " m"]:
        low, unravel = ravel_pytree(self.lower)
        high = ravel_pytree(self.upper)[0]
        step = self.rg(unravel((low + high + z * (high - low)) / 2))
        out = ravel_pytree(step.couplings)[0]
        if self.weighs:
            out = jnp.concatenate([out, step.log_weight[None].astype(out.dtype)])
        return out if self.trend is None else (out - self.trend(z)) / self.unit


@module
class Uniform:
    """A point of [-1, 1]^n."""

    n: int = static()

    def __call__(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return jax.random.uniform(key, (self.n,), minval=-1.0, maxval=1.0)


def learn_rg(
    rg: RGMap,
    lower: S,
    upper: S,
    *,
    network: Network | None = None,
    optimizer: optax.GradientTransformation | None = None,
    n_steps: int = 5000,
    batch_size: int = 64,
    jacobian_weight: ArrayLike = 10.0,
    n_directions: int = 1,
    key: Key[Array, ""],
) -> LearnedMap[S]:
    """Teach a network a renormalization-group map over a box of couplings.

    Args:
      rg: the map, differentiable in forward mode.
      lower, upper: corners of the box, couplings as the map takes them.
      network: z -> [n + 1], or [n] where the map has no log_weight (NaN); a perceptron with two
        hidden layers of 32 by default.
      optimizer: of optax; Adam with a rate that falls from 0.01 to zero by default.
      n_steps, batch_size, jacobian_weight, n_directions: as for ``imitate``.
      key: of everything.

    Raises:
      SettingError: a number is out of range, or a lower coupling is not below the upper one.
      ShapeError: the corners are of two structures, or the network has other outputs.

    >>> from physdl import rg
    >>> exact = rg.MigdalKadanoff(scale=2, dim=2)
    >>> found = learn_rg(exact, jnp.array([0.1]), jnp.array([0.6]), key=jax.random.key(0))
    >>> fixed = rg.fixed_point(found.rg, jnp.array([0.3]))
    >>> bool(abs(fixed[0] - 0.304689) < 1e-3)
    True
    >>> bool(abs(rg.exponents(found.rg, fixed).y[0] - 0.747236) < 0.01)
    True
    """
    positive(n_steps, "n_steps")
    _same_structure(lower, upper)
    lower, upper = (jax.tree.map(lambda v: jnp.asarray(v, float), k) for k in (lower, upper))
    low, high = ravel_pytree(lower)[0], ravel_pytree(upper)[0]
    if not is_traced((low, high)) and not bool(jnp.all(low < high)):
        raise SettingError(f"lower couplings are below upper ones, got {low} and {high}.")
    build_key, trend_key, imitate_key, fresh_key = random.split(key, 4)
    n = low.size
    middle = jax.tree.map(lambda a, b: (a + b) / 2, lower, upper)
    weighs = bool(jnp.isfinite(rg(middle).log_weight))
    target = Target(rg, lower, upper, weighs)
    trend, scale, unit = _trend(target, _points(trend_key, N_TREND, n))
    start = network or mlp(n, n + weighs, widths=WIDTHS, key=build_key)
    found = imitate(
        dataclasses.replace(target, trend=trend, unit=unit),
        start,
        Uniform(n),
        optimizer=optimizer or falling_adam(RATE, n_steps),
        n_steps=n_steps,
        batch_size=batch_size,
        jacobian_weight=jacobian_weight,
        n_directions=n_directions,
        key=imitate_key,
    )
    f = Corrected(trend, scale, found.network)
    off, slopes = _deviations(f, target, _points(fresh_key, N_FRESH, n))
    learned = LearnedRG(f, lower, upper, off[:n], 1.0 * rg.scale, 1.0 * rg.dim, weighs)
    status = jnp.where(jnp.any(scale > 0), found.status, TrainingStatus.CONSTANT.value)
    jacobian_deviation = slopes[:n] * 2 / (high - low)[None]
    return LearnedMap(learned, found.losses, jacobian_deviation, status.astype(jnp.int32))


def _same_structure(k: Any, like: Any) -> None:
    shapes = [
        (jax.tree.structure(tree), [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (k, like)
    ]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"couplings have the structure and shapes of the box that was learned, "
            f"{shapes[1][1]}, got {shapes[0][1]}."
        )


def _points(key: Key[Array, ""], n_points: int, n: int) -> Float[Array, "k n"]:
    return jax.random.uniform(key, (n_points, n), minval=-1.0, maxval=1.0)


@jax.jit
def _trend(target: Target, z: Float[Array, "k n"]) -> tuple[Callable[[Array], Array], Array, Array]:
    """The parabola, how far every output deviates from it, and the same, or 1 where it does not."""
    values = jax.vmap(target)(z)
    trend = quadratic_fit(z, values)
    off = jnp.sqrt(jnp.mean((values - jax.vmap(trend)(z)) ** 2, axis=0))
    rounding = ROUNDING * float(np.finfo(z.dtype).eps) * (1 + jnp.max(jnp.abs(values)))
    curved = off > rounding
    return trend, jnp.where(curved, off, 0), jnp.where(curved, off, 1)


@jax.jit
def _deviations(f: Corrected, target: Target, z: Float[Array, "k n"]) -> tuple[Array, Array]:
    def off(z: Array) -> Array:
        return f(z) - target(z)

    values, slopes = jax.vmap(off)(z), jax.vmap(jax.jacfwd(off))(z)
    return jnp.sqrt(jnp.mean(values**2, axis=0)), jnp.sqrt(jnp.mean(slopes**2, axis=0))
