r"""The energy density and its gradient on continuous sites, in one pass over a flat configuration.

Every term of a Hamiltonian is homogeneous: with g_d the gradient of the terms of degree d, Euler's
theorem gives their energy as x . g_d / d. So one evaluation yields the force and, for one more
multiplication, an energy density

    e_i(x) = x_i sum_d g_d,i(x) / d,        sum_i e_i(x) = H(x) - H(0).

Translated monomials are evaluated on the flat array with a halo of its own periodic images: a
neighbour is then a contiguous slice, or, for a site whose neighbour lies across the boundary of an
inner axis, another one; a select between the two keeps the loop in vector registers. Monomials on
graphs are gathered site by site, so nothing is scattered.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from physdl.errors import SpaceError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Stencil, Term
from physdl.pytree import IntArray, Table
from physdl.sampling._barrier import settled
from physdl.spaces import Line, Product

__all__ = ["Force", "Vector", "force_of", "require_line"]

Vector: TypeAlias = Float[Array, " n_sites"]
Force: TypeAlias = Callable[[Vector], tuple[Vector, Vector]]
Offset: TypeAlias = tuple[int, ...]
Part: TypeAlias = Callable[[Vector, dict[Offset, Vector]], Vector]

MOST_PADDING = 4


def require_line(h: Hamiltonian, purpose: str) -> None:
    """Raise ``SpaceError`` unless every site is a real number."""
    spaces = h.space.spaces if isinstance(h.space, Product) else (h.space,)
    if not all(isinstance(space, Line) for space in spaces):
        raise SpaceError(
            f"{purpose} needs the space LINE, got {h.space!r}: use HeatBath or Metropolis."
        )


def force_of(h: Hamiltonian) -> Force:
    """The function x -> (dH/dx, energy density) on flat configurations, shape [n_sites].

    What depends on the couplings alone is computed here, outside of what is iterated.
    """
    stencils = [term for term in h.terms.values() if isinstance(term, Stencil)]
    parts = _stencils(stencils, h.shape)
    for term in h.terms.values():
        degree = term.degree(h.space)
        if degree == 0 or isinstance(term, Stencil):
            continue
        if isinstance(term, Sites) and (groups := _groups(term.table, h.n_sites)) is not None:
            parts.append((degree, _sites(term, groups)))
        elif isinstance(term, Dense) and term.blocks is None:
            parts.append((degree, _dense(term)))
        else:
            parts.append((degree, _differentiated(term, h)))
    neighbours = _neighbours(h.shape, {o for t in stencils for o in _offsets(t.offsets, h.shape)})

    def force(x: Vector) -> tuple[Vector, Vector]:
        near = neighbours(x)
        by_degree: dict[int, Vector] = {}
        for degree, part in parts:
            own = part(x, near)
            by_degree[degree] = by_degree[degree] + own if degree in by_degree else own
        gradient, density = jnp.zeros_like(x), jnp.zeros_like(x)
        for degree, own in by_degree.items():
            gradient, density = gradient + own, density + own / degree
        return gradient, x * density

    return force


def _energy(term: Term, h: Hamiltonian, x: Vector) -> Float[Array, ""]:
    return term.energy(x.reshape(*h.shape, 1), h.space)


def _differentiated(term: Term, h: Hamiltonian) -> Part:
    gradient = jax.grad(functools.partial(_energy, term, h))
    return lambda x, _: gradient(x)


def _dense(term: Dense) -> Part:
    symmetric = 0.5 * (term.coefficient + term.coefficient.T)
    return lambda x, _: jnp.matmul(symmetric, x, precision="highest")


# --- monomials translated over a box ---


class _Own(NamedTuple):
    """One position of a monomial: x_own^power times the others, seen from the site there."""

    here: Offset
    power: int
    others: tuple[Offset, ...]


@functools.lru_cache(maxsize=256)
def _positions(offsets: Table, shape: Offset) -> tuple[tuple[_Own, ...], ...]:
    """For every monomial, its distinct positions."""
    box = np.array(shape)
    half = (box - 1) // 2
    out = []
    for monomial in offsets.array:
        wrapped, own = monomial % box, []
        for here in np.unique(wrapped, axis=0):
            mine = np.all(wrapped == here, axis=1)
            rest = (wrapped[~mine] - here + half) % box - half
            others = tuple(sorted(tuple(int(v) for v in o) for o in rest))
            own.append(_Own(tuple(int(v) for v in here), int(mine.sum()), others))
        out.append(tuple(own))
    return tuple(out)


def _offsets(offsets: Table, shape: Offset) -> set[Offset]:
    return {o for row in _positions(offsets, shape) for own in row for o in own.others}


def _stencils(terms: Iterable[Stencil], shape: Offset) -> list[tuple[int, Part]]:
    """The gradient of stencils by degree, equal monomials of different terms collected."""
    axes = tuple(range(len(shape)))
    uniform: list[Array] = []
    counts: dict[tuple[int, tuple[Offset, ...]], Counter[int]] = {}
    parts: list[tuple[int, Part]] = []
    for term in terms:
        c, degree = term.coefficient, term.offsets.array.shape[1]
        uniform += [] if c.ndim > 1 else list(c) if c.ndim else [c]
        for m, row in enumerate(_positions(term.offsets, shape)):
            slot = len(uniform) - (len(c) - m if c.ndim else 1)
            for own in row:
                if c.ndim > 1:
                    weight = own.power * jnp.roll(c[m], own.here, axes).reshape(-1)
                    parts.append((degree, _monomials(weight, own.power, [own.others])))
                else:
                    counts.setdefault((own.power, own.others), Counter())[slot] += 1
    alike: dict[tuple[Any, ...], list[tuple[Offset, ...]]] = {}
    for (power, others), found in counts.items():
        alike.setdefault((power, len(others), *sorted(found.items())), []).append(others)
    for (power, n_others, *slots), rows in alike.items():
        weight = functools.reduce(jnp.add, [power * n * uniform[slot] for slot, n in slots])
        parts.append((power + n_others, _monomials(weight, power, rows)))
    return parts


def _monomials(weight: Array, power: int, rows: list[tuple[Offset, ...]]) -> Part:
    """weight x^(power - 1) times the sum over rows of the product of the sites at its offsets."""

    def gradient(x: Vector, near: dict[Offset, Vector]) -> Vector:
        own = [x] * (power - 1)
        if not rows[0]:
            return weight * (functools.reduce(jnp.multiply, own) if own else jnp.ones_like(x))
        products = [functools.reduce(jnp.multiply, [near[o] for o in row]) for row in rows]
        return weight * functools.reduce(jnp.multiply, [functools.reduce(jnp.add, products), *own])

    return gradient


def _neighbours(
    shape: Offset, offsets: Iterable[Offset]
) -> Callable[[Vector], dict[Offset, Vector]]:
    """The function x -> {offset: the array whose entry at a site is x at site + offset}."""
    n, rank = math.prod(shape), len(shape)
    strides = [math.prod(shape[a + 1 :]) for a in range(rank)]
    moved = sorted(set(offsets))
    masks: dict[tuple[int, int], Bool[Array, " n_sites"]] = {}
    reach = 0
    for offset in moved:
        steps = [0]
        for a, o in enumerate(offset):
            wrapped = [o * strides[a]]
            if a and o:
                masks[a, o] = _crossing(shape, a, o)
                wrapped.append((o - int(np.sign(o)) * shape[a]) * strides[a])
            steps = [s + w for s in steps for w in wrapped]
        reach = max(reach, *map(abs, steps))

    def neighbours(x: Vector) -> dict[Offset, Vector]:
        if not moved:
            return {}
        x = settled(x)
        images = settled(jnp.concatenate([x[n - reach :], x, x[:reach]]))

        def at(offset: Offset, axis: int, step: int) -> Vector:
            if axis == rank:
                return jax.lax.slice_in_dim(images, reach + step, reach + step + n)
            o, stride = offset[axis], strides[axis]
            inside = at(offset, axis + 1, step + o * stride)
            if not (axis and o):
                return inside
            back = (o - int(np.sign(o)) * shape[axis]) * stride
            return jnp.where(masks[axis, o], at(offset, axis + 1, step + back), inside)

        return {offset: at(offset, 0, 0) for offset in moved}

    return neighbours


def _crossing(shape: Offset, axis: int, offset: int) -> Bool[Array, " n_sites"]:
    """Which sites have their neighbour across the boundary of an axis."""
    position = jnp.arange(shape[axis]) + offset
    outside = (position < 0) | (position >= shape[axis])
    column = outside.reshape(-1, *(1,) * (len(shape) - 1 - axis))
    flat: Array = jnp.broadcast_to(column, shape).reshape(-1)
    return settled(flat)


# --- monomials on any graph ---


class _Group(NamedTuple):
    """Positions of equal power, site by site: int [n_sites, most(, n_others)]; row -1: none."""

    power: int
    row: IntArray
    others: IntArray


@functools.lru_cache(maxsize=64)
def _groups(table: Table, n_sites: int) -> tuple[_Group, ...] | None:
    """The positions of all monomials by power, or ``None`` where hubs would need much padding."""
    degree = table.array.shape[-1]
    flat = table.array.reshape(-1, degree)
    row = np.repeat(np.arange(len(table.array)), len(flat) // max(len(table.array), 1))
    equal = flat[:, :, None] == flat[:, None, :]
    power, first = equal.sum(axis=2), np.argmax(equal, axis=2) == np.arange(degree)
    out = []
    for k in np.unique(power[first]):
        m, position = np.nonzero(first & (power == k))
        site = flat[m, position]
        others = flat[m][~equal[m, position]].reshape(len(m), degree - k)
        count = np.bincount(site, minlength=n_sites)
        most = int(count.max())
        if most * n_sites > MOST_PADDING * len(m) + n_sites:
            return None
        order = np.argsort(site, kind="stable")
        slot = np.arange(len(m)) - np.repeat(np.cumsum(count) - count, count)
        rows = np.full((n_sites, most), -1)
        rows[site[order], slot] = row[m[order]]
        rest = np.zeros((n_sites, most, degree - int(k)), dtype=np.int32)
        rest[site[order], slot] = others[order]
        out.append(_Group(int(k), rows.astype(np.int32), rest))
    return tuple(out)


def _sites(term: Sites, groups: tuple[_Group, ...]) -> Part:
    coefficient = jnp.broadcast_to(term.coefficient, term.table.array.shape[:1])
    weights = [
        g.power * jnp.where(g.row >= 0, coefficient[np.maximum(g.row, 0)], 0.0) for g in groups
    ]

    def gradient(x: Vector, _: dict[Offset, Vector]) -> Vector:
        total = jnp.zeros_like(x)
        for group, weight in zip(groups, weights, strict=True):
            factors = [x[group.others[..., k]] for k in range(group.others.shape[-1])]
            field = jnp.sum(functools.reduce(jnp.multiply, factors, weight), axis=1)
            total = total + functools.reduce(jnp.multiply, [x] * (group.power - 1), field)
        return total

    return gradient
