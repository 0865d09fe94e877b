r"""Exact counting layer by layer: the transfer matrix, never written down.

    Z = sum over layers of prod_t T_t(x_t, x_{t+1}),      psi_{t+1}(x') = sum_x T_t(x, x') psi_t(x)

The vector psi has one entry for each of the q^L states of a layer. A layer is exchanged a few
columns at a time: new columns enter, the tables whose sites are now all present are multiplied in,
and old columns nothing needs any more are summed out, so a layer costs L q^L operations and not
q^(2L). Neighbouring columns are joined so that each exchange is a matrix product. One ``scan`` runs
over the layers: thousands of them compile as fast as ten.

With periodic layers the vector is started from each state of the first layer in turn (in batches)
and Z is the trace.

psi is rescaled at every layer. The logarithms of its entries differ by no more than the ranges of
the tables of two neighbouring layers, or of all layers where some states are forbidden; where these
exceed what floating-point numbers hold, the same exchange is carried out on logarithms.
"""

import math
import string
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, exact, linear_where_safe
from physdl.estimators._layers import Layers, Pattern, layered
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.numerics import log_or_zero, logsumexp, rescale
from physdl.pytree import IntArray, module, static

__all__ = ["TransferMatrix"]

JOINED = 32
JOINED_LOGARITHMS = 8
BATCH = 2.0**18
SMALL = 11
MOST_OPERATIONS = 1e14
COMFORT = 0.3
START = -1

Axes = tuple[int, ...]
Rows = dict[Axes, Array]


@cites("kramers1941")
@module
class TransferMatrix:
    """Exact log Z of strips, cylinders and tori of any finite-space Hamiltonian.

    Attributes:
      axis: the axis of the shape along which to go; ``None`` takes the cheapest.
      max_memory: bytes the vector and its workspace may take.

    Raises:
      SettingError: the memory limit is not positive, or the shape has no such axis.
      SpaceError: the space is not finite.
      StructureError: an interaction reaches beyond the neighbouring layer.
      TooLargeError: a layer has too many states.

    >>> from physdl import lattices, models
    >>> TransferMatrix()(models.ising(lattices.square(4, 4), 0.2))
    log Z = 11.77147036 (exact) [OK]
    """

    axis: int | None = static(default=None)
    max_memory: int = static(default=4 * 2**30)

    def __post_init__(self) -> None:
        if not self.max_memory > 0:
            raise SettingError(f"max_memory is a positive number of bytes, got {self.max_memory}.")

    def layers(self, h: Hamiltonian) -> Layers:
        """The cut that would be used."""
        space = require_finite(h.space, "the transfer matrix")
        sizes, potentials = state_counts(space, h.n_sites), h.potentials()
        if self.axis is not None and not 0 <= self.axis < len(h.shape):
            raise SettingError(f"axis {self.axis} does not exist in the shape {h.shape}.")
        axes = range(len(h.shape)) if self.axis is None else [self.axis]
        found, problem = [], None
        for axis in axes:
            try:
                found.append(layered(potentials, sizes, h.shape, axis))
            except StructureError as error:
                problem = error
        if not found:
            raise problem or StructureError("a single site has no layers: use Enumeration.")
        best = min(found, key=lambda cut: cut.operations)
        needed = 4 * 2.0 ** min(best.log2_states, 500.0) * h.dtype.itemsize
        if needed > self.max_memory or best.operations > MOST_OPERATIONS:
            ring = " closed to a ring" if best.periodic else ""
            raise TooLargeError(
                f"a transfer matrix over 2^{best.log2_states:.0f} states of a layer{ring} takes "
                f"{needed:.1e} bytes and {best.operations:.1e} operations, above "
                f"max_memory={self.max_memory} or {MOST_OPERATIONS:.0e}: use Contraction, Planar "
                f"or a sampled method."
            )
        return best

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        return linear_where_safe(h, partial(_linear, self), partial(_logarithmic, self))


@partial(jax.jit, static_argnums=0)
def _linear(settings: TransferMatrix, h: Hamiltonian) -> tuple[Estimate, Bool[Array, ""]]:
    cut = settings.layers(h)
    return _estimate(h, cut, logarithmic=False), _is_safe(cut)


@partial(jax.jit, static_argnums=0)
def _logarithmic(settings: TransferMatrix, h: Hamiltonian) -> Estimate:
    return _estimate(h, settings.layers(h), logarithmic=True)


