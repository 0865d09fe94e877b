r"""The sum over the states of one layer, with the other summed site by site: RBMs, exactly.

Where every coupling joins a site v_i of one layer to a site h_j of the other (``_bipartite``),

    Z = sum_v exp(-A(v)) prod_j z_j(v),        z_j(v) = sum_s exp(-B_j(s) - F_j(v) . s),

so the cost is the number of states of one layer, the one that has fewer, times the sites of the
other. On the line z_j is a Gaussian integral, and that layer is always the one that is integrated.

The sites that are walked through are cut into two blocks, v = (o, i). A field is a sum of one from
each, and an exponential of a field their product:

    z_j(o, i) = sum_s a_js(o) b_js(i),        a_js(o) = exp(-B_j(s) - F_j(o) . s),  b likewise,

which leaves a few multiplications for each state and site, no exponential and no product of
matrices: on a CPU that takes about as long as the product of all states with W would alone. Up to
32 sites share a logarithm. Numbers a and b are kept relative to the largest of their site; then
z_j is at least the smallest b, and where the product of these could underflow, logarithms are added
instead. The states o are walked through in chunks, so memory is constant, also in derivatives.

Consequence: 2^20 states are a matter of a fraction of a second, 2^24 of seconds, and with it the
exact likelihood of a machine with 20 hidden units and any number of visible ones.
"""

import functools
import math
import operator
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.errors import SettingError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, Status, exact, linear_where_safe
from physdl.estimators._bipartite import (
    Block,
    Couplings,
    Parts,
    biases,
    coupled,
    couplings,
    layout_of,
    space_of,
    transposed,
)
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.potential import state_counts
from physdl.numerics import full_precision, log_or_zero, logsumexp
from physdl.pytree import IntArray, module, static
from physdl.spaces import Finite, Line, Product

__all__ = ["LayerSum"]

INNER = 2**9
CHUNK = 2**6
SHARED = {8: 32, 4: 8}  # sites that share a logarithm, by the bytes of a number
MOST_FACTORS = 96.0  # log2 of their product
MARGIN = 5.0


class Machine(Protocol):
    """What has the Hamiltonian of both layers, such as ``networks.RBM``."""

    @property
    def hamiltonian(self) -> Hamiltonian:
        """The joint Hamiltonian."""
        ...


