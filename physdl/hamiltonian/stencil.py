r"""Monomials translated over a periodic box: locality and symmetry made structure.

    E(x) = sum_m sum_cells c_m(cell) sum_r prod_k x[cell + offsets[m, k], components[r, k]]

The offsets wrap around the box, so a neighbour is a roll of the array and no index table is read.
A scalar coefficient is translation invariance (and isotropy over the monomials), one number per
monomial is anisotropy, and an array over the cells is disorder. Along an axis of length 2 the two
neighbours coincide and each bond counts twice.
"""

import functools
import operator
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import ShapeError, SupportError
from physdl.hamiltonian.sites import Sites
from physdl.pytree import IntArray, Table, module, static
from physdl.spaces import Space

__all__ = ["Stencil"]


@module
class Stencil:
    """A sum of monomials repeated at every cell of a periodic box.

    Attributes:
      coefficient: shape (), [n_monomials], or [n_monomials, *box].
      offsets: int [n_monomials, degree, dim], the displacement of each factor from the cell.
      components: int [n_summed, degree], which component each factor takes; each monomial is the
        sum over the rows. ``None`` for scalar spaces.

    Raises:
      ShapeError: offsets, components and coefficient do not fit together.

    >>> from physdl.hamiltonian import Hamiltonian
    >>> from physdl.spaces import SPIN
    >>> bond = Stencil(-1.0, [[[0, 0], [0, 1]], [[0, 0], [1, 0]]])
    >>> float(Hamiltonian({"bond": bond}, space=SPIN, shape=(4, 4))(jnp.ones((4, 4))))
    -32.0
    """

    coefficient: Float[Array, "..."]
    offsets: Table = static()
    components: Table | None = static(default=None)

    def __init__(
        self,
        coefficient: ArrayLike,
        offsets: "Table | NumpyArrayLike",
        components: "Table | NumpyArrayLike | None" = None,
    ):
        offsets = offsets if isinstance(offsets, Table) else Table(offsets)
        if components is not None and not isinstance(components, Table):
            components = Table(components)
        c, shape = jnp.asarray(coefficient, dtype=float), offsets.array.shape
        if len(shape) != 3 or 0 in shape:
            raise ShapeError(
                f"offsets of a stencil have shape [n_monomials, degree, dim], got {shape}."
            )
        if components is not None and components.array.shape[1:] != shape[1:2]:
            raise ShapeError(
                f"components of a stencil of degree {shape[1]} have shape [n_summed, {shape[1]}], "
                f"got {components.array.shape}."
            )
        if c.shape not in ((), shape[:1]) and (c.ndim != 1 + shape[2] or len(c) != shape[0]):
            raise ShapeError(
                f"a stencil of {shape[0]} monomials in {shape[2]} dimensions takes a coefficient "
                f"of shape (), ({shape[0]},) or ({shape[0]}, *box), got {c.shape}."
            )
        object.__setattr__(self, "coefficient", c)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "components", components)

    def check(self, name: str, shape: tuple[int, ...], space: Space) -> None:
        """Raise when box, space and stencil do not fit together."""
        if self.offsets.array.shape[2] != len(shape):
            raise ShapeError(
                f"term {name!r} has offsets in {self.offsets.array.shape[2]} dimensions, but the "
                f"box has shape {shape}."
            )
        if self.coefficient.ndim > 1 and self.coefficient.shape[1:] != shape:
            raise ShapeError(
                f"term {name!r} has coefficients for a box of shape {self.coefficient.shape[1:]}, "
                f"but the box has shape {shape}."
            )
        pattern = self.pattern
        if not 0 <= pattern.min() <= pattern.max() < space.n_components:
            raise SupportError(
                f"term {name!r} uses component {pattern.max()}, but {space!r} has "
                f"{space.n_components} (0 to {space.n_components - 1})."
            )

    @property
    def pattern(self) -> IntArray:
        """Component of each factor, int [n_summed, degree]."""
        if self.components is None:
            return np.zeros((1, self.offsets.array.shape[1]), dtype=np.int32)
        return self.components.array

    def degree(self, space: Space) -> int:
        """The number of factors of each monomial."""
        return int(self.offsets.array.shape[1])

    def energy(self, x: Float[Array, "*box c"], space: Space) -> Float[Array, ""]:
        """The term's contribution to H, for a configuration with component axis."""
        box = x.shape[:-1]
        shared = self.coefficient.ndim == 0
        total = jnp.zeros(box, x.dtype)
        for m, monomial in enumerate(self.offsets.array):
            value = self._monomial(x, monomial)
            total = total + (value if shared else self.coefficient[m] * value)
        return self.coefficient * jnp.sum(total) if shared else jnp.sum(total)

    def _monomial(self, x: Float[Array, "*box c"], monomial: IntArray) -> Array:
        values = [
            functools.reduce(
                operator.mul,
                [_shifted(x[..., a], offset) for a, offset in zip(row, monomial, strict=True)],
            )
            for row in self.pattern
        ]
        return functools.reduce(operator.add, values)

    def fields(self, x: Float[Array, "*box c"]) -> Iterator[tuple[tuple[int, ...], Array]]:
        """What multiplies the own components of every cell's site, from the monomials at it.

        Yields (components of the own site, field [*box] or a number): as a function of the state s
        of a site, the term is the sum of field times the product of those s_a.
        """
        box = x.shape[:-1]
        for m, monomial in enumerate(self.offsets.array):
            wrapped = monomial % np.array(box)
            for here in np.unique(wrapped, axis=0):
                own = np.all(wrapped == here, axis=1)
                coefficient = (
                    self.coefficient if self.coefficient.ndim == 0 else self.coefficient[m]
                )
                if coefficient.ndim:
                    coefficient = _shifted(coefficient, -here)
                for row in self.pattern:
                    others = [
                        _shifted(x[..., a], offset - here)
                        for a, offset, mine in zip(row, wrapped, own, strict=True)
                        if not mine
                    ]
                    components = tuple(sorted(int(a) for a in row[own]))
                    yield components, functools.reduce(operator.mul, others, coefficient)

    def conditional(
        self, x: Float[Array, "*box c"], sites: Int[Array, " m"], points: Float[Array, "n q c"]
    ) -> Float[Array, "m q"]:
        """Energy of the monomials that touch each site, for each of its q values."""
        box = x.shape[:-1]
        value = jnp.moveaxis(points.reshape(*box, *points.shape[1:]), -1, 0)  # [c, *box, q]
        total = jnp.zeros(value.shape[1:], x.dtype)
        for components, field in self.fields(x):
            wide = jnp.broadcast_to(field, box)[..., None]
            total = total + functools.reduce(operator.mul, [value[a] for a in components], wide)
        return total.reshape(-1, total.shape[-1])[sites]

    def scaled(self, beta: Float[Array, ""]) -> "Stencil":
        """The term times a number."""
        return Stencil(beta * self.coefficient, self.offsets, self.components)

    def to_sites(self, shape: tuple[int, ...], space: Space) -> Sites:
        """The same sum as an explicit table of monomials, cell by cell for each monomial."""
        cells = np.indices(shape)[:, None, None]  # [dim, 1, 1, *box]
        offsets = np.moveaxis(self.offsets.array, 2, 0)  # [dim, n_monomials, degree]
        moved = offsets.reshape(*offsets.shape, *(1,) * len(shape)) + cells
        wrapped = moved % np.array(shape).reshape(-1, *(1,) * (moved.ndim - 1))
        index = np.ravel_multi_index(tuple(wrapped), shape)  # [n_monomials, degree, *box]
        index = np.moveaxis(index.reshape(*index.shape[:2], -1), 1, 2)
        table = index.reshape(-1, 1, index.shape[-1]) * space.n_components + self.pattern
        n_cells = int(np.prod(shape))
        c = self.coefficient
        c = jnp.repeat(c, n_cells) if c.ndim == 1 else c.reshape(-1) if c.ndim else c
        return Sites(c, Table(table[:, 0] if self.components is None else table))

    def gauged(self, signs: IntArray, shape: tuple[int, ...], space: Space) -> "Stencil":
        """The term after x_i -> signs_i x_i."""
        box = signs.reshape(shape)
        sign = np.stack(
            [
                np.prod([np.roll(box, tuple(-o), tuple(range(len(shape)))) for o in m], axis=0)
                for m in self.offsets.array
            ]
        )
        c = self.coefficient
        c = c.reshape(c.shape + (1,) * (sign.ndim - c.ndim)) if c.ndim == 1 else c
        return Stencil(c * jnp.asarray(sign, float), self.offsets, self.components)


def _shifted(x: Float[Array, "*box"], offset: IntArray) -> Float[Array, "*box"]:
    """The array whose entry at a cell is x at cell + offset."""
    moved = [(axis, int(-o)) for axis, o in enumerate(offset) if o % x.shape[axis]]
    if not moved:
        return x
    return jnp.roll(x, [o for _, o in moved], [axis for axis, _ in moved])
