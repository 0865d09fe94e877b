r"""General local energies as tables, hard constraints included.

    E(x) = sum_n table[n, s_{i_1}, ..., s_{i_k}],      i = sites[n]

where s_i is the label (0 to q-1) of site i's state in its space. Any function of k sites of a
finite space is such a table, so this is what graphical models are made of. An entry of ``+inf``
forbids a configuration. When all entries are finite the table is a polynomial
(``to_polynomial``, exact); the energy itself reads the table, so it has derivatives with respect
to the table but none with respect to the state.
"""

import itertools
from typing import cast

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import ShapeError, SpaceError, SupportError
from physdl.hamiltonian.sites import Sites, incidence
from physdl.hamiltonian.transforms import coefficients_of, monomial_basis
from physdl.pytree import IntArray, Table, module, static
from physdl.spaces import Finite, Product, Space, labels

__all__ = ["Potential", "finite_spaces", "state_counts"]


@module
class Potential:
    """Energy tables over groups of k sites.

    Attributes:
      table: energies in k_B T, [q_1, ..., q_k] shared by all groups or [n_groups, q_1, ..., q_k];
        ``+inf`` forbids, NaN and ``-inf`` are not energies.
      sites: int [n_groups, k]; the sites of a group differ.

    Raises:
      ShapeError: sites is no table, or the energy table has another rank or length.
      SupportError: a group names a site twice.

    >>> from physdl.hamiltonian import Hamiltonian
    >>> from physdl.spaces import BINARY
    >>> hard = Potential([[0.0, 0.0], [0.0, jnp.inf]], [[0, 1], [1, 2]])
    >>> h = Hamiltonian({"exclusion": hard}, space=BINARY, shape=(3,))
    >>> float(h(jnp.array([1, 0, 1]))), float(h(jnp.array([1, 1, 0])))
    (0.0, inf)
    """

    table: Float[Array, "..."]
    sites: Table = static()

    def __init__(self, table: ArrayLike, sites: "Table | NumpyArrayLike"):
        sites = sites if isinstance(sites, Table) else Table(sites)
        energies = jnp.asarray(table, dtype=float)
        if sites.array.ndim != 2:
            raise ShapeError(
                f"the sites of a potential have shape [n_groups, k], got {sites.array.shape}."
            )
        n, k = sites.array.shape
        if energies.ndim != k and energies.shape[: energies.ndim - k] != (n,):
            raise ShapeError(
                f"{n} groups of {k} sites take a table of {k} axes, or {k + 1} with the first of "
                f"length {n}; got shape {energies.shape}."
            )
        ordered = np.sort(sites.array, axis=1)
        repeated = np.any(ordered[:, 1:] == ordered[:, :-1], axis=1)
        if repeated.any():
            raise SupportError(
                f"group {int(np.argmax(repeated))} of a potential names a site twice "
                f"({sites.array[np.argmax(repeated)].tolist()}): take the diagonal of its table."
            )
        object.__setattr__(self, "table", energies)
        object.__setattr__(self, "sites", sites)

    @property
    def batched(self) -> Float[Array, "n ..."]:
        """The tables with an explicit group axis."""
        n, k = self.sites.array.shape
        if self.table.ndim == k:
            return jnp.broadcast_to(self.table, (n, *self.table.shape))
        return self.table

    def check(self, name: str, shape: tuple[int, ...], space: Space) -> None:
        """Raise when a site does not exist or an axis has another length than its space."""
        n_sites, sites = int(np.prod(shape)), self.sites.array
        if not isinstance(space, Finite | Product):
            raise SpaceError(f"term {name!r} is a table and needs a finite space, got {space!r}.")
        if sites.size and not 0 <= sites.min() <= sites.max() < n_sites:
            worst = sites.max() if sites.max() >= n_sites else sites.min()
            raise SupportError(
                f"term {name!r} acts on site {worst}, but there are {n_sites} sites "
                f"(0 to {n_sites - 1})."
            )
        axes = np.array(self.table.shape[self.table.ndim - sites.shape[1] :], dtype=int)
        n_states = state_counts(space, n_sites)
        wrong = np.argwhere(n_states[sites] != axes)
        if len(wrong):
            group, axis = wrong[0]
            site = sites[group, axis]
            raise ShapeError(
                f"term {name!r} has an axis of length {axes[axis]} for site {site}, whose space "
                f"has {n_states[site]} states."
            )

    def degree(self, space: Space) -> int:
        """The highest degree its polynomial can have."""
        assert isinstance(space, Finite | Product)
        return max(
            (sum(monomial_basis(s).degree for s in spaces) for _, spaces in self._by_space(space)),
            default=0,
        )

    def energy(self, x: Float[Array, "*shape c"], space: Space) -> Float[Array, ""]:
        """The term's contribution to H, for a configuration with component axis."""
        assert isinstance(space, Finite | Product)
        label = labels(space, x.reshape(-1, x.shape[-1]))
        return jnp.sum(self._read(label, keep=None))

    def _read(self, label: Int[Array, " n"], keep: int | None) -> Float[Array, "..."]:
        """Table entries at the given labels, with axis ``keep`` left open (and last)."""
        table, sites = self.batched, self.sites.array
        if keep is not None:
            table = jnp.moveaxis(table, keep + 1, -1)
        others = [label[sites[:, k]] for k in range(sites.shape[1]) if k != keep]
        return table[(jnp.arange(len(sites)), *others)]

    def conditional(
        self, x: Float[Array, "*shape c"], sites: Int[Array, " m"], points: Float[Array, "n q c"]
    ) -> Float[Array, "m q"]:
        """Energy of the groups that contain each site, for each of its q values."""
        n_sites, q, c = points.shape
        far = jnp.sum((points - x.reshape(n_sites, 1, c)) ** 2, axis=-1)
        label = jnp.argmin(far, axis=-1)
        total = jnp.zeros((len(sites), q), self.table.dtype)
        for k in range(self.sites.array.shape[1]):
            energies = self._read(label, keep=k)
            rows = incidence(Table(self.sites.array[:, k : k + 1]), n_sites, 1)
            mine = jnp.asarray(rows)[sites]
            picked = jnp.where((mine >= 0)[..., None], energies[jnp.maximum(mine, 0)], 0.0)
            touched = jnp.sum(picked, axis=1)
            total = total.at[:, : touched.shape[1]].add(touched)
        return total

    def scaled(self, beta: Float[Array, ""]) -> "Potential":
        """The term times a number; what is forbidden stays forbidden at every temperature."""
        forbidden = jnp.isposinf(self.table)
        return Potential(
            jnp.where(forbidden, jnp.inf, beta * jnp.where(forbidden, 0, self.table)), self.sites
        )

    def gauged(self, signs: IntArray, shape: tuple[int, ...], space: Space) -> "Potential":
        """The term after x_i -> signs_i x_i."""
        table, sites = self.batched, self.sites.array
        for k in range(sites.shape[1]):
            flipped = np.stack([_negated(space, i, signs[i]) for i in sites[:, k]])
            flipped = flipped.reshape(len(sites), *(1,) * k, -1, *(1,) * (sites.shape[1] - k - 1))
            table = jnp.take_along_axis(table, jnp.asarray(flipped), axis=k + 1)
        return Potential(table, self.sites)

    def to_polynomial(self, space: Space) -> tuple[Sites, ...]:
        """The exact polynomial, one term per degree; finite tables only.

        For ``SPIN`` this is the Walsh-Hadamard expansion, for ``BINARY`` the Moebius expansion.
        """
        assert isinstance(space, Finite | Product)
        found: dict[int, list[tuple[Array, IntArray]]] = {}
        for rows, spaces in self._by_space(space):
            sites, bases = self.sites.array[rows], [monomial_basis(s) for s in spaces]
            coefficients = coefficients_of(self.batched[rows], spaces).reshape(len(rows), -1)
            columns: dict[int, list[tuple[int, IntArray]]] = {}
            for column, monomials in enumerate(itertools.product(*(b.monomials for b in bases))):
                variables = [
                    sites[:, k] * space.n_components + a
                    for k, monomial in enumerate(monomials)
                    for a in monomial
                ]
                table = np.array(variables, dtype=np.int32).reshape(-1, len(sites)).T
                columns.setdefault(len(variables), []).append((column, table))
            for degree, entries in columns.items():
                own = coefficients[:, np.array([column for column, _ in entries])]
                tables = np.concatenate([table for _, table in entries])
                found.setdefault(degree, []).append((own.T.reshape(-1), tables))
        return tuple(
            Sites(
                jnp.concatenate([c for c, _ in found[degree]]),
                Table(np.concatenate([table for _, table in found[degree]])),
            )
            for degree in sorted(found)
        )

    def _by_space(self, space: Finite | Product) -> list[tuple[IntArray, tuple[Finite, ...]]]:
        """Rows whose sites have the same spaces, with those spaces."""
        sites = self.sites.array
        if isinstance(space, Finite):
            return [(np.arange(len(sites)), (space,) * sites.shape[1])]
        found: dict[tuple[Finite, ...], list[int]] = {}
        for row, group in enumerate(sites):
            found.setdefault(finite_spaces(space, group), []).append(row)
        return [(np.array(rows), spaces) for spaces, rows in found.items()]


def state_counts(space: Finite | Product, n_sites: int) -> IntArray:
    """The number of states of every site, shape [n_sites]."""
    if isinstance(space, Finite):
        return np.full(n_sites, space.n_states)
    return np.array([s.n_states for s in finite_spaces(space, np.arange(n_sites))], dtype=int)


def finite_spaces(space: Finite | Product, sites: IntArray) -> tuple[Finite, ...]:
    """The spaces of the given sites."""
    spaces = tuple(space.at(int(i)) for i in sites)
    assert all(isinstance(s, Finite) for s in spaces)
    return cast(tuple[Finite, ...], spaces)


def _negated(space: Space, site: int, sign: int) -> IntArray:
    """Label of sign * point for every point of the site's space."""
    assert isinstance(space, Finite | Product)
    (own,) = finite_spaces(space, np.array([site]))
    points = own.array
    distance = np.sum((sign * points[:, None] - points[None]) ** 2, axis=-1)
    nearest: IntArray = np.argmin(distance, axis=1)
    return nearest
