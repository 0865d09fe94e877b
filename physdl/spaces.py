r"""What one site may be: the single-site state space and its a-priori measure.

A space is a set of vectors in R^c. A *finite* space is a table of q points with counting measure;
the *line* is R with Lebesgue measure; the *sphere* is the set of unit vectors of R^n with surface
measure. Because every state is a vector, every model of physdl is a polynomial in the components:

| model | space | points |
|---|---|---|
| Ising | ``SPIN`` | -1, +1 |
| lattice gas, Boltzmann machine | ``BINARY`` | 0, 1 |
| Blume-Capel | ``spin(1)`` | -1, 0, +1 (in general -s, -s+1, ..., s) |
| Potts | ``potts(q)`` | the q unit vectors of R^q |
| clock | ``clock(q)`` | q points on the unit circle |
| graphical models | ``levels(q)`` | 0, 1, ..., q-1 |
| lattice fields | ``LINE`` | R |
| XY, Heisenberg | ``sphere(2)``, ``sphere(3)`` | unit vectors |

Convention: a space with one component per site and no vector character (``SPIN``, ``BINARY``,
``spin``, ``levels``, ``LINE``) has states without a component axis; the others carry a last axis of
length c. Sites of different kinds in one system (a graphical model with variables of different
cardinality) are a ``Product`` of scalar spaces, or of finite spaces of vectors of equal length;
``embedded`` makes a scalar space one of vectors.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from physdl.errors import SettingError, SpaceError
from physdl.pytree import IntArray, module, static

__all__ = [
    "BINARY",
    "Finite",
    "LINE",
    "Line",
    "Product",
    "SPIN",
    "Space",
    "Sphere",
    "clock",
    "embedded",
    "finite",
    "levels",
    "potts",
    "product",
    "sphere",
    "spin",
]


@module
class Finite:
    """A finite set of points of R^c with counting measure.

    Attributes:
      points: the q points, each a tuple of c numbers.
      scalar: whether states are plain numbers (no component axis).
      name: how the space calls itself in reports.
    """

    points: tuple[tuple[float, ...], ...] = static()
    scalar: bool = static(default=True)
    name: str = static(default="finite", compare=False)

    @property
    def n_states(self) -> int:
        """The number q of points."""
        return len(self.points)

    @property
    def n_components(self) -> int:
        """The dimension c of the points."""
        return len(self.points[0])

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one site's state: ``()`` for scalar spaces, else ``(c,)``."""
        return () if self.scalar else (self.n_components,)

    @property
    def array(self) -> NDArray[np.float64]:
        """The points as an array of shape [q, c]."""
        return np.array(self.points, dtype=np.float64)

    def at(self, site: int) -> "Finite":
        """The space of one site: itself."""
        return self

    def padded(self, n_sites: int) -> NDArray[np.float64]:
        """Points of every site, shape [n_sites, q, c]."""
        return np.broadcast_to(self.array, (n_sites, *self.array.shape))

    def __repr__(self) -> str:
        return self.name


@module
class Line:
    """The real numbers with Lebesgue measure: the space of a scalar field."""

    @property
    def n_components(self) -> int:
        """One component."""
        return 1

    @property
    def event_shape(self) -> tuple[int, ...]:
        """A site's state is a plain number."""
        return ()

    def at(self, site: int) -> "Line":
        """The space of one site: itself."""
        return self

    def __repr__(self) -> str:
        return "LINE"


@module
class Sphere:
    """Unit vectors of R^n with surface measure: n = 2 is XY, n = 3 Heisenberg.

    Attributes:
      n_components: the dimension n >= 2 of the embedding space.
    """

    n_components: int = static()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """A site's state is a vector of n components."""
        return (self.n_components,)

    @property
    def log_volume(self) -> float:
        """log of the surface area 2 pi^(n/2) / Gamma(n/2), in nats."""
        half = self.n_components / 2
        return math.log(2) + half * math.log(math.pi) - math.lgamma(half)

    def at(self, site: int) -> "Sphere":
        """The space of one site: itself."""
        return self

    def __repr__(self) -> str:
        return f"sphere({self.n_components})"


@module
class Product:
    """One space per site, all scalar or all of equal length, for systems whose sites differ.

    Attributes:
      spaces: the space of site i at position i.
    """

    spaces: tuple[Finite | Line, ...] = static()

    @property
    def n_components(self) -> int:
        """The number of components that all sites have."""
        return self.spaces[0].n_components if self.spaces else 1

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one site's state: ``()`` for scalar spaces, else ``(c,)``."""
        return self.spaces[0].event_shape if self.spaces else ()

    def at(self, site: int) -> "Finite | Line":
        """The space of one site."""
        return self.spaces[site]

    def padded(self, n_sites: int) -> NDArray[np.float64]:
        """Points of every site, shape [n_sites, max q, c]; missing points are ``inf``."""
        tables = [s.array for s in self.spaces if isinstance(s, Finite)]
        if len(tables) != len(self.spaces):
            raise SpaceError(f"the points of a finite space were asked for, got {self!r}.")
        most = max(map(len, tables), default=1)
        out = np.full((n_sites, most, self.n_components), np.inf)
        for row, t in zip(out, tables, strict=True):
            row[: len(t)] = t
        return out

    def __repr__(self) -> str:
        kinds = sorted({repr(s) for s in self.spaces})
        return f"product of {len(self.spaces)} sites of {', '.join(kinds)}"


