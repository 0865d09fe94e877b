r"""Exact counting on any graph: the tensor network of all energy tables, contracted.

    Z = sum_x prod_n T_n(x_n),      T_n = exp(-E_n)

Cost and memory grow as q^w, where w is the width of the best order found: a few for trees and
chains, L for an L x L grid, far less than the number of sites wherever interactions are local.

A network of a thousand small tensors takes seconds to compile and milliseconds to run. So a
Hamiltonian with known coefficients is contracted by numpy at once, and one under ``jit``, ``grad``
or ``vmap`` by jax, both along the same plan and through the same code.

Tensors are kept relative to their largest entry, with the logarithm of the scale beside them.
Entries of one tensor can still differ by more than floating-point numbers can hold, at low
temperature: the spread of every tensor is bounded by the spreads of the tables that made it, and
where that bound is too large for comfort the same plan is carried out on logarithms.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from physdl import numerics
from physdl.errors import SettingError, TooLargeError
from physdl.estimators._base import Estimate, exact
from physdl.estimators._tensor_plan import (
    Network,
    Plan,
    Scope,
    find_plan,
    require_few_neighbours,
)
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import is_traced, module, static

__all__ = ["Contraction"]

MANY = 24
MOST_TABLES = 500_000
SMALL = 1e5


@module
class Contraction:
    """Exact log Z of any finite-space Hamiltonian by tensor-network contraction.

    Attributes:
      max_memory: bytes the largest tensor and its partner may take; larger ones are sliced.
      search_seconds: time to look for a cheap order; an order that is cheap enough ends the search.
      seed: of the random tie-breaks in the search.

    Raises:
      SettingError: a limit is not positive.
      SpaceError: the space is not finite.
      TooLargeError: no order was found that could ever finish.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.5 * jnp.log1p(jnp.sqrt(2.0)))
    >>> Contraction()(h)
    log Z = 15.52191546 (exact) [OK]
    """

    max_memory: int = static(default=4 * 2**30)
    search_seconds: float = static(default=5.0)
    seed: int = static(default=0)

    def __post_init__(self) -> None:
        if not self.max_memory > 0:
            raise SettingError(f"max_memory is a positive number of bytes, got {self.max_memory}.")
        if not self.search_seconds >= 0:
            raise SettingError(f"search_seconds is not negative, got {self.search_seconds}.")

    def plan(self, h: Hamiltonian) -> tuple[Network, Plan]:
        """The network of ``h`` and the contraction that would be carried out."""
        return self._plan(h, tuple(scope for scope, _ in _log_tensors(h)[0]))

    def _plan(self, h: Hamiltonian, scopes: tuple[Scope, ...]) -> tuple[Network, Plan]:
        space = require_finite(h.space, "tensor contraction")
        network = Network(scopes, tuple(state_counts(space, h.n_sites).tolist()))
        entries = max(self.max_memory // (3 * h.dtype.itemsize), 1)
        return network, find_plan(network, h.shape, entries, self.search_seconds, self.seed)

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        tensors, constant = _log_tensors(h)
        network, plan = self._plan(h, tuple(scope for scope, _ in tensors))
        tables = [table for _, table in tensors]
        contract = _traced if is_traced([constant, *tables]) else _concrete
        log_z = jnp.asarray(constant + contract(network, plan, tables), h.dtype)
        slices = f", {network.volume(plan.sliced):.0f} slices" if plan.sliced else ""
        method = f"tensor contraction, {plan.order}, width {plan.width:.0f}{slices}"
        info = {
            "width": jnp.asarray(plan.width, float),
            "log10_operations": jnp.asarray(np.log10(plan.operations + 1), float),
        }
        return exact(log_z, h, method, info=info)


def _log_tensors(h: Hamiltonian) -> tuple[list[tuple[Scope, Any]], Any]:
    """Logarithms of the tensors, each over a scope no other contains, and the constant.

    Every site is in a scope: a site that no term touches gets a tensor of zeros.
    """
    space = require_finite(h.space, "tensor contraction")
    sizes = state_counts(space, h.n_sites)
    potentials = h.potentials()
    n_tables = sum(len(p.sites.array) for p in potentials)
    if n_tables > MOST_TABLES:
        raise TooLargeError(
            f"tensor contraction takes up to {MOST_TABLES} tables, the Hamiltonian has {n_tables}: "
            f"use TransferMatrix or a sampled method."
        )
    require_few_neighbours((p.sites.array for p in potentials), sizes)
    xp = jnp if is_traced(potentials) else np
    entries: list[tuple[Scope, Any]] = []
    constant = xp.zeros((), h.dtype)
    for potential in potentials:
        tables = -xp.asarray(potential.table)
        if potential.sites.array.shape[1] == 0:
            constant = constant + xp.sum(tables)
        else:
            scopes = potential.sites.array.tolist()
            entries += [(tuple(s), t) for s, t in zip(scopes, tables, strict=True)]
    entries.sort(key=lambda e: -len(e[0]))
    out: list[tuple[Scope, Any]] = []
    holders: list[list[int]] = [[] for _ in sizes]
    for scope, table in entries:
        host = next((n for n in holders[scope[0]] if set(scope) <= set(out[n][0])), None)
        if host is None:
            for i in scope:
                holders[i].append(len(out))
            out.append((scope, table))
        else:
            own, total = out[host]
            open_shape = tuple(sizes[i] if i in scope else 1 for i in own)
            out[host] = (own, total + table.reshape(open_shape))
    bare = np.flatnonzero([not numbers for numbers in holders]).tolist()
    return out + [((i,), xp.zeros(sizes[i], h.dtype)) for i in bare], constant


def _spread(network: Network, plan: Plan, tables: list[Any], xp: Any) -> Any:
    """Bound on the log-spread of the positive entries inside the two tensors of any step.

    Changing the open indices of a tensor changes only the tables that hold them, so its
    logarithm varies by no more than the sum of the ranges of those tables. Where some table
    forbids states the sums behind two entries need not match, and all tables inside count, as
    does the number of states summed.
    """
    ranges = xp.stack([_range(t, xp) for t in tables])
    forbids = xp.any(xp.stack([xp.any(xp.isneginf(t)) for t in tables]))
    n = len(network.scopes)
    inside = np.zeros((n + len(plan.steps), n), dtype=bool)
    inside[:n] = np.eye(n, dtype=bool)
    touch = np.zeros((n, len(network.sizes)), dtype=bool)
    for number, scope in enumerate(network.scopes):
        touch[number, list(scope)] = True
    relevant = inside.copy()
    for number, step in enumerate(plan.steps, start=n):
        inside[number] = inside[step.left] | inside[step.right]
        open_sites = touch[:, list(step.scope)].any(axis=1)
        relevant[number] = inside[number] & open_sites
    pairs = np.array([[s.left, s.right] for s in plan.steps], dtype=int).reshape(-1, 2)

    def worst(members: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
        weight = members[pairs[:, 0]].astype(float) + members[pairs[:, 1]]
        return xp.max(xp.asarray(weight, ranges.dtype) @ ranges, initial=0.0)

    states = xp.asarray(np.log(network.sizes).sum(), ranges.dtype)
    return xp.where(forbids, worst(inside) + states, worst(relevant))


def _range(log_table: Any, xp: Any) -> Any:
    finite = xp.isfinite(log_table)
    high = xp.max(xp.where(finite, log_table, -xp.inf), initial=-xp.inf)
    low = xp.min(xp.where(finite, log_table, xp.inf), initial=xp.inf)
    return xp.where(high >= low, high - xp.where(high >= low, low, 0), 0.0)


def _comfort(dtype: Any) -> float:
    """The log-spread that normal numbers of this type hold."""
    return -float(np.log(np.finfo(dtype).tiny)) - 15.0


def _concrete(network: Network, plan: Plan, tables: list[Any]) -> Any:
    """Contract with numpy, slice by slice."""
    if not tables:
        return 0.0
    with np.errstate(all="ignore"):
        safe = _spread(network, plan, tables, np) < _comfort(tables[0].dtype)
        logs = []
        for states in np.ndindex(*(network.sizes[i] for i in plan.sliced)):
            own = _fixed(network, plan, tables, list(states), np)
            log_z = _run(network, plan, own, Linear(np)) if safe else -np.inf
            if not np.isfinite(log_z):
                log_z = _run(network, plan, own, Logarithmic(np))
            logs.append(log_z)
        return np.logaddexp.reduce(np.array(logs))


def _traced(network: Network, plan: Plan, tables: list[Any]) -> Any:
    """Contract with jax: small networks on logarithms, large ones linearly where that is safe."""
    if not tables:
        return 0.0
    logarithmic = Logarithmic(jnp)
    small = plan.operations < SMALL
    fixed = jax.lax.stop_gradient(tables)
    safe = _spread(network, plan, fixed, jnp) < _comfort(tables[0].dtype)

    def one(states: Array) -> Any:
        own = _fixed(network, plan, tables, list(states), jnp)
        if small:
            return _run(network, plan, own, logarithmic)
        linear = _run(network, plan, own, Linear(jnp))
        return jax.lax.cond(
            safe & jnp.isfinite(linear),
            lambda: linear,
            lambda: _run(network, plan, own, logarithmic),
        )

    if not plan.sliced:
        return one(jnp.zeros(0, int))
    states = np.indices([network.sizes[i] for i in plan.sliced]).reshape(len(plan.sliced), -1)
    return numerics.logsumexp(jax.lax.map(jax.checkpoint(one), jnp.asarray(states.T)))


def _fixed(
    network: Network, plan: Plan, tables: list[Any], states: list[Any], xp: Any
) -> list[Any]:
    """The tables with the sliced sites at the given states."""
    out = []
    for scope, table in zip(network.scopes, tables, strict=True):
        for i in reversed(scope):
            if i in plan.sliced:
                table = xp.take(table, states[plan.sliced.index(i)], axis=scope.index(i))
        out.append(table)
    return out


def _run(network: Network, plan: Plan, tables: list[Any], ops: "Linear | Logarithmic") -> Any:
    """Carry out the steps; the logarithm of the final number."""
    scopes = [tuple(i for i in s if i not in plan.sliced) for s in network.scopes]
    log_scale: Any = 0.0
    tensors: list[Any] = []
    for table in tables:
        tensor, scale = ops.enter(table)
        tensors.append(tensor)
        log_scale = log_scale + scale
    for step in plan.steps:
        a, b = step.left, step.right
        scope, tensor = contract_pair(
            tensors[a], scopes[a], tensors[b], scopes[b], set(step.scope), ops
        )
        tensors[a] = tensors[b] = None
        tensor, scale = ops.rescale(tensor)
        tensors.append(tensor)
        scopes.append(scope)
        log_scale = log_scale + scale
    last = ops.sum(tensors[-1], tuple(range(tensors[-1].ndim)))
    return log_scale + ops.leave(last)


def contract_pair(
    a: Any, scope_a: Scope, b: Any, scope_b: Scope, kept: set[int], ops: "Linear | Logarithmic"
) -> tuple[Scope, Any]:
    """Multiply two tensors and sum the indices that are not kept; the larger one's order leads."""
    if a.size < b.size:
        a, scope_a, b, scope_b = b, scope_b, a, scope_a
    a, scope_a = _alone_summed(a, scope_a, set(scope_b) | kept, ops)
    b, scope_b = _alone_summed(b, scope_b, set(scope_a) | kept, ops)
    both = [i for i in scope_a if i in scope_b]
    batch, summed = [i for i in both if i in kept], [i for i in both if i not in kept]
    left = [i for i in scope_a if i not in scope_b]
    right = [i for i in scope_b if i not in scope_a]
    size = dict(zip((*scope_a, *scope_b), (*a.shape, *b.shape), strict=True))
    volume = {
        k: int(np.prod([size[i] for i in v]))
        for k, v in {"batch": batch, "summed": summed, "left": left, "right": right}.items()
    }
    if ops.has_matmul and summed and (volume["batch"] <= MANY or volume["summed"] > MANY):
        order = (*batch, *left, *right)
        a = _ordered(a, scope_a, (*batch, *left, *summed), ops)
        b = _ordered(b, scope_b, (*batch, *summed, *right), ops)
        shape = (volume["batch"], volume["left"], volume["summed"], volume["right"])
        product = ops.xp.matmul(
            a.reshape(shape[0], shape[1], shape[2]), b.reshape(shape[0], shape[2], shape[3])
        )
        return order, product.reshape([size[i] for i in order])
    order = (*(i for i in scope_a if i in kept), *right)
    a = _spread_out(a, scope_a, order, summed, ops)
    b = _spread_out(b, scope_b, order, summed, ops)
    return order, ops.sum_of_products(a, b, volume["summed"])