def _estimate(h: Hamiltonian, cut: Layers, *, logarithmic: bool) -> Estimate:
    log_z = _walked(cut, logarithmic=logarithmic) - cut.constant
    ring = ", traced over the first" if cut.periodic else ""
    method = f"transfer matrix, {cut.n_layers} layers of 2^{cut.log2_states:.0f} states{ring}"
    return exact(log_z.astype(h.dtype), h, method)


def _is_safe(cut: Layers) -> Bool[Array, ""]:
    """Whether the entries of psi differ by less than floating-point numbers hold."""
    shapes: dict[tuple[int, ...], list[Array]] = {}
    for table in jax.lax.stop_gradient(cut.tables).values():
        shapes.setdefault(table.shape, []).append(table)
    stacks = [jnp.stack(same).reshape(len(same), cut.n_layers, -1) for same in shapes.values()]
    spread = sum((_ranges(t) for t in stacks), start=jnp.zeros(cut.n_layers))
    forbids = jnp.any(jnp.stack([jnp.any(jnp.isposinf(t)) for t in stacks] + [jnp.zeros((), bool)]))
    dtype = jnp.result_type(*cut.tables.values()) if cut.tables else jnp.zeros(()).dtype
    comfort = COMFORT * -math.log(float(np.finfo(dtype).tiny))
    everywhere = jnp.sum(spread) + cut.n_layers * cut.log2_states * math.log(2)
    return jnp.where(forbids, everywhere, jnp.max(spread)) < comfort


def _ranges(tables: Float[Array, "n T e"]) -> Float[Array, " T"]:
    """For each layer the sum of the differences between largest and smallest finite entries."""
    finite = jnp.isfinite(tables)
    high = jnp.max(jnp.where(finite, tables, -jnp.inf), axis=2)
    low = jnp.min(jnp.where(finite, tables, jnp.inf), axis=2)
    return jnp.sum(jnp.where(high >= low, high - low, 0.0), axis=0).astype(float)


def _walked(cut: Layers, *, logarithmic: bool) -> Array:
    exchange = _Exchange(cut, logarithmic)
    n_states = math.prod(cut.sizes)
    tables = exchange.stacked(cut.tables)
    inside = {axes: t for axes, t in tables.items() if exchange.is_inside(axes)}
    between = {axes: t for axes, t in tables.items() if not exchange.is_inside(axes)}
    first, scale = exchange.inside({axes: t[0] for axes, t in inside.items()})
    steps = {axes: t[:-1] for axes, t in between.items()}
    steps |= {axes: t[1:] for axes, t in inside.items()}
    last = {axes: t[-1] for axes, t in between.items()}
    if not cut.periodic:
        return scale + exchange.total(exchange.run(first[None], steps))

    def from_starts(starts: Array) -> Array:
        chosen = starts[:, None] == jnp.arange(n_states)[None, :]
        psi = jnp.where(chosen.reshape(-1, *first.shape), first[None], exchange.nothing)
        psi, log_scale = exchange.run(psi, steps)
        psi, step_scale = exchange.step(psi, last)
        closed = jnp.where(chosen.reshape(psi.shape), psi, exchange.nothing)
        return exchange.total((closed, log_scale + step_scale))

    batch = _divisor(n_states, max(1, int(BATCH / n_states)))
    starts = jnp.arange(n_states).reshape(-1, batch)
    return scale + logsumexp(jax.lax.map(jax.checkpoint(from_starts), starts))


def _divisor(n: int, most: int) -> int:
    return next(d for d in range(min(n, most), 0, -1) if n % d == 0)


