"""What a run returns: series of what was measured, the states, and whether to trust them."""

import enum
from typing import Any

import numpy as np

from physdl.ensemble import Ensemble
from physdl.pytree import module, static
from physdl.sampling._series import Series

__all__ = ["Run", "RunStatus"]

CONVERGED = 1.05


class RunStatus(enum.IntEnum):
    """Why the numbers of a run are or are not to be trusted."""

    OK = 0
    STOPPED = 1
    UNCONVERGED = 2
    NONFINITE = 3

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return {
            RunStatus.OK: "The chains agree; errors hold within their autocorrelation.",
            RunStatus.STOPPED: "The time ran out: start the run again to go on.",
            RunStatus.UNCONVERGED: "R-hat is above 1.05, or there are too few draws: run longer.",
            RunStatus.NONFINITE: "A measurement is NaN or infinite: look at model and step size.",
        }[self]


@module
class Run:
    """What a run measured, and where it stands.

    Attributes:
      observables: name -> block means of what was measured.
      info: name -> the same of what the kernel reports, such as ``"acceptance"``.
      state: the states of the kernel after the last sweep, with a leading axis.
      ensemble: the configurations that were kept, or ``None``.
      n_sweeps: sweeps that were done after the warm-up.
      finished: whether these are all that were asked for.
    """

    observables: dict[str, Series]
    info: dict[str, Series]
    state: Any
    ensemble: Ensemble | None
    n_sweeps: int = static()
    finished: bool = static()

    def __getitem__(self, name: str) -> Series:
        """The series of one observable."""
        return self.observables[name]

    @property
    def status(self) -> RunStatus:
        """The first reason not to trust the numbers."""
        series = self.observables.values()
        if any(not np.all(np.isfinite(s.blocks)) for s in series):
            return RunStatus.NONFINITE
        if not self.finished:
            return RunStatus.STOPPED
        return RunStatus.OK if all(map(_converged, series)) else RunStatus.UNCONVERGED

    def __repr__(self) -> str:
        lines = [f"{self.n_sweeps} sweeps [{self.status.name}]"]
        lines += [f"  {name:16s}{series!r}" for name, series in self.observables.items()]
        return "\n".join(lines)


def _converged(series: Series) -> bool:
    """Whether chains agree in all components that vary at all."""
    blocks = np.asarray(series.blocks)
    varies = blocks.max(axis=(0, 1)) > blocks.min(axis=(0, 1))
    return bool(np.all((np.asarray(series.r_hat) <= CONVERGED) | ~varies))
