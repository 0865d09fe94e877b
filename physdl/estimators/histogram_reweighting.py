r"""log Z and the density of states from histograms at many places of a path.

Parallel tempering samples H_b = h0 + b (h - h0) at the rungs of a ladder. The histograms N_k(D) of
the slope D = h - h0 at the rungs, joined by

    g(D) = sum_k N_k(D) / sum_l n_l exp(-b_l D) / Z_l,       Z_k = sum_D g(D) exp(-b_k D),

give the density of states g, and with it log Z anywhere on the path: A. M. Ferrenberg and
R. H. Swendsen, Phys. Rev. Lett. 63, 1195 (1989). Without a reference D is the energy, g(D) the
number (or volume) of configurations with that energy, and Z(b) = sum_D g(D) exp(-b D) the whole
thermodynamics.

Bins of one level each lose nothing: the result is that of multistate reweighting of every sample.
Where there are more levels than bins, bins have equal widths and the mean D of their samples stands
for all of them. What that changes is found by reweighting the samples themselves with the Z_k of
the histograms; the status is ``QUADRATURE`` where it exceeds the statistical error.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.estimators._base import Estimate, Status
from physdl.estimators._ladder_estimate import centred, ladder_estimate
from physdl.estimators._ladder_run import check_settings, ladder_run, rungs
from physdl.estimators._sampled import at_least, required
from physdl.estimators._start import started
from physdl.estimators.multistate import MultiState, wham
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import log_or_zero, logsumexp
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random

__all__ = ["HistogramReweighting"]

SAME = 64  # rounding errors between equal levels


@cites("ferrenberg1989")
@module
class HistogramReweighting:
    """log Z and the density of states by parallel tempering and the multi-histogram method.

    Information, beside that of ``MBAR``: ``"levels"``, the mean h - h0 of every bin, NaN for empty
    ones, and ``"log_density"``, log g of it, so that log Z is the sum of g exp(-levels); [n_bins +
    1], the last for configurations that h forbids. ``"binning"``: how much log Z changes when the
    samples are reweighted instead of the bins.

    Status: as of ``MBAR``; ``QUADRATURE`` where ``"binning"`` exceeds the standard error.

    Attributes:
      n_bins: bins of h - h0, one for each level where that is enough.
      n_states: rungs of the ladder, at equal thermodynamic length of each other.
      n_chains: independent runs of the ladder.
      n_sweeps: sweeps of every replica that are recorded, each followed by exchanges.
      thin: every so many of them are kept.
      n_warmup: sweeps before that.
      betas: places on the path, increasing from 0 to 1, instead of ``n_states`` chosen ones.
      kernel: what moves one configuration; chosen to suit h by default.
      reference: the Hamiltonian at b = 0; by default free sites, or normal ones on the line.
      reference_log_z: its log Z, where no exact method knows it.

    Raises:
      SettingError: a setting out of its range, or no key.

    Six spins in a ring have 2, 30, 30, 2 configurations with energies -6, -2, 2, 6:

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.chain(6), 1.0)
    >>> estimate = HistogramReweighting(n_states=4, n_sweeps=2000)(h, key=jax.random.key(0))
    >>> found = estimate.info["log_density"]
    >>> bool(jnp.allclose(jnp.exp(found[:4]), jnp.array([2.0, 30, 30, 2]), rtol=0.05))
    True
    """

    n_bins: int = static(default=1024)
    n_states: int = static(default=16)
    n_chains: int = static(default=8)
    n_sweeps: int = static(default=1000)
    thin: int = static(default=2)
    n_warmup: int = static(default=200)
    betas: ArrayLike | None = None
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        at_least("a histogram", n_bins=(self.n_bins, 2))
        check_settings(
            self.n_states, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, self.betas
        )

    def larger(self) -> "HistogramReweighting":
        """Twice the rungs, bins and sweeps."""
        n_states = self.n_states if self.betas is not None else 2 * self.n_states
        return dataclasses.replace(
            self, n_states=n_states, n_bins=2 * self.n_bins, n_sweeps=2 * self.n_sweeps
        )

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """Estimate log Z of h."""
        known = jax.lax.stop_gradient(h)
        start_key, place_key, run_key = random.split(required(key), 3)
        start = started(known, self.kernel, self.reference, self.reference_log_z, key=start_key)
        betas = rungs(start, self.n_states, self.betas, key=place_key)
        slopes, states = ladder_run(
            start, betas, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, run_key
        )
        data, centre = centred(slopes)
        k, n_chains, n_draws = slopes.shape
        bins = _bins(data.reshape(-1), self.n_bins)
        levels, histogram = _histogram(data.reshape(k, -1), bins.reshape(k, -1), self.n_bins + 1)
        found = wham(levels, betas, histogram)
        log_z = start.log_z + found.log_z - betas * centre
        end = betas[-1:]
        weights = (found.log_weights(end) - log_or_zero(found.counts))[bins]
        weights = jnp.where(jnp.isnan(weights), -jnp.inf, weights)
        off = _reweighted(found, betas, data.reshape(-1)) - found.log_z[-1]
        density = found.log_weights(jnp.zeros_like(end)) + start.log_z
        weights = weights.reshape(k * n_chains, n_draws)
        chains = states.reshape(k * n_chains, n_draws, *h.state_shape)
        estimate: Estimate = ladder_estimate(
            h,
            Ensemble(chains, weights, log_z[-1], h=known),
            found,
            slopes,
            found.influence()[bins].reshape(slopes.shape),
            method="multi-histogram reweighting",
            info={
                "betas": betas,
                "path_log_z": log_z,
                "levels": jnp.where(found.counts > 0, levels + centre, jnp.nan),
                "log_density": density,
                "binning": off,
            },
        )
        coarse = (estimate.status == Status.OK) & (jnp.abs(off) > estimate.stderr)
        status = jnp.where(coarse, jnp.int32(Status.QUADRATURE), estimate.status)
        return dataclasses.replace(estimate, status=status)


@functools.partial(jax.jit, static_argnames=("n_bins",))
def _bins(slope: Float[Array, " N"], n_bins: int) -> Int[Array, " N"]:
    """The bin of every sample: of its level, if there are no more than bins, else of equal width.

    Forbidden samples are in bin ``n_bins``.
    """
    allowed = jnp.isfinite(slope)
    largest = jnp.max(jnp.where(allowed, slope, -jnp.inf))
    least = jnp.min(jnp.where(allowed, slope, jnp.inf))
    order = jnp.argsort(slope)
    ordered = slope[order]
    tolerance = (
        SAME * float(np.finfo(slope.dtype).eps) * jnp.maximum(jnp.abs(largest), jnp.abs(least))
    )
    new = jnp.diff(ordered) > tolerance
    level = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(new.astype(jnp.int32))])
    few = jnp.max(jnp.where(allowed[order], level, 0)) < n_bins
    by_level = jnp.zeros(len(slope), jnp.int32).at[order].set(level.astype(jnp.int32))
    width = jnp.where(largest > least, largest - least, 1) / n_bins
    by_width = jnp.where(allowed, (slope - least) / width, 0).astype(jnp.int32)
    own = jnp.clip(jnp.where(few, by_level, by_width), 0, n_bins - 1)
    return jnp.where(allowed, own, n_bins)


def _histogram(
    slope: Float[Array, "K n"], bins: Int[Array, "K n"], n_bins: int
) -> tuple[Float[Array, " n_bins"], Float[Array, "K n_bins"]]:
    """The mean slope of every bin, +inf in the last, and how often each rung hit it."""
    ones = jnp.ones_like(slope[0])
    hits = jax.vmap(lambda own: jax.ops.segment_sum(ones, own, n_bins))(bins)
    flat = slope.reshape(-1)
    total = jax.ops.segment_sum(jnp.where(jnp.isfinite(flat), flat, 0), bins.reshape(-1), n_bins)
    found = jnp.sum(hits, axis=0)
    mean = total / jnp.maximum(found, 1)
    return mean.at[-1].set(jnp.inf), hits


def _reweighted(
    found: MultiState, betas: Float[Array, " K"], slope: Float[Array, " N"]
) -> Float[Array, ""]:
    """log Z_{K-1} / Z_0 from every sample with the log Z_k of the histograms."""
    finite = jnp.isfinite(slope)
    safe = jnp.where(finite, slope, 0)
    log_n = log_or_zero(found.n_draws) - found.log_z

    def own(slope: Float[Array, ""]) -> Float[Array, " 2"]:
        denominator = logsumexp(log_n - betas * slope)
        return jnp.stack([-denominator, -slope - denominator])

    each = jax.lax.map(own, safe, batch_size=2048)
    start = jnp.where(finite, each[:, 0], -log_n[0])
    return logsumexp(jnp.where(finite, each[:, 1], -jnp.inf)) - logsumexp(start)
