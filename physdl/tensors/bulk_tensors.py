r"""Bulk tensors: a translation-invariant model as a network of equal tensors.

Where sites interact in pairs along the axes, the weight of every bond is split,

    W_a(s, s') = exp(-E_a(s, s')) = sum_i L_a[s, i] R_a[i, s'],

    T[x-, x+, y-, y+, ...] = sum_s w(s) prod_a R_a[a-, s] L_a[s, a+],        w = exp(-E(s)),

with legs as long as a bond has states, split in the balanced gauge. Any other interaction inside
the 2^d cells of a plaquette (diagonal bonds, four-spin terms, constraints) goes into

    T = exp(-E(corners)) on legs that carry the states of a face each: q^(2^(d-1)) long,

and every corner is shared by its plaquettes. A *cell* is one site, or the sites of the last axis of
the shape (two on a honeycomb); then T stands for as many sites.
"""

import functools
import itertools
import math
import string

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import StructureError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._cells import Pattern, cells
from physdl.tensors._factors import factors

__all__ = ["bulk", "dimension", "impurity", "scaled_bulk"]

LARGEST = 2**26


def bulk(h: Hamiltonian, dim: int | None = None) -> Float[Array, "..."]:
    """The tensor of a translation-invariant Hamiltonian with periodic boundaries.

    Args:
      h: any interactions inside the plaquettes of a square, cubic, ... box of cells; its size does
        not matter.
      dim: the number of axes of cells; found from the structure by default.

    Raises:
      SpaceError: the space is not finite.
      LatticeError: the shape is no box of cells.
      StructureError: an interaction reaches too far, or cells differ by structure (coefficients
        given one by one, open boundaries).

    >>> from physdl import lattices, models
    >>> t = bulk(models.ising(lattices.square(4, 4), 0.4))
    >>> t.shape, bool(jnp.isclose(jnp.einsum("iijj->", t), 2 * jnp.exp(0.8)))
    ((2, 2, 2, 2), True)
    """
    tensor, log_scale = scaled_bulk(h, dim)
    return tensor * jnp.exp(log_scale)


@full_precision
def scaled_bulk(
    h: Hamiltonian, dim: int | None = None
) -> tuple[Float[Array, "..."], Float[Array, ""]]:
    """``bulk`` without a factor that might overflow, and the logarithm of the factor."""
    found = cells(h, dimension(h) if dim is None else dim)
    if not found.uniform:
        raise StructureError(
            "one tensor for all places needs a translation-invariant Hamiltonian on a periodic "
            "box, but its coefficients or boundaries differ from place to place: use "
            "Contraction, TransferMatrix or Planar."
        )
    one = {pattern: t[(None,) * len(found.box)] for pattern, t in found.tables.items()}
    tensor, log_scale = _assembled(one, found.sizes, len(found.box))
    corner = (0,) * len(found.box)
    constant = found.constant / math.prod(found.box)
    return tensor[corner], log_scale[corner] - constant


def impurity(
    h: Hamiltonian, observable: Hamiltonian, dim: int | None = None
) -> Float[Array, "..."]:
    """The bulk tensor of h with the observable of one cell inserted.

    T_O = -d/de T(h + e O) at e = 0, so the plane with T_O in one place, over the plane, is <O> per
    cell: ``expectation`` of a scheme or of an ``Environment``. Of an observable on bonds each end
    inserts its part.

    Args:
      h: as for ``bulk``.
      observable: O, translation-invariant, written as a Hamiltonian of the same space and shape.
      dim: as for ``bulk``.

    >>> from physdl import lattices, models
    >>> lattice = lattices.square(4, 4)
    >>> h, magnetisation = models.ising(lattice, 0.3, 0.2), models.ising(lattice, 0.0, -1.0)
    >>> inserted, t = impurity(h, magnetisation), bulk(h)
    >>> free = models.ising(lattice, 0.0, 0.2)
    >>> ratio = jnp.sum(impurity(free, magnetisation)) / jnp.sum(bulk(free))
    >>> bool(jnp.isclose(ratio, jnp.tanh(0.2)))
    True
    """
    at_zero, slope = jnp.zeros(()), jnp.ones(())
    moved = functools.partial(_moved, h, observable, dim)
    inserted: Array = -jax.jvp(moved, (at_zero,), (slope,))[1]
    return inserted


