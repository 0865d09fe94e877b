r"""Training: an expectation minimised over any pytree, one compiled loop.

    minimise  E_key[objective(p, key)]   over p,

by n_steps updates of an optax optimiser, each with the gradient at one key. ``start`` may be a
network, a Hamiltonian, a vector, or a tuple of them; the result is of the same structure. Step t
uses the key fold_in(key, t), so that the numbers of a step do not depend on how many there are.

Convention: an objective is ``(p, key) -> number``. Where it holds data (examples, a model) it is
best a ``@module``, whose arrays are arguments of the compiled loop: another data set of the same
shape is not compiled again. A plain function is known by its identity, as is an optimiser, and the
loop is compiled once for each pair of them. A closure made anew for every call is compiled anew.

Consequence: everything is pure, so an ensemble is ``jax.vmap`` over keys. A step whose objective
or result is not finite is not taken: parameters and the memory of the optimiser stay as they were,
and the status says so. A gradient that is not finite shows in the result, unless the optimiser
mends it (``optax.zero_nans``).

Chains that outlive a step (persistent contrastive divergence) are a ``state``: the objective is
then (p, state, key) -> (number, state). Where only the gradient of the number means something, it
is a ``surrogate``. Long trainings, with checkpoints and early stopping, are ``fit``.
"""

import enum
import functools
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.errors import SettingError, ShapeError, StructureError
from physdl.pytree import module
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = [
    "Objective",
    "Standing",
    "Training",
    "TrainingStatus",
    "begun",
    "checked_optimizer",
    "divided",
    "joined",
    "moved",
    "status_of",
    "train",
    "trained",
]

S = TypeVar("S")
Objective: TypeAlias = Callable[..., Any]
QUARTER = 4
CERTAIN = 4.0


class TrainingStatus(enum.IntEnum):
    """Why what was learned is or is not to be trusted; carried as an int32 array."""

    OK = 0
    SKIPPED = 1
    DIVERGED = 2
    ROSE = 3
    CONSTANT = 4
    UNFINISHED = 5

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return {
            TrainingStatus.OK: "Every step was taken, and the objective did not rise.",
            TrainingStatus.SKIPPED: "Some steps were not finite and were not taken.",
            TrainingStatus.DIVERGED: "The last step is not finite: take a smaller learning rate.",
            TrainingStatus.ROSE: "The objective ended above its start: smaller learning rate.",
            TrainingStatus.CONSTANT: "The target does not vary: errors are absolute.",
            TrainingStatus.UNFINISHED: "The time was up before the last step: take it up again.",
        }[self]


@module
class Training(Generic[S]):
    """What a training led to.

    Attributes:
      result: the parameters after the last step that was taken, structured as the start; of a
        ``fit`` with ``patience`` those at the least number of the monitor.
      losses: the objective before every step, [n_steps]; not finite where it was so.
      skipped: how many steps were not taken.
      status: a ``TrainingStatus`` as int32. SKIPPED where some steps were not finite, DIVERGED
        where the last was not, ROSE where the last quarter of the losses lies above the first by
        more than four standard errors, those of independent numbers as quiet as the quieter one.
      state: of the objective after the last step; ``None`` where it has none.
      monitored: the number of the monitor of ``fit`` at every look, [n_looks]; ``None`` without.
    """

    result: S
    losses: Float[Array, " n_steps"]
    skipped: Int[Array, ""]
    status: Int[Array, ""]
    state: Any = None
    monitored: Float[Array, " n_looks"] | None = None

    def __repr__(self) -> str:
        try:
            first, last = float(self.losses[0]), float(self.losses[-1])
            name = TrainingStatus(int(self.status)).name
        except TypeError:  # traced or batched: no single number to show
            return f"Training(losses={self.losses})"
        return f"{first:.4g} -> {last:.4g} in {len(self.losses)} steps [{name}]"


