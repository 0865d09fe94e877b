"""Hamiltonians of two layers without couplings inside, read as biases and matrices.

    H(v, h) = sum_i A_i(v_i) + sum_j B_j(h_j) + sum_ij sum_ab W^ab_ij v_i^a h_j^b

Couplings join component a of a site of the first layer to component b of one of the second: those
of ``Dense`` terms are equal for all a = b, those of ``Sites`` stand for themselves. Every other
term is a sum of functions of one site: a table of energies [q, n] where sites are finite, and on
the line the coefficients [3, n] of 1, s and s^2.
"""

import functools
import operator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.pytree import IntArray
from physdl.spaces import Finite, Line, Product, Space, product

__all__ = [
    "Block",
    "Couplings",
    "Layout",
    "Parts",
    "biases",
    "coupled",
    "couplings",
    "layout_of",
    "space_of",
    "transposed",
]

Block: TypeAlias = tuple[int, int]
"""The first site of a layer, and the number of its sites."""
Layout: TypeAlias = tuple[Block, Block] | tuple[()] | None
Couplings: TypeAlias = dict[tuple[int, int], Float[Array, "n m"]]
"""(component in the first layer, component in the second) -> W."""
Parts: TypeAlias = tuple[Float[Array, "*batch n"], ...]

MOST_STATES = 64
MOST_POWER = 2
SPARSEST = 4  # entries of the matrix for each coupling that is listed


def layout_of(h: Hamiltonian) -> Layout:
    """The blocks that all couplings join, none where there are none, ``None`` for other models.

    The blocks hold all sites, and each is either finite or on the line.
    """
    shapes = {n: t.coefficient.shape for n, t in h.terms.items() if isinstance(t, Dense)}
    return _layout(jax.tree.structure(h), tuple(shapes.items()))


@functools.lru_cache(maxsize=32)
def _layout(structure: Any, shapes: tuple[tuple[str, tuple[int, int]], ...]) -> Layout:
    h: Hamiltonian = jax.tree.unflatten(structure, [None] * structure.num_leaves)
    kinds = h.space.spaces if isinstance(h.space, Product) else (h.space,)
    if not all(_is_small(kind) for kind in kinds):
        return None
    listed = _listed(h)
    if listed is None:
        return None
    found: set[tuple[Block, Block]] = set()
    for name, (rows, columns) in shapes:
        term = h.terms[name]
        assert isinstance(term, Dense)
        if term.blocks is None:
            return None
        first, second = sorted(((term.blocks[0], rows), (term.blocks[1], columns)))
        found.add((first, second))
    if not found and len(listed):
        n = int(listed[:, 0].max()) + 1
        found.add(((0, n), (n, h.n_sites - n)))
        if n * (h.n_sites - n) > SPARSEST * len(listed):
            return None
    if not found:
        return ()
    first, second = layout = found.pop()
    whole = first[0] == 0 and second[0] == first[1] and sum(second) == h.n_sites
    if not whole or found or min(first[1], second[1]) < 1:
        return None
    if len(listed) and not (listed[:, 0].max() < second[0] <= listed[:, 1].min()):
        return None
    return layout if all(_of_one_kind(h.space, block) for block in layout) else None


def _listed(h: Hamiltonian) -> IntArray | None:
    """The pairs of sites that are not joined by ``Dense`` terms; ``None`` where more are joined."""
    pairs = [np.empty((0, 2), int)]
    for term in h.terms.values():
        if isinstance(term, Dense):
            continue
        if isinstance(term, Potential):
            if term.sites.array.shape[1] != 1:
                return None
            continue
        if isinstance(term, Stencil):
            term = Stencil(0.0, term.offsets, term.components).to_sites(h.shape, h.space)
        degree = term.table.array.shape[-1]
        if degree == 0:
            continue
        site = term.table.array.reshape(-1, degree) // h.space.n_components
        joined = np.any(site != site[:, :1], axis=1)
        if joined.any() and degree != 2:
            return None
        if degree > MOST_POWER and any(isinstance(h.space.at(int(i)), Line) for i in site[:, 0]):
            return None
        if joined.any():
            pairs.append(np.sort(site[joined], axis=1))
    return np.concatenate(pairs)


def _is_small(kind: Space) -> bool:
    return isinstance(kind, Line) or (isinstance(kind, Finite) and kind.n_states <= MOST_STATES)


def _of_one_kind(space: Space, block: Block) -> bool:
    """Whether the sites of a block are all on the line, or all finite."""
    if not isinstance(space, Product):
        return True
    return len({isinstance(s, Line) for s in space.spaces[block[0] : sum(block)]}) <= 1