class _Exchange:
    """Exchanging one layer for the next, in groups of neighbouring columns.

    Axis g stands for new group g, axis m + g for old group g. Tables over the same axes are kept as
    one row of numbers [..., E], and ``index`` says which of them add to each state of the axes.
    """

    def __init__(self, cut: Layers, logarithmic: bool):
        self.sizes, self.logarithmic = cut.sizes, logarithmic
        self.nothing = -jnp.inf if logarithmic else 0.0
        pairs_only = all(len(p) <= 2 for p in cut.tables)
        limit = JOINED if pairs_only else 4
        if logarithmic and cut.log2_states > SMALL:
            limit = min(limit, JOINED_LOGARITHMS)
        self.group_of, self.groups = _joined(cut.sizes, limit)
        self.shape = tuple(math.prod(cut.sizes[c] for c in g) for g in self.groups)
        self.patterns: dict[Axes, list[Pattern]] = {}
        for pattern in cut.tables:
            axes = tuple(sorted({old + self.group_of[c] for old, c in self.columns(pattern)}))
            self.patterns.setdefault(axes, []).append(pattern)
        self.index = {axes: self._index(axes, found) for axes, found in self.patterns.items()}

    def columns(self, pattern: Pattern) -> list[tuple[int, int]]:
        """For each site of a pattern 0 (new layer) or m (old), and the column."""
        between = pattern[-1][0] == 1
        return [(0 if ahead or not between else len(self.groups), c) for ahead, c in pattern]

    def is_inside(self, axes: Axes) -> bool:
        """Whether tables over these axes act inside a layer."""
        return axes[-1] < len(self.groups)

    def _index(self, axes: Axes, patterns: list[Pattern]) -> IntArray:
        """Entries of the row that add up, [*groups of the axes, number of patterns]."""
        m, start, columns = len(self.groups), 0, list[IntArray]()
        found = [(m * (axis >= m), c) for axis in axes for c in self.groups[axis % m]]
        labels = np.indices([self.sizes[c] for _, c in found], dtype=np.int32)
        for pattern in patterns:
            own = self.columns(pattern)
            lengths = [self.sizes[c] for _, c in own]
            label = [labels[found.index(column)] for column in own]
            columns.append(start + np.ravel_multi_index(label, lengths).astype(np.int32))
            start += math.prod(lengths)
        shape = [self.shape[axis % m] for axis in axes]
        return np.stack(columns, axis=-1).reshape(*shape, len(patterns))

    def stacked(self, tables: dict[Pattern, Array]) -> Rows:
        """The rows of all layers: for each list of axes [T, E]."""
        return {
            axes: jnp.concatenate([tables[p].reshape(len(tables[p]), -1) for p in found], axis=1)
            for axes, found in self.patterns.items()
        }

    def enter(self, log_weight: Array) -> Array:
        """Weights from logarithms that are not positive."""
        return log_weight if self.logarithmic else jnp.exp(log_weight)

    def rescaled(self, psi: Array) -> tuple[Array, Array]:
        """psi relative to its largest entry, and the log of that."""
        if self.logarithmic:
            return psi, jnp.zeros((), psi.dtype)
        return rescale(psi)

    def total(self, carried: tuple[Array, Array]) -> Array:
        """log of the sum of all entries."""
        psi, log_scale = carried
        return log_scale + (logsumexp(psi) if self.logarithmic else log_or_zero(jnp.sum(psi)))

    def joint(self, rows: Rows) -> Rows:
        """Energies over the states of groups."""
        return {
            axes: jnp.sum(row.at[self.index[axes]].get(mode="promise_in_bounds"), axis=-1)
            for axes, row in rows.items()
        }

    def inside(self, tables: Rows) -> tuple[Array, Array]:
        """The weight of a single layer as a vector over its groups, and its log scale."""
        psi = jnp.zeros(self.shape, jnp.result_type(*tables.values()) if tables else float)
        for axes, table in self.joint(tables).items():
            open_shape = [self.shape[g] if g in axes else 1 for g in range(len(self.groups))]
            psi = psi - table.reshape(open_shape)
        top = jax.lax.stop_gradient(jnp.max(psi))
        top = jnp.where(jnp.isfinite(top), top, 0.0)
        return self.enter(psi - top), top

    def run(self, psi: Array, steps: Rows) -> tuple[Array, Array]:
        """Exchange all layers in turn."""

        def body(carried: tuple[Array, Array], tables: Rows) -> tuple[tuple[Array, Array], None]:
            psi, scale = self.step(carried[0], tables)
            return (psi, carried[1] + scale), None

        start = (psi, jnp.zeros((), psi.dtype))
        if not steps:
            return start
        carried: tuple[Array, Array] = jax.lax.scan(jax.checkpoint(body), start, steps)[0]
        return carried

    def step(self, psi: Array, tables: Rows) -> tuple[Array, Array]:
        """Exchange one layer; ``psi`` has a batch axis and then one axis per group."""
        m = len(self.groups)
        scale = jnp.zeros((), psi.dtype)
        factors: Rows = {}
        for axes, energy in self.joint(tables).items():
            top = jax.lax.stop_gradient(jnp.min(energy))
            top = jnp.where(jnp.isfinite(top), top, 0.0)
            scale = scale - top.astype(psi.dtype)
            factors[axes] = self.enter(top - energy)
        straight = all(axes[-1] < m or axes == (axes[0], axes[0] + m) for axes in factors)
        if straight and not self.logarithmic:
            psi, top = self._straight(psi, factors)
        else:
            psi, top = self.rescaled(self._crossing(psi, factors))
        return psi, scale + top

    def _straight(self, psi: Array, factors: Rows) -> tuple[Array, Array]:
        """Each group of the old layer meets its own in the new one only: products in place."""
        m, shape = len(self.groups), psi.shape
        for g, q in enumerate(self.shape):
            matrix = factors.get((g, m + g), jnp.ones((q, q), psi.dtype))
            if (g,) in factors:
                matrix = matrix * factors[(g,)][:, None]
            after = math.prod(self.shape[g + 1 :])
            if after == 1:
                psi = jnp.matmul(psi.reshape(-1, q), matrix.T, precision="highest")
            else:
                psi = psi.reshape(-1, q, after)
                matrix = jnp.broadcast_to(matrix[None], (len(psi), q, q))
                psi = jnp.matmul(matrix, psi, precision="highest")
        psi, top = self.rescaled(psi.reshape(shape))
        for axes, weight in factors.items():
            if axes[-1] < m and len(axes) > 1:
                psi = psi * weight.reshape(
                    [1, *(n if g in axes else 1 for g, n in enumerate(self.shape))]
                )
        return psi, top

    def _crossing(self, psi: Array, factors: Rows) -> Array:
        """Groups enter one by one; an old group leaves when all that touches it is in."""
        m = len(self.groups)
        newest = {axes: max((a for a in axes if a < m), default=0) for axes in factors}
        leaves = [max([g, *(newest[axes] for axes in factors if m + g in axes)]) for g in range(m)]
        held = [START, *range(m, 2 * m)]
        for g in range(m):
            own = [(axes, weight) for axes, weight in factors.items() if newest[axes] == g]
            if not any(g in axes for axes, _ in own):
                own.append(((g,), self.enter(jnp.zeros(self.shape[g], psi.dtype))))
            gone = {m + o for o in range(m) if leaves[o] == g}
            kept = [a for a in held if a not in gone] + [g]
            psi = self._combined(psi, held, own, kept)
            held = kept
        return psi

    def _combined(
        self,
        psi: Array,
        held: Sequence[int],
        factors: Sequence[tuple[Axes, Array]],
        kept: Sequence[int],
    ) -> Array:
        """Multiply the factors in and sum the axes that are not kept."""
        if not self.logarithmic:
            letter = {axis: string.ascii_letters[k] for k, axis in enumerate({*held, *kept})}
            names = ["".join(letter[a] for a in axes) for axes in (held, *(a for a, _ in factors))]
            output = "".join(letter[a] for a in kept)
            operands = [psi, *(f for _, f in factors)]
            return jnp.einsum(
                f"{','.join(names)}->{output}", *operands, optimize="auto", precision="highest"
            )
        union = [*kept, *(a for a in held if a not in kept)]
        total = jnp.zeros((), psi.dtype)
        for axes, f in [(tuple(held), psi), *factors]:
            order = sorted(range(len(axes)), key=lambda k: union.index(axes[k]))
            length = dict(zip(axes, f.shape, strict=True))
            open_shape = [length.get(a, 1) for a in union]
            f = jnp.transpose(f, order).reshape(open_shape)
            total = f if total.ndim == 0 else total + f
        return logsumexp(total, axis=tuple(range(len(kept), len(union))))


def _joined(sizes: Axes, limit: int) -> tuple[list[int], list[list[int]]]:
    """Neighbouring columns joined evenly while their states number at most ``limit``."""
    total = sum(math.log2(q) for q in sizes)
    even = 2 ** (total / max(1, math.ceil(total / math.log2(limit) - 1e-9)))
    groups: list[list[int]] = []
    states = 0
    for c, q in enumerate(sizes):
        if not groups or states * q > limit or states * math.sqrt(q) > even * (1 + 1e-9):
            groups.append([])
            states = 1
        groups[-1].append(c)
        states *= q
    group_of = [g for g, columns in enumerate(groups) for _ in columns]
    return group_of, groups
