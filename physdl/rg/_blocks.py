"""Where blocks are: their sites, their length ratio, and the lattice that they form."""

import math
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import LatticeError, SettingError, ShapeError
from physdl.lattices import Lattice, UnitCell
from physdl.lattices.boxes import TRIANGULAR, _box
from physdl.pytree import module, static
from physdl.spaces import Space

__all__ = ["Blocks", "Triangles", "checked", "lattice_of", "members_of", "scale_of"]

SHEARED = UnitCell(
    ((math.sqrt(3) / 2, -1.5), (math.sqrt(3) / 2, -0.5)),
    ((0.0, 0.0),),
    ((0, 0, (0, 1)), (0, 0, (1, -1)), (0, 0, (1, -2))),
)


@module
class Triangles:
    """Blocks of three neighbours of the triangular lattice, with b = sqrt 3.

    Attributes:
      sheared: whether the box is that of an earlier step, [rows / 3, cols] with sheared axes; the
        blocks then form an ordinary triangular box again.

    >>> from physdl import lattices
    >>> fine = lattices.triangular(6, 6)
    >>> middle = Triangles().lattice(fine)
    >>> coarse = Triangles(sheared=True).lattice(middle)
    >>> middle.shape, coarse == lattices.triangular(2, 2)
    ((2, 6), True)
    """

    sheared: bool = static(default=False)

    @property
    def scale(self) -> float:
        """The length ratio sqrt 3."""
        return math.sqrt(3)

    def lattice(self, lattice: Lattice) -> Lattice:
        """The lattice of the blocks.

        Raises:
          LatticeError: the lattice is not a periodic triangular one of the right kind, or its
            lengths do not fit.
        """
        cell = SHEARED if self.sheared else TRIANGULAR
        if lattice.cell is None or lattice.cell.links != cell.links or not all(lattice.periodic):
            kind = "one that Triangles() made" if self.sheared else "lattices.triangular"
            raise LatticeError(
                f"three-site blocks with sheared={self.sheared} need a periodic box, {kind}, got "
                f"one of shape {lattice.shape}."
            )
        if not self._fits(lattice.shape):
            raise LatticeError(self._refusal(lattice.shape))
        rows, cols = lattice.shape
        if not self.sheared:
            return _box("sheared triangular", SHEARED, (rows // 3, cols), True)
        return _box("triangular", TRIANGULAR, (rows, cols // 3), True)

    def _fits(self, box: tuple[int, ...]) -> bool:
        rows = 3 * box[0] if self.sheared else box[0]
        return len(box) == 2 and rows % 3 == 0 and box[1] % rows == 0

    def _refusal(self, box: tuple[int, ...]) -> str:
        what = "3 rows divide cols" if self.sheared else "3 divides rows and rows divide cols"
        return f"three-site blocks need a box where {what}, got {box}."

    def members(self, x: Float[Array, "rows cols *event"]) -> Float[Array, "m rows_ cols_ *event"]:
        """The three sites of every block, on the first axis."""
        if not self._fits(x.shape[:2]):
            raise ShapeError(self._refusal(x.shape[:2]))
        rows, cols = x.shape[:2]
        if self.sheared:
            lower = jnp.roll(x, (-1, 1), (0, 1))
            parts = [part[:, ::3] for part in (x, jnp.roll(x, -1, 1), lower)]
            k = np.arange(cols // 3)
            at = (np.arange(rows)[:, None] - k) % rows
            return jnp.stack([part[at, k] for part in parts])
        j = np.arange(cols)
        i = (3 * np.arange(rows // 3)[:, None] + j) % rows
        return jnp.stack([x[i, j], x[i, (j + 1) % cols], x[(i + 1) % rows, j]])


Blocks: TypeAlias = int | Triangles


def checked(blocks: Blocks) -> None:
    if isinstance(blocks, Triangles):
        return
    if isinstance(blocks, bool) or not isinstance(blocks, int | np.integer) or blocks < 2:
        raise SettingError(f"blocks are an integer b >= 2 or Triangles(), got {blocks!r}.")


def scale_of(blocks: Blocks) -> float:
    return blocks.scale if isinstance(blocks, Triangles) else float(blocks)


def lattice_of(blocks: Blocks, lattice: Lattice) -> Lattice:
    """The lattice of the blocks: the same cells, b times as far apart."""
    if isinstance(blocks, Triangles):
        return blocks.lattice(lattice)
    cell = lattice.cell
    if cell is None or not cell.links or len(cell.basis) != 1:
        what = "a graph" if cell is None else "one with several sites in a cell, or diluted"
        raise LatticeError(
            f"blocks of {blocks} sites a side need a box lattice with one site in a cell, got "
            f"{what} of shape {lattice.shape}."
        )
    for length in lattice.shape:
        if length % blocks:
            raise LatticeError(
                f"blocks of {blocks} sites a side need lengths that {blocks} divides, got "
                f"{lattice.shape}."
            )
    return _box("coarse", cell, tuple(n // blocks for n in lattice.shape), lattice.periodic)


def members_of(blocks: Blocks, x: Array, space: Space) -> Array:
    """The sites of every block, [m, *coarse, *event]."""
    event = len(space.event_shape)
    if x.shape[x.ndim - event :] != space.event_shape or x.ndim == event:
        raise ShapeError(
            f"a configuration of {space!r} ends with the axes {space.event_shape}, got {x.shape}."
        )
    if isinstance(blocks, Triangles):
        return blocks.members(x)
    box = x.shape[: x.ndim - event]
    if any(n % blocks for n in box):
        raise ShapeError(
            f"blocks of {blocks} sites a side need lengths that {blocks} divides, got {box}."
        )
    d = len(box)
    cut = x.reshape(*(n for length in box for n in (length // blocks, blocks)), *space.event_shape)
    inside, outside = range(1, 2 * d, 2), range(0, 2 * d, 2)
    cut = cut.transpose(*inside, *outside, *range(2 * d, 2 * d + event))
    return cut.reshape(-1, *cut.shape[d:])
