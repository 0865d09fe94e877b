"""Lattices without axes: trees, complete and random graphs, diluted lattices, imported graphs."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from physdl.errors import LatticeError, ShapeError, UnknownNameError
from physdl.lattices._arguments import probability, refuse_above, whole
from physdl.lattices.lattice import Lattice, UnitCell
from physdl.pytree import Table

__all__ = [
    "bethe",
    "bipartite",
    "complete",
    "diluted",
    "from_networkx",
    "from_scipy_sparse",
    "random_regular",
]


def _graph(n_sites: int, bonds: ArrayLike, *, dim: int = 0) -> Lattice:
    table = Table(np.asarray(bonds).reshape(-1, 2))
    return Lattice(n_sites=n_sites, bonds=table, dim=dim, shape=(n_sites,))


def bethe(coordination: int, depth: int) -> Lattice:
    """A Cayley tree: a central site with z neighbours, each with z - 1 more, ``depth`` shells deep.

    The tree of n_sites = 1 + z ((z - 1)^depth - 1) / (z - 2) sites (1 + 2 depth for z = 2) has
    z (z - 1)^(depth - 1) leaves of degree 1. Sites are numbered shell by shell from the centre,
    site 0. The Bethe lattice is its interior (Baxter, Exactly Solved Models (1982), chapter 4).

    Raises:
      LatticeError: z is not an integer >= 2, or the depth not an integer >= 1.

    >>> bethe(3, 2).degrees.tolist()
    [3, 3, 3, 3, 1, 1, 1, 1, 1, 1]
    """
    z = whole(coordination, 2, "the coordination of a Bethe lattice")
    depth = whole(depth, 1, "the depth of a Bethe lattice")
    branches = z - 1
    n_sites = 1 + 2 * depth
    if branches > 1:
        n_sites = 1 + z * (branches ** min(depth, 64) - 1) // (branches - 1)
    refuse_above(n_sites, "sites")
    child = np.arange(1, n_sites)
    parent = np.where(child <= z, 0, 1 + (child - z - 1) // branches)
    return _graph(n_sites, np.stack([parent, child], axis=1))


def complete(n: int) -> Lattice:
    """The complete graph: every pair (i, j), i < j, of ``n`` sites is a bond, in C order.

    Raises:
      LatticeError: n is not a positive integer.

    >>> complete(3).bonds.array.tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    n = whole(n, 1, "the number of sites of a complete graph")
    refuse_above(n * (n - 1) // 2, "bonds")
    return _graph(n, np.stack(np.triu_indices(n, k=1), axis=1))


def bipartite(n_left: int, n_right: int) -> Lattice:
    """The complete bipartite graph: sites 0, ..., n_left - 1 each bonded to the n_right others.

    Raises:
      LatticeError: a size is not a positive integer.

    >>> bipartite(1, 2).bonds.array.tolist()
    [[0, 1], [0, 2]]
    """
    n_left = whole(n_left, 1, "the number of left sites of a bipartite graph")
    n_right = whole(n_right, 1, "the number of right sites of a bipartite graph")
    refuse_above(n_left * n_right, "bonds")
    left, right = np.indices((n_left, n_right)).reshape(2, -1)
    return _graph(n_left + n_right, np.stack([left, n_left + right], axis=1))


def random_regular(n: int, degree: int, seed: int = 0) -> Lattice:
    """A random simple graph of ``n`` sites in which every site has ``degree`` neighbours.

    Drawn by ``networkx.random_regular_graph`` (Kim and Vu, STOC 2003: asymptotically uniform for
    small degrees), above half of all pairs as the complement of a sparse one; bonds (i, j), i < j,
    are sorted.

    Raises:
      LatticeError: n and degree are not positive integers, degree >= n, or n * degree is odd.

    >>> set(random_regular(10, 3, seed=1).degrees.tolist())
    {3}
    """
    import networkx

    n = whole(n, 1, "the number of sites of a random regular graph")
    degree = whole(degree, 1, "the degree of a random regular graph")
    if degree >= n or n * degree % 2:
        raise LatticeError(
            f"a random regular graph needs degree < n and n * degree even, "
            f"got n={n} and degree={degree}."
        )
    refuse_above(n * degree // 2, "bonds")
    sparse_degree = min(degree, n - 1 - degree)
    graph = networkx.random_regular_graph(sparse_degree, n, seed=whole(seed, 0, "seed"))
    if sparse_degree < degree:
        graph = networkx.complement(graph)
    return _graph(n, sorted(sorted(edge) for edge in graph.edges))


def diluted(lattice: Lattice, keep: float, seed: int = 0, what: str = "bonds") -> Lattice:
    """Keep each bond, or each site with its bonds, with probability ``keep``.

    Diluted bonds leave the sites, shape and positions; kept sites are renumbered in order and are
    a plain vector without positions. Neither has translations. Draws are those of
    ``numpy.random.default_rng(seed)``, so one seed gives nested lattices as ``keep`` grows.

    Raises:
      LatticeError: ``keep`` is outside [0, 1], or no site is left.
      UnknownNameError: ``what`` is neither "bonds" nor "sites".

    >>> diluted(Lattice(2, Table([[0, 1]]), dim=0, shape=(2,)), keep=0.0).n_bonds
    0
    """
    keep = probability(keep, "keep")
    if what not in ("bonds", "sites"):
        raise UnknownNameError("kind of dilution", what, ("bonds", "sites"))
    random = np.random.default_rng(whole(seed, 0, "seed"))
    bonds = lattice.bonds.array
    if what == "bonds":
        cell = lattice.cell and UnitCell(lattice.cell.primitive, lattice.cell.basis, links=())
        kept = Table(bonds[random.random(len(bonds)) < keep])
        return Lattice(lattice.n_sites, kept, lattice.dim, lattice.shape, cell=cell)
    is_kept = random.random(lattice.n_sites) < keep
    if not is_kept.any():
        raise LatticeError(
            f"no site of {lattice.n_sites} was left at keep={keep!r}: raise keep or change seed."
        )
    renumbered = np.cumsum(is_kept) - 1
    bonds = renumbered[bonds[is_kept[bonds].all(axis=1)]]
    return _graph(int(is_kept.sum()), bonds, dim=lattice.dim)


def from_networkx(graph: Any) -> Lattice:
    """The lattice of an undirected networkx graph.

    Site i is the i-th node in the order in which the graph lists its nodes, ``list(graph)[i]``;
    bonds are in the order of ``graph.edges``, parallel edges of a multigraph are repeated bonds,
    and attributes are not used.

    Raises:
      LatticeError: not an undirected networkx graph, no nodes, or an edge from a node to itself.

    >>> import networkx
    >>> from_networkx(networkx.path_graph(["a", "b", "c"])).bonds.array.tolist()
    [[0, 1], [1, 2]]
    """
    import networkx

    if not isinstance(graph, networkx.Graph) or graph.is_directed():
        kind = type(graph).__name__
        raise LatticeError(
            f"from_networkx needs an undirected networkx graph, got {kind}: "
            f"call to_undirected() on a directed one."
        )
    if not len(graph):
        raise LatticeError("a lattice needs at least one site, got a graph without nodes.")
    site = {node: i for i, node in enumerate(graph)}
    return _graph(len(site), [(site[a], site[b]) for a, b in graph.edges()])


def from_scipy_sparse(matrix: Any) -> Lattice:
    """The lattice of a symmetric adjacency matrix: each nonzero entry with i < j is one bond.

    Values are not used: entries other than 0 and 1 do not repeat or weigh bonds. Bonds are sorted.

    Raises:
      LatticeError: not a scipy sparse matrix, not symmetric, empty, or a nonzero diagonal entry.
      ShapeError: the matrix is not square.

    >>> import scipy.sparse
    >>> from_scipy_sparse(scipy.sparse.csr_array([[0, 1], [1, 0]])).bonds.array.tolist()
    [[0, 1]]
    """
    from scipy import sparse

    if not sparse.issparse(matrix):
        raise LatticeError(
            f"from_scipy_sparse needs a scipy sparse matrix, got {type(matrix).__name__}: "
            f"wrap it in scipy.sparse.csr_array."
        )
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"an adjacency matrix is square, got the shape {matrix.shape}.")
    n_sites = int(matrix.shape[0])
    if n_sites == 0:
        raise LatticeError("a lattice needs at least one site, got an empty matrix.")
    joined = sparse.coo_array(matrix.tocsr() != 0)
    if (joined != joined.T).nnz:
        raise LatticeError("an adjacency matrix must be symmetric: pass matrix + matrix.T.")
    upper = joined.row <= joined.col
    bonds = np.stack([joined.row[upper], joined.col[upper]], axis=1)
    return _graph(n_sites, bonds[np.lexsort(bonds.T[::-1])])
