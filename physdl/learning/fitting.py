"""Long trainings: the loop of ``train`` on the host, looked at, stopped, and taken up again.

``fit`` takes the steps of ``train``, with the same keys, in pieces of one compiled loop whose
length is an argument. Between the pieces the host shows the rate, looks at the clock, and every so
many steps at a number that is monitored (a likelihood, an error on other data), and writes a
checkpoint. How the steps fall into pieces changes no bit of them, so what is killed and taken up
again ends where an undisturbed training ends.

Consequence: an ensemble is one call with several keys: parameters, losses and status have a leading
axis. Inside ``jit``, ``vmap`` and ``grad`` use ``train``.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key
from numpy.typing import NDArray

from physdl.errors import CheckpointError, PhysdlError, SettingError, ShapeError
from physdl.learning.training import (
    Objective,
    Standing,
    Training,
    TrainingStatus,
    begun,
    checked_optimizer,
    divided,
    joined,
    moved,
    status_of,
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
SECONDS = 0.5  # between looks at the clock
HOPELESS = 20  # steps in a row that are not finite
ALIKE = 1e-3


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
    folder = None
    if checkpoint is not None:
        words = [__version__, n_steps, stride, patience, monitor is None]
        folder = Checkpoint(checkpoint, digest((arrays, first, key), words), DIFFERS)
        found = folder.load(course.saved())
        if found is not None:
            course.restore(checkpoint, *found)
    look = None if monitor is None else functools.partial(_monitored, *divided(monitor))
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


DIFFERS = "objective, start, optimiser, key, length"


@dataclasses.dataclass
class Course(Generic[S]):
    """A training under way: where it stands, where it stood best, and its history."""

    standing: Standing[S]
    best: S
    least: NDArray[Any]
    waited: NDArray[Any]
    losses: NDArray[Any]
    taken: NDArray[Any]
    looks: NDArray[Any]
    first: NDArray[Any]
    done: int
    loop: Callable[..., tuple[Standing[S], Array, Array]]
    key: Key[Array, "*n_runs"]
    stride: int
    rate: float = np.nan

    @classmethod
    def new(
        cls,
        standing: Standing[S],
        loop: Callable[..., tuple[Standing[S], Array, Array]],
        key: Key[Array, "*n_runs"],
        n_steps: int,
        stride: int,
    ) -> "Course[S]":
        """Before the first step."""
        runs, looks = key.shape, -(-n_steps // stride)
        return cls(
            standing=standing,
            best=standing.result,
            least=np.full(runs, np.inf),
            waited=np.zeros(runs, np.int32),
            losses=np.full((n_steps, *runs), np.nan),
            taken=np.zeros((n_steps, *runs), bool),
            looks=np.full((looks, *runs), np.nan),
            first=np.zeros((2, *runs)),
            done=0,
            loop=loop,
            key=key,
            stride=stride,
        )

    def goes_on(self, patience: int | None) -> bool:
        """Whether there is a step to take, and hope."""
        if self.done == len(self.losses):
            return False
        n = max(self.stride, HOPELESS)
        if self.done >= n and not np.any(self.taken[self.done - n : self.done]):
            return False
        return patience is None or bool(np.any(self.waited < patience))

    def advance(self, deadline: float, show: Callable[["Course[S]"], None]) -> None:
        """The steps to the next look, or those for which there is time."""
        n_steps = len(self.losses)
        target = min(n_steps, (self.done // self.stride + 1) * self.stride)
        while self.done < target:
            if self.done == 0:
                self.first = self._first()
                show(self)
            began = time.monotonic()
            piece = 1 if np.isnan(self.rate) else max(1, int(self.rate * SECONDS))
            end = min(target, self.done + piece)
            self.standing, losses, taken = self._steps(self.standing, self.done, end)
            self.losses[self.done : end] = losses
            self.taken[self.done : end] = taken
            self.rate = (end - self.done) / (time.monotonic() - began)
            self.done = end
            show(self)
            if time.monotonic() >= deadline:
                return

    def _steps(
        self, standing: Standing[S], begin: int, end: int
    ) -> tuple[Standing[S], NDArray[Any], NDArray[Any]]:
        bounds = (jnp.asarray(begin, jnp.int32), jnp.asarray(end, jnp.int32))
        standing, losses, taken = self.loop(standing, self.key, *bounds)
        n = end - begin
        return standing, np.asarray(losses)[..., :n].T, np.asarray(taken)[..., :n].T

    def _first(self) -> NDArray[Any]:
        """Loss and length of the first step: by them another objective or optimiser is known."""
        after, losses, _ = self._steps(self.standing, 0, 1)
        runs = self.key.shape
        square = np.zeros(runs)
        old, new = jax.tree.leaves(self.standing.result), jax.tree.leaves(after.result)
        for a, b in zip(old, new, strict=True):
            change = np.asarray(b, float) - np.asarray(a, float)
            square = square + np.sum(change**2, axis=tuple(range(len(runs), change.ndim)))
        return np.stack([np.broadcast_to(losses[0], runs), np.sqrt(square)]).astype(float)

    def look(self, monitor: Callable[..., Array] | None, ensemble: bool) -> None:
        """Compute what is watched, and keep the parameters where it is least."""
        begin = (self.done - 1) // self.stride * self.stride
        if monitor is None:
            value = np.mean(self.losses[begin : self.done], axis=0)
        else:
            value = np.asarray(monitor(self.standing.result, ensemble=ensemble), float)
        self.looks[begin // self.stride] = value
        better = value < self.least
        self.least = np.where(better, value, self.least)
        self.waited = np.where(better, 0, self.waited + 1).astype(np.int32)
        self.best = _better(jnp.asarray(better), self.standing.result, self.best)

    def told(self) -> tuple[int, str]:
        """For the progress bar."""
        recent = self.losses[max(0, self.done - self.stride) : self.done]
        loss = np.nan if not len(recent) else float(np.mean(recent))
        return self.done, f"{self.rate:.3g}/s  loss {loss:.5g}"

    def saved(self) -> Any:
        """What a checkpoint holds."""
        history = (self.least, self.waited, self.losses, self.taken, self.looks, self.first)
        return _plain((self.standing, self.best)), history

    def restore(self, folder: str | Path, done: int, state: Any) -> None:
        """Stand where the checkpoint stood, if the first step is the same as then."""
        first = self._first()
        plain, history = state
        self.least, self.waited, self.losses, self.taken, self.looks, self.first = map(
            np.array, history
        )
        if not np.allclose(first, self.first, rtol=ALIKE, equal_nan=True):
            raise CheckpointError(
                f"{folder} holds checkpoints of another training, whose first loss and first step "
                f"were {self.first.tolist()} where they are now {first.tolist()}: give another "
                f"folder."
            )
        self.standing, self.best = _like((self.standing, self.best), plain)
        self.done = done

    def training(
        self, *, best: bool, unfinished: bool, monitored: bool, surrogate: bool
    ) -> Training[S]:
        """The result."""
        n = self.done
        losses, taken = jnp.asarray(self.losses[:n].T), jnp.asarray(self.taken[:n].T)
        status = _status(losses, taken, surrogate=surrogate)
        if unfinished:
            status = jnp.where(
                status == TrainingStatus.OK.value, TrainingStatus.UNFINISHED.value, status
            ).astype(jnp.int32)
        return Training(
            self.best if best else self.standing.result,
            losses,
            jnp.sum(~taken, axis=-1, dtype=np.int32),
            status,
            self.standing.state,
            jnp.asarray(self.looks[: -(-n // self.stride)].T) if monitored else None,
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


@jax.jit
def _better(better: Array, new: S, old: S) -> S:
    def chosen(a: Array, b: Array) -> Array:
        return jnp.where(jnp.expand_dims(better, tuple(range(better.ndim, a.ndim))), a, b)

    kept: S = jax.tree.map(chosen, new, old)
    return kept


@functools.partial(jax.jit, static_argnames="surrogate")
def _status(losses: Array, taken: Array, *, surrogate: bool) -> Int[Array, "..."]:
    one = functools.partial(status_of, surrogate=surrogate)
    status: Array = (jax.vmap(one) if losses.ndim == 2 else one)(losses, taken)
    return status


def _check_axis(n_runs: int, start: Any, state: Any) -> None:
    for leaf in jax.tree.leaves((start, state)):
        if jnp.shape(leaf)[:1] != (n_runs,):
            raise ShapeError(
                f"{n_runs} keys train {n_runs} runs, so every array of start and state has that "
                f"leading axis, got the shape {jnp.shape(leaf)}: stack them by jax.vmap."
            )


def _plain(tree: Any) -> Any:
    """Keys as the numbers they consist of."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def _like(known: S, plain: Any) -> S:
    """Numbers as the keys that they were in a tree that is known."""
    leaves, structure = jax.tree.flatten(known)
    found = [
        jax.random.wrap_key_data(jnp.asarray(new), impl=jax.random.key_impl(old))
        if _is_key(old)
        else jnp.asarray(new, old.dtype)
        for old, new in zip(leaves, jax.tree.leaves(plain), strict=True)
    ]
    restored: S = jax.tree.unflatten(structure, found)
    return restored


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))
