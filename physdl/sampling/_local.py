r"""The energy of one site given all others, and sweeps over it.

As a function of the state s of site i a Hamiltonian is a short polynomial plus tables,

    E_i(s) = sum_p F_{i,p} prod_{a in p} s_a + T_i(s),

with one *field* F per pattern p of components: for Ising the local field, for Potts q of them, for
phi^4 the coefficients of phi, phi^2 and phi^4. A single-site move needs the fields alone, so one
sweep serves every move, space and kind of term:

| terms | fields | updated together |
|---|---|---|
| ``Stencil`` alone | rolls of the box | a colour of the box |
| also ``Sites``, ``Potential`` | tables of what touches each site | a colour of the graph |
| also ``Dense`` in blocks | matrix products | a colour within a layer |
| also ``Dense`` over all pairs | a matrix product, kept up to date | one site after the other |
"""

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.errors import StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.pytree import IntArray
from physdl.sampling import _random as random
from physdl.sampling._structure import Plan, Tables, plan_of
from physdl.spaces import Finite, Line, Product, Space, Sphere, labels

__all__ = ["Local", "Update", "sweep"]

T = TypeVar("T")
Pattern: TypeAlias = tuple[int, ...]
Fields: TypeAlias = dict[Pattern, Float[Array, " m"]]
Pick: TypeAlias = Callable[[IntArray], Array | IntArray]

UNROLLED = 16


@dataclass(frozen=True, eq=False)
class Local:
    """What m sites feel: their fields, tables, and states.

    Attributes:
      fields: pattern of components -> field, [m].
      tables: energies of their states from potentials, [m, q], or ``None``.
      points: their states [m, q, c], or [1, q, c] where all are alike; ``inf`` where a site has
        fewer; ``None`` on continuous spaces.
      space: ``Finite``, ``Line`` or ``Sphere``: what the m sites are.
    """

    fields: Fields
    tables: Float[Array, "m q"] | None
    points: Float[Array, "n q c"] | None
    space: Finite | Line | Sphere

    def energy(self, s: Float[Array, "m c"]) -> Float[Array, " m"]:
        """The polynomial part of the energy of one state each, [m]."""
        return functools.reduce(
            operator.add,
            (field * _power(s, pattern) for pattern, field in self.fields.items()),
            jnp.zeros_like(s[:, 0]),
        )

    def energies(self) -> Float[Array, "m q"]:
        """The energy of every state, [m, q]; ``+inf`` where a site has fewer."""
        assert self.points is not None
        missing = jnp.isinf(self.points[..., 0])
        points = jnp.where(missing[..., None], 0, self.points)
        terms = [field[:, None] * _power(points, pattern) for pattern, field in self.fields.items()]
        if self.tables is not None:
            terms.append(self.tables)
        total = functools.reduce(operator.add, terms, jnp.zeros_like(points[..., 0]))
        return jnp.where(missing, jnp.inf, total)

    def state(self, label: Array) -> Float[Array, "m c"]:
        """The states of the given labels."""
        assert self.points is not None
        q = self.points.shape[1]
        if q > UNROLLED:
            points = jnp.broadcast_to(self.points, (len(label), *self.points.shape[1:]))
            return jnp.take_along_axis(points, label[:, None, None], axis=1)[:, 0]
        chosen = jnp.broadcast_to(self.points[:, 0], (len(label), self.points.shape[2]))
        for k in range(1, q):
            chosen = jnp.where((label == k)[:, None], self.points[:, k], chosen)
        return chosen

    def label(self, s: Float[Array, "m c"]) -> Array:
        """The labels of the given states."""
        assert self.points is not None
        far = jnp.sum((self.points - s[:, None, :]) ** 2, axis=-1)
        return jnp.argmin(far, axis=-1)


Update: TypeAlias = Callable[
    [Local, Float[Array, "m c"], Key[Array, ""]], tuple[Float[Array, "m c"], Float[Array, " m"]]
]


def _power(s: Float[Array, "... c"], pattern: Pattern) -> Float[Array, "..."]:
    return functools.reduce(operator.mul, (s[..., a] for a in pattern))


def sweep(
    h: Hamiltonian, x: Float[Array, "*state"], update: Update, *, key: Key[Array, ""]
) -> tuple[Float[Array, "*state"], Float[Array, ""]]:
    """Update every site once; the new configuration and the mean of what ``update`` reports."""
    state = h._state(x)
    if any(isinstance(t, Dense) and t.blocks is None for t in h.terms.values()):
        new, report = _one_by_one(h, state, update, key)
    elif (
        h.terms
        and all(isinstance(t, Stencil) for t in h.terms.values())
        and not isinstance(h.space, Product)
    ):
        new, report = _by_rolls(h, state, update, key)
    else:
        new, report = _by_tables(h, state, update, key)
    return new.reshape(h.state_shape), report