def _moved(
    h: Hamiltonian, observable: Hamiltonian, dim: int | None, by: Array
) -> Float[Array, "..."]:
    return bulk(h + by * observable, dim)


def dimension(h: Hamiltonian) -> int:
    """The axes of cells of a shape, which may have one more axis for the sites of a cell."""
    if len(h.shape) < 3 or any(isinstance(t, Stencil) for t in h.terms.values()):
        return len(h.shape)
    return len(h.shape) if cells(h, len(h.shape)).uniform else len(h.shape) - 1


def _assembled(
    tables: dict[Pattern, Float[Array, "..."]], sizes: tuple[int, ...], dim: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    if any(axis_of(pattern, dim) is None for pattern in tables):
        return plaquettes(shared(tables, dim), sizes, dim)
    return of_bonds(tables, [_halves(b) for b in bonds(tables, sizes, dim)], sizes, dim)


@module
class Bond:
    """All interactions between cells that are neighbours along an axis.

    Attributes:
      weight: exp(-E - log_scale) [*box, states of the left end, of the right end].
      log_scale: [*box].
      ends: the sites of the left cell and of the right one that take part.
    """

    weight: Float[Array, "*box m n"]
    log_scale: Float[Array, "*box"]
    ends: tuple[tuple[int, ...], tuple[int, ...]] = static()


@module
class SplitBond:
    """A bond as the product of one factor for each end, summed over a leg."""

    left: Float[Array, "*box m leg"]
    right: Float[Array, "*box leg n"]
    bond: Bond


def bonds(
    tables: dict[Pattern, Float[Array, "..."]], sizes: tuple[int, ...], dim: int
) -> list[Bond]:
    """The bonds along every axis."""
    found = []
    for axis in range(dim):
        pairs = {p: t for p, t in tables.items() if axis_of(p, dim) == axis}
        places = sorted({(o[axis], s) for pattern in pairs for o, s in pattern})
        left, right = (tuple(s for end, s in places if end == side) for side in (0, 1))
        order = [(tuple(end * (a == axis) for a in range(dim)), s) for end, s in places]
        weight, log_scale = exponential(pairs, order, [sizes[s] for _, s in places], dim)
        n_left = math.prod(sizes[s] for s in left)
        matrix = weight.reshape(*weight.shape[:dim], n_left, -1)
        found.append(Bond(matrix, log_scale, (left, right)))
    return found


def _halves(bond: Bond) -> SplitBond:
    """By singular values."""
    matrix, length = bond.weight, min(bond.weight.shape[-2:])
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    left, right = jax.vmap(lambda w: factors(w, length).halves)(flat)
    lead = matrix.shape[:-2]
    return SplitBond(left.reshape(*lead, -1, length), right.reshape(*lead, length, -1), bond)


def of_bonds(
    tables: dict[Pattern, Float[Array, "..."]],
    split: list[SplitBond],
    sizes: tuple[int, ...],
    dim: int,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The tensors [*box, 0-, 0+, 1-, 1+, ...] of cells, their states summed between their bonds."""
    states = np.indices(sizes).reshape(len(sizes), -1)
    legs = string.ascii_letters[1 : 2 * dim + 1]
    places = [((0,) * dim, s) for s in range(len(sizes))]
    own = {p: t for p, t in tables.items() if axis_of(p, dim) == dim}
    weight, log_scale = exponential(own, places, list(sizes), dim)
    operands, subscripts = [weight.reshape(*weight.shape[:dim], -1)], ["...a"]
    for axis, half in enumerate(split):
        lefts, rights = half.bond.ends
        log_scale = log_scale + half.bond.log_scale
        operands += [
            jnp.roll(half.right, 1, axis)[..., _numbered(states, sizes, rights)],
            half.left[..., _numbered(states, sizes, lefts), :],
        ]
        subscripts += [f"...{legs[2 * axis]}a", f"...a{legs[2 * axis + 1]}"]
    return jnp.einsum(",".join(subscripts) + "->..." + legs, *operands, optimize=True), log_scale


def axis_of(pattern: Pattern, dim: int) -> int | None:
    """The axis along which a pattern extends; ``dim`` inside a cell, ``None`` across axes."""
    along = np.flatnonzero(np.any([offset for offset, _ in pattern], axis=0))
    return dim if len(along) == 0 else int(along[0]) if len(along) == 1 else None


def _numbered(
    states: NDArray[np.intp], sizes: tuple[int, ...], sites: tuple[int, ...]
) -> NDArray[np.intp]:
    """For every state of a cell, the number of the state of some of its sites."""
    if not sites:
        return np.zeros(states.shape[1], dtype=int)
    flat: NDArray[np.intp] = np.ravel_multi_index(
        tuple(states[s] for s in sites), tuple(sizes[s] for s in sites)
    )
    return flat


def exponential(
    tables: dict[Pattern, Float[Array, "..."]],
    order: list[tuple[tuple[int, ...], int]],
    sizes: list[int],
    dim: int,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """exp(-E + min E) over all states of the places in ``order``, and -min E."""
    energy = jnp.zeros((1,) * dim + tuple(sizes))
    for pattern, table in tables.items():
        axes = [dim + order.index(place) for place in pattern]
        moved = jnp.moveaxis(
            table.reshape(*table.shape, *(1,) * (len(sizes) - len(axes))),
            range(dim, dim + len(axes)),
            axes,
        )
        energy = energy.astype(moved.dtype) + moved
    inner = tuple(range(dim, energy.ndim))
    least = jax.lax.stop_gradient(jnp.min(energy, axis=inner, keepdims=True))
    least = jnp.where(jnp.isfinite(least), least, 0)
    return jnp.exp(least - energy), -jnp.squeeze(least, inner)


def plaquettes(
    tables: dict[Pattern, Float[Array, "..."]], sizes: tuple[int, ...], dim: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """All interactions inside a plaquette, ``shared``, on legs with the states of a face."""
    corners = list(itertools.product((0, 1), repeat=dim))
    order = [(corner, s) for corner in corners for s in range(len(sizes))]
    q = math.prod(sizes)
    leg = q ** (2 ** (dim - 1))
    if leg ** (2 * dim) > LARGEST:
        raise TooLargeError(
            f"a tensor of {2 * dim} legs with {leg} states each has more than {LARGEST} entries: "
            f"use a sampled method."
        )
    weight, log_scale = exponential(tables, order, list(sizes) * len(corners), dim)
    weight = weight.reshape(*weight.shape[:dim], -1)
    state = np.indices((q,) * len(corners)).reshape(len(corners), -1)
    index = []
    for axis, end in itertools.product(range(dim), (0, 1)):
        face = [state[i] for i, corner in enumerate(corners) if corner[axis] == end]
        index.append(np.ravel_multi_index(face, (q,) * len(face)))
    empty = jnp.zeros((*weight.shape[:dim], *(leg,) * (2 * dim)), weight.dtype)
    return empty.at[(..., *index)].set(weight), log_scale


def shared(
    tables: dict[Pattern, Float[Array, "..."]], dim: int
) -> dict[Pattern, Float[Array, "..."]]:
    """Every table shared equally among the plaquettes that hold its sites.

    So constraints are as local as they can be, without which frustrated ground states are lost.
    """
    found: dict[Pattern, Array] = {}
    for pattern, table in tables.items():
        reach = np.max([offset for offset, _ in pattern], axis=0)
        free = [axis for axis in range(dim) if reach[axis] == 0]
        for shift in itertools.product((0, 1), repeat=len(free)):
            by = np.zeros(dim, dtype=int)
            by[free] = shift
            moved = tuple((tuple((np.array(o) + by).tolist()), s) for o, s in pattern)
            rolled = jnp.roll(table, (-by).tolist(), axis=tuple(range(dim))) / 2 ** len(free)
            found[moved] = found[moved] + rolled if moved in found else rolled
    return found
