r"""Graphs drawn on a torus, and the four sign structures that count their closed subgraphs.

A lattice with two periodic axes is drawn by its own springs: each bond pulls its sites together
along its shortest way around the box, and at rest no two bonds cross (W. T. Tutte, Proc. London
Math. Soc. 13, 743 (1963); on the torus S. J. Gortler, C. Gotsman and D. Thurston, Comput. Aided
Geom. Des. 23, 83 (2006)). Euler's formula V - E + F = 0 confirms it.

On a torus a closed subgraph C winds around either axis an even or odd number of times, and
Kasteleyn's signs can only be right for some of the four classes. With two loops that cross once,
signs s_1, s_2 of the loops themselves, and the bonds crossed by dual loops reversed or not (a, b =
0, 1),

    sum_C = sum_{a b} (1 + A + B - A B) / 4  Pf_{a b},      A = s_1 (-1)^a,  B = s_2 (-1)^b

(P. W. Kasteleyn, Physica 27, 1209 (1961); D. Cimasoni and N. Reshetikhin, Commun. Math. Phys. 275,
187 (2007)).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.sparse.linalg import spsolve

from physdl.estimators._plane import Plane
from physdl.pytree import IntArray

__all__ = ["drawn_on_torus", "structures"]


def drawn_on_torus(n_vertices: int, edges: IntArray, shape: tuple[int, ...]) -> Plane | None:
    """Draw the graph of distinct edges [n_edges, 2] on the torus of the first two axes of a box.

    ``None`` where the sites are not those of such a box, or bonds cross.
    """
    if len(shape) < 2 or math.prod(shape) != n_vertices or not len(edges):
        return None
    box = np.array(shape[:2])
    cell = np.stack(np.unravel_index(np.arange(n_vertices) // math.prod(shape[2:]), shape[:2]), 1)
    step = cell[edges[:, 1]] - cell[edges[:, 0]]
    step = step - box * np.round(step / box).astype(int)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n_vertices,) * 2)
    n_parts, _ = connected_components(graph, directed=False)
    if n_parts > 1:
        return None
    wind = step - (cell[edges[:, 1]] - cell[edges[:, 0]])
    position = _at_rest(n_vertices, edges, wind)
    along = position[edges[:, 1]] - position[edges[:, 0]] + wind
    direction = np.stack([along, -along], axis=1).reshape(-1, 2)
    angle = np.arctan2(direction[:, 1], direction[:, 0])
    vertex = edges.reshape(-1)
    order = np.lexsort((angle, vertex))
    counts = np.bincount(vertex, minlength=n_vertices)
    last = np.cumsum(counts) - 1
    clockwise = np.empty(len(vertex), dtype=int)
    clockwise[order[1:]] = order[:-1]
    clockwise[order[last - counts + 1]] = order[last]
    plane = Plane(vertex, clockwise)
    n_faces = len(np.unique(plane.faces()))
    return plane if n_vertices - len(edges) + n_faces == 0 else None


def _at_rest(n: int, edges: IntArray, wind: IntArray) -> NDArray[np.float64]:
    """Where the forces x_j + w - x_i of all bonds of each site add to zero; site 0 is fixed."""
    i, j = edges.T
    ones = np.ones(len(edges))
    laplacian = coo_array(
        (
            np.concatenate([ones, ones, -ones, -ones]),
            (np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])),
        ),
        shape=(n, n),
    ).tocsc()
    force = np.zeros((n, 2))
    np.add.at(force, i, wind)
    np.add.at(force, j, -wind)
    position = np.zeros((n, 2))
    position[1:] = np.asarray(spsolve(laplacian[1:, 1:], force[1:])).reshape(-1, 2)
    return position


def structures(plane: Plane, signs: IntArray) -> tuple[IntArray, NDArray[np.float64]]:
    """Signs of the edges for the four Pfaffians, int [4, n_edges], and their weights [4].

    A tree of the vertices and a tree of the faces that crosses none of its edges leave two edges:
    each closes one loop along the first tree and one dual loop along the second.
    """
    n_edges = plane.n_edges
    ends, sides = plane.vertex.reshape(-1, 2), plane.faces().reshape(-1, 2)
    tree, parent = _spanning_tree(ends, np.ones(n_edges, dtype=bool))
    cotree, coparent = _spanning_tree(sides, ~tree)
    left = np.flatnonzero(~tree & ~cotree)
    assert len(left) == 2
    position, winding, reversals = plane.position(), [], []
    for e in left.tolist():
        loop = [2 * e, *_path(ends, parent, int(ends[e, 1]), int(ends[e, 0]))]
        sign = -1
        for h, following in zip(loop, [*loop[1:], loop[0]], strict=True):
            sign *= int(signs[h // 2]) * (1 - 2 * (h % 2))
            sign *= int(np.sign(position[following] - position[h ^ 1]))
        winding.append(sign)
        crossed = [e] + [h // 2 for h in _path(sides, coparent, *sides[e].tolist())]
        reversed_signs = np.ones(n_edges, dtype=int)
        reversed_signs[crossed] = -1
        reversals.append(reversed_signs)
    flips, weights = [], []
    for a in (0, 1):
        for b in (0, 1):
            first, second = winding[0] * (-1) ** a, winding[1] * (-1) ** b
            flips.append(reversals[0] ** a * reversals[1] ** b)
            weights.append((1 + first + second - first * second) / 4)
    return np.stack(flips), np.array(weights)


def _spanning_tree(
    ends: IntArray, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], dict[int, int]]:
    """Which edges are in the tree, and the half-edge from each node to its parent."""
    n = int(ends.max()) + 1
    own = np.flatnonzero(allowed)
    pairs, first = np.unique(np.sort(ends[own], axis=1), axis=0, return_index=True)
    number = {(int(i), int(j)): int(own[k]) for (i, j), k in zip(pairs, first, strict=True)}
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
    order, parent = breadth_first_order(graph, 0, directed=False)
    used = np.zeros(len(ends), dtype=bool)
    towards: dict[int, int] = {}
    for node in order[1:].tolist():
        above = int(parent[node])
        e = number[min(node, above), max(node, above)]
        used[e] = True
        towards[node] = 2 * e + int(ends[e, 0] != node)
    return used, towards


def _path(ends: IntArray, towards: dict[int, int], start: int, end: int) -> list[int]:
    """Half-edges to follow from one node of a tree to another."""

    def up(node: int) -> list[int]:
        found = []
        while node in towards:
            found.append(towards[node])
            node = int(ends[found[-1] // 2, 1 - found[-1] % 2])
        return found

    rising, falling = up(start), up(end)
    while rising and falling and rising[-1] == falling[-1]:
        rising.pop()
        falling.pop()
    return rising + [h ^ 1 for h in reversed(falling)]
