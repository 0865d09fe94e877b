"""Axes to draw on, and the look of all pictures: the one place that imports matplotlib.

Colours are named here and given to every artist, so that a picture looks the same on any axes. Each
has a contrast of 3 or more to white and to near black, and any two differ in lightness or between
blue and yellow, not in red and green alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from physdl.errors import MissingDependencyError, SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLOURS",
    "CYCLIC",
    "GREY",
    "SEQUENTIAL",
    "SIGNED",
    "axes_of",
    "colour",
    "legend",
    "marker",
    "matplotlib",
    "new_axes",
    "padded",
    "style",
]

COLOURS = ("#2f86c0", "#c04c00", "#0a9b72", "#bf6bb0", "#b08c00", "#5a4fcf")
GREY = "#7f7f7f"
SIGNED, SEQUENTIAL, CYCLIC = "RdBu_r", "cividis", "twilight_shifted"
PAGES = {False: ("#ffffff", "#262626"), True: ("#121212", "#d9d9d9"), None: ("none", GREY)}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def matplotlib() -> Any:
    """The package, with ``pyplot`` loaded.

    Raises:
      MissingDependencyError: it is not installed.
    """
    try:
        import matplotlib
        import matplotlib.pyplot
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "a picture") from error
    return matplotlib


def axes_of(ax: "Axes | None", *, figsize: tuple[float, float] = (5.0, 3.4)) -> "Axes":
    """The axes given, or those of a new figure.

    Raises:
      SettingError: what was given is no axes.
    """
    mpl = matplotlib()
    if ax is None:
        made: Axes = mpl.pyplot.subplots(figsize=figsize, layout="constrained")[1]
        return made
    if not isinstance(ax, mpl.axes.Axes):
        raise SettingError(f"a picture is drawn on one matplotlib Axes, got {type(ax).__name__}.")
    given: Axes = ax
    return given


def new_axes(*, figsize: tuple[float, float] = (5.0, 3.4)) -> "Axes":
    """Axes of a new figure that pyplot does not know: never shown, gone with the last reference.

    Raises:
      MissingDependencyError: matplotlib is not installed.

    >>> from physdl import plotting
    >>> plotting.new_axes(figsize=(4, 3)).figure.get_size_inches().tolist()
    [4.0, 3.0]
    """
    made: Axes = matplotlib().figure.Figure(figsize=figsize, layout="constrained").subplots()
    return made


@contextmanager
def style(*, dark: bool | None = False) -> Iterator[None]:
    """Figures made inside the block have the house style.

    Args:
      dark: light ink on near black instead of dark ink on white; ``None`` for a transparent ground
        and grey ink, which is read on both.

    Raises:
      MissingDependencyError: matplotlib is not installed.

    >>> from physdl import plotting
    >>> with plotting.style(dark=None):
    ...     ax = plotting.flow(np.array([[0.5], [0.31], [0.1]]))
    >>> ax.get_figure().get_facecolor()[3]  # opacity
    0.0
    """
    mpl = matplotlib()
    ground, ink = PAGES[dark]
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    look = {
        "figure.facecolor": ground,
        "axes.facecolor": ground,
        "savefig.facecolor": "auto",
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": mpl.cycler(color=COLOURS),
        "font.size": 9.0,
        **dict.fromkeys(inked, ink),
    }
    with mpl.rc_context(look):
        yield


def colour(number: int) -> str:
    """The colour of a curve by its number; they repeat."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """The marker of a set of points by its number, for those who see no colours."""
    return MARKERS[number % len(MARKERS)]


def legend(ax: Any, *, n_columns: int = 3, lines: Sequence[Any] | None = None) -> None:
    """A legend above the axes, where there are no data, of these lines or of all with a label."""
    shown = ax.get_legend_handles_labels()[0] if lines is None else list(lines)
    if shown:
        ax.legend(
            handles=shown,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=n_columns,
            frameon=False,
            fontsize="small",
            borderaxespad=0.2,
            columnspacing=1.2,
            handlelength=1.6,
        )


def padded(values: NDArray[Any] | Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Limits that leave some room around the finite values."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return -1.0, 1.0
    low, high = float(known.min()), float(known.max())
    room = share * (high - low) or max(abs(high), 1.0) * share
    return low - room, high + room
