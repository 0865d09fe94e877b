r"""Metropolis moves of single sites, on any space.

    propose s' for site i, accept it with probability min(1, exp(E_i(s) - E_i(s')))

Proposals are symmetric: on finite spaces one of the other states with equal probability (for two
states the flip), on the line s + step_size * normal, on spheres the same brought back to the
sphere. Sites that share no term are updated at once, class after class. Source: N. Metropolis et
al., J. Chem. Phys. 21, 1087 (1953).

Each update is reversible; a sweep leaves exp(-H) invariant without being reversible. Where no
energy changes at all (H = 0) every flip is accepted and sweeps only alternate: use ``HeatBath``.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info
from physdl.sampling._local import Local, sweep
from physdl.spaces import Finite, Sphere

__all__ = ["Metropolis"]


@cites("metropolis1953")
@module
class Metropolis:
    """One sweep of single-site Metropolis moves.

    Attributes:
      step_size: width of the proposals on continuous spaces; a number.
      constrained: set it where forbidden configurations exist (``+inf`` energies) and you know that
        single-site changes connect all allowed ones; ``run`` refuses such models otherwise.

    >>> import jax
    >>> from physdl import lattices, models, sampling
    >>> h = models.xy(lattices.square(4, 4), 1.0)
    >>> x = jnp.zeros((4, 4, 2)).at[..., 0].set(1.0)
    >>> x, info = sampling.Metropolis(step_size=0.5)(h, x, key=jax.random.key(0))
    >>> bool(jnp.allclose(jnp.sum(x**2, axis=-1), 1)), 0 < float(info["acceptance"]) < 1
    (True, True)
    """

    step_size: ArrayLike = 1.0
    constrained: bool = static(default=False)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """The next configuration, and the ``"acceptance"`` rate of its proposals."""

        def move(local: Local, old: Float[Array, "m c"], key: Key[Array, ""]) -> Array:
            propose, decide = random.split(key)
            new, change = proposal(local, old, self.step_size, propose)
            accepted = random.bernoulli(decide, jnp.exp(-jnp.maximum(change, 0)))
            return jnp.where(accepted[:, None], new, old)

        x, acceptance = sweep(h, state, move, key=key)
        return x, {"acceptance": acceptance}


def proposal(
    local: Local, old: Float[Array, "m c"], step_size: ArrayLike, key: Key[Array, ""]
) -> tuple[Float[Array, "m c"], Float[Array, " m"]]:
    """A symmetric proposal for each site, and the change of energy, [m, c] and [m]."""
    if isinstance(local.space, Finite):
        return _other_state(local, old, key)
    new = old + jnp.asarray(step_size, old.dtype) * random.normal(key, old.shape, old.dtype)
    if isinstance(local.space, Sphere):
        new = new / jnp.sqrt(jnp.sum(new**2, axis=1, keepdims=True))
    return new, local.energy(new) - local.energy(old)


def _other_state(
    local: Local, old: Float[Array, "m c"], key: Key[Array, ""]
) -> tuple[Float[Array, "m c"], Float[Array, " m"]]:
    """Another state of each site, and the change of energy."""
    if local.is_binary:
        label = local.label(old)
        gap = local.gap()
        return local.state(1 - label), jnp.where(label == 0, gap, -gap)
    energies, label = local.energies(), local.label(old)
    q = energies.shape[1]
    steps = 1 if q == 2 else 1 + random.integers(key, label.shape, max(q - 1, 1))
    other = (label + jnp.asarray(steps, label.dtype)) % q
    change = _entry(energies, other) - _entry(energies, label)
    return local.state(other), change


def _entry(energies: Float[Array, "m q"], label: Array) -> Float[Array, " m"]:
    """The energy of one state each; a sum over states is faster than a gather."""
    mine = np.arange(energies.shape[1])[None] == label[:, None]
    return jnp.sum(jnp.where(mine, energies, 0), axis=1)
