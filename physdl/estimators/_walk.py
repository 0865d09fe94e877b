r"""A random walk of single sites in the slope D, flat where its weights say so.

Along the path H_b = h0 + b (h - h0) walkers sample

    p(x) proportional to exp(-h0(x)) / g(k(D(x))),        D = h - h0,

where k is the bin of D and g a weight per bin. One step changes one site, the same for all walkers
(drawn anew at every step, so a step needs slices of memory instead of gathers), each with its own
proposal, and is accepted with probability min(1, exp(-change of h0) g(old) / g(new)). With g
the density of states, all bins are visited equally often.
"""

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from physdl.errors import StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Term
from physdl.pytree import IntArray, module, static
from physdl.sampling import _random as random
from physdl.sampling._local import Local, _as_sites, _local
from physdl.sampling._path import Path
from physdl.sampling._structure import Plan, plan_of
from physdl.sampling.metropolis import proposal
from physdl.spaces import Finite, Line, Product, Space, Sphere

__all__ = ["Bins", "alike", "walk"]

N_SCALES = 6


@module
class Bins:
    """Equal bins of D; the first and the last one also hold everything beyond.

    Attributes:
      lowest: the lower edge of the first bin.
      width: the width of a bin.
      n_bins: how many there are.
    """

    lowest: Float[Array, ""]
    width: Float[Array, ""]
    n_bins: int = static()

    def index(self, d: Float[Array, "..."]) -> Int[Array, "..."]:
        """The bin of every D."""
        number = jnp.floor((d - self.lowest) / self.width)
        return jnp.clip(number, 0, self.n_bins - 1).astype(jnp.int32)

    @property
    def centres(self) -> Float[Array, " n_bins"]:
        """The middles of the bins."""
        return self.lowest + self.width * (jnp.arange(self.n_bins, dtype=self.width.dtype) + 0.5)


