r"""A basis of translation-invariant operators: the axes of the space of couplings.

    S_a(x) = sum_m sum_cells prod_(o in m) x[cell + o],        p(x) = exp(sum_a K_a S_a(x)) / Z,

where m runs over a set of sites and its images under the point group of the lattice, each counted
once up to translations. The sets are generated: all of up to ``max_body`` sites of which no two are
farther apart than ``max_range``, in order of their diameter, then of their number of sites.

*Even* operators have an even number of sites and do not change under x -> -x, *odd* ones an odd
number. Without a field the two do not mix, so each kind makes a block of the linearised map: even
ones hold y_T, odd ones y_H.

Convention: the sign is that of couplings K, positive where the operator is favoured, so a
Hamiltonian is H = -sum_a K_a S_a, and ``basis.hamiltonian([K])`` of the nearest neighbours alone is
``models.ising(lattice, K)``. Lengths are in units of the bond.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import LatticeError, SettingError, ShapeError, UnknownNameError
from physdl.hamiltonian import Hamiltonian, Stencil, Term
from physdl.lattices import Lattice
from physdl.pytree import Table, module, static
from physdl.rg._clusters import Sites, diameter_of, lowered, names_of, point_group, sets_of
from physdl.spaces import SPIN, Space

__all__ = ["Operator", "OperatorBasis", "operator_basis"]


@module
class Operator:
    """One S_a: a product of sites, summed over the lattice and the point group.

    Attributes:
      name: how it is called in tables.
      offsets: int [n_monomials, body, dim], the sites of each monomial from the cell.
      diameter: the largest distance between two of its sites, in bond lengths.

    >>> from physdl import lattices
    >>> bond = operator_basis(lattices.square(4, 4), max_body=2, max_range=1)[0]
    >>> bond.name, float(bond(jnp.ones((4, 4))))
    ('nearest neighbour', 32.0)
    """

    name: str = static()
    offsets: Table = static()
    diameter: float = static(default=0.0)

    @property
    def body(self) -> int:
        """The number of sites."""
        return int(self.offsets.array.shape[1])

    @property
    def parity(self) -> str:
        """``"even"`` or ``"odd"``."""
        return ("even", "odd")[self.body % 2]

    def __call__(self, x: Float[Array, "*box"]) -> Float[Array, ""]:
        """S_a of one configuration."""
        return OperatorBasis((self,))(x)[0]

    def check(self, box: tuple[int, ...]) -> None:
        """Raise where the operator does not fit on a box, or two of its sites coincide there."""
        offsets = self.offsets.array
        if offsets.shape[2] != len(box):
            raise ShapeError(
                f"the operator {self.name!r} is of {offsets.shape[2]} dimensions, got a box {box}."
            )
        wrapped = offsets % np.array(box)
        for sites in wrapped:
            if len(np.unique(sites, axis=0)) < self.body:
                raise ShapeError(
                    f"two sites of the operator {self.name!r} coincide on a box {box}: take fewer "
                    f"steps or a smaller range."
                )


@module
class OperatorBasis:
    """Operators in order; called on a configuration, all their values.

    Attributes:
      operators: the operators.

    >>> from physdl import lattices
    >>> basis = operator_basis(lattices.square(8, 8), max_range={2: 2, 4: 1.5})
    >>> basis.names
    ('nearest neighbour', 'diagonal', 'plaquette', 'third neighbour')
    >>> basis(jnp.ones((8, 8))).tolist()
    [128.0, 128.0, 64.0, 128.0]
    """

    operators: tuple[Operator, ...] = static()

    def __len__(self) -> int:
        return len(self.operators)

    def __iter__(self) -> Iterator[Operator]:
        return iter(self.operators)

    def __getitem__(self, index: int) -> Operator:
        return self.operators[index]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(o.name for o in self.operators)

    def take(self, which: Sequence[str] | int) -> "OperatorBasis":
        """The operators of these names, or the first so many.

        Raises:
          UnknownNameError: there is no such operator.
        """
        if isinstance(which, int):
            return OperatorBasis(self.operators[:which])
        by_name = {o.name: o for o in self.operators}
        for name in which:
            if name not in by_name:
                raise UnknownNameError("operator", name, by_name)
        return OperatorBasis(tuple(by_name[name] for name in which))

    def check(self, box: tuple[int, ...]) -> None:
        """Raise where an operator does not fit on a box, or two of them are the same there.

        Raises:
          ShapeError: it does not fit.
        """
        seen: dict[frozenset[Sites], str] = {}
        for operator in self.operators:
            operator.check(box)
            images = frozenset(_on_box(sites, box) for sites in operator.offsets.array)
            if images in seen:
                raise ShapeError(
                    f"the operators {seen[images]!r} and {operator.name!r} are the same on a box "
                    f"{box}: take fewer steps or a smaller range."
                )
            seen[images] = operator.name

    def __call__(self, x: Float[Array, "*box"]) -> Float[Array, " n"]:
        """All S_a of one configuration, exact int32 where x has an integer type.

        The box is padded once by what wraps around, so every factor is a slice.
        """
        moved = _Shifts(self, x)
        wide = jnp.int32 if jnp.issubdtype(x.dtype, jnp.integer) else x.dtype
        sums = [jnp.sum(moved.summed(operator), dtype=wide) for operator in self.operators]
        return jnp.stack(sums) if sums else jnp.zeros(0, wide)

    def densities(self, x: Float[Array, "..."]) -> Float[Array, "n ..."]:
        """The sum of the monomials of each operator at every cell; S_a is its sum."""
        moved = _Shifts(self, x)
        return jnp.stack([moved.summed(operator) for operator in self.operators])

    def hamiltonian(
        self, couplings: ArrayLike, lattice: Lattice | tuple[int, ...], *, space: Space = SPIN
    ) -> Hamiltonian:
        """H = -sum_a K_a S_a on a periodic box, one ``Stencil`` for each operator.

        Raises:
          ShapeError: there is not one coupling for each operator, or an operator does not fit.

        >>> from physdl import lattices, models
        >>> lattice = lattices.square(4, 4)
        >>> basis = operator_basis(lattice, max_body=2, max_range=1)
        >>> x = jnp.ones((4, 4)).at[0, 1].set(-1)
        >>> h, ising = basis.hamiltonian([0.4], lattice), models.ising(lattice, 0.4)
        >>> bool(jnp.isclose(h(x), ising(x)))
        True
        """
        k = jnp.asarray(couplings, dtype=float)
        box = lattice.shape if isinstance(lattice, Lattice) else tuple(lattice)
        if k.shape != (len(self),):
            raise ShapeError(f"{len(self)} operators take as many couplings, got shape {k.shape}.")
        for operator in self.operators:
            operator.check(box)
        terms: dict[str, Term] = {
            o.name: Stencil(-k[a], o.offsets) for a, o in enumerate(self.operators)
        }
        return Hamiltonian(terms, space=space, shape=box)


class _Shifts:
    """Shifted copies of one configuration, as slices of its periodic padding."""

    def __init__(self, basis: OperatorBasis, x: Array):
        self.box = x.shape
        for operator in basis:
            if operator.offsets.array.shape[2] != x.ndim:
                operator.check(x.shape)
        tables = [o.offsets.array.reshape(-1, x.ndim) for o in basis] or [
            np.zeros((1, x.ndim), int)
        ]
        every = np.concatenate(tables)
        self.low = np.maximum(-every.min(axis=0), 0)
        high = np.maximum(every.max(axis=0), 0)
        pads = [(int(a), int(b)) for a, b in zip(self.low, high, strict=True)]
        self.padded = jnp.pad(x, pads, mode="wrap")

    def at(self, offset: NDArray[np.integer]) -> Array:
        start = [int(v) for v in self.low + offset]
        return self.padded[tuple(slice(s, s + n) for s, n in zip(start, self.box, strict=True))]

    def summed(self, operator: Operator) -> Array:
        total: Array | None = None
        for monomial in operator.offsets.array:
            value = self.at(monomial[0])
            for offset in monomial[1:]:
                value = value * self.at(offset)
            total = value if total is None else total + value
        assert total is not None
        return total


def operator_basis(
    lattice: Lattice,
    max_body: int = 4,
    max_range: float | Mapping[int, float] = 2.0,
    *,
    parity: str = "even",
) -> OperatorBasis:
    """All operators of one parity, up to a number of sites and a range.

    Args:
      lattice: a box with one site in a cell; its primitive vectors give distances and point group.
      max_body: the largest number of sites.
      max_range: the largest distance between two sites, in bond lengths; one for all, or one for
        each number of sites that is wanted, as in ``{2: 2.3, 4: 1.5}``.
      parity: ``"even"`` or ``"odd"``.

    Raises:
      LatticeError: the lattice is not a periodic box with one site in a cell.
      SettingError: a number is out of range, or the parity has another name.
      TooLargeError: there are more than 10^6 sets of sites to look at.

    >>> from physdl import lattices
    >>> operator_basis(lattices.square(16, 16), 3, 2, parity="odd").names
    ('site', 'corner', 'line', 'bent')
    >>> operator_basis(lattices.cubic(8, 8, 8), 4, 1.5).names
    ('nearest neighbour', 'diagonal', 'plaquette', '4-spin 000 001 010 100', 'tetrahedron')
    """
    ranges = _ranges(max_body, max_range, parity)
    cell = lattice.cell
    if cell is None or not cell.links or len(cell.basis) != 1 or not all(lattice.periodic):
        raise LatticeError(
            f"operators are of a periodic box lattice with one site in a cell, got a lattice of "
            f"shape {lattice.shape}, periodic {lattice.periodic}."
        )
    primitive = np.array(cell.primitive)
    group = point_group(primitive)
    found: dict[Sites, tuple[float, list[Sites]]] = {}
    for body, longest in ranges.items():
        for sites in sets_of(primitive, body, longest):
            if sites not in found:
                images = sorted({lowered(np.array(sites) @ m) for m in group})
                diameter = diameter_of(np.array(sites) @ primitive)
                found.update({image: (diameter, images) for image in images})
    orbits = {images[0]: (diameter, images) for diameter, images in found.values()}
    ordered = sorted(orbits, key=lambda first: (round(orbits[first][0], 9), len(first), first))
    names = names_of(ordered, primitive)
    return OperatorBasis(
        tuple(
            Operator(name, Table(orbits[first][1]), orbits[first][0])
            for name, first in zip(names, ordered, strict=True)
        )
    )


def _ranges(max_body: int, max_range: float | Mapping[int, float], parity: str) -> dict[int, float]:
    """The range for each number of sites of the parity."""
    if parity not in ("even", "odd"):
        raise SettingError(f"the parity of operators is 'even' or 'odd', got {parity!r}.")
    if isinstance(max_body, bool) or int(max_body) != max_body or max_body < 1:
        raise SettingError(f"max_body is a positive integer, got {max_body!r}.")
    first = 1 if parity == "odd" else 2
    given = max_range if isinstance(max_range, Mapping) else {n: max_range for n in range(9)}
    if any(not 0 <= r < math.inf for r in given.values()):
        raise SettingError(f"ranges are distances in bond lengths, got {max_range!r}.")
    bodies = range(first, int(max_body) + 1, 2)
    ranges = {n: float(given[n]) for n in bodies if n in given}
    return {1: 0.0, **ranges} if parity == "odd" else ranges


def _on_box(sites: NDArray[np.integer], box: tuple[int, ...]) -> Sites:
    """A name for the set up to translations around the box."""
    images = [sorted(map(tuple, ((sites - s) % np.array(box)).tolist())) for s in sites]
    return tuple(min(images))
