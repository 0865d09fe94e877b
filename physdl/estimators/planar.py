r"""Planar Ising models without a field, exactly, in polynomial time.

On two-state sites with pair couplings, H = c - sum_e K_e s_i s_j, the partition function is a sum
over closed subgraphs C (an even number of their edges at every vertex), with t_e = tanh K_e:

    Z = exp(-c) 2^N prod_e cosh K_e  sum_C prod_{e in C} t_e,

and the sum is the square root of the determinant of a matrix with a row for each half-edge h (the
end of an edge e at a vertex):

    A_{h h'} = +-1, if h' is the other end of the edge (Kasteleyn's signs of a planar drawing),
    A_{h h'} = +t_e if h' comes later than h around the same vertex, -t_e if earlier.

This is the determinant of M. Kac and J. C. Ward, Phys. Rev. 88, 1332 (1952), in the real form of
P. W. Kasteleyn, J. Math. Phys. 4, 287 (1963) and M. E. Fisher, J. Math. Phys. 7, 1776 (1966).

Vertices are ordered and cut into blocks that edges join only to their neighbours; an edge with both
its ends belongs to the first block it touches. Then A is block-tridiagonal, each leading minor is
the square of the same sum on a part of the graph, hence positive, and one ``scan`` of dense LU
factorisations gives the determinant: L^4 operations and L^2 memory for an L x L lattice (L^3 with
derivatives).

A field couples every site to one more spin. Where the graph with that spin is still planar (a field
on the sites of one face, a ladder in a field) it is counted too.

Consequence: thousands of disordered spins are exact. At low temperature frustration makes the sum
small beside its terms, and digits are lost. How many is seen by probing the inverses of
the pivots, which are antisymmetric but for rounding; ``Status.PRECISION`` says when too few are
left.
"""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from physdl.errors import SettingError, SpaceError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, exact
from physdl.estimators._plane import Plane, drawn
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import Term, require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import IntArray, Table, is_traced, module, static
from physdl.spaces import SPIN

__all__ = ["Planar"]

NEGLIGIBLE = 1e-14
WIDE = 12
PROBES = 4


@module
class Planar:
    """Exact log Z of a planar Ising model without a field, by a Kac-Ward determinant.

    Attributes:
      max_memory: bytes the blocks of the matrix may take.

    Raises:
      SettingError: the memory limit is not positive.
      SpaceError: a site has not two states.
      StructureError: an interaction joins more than two sites or is a hard constraint, or the graph
        (with the field's extra spin) is not planar.
      TooLargeError: the blocks exceed the memory limit.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(30, 30, periodic=False), 0.44)
    >>> Planar()(h)
    log Z = 813.2834268 (exact) [OK]
    """

    max_memory: int = static(default=4 * 2**30)

    def __post_init__(self) -> None:
        if not self.max_memory > 0:
            raise SettingError(f"max_memory is a positive number of bytes, got {self.max_memory}.")

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        ising = _ising(h)
        blocks = self._blocks(h, ising)
        log_z, error = _log_z(ising.coupling, blocks)
        method = f"Kac-Ward determinant, {len(blocks.inside)} blocks of {blocks.width}"
        info = {"rounding": error}
        precise = error < np.sqrt(np.finfo(h.dtype).eps)
        return exact(
            (log_z - ising.constant).astype(h.dtype), h, method, precise=precise, info=info
        )

    def blocks(self, h: Hamiltonian) -> "_Blocks":
        """The block structure that would be used."""
        return self._blocks(h, _ising(h))

    def _blocks(self, h: Hamiltonian, ising: "_Ising") -> "_Blocks":
        blocks = _blocks(ising.n_vertices, ising.edges, h.shape)
        needed = 6 * blocks.width**2 * h.dtype.itemsize
        if needed > self.max_memory:
            raise TooLargeError(
                f"the Kac-Ward matrix has blocks of {blocks.width} half-edges, which take "
                f"{needed:.1e} bytes, above max_memory={self.max_memory}: raise it, or use a "
                f"sampled method."
            )
        return blocks


@jax.jit
def _expanded(h: Hamiltonian) -> Hamiltonian:
    return h.expand()


