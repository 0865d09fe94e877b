r"""Restricted Boltzmann machines trained on data, and what they say of data.

    log p(v) = -F(v) - log Z        in nats, F the free energy of the visible layer.

``train_boltzmann`` maximises the mean over samples by stochastic gradients (``contrastive`` is the
objective, ``negative_phase`` says how <dF>_model is had, ``fit`` is the loop). ``log_likelihood``
measures it: exactly where a layer has few states, by annealed importance sampling elsewhere.

Convention: samples of visible units are what ``machine.visible`` says; states of a vector space may
be numbers. A unit with one value in all samples is no error: the visible biases of ``RBM.initial``
count one observation more, and stay finite.

Consequence: log Z by annealing tends to be too low, which flatters the machine; by how much,
``estimators.ReverseAIS`` bounds.
"""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError, StructureError
from physdl.estimators import AIS, Auto, Estimator, LayerSum
from physdl.hamiltonian import Hamiltonian
from physdl.learning._samples import checked
from physdl.learning.contrastive import Contrast, Contrastive, contrastive_objective
from physdl.learning.fitting import fit
from physdl.learning.negative_phase import PCD, Model, NegativePhase, log_z_of
from physdl.learning.training import Training
from physdl.networks import RBM
from physdl.pytree import is_traced, module
from physdl.sampling import _random as random
from physdl.spaces import Finite

__all__ = ["log_likelihood", "train_boltzmann"]

LOG_MOST = 20 * math.log(2)


def train_boltzmann(
    machine: RBM,
    samples: ArrayLike,
    *,
    method: NegativePhase | None = None,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    batch_size: int = 100,
    l1: float = 0.0,
    l2: float = 0.0,
    centred: bool = True,
    held_out: ArrayLike | None = None,
    track: int | None = None,
    estimator: Estimator | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    max_seconds: float | None = None,
    progress: bool = False,
    key: Key[Array, "*n_runs"],
) -> Training[RBM]:
    """Train a restricted Boltzmann machine on samples of its visible layer.

    Args:
      machine: where to start, as ``RBM.initial(..., data=samples)``; for several runs with a
        leading axis.
      samples: [n_samples, n_visible], on vector spaces with an axis of components or integers that
        number the states.
      method: ``CD(k)``, ``PCD(k)``, ``Tempered()``, ``MeanField(order)`` or ``Exact()``; ``PCD()``
        by default.
      optimizer: of optax.
      n_steps: updates; an epoch is n_samples // batch_size of them.
      batch_size: samples a step, in a new order every epoch.
      l1: weight of the sum of |W|.
      l2: weight of half the sum of W^2.
      centred: whether gradients are centred, see ``contrastive``.
      held_out: other samples, whose likelihood is tracked in place of that of the samples.
      track: every so many steps the mean negative log-likelihood is measured by ``log_likelihood``
        and kept as ``monitored``; ``None`` does so only for held-out samples or with ``patience``,
        every twentieth of all steps.
      estimator: of log Z for what is tracked.
      patience: stop after so many measurements without a new best; the best machine is the result.
      checkpoint, max_seconds, progress: as of ``fit``.
      key: of everything; [n_runs] keys train as many machines at once.

    Raises:
      ShapeError: samples have another shape.
      SpaceError: a value is not finite, or none of a visible unit's.
      SettingError: a number is out of range, or a batch larger than the data.
      StructureError: the samples are traced.

    >>> from physdl import learning, networks
    >>> data = jnp.tile(jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), (50, 1))
    >>> found = learning.train_boltzmann(
    ...     networks.RBM.initial(3, 2, data=data, key=jax.random.key(0)),
    ...     data,
    ...     method=learning.Exact(),
    ...     optimizer=optax.adam(0.1),
    ...     n_steps=200,
    ...     key=jax.random.key(1),
    ... )
    >>> bool(abs(learning.log_likelihood(found.result, data) + jnp.log(2.0)) < 0.05)
    True
    """
    data = _visible(machine, samples)
    objective = contrastive_objective(
        data,
        PCD() if method is None else method,
        batch_size=batch_size,
        l1=l1,
        l2=l2,
        centred=centred,
    )
    watched = track is not None or held_out is not None or patience is not None
    monitor = None
    state_key, fit_key, look_key = _split(key)
    if watched:
        seen = data if held_out is None else _visible(machine, held_out)
        look = look_key if look_key.ndim == 0 else look_key[0]
        chosen = estimator or _estimator(machine)
        monitor = Surprise(jnp.asarray(seen, float), chosen, look)
    return fit(
        objective,
        machine,
        optimizer=optimizer,
        n_steps=n_steps,
        key=fit_key,
        state=_started(objective, machine, state_key),
        surrogate=objective.phase.surrogate,
        every=track,
        monitor=monitor,
        patience=patience,
        checkpoint=checkpoint,
        max_seconds=max_seconds,
        progress=progress,
    )


