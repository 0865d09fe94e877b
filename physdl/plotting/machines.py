"""What the hidden units of a Boltzmann machine look at."""

import math
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from physdl.errors import SettingError, ShapeError
from physdl.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from physdl.networks import RBM

__all__ = ["receptive_fields"]


def receptive_fields(
    machine: "RBM | ArrayLike",
    shape: tuple[int, int],
    *,
    n_columns: int | None = None,
    bar: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """The weights of every hidden unit as an image, side by side on one signed scale.

    The scale is centred at zero and reaches to the largest absolute weight.

    Args:
      machine: an RBM whose visible units are numbers, or weights [n_visible, n_hidden].
      shape: rows and columns of the visible layer.
      n_columns: images in a row; about a square by default.
      bar: show the scale of colours.
      ax: the axes to draw on.

    Raises:
      ShapeError: the weights are no matrix, or the shape has another number of visible units.
      SettingError: ``n_columns`` is below 1.

    >>> import jax.numpy as jnp
    >>> from physdl import networks, plotting
    >>> machine = networks.RBM(jnp.ones((6, 4)))
    >>> ax = plotting.receptive_fields(machine, (2, 3), ax=plotting.new_axes())
    >>> ax.images[0].get_array().shape
    (5, 7)
    """
    weights = np.asarray(getattr(machine, "weights", machine), dtype=np.float64)
    if weights.ndim != 2 or weights.shape[0] != math.prod(shape):
        raise ShapeError(
            f"weights [n_visible, n_hidden] of {' x '.join(map(str, shape))} visible units are "
            f"drawn, got {weights.shape}: choose a component of vector units."
        )
    n = weights.shape[1]
    across = math.ceil(math.sqrt(n)) if n_columns is None else n_columns
    if across < 1:
        raise SettingError(f"one image or more stand in a row, got n_columns={n_columns}.")
    down = -(-n // across)
    images = np.full((down * across, shape[0] + 1, shape[1] + 1), np.nan)
    images[:n, :-1, :-1] = weights.T.reshape(n, *shape)
    rows = images.reshape(down, across, *images.shape[1:]).transpose(0, 2, 1, 3)
    tiled = rows.reshape(down * (shape[0] + 1), across * (shape[1] + 1))[:-1, :-1]
    ax = _axes.axes_of(ax, figsize=(4.6, 4.6 * tiled.shape[0] / tiled.shape[1]))
    top = float(np.max(np.abs(weights), initial=0)) or 1.0
    shown = ax.imshow(tiled, cmap=_axes.SIGNED, vmin=-top, vmax=top, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_frame_on(False)
    if bar:
        ax.figure.colorbar(shown, ax=ax, label="weight", shrink=0.8).outline.set_visible(False)
    return ax
