r"""log Z from samples at many places of a path, all of them used for every place.

Parallel tempering samples the Hamiltonians H_b = h0 + b (h - h0) at the rungs of a ladder from a
reference with known log Z, b = 0, to h, b = 1. The differences of log Z between rungs are those of
greatest likelihood given all samples,

    Z_k = sum_n exp(-b_k D_n) / sum_l n_l exp(-b_l D_n) / Z_l,       D = h - h0,

the multistate Bennett acceptance ratio: M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105
(2008). Among estimators that use nothing but the energies of these samples it has the least
variance. The samples of all rungs, weighted for b = 1, are an ensemble of h.

Configurations that h forbids and the reference allows may occur at b = 0 and nowhere else.

Rungs must overlap. O_kl is the mean probability, under rung k, that a sample is of rung l. Where
that of neighbours is below 0.03 the error is no longer to be trusted (P. V. Klimovich, M. R. Shirts
and D. L. Mobley, J. Comput.-Aided Mol. Des. 29, 397 (2015)). In a dense ladder O is spread over
many rungs, so what counts here is all that crosses a gap, the sum of O_kl over rungs k below and l
above it, which is the same where only neighbours overlap. If it is below 0.03 the status is
``GAP``.
"""

import dataclasses

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.estimators._base import Estimate
from physdl.estimators._ladder_estimate import centred, ladder_estimate
from physdl.estimators._ladder_run import check_settings, ladder_run, rungs
from physdl.estimators._sampled import required
from physdl.estimators._start import started
from physdl.estimators.multistate import mbar
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import Kernel
from physdl.sampling import _random as random

__all__ = ["MBAR"]


@cites("shirts2008")
@module
class MBAR:
    """log Z by parallel tempering and multistate reweighting of all its samples.

    Information: ``"betas"`` and ``"path_log_z"``, log Z of every rung, [K]; ``"overlap"`` across
    every gap of the ladder, [K - 1], and ``"gap"``, where it is least; ``"r_hat"`` and
    ``"n_effective"``, the worse one of the series of errors and of h - h0 at b = 1.

    Status: ``GAP`` where rungs overlap less than 0.03 across a gap; ``UNCONVERGED`` where chains
    disagree (R-hat above 1.1), where they are worth fewer than 20 independent draws, or where
    forbidden configurations are left above the lowest rung; ``FEW`` where b = 1 has fewer than 20
    equal weights.

    Attributes:
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

    >>> import jax.numpy as jnp
    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.chain(8), 1.0)
    >>> estimate = MBAR(n_states=6, n_sweeps=400)(h, key=jax.random.key(0))
    >>> exact = jnp.logaddexp(8 * jnp.log(2 * jnp.cosh(1.0)), 8 * jnp.log(2 * jnp.sinh(1.0)))
    >>> bool(abs(estimate.log_z - exact) < 4 * estimate.stderr), int(estimate.status)
    (True, 0)
    """

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
        check_settings(
            self.n_states, self.n_chains, self.n_sweeps, self.thin, self.n_warmup, self.betas
        )

    def larger(self) -> "MBAR":
        """Twice the rungs and sweeps."""
        n_states = self.n_states if self.betas is not None else 2 * self.n_states
        return dataclasses.replace(self, n_states=n_states, n_sweeps=2 * self.n_sweeps)

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
        drawn = np.full(k, n_chains * n_draws)
        found = mbar(betas[:, None], data.reshape(-1, 1), drawn)
        log_z = start.log_z + found.log_z - betas * centre
        weights = found.log_weights(betas[-1:]).reshape(k * n_chains, n_draws)
        chains = states.reshape(k * n_chains, n_draws, *h.state_shape)
        estimate: Estimate = ladder_estimate(
            h,
            Ensemble(chains, weights, log_z[-1], h=known),
            found,
            slopes,
            found.influence().reshape(slopes.shape),
            method="multistate Bennett acceptance ratio",
            info={"betas": betas, "path_log_z": log_z},
        )
        return estimate
