"""log Z by several methods side by side: error bars, bounds as brackets, and what not to trust."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physdl.errors import SettingError, ShapeError
from physdl.estimators import Estimate, Status
from physdl.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["estimates"]

BRACKETS = {"lower": "$[$", "upper": "$]$"}


def estimates(
    found: Mapping[str, Estimate],
    *,
    exact: float | None = None,
    n_sites: int = 1,
    ax: "Axes | None" = None,
) -> "Axes":
    """Estimates of log Z, one a row: standard errors as bars, bounds as brackets.

    A hollow dot is one whose status is not OK; its name says which. Bounds that are the value
    itself, and values that are not finite, are not drawn.

    Args:
      found: name -> estimate, in the order of the rows from the top.
      exact: log Z if it is known, a line.
      n_sites: divide all by this; with the number of sites all are per site.
      ax: the axes to draw on.

    Raises:
      SettingError: there is no estimate, or ``n_sites`` is below 1.
      ShapeError: an estimate is a batch.

    >>> from physdl import estimators, lattices, models, plotting
    >>> h = models.ising(lattices.square(3, 3), 0.4)
    >>> ax = plotting.estimates({"TAP": estimators.TAP()(h)}, exact=9.0, ax=plotting.new_axes())
    >>> ax.get_xlabel(), [label.get_text() for label in ax.get_yticklabels()]
    ('$\\\\ln Z$ (nats)', ['TAP'])
    """
    if not found:
        raise SettingError("a picture of estimates needs one or more, got none.")
    if n_sites < 1:
        raise SettingError(f"log Z is divided by 1 site or more, got n_sites={n_sites}.")
    for name, estimate in found.items():
        if np.ndim(estimate.log_z):
            raise ShapeError(
                f"estimate {name!r} is a batch of shape {np.shape(estimate.log_z)}: give one."
            )
    ax = _axes.axes_of(ax, figsize=(5.0, 0.9 + 0.36 * len(found)))
    names = []
    for row, (name, estimate) in enumerate(found.items()):
        status = Status(int(estimate.status))
        names.append(name if status is Status.OK else f"{name} [{status.name}]")
        _row(ax, row, estimate, n_sites, trusted=status is Status.OK)
    if exact is not None:
        ax.axvline(float(exact) / n_sites, color=_axes.GREY, lw=1, ls="--", zorder=0, label="exact")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(r"$\ln Z$ (nats)" if n_sites == 1 else r"$\ln Z / N$ (nats per site)")
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.locator_params(axis="x", nbins=5)
    _axes.legend(ax)
    return ax


def _row(ax: Any, row: int, estimate: Estimate, n_sites: int, *, trusted: bool) -> None:
    value, colour = float(estimate.log_z) / n_sites, _axes.colour(0 if trusted else 1)
    error = float(estimate.stderr) / n_sites
    for side, bracket in BRACKETS.items():
        bound = float(getattr(estimate, side)) / n_sites
        if np.isfinite(bound) and bound != value:
            ax.plot([value, bound], [row, row], color=colour, lw=1, alpha=0.4, zorder=1)
            ax.plot([bound], [row], marker=bracket, ms=11, color=colour, ls="none")
    if np.isfinite(value):
        ax.errorbar(
            [value],
            [row],
            xerr=[error] if np.isfinite(error) and error > 0 else None,
            fmt="o",
            ms=5,
            capsize=3,
            color=colour,
            mfc=colour if trusted else "none",
        )