def _by_rolls(
    h: Hamiltonian, x: Float[Array, "*box c"], update: Update, key: Key[Array, ""]
) -> tuple[Array, Array]:
    plan, c = plan_of(h), x.shape[-1]
    report = jnp.zeros((), h.dtype)
    for k, own in enumerate(random.split(key, plan.n_classes)):
        mine = plan.colour == k
        fields = {p: f.reshape(-1) for p, f in _rolled_fields(h, x).items()}
        local = Local(fields, None, _points(h.space, h.dtype), _kind(h.space))
        old = x.reshape(-1, c)
        new, said = update(local, old, own)
        report = report + jnp.sum(jnp.where(mine, said, 0))
        x = _settled(jnp.where(mine[:, None], new, old)).reshape(x.shape)
    return x, report / h.n_sites


def _rolled_fields(h: Hamiltonian, x: Float[Array, "*box c"]) -> Fields:
    """The fields of all sites of a box."""
    box = x.shape[:-1]
    found: dict[Pattern, list[Array]] = {}
    for term in h.terms.values():
        assert isinstance(term, Stencil)
        for pattern, field in term.fields(x):
            found.setdefault(pattern, []).append(field)
    return {p: jnp.broadcast_to(functools.reduce(operator.add, f), box) for p, f in found.items()}


def _by_tables(
    h: Hamiltonian, x: Float[Array, "*shape c"], update: Update, key: Key[Array, ""]
) -> tuple[Array, Array]:
    plan, c = plan_of(h), x.shape[-1]
    terms = _as_sites(h)
    v = x.reshape(-1, c)[plan.order]
    report = jnp.zeros((), h.dtype)
    for k, own in enumerate(random.split(key, plan.n_classes)):
        start, stop = plan.bounds[k], plan.bounds[k + 1]
        local = _local(h, terms, plan, k, v, lambda table: table)
        new, said = update(local, v[start:stop], own)
        new = _settled(new)
        v = _settled(jnp.concatenate([v[:start], new, v[stop:]]))
        report = report + jnp.sum(said)
    return v[plan.position], report / max(h.n_sites, 1)


