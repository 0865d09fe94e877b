"""Markov chains: what was measured against time, and how long it is remembered."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl import statistics
from physdl.errors import SettingError, ShapeError
from physdl.plotting import _axes
from physdl.sampling import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["autocorrelation", "trace"]

Measured = Series | ArrayLike
SHOWN = 3


def trace(measured: Measured, *, name: str = "", ax: "Axes | None" = None) -> "Axes":
    """One line a chain, against sweeps, and the mean with its standard error as a band.

    Args:
      measured: a series of a run, or draws [n_chains, n_draws].
      name: of what was measured, the label of the axis.
      ax: the axes to draw on.

    Raises:
      ShapeError: the measurement is no number, or there are fewer than four draws.

    >>> import jax
    >>> from physdl import plotting
    >>> noise = jax.random.normal(jax.random.key(0), (3, 50))
    >>> ax = plotting.trace(noise, name="m", ax=plotting.new_axes())
    >>> len(ax.lines), ax.get_xlabel()
    (4, 'draws')
    """
    chains, per, unit = _chains(measured)
    mean = statistics.mean(jnp.asarray(chains))
    ax = _axes.axes_of(ax)
    times = per * (np.arange(chains.shape[1]) + 1)
    for number, chain in enumerate(chains):
        ax.plot(times, chain, lw=0.7, alpha=0.8, color=_axes.colour(number))
    value, error = float(mean.value), float(mean.stderr)
    ax.axhline(value, color=_axes.GREY, lw=1.2)
    if np.isfinite(error):
        ax.axhspan(value - error, value + error, color=_axes.GREY, alpha=0.3, lw=0)
    ax.set(xlabel=unit, ylabel=name, xlim=(0, times[-1]))
    return ax


def autocorrelation(
    measured: Measured | Mapping[str, Measured],
    *,
    n_shown: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""The normalised autocorrelation rho(t), with tau and the window it is summed over.

    A dot stands at the end of the window: the first W >= 5 tau(W), up to which rho is summed. Of a
    series only the means over blocks are known, so rho is that of the blocks.

    Args:
      measured: a series of a run, or draws [n_chains, n_draws], or several by name.
      n_shown: times up to this are shown; three windows by default.
      ax: the axes to draw on.

    Raises:
      ShapeError: a measurement is no number, or there are fewer than four draws.
      SettingError: nothing was measured.

    >>> import jax
    >>> from physdl import plotting
    >>> noise = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> ax = plotting.autocorrelation({"noise": noise}, ax=plotting.new_axes())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('$t$ (draws)', '$\\rho(t)$')
    """
    several = measured if isinstance(measured, Mapping) else {"": measured}
    if not several:
        raise SettingError("a picture of autocorrelation needs one or more series, got none.")
    rows = {name: _chains(one) for name, one in several.items()}
    units = {unit for _, _, unit in rows.values()}
    if len(units) > 1:
        raise SettingError("series of runs and bare draws are measured in different times.")
    ax = _axes.axes_of(ax)
    ends = []
    for number, (name, (chains, per, _)) in enumerate(rows.items()):
        one = several[name]
        rho = np.asarray(statistics.autocorrelation(jnp.asarray(chains)))
        sums = np.cumsum(rho) - 0.5
        enough = np.arange(len(rho)) >= statistics.SOKAL_WINDOW * np.maximum(sums, 1)
        end = int(np.argmax(enough)) if enough.any() else len(rho) - 1
        tau = float(one.tau) if isinstance(one, Series) else float(sums[end])
        said = rf"$\tau = {tau:.3g}$"
        label = f"{name}, {said}" if name else said
        times = per * np.arange(len(rho))
        ax.plot(times, rho, color=_axes.colour(number), label=label)
        ax.plot([times[end]], [rho[end]], _axes.marker(number), color=_axes.colour(number), ms=5)
        ends.append(times[end])
    ax.axhline(0, color=_axes.GREY, lw=0.8, zorder=0)
    ax.set(
        xlabel=f"$t$ ({units.pop()})",
        ylabel=r"$\rho(t)$",
        xlim=(0, SHOWN * max(ends) if n_shown is None else n_shown),
    )
    _axes.legend(ax, n_columns=2)
    return ax


def _chains(measured: Measured) -> tuple[NDArray[np.float64], int, str]:
    """Numbers [n_chains, n_times], the time between them, and its unit."""
    series = isinstance(measured, Series)
    x = np.asarray(measured.blocks if isinstance(measured, Series) else measured, dtype=np.float64)
    x = x[None] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[1] < 4:
        raise ShapeError(
            f"a chain is four numbers or more, [n_chains, n_draws], got {x.shape}: take one "
            f"component of an observable that has several."
        )
    per = measured.block * measured.thin if isinstance(measured, Series) else 1
    return x, per, "sweeps" if series else "draws"
