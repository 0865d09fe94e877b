r"""What the flat-histogram methods share: the range and bins of D, the production run, its answer.

Walkers are annealed along H_b = h0 + b (h - h0) over the b of interest. Their energies tell the
range of D, whether D lies on a grid (then bins hold whole levels, one where there is room), and a
first density of states from d log g / dD = b(D). A method then learns better weights g_k per bin.

The weights are kept fixed in the production run, whose draws x_i with slopes D_i in bins k_i give

    Z / Z_0 = sum_i g_{k_i} exp(-D_i) / sum_i g_{k_i},

a ratio of means in which the D_i are exact and g may be any: neither the width of the bins nor the
saturation of a learning rule biases it, they only cost effective draws. The first and the last bin
hold everything beyond, so no configuration is shut out; those that h forbids are none of Z, and the
share of the reference that is allowed is counted by draws of their own. Walkers are independent
given the weights; the spread of their contributions gives the error, whatever the autocorrelation.

Source: B. A. Berg and T. Neuhaus, Phys. Rev. Lett. 68, 9 (1992).
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key
from numpy.typing import NDArray

from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status
from physdl.estimators._sampled import RELIABLE, at_least, required, sampled
from physdl.estimators._start import Start, started, swept
from physdl.estimators._walk import Bins, alike, walk
from physdl.estimators.density import DensityOfStates
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.numerics import logsumexp
from physdl.pytree import module
from physdl.sampling import Kernel
from physdl.sampling import _random as random

__all__ = ["Explored", "Learn", "Settings", "checked", "density_from", "estimate_from", "filled"]

N_RUNGS = 24
N_SHARE = 2**14
N_ANNEALED = 16
MARGIN = 5.0
GRID = 0.02
SPARE = 2
DISAGREEMENT = 4.0
BURN = 4


class Settings(Protocol):
    """The settings that the methods share."""

    @property
    def n_walkers(self) -> int: ...
    @property
    def n_bins(self) -> int: ...
    @property
    def n_learn(self) -> int: ...
    @property
    def n_sweeps(self) -> int: ...
    @property
    def n_kept(self) -> int: ...
    @property
    def b_range(self) -> tuple[float, float]: ...
    @property
    def kernel(self) -> Kernel | None: ...
    @property
    def reference(self) -> Hamiltonian | None: ...
    @property
    def reference_log_z(self) -> ArrayLike | None: ...


@module
class Explored:
    """What annealing found.

    Attributes:
      start: the path and its beginning.
      x: the walkers, spread over the path, [W, *state].
      bins: the bins of D.
      log_g: a first density of states, [n_bins].
      visited: which bins were met, [n_bins].
      ends: the mean D at the highest and at the lowest b.
      width: the largest steps on continuous spaces, [*state].
    """

    start: Start
    x: Float[Array, " W *state"]
    bins: Bins
    log_g: Float[Array, " n_bins"]
    visited: Bool[Array, " n_bins"]
    ends: Float[Array, " 2"]
    width: Float[Array, "*state"]


Learn: TypeAlias = Callable[[Any, Explored, Key[Array, ""]], tuple[Array, Array]]


@module
class _Production:
    """Draws of the run with fixed weights: slopes, bins, states kept, and counts of all steps."""

    d: Float[Array, "W n_sweeps"]
    bin: Int[Array, "W n_sweeps"]
    states: Float[Array, "W n_kept *state"]
    counts: Float[Array, "W n_bins"]
    log_g: Float[Array, " n_bins"]
    allowed: Float[Array, ""]
    explored: Explored


def checked(purpose: str, settings: Settings) -> None:
    """Raise ``SettingError`` for settings outside their range."""
    at_least(
        purpose,
        n_walkers=(settings.n_walkers, 8),
        n_bins=(settings.n_bins, 8),
        n_learn=(settings.n_learn, 16),
        n_sweeps=(settings.n_sweeps, 16),
        n_kept=(settings.n_kept, 1),
    )
    low, high = settings.b_range
    if not low <= 0 < 1 <= high:
        raise SettingError(
            f"{purpose} takes a b_range that contains 0 and 1, got {settings.b_range}."
        )
    if settings.n_kept > settings.n_sweeps:
        raise SettingError(
            f"{purpose} keeps at most one configuration a sweep, got n_kept={settings.n_kept} and "
            f"n_sweeps={settings.n_sweeps}."
        )


def estimate_from(
    settings: Settings, h: Hamiltonian, learn: Learn, method: str, key: Key[Array, ""] | None
) -> Estimate:
    """The estimate of h with the weights that ``learn`` finds."""
    start, run_key = _begun(settings, jax.lax.stop_gradient(h), key)
    ensemble, stderr, status, info = _estimated(settings, start, run_key, learn=learn)
    return sampled(h, ensemble, stderr, method=method, status=status, info=info)


def density_from(
    settings: Settings, h: Hamiltonian, learn: Learn, key: Key[Array, ""] | None
) -> DensityOfStates:
    """The density of states of h with the weights that ``learn`` finds."""
    start, run_key = _begun(settings, jax.lax.stop_gradient(h), key)
    density: DensityOfStates = _found(settings, start, run_key, learn=learn)
    return density


def filled(values: Float[Array, " n_bins"], known: Bool[Array, " n_bins"]) -> Array:
    """The values where they are known, elsewhere that of the nearest known bin below, or above."""
    place = jnp.arange(values.shape[0])
    below = jax.lax.cummax(jnp.where(known, place, -1))
    nearest = jnp.where(below < 0, jnp.argmax(known), below)
    return values[nearest]


def _begun(
    settings: Settings, h: Hamiltonian, key: Key[Array, ""] | None
) -> tuple[Start, Key[Array, ""]]:
    alike(h.space)
    start_key, run_key = random.split(required(key))
    reference, log_z = settings.reference, settings.reference_log_z
    return started(h, settings.kernel, reference, log_z, key=start_key), run_key


@functools.partial(jax.jit, static_argnames=["learn"])
def _estimated(
    settings: Settings, start: Start, key: Key[Array, ""], *, learn: Learn
) -> tuple[Ensemble, Array, Array, dict[str, Array]]:
    return _answer(_produced(settings, start, key, learn))


@functools.partial(jax.jit, static_argnames=["learn"])
def _found(
    settings: Settings, start: Start, key: Key[Array, ""], *, learn: Learn
) -> DensityOfStates:
    return _density(_produced(settings, start, key, learn))


def _produced(settings: Settings, start: Start, key: Key[Array, ""], learn: Learn) -> _Production:
    """Explore, learn, settle and draw."""
    explore_key, learn_key, share_key, key = random.split(key, 4)
    explored = _explored(settings, start, explore_key)
    allowed = _allowed(start, share_key)
    log_g, x = learn(settings, explored, learn_key)
    path, bins = start.path, explored.bins
    n, every = settings.n_kept, settings.n_sweeps // settings.n_kept
    n_burn = max(n // BURN, 1)

    def sweep(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Array]:
        x, counts = carry
        x, more = walk(path, bins, log_g, x, explored.width, key=key)
        return (x, counts + more), jax.vmap(path.slope)(x)

    def block(carry: tuple[Array, Array], own: tuple[Array, Array]) -> tuple[Any, Any]:
        (x, counts), (number, keys) = carry, own
        begun = jnp.where(number == n_burn, 0, counts)
        carry, d = jax.lax.scan(sweep, (x, begun), keys)
        return carry, (d, carry[0])

    keys = random.split(key, every * (n + n_burn)).reshape(n + n_burn, every)
    counts = jnp.zeros((settings.n_walkers, bins.n_bins), x.dtype)
    (_, counts), (d, states) = jax.lax.scan(block, (x, counts), (jnp.arange(n + n_burn), keys))
    d = d[n_burn:].reshape(-1, settings.n_walkers).T
    states = jnp.moveaxis(states[n_burn:], 0, 1)
    return _Production(d, bins.index(d), states, counts, log_g, allowed, explored)


def _allowed(start: Start, key: Key[Array, ""]) -> Float[Array, ""]:
    """The share of the reference that h allows: walkers with a weight see nothing else."""
    if not any(isinstance(term, Potential) for term in start.path.h.terms.values()):
        return jnp.ones((), start.path.h.dtype)
    slopes = jax.vmap(start.path.slope)(start.draw(N_SHARE, key=key))
    return jnp.mean(jnp.isfinite(slopes).astype(slopes.dtype))


def _explored(settings: Settings, start: Start, key: Key[Array, ""]) -> Explored:
    draw_key, up_key, down_key = random.split(key, 3)
    low, high = settings.b_range
    x = start.draw(settings.n_walkers, key=draw_key)
    b = np.linspace(0, high, N_RUNGS)
    states, d = _annealed(start, x, b, up_key)
    if low < 0:
        below = np.linspace(0, low, N_RUNGS)
        more = _annealed(start, x, below, down_key)
        b = np.concatenate([below[:0:-1], b])
        states, d = (jnp.concatenate([m[:0:-1], s]) for m, s in zip(more, (states, d), strict=True))
    pooled = d.reshape(d.shape[0], -1)
    bins = _bins(pooled, settings.n_bins)
    mean = jnp.mean(pooled, axis=1)
    log_g = _integrated(pooled, jnp.asarray(b, d.dtype), bins)
    visited = jnp.zeros(bins.n_bins, bool).at[bins.index(d.reshape(-1))].set(True)
    even = jnp.linspace(mean[-1], mean[0], settings.n_walkers)
    nearest = jnp.argmin(jnp.abs(d[:, -1] - even[None]), axis=0)
    chosen = states[nearest, np.arange(settings.n_walkers)]
    width = jnp.ones(x.shape[1:], x.dtype) if start.width is None else start.width
    wide = jnp.where(width > 0, 4 * width, 1)
    ends = jnp.stack([mean[-1], mean[0]])
    return Explored(start, chosen, bins, log_g - jnp.max(log_g), visited, ends, wide)


def _integrated(
    d: Float[Array, "n_rungs draws"], b: Float[Array, " n_rungs"], bins: Bins
) -> Float[Array, " n_bins"]:
    """log g from d log g / dD = b(D), where b(D) is the b at which the mean is D.

    Beyond the outermost means the tails are normal, beyond the range the weights are flat.
    """
    mean = jax.lax.cummin(jnp.mean(d, axis=1))
    edges = bins.lowest + bins.width * jnp.arange(bins.n_bins, dtype=d.dtype)
    slope = jnp.interp(edges, mean[::-1], b[::-1])
    variance = jnp.maximum(jnp.var(d, axis=1), bins.width**2)
    slope = slope - jnp.maximum(edges - mean[0], 0) / variance[0]
    slope = slope - jnp.minimum(edges - mean[-1], 0) / variance[-1]
    lowest, highest = _range(d)
    slope = jnp.where((edges > lowest) & (edges < highest), slope, 0)
    return jnp.cumsum(slope) * bins.width


def _annealed(
    start: Start, x: Float[Array, " W *state"], b: NDArray[np.float64], key: Key[Array, ""]
) -> tuple[Float[Array, "n_rungs W *state"], Float[Array, "n_rungs draws W"]]:
    """The walkers at every b in turn, and their D in the second half of the sweeps there."""

    def rung(x: Array, own: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        b, key = own
        h = start.path(b)

        def once(x: Array, key: Array) -> tuple[Array, Array]:
            x = swept(start.kernel, h, x, 1, key=key)
            return x, jax.vmap(start.path.slope)(x)

        x, d = jax.lax.scan(once, x, random.split(key, N_ANNEALED))
        return x, (x, d[N_ANNEALED // 2 :])

    rungs = (jnp.asarray(b, x.dtype), random.split(key, len(b)))
    _, found = jax.lax.scan(rung, x, rungs)
    states, d = found
    return states, d


def _range(d: Float[Array, "n_rungs draws"]) -> tuple[Array, Array]:
    """What was seen, and five standard deviations beyond the means at the ends.

    Where D has a heavy tail upwards, as that of fields on the line at b = 0, the range ends at five
    times its spread below the median instead: the last bin has flat weights, as they are there.
    """
    lowest = jnp.minimum(jnp.min(d), jnp.mean(d[-1]) - MARGIN * jnp.std(d[-1]))
    highest = jnp.maximum(jnp.max(d), jnp.mean(d[0]) + MARGIN * jnp.std(d[0]))
    tenth, median = jnp.quantile(d[0], 0.1), jnp.median(d[0])
    tail = jnp.maximum(median + MARGIN * (median - tenth), jnp.mean(d[0]))
    return lowest, jnp.minimum(highest, jnp.where(tail > median, tail, highest))


def _bins(d: Float[Array, "n_rungs draws"], n_bins: int) -> Bins:
    """Bins over the range; whole levels on a grid."""
    seen = jnp.sort(d.reshape(-1))
    lowest, highest = _range(d)
    noise = 64 * float(np.finfo(d.dtype).eps) * jnp.maximum(jnp.max(jnp.abs(seen)), 1e-30)
    steps = jnp.diff(seen)
    grid = jnp.min(jnp.where(steps > noise, steps, jnp.inf))
    grid = jnp.where(jnp.isfinite(grid), grid, 1)
    level = (seen - seen[0]) / grid
    on_grid = jnp.all(jnp.abs(level - jnp.round(level)) < GRID + 2 * noise / grid)
    span = jnp.maximum(highest - lowest, noise)
    on_grid = on_grid & (span / grid < 100 * n_bins)
    per_bin = jnp.ceil((span / grid + 2 * SPARE) / n_bins)
    base = seen[0] - grid * (jnp.ceil((seen[0] - lowest) / grid) + 0.5)
    wide = span / (n_bins - SPARE)
    first = jnp.where(on_grid, base, lowest - wide / 2)
    return Bins(first, jnp.where(on_grid, per_bin * grid, wide), n_bins)


def _answer(run: _Production) -> tuple[Ensemble, Array, Array, dict[str, Array]]:
    """The ensemble at b = 1 with its log Z, the error, the status, and diagnostics."""
    start = run.explored.start
    weight = run.log_g[run.bin]
    log_z = start.log_z + jnp.log(run.allowed) + logsumexp(weight - run.d) - logsumexp(weight)
    shares = [jnp.exp(w - logsumexp(w)) * w.size for w in (weight - run.d, weight)]
    influence = shares[0] - shares[1]
    n_walkers, n = influence.shape
    per_walker = jnp.mean(influence, axis=1)
    spread = jnp.std(per_walker, ddof=1) / n_walkers**0.5
    stderr = jnp.sqrt(spread**2 + (1 - run.allowed) / (run.allowed * N_SHARE))
    every = n // run.states.shape[1]
    kept = (weight - run.d)[:, every - 1 :: every]
    ensemble = Ensemble(run.states, kept, log_z, h=start.path.h)
    halves = [jnp.mean(influence[:, s], axis=1) for s in (slice(0, n // 2), slice(n // 2, n))]
    drift = halves[0] - halves[1]
    error = jnp.std(drift, ddof=1) / n_walkers**0.5
    disagree = jnp.abs(jnp.mean(drift)) > DISAGREEMENT * error
    trips = _round_trips(run.d, run.explored.ends)
    constant = jnp.max(run.d) - jnp.min(run.d) < run.explored.bins.width / 2
    converged = (constant | (jnp.sum(trips) >= n_walkers / 2)) & ~disagree
    few = ensemble.effective_sample_size < RELIABLE
    status = jnp.where(
        few & ~constant, Status.FEW, jnp.where(converged, Status.OK, Status.UNCONVERGED)
    )
    density = _density(run)
    info = {
        "energies": density.energies,
        "log_g": density.log_g,
        "log_g_stderr": density.stderr,
        "round_trips": jnp.sum(trips),
        "effective_sample_size": 1 / jnp.mean(shares[0] ** 2) * run.d.size,
    }
    return ensemble, stderr, status, info


def _round_trips(d: Float[Array, "W n"], ends: Float[Array, " 2"]) -> Float[Array, " W"]:
    """How often each walker went from one end of D to the other and back."""
    side = jnp.where(d <= ends[0], -1, jnp.where(d >= ends[1], 1, 0))

    def turn(last: Array, now: Array) -> tuple[Array, Array]:
        crossed = (now != 0) & (last != 0) & (now != last)
        return jnp.where(now != 0, now, last), crossed

    _, crossed = jax.lax.scan(turn, jnp.zeros_like(side[:, 0]), side.T)
    return jnp.sum(crossed, axis=0).astype(d.dtype) / 2


def _density(run: _Production) -> DensityOfStates:
    """log g per bin from the counts of all steps, with the error by jackknife over the walkers."""
    total = jnp.sum(run.counts, axis=0)
    log_z = run.explored.start.log_z + jnp.log(run.allowed)

    def density_of(counts: Float[Array, " n_bins"]) -> Float[Array, " n_bins"]:
        found = counts > 0
        log_h = jnp.where(found, run.log_g + jnp.log(jnp.where(found, counts, 1)), -jnp.inf)
        return log_h - logsumexp(log_h) + log_z

    without = jax.vmap(lambda own: density_of(total - own))(run.counts)
    n = run.counts.shape[0]
    known = jnp.all(jnp.isfinite(without), axis=0)
    without = jnp.where(known[None], without, 0)
    stderr = jnp.sqrt((n - 1) * jnp.var(without, axis=0))
    index, d = run.bin.reshape(-1), run.d.reshape(-1)
    zero = jnp.zeros_like(total)
    draws, sums = zero.at[index].add(1), zero.at[index].add(d)
    centres = run.explored.bins.centres
    energies = jnp.where(draws > 0, sums / jnp.maximum(draws, 1), centres)
    return DensityOfStates(energies, density_of(total), jnp.where(known, stderr, jnp.nan))
