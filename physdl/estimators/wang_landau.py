r"""Wang-Landau: a random walk in the energy that learns the density of states as it goes.

Walkers move by single sites with acceptance min(1, g(D) / g(D')); at every step log g of the bin
they are in grows by log f, which drives them away, until all bins are visited equally. It falls as

    log f = 1 / t,        t = number of steps / number of bins,

since halving it at flat histograms leaves an error that saturates. Sources: F. Wang and D. P.
Landau, Phys. Rev. Lett. 86, 2050 (2001); the 1/t rule: R. E. Belardinelli and V. D. Pereyra, Phys.
Rev. E 75, 046701 (2007).

All walkers share one g, which begins from a short anneal in place of the stage of large log f. What
was learned is then kept fixed in a production run (see ``DensityOfStates``), whose answer has no
saturation bias and an honest error.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Key

from physdl.bibliography import cites
from physdl.estimators._base import Estimate
from physdl.estimators._flat_histogram import (
    Explored,
    checked,
    density_from,
    estimate_from,
    filled,
)
from physdl.estimators._walk import walk
from physdl.estimators.density import DensityOfStates
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random

__all__ = ["WangLandau"]

HEAD_START = 4


@cites("wang2001", "belardinelli2007")
@module
class WangLandau:
    """log Z, and the density of states, by a flat-histogram walk with learned weights.

    Attributes:
      n_walkers: walkers side by side, at least 8; their spread is the error.
      n_bins: the most bins of D. Levels on a grid (uniform couplings) get one bin each where there
        is room, everything else equal bins.
      n_learn: sweeps of every walker in which the weights are learned.
      n_sweeps: sweeps of every walker with fixed weights, after a quarter as many to settle.
      n_kept: configurations kept of every walker, for derivatives.
      b_range: the b of H_b = h0 + b (h - h0) whose energies are covered: contains 0 and 1; a
        negative lower end reaches the states above those that are typical at b = 0.
      kernel: what anneals the walkers; ``None`` chooses.
      reference: h0; ``None`` is zero (on the line, normal distributions).
      reference_log_z: its log Z, in nats.

    ``info`` holds ``"energies"``, ``"log_g"``, ``"log_g_stderr"`` of the density of states,
    ``"round_trips"`` between both ends of the range, ``"effective_sample_size"`` of the weights at
    h. The status is UNCONVERGED below half a round trip for every walker or where the halves of
    the run disagree, FEW where fewer than 20 configurations carry the weight.

    Raises:
      SettingError: a setting outside its range, or no key.
      StructureError: the sites differ in kind.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> method = WangLandau(n_walkers=16, n_learn=100, n_sweeps=400, n_kept=20)
    >>> estimate = method(h, key=jax.random.key(0))
    >>> exact = reference.kaufman_log_z(4, 4, 0.4)
    >>> bool(abs(estimate.log_z - exact) < 4 * estimate.stderr), bool(estimate.stderr < 0.1)
    (True, True)
    """

    n_walkers: int = static(default=64)
    n_bins: int = static(default=512)
    n_learn: int = static(default=1000)
    n_sweeps: int = static(default=4000)
    n_kept: int = static(default=50)
    b_range: tuple[float, float] = static(default=(0.0, 1.0))
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        checked("WangLandau", self)

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """Estimate log Z of ``h``."""
        return estimate_from(self, h, _learned, "Wang-Landau", key)

    def density(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> DensityOfStates:
        """The density of states of ``h``."""
        return density_from(self, h, _learned, key)

    def larger(self) -> "WangLandau":
        """The same with twice the effort."""
        return dataclasses.replace(self, n_learn=2 * self.n_learn, n_sweeps=2 * self.n_sweeps)


def _learned(settings: WangLandau, explored: Explored, key: Key[Array, ""]) -> tuple[Array, Array]:
    """log g per bin by the 1/t rule, and the walkers.

    The gain is what a bin gets in one sweep of all walkers, log f times steps / bins: in sweeps,
    the 1/t rule is gain = 1 / (number of sweeps).
    """
    path, bins, first = explored.start.path, explored.bins, explored.log_g
    steps = float(settings.n_walkers * path.h.n_sites)
    dtype = first.dtype

    def sweep(carry: tuple[Array, ...], own: tuple[Array, Array]) -> tuple[tuple[Array, ...], None]:
        x, correction, visited = carry
        number, key = own
        log_f = jnp.sum(visited).astype(dtype) / (steps * number)
        x, counts = walk(path, bins, first + correction, x, explored.width, key=key, log_f=log_f)
        correction, visited = correction + log_f * counts, visited | (counts > 0)
        correction = filled(correction, visited)
        return (x, correction - jnp.mean(correction), visited), None

    begin = settings.n_learn // HEAD_START
    number = begin + 1 + jnp.arange(settings.n_learn).astype(dtype)
    keys = random.split(key, settings.n_learn)
    start: tuple[Array, ...] = (explored.x, jnp.zeros_like(first), explored.visited)
    (x, correction, _), _ = jax.lax.scan(sweep, start, (number, keys))
    return first + correction, x
