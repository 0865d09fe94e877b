"""Until the error is small enough, or the time is over: repeated runs of a sampled estimator.

Independent runs with the same settings have the mean

    log Z = (1 / m) sum_i log Z_i,        stderr^2 = sum_i s_i^2 / m^2,

and cost no new compilation. A run that says it cannot be trusted is not repeated but made larger:
more temperatures, chains or sweeps, as its ``larger`` has it.
"""

import dataclasses
import itertools
import math
import time
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from physdl.errors import PhysdlError, SettingError
from physdl.estimators._base import Estimate, Estimator, Status
from physdl.estimators._sampled import required
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random

__all__ = ["Refined"]

HOPELESS = (Status.ZERO, Status.NONFINITE, Status.DIVERGENT)
MOST_GROWTH = 12


@module
class Refined:
    """Runs an estimator again and again until its error or the time is reached.

    At least one run is made; another one only if it fits into the time that is left, as long as the
    last one or twice as long where it grows. Derivatives of the estimate are those of its first
    run. ``info`` has the ``"n_runs"`` that were joined.

    Attributes:
      estimator: any estimator; one with a method ``larger`` grows while it is not to be trusted.
      stderr: the wanted standard error of log Z, in nats.
      seconds: the time, compilation included.

    Raises:
      SettingError: neither limit is given, one is not positive, or there is no key.
      PhysdlError: h is traced: this is a loop on the host.

    >>> import jax
    >>> from physdl import estimators, lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = Refined(estimators.AIS(n_chains=64), stderr=0.02)(h, key=jax.random.key(0))
    >>> bool(out.stderr <= 0.02), bool(abs(out.log_z - 14.5610634) < 0.08)
    (True, True)
    """

    estimator: Estimator
    stderr: float | None = static(default=None)
    seconds: float | None = static(default=None)

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.stderr, self.seconds) if limit is not None]
        if not limits or not all(limit > 0 for limit in limits):
            raise SettingError(
                f"refining needs a positive stderr, seconds, or both, got {self.stderr!r} and "
                f"{self.seconds!r}."
            )

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The mean of the runs."""
        if is_traced(h):
            raise PhysdlError(
                "refining is a loop on the host and takes known coefficients: inside jit, vmap or "
                "grad call the estimator itself."
            )
        end = time.monotonic() + (math.inf if self.seconds is None else self.seconds)
        key, estimator = required(key), self.estimator
        runs: list[Estimate] = []
        for number in itertools.count():
            began = time.monotonic()
            latest = estimator(h, key=random.folded(key, jnp.asarray(number)))
            status = Status(int(latest.status))
            cost = time.monotonic() - began
            runs.append(dataclasses.replace(latest, ensemble=None) if runs else latest)
            grows = status is not Status.OK
            error = math.hypot(*(float(run.stderr) for run in runs)) / len(runs)
            done = not grows and error <= (self.stderr or 0)
            hopeless = status in HOPELESS or (grows and number >= MOST_GROWTH)
            if done or hopeless or (2 if grows else 1) * cost > end - time.monotonic():
                return _joined(runs)
            if grows and isinstance(estimator, Growing):
                estimator, runs = estimator.larger(), []
        raise AssertionError("counting does not end")


@runtime_checkable
class Growing(Estimator, Protocol):
    """An estimator that knows how to spend more."""

    def larger(self) -> Any:
        """The same estimator with about twice the effort."""
        ...


def _joined(runs: list[Estimate]) -> Estimate:
    """The mean of runs, of their bounds too, with the worst of their statuses."""
    first, n = runs[0], len(runs)
    mean = {
        name: float(np.mean([float(getattr(run, name)) for run in runs]))
        for name in ("log_z", "lower", "upper")
    }
    shift = mean["log_z"] - float(first.log_z)
    of, like = first.ensemble, jnp.zeros_like(first.log_z)
    return dataclasses.replace(
        first,
        log_z=first.log_z + shift,
        stderr=like + math.hypot(*(float(run.stderr) for run in runs)) / n,
        lower=like + mean["lower"],
        upper=like + mean["upper"],
        status=jnp.asarray(max(int(run.status) for run in runs), jnp.int32),
        info={**first.info, "n_runs": jnp.asarray(n)},
        ensemble=of and dataclasses.replace(of, log_z=of.log_z + shift),
    )