def log_likelihood(
    model: Model,
    samples: ArrayLike,
    *,
    estimator: Estimator | None = None,
    key: Key[Array, ""] | None = None,
) -> Float[Array, ""]:
    """The mean of log p over samples, in nats per sample.

    Args:
      model: a restricted Boltzmann machine, or a Hamiltonian.
      samples: [n_samples, *x], of the machine's visible layer.
      estimator: of log Z; ``None`` is ``LayerSum`` for a machine that has a layer of at most 2^20
        states, ``AIS`` for others, ``Auto`` for a Hamiltonian.
      key: for an estimator that needs one.

    Raises:
      ShapeError: samples have another shape.
      SpaceError: a value is not finite, or none of the space.
      StructureError: the samples are traced.

    >>> from physdl import learning, networks
    >>> machine = networks.RBM(jnp.zeros((3, 2)))
    >>> round(float(learning.log_likelihood(machine, jnp.zeros((4, 3)))), 6)  # -3 log 2
    -2.079442
    """
    if isinstance(model, RBM):
        data = _visible(model, samples)
    else:
        _require_known(samples)
        data = checked(samples, model, None, 2)[0]
    chosen = estimator or (_estimator(model) if isinstance(model, RBM) else Auto())
    found: Array = _likelihood(model, jnp.asarray(data, float), chosen, key)
    return found


@jax.jit
def _likelihood(
    model: Model, data: Array, estimator: Estimator, key: Key[Array, ""] | None
) -> Float[Array, ""]:
    return -jnp.mean(jax.vmap(model)(data)) - log_z_of(model, estimator, key=key)


@jax.jit
def _started(objective: Contrastive, machine: RBM, key: Key[Array, "*n_runs"]) -> Contrast:
    def start(machine: RBM, key: Key[Array, ""]) -> Contrast:
        return objective.start(machine, key=key)

    state: Contrast = (jax.vmap(start) if key.ndim else start)(machine, key)
    return state


@module
class Surprise:
    """The mean negative log-likelihood, as a monitor of ``fit``; the same key at every look."""

    data: Float[Array, " n *x"]
    estimator: Estimator
    key: Key[Array, ""]

    def __call__(self, machine: RBM) -> Float[Array, ""]:
        """In nats per sample."""
        log_z = log_z_of(machine, self.estimator, key=self.key)
        return jnp.mean(jax.vmap(machine)(self.data)) + log_z


def _estimator(machine: RBM) -> Estimator:
    """The sum over a small layer where there is one."""
    layers = ((machine.visible, machine.visible_bias), (machine.hidden, machine.hidden_bias))
    for space, bias in layers:
        n = bias.shape[-1 - len(space.event_shape)]
        if isinstance(space, Finite) and n * math.log(space.n_states) <= LOG_MOST:
            return LayerSum()
    return AIS()


def _visible(machine: RBM, samples: ArrayLike) -> np.ndarray[Any, Any]:
    """Samples checked against the visible layer."""
    _require_known(samples)
    c = len(machine.visible.event_shape)
    n = machine.visible_bias.shape[-1 - c]
    layer = Hamiltonian({}, space=machine.visible, shape=(n,))
    return checked(samples, layer, None, 2)[0]


def _require_known(samples: ArrayLike) -> None:
    if is_traced(samples):
        raise StructureError("samples are checked against their space: train outside of jit.")


def _split(key: Key[Array, "*n_runs"]) -> tuple[Array, Array, Array]:
    if key.ndim > 1:
        raise SettingError(f"there is one key, or one axis of them, got the shape {key.shape}.")
    keys = jax.vmap(lambda key: random.split(key, 3))(key) if key.ndim else random.split(key, 3)
    return keys[..., 0], keys[..., 1], keys[..., 2]