@dataclass(frozen=True)
class _Ising:
    """Pair couplings over distinct edges of vertices 0, ..., n_vertices - 1.

    A field is the coupling to one more vertex, whose spin doubles Z; ``constant`` contains that.
    """

    n_vertices: int
    edges: Table
    coupling: Float[Array, " n_edges"]
    constant: Float[Array, ""]


def _ising(h: Hamiltonian) -> _Ising:
    sizes = state_counts(require_finite(h.space, "the Kac-Ward determinant"), h.n_sites)
    if np.any(sizes != 2):
        site = int(np.flatnonzero(sizes != 2)[0])
        raise SpaceError(
            f"the Kac-Ward determinant needs two states a site, site {site} has {sizes[site]}: use "
            f"TransferMatrix or Contraction."
        )
    for name, term in h.terms.items():
        table = term.table if isinstance(term, Potential) else jnp.zeros(())
        if not is_traced(table) and np.any(np.isposinf(table)):
            raise StructureError(
                f"the Kac-Ward determinant needs finite energies, term {name!r} forbids states: "
                f"use TransferMatrix or Contraction."
            )
    if h.space != SPIN:
        tables: dict[str, Term] = {str(n): p for n, p in enumerate(h.potentials())}
        h = Hamiltonian(tables, space=SPIN, shape=h.shape)
    constant, pairs, couplings = jnp.zeros((), h.dtype), [np.empty((0, 2), int)], []
    for term in _expanded(h).terms.values():
        sites, c = term.table.array, term.coefficient
        if not is_traced(c):
            used = ~(np.abs(np.asarray(c)) <= NEGLIGIBLE * np.abs(np.asarray(c)).max(initial=0.0))
            sites, c = sites[used], c[used]
        if sites.shape[1] == 0:
            constant = constant + jnp.sum(c)
            continue
        if sites.shape[1] > 2 and len(sites):
            raise StructureError(
                f"the Kac-Ward determinant needs interactions of pairs, sites {sites[0].tolist()} "
                f"interact together: use TransferMatrix, Contraction or a sampled method."
            )
        extra = np.full((len(sites), 2 - sites.shape[1]), h.n_sites)
        pairs.append(np.concatenate([sites, extra], axis=1))
        couplings.append(-c)
    edges = np.concatenate(pairs)
    n_vertices = h.n_sites + int(np.any(edges == h.n_sites))
    constant = constant + (n_vertices - h.n_sites) * math.log(2)
    coupling = jnp.concatenate([jnp.zeros(0, h.dtype), *couplings])
    return _Ising(n_vertices, Table(edges), coupling, constant)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Where the entries of each diagonal block, and of its coupling to the next one, are.

    An entry is a sign times a weight; the weights are t_e of every edge, 1, and 0. The last
    ``n_ahead`` places of a block are for half-edges at vertices of the next block.

    Attributes:
      n_vertices: number of vertices.
      width: half-edges of the largest block.
      n_ahead: half-edges at vertices of the next block, the most.
      inside: entries of the blocks, int [n_blocks, n, 4]: row, column, weight, sign.
      above: entries in rows of half-edges ahead and columns of the next block.
      below: the opposite.
      rows: the weight of each row, int [n_blocks, width].
    """

    n_vertices: int
    width: int
    n_ahead: int
    inside: IntArray
    above: IntArray
    below: IntArray
    rows: IntArray


@functools.lru_cache(maxsize=64)
def _blocks(n_vertices: int, edges: Table, shape: tuple[int, ...]) -> _Blocks:
    pairs = edges.array.astype(int)
    n_edges = len(pairs)
    if not n_edges:
        none = np.zeros((0, 0, 4), dtype=np.int32)
        return _Blocks(n_vertices, 0, 0, none, none, none, none[..., 0])
    plane = drawn(n_vertices, pairs).split(WIDE)
    level = min(_levels(plane, pairs, shape), key=lambda v: _cost(plane, v))
    half = np.arange(len(plane.vertex))
    own = level[plane.vertex]
    block = np.minimum(own, own[half ^ 1])
    ahead = own > block
    n_blocks = int(level.max(initial=-1)) + 1
    place, n_here = _places(block, ~ahead)
    place_ahead, n_ahead = _places(block, ahead)
    place = np.where(ahead, n_here + place_ahead, place)
    edge, one, zero = half // 2, n_edges, n_edges + 1
    weight = np.minimum(edge, one)
    row, column = _same_vertex(plane.vertex)
    position = plane.position()
    turn = np.stack([row, column, weight[row], np.sign(position[column] - position[row])], axis=1)
    direction = plane.signs()[edge] * (1 - 2 * (half % 2))
    bond = np.stack([half, half ^ 1, np.full_like(half, one), direction], axis=1)
    entries = np.concatenate([turn, bond])
    row, column = entries[:, 0], entries[:, 1]

    def of(shift: int) -> IntArray:
        chosen = block[row] - block[column] == shift
        quads = entries[chosen]
        first = np.minimum(block[row], block[column])[chosen]
        places = [place[quads[:, 0]], place[quads[:, 1]]]
        for k in (0, 1):
            if shift == 2 * k - 1:
                places[k] = place_ahead[quads[:, k]]
        return _grouped(n_blocks, first, np.column_stack([*places, quads[:, 2:]]))

    free = np.ones((n_blocks, n_here + n_ahead), dtype=bool)
    free[block, place] = False
    unused, spot = np.nonzero(free)
    ones = np.column_stack([spot, spot, np.full(len(spot), one), np.ones_like(spot)])
    inside = np.concatenate([of(0), _grouped(n_blocks, unused, ones)], axis=1)
    rows = np.full((n_blocks, n_here + n_ahead), zero, dtype=np.int32)
    rows[block, place] = weight
    return _Blocks(n_vertices, n_here + n_ahead, n_ahead, inside, of(-1), of(1), rows)


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


def _grouped(n_blocks: int, block: IntArray, quads: IntArray) -> IntArray:
    """The rows of each block, [n_blocks, most, 4], filled up with zeros."""
    place, most = _places(block, np.ones(len(block), dtype=bool))
    out = np.zeros((n_blocks, most, 4), dtype=np.int32)
    out[block, place] = quads
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


@functools.partial(jax.jit, static_argnames="blocks")
def _log_z(coupling: Float[Array, " n_edges"], blocks: _Blocks) -> tuple[Array, Array]:
    """log Z of the couplings, and an estimate of its rounding error."""
    log_cosh = jnp.logaddexp(coupling, -coupling) - math.log(2)
    prefactor = blocks.n_vertices * math.log(2) + jnp.sum(log_cosh)
    weights = jnp.append(jnp.tanh(coupling), jnp.array([1.0, 0.0], coupling.dtype))
    n, n_ahead = blocks.width, blocks.n_ahead
    if n == 0:
        return prefactor, jnp.zeros((), coupling.dtype)

    def matrix(shape: tuple[int, int], quads: Array) -> Array:
        row, column, weight, sign = quads.T
        return (
            jnp.zeros(shape, weights.dtype)
            .at[row, column]
            .add(sign.astype(weights.dtype) * weights[weight])
        )

    probe = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (n, PROBES)), weights.dtype)
    last = jnp.eye(n, dtype=weights.dtype)[:, n - n_ahead :]

    def step(carried: Array, here: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        inside, above, below, rows = here
        pivot = matrix((n, n), inside) - carried
        sign, log_det = jnp.linalg.slogdet(pivot)
        scale = weights[rows][:, None]
        solved = jnp.linalg.solve(pivot, jnp.concatenate([last, scale * probe], axis=1))
        ahead, probed = solved[n - n_ahead :, :n_ahead], solved[:, n_ahead:]
        carried = matrix((n, n_ahead), below) @ ahead @ matrix((n_ahead, n), above)
        rounding = _rounding(jnp.where(scale != 0, probe * probed, 0.0))
        return carried, (log_det, jnp.where(sign > 0, rounding, 1.0))

    start = jnp.zeros((n, n), weights.dtype)
    here = tuple(jnp.asarray(a) for a in (blocks.inside, blocks.above, blocks.below, blocks.rows))
    _, (log_dets, rounding) = jax.lax.scan(jax.checkpoint(step), start, here)
    return prefactor + 0.5 * jnp.sum(log_dets), jax.lax.stop_gradient(jnp.sum(rounding))


def _rounding(products: Float[Array, "n probes"]) -> Float[Array, ""]:
    """How far the sums of x_i (B x)_i are from zero, which they are for an antisymmetric B."""
    total = jnp.sum(jnp.abs(products), axis=0)
    return jnp.max(jnp.abs(jnp.sum(products, axis=0)) / jnp.where(total > 0, total, 1.0))