def train(
    objective: Objective,
    start: S,
    *,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    key: Key[Array, ""],
    state: Any = None,
    surrogate: bool = False,
) -> Training[S]:
    """Minimise the mean of an objective over its key by stochastic gradients.

    The optimiser is told the parameters, and where it asks for them the value, the gradient and the
    objective itself at the key of the step (``optax.lbfgs``, ``reduce_on_plateau``).

    Args:
      objective: (p, key) -> a number, or (p, state, key) -> (a number, the next state); a
        ``@module`` or a function.
      start: any pytree of real floating-point arrays.
      optimizer: of optax.
      n_steps: updates; another number is another compilation.
      key: of all steps.
      state: what the objective hands from step to step, any pytree; ``None`` for nothing.
      surrogate: only the gradient of the number means something: its rise is no failure.

    Raises:
      SettingError: the optimiser is none of optax, or there is no step.
      ShapeError: the objective is no single number.
      StructureError: the start has a leaf that is no real floating-point array, or none at all; or
        the state that the objective returns is of another structure.

    >>> @module
    ... class Misfit:
    ...     target: Float[Array, " n"]
    ...
    ...     def __call__(self, p, key):
    ...         noise = jax.random.normal(key, p.shape)
    ...         return jnp.sum((p - self.target + 0.1 * noise) ** 2)
    >>> rates = optax.cosine_decay_schedule(0.1, 300)
    >>> found = train(
    ...     Misfit(jnp.array([1.0, -2.0])),
    ...     jnp.zeros(2),
    ...     optimizer=optax.sgd(rates),
    ...     n_steps=300,
    ...     key=jax.random.key(0),
    ... )
    >>> bool(jnp.all(jnp.abs(found.result - jnp.array([1.0, -2.0])) < 0.05))
    True
    >>> TrainingStatus(int(found.status)).name
    'OK'
    """
    checked_optimizer(optimizer)
    positive(n_steps, "n_steps")
    arrays, rest = divided(objective)
    found: Training[S] = _trained(
        arrays,
        start,
        key,
        state,
        rest=rest,
        optimizer=optimizer,
        n_steps=n_steps,
        surrogate=surrogate,
    )
    return found


def checked_optimizer(optimizer: object) -> None:
    """Refuse what is no optimiser of optax."""
    if not isinstance(optimizer, optax.GradientTransformation):
        raise SettingError(
            f"the optimizer is one of optax, as optax.adam(1e-3), got {optimizer!r}."
        )


def divided(tree: Any) -> tuple[list[Any], tuple[Any, ...]]:
    """The leaves that are numbers, to be traced, and all else, which is hashed; see ``joined``."""
    leaves, structure = jax.tree.flatten(tree)
    numbers = [
        isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int) for leaf in leaves
    ]
    arrays = [leaf for leaf, is_number in zip(leaves, numbers, strict=True) if is_number]
    rest = tuple(
        None if is_number else leaf for leaf, is_number in zip(leaves, numbers, strict=True)
    )
    return arrays, (structure, tuple(numbers), rest)


def joined(arrays: list[Any], rest: tuple[Any, ...]) -> Any:
    """What ``divided`` took apart."""
    structure, numbers, others = rest
    traced = iter(arrays)
    leaves = [next(traced) if n else leaf for n, leaf in zip(numbers, others, strict=True)]
    return jax.tree.unflatten(structure, leaves)


@functools.partial(jax.jit, static_argnames=("rest", "optimizer", "n_steps", "surrogate"))
def _trained(
    arrays: list[Any],
    start: S,
    key: Key[Array, ""],
    state: Any,
    *,
    rest: tuple[Any, ...],
    optimizer: optax.GradientTransformation,
    n_steps: int,
    surrogate: bool,
) -> Training[S]:
    return trained(
        joined(arrays, rest),
        start,
        key,
        optimizer=optimizer,
        n_steps=n_steps,
        state=state,
        surrogate=surrogate,
    )


