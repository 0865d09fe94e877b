r"""From independent units to a restricted Boltzmann machine: a path on which log Z is known below.

    E_b = (1 - b) E_0 + b E,        0 <= b <= 1,

where E_0 has no weights, so that its units are independent and log Z_0 is a sum over units. On the
way every machine is one of the same kind, with the weights b W.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.networks import RBM
from physdl.networks.boltzmann import cumulant
from physdl.pytree import module
from physdl.sampling import _random as random

__all__ = ["MachinePath", "independent"]


def independent(machine: RBM) -> RBM:
    """The machine without weights."""
    return dataclasses.replace(machine, weights=jnp.zeros_like(machine.weights))


@module
class MachinePath:
    """The machines between independent units and a machine.

    Attributes:
      reference: without weights.
      machine: at b = 1.
    """

    reference: RBM
    machine: RBM

    @property
    def log_z(self) -> Float[Array, ""]:
        """log Z_0."""
        units = self.reference
        visible = jnp.sum(cumulant(units.visible, units.visible_bias))
        return visible + jnp.sum(cumulant(units.hidden, units.hidden_bias))

    def at(self, b: Float[Array, ""]) -> RBM:
        """The machine at b."""
        between: RBM = jax.tree.map(lambda x, y: (1 - b) * x + b * y, self.reference, self.machine)
        return between

    def energies(
        self, v: Float[Array, " n_visible *c"], places: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        """F_b(v) at several places, from one product of matrices."""
        units, machine = self.reference, self.machine
        field = machine.hidden_fields(v)
        own = jnp.stack([jnp.vdot(m.visible_bias, v) for m in (units, machine)])
        square = machine(v) + own[1] + jnp.sum(cumulant(machine.hidden, field))

        def summed(b: Float[Array, ""]) -> Float[Array, ""]:
            fields = (1 - b) * units.hidden_bias + b * field
            return jnp.sum(cumulant(machine.hidden, fields))

        return square - (1 - places) * own[0] - places * own[1] - jax.vmap(summed)(places)

    def move(
        self, v: Float[Array, " n_visible *c"], b: Float[Array, ""], *, key: Key[Array, ""]
    ) -> Float[Array, " n_visible *c"]:
        """A sweep of both layers at b."""
        hidden_key, visible_key = random.split(key)
        machine = self.at(b)
        return machine.sample_visible(machine.sample_hidden(v, key=hidden_key), key=visible_key)

    def drawn(self, *, key: Key[Array, ""]) -> Float[Array, " n_visible *c"]:
        """A visible configuration at b = 0."""
        nothing = jnp.zeros_like(self.reference.hidden_bias)
        return self.reference.sample_visible(nothing, key=key)
