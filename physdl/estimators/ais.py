r"""Annealed importance sampling: log Z from weights gathered on the way from a known distribution.

Independent walkers start under h0, whose log Z_0 is known, and follow H_b = h0 + b (h - h0) from b
= 0 to 1. The product w of the factors exp(-(b' - b) D(x)), D = h - h0, over the steps of the way is
unbiased, E[w] = Z / Z_0, however fast one goes; the slower, the less w scatters. From b = 1 down to
0 it is the inverse ratio that is unbiased. So, by Jensen's inequality,

    log Z_0 + log <w>_up        <=  log Z  <=        log Z_0 - log <w>_down

holds in expectation. Markov's inequality turns this into bounds with a probability: the upward one
exceeds log Z by c with a probability of at most exp(-c).

Sources: R. M. Neal, Stat. Comput. 11, 125 (2001); R. Grosse, Z. Ghahramani and R. P. Adams,
arXiv:1511.02543 (bidirectional Monte Carlo); Y. Burda, R. Grosse and R. Salakhutdinov, AISTATS 38
(2015) (reverse annealing).

Consequence: the variance of log w, reported in ``info``, says how far the walkers fall behind
equilibrium. Where few of them carry all the weight, log Z is too low, and the status is ``FEW``.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status
from physdl.estimators._sampled import LIKELY, at_least, log_mean, required, sampled
from physdl.estimators._schedule import Schedule, scheduled
from physdl.estimators._start import Start, started, swept
from physdl.estimators._two_layers import two_layers
from physdl.estimators._walkers import SingleSite, Walker, annealed
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random
from physdl.sampling._path import places_of
from physdl.sampling._resampling import RESAMPLING

__all__ = ["AIS", "ReverseAIS"]

TRIAL = 4
MOST_TEMPERATURES = 2**16
IMPROBABLE = math.log(100.0)
SHARE_OF_SWEEPS = 4


@cites("neal2001")
@module
class AIS:
    """Annealed importance sampling, from a reference up to the Hamiltonian.

    Attributes:
      n_chains: independent walkers.
      n_temperatures: steps of the way; ``None`` takes as many as ``variance`` needs, found by a
        quick trial.
      n_sweeps: sweeps of the kernel after every step.
      variance: wanted variance of log w.
      betas: places on the way, increasing from 0 to 1; ``None`` spaces them at constant relative
        entropy, after a pilot run.
      kernel: a kernel that moves one configuration; ``None`` takes ``HeatBath`` where sites can be
        drawn, else ``Metropolis`` with a tuned step.
      reference: the Hamiltonian at b = 0; ``None`` is zero, or normal distributions on the line.
      reference_log_z: log Z of the reference; ``None`` computes it exactly.

    The estimate is the logarithm of the mean weight plus half its squared relative error, which
    removes the bias of the logarithm to first order. ``lower`` holds with probability 0.99. On
    layers without couplings inside, as of an RBM, one of them is summed exactly.

    ``info``: ``"n_temperatures"``; ``"log_weight_variance"``; ``"effective_sample_size"``;
    ``"length"``, the thermodynamic length of the path (NaN where ``betas`` are given).

    Raises:
      SettingError: a setting out of its range, no key, or a kernel that moves several
        configurations.
      StructureError: the reference has other sites than h.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = AIS()(h, key=jax.random.key(0))
    >>> bool(abs(out.log_z - reference.kaufman_log_z(4, 4, 0.4)) < 4 * out.stderr)
    True
    >>> bool(out.stderr < 0.1), out.ensemble.states.shape
    (True, (256, 1, 4, 4))
    """

    n_chains: int = static(default=256)
    n_temperatures: int | None = static(default=None)
    n_sweeps: int = static(default=1)
    variance: float = static(default=0.25)
    betas: Float[Array, " T"] | None = None
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        at_least(
            "annealed importance sampling",
            n_chains=(self.n_chains, 2),
            n_temperatures=(self.n_temperatures, 1),
            n_sweeps=(self.n_sweeps, 1),
        )
        if not self.variance > 0:
            raise SettingError(f"the wanted variance is positive, got {self.variance!r}.")
        if self.betas is not None:
            object.__setattr__(self, "betas", places_of(self.betas))

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate, with the walkers as its ensemble."""
        out: Estimate = _found(h, _up(self, jax.lax.stop_gradient(h), required(key)))
        return out

    def larger(self) -> "AIS":
        """Twice the temperatures."""
        if self.n_temperatures is None:
            return dataclasses.replace(self, variance=self.variance / 2)
        return dataclasses.replace(self, n_temperatures=2 * self.n_temperatures)


