"""One configuration as a picture: a box as an image, any other graph as dots and bonds.

What a colour means follows from the space of a site: numbers by their value, fields and spins of
both signs on a scale centred at zero, clock and XY spins by their angle on a cyclic scale, Potts
states by their number, longer vectors by their last component.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.lattices import Lattice
from physdl.plotting import _axes
from physdl.pytree import IntArray, Table
from physdl.spaces import LINE, Finite, Line, Product, Space, Sphere

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["configuration"]

CLOSE = 1e-4
MOST_TICKS = 9
MOST_SPRINGS = 400
MOST_BONDS = 20_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Scale:
    """What the colours of the sites mean.

    Attributes:
      values: one number a site.
      low, high: the ends of the scale.
      states: the values there are, if they are few.
      names: what they are called.
      colours: a named colour map, or one colour a state.
      label: of the scale.
    """

    values: Values
    low: float
    high: float
    states: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    colours: str | tuple[str, ...] = _axes.SEQUENTIAL
    label: str = ""


def configuration(
    model: Hamiltonian | Lattice,
    state: ArrayLike,
    *,
    lattice: Lattice | None = None,
    plane: int = 0,
    bar: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """A picture of one configuration.

    A box of one or two axes is an image, one of more axes the image of its last two. Lattices with
    several sites in a cell or oblique axes stand at their positions, graphs are laid out by springs
    (on a circle from 400 sites on).

    Args:
      model: the Hamiltonian, which knows the space and the shape; of a lattice alone the sites hold
        numbers.
      state: one configuration, of shape ``model.state_shape``.
      lattice: where the sites of the Hamiltonian are; without it ``model.shape`` is the box, and a
        model of one axis whose terms join others than neighbours is a graph.
      plane: of a box of three or more axes, the place of the plane along every other axis.
      bar: show the scale of colours.
      ax: the axes to draw on.

    Raises:
      ShapeError: the state or the lattice has another shape.
      SpaceError: a value is not in the space of its site.
      SettingError: the plane lies outside the box.

    >>> import jax.numpy as jnp
    >>> from physdl import lattices, models, plotting
    >>> h = models.ising(lattices.square(2, 3), 0.4)
    >>> ax = plotting.configuration(h, jnp.array([[1, 1, -1], [-1, 1, 1]]), ax=plotting.new_axes())
    >>> ax.images[0].get_array().tolist()
    [[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]]
    """
    shape, space = model.shape, model.space if isinstance(model, Hamiltonian) else LINE
    lattice = model if isinstance(model, Lattice) else lattice
    x = np.asarray(state, dtype=np.float64)
    if x.shape != (*shape, *space.event_shape):
        raise ShapeError(
            f"a configuration has the shape {(*shape, *space.event_shape)}, got {x.shape}: give "
            f"one state, as ensemble.states[chain, draw]."
        )
    if lattice is not None and lattice.n_sites != math.prod(shape):
        raise ShapeError(
            f"a lattice of {lattice.n_sites} sites does not fit a configuration of shape {shape}."
        )
    scale = _scale(space, x.reshape(-1, space.n_components))
    if _is_box(model, lattice):
        return _image(scale, lattice.shape if lattice else shape, plane, bar, ax)
    graph = _graph(model) if lattice is None else lattice
    return _dots(scale, graph, bar, ax)


def _scale(space: Space, x: Values) -> _Scale:
    """Numbers and colours of the sites [n_sites, c]."""
    _require_inside(space, x)
    if isinstance(space, Line) or (isinstance(space, Product) and not space.event_shape):
        return _of_numbers(x[:, 0])
    if isinstance(space, Sphere) and space.n_components > 2:
        last = f"$s_{space.n_components}$"
        return _Scale(x[:, -1], -1.0, 1.0, colours=_axes.SIGNED, label=last)
    if isinstance(space, Sphere) or (isinstance(space, Finite) and _on_circle(space)):
        angle = np.arctan2(x[:, 1], x[:, 0]) % (2 * np.pi)
        return _Scale(angle, 0.0, 2 * np.pi, colours=_axes.CYCLIC, label="angle")
    assert isinstance(space, Finite | Product)
    points = space.padded(len(x))
    if isinstance(space, Finite) and space.scalar:
        numbers = np.sort(points[0, :, 0])
        named = tuple(f"{v:g}" for v in numbers)
        return _Scale(x[:, 0], numbers[0], numbers[-1], tuple(numbers.tolist()), named)
    number = np.abs(points - x[:, None]).max(-1).argmin(-1).astype(np.float64)
    q = points.shape[1]
    colours = _axes.COLOURS[:q] if q <= len(_axes.COLOURS) else _axes.SEQUENTIAL
    names = tuple(str(k) for k in range(q))
    return _Scale(number, 0.0, q - 1.0, tuple(map(float, range(q))), names, colours, "state")


def _of_numbers(values: Values) -> _Scale:
    """A scale centred at zero where there are both signs."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low < 0 < high:
        top = max(-low, high)
        return _Scale(values, -top, top, colours=_axes.SIGNED)
    return _Scale(values, low, high if high > low else low + 1.0)


