"""Free energies along a line of couplings: error bars, the band between bounds, the exact curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from physdl.errors import ShapeError
from physdl.estimators import Estimate, Status
from physdl.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["free_energy_curve"]


def free_energy_curve(
    coupling: ArrayLike,
    found: Estimate | Sequence[Estimate],
    *,
    exact: tuple[ArrayLike, ArrayLike] | None = None,
    name: str = "",
    xlabel: str = "$K$",
    number: int = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """-ln Z / N in k_B T against a coupling, with standard errors and the band between bounds.

    Estimates whose status is not OK are hollow. Where an estimate has one bound the band reaches
    from there to the value.

    Args:
      coupling: [n].
      found: n estimates, or one with a leading axis of n as ``jax.vmap`` returns it.
      exact: couplings and log Z of the whole system there, a line.
      name: of the method, for the legend.
      xlabel: the coupling as the label of the axis.
      number: of the curve, which chooses its colour and marker; call again with the axes for more.
      ax: the axes to draw on.

    Raises:
      ShapeError: there are not as many estimates as couplings.

    >>> from physdl import estimators, lattices, models, plotting
    >>> ring = lattices.chain(4)
    >>> found = [estimators.Enumeration()(models.ising(ring, k)) for k in (0.0, 0.5)]
    >>> ax = plotting.free_energy_curve([0.0, 0.5], found, ax=plotting.new_axes())
    >>> [round(float(f), 4) for f in ax.lines[0].get_ydata()]
    [-0.6931, -0.8244]
    """
    k = np.asarray(coupling, dtype=np.float64)
    rows = [found] if isinstance(found, Estimate) else list(found)
    columns = {
        field: np.concatenate([np.atleast_1d(np.asarray(getattr(e, field))) for e in rows])
        for field in ("log_z", "stderr", "lower", "upper", "status")
    }
    if k.ndim != 1 or not rows or len(columns["log_z"]) != len(k):
        n = len(columns["log_z"]) if rows else 0
        raise ShapeError(f"{n} estimates were given for couplings of shape {k.shape}.")
    n_sites = max(rows[0].n_sites, 1)
    free = -columns["log_z"] / n_sites
    ax = _axes.axes_of(ax)
    if exact is not None:
        x, log_z = (np.asarray(a, dtype=np.float64) for a in exact)
        ax.plot(x, -log_z / n_sites, color=_axes.GREY, lw=1.4, zorder=0, label="exact")
    colour = _axes.colour(number)
    bounds = [-columns[side] / n_sites for side in ("upper", "lower")]
    low, high = (np.where(np.isfinite(b), b, free) for b in bounds)
    if np.any(low != high):
        ax.fill_between(k, low, high, color=colour, alpha=0.25, lw=0, label="bounds")
    error = np.where(np.isfinite(columns["stderr"]), columns["stderr"], 0.0) / n_sites
    trusted = columns["status"] == Status.OK
    ax.plot(k, free, lw=0.8, color=colour, alpha=0.6)
    for good in (True, False):
        at = np.flatnonzero((trusted == good) & np.isfinite(free))
        if len(at):
            ax.errorbar(
                k[at],
                free[at],
                error[at],
                fmt=_axes.marker(number),
                ms=4,
                color=colour,
                mfc=colour if good else "none",
                label=name or None if good else "not OK",
            )
    ax.set(xlabel=xlabel, ylabel=r"$-\ln Z / N$ ($k_B T$)")
    _axes.legend(ax, n_columns=4)
    return ax
