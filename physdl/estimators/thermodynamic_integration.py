r"""Thermodynamic integration: log Z from mean energies along a path.

With H_b = h0 + b D, D = h - h0, and log Z_0 known,

    log Z = log Z_0 - integral_0^1 <D>_b db,        d<D>_b / db = -Var_b(D) = -kappa_2.

Two rules take the integral from a finite number of places, all of them rungs of parallel tempering:

- ``"gauss-legendre"``: n nodes, exact for polynomials of degree 2 n - 1. Integrating by parts gives
  <D>_1 + integral b Var_b(D) db, where other errors enter; where the two values differ by more than
  the chains allow, the nodes do not resolve the path.
- ``"adaptive"``: places of equal thermodynamic length, and the trapezoidal rule with the cumulants
  kappa of D as end corrections,

      integral over h of <D> = h (f + f') / 2 - h^2 (kappa_2 - kappa_2') / 10
                               + h^3 (kappa_3 + kappa_3') / 120 + O(h^7),

  where f = <D>, and primes are at the upper end; the difference from the rule without kappa_3,
  h (f + f') / 2 - h^2 (kappa_2 - kappa_2') / 12 + O(h^5), tells how fine the places are.

Sources: J. G. Kirkwood, J. Chem. Phys. 3, 300 (1935); D. Frenkel and B. Smit, Understanding
Molecular Simulation (2002), section 7.1.

Configurations that h forbids and the reference allows may occur at b = 0 and nowhere else: the
logarithm of the share that is allowed there is added.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status
from physdl.estimators._ladder_estimate import MOST_R_HAT, health
from physdl.estimators._ladder_run import check_settings, ladder_run, rungs
from physdl.estimators._sampled import RELIABLE, at_least, required, sampled
from physdl.estimators._start import started
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random

__all__ = ["ThermodynamicIntegration"]

RULES = ("adaptive", "gauss-legendre")


@cites("kirkwood1935")
@module
class ThermodynamicIntegration:
    """log Z by integrating mean energies along a path.

    Attributes:
      n_nodes: places on the path.
      rule: ``"adaptive"`` or ``"gauss-legendre"``.
      n_chains: independent runs of the ladder of places.
      n_sweeps: sweeps of every replica that are recorded, each followed by exchanges.
      thin: every so many of them are kept.
      n_warmup: sweeps before that.
      kernel: a kernel that moves one configuration; ``None`` takes ``HeatBath`` where sites can be
        drawn, else ``Metropolis`` with a tuned step.
      reference: the Hamiltonian at b = 0; ``None`` is zero, or normal distributions on the line.
      reference_log_z: log Z of the reference; ``None`` computes it exactly.

    The ensemble is that of the chains at b = 1. ``info``: ``"betas"``; ``"mean"`` and
    ``"variance"`` of D there, [K]; ``"quadrature"``, the value of the rule minus that of the other
    one, and ``"r_hat"`` of the chains.

    Status: ``QUADRATURE`` where the two rules differ by more than the chains explain;
    ``UNCONVERGED`` where chains disagree (R-hat above 1.1), are worth fewer than 20 draws, or
    forbidden configurations are left above b = 0.

    Raises:
      SettingError: a setting out of its range, a single node, or no key.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = ThermodynamicIntegration(n_nodes=8)(h, key=jax.random.key(0))
    >>> bool(abs(out.log_z - reference.kaufman_log_z(4, 4, 0.4)) < 4 * out.stderr)
    True
    """

    n_nodes: int = static(default=16)
    rule: str = static(default="adaptive")
    n_chains: int = static(default=8)
    n_sweeps: int = static(default=1000)
    thin: int = static(default=2)
    n_warmup: int = static(default=200)
    kernel: Kernel | None = None
    reference: Hamiltonian | None = None
    reference_log_z: ArrayLike | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise SettingError(f"the rule is 'adaptive' or 'gauss-legendre', got {self.rule!r}.")
        at_least("thermodynamic integration", n_nodes=(self.n_nodes, 2))
        check_settings(
            self.n_nodes, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, betas=None
        )

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate, with the chains at b = 1 as its ensemble."""
        known = jax.lax.stop_gradient(h)
        start_key, place_key, run_key = random.split(required(key), 3)
        start = started(known, self.kernel, self.reference, self.reference_log_z, key=start_key)
        if self.rule == "adaptive":
            betas = rungs(start, self.n_nodes, None, key=place_key)
            rule, other = _trapezoidal(betas)
        else:
            betas, rule, other = _gauss_legendre(self.n_nodes, h.dtype)
        slopes, states = ladder_run(
            start, betas, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, run_key
        )
        cumulants, influence, allowed = _cumulants(slopes)
        series = jnp.einsum("jk,jkct->ct", rule, influence)
        apart = jnp.einsum("jk,jkct->ct", rule - other, influence)
        difference = jnp.sum((rule - other) * cumulants)
        n = series.size
        size = jnp.max(jnp.abs(cumulants))
        (r_hat, n_effective, error), (_, _, noise) = health(series, size), health(apart, size)
        stderr = error / n
        tolerance = jnp.maximum(4 * noise / n, stderr)
        forbidden = jnp.any(jnp.isposinf(slopes[1:]))
        stuck = ~(r_hat < MOST_R_HAT) | (n_effective < RELIABLE)
        status = jnp.where(jnp.abs(difference) > tolerance, Status.QUADRATURE, Status.OK)
        log_z = start.log_z + jnp.log(allowed) - jnp.sum(rule * cumulants)
        return sampled(
            h,
            Ensemble(states[-1], log_z=log_z, h=known),
            jnp.sqrt(stderr**2 + (1 - allowed) / (allowed * n)),
            method=f"thermodynamic integration, {self.rule}, {self.n_nodes} nodes",
            status=jnp.where(stuck | forbidden, Status.UNCONVERGED, status),
            info={
                "betas": betas,
                "mean": cumulants[0],
                "variance": cumulants[1],
                "quadrature": -difference,
                "r_hat": r_hat,
            },
        )

    def larger(self) -> "ThermodynamicIntegration":
        """Twice the nodes and sweeps."""
        return dataclasses.replace(self, n_nodes=2 * self.n_nodes, n_sweeps=2 * self.n_sweeps)