@cites("neal2001")
@module
class ReverseAIS:
    """Annealing up and back: a lower and an upper bound, and an estimate between them.

    The walkers that have come up are resampled by their weights, go on at b = 1, and walk back. The
    estimate is the mean of both directions, whose biases have opposite signs; ``lower`` and
    ``upper`` hold with probability 0.99 each, the latter as far as the walkers reached equilibrium
    at b = 1. Where the directions differ by more than 4 standard errors the status is
    ``UNCONVERGED``.

    ``info`` has what ``AIS`` reports, and ``"log_z_up"``, ``"log_z_down"``.

    Attributes:
      forward: the settings of the way up; the way back has the same.

    Raises:
      SettingError: no key, or as ``AIS``.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = ReverseAIS()(h, key=jax.random.key(0))
    >>> bool(out.lower < reference.kaufman_log_z(4, 4, 0.4) < out.upper)
    True
    >>> bool(out.upper - out.lower < 0.5)
    True
    """

    forward: AIS = dataclasses.field(default_factory=AIS)

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate, with the walkers at b = 1 as its ensemble."""
        up_key, choose_key, stay_key, down_key = random.split(required(key), 4)
        up = _up(self.forward, jax.lax.stop_gradient(h), up_key)
        chosen = up.x[RESAMPLING["systematic"](choose_key, up.log_w)]
        n_stay = self.forward.n_sweeps * (1 + up.n_steps // SHARE_OF_SWEEPS)
        x = swept(up.start.kernel, up.start.path.h, chosen, n_stay, key=stay_key)
        _, log_w = annealed(up.walker, x, up.schedule, up.n_steps, jnp.asarray(True), down_key)
        out: Estimate = _found_both_ways(h, up, log_w)
        return out

    def larger(self) -> "ReverseAIS":
        """Twice the temperatures."""
        return ReverseAIS(self.forward.larger())


@module
class _Up:
    """Where the walkers are at b = 1, how they came there, and what they found."""

    start: Start
    walker: Walker
    schedule: Schedule
    n_steps: Int[Array, ""]
    allowed: Array
    x: Float[Array, " n *state"]
    log_w: Float[Array, " n"]
    log_z: Float[Array, ""]
    stderr: Float[Array, ""]
    effective: Float[Array, ""]
    few: Bool[Array, ""]
    length: Float[Array, ""]

    @property
    def estimate(self) -> Float[Array, ""]:
        """log Z without the bias of the logarithm, to first order."""
        return self.log_z + jnp.where(jnp.isfinite(self.stderr), self.stderr**2 / 2, 0)


def _up(settings: AIS, h: Hamiltonian, key: Key[Array, ""]) -> _Up:
    start_key, pilot_key, try_key, draw_key, key = random.split(key, 5)
    start = started(h, settings.kernel, settings.reference, settings.reference_log_z, key=start_key)
    layers = two_layers(start, settings.n_sweeps) if settings.kernel is None else None
    walker: Walker = SingleSite(start, settings.n_sweeps) if layers is None else layers
    begin, length = start.draw(settings.n_chains, key=draw_key), jnp.asarray(jnp.nan, h.dtype)
    if settings.betas is None:
        schedule = scheduled(start, key=pilot_key)
        length = schedule.length
    else:
        places = settings.betas.astype(h.dtype)
        schedule = Schedule(places, jnp.asarray(len(places) - 1, h.dtype))
    no = jnp.asarray(False)
    if settings.n_temperatures is not None:
        n_steps = jnp.asarray(settings.n_temperatures)
    elif settings.betas is not None:
        n_steps = jnp.asarray(len(settings.betas) - 1)
    else:
        trial = (TRIAL * schedule.n_strides).astype(int)
        first, trial_key = random.split(try_key)
        other = start.draw(settings.n_chains, key=first)
        _, log_w = annealed(walker, other, schedule, trial, no, trial_key)
        n_steps = _enough(trial, log_w, settings.variance)
    x, log_w = annealed(walker, begin, schedule, n_steps, no, key)
    up: _Up = _weighed(start, walker, schedule, length, n_steps, begin, x, log_w)
    return up


@jax.jit
def _weighed(
    start: Start,
    walker: Walker,
    schedule: Schedule,
    length: Array,
    n_steps: Array,
    begin: Array,
    x: Array,
    log_w: Array,
) -> _Up:
    mean, stderr, effective, few = log_mean(log_w)
    allowed = jnp.isfinite(jax.vmap(start.path.slope)(begin))
    return _Up(
        start,
        walker,
        schedule,
        n_steps,
        allowed,
        x,
        log_w,
        start.log_z + mean,
        stderr,
        effective,
        few,
        length,
    )


@jax.jit
def _found(h: Hamiltonian, up: _Up) -> Estimate:
    """The estimate of the way up."""
    return sampled(
        h,
        Ensemble(up.x[:, None], up.log_w[:, None], up.estimate, h=up.start.path.h),
        up.stderr,
        method=f"annealed importance sampling, {len(up.log_w)} walkers",
        status=jnp.where(up.few, Status.FEW, Status.OK),
        lower=_bounds(up.log_z, up.stderr)[0],
        info=_info(up),
    )


@jax.jit
def _found_both_ways(h: Hamiltonian, up: _Up, log_w: Float[Array, " n"]) -> Estimate:
    """The estimate of both ways, given the log weights of the way back."""
    mean, stderr, _, few = log_mean(log_w)
    allowed = jnp.mean(up.allowed.astype(h.dtype))  # the way back ends on these alone
    start = up.start.log_z + jnp.log(allowed)
    down = start - mean
    stderr = jnp.sqrt(stderr**2 + (1 - allowed) / (allowed * len(log_w)))
    both = jnp.sqrt(up.stderr**2 + stderr**2)
    apart = ~(jnp.abs(up.log_z - down) <= 4 * both)
    agree = jnp.where(apart, Status.UNCONVERGED, Status.OK)
    estimate = (up.estimate + down - stderr**2 / 2) / 2
    return sampled(
        h,
        Ensemble(up.x[:, None], up.log_w[:, None], estimate, h=up.start.path.h),
        both / 2,
        method=f"annealing up and back, {len(log_w)} walkers",
        status=jnp.where(few | up.few, Status.FEW, agree),
        lower=_bounds(up.log_z, up.stderr)[0],
        upper=_bounds(down, stderr)[1],
        info={**_info(up), "log_z_up": up.log_z, "log_z_down": down},
    )


def _enough(trial: Int[Array, ""], log_w: Float[Array, " n"], wanted: float) -> Int[Array, ""]:
    """How many steps bring the variance of log w, which falls as their inverse, to its target."""
    needed = trial.astype(log_w.dtype) * _variance(log_w) / wanted
    most = jnp.minimum(jnp.nan_to_num(needed), MOST_TEMPERATURES)
    return jnp.maximum(jnp.ceil(most).astype(trial.dtype), trial)


def _variance(log_w: Float[Array, " n"]) -> Float[Array, ""]:
    """The variance of the weights' logarithms, those of forbidden walkers left out."""
    return jnp.var(log_w, where=jnp.isfinite(log_w), ddof=1)


def _bounds(log_z: Float[Array, ""], stderr: Float[Array, ""]) -> tuple[Array, Array]:
    """log Z minus and plus what is not exceeded in 99 of 100 cases.

    Markov's inequality gives log 100 for any weights, the normal distribution 2.3 standard errors.
    """
    margin = jnp.where(jnp.isfinite(stderr), jnp.minimum(LIKELY * stderr, IMPROBABLE), IMPROBABLE)
    return log_z - margin, log_z + margin


def _info(up: _Up) -> dict[str, Array]:
    return {
        "n_temperatures": up.n_steps,
        "log_weight_variance": _variance(up.log_w),
        "effective_sample_size": up.effective,
        "length": up.length,
    }
