r"""Moves that conserve the energy: overrelaxation, and Creutz's demons.

*Overrelaxation* reflects a spin about the field it feels, s -> 2 (s . F) F / F^2 - s, and a
Gaussian field about its mean: H is unchanged, nothing is rejected, and correlations decay like
those of ballistic motion (M. Creutz, Phys. Rev. D 36, 515 (1987)). It is deterministic: put it in a
``Cycle`` with ``HeatBath`` or ``Metropolis``, for example five to one.

*Demons* carry energy between sites: a proposal that costs dE is accepted where the demon of the
site has it, E_d >= dE, and the demon pays (M. Creutz, Phys. Rev. Lett. 50, 1411 (1983)). The sum of
H and all E_d is constant, so the configurations sample the microcanonical ensemble. In equilibrium
the demons have the distribution exp(-E_d), which makes them a thermometer: their mean energy is
k_B T = 1 where the proposals have a continuous range of energies.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SpaceError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info
from physdl.sampling._local import Local, State, sweep, sweep_with_memory
from physdl.sampling.heat_bath import linear_field, quadratic_form
from physdl.sampling.metropolis import proposal
from physdl.spaces import Line, Sphere

__all__ = ["Creutz", "Demons", "Overrelaxation"]


@cites("creutz1987")
@module
class Overrelaxation:
    """One sweep of reflections about the local field.

    Raises:
      SpaceError: the space is finite.
      StructureError: a site of a sphere has more than a linear energy, or one of the line more than
        a quadratic one.

    >>> import jax
    >>> from physdl import lattices, models
    >>> h = models.heisenberg(lattices.cubic(4, 4, 4), 0.7)
    >>> x = jax.random.normal(jax.random.key(0), (4, 4, 4, 3))
    >>> x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
    >>> y, _ = Overrelaxation()(h, x, key=jax.random.key(1))
    >>> bool(jnp.isclose(h(x), h(y), rtol=1e-5)), bool(jnp.allclose(x, y))
    (True, False)
    """

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """The next configuration; the key is not used."""
        x, _ = sweep(h, state, _reflected, key=key)
        return x, {}


def _reflected(local: Local, old: Float[Array, "m c"], key: Key[Array, ""]) -> Float[Array, "m c"]:
    if isinstance(local.space, Line):
        a, b = quadratic_form(local, old)
        return -(b / a)[:, None] - old
    if not isinstance(local.space, Sphere):
        raise SpaceError(
            f"overrelaxation needs spheres or the line, got {local.space!r}: use HeatBath."
        )
    field = linear_field(local, old)
    square = jnp.sum(field**2, axis=1, keepdims=True)
    along = jnp.sum(field * old, axis=1, keepdims=True) / jnp.where(square > 0, square, 1)
    new = jnp.where(square > 0, 2 * along * field - old, old)
    return new / jnp.sqrt(jnp.sum(new**2, axis=1, keepdims=True))


@module
class Demons:
    """A configuration and the demons that exchange energy with it.

    Attributes:
      x: the configuration.
      energy: the energy of the demon at each site, [n_sites], in k_B T, never negative.
    """

    x: Float[Array, "*state"]
    energy: Float[Array, " n_sites"]


@cites("creutz1983")
@module
class Creutz:
    """One sweep of demon moves at constant total energy, on any space.

    The demons start from the canonical distribution exp(-E_d), and walk on after every sweep by a
    random number of sites. ``run`` prints their mean energy, the temperature.

    Attributes:
      step_size: width of the proposals on continuous spaces; a number.
      refresh: draw the demons anew at every sweep, which makes the move canonical (and Metropolis).
      constrained: as for ``Metropolis``.

    >>> import jax
    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(8, 8), 0.3)
    >>> kernel = Creutz()
    >>> start = kernel.init(h, jnp.ones((1, 8, 8)), key=jax.random.key(0))
    >>> end, info = kernel(h, start, key=jax.random.key(1))
    >>> total = lambda s: h(s.x) + jnp.sum(s.energy)
    >>> bool(jnp.isclose(total(start), total(end), rtol=1e-5))
    True
    """

    step_size: ArrayLike = 1.0
    refresh: bool = static(default=False)
    constrained: bool = static(default=False)

    @property
    def n_replicas(self) -> int:
        """One configuration."""
        return 1

    def init(self, h: Hamiltonian, x: Float[Array, "n ..."], *, key: Key[Array, ""]) -> Demons:
        """The configuration with demons of energies drawn from exp(-E_d)."""
        return Demons(x[0], _drawn(h, key))

    def configurations(self, h: Hamiltonian, state: Demons) -> Float[Array, "n ..."]:
        """The configuration."""
        return state.x[None]

    def __call__(
        self, h: Hamiltonian, state: Demons, *, key: Key[Array, ""]
    ) -> tuple[Demons, Info]:
        """The next state, the ``"acceptance"``, and the mean energy of a ``"demon"``."""
        sweep_key, walk_key, draw_key = random.split(key, 3)

        def move(local: Local, old: Array, energy: Array, key: Key[Array, ""]) -> State:
            new, change = proposal(local, old, self.step_size, key)
            accepted = change <= energy
            paid = jnp.where(accepted, energy - change, energy)
            return jnp.where(accepted[:, None], new, old), paid

        energy = _drawn(h, draw_key) if self.refresh else state.energy
        x, energy, acceptance = sweep_with_memory(h, state.x, energy, move, key=sweep_key)
        steps = random.integers(walk_key, (), max(h.n_sites, 1))
        moved = jnp.roll(energy, steps)
        return Demons(x, moved), {"acceptance": acceptance, "demon": jnp.mean(energy)}


def _drawn(h: Hamiltonian, key: Key[Array, ""]) -> Float[Array, " n_sites"]:
    return -jnp.log1p(-random.uniform(key, (h.n_sites,), h.dtype))
