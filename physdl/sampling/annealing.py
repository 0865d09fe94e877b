r"""Simulated annealing: the lowest energies found while cooling.

A chain makes one sweep under b_t h at each time t, with b_t increasing from 0. Slowly cooled it
ends in a ground state; at any finite rate many chains and the lowest energy on the way do better
than the end of one chain. Source: S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, Science 220, 671
(1983).

A Hamiltonian carries its own inverse temperature: b = 1 is h itself. Ground states need it cold,
so give it large coefficients or a schedule that goes beyond 1.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module
from physdl.sampling import _random as random
from physdl.sampling._kernel import Kernel, random_configuration
from physdl.sampling._path import Path, require_single

__all__ = ["Annealed", "simulated_annealing"]


@module
class Annealed:
    """What annealing found, one entry for each chain.

    Attributes:
      configurations: the configuration of lowest energy seen at the end of a sweep,
        [n_chains, *h.state_shape].
      energies: their energies h(x), in k_B T, [n_chains]; ``+inf`` if a chain saw none but
        forbidden ones.
      final: the configurations at the end, [n_chains, *h.state_shape].
    """

    configurations: Float[Array, " n_chains *state"]
    energies: Float[Array, " n_chains"]
    final: Float[Array, " n_chains *state"]

    @property
    def best(self) -> Float[Array, "*state"]:
        """The configuration of lowest energy of all chains."""
        return self.configurations[jnp.argmin(self.energies)]


@cites("kirkpatrick1983")
def simulated_annealing(
    h: Hamiltonian,
    *,
    key: Key[Array, ""],
    n_chains: int,
    n_sweeps: int,
    kernel: Kernel,
    betas: ArrayLike | None = None,
) -> Annealed:
    """Cool independent chains from random configurations and keep the best of each.

    Args:
      h: the energy to be lowered.
      key: a random key.
      n_chains: independent chains.
      n_sweeps: calls of the kernel for each chain.
      kernel: any kernel whose state is one configuration.
      betas: factors b_t of h, one for each sweep, none negative; ``None`` is linear from 0 to 1.

    Raises:
      SettingError: no chain, no sweep, another number of factors than sweeps or a negative or NaN
        one, or a kernel that moves several configurations.

    >>> from physdl import lattices, models, sampling
    >>> h = models.edwards_anderson(lattices.square(4, 4), 1.0, disorder="bimodal", seed=1)
    >>> found = simulated_annealing(
    ...     h, key=jax.random.key(0), n_chains=8, n_sweeps=60, kernel=sampling.HeatBath(),
    ...     betas=jnp.linspace(0.0, 3.0, 60),
    ... )
    >>> found.best.shape, float(found.energies.min()) == float(h(found.best))
    ((4, 4), True)
    """
    for name, value in (("n_chains", n_chains), ("n_sweeps", n_sweeps)):
        if value < 1:
            raise SettingError(f"annealing takes {name} of 1 or more, got {value}.")
    require_single(kernel, "annealing")
    b = jnp.linspace(0.0, 1.0, n_sweeps) if betas is None else jnp.asarray(betas, float)
    if b.shape != (n_sweeps,):
        raise SettingError(f"{n_sweeps} sweeps take as many factors, got betas of shape {b.shape}.")
    if not is_traced(b) and not np.all(np.asarray(b) >= 0):
        raise SettingError(f"factors of the energy are not negative, got betas={b.tolist()}.")
    found: Annealed = _annealed(h, kernel, b.astype(h.dtype), key, n_chains)
    return found


@functools.partial(jax.jit, static_argnames="n_chains")
def _annealed(
    h: Hamiltonian,
    kernel: Kernel,
    betas: Float[Array, " n_sweeps"],
    key: Key[Array, ""],
    n_chains: int,
) -> Annealed:
    path = Path(h)

    def sweep(
        carry: tuple[Array, Array, Array], step: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array, Array], None]:
        x, best, lowest = carry
        b, key = step
        x, _ = kernel(path(b), x, key=key)
        energy = h(x)
        better = energy < lowest
        return (x, jnp.where(better, x, best), jnp.where(better, energy, lowest)), None

    def chain(key: Key[Array, ""]) -> Annealed:
        start_key, key = random.split(key)
        x = random_configuration(h, key=start_key)
        begin = (x, x, jnp.full((), jnp.inf, h.dtype))
        keys = random.split(key, betas.shape[0])
        (x, best, lowest), _ = jax.lax.scan(sweep, begin, (betas, keys))
        return Annealed(best, lowest, x)

    return jax.vmap(chain)(random.split(key, n_chains))
