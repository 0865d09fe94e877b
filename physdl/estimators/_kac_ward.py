r"""The determinant of a Kac-Ward matrix as one scan of dense blocks.

Vertices are ordered and cut into blocks that edges join only to their neighbours; an edge with both
its half-edges belongs to the first block it touches. So the matrix A of the half-edges (see
``planar``) is block-tridiagonal, and with the pivots

    S_1 = A_11,     S_{k+1} = A_{k+1 k+1} - A_{k+1 k} S_k^-1 A_{k k+1},     det A = prod_k det S_k.

Neighbouring blocks touch only in the half-edges of one at vertices of the next, so a fraction of
each inverse is needed. On a plane each leading minor is the square of a sum over closed subgraphs
of a part of the graph: no pivot is singular.

A is antisymmetric, so x^T S^-1 x = 0 for every x: what a few random x leave of it shows how many
digits the pivots have.

On a torus four Pfaffians add with signs, so there the pivots' Pfaffians are taken and not the roots
of their determinants. They keep the derivative right where one of the four is zero, as it is at the
critical point of the square lattice.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from physdl.errors import StructureError
from physdl.estimators._plane import Plane, cycles, drawn
from physdl.estimators._torus import drawn_on_torus, structures
from physdl.pytree import IntArray, Table

__all__ = ["Blocks", "find_blocks", "log_z"]

WIDE = 12
PROBES = 4
SMALLEST = 1e-6


@dataclass(frozen=True, eq=False)
class Blocks:
    """Where the entries of each diagonal block, and of its coupling to the next one, are.

    An entry is a sign times two weights, one of its row and one of its column; the weights are t_e
    of every edge, 1, and the sign that a structure gives every edge. The last ``n_ahead`` places of
    a block are for half-edges at vertices of the next block; places that no half-edge takes are
    joined in pairs.

    Attributes:
      n_vertices: number of vertices.
      width: half-edges of the largest block.
      n_ahead: half-edges at vertices of the next block, the most.
      inside: entries of the blocks, int [n_blocks, n, 5]: row, column, weights,
        sign.
      above: entries in rows of half-edges ahead and columns of the next block.
      below: the opposite.
      flips: signs of the edges in each structure, int [n_structures, n_edges].
      shares: what the Pfaffian of each structure counts for, [n_structures].
    """

    n_vertices: int
    width: int
    n_ahead: int
    inside: IntArray
    above: IntArray
    below: IntArray
    flips: IntArray
    shares: NDArray[np.float64]

    @property
    def operations(self) -> float:
        """Multiplications in all, those of a Pfaffian counted for the memory they wait for."""
        each = 2.0 if len(self.flips) == 1 else 8.0
        return each * len(self.flips) * len(self.inside) * float(self.width) ** 3


@lru_cache(maxsize=64)
def find_blocks(n_vertices: int, edges: Table, shape: tuple[int, ...]) -> Blocks:
    """The blocks of the graph of distinct edges.

    Raises:
      StructureError: the graph fits neither a plane nor the torus of the shape's first two axes.
    """
    pairs = edges.array.astype(int)
    n_edges = len(pairs)
    plane, signs, flips, shares = _drawing(n_vertices, pairs, shape)
    if not n_edges:
        none = np.zeros((0, 0, 5), dtype=np.int32)
        return Blocks(n_vertices, 0, 0, none, none, none, flips, shares)
    level = min(_levels(plane, pairs, shape), key=lambda v: _cost(plane, v))
    half = np.arange(len(plane.vertex))
    own = level[plane.vertex]
    block = np.minimum(own, own[half ^ 1])
    ahead = own > block
    n_blocks = int(level.max(initial=-1)) + 1
    place, n_here = _places(block, ~ahead)
    place_ahead, n_ahead = _places(block, ahead)
    n_here += (n_here + n_ahead) % 2
    place = np.where(ahead, n_here + place_ahead, place)
    edge, one = half // 2, n_edges
    weight = np.where((edge < n_edges) & (half % 2 == 0), edge, one)
    row, column = _same_vertex(plane.vertex)
    position = plane.position()
    later = np.sign(position[column] - position[row])
    turn = np.stack([row, column, weight[row], weight[column], later], axis=1)
    direction = signs[edge] * (1 - 2 * (half % 2))
    flip = np.where(edge < n_edges, one + 1 + edge, one)
    bond = np.stack([half, half ^ 1, flip, np.full_like(half, one), direction], axis=1)
    entries = np.concatenate([turn, bond])
    row, column = entries[:, 0], entries[:, 1]

    def of(shift: int) -> IntArray:
        chosen = block[row] - block[column] == shift
        own = entries[chosen]
        first = np.minimum(block[row], block[column])[chosen]
        places = [place[own[:, 0]], place[own[:, 1]]]
        for k in (0, 1):
            if shift == 2 * k - 1:
                places[k] = place_ahead[own[:, k]]
        return _grouped(n_blocks, first, np.column_stack([*places, own[:, 2:]]))

    free = np.ones((n_blocks, n_here + n_ahead), dtype=bool)
    free[block, place] = False
    unused, spot = np.nonzero(free)
    mate, sign = spot.reshape(-1, 2)[:, ::-1].reshape(-1), np.tile([1, -1], len(spot) // 2)
    ones = np.column_stack([spot, mate, np.full((len(spot), 2), one), sign])
    inside = np.concatenate([of(0), _grouped(n_blocks, unused, ones)], axis=1)
    width = n_here + n_ahead
    if len(flips) > 1:
        order = np.concatenate([block * width + place, unused * width + spot])
        shares = shares * _parity(order) * np.prod(signs) * np.prod(flips, axis=1)
    return Blocks(n_vertices, width, n_ahead, inside, of(-1), of(1), flips, shares)


def _drawing(
    n_vertices: int, edges: IntArray, shape: tuple[int, ...]
) -> tuple[Plane, IntArray, IntArray, NDArray[np.float64]]:
    """The graph on a plane or torus, its signs, and the structures with what they count for."""
    plane = drawn(edges)
    if plane is not None:
        plane = plane.split(WIDE)
        return plane, plane.signs(), np.ones((1, len(edges)), dtype=int), np.ones(1)
    torus = drawn_on_torus(n_vertices, edges, shape)
    if torus is None:
        raise StructureError(
            f"the {len(edges)} bonds of these {n_vertices} sites can be drawn without crossings "
            f"neither in the plane nor on the torus of a box of shape {shape}: use TransferMatrix, "
            f"Contraction or a sampled method."
        )
    signs = torus.signs()
    return torus, signs, *structures(torus, signs)


def _parity(permutation: IntArray) -> int:
    """+1 for an even permutation, -1 for an odd one."""
    n_odd = len(permutation) - len(np.unique(cycles(permutation)[0]))
    return 1 - 2 * (n_odd % 2)


def _levels(plane: Plane, edges: IntArray, shape: tuple[int, ...]) -> list[IntArray]:
    """Candidate blocks of the vertices: along each axis of the sites, or of small bandwidth.

    A vertex that was split is where its neighbours are.
    """
    n, n_sites = int(plane.vertex.max(initial=-1)) + 1, math.prod(shape)
    own, other = edges.reshape(-1), edges[:, ::-1].reshape(-1)
    near = np.where(np.bincount(own, minlength=1)[own] > WIDE, other, own)
    vertex = plane.vertex[: len(own)]
    orders = []
    for axis in range(len(shape)):
        rank = np.full(n_sites + 1, n_sites)
        rank[np.moveaxis(np.arange(n_sites).reshape(shape), axis, 0).reshape(-1)] = range(n_sites)
        mean = np.bincount(vertex, rank[near], n) / np.bincount(vertex, minlength=n)
        orders.append(np.argsort(mean, kind="stable"))
    ends = plane.vertex.reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    orders.append(reverse_cuthill_mckee((graph + graph.T).tocsr(), symmetric_mode=True))
    levels = []
    for order in orders:
        place = np.empty(n, dtype=int)
        place[order] = np.arange(n)
        bandwidth = int(np.abs(place[ends[:, 0]] - place[ends[:, 1]]).max(initial=1))
        levels.append(place // bandwidth)
    return levels


def _cost(plane: Plane, level: IntArray) -> float:
    first = level[plane.vertex.reshape(-1, 2)].min(axis=1)
    return float((level.max(initial=0) + 1) * np.bincount(first, minlength=1).max() ** 3.0)


def _places(block: IntArray, chosen: NDArray[np.bool_]) -> tuple[IntArray, int]:
    """Number the chosen half-edges of each block, and the most of them in one block."""
    place = np.zeros(len(block), dtype=int)
    order = np.flatnonzero(chosen)[np.argsort(block[chosen], kind="stable")]
    counts = np.bincount(block[chosen], minlength=1)
    place[order] = np.arange(len(order)) - (np.cumsum(counts) - counts)[block[order]]
    return place, int(counts.max())


def _grouped(n_blocks: int, block: IntArray, entries: IntArray) -> IntArray:
    """The entries of each block, [n_blocks, most, 5], filled up with zeros."""
    place, most = _places(block, np.ones(len(block), dtype=bool))
    out = np.zeros((n_blocks, most, 5), dtype=np.int32)
    out[block, place] = entries
    return out


def _same_vertex(vertex: IntArray) -> tuple[IntArray, IntArray]:
    """All ordered pairs of different half-edges at the same vertex."""
    place, most = _places(vertex, np.ones(len(vertex), dtype=bool))
    members = np.full((int(vertex.max(initial=-1)) + 1, most), -1)
    members[vertex, place] = np.arange(len(vertex))
    row = np.repeat(members[:, :, None], most, axis=2)
    column = np.repeat(members[:, None, :], most, axis=1)
    pairs = (row >= 0) & (column >= 0) & (row != column)
    return row[pairs], column[pairs]


@partial(jax.jit, static_argnames="blocks")
def log_z(coupling: Float[Array, " n_edges"], blocks: Blocks) -> tuple[Array, Array]:
    """log Z of the couplings, and an estimate of its rounding error."""
    log_cosh = jnp.logaddexp(coupling, -coupling) - math.log(2)
    prefactor = blocks.n_vertices * math.log(2) + jnp.sum(log_cosh)
    if blocks.width == 0:
        return prefactor, jnp.zeros((), coupling.dtype)
    t, one = jnp.tanh(coupling), jnp.ones(1, coupling.dtype)

    def pfaffian(flips: Float[Array, " n_edges"]) -> tuple[Array, Array, Array]:
        return _pfaffian(jnp.concatenate([t, one, flips]), blocks)

    flips = jnp.asarray(blocks.flips, coupling.dtype)
    if len(flips) == 1:
        _, log_scale, lost = pfaffian(flips[0])
        return prefactor + log_scale, lost
    mantissas, log_scales, lost = jax.lax.map(pfaffian, flips)
    top = jnp.max(log_scales)
    parts = jnp.asarray(blocks.shares, coupling.dtype) * mantissas * jnp.exp(log_scales - top)
    total = jnp.sum(parts)
    eps = float(np.finfo(lost.dtype).eps)
    lost = jnp.sum(jnp.abs(parts) * jnp.maximum(lost, eps)) / total
    return prefactor + top + jnp.log(total), jax.lax.stop_gradient(jnp.where(total > 0, lost, 1.0))


def _pfaffian(weights: Float[Array, " n"], blocks: Blocks) -> tuple[Array, Array, Array]:
    """Pf A as a mantissa and the log of a scale, and how far its pivots are from antisymmetric.

    On a torus the scale carries no derivative; on a plane the mantissa is 1.
    """
    n, n_ahead = blocks.width, blocks.n_ahead

    def matrix(shape: tuple[int, int], entries: Array) -> Array:
        row, column, left, right, sign = entries.T
        values = sign.astype(weights.dtype) * weights[left] * weights[right]
        return jnp.zeros(shape, weights.dtype).at[row, column].add(values)

    probe = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (n, PROBES)), weights.dtype)
    wanted = jnp.concatenate([jnp.eye(n, dtype=weights.dtype)[:, n - n_ahead :], probe], axis=1)
    planar = len(blocks.flips) == 1

    def step(carried: Array, here: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array, Array]]:
        inside, above, below = here
        pivot = matrix((n, n), inside) - carried
        solved = jnp.linalg.solve(pivot, wanted)
        lost = _rounding(probe * solved[:, n_ahead:])
        if planar:
            sign, log_det = jnp.linalg.slogdet(pivot)
            mantissa, log_scale = jnp.ones_like(log_det), 0.5 * log_det
            lost = jnp.where(sign > 0, lost, 1.0)
        else:
            mantissa, log_scale = _dense_pfaffian((pivot - pivot.T) / 2)
        inverse = solved[n - n_ahead :, :n_ahead]
        carried = matrix((n, n_ahead), below) @ inverse @ matrix((n_ahead, n), above)
        return carried, (mantissa, log_scale, jax.lax.stop_gradient(lost))

    start = jnp.zeros((n, n), weights.dtype)
    here = tuple(jnp.asarray(a) for a in (blocks.inside, blocks.above, blocks.below))
    _, (mantissas, log_scales, lost) = jax.lax.scan(jax.checkpoint(step), start, here)
    return jnp.prod(mantissas), jnp.sum(log_scales), jnp.sum(lost)


def _rounding(products: Float[Array, "n probes"]) -> Float[Array, ""]:
    """How far the sums of x_i (B x)_i are from zero, which they are for an antisymmetric B."""
    total = jnp.sum(jnp.abs(products), axis=0)
    return jnp.max(jnp.abs(jnp.sum(products, axis=0)) / jnp.where(total > 0, total, 1.0))


def _dense_pfaffian(a: Float[Array, "n n"]) -> tuple[Array, Array]:
    """Pf a of an antisymmetric matrix of even order as a mantissa and the log of a scale.

    Gauss transformations with pivoting (B. N. Parlett and J. K. Reid, BIT 10, 386 (1970);
    M. Wimmer, ACM Trans. Math. Softw. 38, 30 (2012)). The scale carries no derivative, and does not
    follow pivots that are rounding errors, so that the derivatives of Pf a are right where it is 0.
    """
    least = SMALLEST * jnp.max(jnp.abs(a))
    start, pairs = (a, jnp.ones((), a.dtype), jnp.zeros((), a.dtype)), jnp.arange(0, len(a), 2)
    (_, mantissa, log_scale), _ = jax.lax.scan(partial(_eliminated, least), start, pairs)
    return mantissa, log_scale


def _eliminated(
    least: Array, carried: tuple[Array, Array, Array], first: Array
) -> tuple[Any, None]:
    """Swap the best partner next to row ``first`` and take both out of the rows after them."""
    a, mantissa, log_scale = carried
    index, second = jnp.arange(len(a)), first + 1
    chosen = jnp.argmax(jnp.where(index > first, jnp.abs(a[first]), -1.0))
    swapped = jnp.where(index == second, chosen, jnp.where(index == chosen, second, index))
    head, row, moved = a[first][swapped], a[chosen][swapped], a[second][swapped]
    pivot = head[second]
    ratio = jnp.where(index > second, head / jnp.where(pivot == 0, 1.0, pivot), 0.0)
    row = jnp.where(index > second, row, 0.0)
    here = (index == chosen) & (chosen != second)
    a = jnp.where(here[:, None], moved[None, :], jnp.where(here[None, :], -moved[:, None], a))
    a = a - ratio[:, None] * row[None, :] + row[:, None] * ratio[None, :]
    size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(pivot), least))
    mantissa = mantissa * pivot / size * jnp.where(chosen == second, 1.0, -1.0)
    return (a, mantissa, log_scale + jnp.log(size)), None
