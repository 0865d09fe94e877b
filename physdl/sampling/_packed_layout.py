r"""How the words of a lattice are stored: one array per colour, neighbours by slices or by gathers.

A *box* is coloured by a linear function, colour(x) = a . x mod q, which is proper when no bond
vector d has a . d = 0 mod q and closes when a_k L_k = 0 mod q: q = 2 and a = (1, ..., 1) on even
square and cubic boxes, q = 3 or 4 on triangular ones. Of every q sites along the last axis one has
a given colour, at q x' + e(row), so a colour is an array [..., L / q], and the neighbour at d is at

    x' + floor((e + d) / q),        row + d_row,

a slice of the other colour's array with a halo: two slices and a selection that depends on the row.

Every other lattice is a *graph*: colours come from ``lattices.colouring``, and neighbours are
gathered through index tables. Sites with fewer neighbours than the most have ties to themselves,
which are always satisfied; half of them are inverted, so as to be never satisfied, and their
energies cancel. Where their number is odd one is left over, and the site is *odd*.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from physdl.errors import StructureError
from physdl.hamiltonian import Stencil
from physdl.lattices import colouring
from physdl.pytree import IntArray, Table
from physdl.sampling._barrier import settled
from physdl.spaces import SPIN

__all__ = ["Box", "Graph", "Layout", "layout_of_sites", "layout_of_stencil"]

MOST_COLOURS = 5


@dataclass(frozen=True)
class Box:
    """A periodic box in linear colours.

    Attributes:
      shape: the lengths L_k of the box.
      pairs: the two offsets of each bond of a cell.
      slope: the vector a of the colouring.
      n_colours: its modulus q.
    """

    shape: tuple[int, ...]
    pairs: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    slope: tuple[int, ...]
    n_colours: int

    @property
    def vectors(self) -> list[tuple[int, ...]]:
        """Where the neighbours are: d and -d of every bond."""
        ds = [tuple(b - a for a, b in zip(*pair, strict=True)) for pair in self.pairs]
        return [v for d in ds for v in (d, tuple(-k for k in d))]

    @property
    def degree(self) -> int:
        """The number of neighbours."""
        return 2 * len(self.pairs)

    @property
    def n_bonds(self) -> int:
        """The number of bonds."""
        return len(self.pairs) * int(np.prod(self.shape))

    @property
    def ties(self) -> None:
        """No site lacks a neighbour."""
        return None

    @property
    def odd(self) -> None:
        """No site is odd."""
        return None

    def _places(self, colour: int) -> IntArray:
        """e [*rows, 1]: the first place of a colour in each row."""
        rows = np.indices((*self.shape[:-1], 1)).reshape(len(self.shape), -1)
        height = np.array(self.slope[:-1], int) @ rows[:-1] if len(rows) > 1 else np.zeros(1, int)
        inverse = pow(self.slope[-1], -1, self.n_colours)
        e: IntArray = (colour - height) * inverse % self.n_colours
        return e.reshape(*self.shape[:-1], 1)

    @functools.cached_property
    def _sites(self) -> list[IntArray]:
        q, length = self.n_colours, self.shape[-1]
        index = np.arange(int(np.prod(self.shape)), dtype=np.int32).reshape(self.shape)
        steps = q * np.arange(length // q)
        return [
            np.take_along_axis(
                index, self._places(c) + steps.reshape(*(1,) * (index.ndim - 1), -1), -1
            )
            for c in range(q)
        ]

    def split(self, x: Array) -> tuple[Array, ...]:
        """Arrays per colour, [*rows, L / q * w], of values [n_sites, w]."""
        return tuple(x[s].reshape(*s.shape[:-1], -1) for s in self._sites)

    def joined(self, parts: Sequence[Array], w: int) -> Array:
        """The inverse of ``split``."""
        order = np.argsort(np.concatenate([s.reshape(-1) for s in self._sites]))
        return jnp.concatenate([p.reshape(-1, w) for p in parts])[order]

    def exposed(self, part: Array, w: int) -> Array:
        """A colour with its halo."""
        q, along = self.n_colours, [v[-1] for v in self.vectors]
        halo = [(max(abs(v[k]) for v in self.vectors),) * 2 for k in range(len(self.shape) - 1)]
        halo.append((-min(a // q for a in along) * w, max((q - 1 + a) // q for a in along) * w))
        return settled(jnp.pad(part, halo, mode="wrap"))

    def neighbours(self, exposed: Sequence[Array], colour: int, w: int) -> list[Array]:
        """The neighbours of a colour, in the order of ``vectors``."""
        q, vectors, e = self.n_colours, self.vectors, self._places(colour)
        halo = [max(abs(v[k]) for v in vectors) for k in range(len(self.shape) - 1)]
        before, length = -min(v[-1] // q for v in vectors), self.shape[-1] // q
        out = []
        for v in vectors:
            source = exposed[(colour + int(np.dot(self.slope, v))) % q]
            rows = tuple(
                slice(margin + step, margin + step + n)
                for margin, step, n in zip(halo, v, self.shape, strict=False)
            )
            start, left = before + v[-1] // q, v[-1] % q
            here = source[(*rows, slice(start * w, (start + length) * w))]
            if left:
                there = source[(*rows, slice((start + 1) * w, (start + 1 + length) * w))]
                here = jnp.where(jnp.asarray(e >= q - left), there, here)
            out.append(here)
        return out

    def bond_signs(self, signs: Array) -> list[Array]:
        """Of bonds [n_bonds] in the order of a stencil: for each neighbour, [n_sites]."""
        axes = tuple(range(len(self.shape)))
        per_bond = signs.reshape(len(self.pairs), *self.shape)
        return [
            jnp.roll(per_bond[m], offset, axes).reshape(-1)
            for m, pair in enumerate(self.pairs)
            for offset in pair
        ]


@dataclass(frozen=True)
class Graph:
    """Any graph in colour order.

    Attributes:
      bonds: the two ends of every bond, [n_bonds, 2].
      colours: a proper colouring, [n_sites].
    """

    bonds: Table
    colours: Table

    @property
    def n_colours(self) -> int:
        """The number of colours."""
        return int(self.colours.array.max(initial=0)) + 1

    @property
    def n_bonds(self) -> int:
        """The number of bonds."""
        return len(self.bonds.array)

    @functools.cached_property
    def _incidence(self) -> tuple[IntArray, IntArray]:
        """The neighbours of every site and the bonds to them, [n_sites, degree], -1 for none."""
        ends, n = self.bonds.array, len(self.colours.array)
        site = ends.T.reshape(-1)
        other, bond = ends.T[::-1].reshape(-1), np.tile(np.arange(len(ends)), 2)
        order = np.argsort(site, kind="stable")
        count = np.bincount(site, minlength=n)
        slot = np.arange(len(site)) - (np.cumsum(count) - count)[site[order]]
        tables = np.full((2, n, max(int(count.max(initial=0)), 1)), -1, dtype=np.int32)
        tables[0, site[order], slot] = other[order]
        tables[1, site[order], slot] = bond[order]
        return tables[0], tables[1]

    @property
    def degree(self) -> int:
        """The largest number of neighbours."""
        return int(self._incidence[0].shape[1])

    @functools.cached_property
    def ties(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Which neighbours are missing, and which of these are inverted: bool [n_sites, degree].

        None where no neighbour is missing. Of t ties of a site t // 2 are inverted.
        """
        missing = self._incidence[0] < 0
        rank = np.cumsum(missing, axis=1)
        inverted = missing & (rank <= rank[:, -1:] // 2)
        return (missing, inverted) if missing.any() else None

    @functools.cached_property
    def odd(self) -> IntArray | None:
        """Which sites miss an odd number of neighbours, bool [n_sites]; None where none does."""
        odd: IntArray = np.sum(self._incidence[0] < 0, axis=1) % 2 == 1
        return odd if odd.any() else None

    @functools.cached_property
    def _order(self) -> IntArray:
        return np.argsort(self.colours.array, kind="stable")

    @functools.cached_property
    def _starts(self) -> IntArray:
        return np.concatenate([[0], np.cumsum(np.bincount(self.colours.array))])

    def split(self, x: Array) -> tuple[Array, ...]:
        """Arrays per colour, [n_c * w], of values [n_sites, w]."""
        ordered, s = x[self._order], self._starts
        return tuple(ordered[a:b].reshape(-1) for a, b in itertools.pairwise(s.tolist()))

    def joined(self, parts: Sequence[Array], w: int) -> Array:
        """The inverse of ``split``."""
        return jnp.concatenate([p.reshape(-1, w) for p in parts])[np.argsort(self._order)]

    def exposed(self, part: Array, w: int) -> Array:
        """A colour as rows of the words of a site."""
        return part.reshape(-1, w)

    @functools.cached_property
    def _gathers(self) -> list[tuple[list[int], IntArray]]:
        """Per colour: the colours its neighbours have, and where among their sites they are."""
        out: list[tuple[list[int], IntArray]] = []
        starts = self._starts
        for colour in range(self.n_colours):
            sites = self._order[starts[colour] : starts[colour + 1]]
            table = self._incidence[0][sites]
            table = np.where(table < 0, sites[:, None], table)
            needed: list[int] = np.unique(self.colours.array[table]).tolist()
            position = np.empty(len(self._order), dtype=np.int32)
            members = np.concatenate([self._order[starts[c] : starts[c + 1]] for c in needed])
            position[members] = np.arange(len(members))
            out.append((needed, position[table]))
        return out

    def neighbours(self, exposed: Sequence[Array], colour: int, w: int) -> list[Array]:
        """The neighbours of a colour; a missing one is the site itself."""
        needed, positions = self._gathers[colour]
        pool = jnp.concatenate([exposed[c] for c in needed])
        found = [pool.at[p].get(mode="promise_in_bounds").reshape(-1) for p in positions.T]
        return [settled(f) for f in found]

    def bond_signs(self, signs: Array) -> list[Array]:
        """Of bonds [n_bonds]: for each neighbour, [n_sites]; any value for missing ones."""
        return [signs[np.maximum(column, 0)] for column in self._incidence[1].T]


Layout = Box | Graph


@functools.lru_cache(maxsize=64)
def layout_of_stencil(offsets: Table, shape: tuple[int, ...]) -> Layout:
    """A box where a linear colouring exists, else its graph."""
    ends = [[tuple(int(o) for o in end) for end in pair] for pair in offsets.array]
    pairs = tuple((first, second) for first, second in ends)
    for a, b in pairs:
        _refuse_loop(not np.any(np.subtract(b, a) % np.array(shape)), f"the bond {a}, {b}")
    found = _linear_colouring([np.subtract(b, a) for a, b in pairs], shape)
    if found is not None:
        return Box(shape, pairs, *found)
    bonds = Stencil(0.0, offsets).to_sites(shape, SPIN).table
    n = int(np.prod(shape))
    links = [(0, 0, tuple(int(v) for v in np.subtract(b, a))) for a, b in pairs]
    colours = colouring.two_colouring(n, bonds.array)
    if colours is None:
        colours = colouring.box_colouring(shape, (True,) * len(shape), links)
    if colours is None:
        colours = colouring.dsatur(colouring.adjacency(n, bonds.array))
    return Graph(bonds, Table(colours))


@functools.lru_cache(maxsize=64)
def layout_of_sites(table: Table, n_sites: int) -> Layout:
    """The graph of a table of pairs."""
    loops = np.flatnonzero(table.array[:, 0] == table.array[:, 1])
    _refuse_loop(loops.size > 0, f"bond {loops[:1]}")
    colours = colouring.two_colouring(n_sites, table.array)
    if colours is None:
        colours = colouring.dsatur(colouring.adjacency(n_sites, table.array))
    return Graph(table, Table(colours))


def _refuse_loop(found: bool, what: str) -> None:
    if found:
        raise StructureError(
            f"packed spins need bonds between different sites, {what} joins a site to itself: its "
            f"energy is constant, remove it."
        )


def _linear_colouring(
    vectors: Sequence[IntArray], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], int] | None:
    """The slope and modulus of the linear colouring with the fewest colours, if there is one."""
    for q in range(2, MOST_COLOURS + 1):
        if shape[-1] % q or len(shape) > 8:
            continue
        fits = [[a for a in range(q) if a * n % q == 0] for n in shape]
        fits[-1] = [a for a in fits[-1] if np.gcd(a, q) == 1]
        for slope in itertools.product(*(reversed(axis) for axis in fits)):
            if all(np.dot(slope, v) % q for v in vectors):
                return tuple(slope), q
    return None