@module
class LayerSum:
    """Exact log Z of a Hamiltonian of two layers, or of a ``networks.RBM``.

    Every coupling joins a site of the first layer, whose sites come first, to one of the second.
    Layers are finite, or one of them is on the line with powers up to the second. Derivatives are
    exact to any order.

    Attributes:
      max_states: refuse sums over more states of the smaller layer.

    Raises:
      SettingError: the limit is not positive.
      StructureError: there are no two such layers, or both are on the line.
      TooLargeError: the smaller layer has more states.

    >>> from physdl import estimators, networks
    >>> machine = networks.RBM(jnp.array([[0.5, -1.0], [0.3, 0.2], [-0.7, 0.4]]), 0.1, -0.2)
    >>> LayerSum()(machine)
    log Z = 3.439179004 (exact) [OK]
    >>> estimators.Enumeration()(machine.hamiltonian)
    log Z = 3.439179004 (exact) [OK]
    """

    max_states: int = static(default=2**24)

    def __post_init__(self) -> None:
        if not self.max_states > 0:
            raise SettingError(f"max_states is a positive number, got {self.max_states}.")

    def __call__(self, h: Hamiltonian | Machine, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        joint = h if isinstance(h, Hamiltonian) else h.hamiltonian
        _, log2 = walked_layer(joint)
        if log2 > math.log2(self.max_states) + 1e-9:
            raise TooLargeError(
                f"the smaller layer has 2^{log2:.1f} states, above max_states={self.max_states}: "
                f"use AIS and ReverseAIS, or raise the limit."
            )
        return linear_where_safe(joint, _products, _logarithms)


def walked_layer(h: Hamiltonian) -> tuple[int, float]:
    """Which layer is walked through, 0 or 1, and log2 of the number of its states.

    Raises:
      StructureError: there are no two layers, or none of them is finite.
    """
    layout = layout_of(h)
    if not layout:
        raise StructureError(
            f"a sum over a layer takes couplings between two layers alone, got {h!r}: use "
            f"Enumeration, Contraction or a sampled method."
        )
    sizes = []
    for number, block in enumerate(layout):
        space = space_of(h, block)
        if isinstance(space, Finite | Product):
            log2 = float(np.sum(np.log2(state_counts(space, block[1]))))
            sizes.append((log2, number))
    if not sizes:
        raise StructureError("both layers are on the line: use the estimator Gaussian.")
    log2, number = min(sizes)
    return number, log2


class _Summed:
    """The finite layer that is summed: states [c, q, m] and energies [q, m] of its sites."""

    def __init__(self, h: Hamiltonian, block: Block, space: Finite | Product):
        padded = np.moveaxis(space.padded(block[1]), (0, 1, 2), (2, 1, 0))
        self.points = np.where(np.isinf(padded), 0, padded).astype(h.dtype)
        own = jnp.where(jnp.asarray(np.isinf(padded[0])), jnp.inf, biases(h, block))
        self.log_weights = jnp.where(jnp.isposinf(own), -jnp.inf, -own)
        shared = int(MOST_FACTORS / max(math.log2(self.points.shape[1]), 1))
        self.shared = max(1, min(SHARED[h.dtype.itemsize], shared, block[1]))
        self.healthy = jnp.ones((), bool)

    def outer(self, fields: Parts) -> tuple[Float[Array, "q m n"], Float[Array, " n"]]:
        """log a for every state of a block; and what is added for each, here nothing."""
        return self._exponents(fields) + self.log_weights[:, :, None], jnp.zeros(
            len(fields[0]), fields[0].dtype
        )

    def inner(self, fields: Parts) -> tuple[Float[Array, "q m n"], Float[Array, " n"]]:
        """log b, likewise."""
        return self._exponents(fields), jnp.zeros(len(fields[0]), fields[0].dtype)

    def _exponents(self, fields: Parts) -> Float[Array, "q m n"]:
        """-F . s of every state s of every site."""
        terms = [
            -jnp.asarray(points)[:, :, None] * field.T[None]
            for points, field in zip(self.points, fields, strict=True)
            if np.any(points)
        ]
        shape = (*self.points.shape[1:], len(fields[0]))
        return functools.reduce(operator.add, terms) if terms else jnp.zeros(shape, fields[0].dtype)

    def is_safe(self, log_b: Float[Array, "q m n"]) -> Bool[Array, ""]:
        """Whether no product of the smallest b of sites that share a logarithm underflows."""
        held = jax.lax.stop_gradient(log_b)
        spread = jnp.max(jnp.max(held, axis=0) - jnp.min(held, axis=0), axis=1)
        each = jnp.pad(spread, (0, -len(spread) % self.shared)).reshape(-1, self.shared)
        limit = -math.log(float(np.finfo(log_b.dtype).tiny)) - MARGIN
        return ~jnp.any(jnp.sum(each, axis=1) > limit)

    def products(
        self, log_a: Float[Array, "q m o"], log_b: Float[Array, "q m i"]
    ) -> Float[Array, "o i"]:
        """sum_j log z_j of all pairs, by products of z_j."""
        total: Array = _by_products(self.shared, log_a, log_b)
        return total

    def logarithms(
        self, log_a: Float[Array, "q m o"], log_b: Float[Array, "q m i"]
    ) -> Float[Array, "o i"]:
        """The same by sums of exponentials, one site at a time."""

        def site(a: Float[Array, "1 q o"], b: Float[Array, "1 q i"]) -> Float[Array, "o i"]:
            return logsumexp(a[0][:, :, None] + b[0][:, None], axis=0)

        return _over_sites(jax.checkpoint(site), 1, log_a, log_b)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _by_products(
    shared: int, log_a: Float[Array, "q m o"], log_b: Float[Array, "q m i"]
) -> Float[Array, "o i"]:
    """sum_j log sum_s a_js b_js, with one logarithm for every ``shared`` sites."""
    (a, top_a), (b, top_b) = _relative(log_a), _relative(log_b)

    def group(a: Float[Array, "k q o"], b: Float[Array, "k q i"]) -> Float[Array, "o i"]:
        sums = [
            functools.reduce(
                operator.add, [x[:, None] * y[None] for x, y in zip(*site, strict=True)]
            )
            for site in zip(a, b, strict=True)
        ]
        return log_or_zero(functools.reduce(operator.mul, sums))

    total = _over_sites(group, shared, a, b)
    return total + jnp.sum(top_a, axis=0)[:, None] + jnp.sum(top_b, axis=0)[None]


@_by_products.defjvp
def _derivative(
    shared: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    """sum_j <d log a_j + d log b_j>_j, site by site, or XLA would take whole products for each.

    The products of matrices here make those of the reverse, which sum over a block.
    """
    (a, _), (b, _) = _relative(primals[0]), _relative(primals[1])
    dot = functools.partial(jnp.matmul, precision="highest")

    def site(a: Array, b: Array, da: Array, db: Array) -> Array:
        z = jnp.sum(a[0][:, :, None] * b[0][:, None], axis=0)
        inverse = jnp.where(z > 0, 1 / jnp.where(z > 0, z, 1), 0)
        return (dot((a * da)[0].T, b[0]) + dot(a[0].T, (b * db)[0])) * inverse

    return _by_products(shared, *primals), _over_sites(jax.checkpoint(site), 1, a, b, *tangents)


def _over_sites(
    one: Callable[..., Float[Array, "o i"]], size: int, *sides: Float[Array, "q m n"]
) -> Float[Array, "o i"]:
    """The sum of a function of every ``size`` sites; it takes arrays [size, q, n]."""
    moved = [jnp.swapaxes(x, 0, 1) for x in sides]
    m = len(moved[0])
    cut = m - m % size
    parts = [[x[cut:] for x in moved]] if cut < m else []
    if cut == size:
        parts.append([x[:cut] for x in moved])
    if cut <= size:
        return functools.reduce(operator.add, [one(*part) for part in parts])
    groups = tuple(x[:cut].reshape(-1, size, *x.shape[1:]) for x in moved)
    add = lambda total, own: (total + one(*own), None)
    first = (
        one(*parts[0])
        if parts
        else jnp.zeros((sides[0].shape[2], sides[1].shape[2]), sides[0].dtype)
    )
    total, _ = jax.lax.scan(add, first, groups)
    return total


class _Integrated:
    """The layer on the line that is integrated, energies c + l s + k s^2.

    With x = l + F the logarithm of an integral is x^2 / 4k + log(pi / k) / 2 - c, and the square of
    a sum is a product of matrices and what belongs to each block alone.
    """

    def __init__(self, h: Hamiltonian, block: Block):
        self.constant, self.linear, self.square = biases(h, block)
        self.healthy = jnp.all(jax.lax.stop_gradient(self.square) > 0)

    def outer(self, fields: Parts) -> tuple[Float[Array, "n m"], Float[Array, " n"]]:
        """x / 2k, and all that the other block does not change."""
        x = self.linear[None] + fields[0]
        alone = jnp.sum(jnp.log(math.pi / self.square) / 2 - self.constant)
        return x / (2 * self.square)[None], jnp.sum(x**2 / (4 * self.square)[None], axis=1) + alone

    def inner(self, fields: Parts) -> tuple[Float[Array, "n m"], Float[Array, " n"]]:
        """F, and F^2 / 4k."""
        return fields[0], jnp.sum(fields[0] ** 2 / (4 * self.square)[None], axis=1)

    def is_safe(self, inner: Float[Array, "n m"]) -> Bool[Array, ""]:
        """Nothing is exponentiated."""
        del inner
        return jnp.ones((), bool)

    def products(
        self, outer: Float[Array, "o m"], inner: Float[Array, "i m"]
    ) -> Float[Array, "o i"]:
        """What belongs to both blocks."""
        return outer @ inner.T

    logarithms = products


class _Walked:
    """The layer that is walked through: its sites in two blocks, the first in chunks."""

    def __init__(self, h: Hamiltonian):
        layout = layout_of(h)
        assert layout
        number, _ = walked_layer(h)
        own, other = layout[number], layout[1 - number]
        space, summed = space_of(h, own), space_of(h, other)
        assert isinstance(space, Finite | Product)
        w = couplings(h, layout)
        self.couplings: Couplings = transposed(w) if number else w
        self.energies, self.n_summed = biases(h, own), other[1]
        self.points = space.padded(own[1]).astype(h.dtype)
        self.summed = (
            _Integrated(h, other) if isinstance(summed, Line) else _Summed(h, other, summed)
        )
        self.sizes = state_counts(space, own[1])
        n_inner, n_chunk = _ends(self.sizes)
        self.outer_sites, self.inner_sites = np.split(np.arange(own[1]), [own[1] - n_inner])
        counts = [math.prod(self.sizes[s].tolist()) for s in (self.outer_sites, self.inner_sites)]
        self.n_outer, self.n_inner = counts
        self.n_chunk = math.prod(self.sizes[self.outer_sites[-n_chunk:]].tolist()) if n_chunk else 1

    def part(self, states: Int[Array, " n"], sites: IntArray) -> tuple[Array, Parts]:
        """The energies of states of some sites, and the fields that these make."""
        sizes = self.sizes[sites]
        strides = np.cumprod(np.append(sizes, 1)[:0:-1])[::-1].astype(np.int32)
        label = (states[:, None] // jnp.asarray(strides)[None]) % jnp.asarray(sizes, np.int32)[None]
        energy = jnp.sum(self.energies[label, jnp.asarray(sites)[None]], axis=1)
        points = jnp.asarray(self.points)[jnp.asarray(sites)[None], label]
        own = {pair: w[sites] for pair, w in self.couplings.items()}
        parts = tuple(points[:, :, a] for a in range(points.shape[2]))
        return energy, coupled(parts, own, self.n_summed)

    def log_z(self, logarithms: bool) -> tuple[Array, Bool[Array, ""]]:
        """log Z, and whether no number that matters underflows."""
        energy_i, fields_i = self.part(jnp.arange(self.n_inner, dtype=np.int32), self.inner_sites)
        inner, added_i = self.summed.inner(fields_i)
        both = self.summed.logarithms if logarithms else self.summed.products

        def chunk_of(number: Int[Array, ""]) -> Float[Array, ""]:
            states = number * self.n_chunk + jnp.arange(self.n_chunk, dtype=np.int32)
            energy_o, fields_o = self.part(states, self.outer_sites)
            outer, added_o = self.summed.outer(fields_o)
            sides = _log_weight(energy_o)[:, None] + _log_weight(energy_i)[None]
            return logsumexp(sides + added_o[:, None] + added_i[None] + both(outer, inner))

        numbers = jnp.arange(self.n_outer // self.n_chunk, dtype=np.int32)
        log_z = logsumexp(jax.lax.map(jax.checkpoint(chunk_of), numbers))
        return log_z, self.summed.is_safe(inner)


def _ends(sizes: IntArray) -> tuple[int, int]:
    """How many of the last sites are the inner block, and of those before them a chunk."""
    found, left = [], len(sizes)
    for most in (INNER, CHUNK):
        n, states = 0, 1
        while n < left and states * sizes[left - n - 1] <= most:
            states *= int(sizes[left - n - 1])
            n += 1
        found.append(n)
        left -= n
    return found[0], found[1]


def _log_weight(energy: Array) -> Array:
    return jnp.where(jnp.isposinf(energy), -jnp.inf, -energy)


def _relative(log_weight: Float[Array, "q m n"]) -> tuple[Array, Array]:
    """Weights of the states of a site relative to the largest, and its logarithm."""
    top = jax.lax.stop_gradient(jnp.max(log_weight, axis=0))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return jnp.exp(log_weight - top[None]), top


@jax.jit
@full_precision
def _products(h: Hamiltonian) -> tuple[Estimate, Bool[Array, ""]]:
    walked = _Walked(h)
    log_z, safe = walked.log_z(logarithms=False)
    return _estimate(log_z, h, walked), safe


@jax.jit
@full_precision
def _logarithms(h: Hamiltonian) -> Estimate:
    walked = _Walked(h)
    return _estimate(walked.log_z(logarithms=True)[0], h, walked)


def _estimate(log_z: Array, h: Hamiltonian, walked: _Walked) -> Estimate:
    n = walked.n_outer * walked.n_inner
    healthy = walked.summed.healthy
    out = exact(jnp.where(healthy, log_z, jnp.inf).astype(h.dtype), h, f"sum over {n} states")
    status = jnp.where(healthy, out.status, Status.DIVERGENT).astype(jnp.int32)
    return Estimate(
        out.log_z,
        out.stderr,
        out.lower,
        out.upper,
        status,
        {},
        method=out.method,
        n_sites=h.n_sites,
    )
