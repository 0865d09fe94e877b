r"""Observables from a Markov chain, and those that are functions of their means.

    C / N = var(H) / N,      chi = N (<m^2> - <|m|>^2),      U = 1 - <m^4> / (3 <m^2>^2)

with m the order parameter per site (``sampling.OrderParameter``); errors of functions by jackknife.
"""

import functools
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key
from numpy.typing import NDArray

from physdl import sampling
from physdl.errors import PhysdlError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.sampling import Run, jackknife
from physdl.statistics import Mean

__all__ = ["Measured", "derived", "measure"]

N_SWEEPS = 2000
N_CHAINS = 8
TIMED = 0.5


@dataclass(frozen=True)
class Measured:
    """What a chain of local moves saw.

    Attributes:
      kernel: the moves, in words.
      run: series of the energy and of powers of the order parameter.
      derived: specific heat, susceptibility and Binder's cumulant with their errors.
      state: the last configuration of the first chain.
      n_sites: number of sites.
    """

    kernel: str
    run: Run
    derived: dict[str, Mean]
    state: NDArray[np.floating[Any]]
    n_sites: int

    def rows(self) -> list[tuple[str, float, float]]:
        """(name, value, standard error); the energy per site."""
        energy = self.run["energy"].mean
        out = [("energy per site", energy.value / self.n_sites, energy.stderr / self.n_sites)]
        out += [
            (name, self.run[name].mean.value, self.run[name].mean.stderr)
            for name in ("abs_m", "m2", "m4")
        ]
        out += [(name, mean.value, mean.stderr) for name, mean in self.derived.items()]
        return [(name, float(value), float(error)) for name, value, error in out]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers."""
        return {
            "kernel": self.kernel,
            "n_sweeps": self.run.n_sweeps,
            "status": self.run.status.name,
            "observables": {name: {"value": v, "stderr": e} for name, v, e in self.rows()},
        }


def derived(run: Run, n_sites: int) -> dict[str, Mean]:
    """Quantities that are functions of means, with errors by jackknife; none of a short run."""
    energy, abs_m, m2, m4 = (run[name] for name in ("energy", "abs_m", "m2", "m4"))
    try:
        return {
            "specific_heat": jackknife(lambda e: (e[1] - e[0] ** 2) / n_sites, [energy]),
            "susceptibility": jackknife(lambda a, b: n_sites * (b[0] - a[0] ** 2), [abs_m, m2]),
            "binder": jackknife(lambda b, c: 1 - c[0] / (3 * b[0] ** 2), [m2, m4]),
        }
    except ShapeError:
        return {}


def measure(h: Hamiltonian, *, seconds: float, key: Key[Array, ""]) -> tuple[Measured | str, float]:
    """A run of local moves that ends within about so many seconds, or why there is none.

    With it the seconds that a sweep of one chain takes, timed anew since the run has compilation in
    it; 0 where that is too short to tell.
    """
    if h.n_sites == 0:
        return "there is no site to move.", 0.0
    tune_key, run_key = jax.random.split(key)
    try:
        kernel = sampling.suitable_kernel(h, key=tune_key)
        swept = functools.partial(
            sampling.run, kernel, h, key=run_key, n_sweeps=N_SWEEPS, n_chains=N_CHAINS, n_kept=1
        )
        run = swept(max_seconds=max(seconds, 1.0))
        start = time.monotonic()
        again = swept(n_warmup=0, max_seconds=TIMED)
    except PhysdlError as error:
        return str(error), 0.0
    spent = time.monotonic() - start
    spent = 0.0 if again.finished else spent / (N_CHAINS * max(again.n_sweeps, 1))
    if run.ensemble is None:
        return "the time ended before the chains were warm: give a larger budget.", spent
    state = np.asarray(run.ensemble.states.reshape(-1, *h.state_shape)[0])
    name = type(kernel).__name__
    return Measured(name, run, derived(run, h.n_sites), state, h.n_sites), spent
