"""Any finite-space Hamiltonian as energy tables: the common form of all exact counting.

Every term, whatever its kind, is a sum of functions of few sites. ``potentials`` writes each as a
table over the states of its sites (in ascending order), adds the tables of equal groups of sites,
and returns one ``Potential`` for each list of axis lengths. A monomial's table is its coefficient
times a constant array, so the result is linear in the coefficients and differentiable.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from physdl.errors import SpaceError
from physdl.hamiltonian.dense import Dense
from physdl.hamiltonian.potential import Potential
from physdl.hamiltonian.sites import Sites
from physdl.hamiltonian.stencil import Stencil
from physdl.pytree import IntArray, Table
from physdl.spaces import Finite, Product, Space

__all__ = ["MonomialGroup", "Term", "monomial_groups", "potentials", "require_finite", "separated"]

Term = Sites | Stencil | Dense | Potential


@dataclass(frozen=True)
class MonomialGroup:
    """Monomials that are the same function of their own sites.

    Attributes:
      rows: which rows of the table of monomials, int [n].
      scopes: their sites in ascending order, int [n, k].
      spaces: the space of each of the k sites.
      factors: for each summed monomial, the (position in the scope, component) of each factor.
    """

    rows: IntArray
    scopes: IntArray
    spaces: tuple[Space, ...]
    factors: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def table(self) -> NDArray[np.float64]:
        """The monomial's value for every state, [q_1, ..., q_k]; a continuous site is at 1."""
        points = [s.array if isinstance(s, Finite) else np.ones((1, 1)) for s in self.spaces]
        return np.asarray(self.values(points, np.float64(1)))

    def values(self, points: Sequence[Any], one: Any) -> Any:
        """The monomial on a grid: ``points[k]`` is [q_k, c]; numpy or jax arrays alike."""
        k = len(self.spaces)
        shape = tuple(len(p) for p in points)
        total = one * np.zeros(shape)
        for monomial in self.factors:
            value = one * np.ones((1,) * k)
            for axis, component in monomial:
                open_shape = tuple(-1 if j == axis else 1 for j in range(k))
                value = value * points[axis][:, component].reshape(open_shape)
            total = total + value
        return total


def require_finite(space: Space, purpose: str) -> Finite | Product:
    """The space, if it is finite; else ``SpaceError``."""
    if isinstance(space, Product) and all(isinstance(s, Finite) for s in space.spaces):
        return space
    if isinstance(space, Finite):
        return space
    raise SpaceError(f"{purpose} needs a finite space, got {space!r}.")


def separated(term: Sites, space: Space) -> Sites:
    """The term with one coefficient per monomial, where a coefficient sums over different sites.

    A sum over the components of the same sites, such as a scalar product, stays together.
    """
    table = term.table.array // space.n_components
    if table.ndim == 2 or table.shape[1] == 1:
        return term
    ordered = np.sort(table, axis=2)
    return term if np.all(ordered == ordered[:, :1]) else term.flattened()


def monomial_groups(term: Sites, space: Space) -> list[MonomialGroup]:
    """Sort the monomials of a term by the pattern of their repeated sites and components."""
    variables, degree = term.rows, term.table.array.shape[-1]
    n, n_summed = len(variables), 1 if term.table.array.ndim == 2 else term.table.array.shape[1]
    if variables.shape[1] == 0:
        scopes = np.empty((n, 0), dtype=int)
        return [MonomialGroup(np.arange(n), scopes, (), ((),) * n_summed)] if n else []
    sites, components = np.divmod(variables, space.n_components)
    order = np.argsort(sites, axis=1, kind="stable")
    new = np.diff(np.take_along_axis(sites, order, axis=1), axis=1, prepend=-1) > 0
    rank = np.empty_like(sites)
    np.put_along_axis(rank, order, np.cumsum(new, axis=1, dtype=np.int32) - 1, axis=1)
    kinds = [rank, components]
    if isinstance(space, Product):
        number = {s: i for i, s in enumerate(dict.fromkeys(space.spaces))}
        kinds.append(np.array([number[s] for s in space.spaces])[sites])
    signature = np.concatenate(kinds, axis=1)
    _, first, inverse = np.unique(signature, axis=0, return_index=True, return_inverse=True)
    groups = []
    for label, row in enumerate(first):
        rows = np.flatnonzero(inverse.reshape(-1) == label)
        _, position = np.unique(rank[row], return_index=True)
        scopes = sites[rows][:, position]
        spaces = tuple(space.at(int(i)) for i in scopes[0])
        pairs = np.stack([rank[row], components[row]], axis=1).reshape(n_summed, degree, 2)
        factors = tuple(tuple((int(r), int(c)) for r, c in monomial) for monomial in pairs)
        groups.append(MonomialGroup(rows, scopes, spaces, factors))
    return groups


def potentials(
    terms: Mapping[str, Term], space: Space, shape: tuple[int, ...]
) -> tuple[Potential, ...]:
    """Energy tables over distinct groups of sites whose sum is the Hamiltonian.

    Raises:
      SpaceError: the space is not finite.
    """
    finite = require_finite(space, "writing a Hamiltonian as energy tables")
    found: dict[tuple[int, ...], list[tuple[IntArray, Array]]] = {}
    for term in terms.values():
        for scopes, tables in _tables(term, finite, shape):
            found.setdefault(tables.shape[1:], []).append((scopes, tables))
    return tuple(_merged(entries) for entries in found.values())


def _tables(
    term: Term, space: Finite | Product, shape: tuple[int, ...]
) -> Iterable[tuple[IntArray, Array]]:
    if isinstance(term, Potential):
        sites, tables = term.sites.array, term.batched
        order = np.argsort(sites, axis=1)
        kinds, inverse = np.unique(order, axis=0, return_inverse=True)
        for label, axes in enumerate(kinds):
            rows = np.flatnonzero(inverse.reshape(-1) == label)
            yield sites[rows][:, axes], jnp.transpose(tables[rows], (0, *(axes + 1)))
        return
    sites_term = separated(term.to_sites(shape, space), space)
    n = len(sites_term.table.array)
    coefficient = jnp.broadcast_to(sites_term.coefficient, (n,))
    for group in monomial_groups(sites_term, space):
        c = coefficient if len(group.rows) == n else coefficient[group.rows]
        table = jnp.asarray(group.table, c.dtype)
        yield group.scopes, c.reshape(-1, *(1,) * table.ndim) * table[None]


def _merged(entries: list[tuple[IntArray, Array]]) -> Potential:
    scopes = np.concatenate([s for s, _ in entries])
    tables = jnp.concatenate([t for _, t in entries])
    if scopes.shape[1] == 0:
        return Potential(jnp.sum(tables, keepdims=True), Table(np.empty((1, 0), dtype=int)))
    distinct, inverse = np.unique(scopes, axis=0, return_inverse=True)
    if len(distinct) == len(scopes):
        return Potential(tables, Table(scopes))
    total = jnp.zeros((len(distinct), *tables.shape[1:]), tables.dtype)
    return Potential(total.at[inverse.reshape(-1)].add(tables), Table(distinct))
