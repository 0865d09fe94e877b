"""A training under way on the host: where it stands, where it stood best, and its history."""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key
from numpy.typing import NDArray

from physdl.errors import CheckpointError
from physdl.learning.training import Standing, Training, TrainingStatus, status_of

__all__ = ["Course"]

S = TypeVar("S")
SECONDS = 0.5  # between looks at the clock
HOPELESS = 20  # steps in a row that are not finite
ALIKE = 1e-3


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
