"""Stacks of Boltzmann machines, trained from the data upward, one machine after the other.

The first machine is trained on the samples, the next on hidden units drawn from them by the first,
and so on (G. E. Hinton, S. Osindero and Y.-W. Teh, Neural Comput. 18, 1527 (2006)).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.learning.boltzmann_machines import train_boltzmann
from physdl.learning.training import Training
from physdl.networks import RBM, BoltzmannStack
from physdl.pytree import module
from physdl.sampling import _random as random
from physdl.spaces import BINARY, SPIN, Finite

__all__ = ["StackTraining", "train_stack"]


@module
class StackTraining:
    """A stack, and how each of its machines was trained.

    Attributes:
      stack: the machines.
      trainings: of every machine, in the same order.
    """

    stack: BoltzmannStack
    trainings: tuple[Training[RBM], ...]

    def __repr__(self) -> str:
        lines = (f"machine {k}: {found!r}" for k, found in enumerate(self.trainings, start=1))
        return "\n".join(lines)


@cites("hintonosindero2006")
def train_stack(
    samples: ArrayLike,
    n_hidden: Sequence[int],
    *,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    visible: Finite = SPIN,
    hidden: Finite = BINARY,
    scale: float = 0.01,
    checkpoint: str | Path | None = None,
    key: Key[Array, ""],
    **settings: Any,
) -> StackTraining:
    """Train a stack of restricted Boltzmann machines on configurations.

    Args:
      samples: [n_samples, *shape] with one number a site.
      n_hidden: hidden units of every machine, from the lattice upward.
      optimizer: of optax, for each machine.
      n_steps: updates of each machine.
      visible: what a site is.
      hidden: what a hidden unit is, of every machine.
      scale: standard deviation of the initial weights.
      checkpoint: a folder, in which every machine has one of its own.
      key: of everything.
      settings: those of ``train_boltzmann``, for each machine.

    Raises:
      SettingError: there is no machine, or a setting is out of range.
      ShapeError, SpaceError: as of ``train_boltzmann``.

    >>> from physdl import lattices, learning, models, sampling
    >>> h = models.ising(lattices.chain(8), 0.8)
    >>> x = sampling.exact_sample(h, n=200, key=jax.random.key(0)).states[:, 0]
    >>> found = train_stack(
    ...     x, (4, 2), optimizer=optax.sgd(0.1), n_steps=20, batch_size=50, key=jax.random.key(1)
    ... )
    >>> [field.shape for field in found.stack.receptive_fields]
    [(8, 4), (8, 2)]
    """
    if not n_hidden:
        raise SettingError("a stack consists of one machine or more, got no hidden units.")
    data = jnp.asarray(samples, float)
    if data.ndim < 2:
        raise ShapeError(f"samples have the shape [n_samples, *shape], got {data.shape}.")
    below, kind = data.reshape(len(data), -1), visible
    trainings = []
    for level, n in enumerate(n_hidden, start=1):
        start_key, train_key, draw_key, key = random.split(key, 4)
        begin = RBM.initial(
            below.shape[1], n, visible=kind, hidden=hidden, scale=scale, data=below, key=start_key
        )
        found = train_boltzmann(
            begin,
            below,
            optimizer=optimizer,
            n_steps=n_steps,
            checkpoint=None if checkpoint is None else Path(checkpoint) / f"machine-{level}",
            key=train_key,
            **settings,
        )
        trainings.append(found)
        below, kind = _drawn(found.result, below, random.split(draw_key, len(below))), hidden
    return StackTraining(BoltzmannStack(tuple(t.result for t in trainings)), tuple(trainings))


@jax.jit
def _drawn(machine: RBM, below: Array, keys: Key[Array, " n"]) -> Array:
    drawn: Array = jax.vmap(lambda v, key: machine.sample_hidden(v, key=key))(below, keys)
    return drawn
