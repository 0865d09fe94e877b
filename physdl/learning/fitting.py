"""Long trainings: the loop of ``train`` on the host, looked at, stopped, and taken up again.

``fit`` takes the steps of ``train``, with the same keys, in pieces of one compiled loop whose
length is an argument. Between the pieces the host shows the rate, looks at the clock, and every so
many steps at a number that is monitored (a likelihood, an error on other data), and writes a
checkpoint. How the steps fall into pieces changes no bit of them, so what is killed and taken up
again ends where an undisturbed training ends.

Consequence: an ensemble is one call with several keys: parameters, losses and status have a leading
axis. Inside ``jit``, ``vmap`` and ``grad`` use ``train``.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key

from physdl.errors import PhysdlError, SettingError, ShapeError
from physdl.learning._course import Course
from physdl.learning.training import (
    Objective,
    Standing,
    Training,
    begun,
    checked_optimizer,
    divided,
    joined,
    moved,
)
from physdl.pytree import is_traced
from physdl.sampling import _random as random
from physdl.sampling._chains import positive
from physdl.sampling._checkpoint import Checkpoint, digest
from physdl.sampling._progress import progress_bar
from physdl.version import __version__

__all__ = ["fit"]

S = TypeVar("S")
LOOKS = 20
DIFFERS = "objective, monitor, start, optimiser, key, length"


def fit(
    objective: Objective,
    start: S,
    *,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    key: Key[Array, "*n_runs"],
    state: Any = None,
    surrogate: bool = False,
    every: int | None = None,
    monitor: Callable[[S], Any] | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    max_seconds: float | None = None,
    progress: bool = False,
) -> Training[S]:
    """Minimise the mean of an objective over its key, as ``train`` does, for as long as it pays.

    Args:
      objective, start, optimizer, state, surrogate: as of ``train``.
      n_steps: updates at most.
      key: of all steps; [n_runs] keys train an ensemble, whose start and state have that axis.
      every: steps from one look to the next; a twentieth of all by default.
      monitor: p -> a number that ought to fall, pure, computed at every look.
      patience: stop after so many looks without a new least number of the monitor, or where there
        is none of the mean loss since the last look, in every run; the result is that of the least.
      checkpoint: a folder, written at every look; where it holds those of this very training, it
        goes on from there.
      max_seconds: stop after this time, compilation included, but not before the first step; the
        status is then UNFINISHED.
      progress: show a bar with rate and loss on standard error.

    Raises:
      SettingError: a number is out of range, the optimiser is none of optax, or the patience is
        with a surrogate that nothing monitors.
      ShapeError: the objective is no single number; start or state lack the axis of the keys.
      StructureError: as of ``train``.
      CheckpointError: the folder holds checkpoints of another training, or something else.

    >>> def objective(p, key):
    ...     return jnp.sum((p - 1.0 + 0.1 * jax.random.normal(key, p.shape)) ** 2)
    >>> found = fit(
    ...     objective,
    ...     jnp.zeros((3, 2)),
    ...     optimizer=optax.sgd(0.05),
    ...     n_steps=400,
    ...     key=jax.random.split(jax.random.key(0), 3),
    ...     monitor=lambda p: jnp.sum((p - 1.0) ** 2),
    ...     patience=5,
    ... )
    >>> found.result.shape, bool(jnp.all(jnp.abs(found.result - 1) < 0.02))
    ((3, 2), True)
    """
    deadline = np.inf if max_seconds is None else time.monotonic() + max_seconds
    checked_optimizer(optimizer)
    positive(n_steps, "n_steps")
    stride = min(n_steps, -(-n_steps // LOOKS) if every is None else positive(every, "every"))
    if patience is not None:
        positive(patience, "patience")
        if surrogate and monitor is None:
            raise SettingError(
                f"the losses of a surrogate do not say when to stop, got patience={patience} and "
                f"no monitor: give one."
            )
    if is_traced((start, key, state, objective)):
        raise PhysdlError(
            "fit is a loop on the host and takes known numbers: inside jit, vmap or grad use train."
        )
    arrays, rest = divided(objective)
    ensemble = key.ndim == 1
    if ensemble:
        _check_axis(len(key), start, state)
    first = _begun(start, state, optimizer=optimizer, ensemble=ensemble)
    loop = functools.partial(
        _advanced, arrays, rest=rest, optimizer=optimizer, room=stride, ensemble=ensemble
    )
    course = Course.new(first, loop, key, n_steps, stride)
    watched = None if monitor is None else divided(monitor)
    look = None if watched is None else functools.partial(_monitored, *watched)
    folder = None
    if checkpoint is not None:
        words = [__version__, n_steps, stride, patience, monitor is None]
        data = (arrays, first, key, watched and watched[0])
        folder = Checkpoint(checkpoint, digest(data, words), DIFFERS)
        found = folder.load(course.saved())
        if found is not None:
            course.restore(checkpoint, *found)
    total = n_steps if progress else None
    with progress_bar(total, "compiling", Course.told) as show:
        while course.goes_on(patience):
            course.advance(deadline, show)
            if course.done % stride == 0 or course.done == n_steps:
                course.look(look, ensemble)
            if folder is not None:
                folder.save(course.done, course.saved())
            if time.monotonic() >= deadline:
                break
    if folder is not None:
        folder.close()
    return course.training(
        best=patience is not None,
        unfinished=course.goes_on(patience),
        monitored=monitor is not None,
        surrogate=surrogate,
    )


@functools.partial(jax.jit, static_argnames=("optimizer", "ensemble"))
def _begun(
    start: S, state: Any, *, optimizer: optax.GradientTransformation, ensemble: bool
) -> Standing[S]:
    one = functools.partial(begun, optimizer=optimizer)
    found: Standing[S] = (jax.vmap(one) if ensemble else one)(start, state)
    return found


@functools.partial(jax.jit, static_argnames=("rest", "optimizer", "room", "ensemble"))
def _advanced(
    arrays: list[Any],
    standing: Standing[S],
    key: Key[Array, "*n_runs"],
    begin: Int[Array, ""],
    end: Int[Array, ""],
    *,
    rest: tuple[Any, ...],
    optimizer: optax.GradientTransformation,
    room: int,
    ensemble: bool,
) -> tuple[Standing[S], Array, Array]:
    """Steps begin to end, the losses before them and which were taken, [*n_runs, room]."""
    objective = joined(arrays, rest)

    def one(standing: Standing[S], key: Key[Array, ""]) -> tuple[Standing[S], Array, Array]:
        def step(t: Array, carry: Any) -> Any:
            standing, losses, taken = carry
            standing, loss, ok = moved(objective, standing, random.folded(key, t), optimizer)
            return standing, losses.at[t - begin].set(loss), taken.at[t - begin].set(ok)

        kind = jax.eval_shape(lambda s: moved(objective, s, key, optimizer)[1], standing).dtype
        history = (jnp.full(room, jnp.nan, kind), jnp.zeros(room, bool))
        done: tuple[Standing[S], Array, Array] = jax.lax.fori_loop(
            begin, end, step, (standing, *history)
        )
        return done

    found: tuple[Standing[S], Array, Array] = (jax.vmap(one) if ensemble else one)(standing, key)
    return found


@functools.partial(jax.jit, static_argnames=("rest", "ensemble"))
def _monitored(arrays: list[Any], rest: tuple[Any, ...], p: Any, *, ensemble: bool) -> Array:
    monitor = joined(arrays, rest)
    value = jnp.asarray((jax.vmap(monitor) if ensemble else monitor)(p))
    if value.ndim != int(ensemble):
        raise ShapeError(f"a monitor is one number, got an array of shape {value.shape}.")
    return value


def _check_axis(n_runs: int, start: Any, state: Any) -> None:
    for leaf in jax.tree.leaves((start, state)):
        if jnp.shape(leaf)[:1] != (n_runs,):
            raise ShapeError(
                f"{n_runs} keys train {n_runs} runs, so every array of start and state has that "
                f"leading axis, got the shape {jnp.shape(leaf)}: stack them by jax.vmap."
            )