def _on_circle(space: Finite) -> bool:
    """Whether the points are equally many directions of the plane."""
    points = space.array
    unit = points.shape[1] == 2 and np.allclose(np.linalg.norm(points, axis=1), 1.0)
    return bool(unit and np.allclose(points.sum(axis=0), 0.0))


def _require_inside(space: Space, x: Values) -> None:
    if isinstance(space, Sphere):
        apart = np.abs(np.linalg.norm(x, axis=1) - 1.0)
    else:
        apart = np.where(np.isfinite(x).all(axis=1), 0.0, np.inf)
        for site in range(len(x)) if isinstance(space, Product) else ():
            own = space.at(site)
            if isinstance(own, Finite):
                apart[site] = np.abs(own.array - x[site]).max(-1).min()
        if isinstance(space, Finite):
            apart = np.abs(space.array - x[:, None]).max(-1).min(-1)
    wrong = np.flatnonzero(~(apart <= CLOSE))
    if wrong.size:
        site = int(wrong[0])
        raise SpaceError(
            f"site {site} has {x[site].tolist()}, which is none of the values of "
            f"{space.at(site)!r}."
        )


def _is_box(model: Hamiltonian | Lattice, lattice: Lattice | None) -> bool:
    if lattice is not None:
        if lattice.cell is None or len(lattice.cell.basis) > 1:
            return False
        axes = np.array(lattice.cell.primitive)
        return np.allclose(axes @ axes.T, np.eye(lattice.dim))
    assert isinstance(model, Hamiltonian)
    if len(model.shape) != 1:
        return len(model.shape) > 1
    steps = np.diff(_bonds(model), axis=1) % max(model.n_sites, 1)
    return bool(np.all((steps == 1) | (steps == model.n_sites - 1)))


def _bonds(h: Hamiltonian) -> IntArray:
    """All pairs of sites that a term joins, each once, [n_bonds, 2]."""
    found: list[IntArray] = [np.empty((0, 2), dtype=np.int64)]
    for term in h.terms.values():
        if isinstance(term, Potential):
            groups = term.sites.array[:, None]
        else:
            table = term.to_sites(h.shape, h.space).table.array // h.space.n_components
            groups = table.reshape(len(table), -1, table.shape[-1])
        i, j = np.triu_indices(groups.shape[-1], 1)
        found.append(np.stack([groups[..., i], groups[..., j]], axis=-1).reshape(-1, 2))
    pairs = np.sort(np.concatenate(found), axis=1)
    bonds: IntArray = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return bonds


def _graph(model: Hamiltonian | Lattice) -> Lattice:
    assert isinstance(model, Hamiltonian)
    return Lattice(model.n_sites, Table(_bonds(model)), dim=0, shape=(model.n_sites,))


