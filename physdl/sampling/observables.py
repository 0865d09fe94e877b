"""What a run measures by default: functions of one configuration.

Any function of one configuration is an observable, and so is a Hamiltonian: its energy. The ones
here are modules without data, so that two runs that measure the same share a compilation.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array

from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.spaces import Finite, Space

__all__ = ["Observable", "OrderParameter", "standard_observables"]

Observable: TypeAlias = Callable[[Array], Array]


@module
class OrderParameter:
    """|m|^power of the order parameter m: the mean over sites of x minus the centre of its space.

    For spins m is the magnetisation, for q Potts states the vector of their densities minus 1/q
    (m^2 is between 0 and 1 - 1/q), for O(n) spins the mean spin, for 0/1 variables the density
    minus 1/2. Without a power, m itself.

    Attributes:
      space: what each site may be.
      power: the exponent, or ``None`` for m.

    >>> from physdl.spaces import SPIN
    >>> float(OrderParameter(SPIN, 2)(jnp.array([1.0, 1.0, 1.0, -1.0])))
    0.25
    """

    space: Space = static()
    power: int | None = static(default=None)

    def __call__(self, x: Array) -> Array:
        """Its value for one configuration."""
        components = x.reshape(-1, self.space.n_components)
        centre = self.space.array.mean(axis=0) if isinstance(self.space, Finite) else 0.0
        m = jnp.mean(components, axis=0) - jnp.asarray(centre, x.dtype)
        if self.power is None:
            return m.reshape(self.space.event_shape)
        squared = jnp.sum(m**2)
        return squared ** (self.power // 2) if self.power % 2 == 0 else squared ** (self.power / 2)


def standard_observables(h: Hamiltonian) -> dict[str, Observable]:
    """The energy H(x), and |m|, m^2 and m^4 of the order parameter m."""
    powers = {"abs_m": 1, "m2": 2, "m4": 4}
    return {"energy": h, **{name: OrderParameter(h.space, p) for name, p in powers.items()}}