@dataclass(frozen=True, eq=False)
class _Energy:
    """A Hamiltonian made ready for changes of one site: short terms in tables, dense ones summed.

    ``coupling`` is the symmetric matrix of all dense terms without its diagonal, or ``None``.
    """

    short: Hamiltonian
    terms: Mapping[str, Sites]
    plan: Plan
    coupling: Float[Array, "n n"] | None
    diagonal: Float[Array, " n"] | None

    @classmethod
    def of(cls, h: Hamiltonian) -> "_Energy":
        dense = [t for t in h.terms.values() if isinstance(t, Dense)]
        rest: dict[str, Term] = {name: t for name, t in h.terms.items() if not isinstance(t, Dense)}
        short = Hamiltonian(rest, space=h.space, shape=h.shape)
        plan = plan_of(short, together=False)
        terms = jax.tree.map(lambda leaf: leaf.astype(h.dtype), _as_sites(short))
        if not dense:
            return cls(short, terms, plan, None, None)
        coupling = functools.reduce(operator.add, (_matrix(t, h.n_sites) for t in dense))
        diagonal = jnp.diagonal(coupling)
        return cls(short, terms, plan, coupling - jnp.diag(diagonal), diagonal)

    def field(self, v: Float[Array, "n c W"]) -> Float[Array, "n c W"] | None:
        """What the dense terms exert on every component."""
        return None if self.coupling is None else jnp.tensordot(self.coupling, v, 1)

    def local(
        self, v: Float[Array, "n c W"], field: Float[Array, "n c W"] | None, i: Int[Array, ""]
    ) -> Local:
        """What site i feels, a row for every walker."""

        def pick(table: IntArray | Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(jnp.asarray(table), i, 1)

        def felt(v: Float[Array, "n c"]) -> tuple[dict[tuple[int, ...], Array], Array | None]:
            local = _local(self.short, self.terms, self.plan, 0, v, pick)
            return local.fields, local.tables

        fields, tables = jax.vmap(felt, in_axes=-1)(v)
        n_walkers = v.shape[2]
        fields = {p: jnp.broadcast_to(f, (n_walkers, 1))[:, 0] for p, f in fields.items()}
        tables = None if tables is None else tables[:, 0]
        if field is not None:
            assert self.diagonal is not None
            own = jax.lax.dynamic_index_in_dim(field, i, keepdims=False)
            half = 0.5 * jax.lax.dynamic_index_in_dim(self.diagonal, i, keepdims=False)
            for a in range(v.shape[1]):
                fields[(a,)] = fields.get((a,), 0) + own[a]
                fields[(a, a)] = fields.get((a, a), 0) + jnp.broadcast_to(half, (n_walkers,))
        space = alike(self.short.space)
        points = space.array[None].astype(v.dtype) if isinstance(space, Finite) else None
        return Local(fields, tables, points, space)


def alike(space: Space) -> Finite | Line | Sphere:
    """What every site is.

    Raises:
      StructureError: sites differ.
    """
    if isinstance(space, Product):
        if len(set(space.spaces)) > 1:
            raise StructureError(
                f"a walk in the energy takes sites that are alike, got {space!r}: use "
                f"PopulationAnnealing or ThermodynamicIntegration."
            )
        return space.spaces[0]
    return space


def walk(
    path: Path,
    bins: Bins,
    log_g: Float[Array, " n_bins"],
    x: Float[Array, " W *state"],
    width: Float[Array, "*state"],
    *,
    key: Key[Array, ""],
    log_f: Float[Array, ""] | None = None,
) -> tuple[Float[Array, " W *state"], Float[Array, "..."]]:
    """As many steps as there are sites, for all walkers.

    Args:
      path: what D and h0 are.
      bins: the bins of D.
      log_g: the logarithm of the weight per bin.
      x: the walkers.
      width: the largest step per component on continuous spaces; steps are this over 1, 2, 4 ...
      key: a random key.
      log_f: what is added to log g of a bin at every visit; ``None`` keeps the weights.

    Returns:
      The walkers after the last step; how often every bin was visited, by all walkers together
      [n_bins] with ``log_f``, by each of them [W, n_bins] without.
    """
    n_walkers, n, dtype = x.shape[0], path.h.n_sites, x.dtype
    v = jnp.moveaxis(x.reshape(n_walkers, n, -1), 0, -1)
    slope = _Energy.of(path.h if path.reference is None else path.h - path.reference)
    start = None if path.reference is None else _Energy.of(path.reference)
    site_key, step_key = random.split(key)
    sites, keys = random.integers(site_key, (n,), n), random.split(step_key, 3 * n).reshape(n, 3)
    widths = width.reshape(n, -1)
    energies = [slope] if start is None else [slope, start]

    def height(counts: Array, bin_: Array) -> Array:
        if log_f is None:
            return _entry(log_g, bin_)
        return _entry(log_g, bin_) + log_f * _entry(counts, bin_)

    def step(t: Array, carry: _Carry) -> _Carry:
        before = _entry(sites, jnp.maximum(t - 1, 0))
        v, fields = _written(energies, carry, before)
        i = _entry(sites, t)
        old = jax.lax.dynamic_index_in_dim(v, i, keepdims=False).T
        local = slope.local(v, fields[0], i)
        propose, scale_key, decide = _entry(keys, t)
        size = _step_size(widths, i, n_walkers, local.space, scale_key)
        new, change = _proposed(local, old, size, propose)
        d = carry.d + change
        bin_ = bins.index(d)
        ratio = height(carry.counts, carry.bin) - height(carry.counts, bin_)
        if start is not None:
            ratio = ratio - _change(start.local(v, fields[1], i), old, new)
        ratio = jnp.where(jnp.isfinite(change), ratio, -jnp.inf)
        accepted = random.bernoulli(decide, jnp.exp(jnp.minimum(ratio, 0)))
        row = jnp.where(accepted[None], new.T, old.T)
        bin_ = jnp.where(accepted, bin_, carry.bin)
        own = bin_ if log_f is not None else (np.arange(n_walkers), bin_)
        counts = carry.counts.at[own].add(1, mode="promise_in_bounds")
        return _Carry(v, fields, jnp.where(accepted, d, carry.d), bin_, counts, row, row - old.T)

    d = jax.vmap(path.slope)(x)
    shape = (bins.n_bins,) if log_f is not None else (n_walkers, bins.n_bins)
    row = jax.lax.dynamic_index_in_dim(v, sites[0], keepdims=False)
    fields = tuple(energy.field(v) for energy in energies)
    first = _Carry(v, fields, d, bins.index(d), jnp.zeros(shape, dtype), row, jnp.zeros_like(row))
    last = jax.lax.fori_loop(0, n, step, first)
    v, _ = _written(energies, last, sites[n - 1])
    return jnp.moveaxis(v, -1, 0).reshape(x.shape), last.counts


@module
class _Carry:
    """Walkers within a sweep; the last row that changed is written when the next step begins.

    So no step reads an array after it wrote to it, and none is copied.
    """

    v: Float[Array, "n c W"]
    fields: tuple[Float[Array, "n c W"] | None, ...]
    d: Float[Array, " W"]
    bin: Int[Array, " W"]
    counts: Float[Array, "..."]
    row: Float[Array, "c W"]
    difference: Float[Array, "c W"]


def _written(
    energies: list[_Energy], carry: _Carry, i: Int[Array, ""]
) -> tuple[Array, tuple[Array | None, ...]]:
    v = jax.lax.dynamic_update_index_in_dim(carry.v, carry.row, i, 0)
    fields = tuple(
        field
        if field is None or energy.coupling is None
        else field
        + jax.lax.dynamic_index_in_dim(energy.coupling, i, keepdims=False)[:, None, None]
        * carry.difference[None]
        for energy, field in zip(energies, carry.fields, strict=True)
    )
    return v, fields


def _matrix(term: Dense, n: int) -> Float[Array, "n n"]:
    """The symmetric coupling matrix of a dense term."""
    if term.blocks is None:
        return 0.5 * (term.coefficient + term.coefficient.T)
    (row, column), (n_rows, n_columns) = term.blocks, term.coefficient.shape
    rows, columns = slice(row, row + n_rows), slice(column, column + n_columns)
    half = jnp.zeros((n, n), term.coefficient.dtype).at[rows, columns].set(term.coefficient)
    whole: Array = half + half.T
    return whole


def _entry(table: Array, index: Array) -> Array:
    if index.ndim == 0:
        one: Array = jax.lax.dynamic_index_in_dim(table, index, keepdims=False)
        return one
    return table.at[index].get(mode="promise_in_bounds")


def _step_size(
    widths: Float[Array, "n c"],
    i: Int[Array, ""],
    n_walkers: int,
    space: Finite | Line | Sphere,
    key: Key[Array, ""],
) -> Float[Array, "..."]:
    """The width of the proposals, [W, c], on one of several scales."""
    if isinstance(space, Finite):
        return jnp.ones((), widths.dtype)
    halvings = random.integers(key, (n_walkers,), N_SCALES).astype(widths.dtype)
    own = jax.lax.dynamic_slice_in_dim(widths, i, 1)
    return own * jnp.exp2(-halvings)[:, None]


def _proposed(
    local: Local, old: Float[Array, "W c"], size: Float[Array, "..."], key: Key[Array, ""]
) -> tuple[Float[Array, "W c"], Float[Array, " W"]]:
    """Another state of every walker's site, and the change of D."""
    if local.is_binary or not isinstance(local.space, Finite):
        return proposal(local, old, size, key)
    label, q = local.label(old).astype(jnp.int32), local.space.n_states
    steps = 1 + random.integers(key, label.shape, max(q - 1, 1))
    other = (label + steps) % q
    return local.state(other), _between(local.energies(), label, other)


def _change(local: Local, old: Float[Array, "W c"], new: Float[Array, "W c"]) -> Float[Array, " W"]:
    """The change of an energy between two states of one site."""
    if not isinstance(local.space, Finite):
        return local.energy(new) - local.energy(old)
    return _between(local.energies(), local.label(old), local.label(new))


def _between(energies: Float[Array, "W q"], before: Array, after: Array) -> Float[Array, " W"]:
    """The difference of two energies of each row; a sum is faster than a gather."""
    number = np.arange(energies.shape[1], dtype=np.int32)[None]
    chosen = [number == s[:, None].astype(jnp.int32) for s in (before, after)]
    old, new = (jnp.where(mine, energies, 0) for mine in chosen)
    return jnp.sum(new, axis=1) - jnp.sum(old, axis=1)
