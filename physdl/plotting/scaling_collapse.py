"""Finite-size scaling: data of all sizes on one curve."""

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import ShapeError
from physdl.plotting import _axes
from physdl.scaling import Collapse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["collapse"]


def collapse(fit: Collapse, size: ArrayLike, *, ax: "Axes | None" = None) -> "Axes":
    """Scaled data y L^-rho against (t - t_c) L^(1/nu), a colour and a marker for every size.

    Args:
      fit: of ``scaling.collapse``.
      size: the linear sizes it was given, one a datum or a column [n_sizes, 1].
      ax: the axes to draw on.

    Raises:
      ShapeError: the sizes are not those of the data.

    >>> from physdl import plotting, scaling
    >>> L = np.array([[8.0], [16.0]])
    >>> t = np.linspace(2.1, 2.5, 15)[None]
    >>> fit = scaling.collapse(t, np.tanh((t - 2.3) * L), 0.01, L)
    >>> ax = plotting.collapse(fit, L, ax=plotting.new_axes())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['$L = 8$', '$L = 16$']
    """
    z, y, stderr = (np.asarray(a) for a in (fit.z, fit.scaled.value, fit.scaled.stderr))
    sizes = _per_datum(np.asarray(size, dtype=np.float64), len(z))
    ax = _axes.axes_of(ax)
    for number, length in enumerate(np.unique(sizes)):
        at = np.flatnonzero(sizes == length)
        at = at[np.argsort(z[at])]
        ax.errorbar(
            z[at],
            y[at],
            stderr[at],
            fmt=_axes.marker(number),
            ms=3.5,
            lw=0.9,
            color=_axes.colour(number),
            label=f"$L = {length:g}$",
        )
    plain = float(fit.rho.value) == 0.0
    ax.set(
        xlabel=r"$(t - t_c)\, L^{1/\nu}$",
        ylabel="$y$" if plain else r"$y\, L^{-\rho}$",
    )
    _axes.legend(ax, n_columns=5)
    return ax


def _per_datum(size: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    column = size.ndim == 2 and size.shape[1] == 1 and n % size.size == 0
    if size.size == n:
        return size.reshape(-1)
    if not column:
        raise ShapeError(
            f"{n} data were fitted and sizes of shape {size.shape} given: one a datum, or a "
            f"column [n_sizes, 1]."
        )
    return np.repeat(size[:, 0], n // size.size)
