r"""The sum over every configuration: the reference for everything else.

    Z = sum_x exp(-H(x))

Small systems are summed directly. Large ones are split into three blocks of sites A, B, C. Where no
interaction joins all three,

    Z = sum_a sum_{b,c} U_ab W_bc V_ac,     U = exp(-E_AB), V = exp(-E_AC), W = exp(-E_BC),

is a matrix product: two operations a configuration in place of an exponential, and only q^(2N/3)
exponentials in all. Every model of pairs splits this way. The blocks A are walked through in
chunks, so memory is constant, forward and in derivatives.

Rows of U and V are kept relative to their largest entries. The largest term of a row is then at
least exp(-(max E_BC - min E_BC)); where that could underflow, and where an interaction joins three
blocks, the sums are taken on logarithms instead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, TooLargeError
from physdl.estimators._base import Estimate, exact
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.numerics import log_or_zero, logsumexp
from physdl.pytree import IntArray, module, static

__all__ = ["Enumeration"]

DIRECT = 2**14
BLOCK = 2**11
CHUNK = 2**10
FORBIDDEN = 1e30
MARGIN = 40.0


@module
class Enumeration:
    """Exact log Z of any finite-space Hamiltonian by summing over all configurations.

    Attributes:
      max_states: refuse larger sums.

    Raises:
      SettingError: the limit is not positive.
      SpaceError: the space is not finite.
      TooLargeError: there are more configurations than ``max_states``.

    >>> from physdl import lattices, models
    >>> Enumeration()(models.ising(lattices.square(4, 4), 0.2))
    log Z = 11.77147036 (exact) [OK]
    """

    max_states: int = static(default=2**34)

    def __post_init__(self) -> None:
        if not self.max_states > 0:
            raise SettingError(f"max_states is a positive number, got {self.max_states}.")

    @jax.jit
    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        sizes = state_counts(require_finite(h.space, "enumeration"), h.n_sites)
        log10 = float(np.sum(np.log10(sizes)))
        if log10 > math.log10(self.max_states) + 1e-9:
            raise TooLargeError(
                f"enumeration of 10^{log10:.1f} configurations exceeds max_states="
                f"{self.max_states}: use Contraction, TransferMatrix or a sampled method."
            )
        n_states = math.prod(sizes.tolist())
        tables = [_Tables.of(p.sites.array, p.table) for p in h.potentials()]
        log_z = _direct(tables, sizes) if n_states <= DIRECT else _blocked(tables, sizes, BLOCK)
        return exact(log_z.astype(h.dtype), h, f"enumeration of {n_states} configurations")


@dataclass(frozen=True)
class _Tables:
    """Energy tables of equal shape over groups of sites; infinities are large numbers."""

    sites: IntArray
    table: Float[Array, "n ..."]

    @classmethod
    def of(cls, sites: IntArray, table: Array) -> "_Tables":
        return cls(sites, jnp.where(jnp.isposinf(table), FORBIDDEN, table))

    def where(self, mask: IntArray) -> "_Tables":
        rows = np.flatnonzero(mask)
        return _Tables(self.sites[rows], self.table[rows])


def _digits(states: Int[Array, " s"], sizes: IntArray, sites: IntArray) -> dict[int, Array]:
    """Label of each of ``sites`` in the states numbered in C order."""
    out, rest = {}, states
    for i in reversed(sites.tolist()):
        out[i] = rest % int(sizes[i])
        rest = rest // int(sizes[i])
    return out


def _flat(sites: IntArray, digits: dict[int, Array], sizes: IntArray) -> Int[Array, "s n"]:
    """Flat index into the tables over ``sites`` [n, k], for every state."""
    columns = []
    for group in sites.tolist():
        index = jnp.zeros_like(next(iter(digits.values())))
        for i in group:
            index = index * int(sizes[i]) + digits[i]
        columns.append(index)
    return jnp.stack(columns, axis=1)


def _energies(tables: list[_Tables], digits: dict[int, Array], n: int, sizes: IntArray) -> Array:
    """Sum of tables whose sites all have digits, shape [n]."""
    total = jnp.zeros(n, tables[0].table.dtype if tables else float)
    for t in tables:
        if t.sites.shape[1] == 0:
            total = total + jnp.sum(t.table)
        elif len(t.sites):
            index = _flat(t.sites, digits, sizes)
            rows = jnp.arange(len(t.sites))[None, :]
            total = total + jnp.sum(t.table.reshape(len(t.sites), -1)[rows, index], axis=1)
    return total


def _log_weight(energy: Array) -> Array:
    return jnp.where(energy > FORBIDDEN / 2, -jnp.inf, -energy)


def _direct(tables: list[_Tables], sizes: IntArray) -> Array:
    n = math.prod(sizes.tolist())
    digits = _digits(jnp.arange(n), sizes, np.arange(len(sizes)))
    return logsumexp(_log_weight(_energies(tables, digits, n, sizes)))


def _cross(
    tables: list[_Tables],
    left: dict[int, Array],
    right: dict[int, Array],
    shape: tuple[int, int],
    sizes: IntArray,
) -> Float[Array, "l r"]:
    """Energies between two blocks, for every pair of their states: one matrix product.

    Tables with the same sites on the right are first added, for every state of the left.
    """
    total = jnp.zeros(shape, tables[0].table.dtype if tables else float)
    for t in tables:
        inside = np.isin(t.sites, list(left))
        for n_left in np.unique(inside.sum(axis=1)).tolist():
            own = t.where(inside.sum(axis=1) == n_left)
            lefts, rights = own.sites[:, :n_left], own.sites[:, n_left:]
            q_left = math.prod(own.table.shape[1 : 1 + n_left])
            table = own.table.reshape(len(lefts), q_left, -1)
            picked = table[jnp.arange(len(lefts))[None, :], _flat(lefts, left, sizes)]
            distinct, which = np.unique(rights, axis=0, return_inverse=True)
            features = jnp.zeros((shape[0], len(distinct), table.shape[2]), table.dtype)
            features = features.at[:, which.reshape(-1)].add(picked)
            index = _flat(distinct, right, sizes)
            indicator = jax.nn.one_hot(index, table.shape[2], dtype=table.dtype)
            total = total + jnp.matmul(
                features.reshape(shape[0], -1),
                indicator.reshape(shape[1], -1).T,
                precision="highest",
            )
    return total


@dataclass(frozen=True)
class _Blocks:
    """A contiguous split of the sites into A (outer and chunk), B and C."""

    outer: IntArray
    chunk: IntArray
    b: IntArray
    c: IntArray


def _split(sizes: IntArray, block: int) -> _Blocks:
    logs = np.log2(sizes)
    target = min(math.log2(block), logs.sum() / 3)
    n = len(sizes)
    ends = [n]
    for limit in (target, target, math.log2(CHUNK)):
        start, total = ends[-1], 0.0
        while start > 0 and (total + logs[start - 1] <= limit + 1e-9 or start == ends[-1]):
            start -= 1
            total += logs[start]
        ends.append(start)
    sites = np.arange(n)
    c, b, chunk = (sites[ends[k + 1] : ends[k]] for k in range(3))
    return _Blocks(sites[: ends[3]], chunk, b, c)


def _blocked(tables: list[_Tables], sizes: IntArray, block: int) -> Array:
    blocks = _split(sizes, block)
    a_sites = np.concatenate([blocks.outer, blocks.chunk])
    number = np.zeros(len(sizes), dtype=int)
    number[blocks.b], number[blocks.c] = 1, 2
    kinds: dict[frozenset[int], list[_Tables]] = {}
    for t in tables:
        touched = [frozenset(number[s].tolist()) for s in t.sites]
        for kind in dict.fromkeys(touched):
            mask = np.array([k == kind for k in touched])
            kinds.setdefault(kind, []).append(t.where(mask))
    n_outer, n_chunk, n_b, n_c = (
        math.prod(sizes[sites].tolist())
        for sites in (blocks.outer, blocks.chunk, blocks.b, blocks.c)
    )
    b_digits = _digits(jnp.arange(n_b), sizes, blocks.b)
    c_digits = _digits(jnp.arange(n_c), sizes, blocks.c)

    def get(*kind: int) -> list[_Tables]:
        return kinds.get(frozenset(kind), [])

    e_b = _energies(get(1) + get(), b_digits, n_b, sizes)
    e_c = _energies(get(2), c_digits, n_c, sizes)
    e_bc = _cross(get(1, 2), b_digits, c_digits, (n_b, n_c), sizes)
    joint = get(0, 1, 2)

    def sides(chunk: Int[Array, ""]) -> tuple[dict[int, Array], Array, Array]:
        a = _digits(chunk * n_chunk + jnp.arange(n_chunk), sizes, a_sites)
        e_ab = _cross(get(0, 1), a, b_digits, (n_chunk, n_b), sizes) + e_b[None, :]
        e_ac = _cross(get(0, 2), a, c_digits, (n_chunk, n_c), sizes) + e_c[None, :]
        e_a = _energies(get(0), a, n_chunk, sizes)
        return a, _log_weight(e_a[:, None] + e_ab), _log_weight(e_ac)

    def product(chunk: Int[Array, ""]) -> Array:
        _, u, v = sides(chunk)
        (u, top_u), (v, top_v) = _relative(u), _relative(v)
        row = jnp.sum(jnp.matmul(u, weights, precision="highest") * v, axis=1)
        return logsumexp(log_or_zero(row) + top_u + top_v) + lowest

    def logarithms(chunk: Int[Array, ""]) -> Array:
        a, u, v = sides(chunk)

        def row(labels: tuple[dict[int, Array], Array, Array]) -> Array:
            own, log_u, log_v = labels
            energy = e_bc
            if joint:
                fixed = _at(joint, own, sizes)
                energy = energy + _cross(fixed, b_digits, c_digits, (n_b, n_c), sizes)
            return logsumexp(log_u[:, None] + log_v[None, :] + _log_weight(energy))

        return logsumexp(jax.lax.map(jax.checkpoint(row), (a, u, v)))

    def walked(body: Callable[[Array], Array]) -> Array:
        return logsumexp(jax.lax.map(jax.checkpoint(body), jnp.arange(n_outer)))

    if joint:
        return walked(logarithms)
    log_w = _log_weight(e_bc)
    lowest = jax.lax.stop_gradient(jnp.max(log_w))
    lowest = jnp.where(jnp.isfinite(lowest), lowest, 0.0)
    weights = jnp.exp(log_w - lowest)
    comfort = -math.log(float(np.finfo(log_w.dtype).tiny)) - MARGIN
    safe = jnp.min(log_w) > lowest - comfort
    out: Array = jax.lax.cond(safe, lambda: walked(product), lambda: walked(logarithms))
    return out


def _relative(log_weight: Array) -> tuple[Array, Array]:
    """Weights relative to the largest of each row, and its logarithm."""
    top = jax.lax.stop_gradient(jnp.max(log_weight, axis=1))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return jnp.exp(log_weight - top[:, None]), top


def _at(tables: list[_Tables], labels: dict[int, Array], sizes: IntArray) -> list[_Tables]:
    """The tables on the sites that have no label, at the given labels of the others."""
    out = []
    for t in tables:
        n_fixed = np.isin(t.sites, list(labels)).sum(axis=1)
        for k in np.unique(n_fixed).tolist():
            own = t.where(n_fixed == k)
            q = math.prod(own.table.shape[1 : 1 + k])
            flat = own.table.reshape(len(own.sites), q, *own.table.shape[1 + k :])
            scalar = {i: v[None] for i, v in labels.items()}
            index = _flat(own.sites[:, :k], scalar, sizes)[0]
            out.append(_Tables(own.sites[:, k:], flat[jnp.arange(len(own.sites)), index]))
    return out