def _one_by_one(
    h: Hamiltonian, x: Float[Array, "*shape c"], update: Update, key: Key[Array, ""]
) -> tuple[Array, Array]:
    plan, (n, c) = plan_of(h, together=False), (h.n_sites, x.shape[-1])
    terms = _as_sites(h)
    matrices = [t.coefficient for t in h.terms.values() if isinstance(t, Dense) and not t.blocks]
    total = functools.reduce(operator.add, matrices)
    coupling = 0.5 * (total + total.T)
    diagonal = jnp.diagonal(coupling)
    coupling = coupling - jnp.diag(diagonal)

    def step(i: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        v, g, report = carry
        local = _local(h, terms, plan, 0, v, lambda table: jnp.asarray(table)[i][None])
        fields = dict(local.fields)
        for a in range(c):
            fields[(a,)] = fields.get((a,), 0) + g[i, a][None]
            fields[(a, a)] = fields.get((a, a), 0) + 0.5 * diagonal[i][None]
        points = local.points
        if points is not None and len(points) > 1:
            points = points[i][None]
        own = Local(fields, local.tables, points, local.space)
        new, said = update(own, v[i][None], random.folded(key, i))
        change = new[0] - v[i]
        g = g + coupling[i][:, None] * change[None]
        return v.at[i].set(new[0]), g, report + said[0]

    v = x.reshape(n, c)
    start = (v, coupling @ v, jnp.zeros((), h.dtype))
    v, _, report = jax.lax.fori_loop(0, n, step, start)
    return v, report / max(n, 1)


def _settled(x: T) -> T:
    """x, computed before what follows: XLA keeps the loops before and after it apart.

    A gather or a concatenation fused into the arithmetic of a sweep would keep that from using
    vector instructions.
    """
    out: T = jax.lax.optimization_barrier(x)  # type: ignore[no-untyped-call]
    return out


def _read(x: Array, index: Array | IntArray) -> Array:
    """x[index] for indices from tables, which exist."""
    return x.at[index].get(mode="promise_in_bounds")


def _as_sites(h: Hamiltonian) -> dict[str, Sites]:
    """The polynomial terms as tables of monomials, in the order the plan numbers them."""
    return {
        name: term.to_sites(h.shape, h.space)
        for name, term in h.terms.items()
        if isinstance(term, Sites | Stencil)
    }


def _local(
    h: Hamiltonian,
    terms: Mapping[str, Sites],
    plan: Plan,
    k: int,
    v: Float[Array, "n_sites c"],
    pick: Pick,
) -> Local:
    """What the sites of class k feel, or those of its rows that ``pick`` takes."""
    fields: dict[Pattern, list[Array]] = {}
    variables = v.reshape(-1)
    for group in plan.monomials[k]:
        row, others = pick(group.row), pick(group.others)
        weight = _weights(terms[group.term].coefficient, row, padded=bool(np.any(group.row < 0)))
        fields.setdefault(group.pattern, []).append(_summed(weight, variables, others))
    sites = plan.order[plan.bounds[k] : plan.bounds[k + 1]]
    for term in h.terms.values():
        if isinstance(term, Dense) and term.blocks is not None:
            for a, field in _block_fields(term, plan, sites, v):
                fields.setdefault((a,), []).append(field)
    total = {p: functools.reduce(operator.add, f) for p, f in fields.items()}
    total = _settled(total)
    tables = [_table_energies(h, v, plan, group, pick) for group in plan.tables[k]]
    return Local(
        total,
        functools.reduce(_added, tables) if tables else None,
        _points(h.space, h.dtype, tuple(sites.tolist()) if isinstance(h.space, Product) else ()),
        _kind(h.space, sites),
    )


def _weights(coefficient: Array, row: Array | IntArray, *, padded: bool) -> Array:
    """The coefficient of every entry, zero where there is none: [m, most] or a number."""
    if coefficient.ndim == 0:
        return jnp.where(jnp.asarray(row >= 0), coefficient, 0) if padded else coefficient
    chosen = _read(coefficient, jnp.maximum(jnp.asarray(row), 0))
    return jnp.where(jnp.asarray(row >= 0), chosen, 0) if padded else chosen


def _summed(weight: Array, variables: Float[Array, " v"], others: Array | IntArray) -> Array:
    """sum_w weight[:, w] prod_k variables[others[:, w, k]], one gather after the other."""
    m, most, degree = others.shape
    if most > UNROLLED:
        value = functools.reduce(
            operator.mul, (_read(variables, others[..., k]) for k in range(degree)), 1.0
        )
        return jnp.sum(weight * jnp.broadcast_to(value, (m, most)), axis=1)
    total = jnp.zeros((m,), variables.dtype)
    for w in range(most):
        own = weight if weight.ndim == 0 else weight[:, w]
        factors = (_read(variables, others[:, w, k]) for k in range(degree))
        total = total + functools.reduce(operator.mul, factors, own)
    return total


def _block_fields(
    term: Dense, plan: Plan, sites: IntArray, v: Float[Array, "n_sites c"]
) -> list[tuple[int, Array]]:
    """The fields on a class from a bilinear form, where the class lies in one of its blocks."""
    assert term.blocks is not None
    (row, column), (n_rows, n_columns) = term.blocks, term.coefficient.shape
    ends = [(row, n_rows, column, n_columns, term.coefficient)]
    ends.append((column, n_columns, row, n_rows, term.coefficient.T))
    for start, n, other, n_others, matrix in ends:
        if len(sites) and start <= sites[0] < start + n:
            field = matrix @ v[plan.position[other : other + n_others]]
            return [(a, field[sites - start, a]) for a in range(v.shape[1])]
    return []


def _table_energies(
    h: Hamiltonian, v: Float[Array, "n_sites c"], plan: Plan, group: Tables, pick: Pick
) -> Float[Array, "m q"]:
    """The energies of all states of the own sites from tables at one axis."""
    term = h.terms[group.term]
    assert isinstance(term, Potential) and isinstance(h.space, Finite | Product)
    table = jnp.moveaxis(term.batched, group.axis + 1, -1)
    number, others = jnp.asarray(pick(group.group)), pick(group.others)
    label = labels(h.space, v[plan.position])[plan.order]
    index = (jnp.maximum(number, 0), *(label[others[..., j]] for j in range(others.shape[-1])))
    energies = jnp.where((number >= 0)[..., None], table[index], 0)
    return jnp.sum(energies, axis=1)


def _added(a: Float[Array, "m q"], b: Float[Array, "m r"]) -> Float[Array, "m s"]:
    """The sum of energies of different numbers of states; missing ones are zero."""
    most = max(a.shape[1], b.shape[1])
    wide = [jnp.pad(e, ((0, 0), (0, most - e.shape[1]))) for e in (a, b)]
    return wide[0] + wide[1]


def _kind(space: Space, sites: IntArray | None = None) -> Finite | Line | Sphere:
    """What the sites of a class are; of a product of finite spaces one stands for all."""
    if not isinstance(space, Product):
        return space
    spaces = space.spaces if sites is None else [space.spaces[i] for i in sites]
    if len({isinstance(s, Line) for s in spaces}) > 1:
        raise StructureError(
            "a dense term over all pairs needs sites that are all finite or all continuous, got "
            f"{space!r}: write it as Dense with blocks, or as Sites."
        )
    return spaces[0]


def _points(
    space: Space, dtype: jnp.dtype, sites: tuple[int, ...] = ()
) -> Float[Array, "n q c"] | None:
    """The states of the sites, padded with ``inf``; ``None`` on continuous spaces."""
    if isinstance(space, Finite):
        return jnp.asarray(space.array[None], dtype)
    if not isinstance(space, Product):
        return None
    own = Product(tuple(space.spaces[i] for i in sites))
    if any(isinstance(s, Line) for s in own.spaces):
        return None
    return jnp.asarray(own.padded(len(sites)), dtype)
