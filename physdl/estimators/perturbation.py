r"""Free-energy perturbation: log Z of one Hamiltonian from configurations of another.

    log Z = log Z_0 + log <exp(-(h - h0))>_0

holds for any two Hamiltonians (R. W. Zwanzig, J. Chem. Phys. 22, 1420 (1954)) and is useful where
they are close: configurations of h must occur among those of h0. Systems that differ by one site
are close always. Widom's test particle (B. Widom, J. Chem. Phys. 39, 2808 (1963)) is inserted at an
empty site of a system in equilibrium: with h0 the Hamiltonian of all other sites, this one being
empty, all its states are tried,

    log Z = log Z_0 + log < sum_s exp(-(h(x, s) - h0(x))) >_0.

In a lattice gas a site is empty in its state 0, and the second term is the logarithm of 1 plus the
activity of the site times exp(-mu_ex). On other spaces h0 has the mean of the energy over the
states of the site, which leaves Ising spins uncoupled to it.
"""

import dataclasses
import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl import statistics
from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Estimator, Status
from physdl.estimators._ladder_run import check_settings, ladder_run, rungs
from physdl.estimators._sampled import RELIABLE, at_least, log_mean, required, sampled
from physdl.estimators._start import Start, started
from physdl.estimators.auto import Auto
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import require_finite
from physdl.numerics import logsumexp
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random
from physdl.sampling._resampling import log_weights
from physdl.spaces import Finite

__all__ = ["Widom", "Zwanzig"]

MOST_R_HAT = 1.1
MOST_GAP = 1.0
N_BACK = 4
ROUNDING = 64


