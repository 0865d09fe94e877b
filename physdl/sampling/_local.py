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
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from numpy.typing import NDArray

from physdl.errors import StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.pytree import IntArray
from physdl.sampling import _random as random
from physdl.sampling._structure import Plan, Tables, plan_of
from physdl.spaces import Finite, Line, Product, Space, Sphere, labels

__all__ = ["Local", "State", "Update", "sweep", "sweep_with_memory"]

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
      points: their states [m, q, c], or [1, q, c] where all are alike, ``inf`` where a site has
        fewer; ``None`` on continuous spaces.
      space: ``Finite``, ``Line`` or ``Sphere``: what the m sites are.
    """

    fields: Fields
    tables: Float[Array, "m q"] | None
    points: NDArray[Any] | None
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
        missing = np.isinf(self.points[..., 0])
        points = np.where(missing[..., None], 0, self.points)
        total = self._sum(self.tables, lambda p: _power(points, p))
        return jnp.where(missing, jnp.inf, total) if missing.any() else total

    @property
    def is_binary(self) -> bool:
        """Whether every site has two states."""
        points = self.points
        return bool(points is not None and points.shape[1] == 2 and np.isfinite(points).all())

    def gap(self) -> Float[Array, " m"]:
        """Of two states, the energy of the second minus that of the first."""
        assert self.points is not None
        first, second = self.points[:, 0], self.points[:, 1]
        tables = None if self.tables is None else self.tables[:, 1] - self.tables[:, 0]
        return self._sum(tables, lambda p: _power(second, p) - _power(first, p))

    def _sum(self, tables: Array | None, of: Callable[[Pattern], NDArray[Any]]) -> Array:
        """Fields times functions of the states, and the tables."""
        terms = [] if tables is None else [tables]
        for pattern, field in self.fields.items():
            values = of(pattern)
            terms.append(field.reshape(-1, *(1,) * (values.ndim - 1)) * values)
        if not terms:
            return jnp.zeros(of(()).shape, self.points.dtype if self.points is not None else float)
        return functools.reduce(operator.add, terms)

    def state(self, label: Array) -> Float[Array, "m c"]:
        """The states of the given labels."""
        assert self.points is not None
        return random.chosen(self.points, label)

    def label(self, s: Float[Array, "m c"]) -> Array:
        """The labels of the given states."""
        assert self.points is not None
        far = jnp.sum((self.points - s[:, None, :]) ** 2, axis=-1)
        return jnp.argmin(far, axis=-1)


State: TypeAlias = tuple[Float[Array, "m c"], Float[Array, " m"]]
Update: TypeAlias = Callable[[Local, Float[Array, "m c"], Key[Array, ""]], Float[Array, "m c"]]
UpdateWithMemory: TypeAlias = Callable[
    [Local, Float[Array, "m c"], Float[Array, " m"], Key[Array, ""]], State
]


def _power(s: Any, pattern: Pattern) -> Any:
    """The product of components of states [..., c], numpy or jax arrays alike."""
    one = np.ones((), s.dtype)
    return functools.reduce(operator.mul, (s[..., a] for a in pattern), one)


def sweep(
    h: Hamiltonian, x: Float[Array, "*state"], update: Update, *, key: Key[Array, ""]
) -> tuple[Float[Array, "*state"], Float[Array, ""]]:
    """Update every site once; the new configuration and the fraction of sites that changed."""

    def forgetful(local: Local, old: Array, memory: Array, key: Key[Array, ""]) -> State:
        return update(local, old, key), memory

    new, _, changed = sweep_with_memory(h, x, jnp.zeros(h.n_sites, h.dtype), forgetful, key=key)
    return new, changed


def sweep_with_memory(
    h: Hamiltonian,
    x: Float[Array, "*state"],
    memory: Float[Array, " n_sites"],
    update: UpdateWithMemory,
    *,
    key: Key[Array, ""],
) -> tuple[Float[Array, "*state"], Float[Array, " n_sites"], Float[Array, ""]]:
    """The same with a number per site that the update reads and writes."""
    state = h._state(x)
    box = h.terms and all(isinstance(t, Stencil) for t in h.terms.values())
    if any(isinstance(t, Dense) and t.blocks is None for t in h.terms.values()):
        way = _one_by_one
    elif box and not isinstance(h.space, Product):
        way = _by_rolls
    else:
        way = _by_tables
    new, memory, n_changed = way(h, state, memory, update, key)
    return new.reshape(h.state_shape), memory, n_changed / max(h.n_sites, 1)


def _by_rolls(
    h: Hamiltonian,
    x: Float[Array, "*box c"],
    memory: Float[Array, " n_sites"],
    update: UpdateWithMemory,
    key: Key[Array, ""],
) -> tuple[Array, Array, Array]:
    plan, c = plan_of(h), x.shape[-1]
    keys = random.split(key, plan.n_classes)
    points, space = _points(h.space, h.dtype), _kind(h.space)

    def update_class(k: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, memory, changed = carry
        fields = {p: f.reshape(-1) for p, f in _rolled_fields(h, x).items()}
        old = x.reshape(-1, c)
        new, noted = update(Local(fields, None, points, space), old, memory, keys[k])
        mine = jnp.asarray(plan.colour, jnp.int32) == k
        new = jnp.where(mine[:, None], new, old)
        memory = jnp.where(mine, noted, memory)
        return new.reshape(x.shape), memory, changed + _n_changed(old, new)

    start = (x, memory, jnp.zeros((), h.dtype))
    out: tuple[Array, Array, Array] = jax.lax.fori_loop(0, plan.n_classes, update_class, start)
    return out


def _by_tables(
    h: Hamiltonian,
    x: Float[Array, "*shape c"],
    memory: Float[Array, " n_sites"],
    update: UpdateWithMemory,
    key: Key[Array, ""],
) -> tuple[Array, Array, Array]:
    plan, c = plan_of(h), x.shape[-1]
    terms, keys = _as_sites(h), random.split(key, plan.n_classes)

    def updated(
        k: int, v: Array, memory: Array, changed: Array, key: Key[Array, ""]
    ) -> tuple[Array, Array, Array]:
        start, stop = plan.bounds[k], plan.bounds[k + 1]
        local = _local(h, terms, plan, k, v, lambda table: table)
        old = v[start:stop]
        new, noted = update(local, old, memory[start:stop], key)
        v = jnp.concatenate([v[:start], new, v[stop:]])
        memory = jnp.concatenate([memory[:start], noted, memory[stop:]])
        return v, memory, changed + _n_changed(old, new)

    classes = [functools.partial(updated, k) for k in range(plan.n_classes)]
    step = lambda k, carry: jax.lax.switch(k, classes, *carry, keys[k])
    start = (x.reshape(-1, c)[plan.order], memory[plan.order], jnp.zeros((), h.dtype))
    v, memory, changed = jax.lax.fori_loop(0, plan.n_classes, step, start)
    return v[plan.position], memory[plan.position], changed


def _one_by_one(
    h: Hamiltonian,
    x: Float[Array, "*shape c"],
    memory: Float[Array, " n_sites"],
    update: UpdateWithMemory,
    key: Key[Array, ""],
) -> tuple[Array, Array, Array]:
    plan, (n, c) = plan_of(h, together=False), (h.n_sites, x.shape[-1])
    terms = _as_sites(h)
    if isinstance(h.space, Product):
        raise StructureError(
            f"a dense term over all pairs is swept on sites that are alike, got {h.space!r}: write "
            f"it as Dense with blocks, or as Sites."
        )
    matrices = [t.coefficient for t in h.terms.values() if isinstance(t, Dense) and not t.blocks]
    total = functools.reduce(operator.add, matrices)
    coupling = 0.5 * (total + total.T)
    diagonal = jnp.diagonal(coupling)
    coupling = coupling - jnp.diag(diagonal)

    def step(i: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        v, g, memory, changed = carry
        local = _local(h, terms, plan, 0, v, lambda table: jnp.asarray(table)[i][None])
        fields = dict(local.fields)
        for a in range(c):
            fields[(a,)] = fields.get((a,), 0) + g[i, a][None]
            fields[(a, a)] = fields.get((a, a), 0) + 0.5 * diagonal[i][None]
        own = Local(fields, local.tables, local.points, local.space)
        old = v[i][None]
        new, noted = update(own, old, memory[i][None], random.folded(key, i))
        g = g + coupling[i][:, None] * (new - old)
        return v.at[i].set(new[0]), g, memory.at[i].set(noted[0]), changed + _n_changed(old, new)

    v = x.reshape(n, c)
    start = (v, coupling @ v, memory, jnp.zeros((), h.dtype))
    v, _, memory, changed = jax.lax.fori_loop(0, n, step, start)
    return v, memory, changed


def _rolled_fields(h: Hamiltonian, x: Float[Array, "*box c"]) -> Fields:
    """The fields of all sites of a box."""
    box = x.shape[:-1]
    found: dict[Pattern, list[Array]] = {}
    for term in h.terms.values():
        assert isinstance(term, Stencil)
        for pattern, field in term.fields(x):
            found.setdefault(pattern, []).append(field)
    return {p: jnp.broadcast_to(functools.reduce(operator.add, f), box) for p, f in found.items()}


def _n_changed(old: Float[Array, "m c"], new: Float[Array, "m c"]) -> Float[Array, ""]:
    differs = functools.reduce(operator.or_, (old[:, a] != new[:, a] for a in range(old.shape[1])))
    return jnp.sum(differs.astype(old.dtype))


def _read(x: Array, index: Array | IntArray) -> Array:
    """x[index] for indices from tables, which exist; one that is traced is read as a slice."""
    if isinstance(index, jax.Array) and index.shape == (1,):
        return jax.lax.dynamic_slice_in_dim(x, index[0], 1)
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
    tables = [_table_energies(h, v, plan, group, pick) for group in plan.tables[k]]
    return Local(
        total,
        functools.reduce(_added, tables) if tables else None,
        _points(h.space, h.dtype, sites),
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
    return space.spaces[0 if sites is None else sites[0]]


def _points(space: Space, dtype: jnp.dtype, sites: IntArray | None = None) -> NDArray[Any] | None:
    """The states of the sites, padded with ``inf``; ``None`` on continuous spaces."""
    if isinstance(space, Finite):
        return space.array[None].astype(dtype)
    if not isinstance(space, Product):
        return None
    own = Product(space.spaces if sites is None else tuple(space.spaces[i] for i in sites))
    if any(isinstance(s, Line) for s in own.spaces):
        return None
    return own.padded(len(own.spaces)).astype(dtype)
