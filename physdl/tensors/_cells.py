"""A Hamiltonian as energy tables of the cells of a box: what acts where, and whether all is equal.

A table belongs to the cell at the smallest coordinates among its sites, seen around the torus, and
its *pattern* lists, site by site, the offset of the cell (0 or 1 along every axis) and the number
of the site inside it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import LatticeError, StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.hamiltonian.factors import Term, require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import IntArray, module, static

__all__ = ["Cells", "Pattern", "cells", "closed"]

Pattern = tuple[tuple[tuple[int, ...], int], ...]
NEAR = 1e-6


@module
class Cells:
    """The tables of every cell, or of one where all are equal.

    Attributes:
      tables: for each pattern the energies, [*box, q, ...], or [q, ...] where cells are equal.
      constant: energies without sites, of the whole box.
      box: the cells along every axis.
      sizes: the number of states of each site of a cell.
      uniform: whether all cells are equal.
    """

    tables: dict[Pattern, Float[Array, "..."]]
    constant: Float[Array, ""]
    box: tuple[int, ...] = static()
    sizes: tuple[int, ...] = static()
    uniform: bool = static()


def cells(h: Hamiltonian, dim: int) -> Cells:
    """The tables of a Hamiltonian whose shape is ``dim`` axes of cells, and perhaps one of sites.

    Raises:
      SpaceError: the space is not finite.
      LatticeError: the shape has fewer axes, or more than one beyond them.
      StructureError: an interaction reaches beyond the neighbouring cell, or sites of different
        cells have different numbers of states.
    """
    require_finite(h.space, "a tensor network")
    if len(h.shape) not in (dim, dim + 1):
        raise LatticeError(
            f"a tensor network in {dim} dimensions needs a box of cells, got the shape {h.shape}."
        )
    box = h.shape[:dim]
    repeated: dict[str, Term] = {
        n: t for n, t in h.terms.items() if isinstance(t, Stencil) and t.coefficient.ndim < 2
    }
    rest = {n: t for n, t in h.terms.items() if n not in repeated}
    others = Hamiltonian(rest, space=h.space, shape=h.shape)
    if not _is_uniform(others, dim):
        return _tables(h, dim)
    found = _tables(others, dim)
    tables, constant = _first(found.tables, dim), found.constant
    if repeated:
        reach = max(_reach(t) for t in repeated.values() if isinstance(t, Stencil))
        small = (2 * reach + 3,) * dim
        one = _tables(Hamiltonian(repeated, space=h.space, shape=small), dim)
        for pattern, table in _first(one.tables, dim).items():
            tables[pattern] = tables[pattern] + table if pattern in tables else table
        constant = constant + math.prod(box) / math.prod(small) * one.constant
    return Cells(tables, constant, box, found.sizes, True)


def closed(h: Hamiltonian, dim: int) -> tuple[bool, ...]:
    """Along which axes an interaction goes around the box, by structure."""
    box = h.shape[:dim]
    found = np.zeros(dim, dtype=bool)
    for potential in h.potentials():
        scopes = potential.sites.array
        if scopes.size:
            anchor, pattern = _placed(scopes, box, h.n_sites // math.prod(box))
            across = (pattern[..., :dim] > 0).any(axis=1) & (anchor == np.array(box) - 1)
            found |= across.any(axis=0)
    return tuple(found.tolist())


def _reach(term: Stencil) -> int:
    return int(np.ptp(term.offsets.array, axis=1).max())


def _first(tables: dict[Pattern, Array], dim: int) -> dict[Pattern, Array]:
    return {pattern: table[(0,) * dim] for pattern, table in tables.items()}


def _is_uniform(h: Hamiltonian, dim: int) -> bool:
    """Whether cells are equal whatever the coefficients: tried with arbitrary ones."""
    rng = np.random.default_rng(0)
    with jax.ensure_compile_time_eval():
        other = jax.tree.map(lambda c: jnp.asarray(rng.normal(size=jnp.shape(c)), c.dtype), h)
        tables = [np.asarray(t) for t in _tables(other, dim).tables.values()]
    return all(np.allclose(t, t[(slice(1),) * dim], rtol=NEAR, atol=NEAR) for t in tables)


def _tables(h: Hamiltonian, dim: int) -> Cells:
    space = require_finite(h.space, "a tensor network")
    box = h.shape[:dim]
    sizes = state_counts(space, h.n_sites).reshape(math.prod(box), -1)
    if np.any(sizes != sizes[0]):
        raise StructureError("a tensor network needs cells with equal numbers of states.")
    found: dict[Pattern, Array] = {}
    constant = jnp.zeros((), h.dtype)
    for potential in h.potentials():
        scopes, table = potential.sites.array, potential.batched
        if scopes.shape[1] == 0:
            constant = constant + jnp.sum(table)
            continue
        anchor, pattern = _placed(scopes, box, sizes.shape[1])
        order = np.lexsort(pattern.transpose(2, 0, 1)[::-1])
        kinds, inverse = np.unique(
            np.concatenate([np.take_along_axis(pattern, order[..., None], 1), order[..., None]], 2),
            axis=0,
            return_inverse=True,
        )
        for label, kind in enumerate(kinds):
            rows = np.flatnonzero(inverse.reshape(-1) == label)
            name = tuple((tuple(site[:dim]), site[dim]) for site in kind[:, :-1].tolist())
            moved = jnp.transpose(table[rows], (0, *(1 + kind[:, -1])))
            before = found.get(name, jnp.zeros((*box, *moved.shape[1:]), moved.dtype))
            found[name] = before.at[tuple(anchor[rows].T)].add(moved)
    return Cells(found, constant, box, tuple(sizes[0].tolist()), False)


def _placed(scopes: IntArray, box: tuple[int, ...], n_basis: int) -> tuple[IntArray, IntArray]:
    """The cell of each scope, [n, dim], and its sites' offsets and numbers, [n, k, dim + 1]."""
    cell, site = np.divmod(scopes, n_basis)
    at = np.stack(np.unravel_index(cell, box), axis=-1)
    anchor, offset = at.min(axis=1), at - at.min(axis=1, keepdims=True)
    for axis, length in enumerate(box):
        wraps = (offset[..., axis] == length - 1).any(axis=1) & (length > 2)
        anchor[wraps, axis] = length - 1
        offset[wraps, :, axis] = (at[wraps, :, axis] + 1) % length
    if offset.max(initial=0) > 1:
        worst = int(np.argmax(offset.max(axis=(1, 2)) > 1))
        raise StructureError(
            f"a tensor network needs interactions between neighbouring cells, but sites "
            f"{scopes[worst].tolist()} interact: join cells, or use Contraction."
        )
    return anchor, np.concatenate([offset, site[..., None]], axis=-1)
