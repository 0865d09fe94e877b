r"""Monomials on any graph, of any degree.

    E(x) = sum_m c_m sum_r prod_k x[table[m, r, k]]

A table entry is a *variable*: component a of site i is variable i * c + a, so for scalar spaces a
variable is a site. A repeated variable is a power; a table with no last-axis entries is a constant.
A table of shape [n, degree] has one monomial per coefficient; one of shape [n, r, degree] gives
each coefficient a sum of r monomials, such as the scalar product of two spins. A scalar
coefficient is shared by all.
"""

import functools
import operator

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import ShapeError, SupportError
from physdl.pytree import IntArray, Table, module, static
from physdl.spaces import Space

__all__ = ["Sites", "incidence"]


@module
class Sites:
    """A sum of monomials listed in a table.

    Attributes:
      coefficient: scalar, or shape [n_monomials]; dimensionless (in k_B T).
      table: variables, int [n_monomials, degree] or [n_monomials, n_summed, degree].

    Raises:
      ShapeError: the table has another rank, or the coefficient another shape.

    >>> from physdl.hamiltonian import Hamiltonian
    >>> from physdl.spaces import SPIN
    >>> h = Hamiltonian({"bond": Sites(-0.5, [[0, 1], [1, 2]])}, space=SPIN, shape=(3,))
    >>> float(h(jnp.array([1, 1, -1])))
    0.0
    """

    coefficient: Float[Array, "..."]
    table: Table = static()

    def __init__(self, coefficient: ArrayLike, table: "Table | NumpyArrayLike"):
        table = table if isinstance(table, Table) else _as_table(table)
        c = jnp.asarray(coefficient, dtype=float)
        if table.array.ndim not in (2, 3):
            raise ShapeError(
                f"a table of monomials has shape [n_monomials, degree] or [n_monomials, "
                f"n_summed, degree], got shape {table.array.shape}."
            )
        if c.shape not in ((), table.array.shape[:1]):
            raise ShapeError(
                f"{table.array.shape[0]} monomials take a coefficient of shape () or "
                f"({table.array.shape[0]},), got {c.shape}."
            )
        object.__setattr__(self, "coefficient", c)
        object.__setattr__(self, "table", table)

    def check(self, name: str, shape: tuple[int, ...], space: Space) -> None:
        """Raise ``SupportError`` when a variable does not exist."""
        n_sites, c, table = int(np.prod(shape)), space.n_components, self.table.array
        if table.size and not 0 <= table.min() <= table.max() < n_sites * c:
            worst = table.max() if table.max() >= n_sites * c else table.min()
            per_site = f" of {c} components" if c > 1 else ""
            raise SupportError(
                f"term {name!r} acts on variable {worst}, but there are {n_sites} sites{per_site} "
                f"(variables 0 to {n_sites * c - 1}): build the term on the same lattice and space."
            )

    @property
    def rows(self) -> IntArray:
        """All variables of each coefficient, int [n_monomials, n_summed * degree]."""
        n, *rest = self.table.array.shape
        return self.table.array.reshape(n, int(np.prod(rest)))

    def degree(self, space: Space) -> int:
        """The number of factors of each monomial."""
        return int(self.table.array.shape[-1])

    def energy(self, x: Float[Array, "*shape c"], space: Space) -> Float[Array, ""]:
        """The term's contribution to H, for a configuration with component axis."""
        v, table = x.reshape(-1), self.table.array
        one = jnp.ones(table.shape[:-1], v.dtype)
        values = _product([v[table[..., k]] for k in range(table.shape[-1])], one)
        return jnp.sum(self.coefficient * _summed(values))

    def conditional(
        self, x: Float[Array, "*shape c"], sites: Int[Array, " m"], points: Float[Array, "n q c"]
    ) -> Float[Array, "m q"]:
        """Energy of the monomials that touch each site, for each of its q values."""
        n_sites, _, c = points.shape
        rows = jnp.asarray(incidence(self.table, n_sites, c))[sites]
        table = jnp.asarray(self.table.array)[jnp.maximum(rows, 0)]
        here = (table // c == sites.reshape((-1,) + (1,) * (table.ndim - 1)))[..., None]
        value = jnp.moveaxis(points[sites], 2, 1)  # [m, c, q]
        lead = jnp.arange(len(sites)).reshape((-1,) + (1,) * (table.ndim - 1))
        factors = jnp.where(here, value[lead, table % c], x.reshape(-1)[table][..., None])
        monomials = jnp.prod(factors, axis=-2)
        monomials = monomials if table.ndim == 3 else jnp.sum(monomials, axis=-2)
        coefficient = jnp.broadcast_to(self.coefficient, self.table.array.shape[:1])
        weight = jnp.where(rows >= 0, coefficient[jnp.maximum(rows, 0)], 0.0)
        return jnp.sum(weight[..., None] * monomials, axis=1)

    def scaled(self, beta: Float[Array, ""]) -> "Sites":
        """The term times a number."""
        return Sites(beta * self.coefficient, self.table)

    def to_sites(self, shape: tuple[int, ...], space: Space) -> "Sites":
        """Itself."""
        return self

    def gauged(self, signs: IntArray, shape: tuple[int, ...], space: Space) -> "Sites":
        """The term after x_i -> signs_i x_i."""
        sign = np.prod(signs[self.table.array // space.n_components], axis=-1)
        if sign.ndim == 1:
            return Sites(self.coefficient * jnp.asarray(sign, float), self.table)
        if np.all(sign == sign[:, :1]):
            return Sites(self.coefficient * jnp.asarray(sign[:, 0], float), self.table)
        return self.flattened().gauged(signs, shape, space)

    def flattened(self) -> "Sites":
        """The same sum with one coefficient per monomial and a table of two axes."""
        table = self.table.array
        if table.ndim == 2:
            return Sites(jnp.broadcast_to(self.coefficient, table.shape[:1]), self.table)
        coefficient = jnp.broadcast_to(self.coefficient[..., None], table.shape[:2])
        return Sites(
            coefficient.reshape(-1), Table(table.reshape(coefficient.size, table.shape[-1]))
        )


def _as_table(values: NumpyArrayLike) -> Table:
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ShapeError(f"a table of variables holds integers, got dtype {array.dtype}.")
    if array.size and np.abs(array).max() > np.iinfo(np.int32).max:
        raise SupportError(f"variable {np.abs(array).max()} exceeds the largest index, 2^31 - 1.")
    return Table(array)


def _product(factors: list[Float[Array, "..."]], one: Float[Array, "..."]) -> Float[Array, "..."]:
    return functools.reduce(operator.mul, factors) if factors else one


def _summed(values: Float[Array, "..."]) -> Float[Array, " n"]:
    return values if values.ndim == 1 else jnp.sum(values, axis=1)


@functools.lru_cache(maxsize=64)
def incidence(table: Table, n_sites: int, n_components: int) -> IntArray:
    """Rows of ``table`` that touch each site, int [n_sites, most], padded with -1."""
    n, *rest = table.array.shape
    rows = table.array.reshape(n, int(np.prod(rest))) // n_components
    site = rows.reshape(-1)
    row = np.repeat(np.arange(len(rows)), rows.shape[1])
    pairs = np.unique(np.stack([site, row], axis=1), axis=0)
    count = np.bincount(pairs[:, 0], minlength=n_sites)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    out = np.full((n_sites, max(int(count.max(initial=0)), 1)), -1, dtype=np.int32)
    out[pairs[:, 0], np.arange(len(pairs)) - start[pairs[:, 0]]] = pairs[:, 1]
    return out
