r"""The tensors of all cells of a finite box, whose couplings and boundaries may be anything.

As for bulk tensors (``bulk_tensors``), but a bond is split in the gauge of states,

    W(s, s') = sum_i 1[i = s] W(i, s'),

or the other way round, whichever leg is shorter. So no entry is negative, no sum cancels, and a
weight of exp(-100) keeps its digits. Where the box is open, legs that leave it are zero but for
their first state.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.errors import TooLargeError
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._cells import Cells, Pattern, cells, closed
from physdl.tensors._factors import square_root
from physdl.tensors.bulk_tensors import (
    SplitBond,
    axis_of,
    bonds,
    of_bonds,
    plaquettes,
    shared,
)

__all__ = ["Box", "box"]

DIM = 2
LARGEST = 2**28
FLOOR = 1e-4


@module
class Box:
    """The network of a box of cells.

    Attributes:
      tensors: [n_0, n_1, 0-, 0+, 1-, 1+], each up to a factor.
      log_scale: the logarithm of all factors.
      spread: a bound of the range of finite energies of one cell.
      periodic: along which axes it is closed to a ring.
    """

    tensors: Float[Array, "n_0 n_1 a a b b"]
    log_scale: Float[Array, ""]
    spread: Float[Array, ""]
    periodic: tuple[bool, ...] = static()


@full_precision
def box(h: Hamiltonian, *, balanced: bool = False) -> Box:
    """The network of a Hamiltonian on a box of two axes, and perhaps one of sites of a cell.

    Raises:
      SpaceError: the space is not finite.
      LatticeError: the shape is no box of cells.
      StructureError: an interaction reaches beyond the neighbouring cell, or sites of different
        cells have different numbers of states.
      TooLargeError: the tensors have too many entries.

    >>> from physdl import lattices, models
    >>> network = box(models.ising(lattices.square(3, 4, periodic=(True, False)), 0.4))
    >>> network.tensors.shape, network.periodic
    ((3, 4, 2, 2, 2, 2), (True, False))
    """
    found = cells(h, DIM)
    periodic = (True,) * DIM if found.uniform else closed(h, DIM)
    tables = found.tables
    if found.uniform:
        tables = {p: jnp.broadcast_to(t, (*found.box, *t.shape)) for p, t in tables.items()}
    crossing = any(axis_of(pattern, DIM) is None for pattern in tables)
    if crossing:
        tensors, log_scale = _of_plaquettes(tables, found, periodic)
    else:
        tensors, log_scale = _of_bonds(tables, found, periodic, balanced=balanced)
    cell_scales = jnp.sum(jnp.broadcast_to(log_scale, tensors.shape[:DIM]))
    ranges = [_range(table) for table in jax.lax.stop_gradient(tables).values()]
    spread = sum(ranges, jnp.zeros((), tensors.dtype))
    return Box(tensors, cell_scales - found.constant, spread, periodic)


def _range(table: Float[Array, "..."]) -> Float[Array, ""]:
    """The largest difference of finite energies of one cell."""
    inner = tuple(range(DIM, table.ndim))
    some = jnp.isfinite(table)
    most = jnp.max(jnp.where(some, table, -jnp.inf), axis=inner)
    return jnp.max(jnp.maximum(most - jnp.min(jnp.where(some, table, jnp.inf), axis=inner), 0))


def _of_bonds(
    tables: dict[Pattern, Float[Array, "..."]],
    found: Cells,
    periodic: tuple[bool, ...],
    *,
    balanced: bool,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    split = []
    for axis, bond in enumerate(bonds(tables, found.sizes, DIM)):
        left, right = _halves(bond.weight, balanced=balanced)
        if not periodic[axis]:
            left, right = (
                _cut(leg, axis, found.box[axis], at) for leg, at in ((left, -1), (right, -2))
            )
        split.append(SplitBond(left, right, bond))
    _require_few(math.prod(found.box) * math.prod(half.left.shape[-1] for half in split) ** 2)
    tensors, log_scale = of_bonds(tables, split, found.sizes, DIM)
    return jnp.broadcast_to(tensors, (*found.box, *tensors.shape[DIM:])), log_scale


def _halves(weight: Float[Array, "*box m n"], *, balanced: bool) -> tuple[Array, Array]:
    """By the states of the end that has fewer."""
    *lead, n_left, n_right = weight.shape
    n = min(n_left, n_right)
    states = jnp.broadcast_to(jnp.eye(n, dtype=weight.dtype), (*lead, n, n))
    left, right = (states, weight) if n_left <= n_right else (weight, states)
    if balanced:
        gauge, inverse = _balance(weight, left_end=n_left <= n_right)
        left, right = left @ gauge, inverse @ right
    return left, right


def _balance(weight: Float[Array, "*box m n"], *, left_end: bool) -> tuple[Array, Array]:
    """(W W^T)^(1/4), or (W^T W)^(-1/4) for legs with the states of the right end; the inverse."""
    matrix = weight if left_end else jnp.swapaxes(weight, -1, -2)
    square = jnp.matmul(matrix, jnp.swapaxes(matrix, -1, -2), precision="highest")
    n = square.shape[-1]

    def fourth_root(square: Array) -> tuple[Array, Array]:
        floor = FLOOR**2 * jax.lax.stop_gradient(jnp.trace(square))
        return square_root(square_root(square + floor * jnp.eye(n, dtype=square.dtype))[0])

    root, inverse = jax.vmap(fourth_root)(square.reshape(-1, n, n))
    root, inverse = root.reshape(square.shape), inverse.reshape(square.shape)
    return (root, inverse) if left_end else (inverse, root)


def _cut(leg: Float[Array, "..."], axis: int, length: int, at: int) -> Float[Array, "..."]:
    """A side of bonds whose last is absent: all states of the cell go to the first of the leg."""
    last = jnp.arange(length) == length - 1
    first = jnp.arange(leg.shape[at]) == 0
    last = last.reshape([-1 if a == axis else 1 for a in range(leg.ndim)])
    first = first.reshape([-1 if a == at % leg.ndim else 1 for a in range(leg.ndim)])
    return jnp.where(last, first.astype(leg.dtype), leg)


def _of_plaquettes(
    tables: dict[Pattern, Float[Array, "..."]], found: Cells, periodic: tuple[bool, ...]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    leg = math.prod(found.sizes) ** 2
    _require_few(math.prod(found.box) * leg**4)
    inside = shared(tables, DIM)
    for axis in range(DIM):
        if not periodic[axis]:
            inside = _inside(inside, axis)
    tensors, log_scale = plaquettes(inside, found.sizes, DIM)
    for axis in range(DIM):
        if not periodic[axis]:
            for place, at in ((0, DIM + 2 * axis), (-1, DIM + 2 * axis + 1)):
                tensors = _summed(tensors, axis, place, at)
    return tensors, log_scale


def _inside(tables: dict[Pattern, Array], axis: int) -> dict[Pattern, Array]:
    """Tables of the plaquettes inside an open box, with what those across its ends had shared."""
    found: dict[Pattern, Array] = {}

    def add(pattern: Pattern, table: Array) -> None:
        found[pattern] = found[pattern] + table if pattern in found else table

    for pattern, table in tables.items():
        add(pattern, jnp.delete(table, -1, axis=axis))
        ends = {offset[axis] for offset, _ in pattern}
        if len(ends) == 1:
            end = ends.pop()
            other = tuple(
                (tuple(1 - end if a == axis else x for a, x in enumerate(offset)), s)
                for offset, s in pattern
            )
            across = jnp.take(table, jnp.asarray([-1]), axis=axis)
            rest = [(0, 0)] * table.ndim
            rest[axis] = (table.shape[axis] - 2, 0) if end == 0 else (0, table.shape[axis] - 2)
            add(other, jnp.pad(across, rest))
    return found


def _summed(tensors: Array, axis: int, place: int, leg: int) -> Array:
    """The outermost tensors with a leg summed, on its first state."""
    outer = jnp.moveaxis(jnp.take(tensors, jnp.asarray(place), axis=axis), leg - 1, -1)
    total = jnp.pad(
        jnp.sum(outer, axis=-1, keepdims=True), [(0, 0)] * 4 + [(0, outer.shape[-1] - 1)]
    )
    at = (slice(None),) * axis + (place,)
    return tensors.at[at].set(jnp.moveaxis(total, -1, leg - 1))


def _require_few(n_entries: int) -> None:
    if n_entries > LARGEST:
        raise TooLargeError(
            f"the tensors of this box have {n_entries:.1e} entries, above {LARGEST}: use a sampled "
            f"method."
        )
