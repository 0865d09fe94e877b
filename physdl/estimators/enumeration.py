r"""The sum over every configuration: the reference for everything else.

    Z = sum_x exp(-H(x))

Small systems are summed directly. Large ones are split into three blocks of sites A, B, C. Where no
interaction joins all three,

    Z = sum_a sum_{b,c} U_ab W_bc V_ac,     U = exp(-E_AB), V = exp(-E_AC), W = exp(-E_BC),

is a matrix product: two operations a configuration in place of an exponential, and only q^(2N/3)
exponentials in all. Every model of pairs splits this way. The blocks A are walked through in
chunks, so memory is constant, forward and in derivatives.

Rows of U and V are kept relative to their largest entries. The largest term of a row is then at
least exp(-(max E_BC - min E_BC)), or, where W forbids some pairs of states, exp(-R) with R the sum
of the ranges of all tables inside. Where that could underflow, and where an interaction joins three
blocks, the sums are taken on logarithms instead.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.errors import SettingError, TooLargeError
from physdl.estimators._base import Estimate, exact, linear_where_safe
from physdl.estimators._blocks import (
    FORBIDDEN,
    Block,
    Tables,
    energies_between,
    energies_within,
    flattened,
)
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.numerics import log_or_zero, logsumexp
from physdl.pytree import IntArray, module, static

__all__ = ["Enumeration"]

DIRECT = 2**14
BLOCK = 2**11
CHUNK = 2**10
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
        if math.prod(sizes.tolist()) <= DIRECT:
            out: Estimate = _direct(h)
            return out
        return linear_where_safe(h, _product, _logarithms)


def _log_weight(energy: Array) -> Array:
    return jnp.where(energy > FORBIDDEN / 2, -jnp.inf, -energy)


@jax.jit
def _direct(h: Hamiltonian) -> Estimate:
    sizes = state_counts(require_finite(h.space, "enumeration"), h.n_sites)
    n = math.prod(sizes.tolist())
    block = Block.of(jnp.arange(n, dtype=np.int32), sizes, np.arange(len(sizes)))
    return _estimate(logsumexp(_log_weight(energies_within(*flattened(h), block))), h, n)


def _estimate(log_z: Array, h: Hamiltonian, n_states: int) -> Estimate:
    return exact(log_z.astype(h.dtype), h, f"enumeration of {n_states} configurations")


class _Split:
    """A Hamiltonian over contiguous blocks of sites: A (outer and chunk), B and C."""

    def __init__(self, h: Hamiltonian):
        sizes = state_counts(require_finite(h.space, "enumeration"), h.n_sites)
        outer, chunk, b, c = _cut(sizes)
        counts = [math.prod(sizes[sites].tolist()) for sites in (outer, chunk, b, c)]
        self.n_states = math.prod(counts)
        self.n_outer, self.n_chunk, n_b, n_c = counts
        self.sizes, self.a_sites = sizes, np.concatenate([outer, chunk])
        self.b = Block.of(jnp.arange(n_b, dtype=np.int32), sizes, b)
        self.c = Block.of(jnp.arange(n_c, dtype=np.int32), sizes, c)
        self.energies, self.all_tables = flattened(h)
        number = np.repeat([1, 2, 4], [len(self.a_sites), len(b), len(c)])
        self.touched = [np.bitwise_or.reduce(number[t.sites], axis=1) for t in self.all_tables]

    def tables(self, blocks: str) -> list[Tables]:
        """Tables that touch exactly these blocks."""
        own = [touched == _bits(blocks) for touched in self.touched]
        return [t.where(m) for t, m in zip(self.all_tables, own, strict=True) if m.any()]

    def inner(self) -> tuple[Array, Array, Array]:
        """Energies of B (and those of no site), of C, and between them."""
        return (
            energies_within(self.energies, self.tables("b") + self.tables(""), self.b),
            energies_within(self.energies, self.tables("c"), self.c),
            energies_between(self.energies, self.tables("bc"), self.b, self.c),
        )

    def sides(self, chunk: Int[Array, ""], e_b: Array, e_c: Array) -> tuple[Block, Array, Array]:
        """A chunk of the states of A, and the logarithms of U and V for these."""
        states = chunk * self.n_chunk + jnp.arange(self.n_chunk, dtype=np.int32)
        a = Block.of(states, self.sizes, self.a_sites)
        e_a = energies_within(self.energies, self.tables("a"), a)[:, None] + e_b[None]
        e_ab = energies_between(self.energies, self.tables("ab"), a, self.b)
        e_ac = energies_between(self.energies, self.tables("ac"), a, self.c)
        return a, _log_weight(e_a + e_ab), _log_weight(e_ac + e_c[None])

    def ranges_beside(self, blocks: str) -> Float[Array, ""]:
        """Sum of the ranges of all tables but those that touch exactly these blocks."""
        total = jnp.zeros((), self.energies.dtype)
        for t, touched in zip(self.all_tables, self.touched, strict=True):
            shape = len(t.start), math.prod(t.lengths)
            entries = self.energies[t.start[0] : t.start[0] + math.prod(shape)].reshape(shape)
            finite = entries < FORBIDDEN / 2
            high = jnp.max(jnp.where(finite, entries, -jnp.inf), axis=1)
            low = jnp.min(jnp.where(finite, entries, jnp.inf), axis=1)
            counted = (high >= low) & (touched != _bits(blocks))
            total = total + jnp.sum(jnp.where(counted, high - low, 0))
        return total

    def total(self, chunk_of: Callable[[Array], Array]) -> Array:
        """The sum over all chunks, from the logarithms of their sums."""
        recomputed: Callable[[Array], Array] = jax.checkpoint(chunk_of)
        if self.n_outer == 1:
            return recomputed(jnp.zeros((), np.int32))
        return logsumexp(jax.lax.map(recomputed, jnp.arange(self.n_outer, dtype=np.int32)))


def _bits(blocks: str) -> int:
    return sum({"a": 1, "b": 2, "c": 4}[x] for x in blocks)


def _cut(sizes: IntArray) -> list[IntArray]:
    """The sites of outer, chunk, B and C."""
    logs = np.log2(sizes)
    target = min(math.log2(BLOCK), logs.sum() / 3)
    ends = [len(sizes)]
    for limit in (target, target, math.log2(CHUNK)):
        start, total = ends[-1], 0.0
        while start > 0 and (total + logs[start - 1] <= limit + 1e-9 or start == ends[-1]):
            start -= 1
            total += logs[start]
        ends.append(start)
    return np.split(np.arange(len(sizes)), ends[:0:-1])


@jax.jit
def _product(h: Hamiltonian) -> tuple[Estimate, Bool[Array, ""]]:
    """The estimate by matrix products, and whether no term that matters underflows."""
    split = _Split(h)
    if split.tables("abc"):
        return _estimate(jnp.zeros((), h.dtype), h, split.n_states), jnp.zeros((), bool)
    e_b, e_c, e_bc = split.inner()
    log_w = _log_weight(e_bc)
    top = jax.lax.stop_gradient(jnp.max(log_w))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    weights = jnp.exp(log_w - top)

    def chunk_of(chunk: Int[Array, ""]) -> Array:
        _, log_u, log_v = split.sides(chunk, e_b, e_c)
        (u, top_u), (v, top_v) = _relative(log_u), _relative(log_v)
        row = jnp.sum(jnp.matmul(u, weights, precision="highest") * v, axis=1)
        return logsumexp(log_or_zero(row) + top_u + top_v) + top

    return _estimate(split.total(chunk_of), h, split.n_states), _is_safe(split, log_w, top)


def _is_safe(split: _Split, log_w: Float[Array, "b c"], top: Array) -> Bool[Array, ""]:
    allowed = log_w > -jnp.inf
    spread = top - jnp.min(jnp.where(allowed, log_w, top))
    bound = spread + jnp.where(jnp.all(allowed), 0, split.ranges_beside("bc"))
    return ~(bound > -math.log(float(np.finfo(log_w.dtype).tiny)) - MARGIN)


def _relative(log_weight: Array) -> tuple[Array, Array]:
    """Weights relative to the largest of each row, and its logarithm."""
    top = jax.lax.stop_gradient(jnp.max(log_weight, axis=1))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return jnp.exp(log_weight - top[:, None]), top


@jax.jit
def _logarithms(h: Hamiltonian) -> Estimate:
    """The estimate by sums of exponentials, one state of A at a time."""
    split = _Split(h)
    e_b, e_c, e_bc = split.inner()
    joint = split.tables("abc")

    def chunk_of(chunk: Int[Array, ""]) -> Array:
        a, log_u, log_v = split.sides(chunk, e_b, e_c)

        def row(own: tuple[Array, Array, Array]) -> Array:
            labels, u, v = own
            one = Block(a.first, labels[None])
            fixed = [some.after(one, k) for t in joint for k, some in t.split(a)]
            energy = e_bc
            if joint:
                energy = energy + energies_between(split.energies, fixed, split.b, split.c)
            return logsumexp(u[:, None] + v[None, :] + _log_weight(energy))

        return logsumexp(jax.lax.map(jax.checkpoint(row), (a.labels, log_u, log_v)))

    return _estimate(split.total(chunk_of), h, split.n_states)