def trained(
    objective: Objective,
    start: S,
    key: Key[Array, ""],
    *,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    state: Any = None,
    surrogate: bool = False,
) -> Training[S]:
    """``train`` inside what is compiled."""

    def step(standing: Standing[S], t: Array) -> tuple[Standing[S], tuple[Array, Array]]:
        standing, loss, taken = moved(objective, standing, random.folded(key, t), optimizer)
        return standing, (loss, taken)

    first = begun(start, state, optimizer)
    last, (losses, taken) = jax.lax.scan(step, first, jnp.arange(n_steps))
    skipped = jnp.sum(~taken, dtype=np.int32)
    status = status_of(losses, taken, surrogate=surrogate)
    return Training(last.result, losses, skipped, status, last.state)


@module
class Standing(Generic[S]):
    """Where a training stands: parameters, the memory of the optimiser, the objective's state."""

    result: S
    memory: Any
    state: Any


def begun(start: S, state: Any, optimizer: optax.GradientTransformation) -> Standing[S]:
    """The standing before the first step."""
    p = jax.tree.map(_strong, start)
    if not jax.tree.leaves(p):
        raise StructureError("there is nothing to train: the start has no arrays.")
    return Standing(p, optimizer.init(p), jax.tree.map(_typed, state))


def moved(
    objective: Objective,
    standing: Standing[S],
    key: Key[Array, ""],
    optimizer: optax.GradientTransformation,
) -> tuple[Standing[S], Float[Array, ""], Bool[Array, ""]]:
    """The standing after one step, the loss before it, and whether it was taken."""
    p, state = standing.result, standing.state

    def valued(p: S) -> tuple[Float[Array, ""], Any]:
        if state is None:
            return _number(objective(p, key)), None
        value, after = objective(p, state, key)
        return _number(value), after

    (value, next_state), slope = jax.value_and_grad(valued, has_aux=True)(p)
    _same_structure(state, next_state)
    with jax.numpy_dtype_promotion("standard"):
        change, memory = optax.with_extra_args_support(optimizer).update(
            slope,
            standing.memory,
            p,
            value=value,
            grad=slope,
            value_fn=lambda p: valued(p)[0],
        )
        after = Standing(optax.apply_updates(p, change), memory, next_state)
    taken = _finite((value, after.result, after.state))
    kept: Standing[S] = jax.tree.map(functools.partial(jnp.where, taken), after, standing)
    return kept, value, taken


def _same_structure(before: Any, after: Any) -> None:
    kinds = [jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), s) for s in (before, after)]
    if kinds[0] != kinds[1]:
        raise StructureError(
            f"the objective returns a state of {kinds[1]} after one of {kinds[0]}: keep structure, "
            f"shapes and types."
        )


def _strong(leaf: Any) -> Array:
    x = jnp.asarray(leaf)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise StructureError(
            f"what is trained consists of real floating-point arrays, got one of {x.dtype}: hold "
            f"others as static structure, or in the objective."
        )
    return _typed(x)


def _typed(leaf: Any) -> Array:
    """The leaf as an array whose type is no longer weak."""
    x = jnp.asarray(leaf)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return x
    strong: Array = jax.lax.convert_element_type(x, x.dtype)
    return strong


def _number(value: Any) -> Float[Array, ""]:
    x = jnp.asarray(value)
    if x.shape:
        raise ShapeError(
            f"an objective is one number, got an array of shape {x.shape}: take a mean."
        )
    return x


def _finite(tree: Any) -> Bool[Array, ""]:
    numbers = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in numbers]))


def status_of(
    losses: Float[Array, " n"], taken: Bool[Array, " n"], *, surrogate: bool
) -> Int[Array, ""]:
    """What the losses and the steps taken say of a training."""
    n = max(1, len(losses) // QUARTER)
    first, last = losses[:n], losses[-n:]
    noise = jnp.sqrt(2 * jnp.minimum(jnp.var(first), jnp.var(last)) / n)
    rose = jnp.mean(last) - jnp.mean(first) > CERTAIN * noise
    return jnp.select(
        [~taken[-1], ~jnp.all(taken), rose & (not surrogate)],
        [s.value for s in (TrainingStatus.DIVERGED, TrainingStatus.SKIPPED, TrainingStatus.ROSE)],
        TrainingStatus.OK.value,
    ).astype(jnp.int32)
