r"""A negative phase without chains: stationary magnetisations of the machine's free energy.

Given the means m of the visible and n of the hidden units, and the cumulants of independent units
with these means, kappa_2(m) and kappa_3(m), the free energy at fixed means is to third order in W

    G = -S(m) - S(n) - a . m - b . n - sum_ij [W_ij m_i n_j
        + W_ij^2 kappa_2(m_i) kappa_2(n_j) / 2 + W_ij^3 kappa_3(m_i) kappa_3(n_j) / 6].

Triangles of couplings, which the third order has elsewhere, need three units that are all coupled
and do not exist between two layers. Units 0 and 1 have kappa_2 = m (1 - m) and kappa_3 = m (1 - m)
(1 - 2m); Gaussian ones have kappa_2 = 1 and kappa_3 = 0. Where G is stationary, log Z = -G, and

    <v h> = m n + W kappa_2 kappa_2 + W^2 kappa_3 kappa_3 / 2.

The iteration takes m halfway to its equation, then n, a few times, from where the last step
left it (persistent) or from the batch and its hidden means.

Sources: M. Gabrie, E. W. Tramel and F. Krzakala, arXiv:1506.02914; for the expansion A. Georges and
J. S. Yedidia, J. Phys. A 24, 2173 (1991). A public implementation of the third order has another
factor, which is not a derivative of G.

Consequence: deterministic given the batch, and cheap. The error is of the next order in W, so large
weights, which trained machines have, are outside what the expansion promises.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError, StructureError
from physdl.learning.negative_phase import Model
from physdl.networks import RBM
from physdl.networks.boltzmann import mean
from physdl.pytree import module, static
from physdl.sampling._chains import positive
from physdl.spaces import Finite, Line

__all__ = ["Magnetisations", "MeanField", "gibbs_free_energy"]

EDGE = 1e-8
HIGHEST = 3


@module
class Magnetisations:
    """Means of both layers, a particle a row.

    Attributes:
      visible: [n, n_visible].
      hidden: [n, n_hidden].
    """

    visible: Float[Array, "n n_visible"]
    hidden: Float[Array, "n n_hidden"]


@cites("gabrie2015", "georges1991")
@module
class MeanField:
    """The extended mean field of a restricted Boltzmann machine, as a negative phase.

    Attributes:
      order: 1 (naive), 2 (TAP) or 3.
      n_steps: iterations a step.
      damping: the share of the old means in the new ones.
      persistent: go on from the last step; otherwise from the batch.
      n_particles: persistent ones; ``None`` is as many as a batch has samples.

    Raises:
      SettingError: a setting is out of range.
      SpaceError: a unit has neither two states nor is on ``LINE``.
      StructureError: the model is no machine.
    """

    order: int = static(default=2)
    n_steps: int = static(default=3)
    damping: float = static(default=0.5)
    persistent: bool = static(default=True)
    n_particles: int | None = static(default=None)

    def __post_init__(self) -> None:
        if self.order not in range(1, HIGHEST + 1):
            raise SettingError(f"the order of the expansion is 1, 2 or 3, got {self.order!r}.")
        positive(self.n_steps, "n_steps")
        if self.n_particles is not None:
            positive(self.n_particles, "n_particles")
        if not 0 <= self.damping < 1:
            raise SettingError(f"the damping lies in [0, 1), got {self.damping!r}.")

    @property
    def surrogate(self) -> bool:
        """The number is log Z within the approximation, at means that are still on their way."""
        return True

    def start(
        self, model: Model, batch: Float[Array, " n *x"], *, key: Key[Array, ""]
    ) -> Magnetisations | tuple[()]:
        """The batch and its hidden means."""
        del key
        machine = _required(model)
        if not self.persistent:
            return ()
        n = self.n_particles or len(batch)
        return _clamped(machine, jnp.resize(batch, (n, *batch.shape[1:])))

    def __call__(
        self,
        model: RBM,
        batch: Float[Array, " n *x"],
        state: Magnetisations | tuple[()],
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Magnetisations | tuple[()]]:
        """-<G> over the particles."""
        del key
        held = jax.lax.stop_gradient(model)
        means = state if isinstance(state, Magnetisations) else _clamped(held, batch)
        means = jax.lax.fori_loop(0, self.n_steps, lambda _, m: self._iterated(held, m), means)
        found = jax.vmap(lambda m, n: gibbs_free_energy(model, m, n, order=self.order))(
            means.visible, means.hidden
        )
        return -jnp.mean(found), means if self.persistent else ()

    def _iterated(self, machine: RBM, means: Magnetisations) -> Magnetisations:
        """The visible layer towards its equation, then the hidden one."""

        def one(m: Array, n: Array) -> tuple[Array, Array]:
            field = machine.visible_bias + jax.grad(_interaction, 2)(self.order, machine, m, n)
            m = self.damping * m + (1 - self.damping) * mean(machine.visible, field)
            field = machine.hidden_bias + jax.grad(_interaction, 3)(self.order, machine, m, n)
            return m, self.damping * n + (1 - self.damping) * mean(machine.hidden, field)

        return Magnetisations(*jax.vmap(one)(means.visible, means.hidden))


def gibbs_free_energy(
    machine: RBM,
    m: Float[Array, " n_visible"],
    n: Float[Array, " n_hidden"],
    *,
    order: int = 2,
) -> Float[Array, ""]:
    """G at given means of both layers, in nats; stationary, it is -log Z up to the order.

    >>> machine = RBM(jnp.zeros((3, 2)))
    >>> round(float(gibbs_free_energy(machine, jnp.full(3, 0.5), jnp.full(2, 0.5))), 6)
    -3.465736
    """
    entropy = jnp.sum(_entropy(machine.visible, m)) + jnp.sum(_entropy(machine.hidden, n))
    biases = jnp.vdot(machine.visible_bias, m) + jnp.vdot(machine.hidden_bias, n)
    return -entropy - biases - _interaction(order, machine, m, n)


def _interaction(order: int, machine: RBM, m: Array, n: Array) -> Float[Array, ""]:
    w = machine.weights
    total = jnp.vdot(m, w @ n)
    if order > 1:
        total = total + jnp.vdot(_second(machine.visible, m), w**2 @ _second(machine.hidden, n)) / 2
    if order > 2:
        total = total + jnp.vdot(_third(machine.visible, m), w**3 @ _third(machine.hidden, n)) / 6
    return total


def _share(space: Finite, m: Array) -> tuple[float, Array]:
    """The distance of the two states, and the probability of the second."""
    first, second = space.array[:, 0].tolist()
    return second - first, (m - first) / (second - first)


def _second(space: Finite | Line, m: Array) -> Array:
    if isinstance(space, Line):
        return jnp.ones_like(m)
    d, p = _share(space, m)
    return d**2 * p * (1 - p)


def _third(space: Finite | Line, m: Array) -> Array:
    if isinstance(space, Line):
        return jnp.zeros_like(m)
    d, p = _share(space, m)
    return d**3 * p * (1 - p) * (1 - 2 * p)


def _entropy(space: Finite | Line, m: Array) -> Array:
    """Of every unit, with the weight exp(-s^2 / 2) on ``LINE``."""
    if isinstance(space, Line):
        return math.log(2 * math.pi) / 2 - m**2 / 2
    p = jnp.clip(_share(space, m)[1], EDGE, 1 - EDGE)
    return -p * jnp.log(p) - (1 - p) * jnp.log1p(-p)


def _clamped(machine: RBM, batch: Array) -> Magnetisations:
    visible = batch.astype(machine.weights.dtype)
    return Magnetisations(visible, jax.vmap(machine.hidden_means)(visible))


def _required(model: Model) -> RBM:
    if not isinstance(model, RBM):
        raise StructureError(
            f"MeanField is of restricted Boltzmann machines, got {type(model).__name__}: use CD or "
            f"PCD, or learning.mean_field."
        )
    for space in (model.visible, model.hidden):
        two = isinstance(space, Finite) and space.n_states == 2 and space.scalar
        if not (two or isinstance(space, Line)):
            raise SpaceError(
                f"the expansion is of units with two states or on LINE, got {space!r}: use PCD."
            )
    return model