def space_of(h: Hamiltonian, block: Block) -> Finite | Line | Product:
    """What the sites of a block are."""
    part = h.space
    if isinstance(part, Product):
        part = product(part.spaces[block[0] : sum(block)])
    assert isinstance(part, Finite | Line | Product)
    return part


def couplings(h: Hamiltonian, layout: tuple[Block, Block]) -> Couplings:
    """W from the first block of the layout to the second; empty where there are no couplings."""
    (_, n), (start, m) = layout
    c, found = h.space.n_components, Couplings()

    def add(pair: tuple[int, int], matrix: Array) -> None:
        found[pair] = found[pair] + matrix if pair in found else matrix

    for term in h.terms.values():
        if isinstance(term, Dense):
            assert term.blocks is not None
            matrix = term.coefficient if term.blocks[0] == 0 else term.coefficient.T
            for a in range(c):
                add((a, a), matrix.astype(h.dtype))
            continue
        if isinstance(term, Potential):
            continue
        variables, coefficient = _monomials(term, h)
        site, component = np.divmod(variables, c)
        joined = np.any(site != site[:, :1], axis=1)
        if not joined.any():
            continue
        order = np.argsort(site[joined], axis=1)
        site, component = (np.take_along_axis(x[joined], order, axis=1) for x in (site, component))
        value = coefficient[np.flatnonzero(joined)]
        site = site - [0, start]
        for a, b in np.unique(component, axis=0).tolist():
            rows = np.flatnonzero((component == (a, b)).all(axis=1))
            empty = jnp.zeros((n, m), h.dtype)
            add((a, b), empty.at[site[rows, 0], site[rows, 1]].add(value[rows]))
    return found


def transposed(w: Couplings) -> Couplings:
    """The same couplings from the second layer to the first."""
    return {(b, a): matrix.T for (a, b), matrix in w.items()}


def coupled(s: Parts, w: Couplings, n_sites: int) -> Parts:
    """The fields sum_i s_i W on the components of the other layer, which has ``n_sites``."""
    fields = []
    for b in range(len(s)):
        terms = [s[a] @ matrix for (a, other), matrix in w.items() if other == b]
        zero = jnp.zeros((*s[0].shape[:-1], n_sites), s[0].dtype)
        fields.append(functools.reduce(operator.add, terms) if terms else zero)
    return tuple(fields)


def biases(h: Hamiltonian, block: Block) -> Float[Array, "q n"]:
    """Energies [q, n] of the states of every site of a block, from the terms of one site alone.

    On the line: the coefficients [3, n] of 1, s and s^2. What belongs to no site is counted at site
    0. States that a site does not have are as zero.
    """
    space, n, c = space_of(h, block), block[1], h.space.n_components
    if isinstance(space, Line):
        powers = np.eye(MOST_POWER + 1)
        total = jnp.zeros((n, MOST_POWER + 1), h.dtype)
    else:
        padded = space.padded(n)
        points = np.where(np.isinf(padded), 0, padded)
        total = jnp.zeros(points.shape[:2], h.dtype)
    for term in h.terms.values():
        if isinstance(term, Dense):
            continue
        if isinstance(term, Potential):
            rows, own = _inside(term.sites.array[:, 0], block)
            table = term.batched.astype(h.dtype)[rows]
            wide = max(total.shape[1] - table.shape[1], 0)
            energies = jnp.pad(table, ((0, 0), (0, wide)))[:, : total.shape[1]]
        else:
            variables, coefficient = _monomials(term, h)
            site = variables // c
            alone = np.all(site == site[:, :1], axis=1)
            where = site[:, 0] if site.shape[1] else np.zeros(len(site), int)
            rows, own = _inside(np.where(alone, where, -1), block)
            if isinstance(space, Line):
                value = np.broadcast_to(powers[min(site.shape[1], 2)], (len(rows), len(powers)))
            else:
                component = variables[rows] - c * site[rows]
                factors = [points[own, :, k] for k in component.T]
                one = np.ones((len(rows), total.shape[1]))
                value = functools.reduce(operator.mul, factors, one)
            energies = coefficient[rows][:, None] * jnp.asarray(value, h.dtype)
        total = total.at[own].add(energies)
    return total.T


def _inside(site: IntArray, block: Block) -> tuple[IntArray, IntArray]:
    """The rows whose site lies in the block, and its number there."""
    rows = np.flatnonzero((site >= block[0]) & (site < sum(block)))
    return rows, site[rows] - block[0]


def _monomials(term: Sites | Stencil, h: Hamiltonian) -> tuple[NDArray[Any], Array]:
    plain = term.to_sites(h.shape, h.space).flattened()
    return plain.table.array, plain.coefficient.astype(h.dtype)
