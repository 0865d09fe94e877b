r"""Multicanonical sampling: weights by iteration that make all energies equally likely.

A run with weights 1 / g_n(D) gives a histogram H_n(D). Where the density of states is g, H_n is
proportional to g / g_n, so log g_{n+1} - log g_n changes from a bin to the next one by

    kappa [log H_n(next) - log H_n(this)],      kappa = w / (W + w),    w = H H' / (H + H'),

with W the sum of the w of all runs before: every link between neighbouring bins is the mean of what
all runs said about it, weighted by how well they knew. Sources: B. A. Berg and T. Neuhaus, Phys.
Rev. Lett. 68, 9 (1992); the accumulation: B. A. Berg, J. Stat. Phys. 82, 323 (1996).

The first weights come from a short anneal, the last ones stay fixed in a production run (see
``DensityOfStates``), as in ``WangLandau``.
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
from physdl.estimators._sampled import at_least
from physdl.estimators._walk import walk
from physdl.estimators.density import DensityOfStates
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random

__all__ = ["Multicanonical"]


@cites("berg1992")
@module
class Multicanonical:
    """log Z, and the density of states, by a flat-histogram walk with iterated weights.

    Attributes:
      n_walkers: walkers side by side, at least 8; their spread is the error.
      n_bins: the most bins of D. Levels on a grid (uniform couplings) get one bin each where there
        is room, everything else equal bins.
      n_iterations: how often the weights are renewed.
      n_learn: sweeps of every walker for that, in all.
      n_sweeps: sweeps of every walker with fixed weights, after a quarter as many to settle.
      n_kept: configurations kept of every walker, for derivatives.
      b_range: the b of H_b = h0 + b (h - h0) whose energies are covered: contains 0 and 1.
      kernel: what anneals the walkers; ``None`` chooses.
      reference: h0; ``None`` is zero (on the line, normal distributions).
      reference_log_z: its log Z, in nats.

    ``info`` and status are those of ``WangLandau``.

    Raises:
      SettingError: a setting outside its range, or no key.
      StructureError: the sites differ in kind.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> method = Multicanonical(n_walkers=16, n_learn=100, n_sweeps=400, n_kept=20)
    >>> estimate = method(h, key=jax.random.key(0))
    >>> exact = reference.kaufman_log_z(4, 4, 0.4)
    >>> bool(abs(estimate.log_z - exact) < 4 * estimate.stderr), bool(estimate.stderr < 0.1)
    (True, True)
    """

    n_walkers: int = static(default=64)
    n_bins: int = static(default=512)
    n_iterations: int = static(default=10)
    n_learn: int = static(default=1000)
    n_sweeps: int = static(default=4000)
    n_kept: int = static(default=50)
    b_range: tuple[float, float] = static(default=(0.0, 1.0))
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        checked("Multicanonical", self)
        at_least("Multicanonical", n_iterations=(self.n_iterations, 1))
        at_least("Multicanonical", n_learn=(self.n_learn, self.n_iterations))

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """Estimate log Z of ``h``."""
        return estimate_from(self, h, _learned, "multicanonical", key)

    def density(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> DensityOfStates:
        """The density of states of ``h``."""
        return density_from(self, h, _learned, key)

    def larger(self) -> "Multicanonical":
        """The same with twice the effort."""
        return dataclasses.replace(self, n_learn=2 * self.n_learn, n_sweeps=2 * self.n_sweeps)


def _learned(
    settings: Multicanonical, explored: Explored, key: Key[Array, ""]
) -> tuple[Array, Array]:
    """log g per bin by the accumulated recursion, and the walkers."""
    path, bins, first = explored.start.path, explored.bins, explored.log_g
    still = jnp.zeros((), first.dtype)

    def iteration(carry: tuple[Array, ...], keys: Array) -> tuple[tuple[Array, ...], None]:
        x, correction, weight, visited = carry

        def sweep(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], None]:
            x, total = carry
            log_g = first + correction
            x, counts = walk(path, bins, log_g, x, explored.width, key=key, log_f=still)
            return (x, total + counts), None

        (x, counts), _ = jax.lax.scan(sweep, (x, jnp.zeros_like(first)), keys)
        visited = visited | (counts > 0)
        correction, weight = _renewed(correction, weight, counts, visited)
        return (x, correction, weight, visited), None

    n = settings.n_learn // settings.n_iterations
    keys = random.split(key, n * settings.n_iterations).reshape(settings.n_iterations, n)
    start: tuple[Array, ...] = (
        explored.x,
        jnp.zeros_like(first),
        jnp.zeros_like(first),
        explored.visited,
    )
    (x, correction, *_), _ = jax.lax.scan(iteration, start, keys)
    return first + correction, x


def _renewed(
    correction: Array, weight: Array, counts: Array, visited: Array
) -> tuple[Array, Array]:
    """The correction of log g after a histogram, and the weights of all links so far.

    A link leads to a visited bin from the last visited one below it.
    """
    place = jnp.arange(len(counts))
    last = jax.lax.cummax(jnp.where(visited, place, -1))
    below = jnp.concatenate([jnp.full(1, -1), last[:-1]])
    linked = visited & (below >= 0)
    source = jnp.maximum(below, 0)
    both = linked & (counts > 0) & (counts[source] > 0)
    mine, other = (jnp.where(both, c, 1) for c in (counts, counts[source]))
    own = jnp.where(both, mine * other / (mine + other), 0)
    kappa = own / jnp.maximum(weight + own, 1e-30)
    step = correction - correction[source] + kappa * (jnp.log(mine) - jnp.log(other))
    renewed = jnp.cumsum(jnp.where(linked, step, 0))
    renewed = filled(renewed - jnp.mean(renewed), visited)
    return renewed, weight + own