def _colours(scale: _Scale) -> tuple[Any, Any]:
    """A colour map and a norm."""
    colors = _axes.matplotlib().colors
    q = len(scale.states)
    if not 1 < q <= 256:
        return scale.colours, colors.Normalize(scale.low, scale.high)
    inner = (np.array(scale.states[1:]) + np.array(scale.states[:-1])) / 2
    first, last = 2 * scale.states[0] - inner[0], 2 * scale.states[-1] - inner[-1]
    chosen = (
        _axes.matplotlib().colormaps[scale.colours](np.linspace(0.1, 0.95, q))
        if isinstance(scale.colours, str)
        else list(scale.colours)
    )
    return colors.ListedColormap(chosen), colors.BoundaryNorm([first, *inner, last], q)


def _image(
    scale: _Scale, shape: tuple[int, ...], plane: int, bar: bool, ax: "Axes | None"
) -> "Axes":
    values = scale.values.reshape(shape)
    while values.ndim > 2:
        if not -len(values) <= plane < len(values):
            raise SettingError(f"a box of shape {shape} has no plane {plane}.")
        values = values[plane]
    rows = np.atleast_2d(values)
    thin = len(rows) == 1
    ax = _axes.axes_of(ax, figsize=(5.0, 1.2) if thin else (4.0, 3.4))
    cmap, norm = _colours(scale)
    shown = ax.imshow(
        rows, cmap=cmap, norm=norm, interpolation="nearest", aspect="auto" if thin else "equal"
    )
    ax.set(xticks=[], yticks=[])
    ax.set_frame_on(False)
    if bar:
        _bar(ax, shown, scale)
    return ax


def _dots(scale: _Scale, lattice: Lattice, bar: bool, ax: "Axes | None") -> "Axes":
    ax = _axes.axes_of(ax, figsize=(4.2, 3.6))
    at, bonds = _places(lattice), lattice.bonds.array
    ends = at[bonds]
    if lattice.positions is not None and lattice.dim == 2:
        length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)
        ends = ends[length < 1.5]
    lines = _axes.matplotlib().collections.LineCollection
    faint = 0.6 if len(ends) < 4 * lattice.n_sites else 0.15
    ax.add_collection(lines(ends[:MOST_BONDS], colors=_axes.GREY, lw=0.8, alpha=faint, zorder=1))
    cmap, norm = _colours(scale)
    size = float(np.clip(6000 / max(lattice.n_sites, 1), 6, 160))
    x, y = at.T
    shown = ax.scatter(
        x, y, size, scale.values, cmap=cmap, norm=norm, edgecolors=_axes.GREY, lw=0.5, zorder=2
    )
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.set(xlim=_axes.padded(x), ylim=_axes.padded(y))
    ax.set_frame_on(False)
    if bar:
        _bar(ax, shown, scale)
    return ax


def _places(lattice: Lattice) -> Values:
    """Where the sites stand in the plane, [n_sites, 2]."""
    if lattice.positions is not None and lattice.dim == 2:
        return lattice.positions
    import networkx

    graph = networkx.Graph(lattice.to_networkx())
    small = lattice.n_sites <= MOST_SPRINGS
    at = networkx.spring_layout(graph, seed=0) if small else networkx.circular_layout(graph)
    return np.array([at[site] for site in range(lattice.n_sites)]).reshape(-1, 2)


def _bar(ax: Any, shown: Any, scale: _Scale) -> None:
    bar = ax.figure.colorbar(shown, ax=ax, label=scale.label, shrink=0.8)
    bar.outline.set_visible(False)
    if scale.colours == _axes.CYCLIC:
        bar.set_ticks([0, np.pi, 2 * np.pi], labels=["0", r"$\pi$", r"$2\pi$"])
    elif scale.states:
        kept = range(0, len(scale.states), -(-len(scale.states) // MOST_TICKS))
        bar.set_ticks([scale.states[k] for k in kept], labels=[scale.names[k] for k in kept])
        bar.ax.tick_params(length=0)
        bar.minorticks_off()
