"""Renormalization-group flows: the arrows of two couplings, or any couplings against the step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import ShapeError
from physdl.plotting import _axes
from physdl.rg import FlowField, RGStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["flow", "flow_field"]

MARGINAL = 1e-6
LARGE = 10.0
MOST_CURVES = 32
KINDS = (
    ("stable", "o", "full"),
    ("one relevant", "D", "left"),
    ("two relevant", "s", "none"),
)


def flow_field(
    field: FlowField, names: Sequence[str] | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """The flow of two couplings: arrows of equal length, fixed points, the critical surface.

    A fixed point is a full, half full or hollow mark as none, one or both of its directions are
    relevant (their exponents y positive).

    Args:
      field: of ``rg.flow_field``.
      names: of the two couplings.
      ax: the axes to draw on.

    Raises:
      ShapeError: there are not two names.

    >>> import jax.numpy as jnp
    >>> from physdl import plotting, rg, spaces
    >>> mk = rg.MigdalKadanoff(2, 2, rg.bond(spaces.SPIN, field=True))
    >>> seen = rg.flow_field(mk, jnp.linspace(0.05, 1.0, 3), jnp.linspace(-0.1, 0.1, 3))
    >>> ax = plotting.flow_field(seen, names=("K", "h"), ax=plotting.new_axes())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('K', 'h')
    """
    named = ("$K_1$", "$K_2$") if names is None else tuple(names)
    if len(named) != 2:
        raise ShapeError(f"a flow field has two couplings, got {len(named)} names: {named}.")
    ax = _axes.axes_of(ax, figsize=(5.0, 4.0))
    x, y, arrows = (np.asarray(a) for a in (field.x, field.y, field.arrows))
    span = np.array([np.ptp(x), np.ptp(y)])
    seen = arrows / span
    seen = seen / np.maximum(np.linalg.norm(seen, axis=-1, keepdims=True), 1e-300)
    ax.quiver(
        x,
        y,
        *np.moveaxis(seen * span, -1, 0),
        angles="xy",
        scale_units="xy",
        scale=1.2 * max(len(x), len(y)),
        pivot="mid",
        color=_axes.GREY,
        alpha=0.7,
        width=0.004,
    )
    line = np.asarray(field.separatrix)
    if len(line) > 1:
        line = line[np.argsort(line[:, 1])]
        ax.plot(*line.T, color=_axes.colour(1), lw=1.6, label="critical surface")
    relevant = np.sum(np.asarray(field.exponents) > MARGINAL, axis=1)
    for number, (kind, marker, fill) in enumerate(KINDS):
        at = np.asarray(field.fixed_points)[relevant == number]
        if len(at):
            ax.plot(
                *at.T, marker, color=_axes.colour(0), fillstyle=fill, ms=7, label=kind, ls="none"
            )
    ax.set(xlabel=named[0], ylabel=named[1], xlim=_framed(x), ylim=_framed(y))
    _axes.legend(ax, n_columns=4)
    return ax


def _framed(grid: NDArray[Any]) -> tuple[float, float]:
    """Limits of an axis that leave half an arrow around the grid."""
    room = float(np.ptp(grid)) / (2 * (len(grid) - 1))
    return float(grid.min()) - room, float(grid.max()) + room


def flow(
    trajectory: RGStep[Any] | ArrayLike,
    names: Sequence[str] | None = None,
    *,
    start: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Couplings against the step; the axis is logarithmic beyond 1 where one exceeds 10.

    Args:
      trajectory: the steps of ``rg.flow``, or the couplings step by step, [n_rows, n_couplings],
        whose first row is the start.
      names: of the couplings; those of the leaves by default.
      start: the couplings before the first step of ``rg.flow``.
      ax: the axes to draw on.

    Raises:
      ShapeError: the couplings are too many to draw, or the names are of another number.

    >>> import jax.numpy as jnp
    >>> from physdl import plotting, rg
    >>> k = jnp.array([0.5])
    >>> steps = rg.flow(rg.MigdalKadanoff(2, 1), k, 3)
    >>> ax = plotting.flow(steps, ["K"], start=k, ax=plotting.new_axes())
    >>> ax.lines[0].get_xdata().tolist()
    [0, 1, 2, 3]
    """
    steps = isinstance(trajectory, RGStep)
    rows, found = _table(trajectory.couplings if isinstance(trajectory, RGStep) else trajectory)
    first = 1 if steps else 0
    if steps and start is not None:
        start = np.asarray(start) if isinstance(start, list | tuple) else start
        before, _ = _table(jax.tree.map(lambda leaf: np.asarray(leaf)[None], start))
        if before.shape[1] != rows.shape[1]:
            raise ShapeError(
                f"the start has {before.shape[1]} couplings and the flow {rows.shape[1]}."
            )
        rows, first = np.concatenate([before, rows]), 0
    named = found if names is None else list(names)
    if len(named) != rows.shape[1]:
        raise ShapeError(f"a flow of {rows.shape[1]} couplings was given the names {named}.")
    ax = _axes.axes_of(ax)
    step = np.arange(first, first + len(rows))
    for number, (name, column) in enumerate(zip(named, rows.T, strict=True)):
        ax.plot(
            step,
            np.where(np.isfinite(column), column, np.nan),
            marker=_axes.marker(number),
            ms=4,
            color=_axes.colour(number),
            label=name,
        )
    ax.axhline(0, color=_axes.GREY, lw=0.8, zorder=0)
    known = rows[np.isfinite(rows)]
    if np.max(np.abs(known), initial=0) > LARGE:
        ax.set_yscale("symlog", linthresh=1.0)
        ax.set_ylim(1.5 * known.min(initial=0) - 0.1, 1.5 * known.max(initial=0) + 0.1)
    ax.set(xlabel="step", ylabel="coupling")
    ax.xaxis.set_major_locator(_axes.matplotlib().ticker.MaxNLocator(integer=True))
    _axes.legend(ax, n_columns=4)
    return ax


def _table(couplings: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Couplings as [n_rows, n_couplings], and what they are called."""
    if isinstance(couplings, list | tuple):
        couplings = np.asarray(couplings, dtype=np.float64)
    columns, names = [], []
    for path, leaf in jax.tree_util.tree_flatten_with_path(couplings)[0]:
        values = np.asarray(leaf, dtype=np.float64)
        values = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        columns.append(values)
        indices = range(1, values.shape[1] + 1)
        own = [f"$K_{{{k}}}$" for k in indices] if not name else [f"{name} {k}" for k in indices]
        names += [name] if name and values.shape[1] == 1 else own
    if not columns or sum(c.shape[1] for c in columns) > MOST_CURVES:
        total = sum(c.shape[1] for c in columns)
        raise ShapeError(
            f"a flow of 1 to {MOST_CURVES} couplings is drawn, got {total}: choose some of them."
        )
    return np.concatenate(columns, axis=1), names
