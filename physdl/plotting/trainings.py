"""The course of a training: losses step by step, and what was monitored."""

from typing import TYPE_CHECKING, Any

import numpy as np

from physdl.errors import SettingError
from physdl.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from physdl.learning import Training

__all__ = ["training"]


def training(
    found: "Training[Any]",
    *,
    every: int | None = None,
    loss: str = "loss",
    monitor: str = "monitor",
    ax: "Axes | None" = None,
) -> "Axes":
    """Losses against steps, one line a run; on a logarithmic axis where all are positive.

    Numbers of the monitor stand on an axis of their own to the right. Losses that are not finite
    are gaps.

    Args:
      found: of ``learning.train``, ``fit`` or ``train_boltzmann``; ensembles have an axis of runs.
      every: steps between two looks of the monitor; all steps over all looks by default.
      loss: the name of the objective, the label of the axis.
      monitor: the name of what was monitored.
      ax: the axes to draw on.

    Raises:
      SettingError: ``every`` is below 1.

    >>> import jax.numpy as jnp
    >>> from physdl import learning, plotting
    >>> status = jnp.array(0, jnp.int32)
    >>> found = learning.Training(None, jnp.array([4.0, 2.0, 1.0]), status, status)
    >>> plotting.training(found, ax=plotting.new_axes()).get_yscale()
    'log'
    """
    if every is not None and every < 1:
        raise SettingError(f"a monitor looks every 1 step or more, got every={every}.")
    losses = np.atleast_2d(np.asarray(found.losses, dtype=np.float64))
    ax = _axes.axes_of(ax)
    steps = np.arange(losses.shape[1])
    known = np.isfinite(losses)
    for row in np.where(known, losses, np.nan):
        ax.plot(steps, row, lw=0.8, color=_axes.colour(0), alpha=0.8)
    ax.lines[-1].set_label(loss)
    if np.all(losses[known] > 0):
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel=loss)
    if found.monitored is not None:
        looks = np.atleast_2d(np.asarray(found.monitored, dtype=np.float64))
        stride = -(-losses.shape[1] // looks.shape[1]) if every is None else every
        at = np.minimum(stride * (np.arange(looks.shape[1]) + 1), losses.shape[1])
        right = ax.twinx()
        for row in looks:
            right.plot(at, row, ".-", ms=5, lw=1, color=_axes.colour(1))
        right.lines[-1].set_label(monitor)
        right.set_ylabel(monitor)
        right.spines["right"].set_visible(True)
        _axes.legend(ax, lines=[ax.lines[-1], right.lines[-1]])
    return ax
