r"""Contrastive learning: data on one side, what the model believes on the other.

    loss = <F>_batch + number of the negative phase + l1 sum|W| + l2 sum W^2 / 2

is minimised over the parameters of a Hamiltonian, or of a restricted Boltzmann machine with F the
free energy of its visible layer. Its gradient is <dF>_batch - <dF>_model as ``negative_phase`` has
it; its value is an estimate of the negative log-likelihood per sample in nats, but for ``CD``,
where it is the difference <F>_batch - <F>_end and its fall means nothing.

Convention: every epoch is a new order of the data, taken batch after batch without replacement;
what does not fill a batch waits for the next order. The order is part of the state.

A machine may be *centred*: the gradient is then that of the energy -a' . v - b' . h - (v - mu) W (h
- lambda) in its own parameters W, a', b', written in those of the machine, with mu the means of the
data and lambda the running means of the hidden units. The machine is the same; the steps no longer
depend on what the units call 0 and 1 (J. Melchior, A. Fischer and L. Wiskott, J. Mach. Learn. Res.
17, 99 (2016); G. Montavon and K.-R. Mueller, in Neural Networks: Tricks of the Trade (2012)).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.learning.negative_phase import Model, NegativePhase
from physdl.networks import RBM
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["Contrast", "Contrastive", "contrastive_objective"]

SLOW = 0.01


@module
class Contrast:
    """The state of ``Contrastive``.

    Attributes:
      phase: of the negative phase.
      order: of the data in this epoch, [n_samples].
      place: where the next batch begins.
      hidden: running means of the hidden units, [n_hidden]; empty where nothing is centred.
    """

    phase: Any
    order: Int[Array, " n_samples"]
    place: Int[Array, ""]
    hidden: Float[Array, " n_hidden"]


@module
class Contrastive:
    """The objective, for ``train`` and ``fit``: (model, state, key) -> (loss, state).

    Attributes:
      data: samples, [n_samples, *x].
      mean: of the data, [*x].
      phase: the negative phase.
      moments: of a Hamiltonian, <dH/dc> over all data, which spares it the batches; or ``None``.
      l1: weight of the sum of |W|; of a Hamiltonian all coefficients.
      l2: weight of half the sum of W^2.
      batch_size: samples a step.
      centred: whether the gradient is centred; machines only.

    >>> from physdl import learning, networks
    >>> data = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> objective = learning.contrastive_objective(data, learning.Exact(), batch_size=2)
    >>> machine = networks.RBM.initial(3, 2, key=jax.random.key(0))
    >>> state = objective.start(machine, key=jax.random.key(1))
    >>> loss, state = objective(machine, state, jax.random.key(2))
    >>> bool(jnp.abs(loss - 3 * jnp.log(2.0)) < 0.1)
    True
    """

    data: Float[Array, " n_samples *x"]
    mean: Float[Array, "*x"]
    phase: NegativePhase
    moments: Hamiltonian | None
    l1: Float[Array, ""]
    l2: Float[Array, ""]
    batch_size: int = static()
    centred: bool = static(default=False)

    def start(self, model: Model, *, key: Key[Array, ""]) -> Contrast:
        """The state before the first step."""
        order_key, phase_key = random.split(key)
        order = jax.random.permutation(order_key, len(self.data)).astype(jnp.int32)
        first = self.data[order[: self.batch_size]]
        hidden = jnp.zeros(0, self.data.dtype)
        if self.centred:
            if not isinstance(model, RBM):
                raise SettingError("centred gradients are of machines: set centred=False.")
            hidden = jnp.mean(jax.vmap(model.hidden_means)(self.data), axis=0)
        place = jnp.zeros((), jnp.int32)
        return Contrast(self.phase.start(model, first, key=phase_key), order, place, hidden)

    def __call__(
        self, model: Model, state: Contrast, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Contrast]:
        """The loss on the next batch, and the state after it."""
        order_key, phase_key = random.split(key)
        order, place = self._turned(state, order_key)
        batch = self.data[jax.lax.dynamic_slice(order, (place,), (self.batch_size,))]
        hidden = state.hidden
        if self.centred:
            assert isinstance(model, RBM)
            model = _centred(model, self.mean, hidden)
            seen = jnp.mean(jax.vmap(jax.lax.stop_gradient(model).hidden_means)(batch), axis=0)
            hidden = (1 - SLOW) * hidden + SLOW * seen
        number, phase = self.phase(model, batch, state.phase, key=phase_key)
        loss = self._energy(model, batch) + number + self._penalty(model)
        return loss, Contrast(phase, order, place + self.batch_size, hidden)

    def _turned(self, state: Contrast, key: Key[Array, ""]) -> tuple[Array, Array]:
        """The order and the place of the next batch, of a new epoch where this one is over."""
        over = state.place + self.batch_size > len(self.data)
        order = jax.lax.cond(
            over, lambda order: jax.random.permutation(key, order), lambda order: order, state.order
        )
        return order, jnp.where(over, 0, state.place)

    def _energy(self, model: Model, batch: Float[Array, " n *x"]) -> Float[Array, ""]:
        if self.moments is None:
            return jnp.mean(jax.vmap(model)(batch))
        return jnp.vdot(ravel_pytree(self.moments)[0], ravel_pytree(model)[0])

    def _penalty(self, model: Model) -> Float[Array, ""]:
        w = model.weights if isinstance(model, RBM) else ravel_pytree(model)[0]
        return self.l1 * jnp.sum(jnp.abs(w)) + self.l2 * jnp.sum(w**2) / 2


def contrastive_objective(
    samples: ArrayLike,
    phase: NegativePhase,
    *,
    batch_size: int | None = None,
    moments: Hamiltonian | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    centred: bool = False,
) -> Contrastive:
    """The objective of samples [n_samples, *x] that are known to be states of the model.

    Args:
      samples: configurations.
      phase: ``CD``, ``PCD``, ``Tempered``, ``MeanField`` or ``Exact``.
      batch_size: samples a step; ``None`` takes all.
      moments: of a Hamiltonian over all samples, in place of the batch.
      l1: weight of the sum of absolute weights.
      l2: weight of half the sum of their squares.
      centred: see ``Contrastive``.

    Raises:
      SettingError: a batch is larger than the data, or a weight negative.
    """
    if not isinstance(phase, NegativePhase):
        raise SettingError(
            f"the negative phase is CD, PCD, Tempered, MeanField or Exact, got {phase!r}."
        )
    data = jnp.asarray(samples, dtype=float)
    size = len(data) if batch_size is None else positive(batch_size, "batch_size")
    if size > len(data):
        raise SettingError(
            f"a batch of {size} samples is larger than the data, {len(data)}: take fewer."
        )
    if not (l1 >= 0 and l2 >= 0):
        raise SettingError(f"the weights l1 and l2 are not negative, got {l1!r} and {l2!r}.")
    penalties = [jnp.asarray(weight, data.dtype) for weight in (l1, l2)]
    mean = jnp.mean(data, axis=0)
    return Contrastive(
        data, mean, phase, moments, penalties[0], penalties[1], batch_size=size, centred=centred
    )


def _centred(
    machine: RBM, visible: Float[Array, " n_visible *c"], hidden: Float[Array, " n_hidden"]
) -> RBM:
    """The machine itself, with a gradient g replaced by J J^T g.

    J takes the parameters W, a', b' of the centred energy to those of the machine, W, a' - W lambda
    and b' - mu W. As J J^T is symmetric it may stand in front of a difference that is zero.
    """
    held = jax.lax.stop_gradient(machine)
    change = jax.tree.map(jnp.subtract, machine, held)
    w, a, b = change.weights, change.visible_bias, change.hidden_bias
    w = w - jnp.tensordot(a, hidden, 0) - jnp.tensordot(visible, b, 0)
    a, b = a - w @ hidden, b - jnp.tensordot(visible, w, visible.ndim)
    moved = dataclasses.replace(change, weights=w, visible_bias=a, hidden_bias=b)
    centred: RBM = jax.tree.map(jnp.add, held, moved)
    return centred
