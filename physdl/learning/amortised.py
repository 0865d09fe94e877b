r"""Amortised counting: a network trained on the answers of an estimator.

    minimise  <(f(z) - log Z)^2> / s^2  +  w <|df/dz - dlog Z/dz|^2> / t^2

over couplings z of a box. The first term is in units of what the parabola of least squares leaves,
the second, whose targets are moments, likewise, so both are 1 at the start. Moments cost an exact
method little more than the value, and one point then tells as much as n + 1 do (Sobolev training,
W. M. Czarnecki et al., arXiv:1706.04859).

Convention: points are drawn uniformly from the box, and some are held out; with their errors an
interval is calibrated (``estimators.LearnedEstimator``), which therefore holds for points that are
drawn uniformly from the box. Targets of sampled methods are noisy: the network averages the noise,
the interval contains it, so that it is one for the noisy answer and too wide for the true one.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, ShapeError
from physdl.estimators import CouplingBox, Estimator, LearnedEstimator
from physdl.learning._falling import falling_adam
from physdl.learning.training import TrainingStatus, train
from physdl.networks import Corrected, Network, mlp, quadratic_fit
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["Amortised", "Evaluations", "amortise", "evaluate"]

RATE = 1e-2
WIDTHS = (64, 64)
FEWEST = 4


@module
class Evaluations:
    """Answers of an estimator at points of a box.

    Attributes:
      box: of couplings.
      z: points of [-1, 1]^n, independent and uniform, [k, n].
      log_z: [k].
      gradients: d log Z / dz, [k, n], or ``None`` where there are none.
      stderr: of log_z as the estimator tells it, [k].
      status: a ``Status`` each, [k].
    """

    box: CouplingBox
    z: Float[Array, "k n"]
    log_z: Float[Array, " k"]
    gradients: Float[Array, "k n"] | None
    stderr: Float[Array, " k"]
    status: Int[Array, " k"]


@module
class Amortised:
    """A learned estimator, and how well it learned.

    Attributes:
      estimator: a ``LearnedEstimator``.
      losses: the loss of every batch, [n_steps].
      value_error: root mean square of the errors of log Z that were held out, in nats.
      gradient_error: the same of d log Z / dz, NaN without gradients.
      n_failed: points whose log Z is not finite; left out of training, and counted as errors
        without bound where they were held out.
      status: a ``TrainingStatus`` as int32.
    """

    estimator: LearnedEstimator
    losses: Float[Array, " n_steps"]
    value_error: Float[Array, ""]
    gradient_error: Float[Array, ""]
    n_failed: Int[Array, ""]
    status: Int[Array, ""]

    def __repr__(self) -> str:
        try:
            name = TrainingStatus(int(self.status)).name
            error, half = float(self.value_error), float(self.estimator.half_width)
        except TypeError:  # traced or batched: no single number to show
            return f"Amortised(value_error={self.value_error}, status={self.status})"
        level = f"{100 * self.estimator.level:g} %"
        return f"error of log Z {error:.2g}, {level} within {half:.2g} [{name}]"


@module
class Misfit:
    """The loss as an objective: (network, key) -> number.

    Attributes:
      frame: all but the network.
      z, log_z, gradients: of the examples.
      known: 1, or 0 for examples without a finite answer, [k].
      slope_unit: t^2.
      slope_weight: w.
      batch_size: examples of an update.
    """

    frame: Corrected
    z: Float[Array, "k n"]
    log_z: Float[Array, " k"]
    gradients: Float[Array, "k n"] | None
    known: Float[Array, " k"]
    slope_unit: Float[Array, ""]
    slope_weight: Float[Array, ""]
    batch_size: int = static()

    def __call__(self, network: Network, key: Key[Array, ""]) -> Float[Array, ""]:
        chosen = jax.random.randint(key, (self.batch_size,), 0, len(self.z))
        f = dataclasses.replace(self.frame, network=network)
        off, slopes = misfits(f, *_taken((self.z, self.log_z, self.gradients), chosen))
        known = self.known[chosen]
        loss = jnp.mean(known * off**2) / self.frame.scale[0] ** 2
        if slopes is None:
            return loss
        square = jnp.mean(known * jnp.sum(slopes**2, axis=1)) / self.slope_unit
        return loss + self.slope_weight * square


def evaluate(
    estimator: Estimator,
    box: CouplingBox,
    n_points: int,
    *,
    gradients: bool = True,
    key: Key[Array, ""],
) -> Evaluations:
    """Ask an estimator for log Z, and its derivatives, at random points of a box.

    Args:
      estimator: any; it runs once a point, one after the other, in one compiled loop.
      box: of couplings.
      n_points: k.
      gradients: whether to differentiate the estimate; sampled methods give moments.
      key: of the points, and of the estimator.

    Raises:
      SettingError: there is no point.

    >>> from physdl import estimators, lattices, models
    >>> box = CouplingBox(lambda k: models.ising(lattices.chain(6), k[0]), [0.0], [0.5])
    >>> found = evaluate(estimators.TransferMatrix(), box, 10, key=jax.random.key(0))
    >>> k = jax.vmap(box.couplings)(found.z)[:, 0]
    >>> exact = 6 * jnp.log(2 * jnp.cosh(k)) + jnp.log1p(jnp.tanh(k) ** 6)
    >>> bool(jnp.allclose(found.log_z, exact, rtol=1e-5))
    True
    """
    positive(n_points, "n_points")
    z_key, run_key = random.split(key)
    shape = (n_points, box.n_couplings)
    z = jax.random.uniform(z_key, shape, box.lower.dtype, minval=-1.0, maxval=1.0)
    keys = random.split(run_key, n_points)
    log_z, slopes, stderr, status = _evaluated(estimator, box, z, keys, gradients=gradients)
    return Evaluations(box, z, log_z, slopes, stderr, status)


def amortise(
    examples: Evaluations,
    *,
    network: Network | None = None,
    optimizer: optax.GradientTransformation | None = None,
    n_steps: int = 10_000,
    batch_size: int = 64,
    n_held_out: int | None = None,
    gradient_weight: ArrayLike = 10.0,
    odd: Sequence[int] = (),
    level: float = 0.95,
    key: Key[Array, ""],
) -> Amortised:
    """Learn log Z over a box of couplings.

    Args:
      examples: answers of an estimator, from ``evaluate`` or made elsewhere.
      network: z -> [1]; a perceptron with two hidden layers of 64 by default.
      optimizer: of optax; Adam with a rate that falls from 0.01 to zero by default.
      n_steps: updates.
      batch_size: examples of an update.
      n_held_out: the last so many examples are held out, to calibrate the interval and to measure
        errors; a third by default.
      gradient_weight: w; without gradients it is not used.
      odd: couplings, by index, that can all change their sign without changing log Z, as the field
        of the Ising model; their bounds must be opposite.
      level: of the interval.
      key: of the initial weights and the batches.

    Raises:
      SettingError: a number is out of range, or the box is not symmetric in odd couplings.
      ShapeError: there are too few examples, or arrays that do not fit the box.
      StructureError: the network has no arrays, or others than real floating-point ones.

    >>> from physdl import estimators, lattices, models
    >>> box = CouplingBox(lambda k: models.ising(lattices.chain(6), k[0]), [0.0], [0.5])
    >>> exact = estimators.TransferMatrix()
    >>> learned = amortise(
    ...     evaluate(exact, box, 60, key=jax.random.key(0)), n_steps=500, key=jax.random.key(1)
    ... ).estimator
    >>> h = models.ising(lattices.chain(6), 0.3)
    >>> bool(jnp.abs(learned(h).log_z - exact(h).log_z) < 1e-3)
    True
    >>> energy = lambda estimator: jax.grad(lambda h: estimator(h).log_z)(h).terms["bond"]
    >>> bool(jnp.abs(energy(learned).coefficient - energy(exact).coefficient) < 1e-2)
    True
    """
    positive(n_steps, "n_steps")
    positive(batch_size, "batch_size")
    n_points = _checked(examples)
    held = n_points // 3 if n_held_out is None else positive(n_held_out, "n_held_out")
    if n_points - held < FEWEST or not held:
        raise ShapeError(f"{n_points} examples cannot be trained on with {held} held out.")
    mirror = _mirror(examples.box, odd)
    build_key, train_key = random.split(key)
    n = examples.box.n_couplings
    start = mlp(n, 1, widths=WIDTHS, key=build_key) if network is None else network
    data = (examples.z, examples.log_z, examples.gradients)
    seen, rest = (_taken(data, at) for at in (slice(None, -held), slice(-held, None)))
    objective = _objective(seen, start, gradient_weight, mirror=mirror, batch_size=batch_size)
    done = train(
        objective,
        start,
        optimizer=optimizer or falling_adam(RATE, n_steps),
        n_steps=n_steps,
        key=train_key,
    )
    f = dataclasses.replace(objective.frame, network=done.result)
    errors, value_error, gradient_error = _held_out(f, *rest)
    n_failed = jnp.sum(~jnp.isfinite(examples.log_z), dtype=jnp.int32)
    learned = LearnedEstimator(f, examples.box, errors, level)
    return Amortised(learned, done.losses, value_error, gradient_error, n_failed, done.status)


def misfits(
    f: Corrected, z: Float[Array, "k n"], log_z: Float[Array, " k"], gradients: Array | None
) -> tuple[Float[Array, " k"], Float[Array, "k n"] | None]:
    """f - log Z, and the same of the gradients where there are some; 0 where targets are none."""
    if gradients is None:
        value = jax.vmap(lambda z: f(z)[0])(z)
        return jnp.where(jnp.isfinite(log_z), value - log_z, 0), None
    value, slope = jax.vmap(jax.value_and_grad(lambda z: f(z)[0]))(z)
    off = jnp.where(jnp.isfinite(log_z), value - log_z, 0)
    return off, jnp.where(jnp.isfinite(gradients), slope - gradients, 0)


def _checked(examples: Evaluations) -> int:
    k, n = len(examples.log_z), examples.box.n_couplings
    slopes = examples.gradients
    if examples.z.shape != (k, n) or (slopes is not None and slopes.shape != (k, n)):
        raise ShapeError(
            f"{k} examples over {n} couplings have points, and gradients, of shape [{k}, {n}], got "
            f"{list(examples.z.shape)} and {None if slopes is None else list(slopes.shape)}."
        )
    return k


def _mirror(box: CouplingBox, odd: Sequence[int]) -> tuple[int, ...] | None:
    if not odd:
        return None
    if any(a not in range(box.n_couplings) for a in odd):
        raise SettingError(
            f"odd couplings are indices from 0 to {box.n_couplings - 1}, got {tuple(odd)}."
        )
    at = jnp.asarray(tuple(odd))
    if not is_traced(box) and not bool(jnp.allclose(box.lower[at], -box.upper[at])):
        raise SettingError(
            f"a box is symmetric in odd couplings, got {box.lower[at]} to {box.upper[at]}."
        )
    return tuple(-1 if a in odd else 1 for a in range(box.n_couplings))


def _taken(data: Any, at: Any) -> Any:
    return jax.tree.map(lambda v: v[at], data)


@functools.partial(jax.jit, static_argnames=("mirror", "batch_size"))
def _objective(
    seen: tuple[Array, Array, Array | None],
    network: Network,
    gradient_weight: ArrayLike,
    *,
    mirror: tuple[int, ...] | None,
    batch_size: int,
) -> Misfit:
    """The misfit in units of what the parabola leaves."""
    z, log_z, gradients = seen
    finite = jnp.isfinite(log_z)
    if gradients is not None:
        finite &= jnp.all(jnp.isfinite(gradients), axis=1)
    known = finite.astype(z.dtype)
    both, values, weights = z, log_z[:, None], known
    if mirror is not None:
        flipped = z * jnp.asarray(mirror, z.dtype)[None]
        both, values, weights = (
            jnp.concatenate(pair) for pair in ((z, flipped), (values, values), (known, known))
        )
    trend = quadratic_fit(both, values, weights)
    bare = Corrected(trend, jnp.zeros(1, z.dtype), network, mirror)
    off, slopes = misfits(bare, z, log_z, gradients)
    count = jnp.sum(known)
    scale = jnp.sqrt(jnp.sum(known * off**2) / count)
    square = jnp.ones_like(scale)
    if slopes is not None:
        square = jnp.sum(known[:, None] * slopes**2) / count
    frame = dataclasses.replace(bare, scale=_or_one(scale)[None])
    weight = jnp.asarray(gradient_weight, z.dtype)
    return Misfit(frame, z, log_z, gradients, known, _or_one(square), weight, batch_size)


def _or_one(x: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(x > 0, x, 1)


@jax.jit
def _held_out(
    f: Corrected, z: Array, log_z: Array, gradients: Array | None
) -> tuple[Float[Array, " n"], Float[Array, ""], Float[Array, ""]]:
    off, slopes = misfits(f, z, log_z, gradients)
    errors = jnp.sort(jnp.where(jnp.isfinite(log_z), jnp.abs(off), jnp.inf))
    value_error = jnp.sqrt(jnp.mean(off**2))
    if slopes is None:
        return errors, value_error, jnp.full_like(value_error, jnp.nan)
    return errors, value_error, jnp.sqrt(jnp.mean(jnp.sum(slopes**2, axis=1)))


@functools.partial(jax.jit, static_argnames="gradients")
def _evaluated(
    estimator: Estimator,
    box: CouplingBox,
    z: Float[Array, "k n"],
    keys: Key[Array, " k"],
    *,
    gradients: bool,
) -> tuple[Array, Array | None, Array, Array]:
    def value(z: Array, key: Array) -> tuple[Array, tuple[Array, Array]]:
        estimate = estimator(box(z), key=key)
        return estimate.log_z.astype(z.dtype), (estimate.stderr.astype(z.dtype), estimate.status)

    def one(point: tuple[Array, Array]) -> tuple[Array, Array | None, Array, Array]:
        if not gradients:
            log_z, (stderr, status) = value(*point)
            return log_z, None, stderr, status
        (log_z, (stderr, status)), slope = jax.value_and_grad(value, has_aux=True)(*point)
        return log_z, slope, stderr, status

    found: tuple[Array, Array | None, Array, Array] = jax.lax.map(one, (z, keys))
    return found