def _gauss_legendre(
    n: int, dtype: jnp.dtype
) -> tuple[Float[Array, " K"], Float[Array, "3 K"], Float[Array, "3 K"]]:
    """Places with both ends, the weights of the first three cumulants, and those by parts."""
    x, w = np.polynomial.legendre.leggauss(n)
    betas = np.concatenate([[0.0], (1 + x) / 2, [1.0]])
    weights = np.concatenate([[0.0], w / 2, [0.0]])
    zero, last = np.zeros(n + 2), np.eye(n + 2)[-1]
    rules = [[weights, zero, zero], [last, weights * betas, zero]]
    rule, by_parts = jnp.asarray(np.array(rules), dtype)
    return jnp.asarray(betas, dtype), rule, by_parts


def _trapezoidal(betas: Float[Array, " K"]) -> tuple[Float[Array, "3 K"], Float[Array, "3 K"]]:
    """Weights of the first three cumulants, with and without end corrections of the third."""
    stride = jnp.diff(betas)

    def ends(power: int, sign: int, divisor: int) -> Float[Array, " K"]:
        part = stride**power / divisor
        return jnp.pad(part, (0, 1)) + sign * jnp.pad(part, (1, 0))

    first = ends(1, 1, 2)
    fine = jnp.stack([first, -ends(2, -1, 10), ends(3, 1, 120)])
    return fine, jnp.stack([first, -ends(2, -1, 12), jnp.zeros_like(first)])


def _cumulants(
    slopes: Float[Array, "K n_chains n_draws"],
) -> tuple[Float[Array, "3 K"], Float[Array, "3 K n_chains n_draws"], Float[Array, ""]]:
    """Cumulants of D at every place, what each draw adds to them, and the share allowed at b = 0.

    The influence of a draw with the deviation d on the cumulants is d, d^2 - kappa_2 and d^3 -
    kappa_3 - 3 kappa_2 d; that of a forbidden draw is none.
    """
    finite = jnp.isfinite(slopes)
    mean = jnp.mean(slopes, axis=(1, 2), where=finite)
    d = jnp.where(finite, slopes - mean[:, None, None], 0)
    powers = jnp.stack([d, d**2, d**3])
    share = jnp.mean(finite.astype(slopes.dtype), axis=(1, 2))
    moments = jnp.mean(powers, axis=(2, 3)) / share[None]
    cumulants = moments.at[0].set(mean)
    drift = jnp.stack([jnp.zeros_like(d), jnp.zeros_like(d), 3 * moments[1][:, None, None] * d])
    centred = powers - moments.at[0].set(0)[:, :, None, None] - drift
    return cumulants, jnp.where(finite[None], centred, 0) / share[None, :, None, None], share[0]