@cites("zwanzig1954")
@module
class Zwanzig:
    """log Z by perturbation of a reference, in one step.

    Attributes:
      n_samples: independent configurations of the reference.
      kernel: what moves them towards equilibrium where a reference is given.
      reference: the Hamiltonian they are drawn from; ``None`` is zero, or normal distributions on
        the line.
      reference_log_z: log Z of the reference; ``None`` computes it exactly.

    ``info``: ``"effective_sample_size"``, ``"log_weight_variance"``. The status is ``FEW`` where
    the samples are worth fewer than 20 of equal weight, or their weights too wide for the mean.

    Raises:
      SettingError: fewer than two samples, or no key.
      StructureError: the reference has other sites than h.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.1)
    >>> out = Zwanzig()(h, key=jax.random.key(0))
    >>> bool(abs(out.log_z - reference.kaufman_log_z(4, 4, 0.1)) < 4 * out.stderr)
    True
    """

    n_samples: int = static(default=4096)
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        at_least("perturbation", n_samples=(self.n_samples, 2))

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate, with the reweighted samples as its ensemble."""
        known = jax.lax.stop_gradient(h)
        start_key, key = random.split(required(key))
        start = started(known, self.kernel, self.reference, self.reference_log_z, key=start_key)
        x, log_w = _weighed(start, key, self.n_samples)
        mean, stderr, effective, few = log_mean(log_w)
        return sampled(
            h,
            Ensemble(x[:, None], log_w[:, None], start.log_z + mean + stderr**2 / 2, h=known),
            stderr,
            method=f"perturbation, {self.n_samples} samples",
            status=jnp.where(few, Status.FEW, Status.OK),
            info={
                "effective_sample_size": effective,
                "log_weight_variance": jnp.var(log_w, where=jnp.isfinite(log_w)),
            },
        )

    def larger(self) -> "Zwanzig":
        """Four times the samples."""
        return dataclasses.replace(self, n_samples=4 * self.n_samples)


def _weighed(start: Start, key: Key[Array, ""], n: int) -> tuple[Array, Array]:
    x = start.draw(n, key=key)
    return x, jax.jit(_log_weights)(start, x)


def _log_weights(start: Start, x: Array) -> Array:
    return jax.vmap(lambda x: log_weights(start.path.slope(x), jnp.ones((), x.dtype)))(x)


@cites("widom1963")
@module
class Widom:
    """log Z by inserting one site into the system of all others, kept in equilibrium by tempering.

    Attributes:
      site: the site.
      smaller: the estimator for the system without it.
      empty: which state, by its number, counts as empty; ``None`` takes the mean over all states
        where the energy is a polynomial, and state 0 where there are tables.
      n_states: rungs of the ladder, at equal thermodynamic length of each other.
      n_chains: independent runs of the ladder.
      n_sweeps: sweeps of every replica that are recorded, each followed by exchanges.
      thin: every so many of them are kept.
      n_warmup: sweeps before that.
      kernel: a kernel that moves one configuration; ``HeatBath`` by default.

    The ensemble has every configuration of the smaller system with every state of the site.
    ``info``: ``"log_ratio"``, log Z - log Z_0; ``"log_ratio_back"``, the same from configurations
    of the whole system, by a ladder of their own; ``"smaller"``, log Z_0; ``"r_hat"`` of the
    chains; ``"effective_sample_size"`` of the insertions. The status is that of the smaller system,
    ``UNCONVERGED`` where chains disagree (R-hat above 1.1) or the two directions do (by a nat and 5
    standard errors: configurations of one system are not those of the other), and ``FEW`` where
    insertions are worth fewer than 20.

    Raises:
      SettingError: no such site or state, no other site, a setting out of its range, or no key.
      SpaceError: the space is not finite.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = Widom(site=5)(h, key=jax.random.key(0))
    >>> bool(abs(out.log_z - reference.kaufman_log_z(4, 4, 0.4)) < 4 * out.stderr)
    True
    """

    site: int = static()
    smaller: Estimator = dataclasses.field(default_factory=Auto)
    empty: int | None = static(default=None)
    n_states: int = static(default=8)
    n_chains: int = static(default=8)
    n_sweeps: int = static(default=1000)
    thin: int = static(default=2)
    n_warmup: int = static(default=200)
    kernel: Kernel | None = None

    def __post_init__(self) -> None:
        at_least("an insertion", site=(self.site, 0), empty=(self.empty, 0))
        check_settings(
            self.n_states, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, betas=None
        )

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; its error has that of the smaller system in it."""
        known = jax.lax.stop_gradient(h)
        smaller_key, start_key, place_key, run_key, back_key = random.split(required(key), 5)
        states = self._states(known)
        rest = self._rest(known, states)
        below = self.smaller(rest, key=smaller_key)
        start = started(rest, self.kernel, None, None, key=start_key)
        betas = rungs(start, self.n_states, None, key=place_key)
        _, found = ladder_run(
            start, betas, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, run_key
        )
        x, log_w = _inserted(known, rest, found[-1], states, self.site)
        ratio = logsumexp(log_w) - math.log(log_w[0].size)
        series = jnp.exp(logsumexp(log_w, axis=0) - ratio)
        varies = jnp.ptp(series) > ROUNDING * float(np.finfo(h.dtype).eps)
        tau = jnp.where(varies, statistics.autocorrelation_time(series).value, 0.5)
        effective = jnp.sum(series) ** 2 / jnp.sum(series**2) / jnp.maximum(2 * tau, 1)
        back = self._backwards(known, rest, states, back_key)
        r_hat = jnp.where(varies, statistics.r_hat(series), 1)
        error = jnp.where(varies, statistics.mean(series).stderr, 0)
        status = jnp.where(effective < RELIABLE, jnp.int32(Status.FEW), below.status)
        agree = (r_hat < MOST_R_HAT) & (jnp.abs(back - ratio) < MOST_GAP + 5 * error)
        return sampled(
            h,
            Ensemble(
                x.reshape(-1, *series.shape[1:], *h.state_shape),
                log_w.reshape(-1, *series.shape[1:]),
                below.log_z + ratio,
                h=known,
            ),
            jnp.sqrt(below.stderr**2 + error**2),
            method=f"insertion of site {self.site}; without it: {below.method}",
            status=jnp.where(agree, status, jnp.int32(Status.UNCONVERGED)),
            info={
                "log_ratio": ratio,
                "log_ratio_back": back,
                "smaller": below.log_z,
                "r_hat": r_hat,
                "effective_sample_size": effective,
            },
        )

    def larger(self) -> "Widom":
        """Twice the rungs and sweeps."""
        return dataclasses.replace(self, n_states=2 * self.n_states, n_sweeps=2 * self.n_sweeps)

    def _states(self, h: Hamiltonian) -> Float[Array, " q *event"]:
        space = require_finite(h.space, "an insertion").at(min(self.site, h.n_sites - 1))
        assert isinstance(space, Finite)
        if h.n_sites < 2 or self.site >= h.n_sites or (self.empty or 0) >= space.n_states:
            raise SettingError(
                f"an insertion takes one of two sites or more and one of their states: there are "
                f"{h.n_sites} sites, of {space.n_states} states, got site={self.site} and "
                f"empty={self.empty}."
            )
        return jnp.asarray(space.array, h.dtype).reshape(-1, *h.space.event_shape)

    def _rest(self, h: Hamiltonian, states: Float[Array, " q *event"]) -> Hamiltonian:
        """The Hamiltonian of all other sites, this one being empty."""
        tables = any(isinstance(term, Potential) for term in h.terms.values())
        if self.empty is not None or tables:
            return h.condition({self.site: states[self.empty or 0]})
        parts = [h.condition({self.site: state}) for state in states]
        return functools.reduce(operator.add, parts) / len(parts)

    def _backwards(
        self, h: Hamiltonian, rest: Hamiltonian, states: Float[Array, " q *event"], key: Array
    ) -> Float[Array, ""]:
        """log Z - log Z_0 from configurations of the whole system, by a ladder of its own."""
        start_key, place_key, run_key = random.split(key, 3)
        start = started(h, self.kernel, None, None, key=start_key)
        betas = rungs(start, self.n_states, None, key=place_key)
        n_sweeps = max(self.n_sweeps // N_BACK, self.thin)
        _, found = ladder_run(
            start, betas, self.n_chains, n_sweeps, self.thin, self.n_warmup, run_key
        )
        x = found[-1].reshape(*found.shape[1:3], -1, *h.space.event_shape)
        others = jnp.delete(x, self.site, axis=2).reshape(*x.shape[:2], *rest.state_shape)
        log_w = logsumexp(_inserted(h, rest, others, states, self.site)[1], axis=0)
        return math.log(log_w.size) - logsumexp(-log_w)


@functools.partial(jax.jit, static_argnames=("site",))
def _inserted(
    h: Hamiltonian,
    rest: Hamiltonian,
    x: Float[Array, "n_chains n_draws *rest"],
    states: Float[Array, " q *event"],
    site: int,
) -> tuple[Array, Float[Array, "q n_chains n_draws"]]:
    """Configurations of h for every state of the site, and the logarithms of their weights."""

    def tried(state: Array, x: Array) -> tuple[Array, Array]:
        known = x.reshape(-1, *h.space.event_shape)
        full = jnp.insert(known, site, state, axis=0).reshape(h.state_shape)
        return full, rest(x) - h(full)

    every = jax.vmap(jax.vmap(jax.vmap(tried, (None, 0)), (None, 0)), (0, None))
    found: tuple[Array, Array] = every(states, x)
    return found