Space: TypeAlias = Finite | Line | Sphere | Product


def finite(points: Sequence[float] | Sequence[Sequence[float]], *, name: str = "") -> Finite:
    """A finite space from its points: numbers, or vectors of equal length.

    Raises:
      SettingError: fewer than one point, equal points, unequal lengths, or a non-finite number.

    >>> finite([0.0, 0.5, 2.0]).n_states
    3
    """
    try:
        array = np.array(points, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise SettingError(
            f"points of a finite space are numbers or vectors of equal length, got {points!r}."
        ) from error
    if array.ndim not in (1, 2) or array.size == 0:
        raise SettingError(f"a finite space needs at least one point, got {points!r}.")
    if not np.all(np.isfinite(array)):
        raise SettingError(f"points of a finite space must be finite numbers, got {points!r}.")
    table = array.reshape(len(array), -1)
    if len(np.unique(table, axis=0)) != len(table):
        raise SettingError(f"points of a finite space must differ, got {points!r}.")
    rows = tuple(tuple(float(v) for v in row) for row in table)
    return Finite(rows, scalar=array.ndim == 1, name=name or f"finite({len(rows)} points)")


SPIN = Finite(((-1.0,), (1.0,)), name="SPIN")
BINARY = Finite(((0.0,), (1.0,)), name="BINARY")
LINE = Line()


def spin(s: float) -> Finite:
    """Spin s: the 2s + 1 values -s, -s + 1, ..., s, for s = 1/2, 1, 3/2, ...

    >>> spin(1).points
    ((-1.0,), (0.0,), (1.0,))
    """
    if not 2 * s == int(2 * s) or s <= 0:
        raise SettingError(f"spin(s) needs s = 1/2, 1, 3/2, ..., got {s}.")
    return finite([-s + k for k in range(int(2 * s) + 1)], name=f"spin({s:g})")


def _at_least(q: int, least: int, name: str) -> int:
    if int(q) != q or q < least:
        raise SettingError(f"{name}(q) needs an integer q >= {least}, got {q!r}.")
    return int(q)


def levels(q: int) -> Finite:
    """The values 0, 1, ..., q-1; ``levels(2)`` is ``BINARY``."""
    q = _at_least(q, 1, "levels")
    return BINARY if q == 2 else finite([float(v) for v in range(q)], name=f"levels({q})")


def potts(q: int) -> Finite:
    """The q unit vectors of R^q, so that x . y = delta(x, y)."""
    q = _at_least(q, 1, "potts")
    return finite(np.eye(q).tolist(), name=f"potts({q})")


def clock(q: int) -> Finite:
    """q equally spaced points (cos 2 pi k / q, sin 2 pi k / q) on the unit circle."""
    q = _at_least(q, 2, "clock")
    angle = 2 * np.pi * np.arange(q) / q
    exact = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    exact[np.abs(exact) < 1e-15] = 0.0
    return finite(exact.tolist(), name=f"clock({q})")


def sphere(n: int) -> Sphere:
    """Unit vectors of R^n, n >= 2."""
    return Sphere(_at_least(n, 2, "sphere"))


def embedded(space: Finite, n_components: int) -> Finite:
    """A finite space of numbers s as the vectors (s, 0, ..., 0), to mix it with other vectors.

    Raises:
      SpaceError: the space is none of numbers.

    >>> embedded(BINARY, 3).points
    ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    """
    if not isinstance(space, Finite) or not space.scalar:
        raise SpaceError(f"only a finite space of numbers is made one of vectors, got {space!r}.")
    c = _at_least(n_components, 1, "embedded")
    points = np.concatenate([space.array, np.zeros((space.n_states, c - 1))], axis=1)
    return finite(points.tolist(), name=f"{space!r} in R^{c}")


def product(spaces: Sequence[Finite | Line]) -> Finite | Line | Product:
    """One space per site; sites that all have the same space give that space.

    Raises:
      SpaceError: the sites are neither all scalar nor all finite with equally many components.
    """
    for site, space in enumerate(spaces):
        mixed = not isinstance(space, Finite | Line)
        if mixed or space.event_shape != spaces[0].event_shape:
            raise SpaceError(
                f"scalar spaces can be mixed, and finite spaces of vectors of equal length, but "
                f"site {site} has {space!r} and site 0 has {spaces[0]!r}: use levels(q) in place "
                f"of potts(q), or embedded(levels(q), n_components) beside vectors."
            )
    return spaces[0] if len(set(spaces)) == 1 else Product(tuple(spaces))


def labels(space: Finite | Product, x: Float[Array, "n c"]) -> Int[Array, " n"]:
    """Index of the point nearest to each site's state ``x``, shape [n_sites]."""
    points = jnp.asarray(space.padded(x.shape[0]), dtype=x.dtype)
    distance = jnp.sum((points - x[:, None, :]) ** 2, axis=-1)
    return jnp.argmin(distance, axis=-1)


def without(space: Space, sites: IntArray) -> Space:
    """The space of the sites that remain when ``sites`` are removed."""
    if not isinstance(space, Product):
        return space
    removed = set(np.asarray(sites).tolist())
    return product([s for i, s in enumerate(space.spaces) if i not in removed])
