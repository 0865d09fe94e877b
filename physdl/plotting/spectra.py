"""Spectra: singular values and entanglement, and the towers of a conformal field theory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.typing import ArrayLike

from physdl.errors import SettingError, ShapeError
from physdl.plotting import _axes
from physdl.tensors import ConformalData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["conformal_tower", "spectrum"]

ZERO = 1e-14


def spectrum(
    values: ArrayLike, *, name: str = "singular value", ax: "Axes | None" = None
) -> "Axes":
    """Singular values or eigenvalues on a logarithmic axis, by number or step by step.

    Values are divided by the largest of their step; those below 1e-14 of it are left out.

    Args:
      values: in descending order, [n], or of every step, [n_steps, n], as
        ``tensors.Coarsening.spectrum``.
      name: of the values, the label of the axis.
      ax: the axes to draw on.

    Raises:
      ShapeError: the values are neither [n] nor [n_steps, n].

    >>> from physdl import plotting
    >>> ax = plotting.spectrum([4.0, 1.0, 0.0], ax=plotting.new_axes())
    >>> ax.lines[0].get_ydata().tolist()
    [1.0, 0.25]
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim not in (1, 2) or 0 in x.shape:
        raise ShapeError(f"a spectrum has the shape [n] or [n_steps, n], got {x.shape}.")
    seen = np.abs(x) / np.max(np.abs(x), axis=-1, keepdims=True)
    ax = _axes.axes_of(ax)
    if x.ndim == 1:
        at = np.flatnonzero(seen > ZERO)
        ax.semilogy(at, seen[at], "o-", ms=4, lw=0.8, color=_axes.colour(0))
        ax.set(xlabel="number")
    else:
        steps = np.arange(1, len(x) + 1)
        for column in np.where(seen > ZERO, seen, np.nan).T:
            ax.semilogy(steps, column, ".-", ms=3, lw=0.7, color=_axes.colour(0), alpha=0.7)
        ax.set(xlabel="step")
    ax.set_ylabel(f"{name} / largest")
    ax.xaxis.set_major_locator(_axes.matplotlib().ticker.MaxNLocator(integer=True))
    return ax


def conformal_tower(
    data: ConformalData | Sequence[ConformalData],
    expected: Sequence[float] = (),
    *,
    steps: Sequence[int] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Scaling dimensions over their spins, or step by step where there are several.

    Args:
      data: of ``tensors.conformal_data``, of one network or of one a step.
      expected: dimensions of a theory, as lines.
      steps: the numbers of the steps, 1, 2, ... by default.
      ax: the axes to draw on.

    Raises:
      SettingError: there are no data.
      ShapeError: there are not as many steps as data.

    >>> import jax.numpy as jnp
    >>> from physdl import plotting, tensors
    >>> data = tensors.ConformalData(jnp.array(0.5), jnp.array([0.0, 0.125]), jnp.zeros(2))
    >>> ax = plotting.conformal_tower(data, expected=(0, 1 / 8, 1), ax=plotting.new_axes())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('spin $s$', 'scaling dimension $x$')
    """
    one = isinstance(data, ConformalData)
    rows = [data] if isinstance(data, ConformalData) else list(data)
    if not rows:
        raise SettingError("a tower needs conformal data of one step or more, got none.")
    at = np.arange(1, len(rows) + 1) if steps is None else np.asarray(steps)
    if len(at) != len(rows):
        raise ShapeError(f"{len(rows)} conformal data were given for {len(at)} steps.")
    ax = _axes.axes_of(ax)
    for number, x in enumerate(expected):
        label = "expected" if not number else None
        ax.axhline(x, color=_axes.GREY, lw=0.9, ls="--", zorder=0, label=label)
    dots: dict[str, Any] = {"color": _axes.colour(0), "ms": 4.5, "alpha": 0.8}
    for step, row in zip(at, rows, strict=True):
        dimensions, spins = np.asarray(row.dimensions), np.asarray(row.spins)
        known = np.isfinite(dimensions)
        ax.plot(spins[known] if one else np.full(known.sum(), step), dimensions[known], "o", **dots)
    ax.set(xlabel="spin $s$" if one else "step", ylabel=r"scaling dimension $x$")
    ax.xaxis.set_major_locator(_axes.matplotlib().ticker.MaxNLocator(integer=True))
    _axes.legend(ax)
    return ax
