r"""log Z from annealed populations, with an error bar from their spread.

``sampling.population_annealing`` cools a population of R configurations and finds log Z on the way:
at every step they are resampled in proportion to the factors they gather. The estimate of Z is
unbiased for places that do not depend on the population; so a pilot population chooses them, and M
independent populations then follow:

    Z = (1 / M) sum_m Z_m,        stderr(log Z)^2 = var(Z_m) / (M Z^2).

Sources: K. Hukushima and Y. Iba, AIP Conf. Proc. 690, 200 (2003); J. Machta, Phys. Rev. E 82,
026704 (2010); as sequential Monte Carlo, P. Del Moral, A. Doucet and A. Jasra, J. R. Stat. Soc. B
68, 411 (2006).

Consequence: unlike annealed importance sampling, no walker is left behind with a useless weight;
but one population can lose all descendants of a rare valley, which the family sizes show.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.estimators._base import Estimate, Status
from physdl.estimators._sampled import at_least, log_mean, required, sampled
from physdl.estimators._schedule import scheduled
from physdl.estimators._start import Start, started
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import Kernel, population_annealing
from physdl.sampling import _random as random
from physdl.sampling._path import places_of

__all__ = ["PopulationAnnealing"]

FAMILIES = 4.0  # independent families a population must have left
SPREAD = 0.5  # relative error of Z above which the logarithm means little


@cites("hukushima2003", "machta2010")
@module
class PopulationAnnealing:
    """Independent annealed populations (sequential Monte Carlo).

    Attributes:
      n_populations: how many; their spread is the error bar.
      n_population: configurations of each.
      n_sweeps: sweeps of the kernel at every place.
      betas: places on the way, increasing from 0 to 1; ``None`` spaces them at constant relative
        entropy, after a pilot run.
      kernel: a kernel that moves one configuration; ``None`` takes ``HeatBath`` where sites can be
        drawn, else ``Metropolis`` with a tuned step.
      reference: the Hamiltonian at b = 0; ``None`` is zero, or normal distributions on the line.
      reference_log_z: log Z of the reference; ``None`` computes it exactly.

    ``info``: ``"log_z"`` of every population; ``"rho_t"``, their mean square family size, mean over
    the populations; ``"culled"``. The status is ``FEW`` where a population has fewer than four
    independent families left, R / rho_t on average, or Z scatters by more than half of its value.

    Raises:
      SettingError: a setting out of its range, no key, or a kernel that moves several
        configurations.
      StructureError: the reference has other sites than h.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = PopulationAnnealing()(h, key=jax.random.key(0))
    >>> bool(abs(out.log_z - reference.kaufman_log_z(4, 4, 0.4)) < 4 * out.stderr)
    True
    """

    n_populations: int = static(default=32)
    n_population: int = static(default=128)
    n_sweeps: int = static(default=5)
    betas: Float[Array, " T"] | None = None
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        at_least(
            "population annealing",
            n_populations=(self.n_populations, 4),
            n_population=(self.n_population, 2),
            n_sweeps=(self.n_sweeps, 1),
        )
        if self.betas is not None:
            object.__setattr__(self, "betas", places_of(self.betas))

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate, with all populations as its ensemble."""
        known = jax.lax.stop_gradient(h)
        start_key, pilot_key, key = random.split(required(key), 3)
        start = started(known, self.kernel, self.reference, self.reference_log_z, key=start_key)
        betas = scheduled(start, key=pilot_key).places if self.betas is None else self.betas
        states, log_z, info = _populations(self, start, betas.astype(h.dtype), key)
        mean, stderr, _, _ = log_mean(log_z)
        few = (jnp.mean(info["rho_t"]) * FAMILIES > self.n_population) | ~(stderr < SPREAD)
        weights = jnp.broadcast_to(log_z[:, None], (self.n_populations, self.n_population))
        x = states.reshape(-1, 1, *h.state_shape)
        return sampled(
            h,
            Ensemble(x, weights.reshape(-1, 1), mean + stderr**2 / 2, h=known),
            stderr,
            method=f"population annealing, {self.n_populations} populations of {self.n_population}",
            status=jnp.where(few, Status.FEW, Status.OK),
            info={
                "log_z": log_z,
                "rho_t": jnp.mean(info["rho_t"]),
                "culled": jnp.mean(info["culled"]),
                "n_temperatures": info["n_temperatures"][0],
            },
        )

    def larger(self) -> "PopulationAnnealing":
        """Populations twice as large."""
        return dataclasses.replace(self, n_population=2 * self.n_population)


@jax.jit
def _populations(
    settings: PopulationAnnealing, start: Start, betas: Float[Array, " T"], key: Key[Array, ""]
) -> tuple[Array, Array, dict[str, Array]]:
    """States [M, R, *state], log Z [M] and what was reported, of the populations."""

    def one(key: Key[Array, ""]) -> tuple[Array, Array, dict[str, Array]]:
        draw_key, key = random.split(key)
        ensemble, info = population_annealing(
            start.path.h,
            key=key,
            n_population=settings.n_population,
            kernel=start.kernel,
            betas=betas,
            n_sweeps=settings.n_sweeps,
            reference=start.path.reference,
            reference_log_z=start.log_z,
            states=start.draw(settings.n_population, key=draw_key),
        )
        return ensemble.states[:, 0], ensemble.log_z, info

    return jax.vmap(one)(random.split(key, settings.n_populations))