def _alone_summed(
    t: Any, scope: Scope, elsewhere: set[int], ops: "Linear | Logarithmic"
) -> tuple[Any, Scope]:
    axes = tuple(k for k, i in enumerate(scope) if i not in elsewhere)
    if axes:
        t = ops.sum(t, axes)
        scope = tuple(i for i in scope if i in elsewhere)
    return t, scope


def _ordered(t: Any, scope: Scope, order: Scope, ops: "Linear | Logarithmic") -> Any:
    return ops.xp.transpose(t, [scope.index(i) for i in order])


def _spread_out(
    t: Any, scope: Scope, order: Scope, summed: Sequence[int], ops: "Linear | Logarithmic"
) -> Any:
    """Summed indices joined in a first axis, then those of ``order``, missing ones of length 1."""
    present = [i for i in order if i in scope]
    t = _ordered(t, scope, (*summed, *present), ops)
    length = dict(zip((*summed, *present), t.shape, strict=True))
    return t.reshape(-1, *(length.get(i, 1) for i in order))


class Linear:
    """Sums of products of weights, relative to the largest."""

    has_matmul = True

    def __init__(self, xp: Any):
        self.xp = xp

    def enter(self, log_table: Any) -> tuple[Any, Any]:
        """Weights from logarithms, and the log of their scale."""
        xp = self.xp
        top = xp.max(log_table, initial=-xp.inf)
        top = jax.lax.stop_gradient(top) if xp is jnp else top
        top = xp.where(xp.isfinite(top), top, 0)
        return xp.exp(log_table - top), top

    def rescale(self, t: Any) -> tuple[Any, Any]:
        """The tensor relative to its largest entry, and the log of that."""
        if self.xp is jnp:
            return numerics.rescale(t)
        top = t.max(initial=0.0)
        return (t / top, np.log(top)) if top > 0 else (t, 0.0)

    def sum(self, t: Any, axes: tuple[int, ...]) -> Any:
        """Sum over axes."""
        return self.xp.sum(t, axis=axes)

    def sum_of_products(self, a: Any, b: Any, n: int) -> Any:
        """Sum over the first axis of the broadcast product."""
        total = a[0] * b[0]
        for k in range(1, n):
            total = total + a[k] * b[k]
        return total

    def leave(self, total: Any) -> Any:
        """The logarithm of a number."""
        return numerics.log_or_zero(total) if self.xp is jnp else np.log(total)


class Logarithmic:
    """The same on logarithms: slower, and right at any temperature."""

    has_matmul = False

    def __init__(self, xp: Any):
        self.xp = xp

    def enter(self, log_table: Any) -> tuple[Any, Any]:
        """Logarithms as they are."""
        return log_table, 0.0

    def rescale(self, t: Any) -> tuple[Any, Any]:
        """Nothing to rescale."""
        return t, 0.0

    def sum(self, t: Any, axes: tuple[int, ...]) -> Any:
        """log sum exp over axes."""
        if self.xp is jnp:
            return numerics.logsumexp(t, axes)
        top = np.max(t, axis=axes, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        return np.log(np.sum(np.exp(t - top), axis=axes)) + top.reshape(
            [n for k, n in enumerate(t.shape) if k not in axes]
        )

    def sum_of_products(self, a: Any, b: Any, n: int) -> Any:
        """log sum exp over the first axis of the broadcast sum."""
        if n == 1:
            return a[0] + b[0]
        return self.sum(a + b, (0,))

    def leave(self, total: Any) -> Any:
        """A logarithm already."""
        return total
