"""Box lattices: a unit cell repeated along d axes, each periodic or open."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physdl.errors import LatticeError
from physdl.lattices._arguments import flags, refuse_above, whole
from physdl.lattices.lattice import Lattice, UnitCell
from physdl.pytree import Table

__all__ = ["chain", "cubic", "honeycomb", "hypercubic", "kagome", "ladder", "square", "triangular"]

Periodic = bool | Sequence[bool]

SHEARED = ((0.5, -math.sqrt(3) / 2), (1.0, 0.0))
SQUARE = UnitCell(((0.0, -1.0), (1.0, 0.0)), ((0.0, 0.0),), ((0, 0, (0, 1)), (0, 0, (1, 0))))
TRIANGULAR = UnitCell(SHEARED, ((0.0, 0.0),), (*SQUARE.links, (0, 0, (1, -1))))
HONEYCOMB = UnitCell(
    tuple(tuple(math.sqrt(3) * x for x in vector) for vector in SHEARED),
    ((0.0, 0.0), (1 / 3, 1 / 3)),
    ((0, 1, (0, 0)), (1, 0, (0, 1)), (1, 0, (1, 0))),
)
KAGOME = UnitCell(
    tuple(tuple(2 * x for x in vector) for vector in SHEARED),
    ((0.0, 0.0), (0.0, 0.5), (0.5, 0.0)),
    (
        (0, 1, (0, 0)),
        (0, 2, (0, 0)),
        (1, 2, (0, 0)),
        (1, 0, (0, 1)),
        (2, 0, (1, 0)),
        (2, 1, (1, -1)),
    ),
)


def chain(length: int, *, periodic: Periodic = True) -> Lattice:
    """A chain of ``length`` sites; bonds ``(i, i + 1)``, and (length - 1, 0) when periodic.

    Raises:
      LatticeError: the length is not a positive integer, or 1 on a periodic chain.

    >>> chain(3).bonds.array.tolist()
    [[0, 1], [1, 2], [2, 0]]
    """
    return hypercubic((length,), periodic=periodic)


def ladder(length: int, n_legs: int = 2, *, periodic: bool = True) -> Lattice:
    """``n_legs`` chains side by side; shape (length, n_legs), open across, ``periodic`` along.

    Raises:
      LatticeError: a size is not a positive integer, or the length is 1 on a periodic ladder.

    >>> ladder(4).n_bonds
    12
    """
    (along,) = flags(periodic, 1)
    return _box("ladder", SQUARE, (length, n_legs), (along, False))


def square(rows: int, cols: int, *, periodic: Periodic = True) -> Lattice:
    """The square lattice; site (r, c) has index ``r * cols + c``; bonds right, then down.

    Raises:
      LatticeError: a size is not a positive integer, or 1 along a periodic axis.

    >>> square(4, 4).n_bonds, square(4, 4, periodic=(True, False)).n_bonds
    (32, 28)
    """
    return _box("square", SQUARE, (rows, cols), periodic)


def triangular(rows: int, cols: int, *, periodic: Periodic = True) -> Lattice:
    """The triangular lattice: the square one with the diagonal from (r, c) to (r + 1, c - 1).

    Raises:
      LatticeError: a size is not a positive integer, or 1 along a periodic axis.

    >>> triangular(3, 3).degrees.tolist()
    [6, 6, 6, 6, 6, 6, 6, 6, 6]
    """
    return _box("triangular", TRIANGULAR, (rows, cols), periodic)


def honeycomb(rows: int, cols: int, *, periodic: Periodic = True) -> Lattice:
    """The honeycomb lattice of ``rows x cols`` cells of two sites, shape (rows, cols, 2).

    Site (r, c, 0) is bonded to (r, c, 1), (r - 1, c, 1) and (r, c - 1, 1).

    Raises:
      LatticeError: a size is not a positive integer, or 1 along a periodic axis.

    >>> honeycomb(2, 3).shape, honeycomb(2, 3).n_bonds
    ((2, 3, 2), 18)
    """
    return _box("honeycomb", HONEYCOMB, (rows, cols), periodic)


def kagome(rows: int, cols: int, *, periodic: Periodic = True) -> Lattice:
    """The kagome lattice of ``rows x cols`` cells of three sites, shape (rows, cols, 3).

    The sites of a cell form one triangle; every site belongs to two triangles.

    Raises:
      LatticeError: a size is not a positive integer, or 1 along a periodic axis.

    >>> kagome(2, 3).shape, kagome(2, 3).n_bonds
    ((2, 3, 3), 36)
    """
    return _box("kagome", KAGOME, (rows, cols), periodic)


def cubic(nx: int, ny: int, nz: int, *, periodic: Periodic = True) -> Lattice:
    """The simple cubic lattice; site (x, y, z) has index ``(x * ny + y) * nz + z``.

    Raises:
      LatticeError: a size is not a positive integer, or 1 along a periodic axis.

    >>> cubic(3, 3, 3).n_bonds
    81
    """
    return hypercubic((nx, ny, nz), periodic=periodic)


def hypercubic(
    length: int | Sequence[int], dim: int | None = None, *, periodic: Periodic = True
) -> Lattice:
    """The d-dimensional hypercubic lattice: ``dim`` axes of one length, or one length each.

    Bonds along the last axis come first. ``hypercubic((rows, cols))`` has the sites and bonds of
    ``square(rows, cols)``.

    Raises:
      LatticeError: a size is not a positive integer, or 1 along a periodic axis; ``dim`` is
        missing, contradicts the lengths given, or exceeds 32.

    >>> hypercubic(3, 4).shape
    (3, 3, 3, 3)
    """
    if isinstance(length, Sequence):
        lengths = tuple(length)
        if dim is not None and dim != len(lengths):
            raise LatticeError(f"{len(lengths)} lengths {lengths} were given for dim={dim}.")
        dim = len(lengths)
    else:
        dim = whole(dim, 1, "dim of a hypercubic lattice")
        lengths = (length,) * min(dim, 33)
    if not 1 <= dim <= 32:
        raise LatticeError(f"a hypercubic lattice needs 1 to 32 axes, got {dim}.")
    unit = tuple(tuple(int(j == k) for j in range(dim)) for k in range(dim))
    cell = UnitCell(
        tuple(tuple(map(float, vector)) for vector in unit),
        ((0.0,) * dim,),
        tuple((0, 0, offset) for offset in reversed(unit)),
    )
    return _box("hypercubic", cell, lengths, periodic)


def _box(name: str, cell: UnitCell, box: tuple[int, ...], periodic: Periodic) -> Lattice:
    """The lattice that repeats ``cell`` through ``box``."""
    wraps = flags(periodic, len(box))
    for axis, (length, wrap) in enumerate(zip(box, wraps, strict=True)):
        where = f"the length of {'periodic' if wrap else 'open'} axis {axis} of a {name} lattice"
        whole(length, 2 if wrap else 1, where)
    box = tuple(map(int, box))
    n_basis, n_cells = len(cell.basis), math.prod(box)
    refuse_above(n_cells * n_basis, "sites")
    cells = np.arange(n_cells, dtype=np.int32).reshape(box)
    bonds = [
        _pairs(cells, offset, wraps) * n_basis + np.array([start, end], dtype=np.int32)
        for start, end, offset in cell.links
    ]
    return Lattice(
        n_sites=n_cells * n_basis,
        bonds=Table(np.concatenate(bonds)),
        dim=len(box),
        shape=box if n_basis == 1 else (*box, n_basis),
        periodic=wraps,
        cell=cell,
    )


def _pairs(
    cells: NDArray[np.int32], offset: tuple[int, ...], wraps: tuple[bool, ...]
) -> NDArray[np.int32]:
    """Pairs (cell, cell + offset) in C order of the first, without those leaving an open axis."""
    reached = np.roll(cells, [-step for step in offset], axis=range(cells.ndim))
    inside = tuple(
        slice(None) if wrap else slice(max(0, -step), length - max(0, step))
        for step, wrap, length in zip(offset, wraps, cells.shape, strict=True)
    )
    return np.stack([cells[inside], reached[inside]], axis=-1).reshape(-1, 2)
