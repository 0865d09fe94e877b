r"""The ladder of parallel tempering, tuned.

Neighbours b < b' exchange configurations with probability min(1, exp((b' - b) (D' - D))). The mean
rejection r of a pair is, to third order in b' - b, the integral of the *local barrier* lambda(b) =
E|D - D'| / 2 (two independent draws at b), whose integral over the path is the *communication
barrier* Lambda: S. Syed, A. Bouchard-Cote, G. Deligiannidis and A. Doucet, J. R. Stat. Soc. B 84,
321 (2022), sections 4 and 5. Here the distance is read off the rejection as

    Lambda(b') - Lambda(b) = 2 erfinv(r) / sqrt(pi) = r + O(r^3),

which is exact where D is normal with a variance that does not change from b to b', as it is nearly
in large systems: so coarse ladders give the barrier too.

Rungs at equal distances of Lambda(b) have equal rejections, which make most round trips for their
number.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key
from numpy.typing import NDArray

from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import IntArray
from physdl.sampling import _random as random
from physdl.sampling._kernel import random_configuration
from physdl.sampling.tempering import ParallelTempering, Replicas

__all__ = [
    "best_round_trip_rate",
    "cumulative_barrier",
    "equalised",
    "round_trip_rate",
    "tune_ladder",
]

SMALLEST_REJECTION, LARGEST_REJECTION = 1e-4, 0.99

Vector = NDArray[np.float64]


@jax.jit
def _advanced(
    tempering: ParallelTempering,
    h: Hamiltonian,
    state: Replicas,
    n_rounds: int,
    key: Key[Array, ""],
) -> Replicas:
    def round_of(_: Int[Array, ""], state: Replicas) -> Replicas:
        return tempering(h, state, key=random.folded(key, state.n_rounds))[0]

    after: Replicas = jax.lax.fori_loop(0, n_rounds, round_of, state)
    return after


def tune_ladder(
    tempering: ParallelTempering,
    h: Hamiltonian,
    *,
    key: Key[Array, ""],
    n_rounds: int = 6,
    n_sweeps: int = 64,
    state: Replicas | None = None,
    n_replicas: int | None = None,
) -> tuple[ParallelTempering, dict[str, Any]]:
    """The ladder with equal rejections between neighbours, found from those of trial runs.

    The first run has ``n_sweeps`` sweeps, and each further one twice as many. The mean rejections
    of a run give the cumulative barrier Lambda(b), and rungs at equal distances of Lambda are the
    next ladder. The last run measures and changes nothing, so all numbers below are those of the
    ladder returned.

    Args:
      tempering: where to begin; a few rungs will do.
      h: the Hamiltonian at b = 1.
      key: a random key.
      n_rounds: how many runs.
      n_sweeps: calls of ``tempering`` in the first run.
      state: replicas to begin with; random ones otherwise.
      n_replicas: the number of rungs; ``None`` chooses 2 Lambda + 1, rounded up.

    Returns:
      The tuned ``ParallelTempering`` and a dictionary: ``"rejection"`` of each pair, [K - 1];
      ``"cumulative_barrier"``, [K], and the ``"barrier"`` Lambda, its last entry;
      ``"best_n_replicas"``, 2 Lambda + 1 rounded up; ``"round_trip_rate"``, round trips per call in
      the second half of the last run (in the first, replicas are on their first way);
      ``"predicted_round_trip_rate"``, if replicas forgot their energies in one sweep;
      ``"best_round_trip_rate"``, 1 / (2 + 2 Lambda); and the ``"state"`` of the last run.

    Raises:
      SettingError: fewer than two runs, no sweeps, or fewer than two replicas.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.square(4, 4), 0.6)
    >>> begin = ParallelTempering(sampling.HeatBath(), [0.0, 0.1, 0.3, 1.0])
    >>> tuned, info = tune_ladder(begin, h, key=jax.random.key(0), n_rounds=5, n_replicas=4)
    >>> tuned.betas.shape, bool(jnp.ptp(info["rejection"]) < 0.1)
    ((4,), True)
    """
    for name, value, least in (("n_rounds", n_rounds, 2), ("n_sweeps", n_sweeps, 1)):
        if value < least:
            raise SettingError(f"tuning a ladder takes {name} of {least} or more, got {value}.")
    if n_replicas is not None and n_replicas < 2:
        raise SettingError(f"a ladder has two rungs or more, got n_replicas={n_replicas}.")
    start_key, init_key, key = random.split(key, 3)
    keys = random.split(start_key, tempering.n_replicas)
    x = jax.vmap(lambda key: random_configuration(h, key=key))(keys)
    x = x if state is None else state.configurations
    for run, run_key in enumerate(random.split(key, n_rounds)):
        begin, half = tempering.init(h, x, key=init_key), n_sweeps * 2**run // 2
        middle = _advanced(tempering, h, begin, half, run_key)
        replicas = _advanced(tempering, h, middle, n_sweeps * 2**run - half, run_key)
        rejection = 1 - np.asarray(replicas.acceptance, dtype=float)
        if run < n_rounds - 1:
            tempering, nearest = _moved(tempering, rejection, n_replicas)
            x = replicas.configurations[nearest]
    return tempering, _report(rejection, middle, replicas)


def _moved(
    tempering: ParallelTempering, rejection: Vector, n_replicas: int | None
) -> tuple[ParallelTempering, IntArray]:
    """The next ladder, and for each of its rungs the nearest old one.

    A number of rungs that is right within one is kept: another one compiles again.
    """
    old, n = np.asarray(tempering.betas, dtype=float), n_replicas
    if n is None:
        wanted = _best_n_replicas(rejection)
        n = wanted if abs(wanted - len(old)) > 1 else len(old)
    new = equalised(old, rejection, n)
    nearest: IntArray = np.argmin(np.abs(new[:, None] - old), axis=1)
    return dataclasses.replace(tempering, betas=jnp.asarray(new)), nearest


def _report(rejection: Vector, middle: Replicas, state: Replicas) -> dict[str, Any]:
    barrier = cumulative_barrier(rejection)
    total = float(barrier[-1])
    trips = int(state.round_trips) - int(middle.round_trips)
    return {
        "rejection": jnp.asarray(rejection),
        "cumulative_barrier": jnp.asarray(barrier),
        "barrier": jnp.asarray(total),
        "best_n_replicas": jnp.asarray(_best_n_replicas(rejection)),
        "round_trip_rate": jnp.asarray(trips / (int(state.n_rounds) - int(middle.n_rounds))),
        "predicted_round_trip_rate": jnp.asarray(round_trip_rate(rejection)),
        "best_round_trip_rate": jnp.asarray(best_round_trip_rate(total)),
        "state": state,
    }


def cumulative_barrier(rejection: Vector) -> Vector:
    """Lambda(b) at every rung, [K], from the rejections of its pairs, [K - 1]."""
    from scipy.special import erfinv

    distance = erfinv(np.clip(rejection, SMALLEST_REJECTION, LARGEST_REJECTION))
    return np.concatenate([[0.0], np.cumsum(2 / math.sqrt(math.pi) * distance)])


def equalised(betas: Vector, rejection: Vector, n_replicas: int) -> Vector:
    """The ladder of so many rungs between which Lambda(b) increases by equal amounts.

    Between the rungs b(Lambda) is a monotone cubic (F. N. Fritsch and R. E. Carlson, SIAM J. Numer.
    Anal. 17, 238 (1980)).

    >>> equalised(np.array([0.0, 0.5, 1.0]), np.array([0.3, 0.3]), 5).round(6).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    from scipy.interpolate import PchipInterpolator

    barrier = cumulative_barrier(rejection)
    rungs = np.linspace(0.0, barrier[-1], n_replicas)
    inner = PchipInterpolator(barrier, betas)(rungs[1:-1])
    return np.concatenate([betas[:1], inner, betas[-1:]])


def _best_n_replicas(rejection: Vector) -> int:
    barrier = float(cumulative_barrier(rejection)[-1])
    return max(2, math.ceil(2 * barrier) + 1)


def round_trip_rate(rejection: Vector) -> float:
    """Round trips per round of swaps with these rejections, 1 / (2 + 2 sum r / (1 - r)).

    For alternating even and odd swaps of configurations that are independent from one round to the
    next (Syed et al. 2022, section 4).
    """
    r = np.clip(rejection, 0.0, 1.0)
    if np.any(r == 1):
        return 0.0
    return float(1 / (2 + 2 * np.sum(r / (1 - r))))


def best_round_trip_rate(barrier: float) -> float:
    """What infinitely many replicas reach, 1 / (2 + 2 Lambda)."""
    return 1 / (2 + 2 * barrier)
