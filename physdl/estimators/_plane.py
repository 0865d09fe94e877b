r"""Graphs drawn in the plane: half-edges, faces, and Kasteleyn's signs.

Every edge e has two half-edges, 2 e and 2 e + 1, one at each end. A drawing without crossings is
the clockwise order of the half-edges around each vertex. Faces follow from it: walk along a
half-edge to the other end and turn into the next one clockwise, with the face on the left.
"""

from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from physdl.pytree import IntArray

__all__ = ["Plane", "cycles", "drawn"]


@dataclass(frozen=True)
class Plane:
    """A graph drawn in the plane; it may have loops and parallel edges.

    Attributes:
      vertex: the vertex of each half-edge, int [2 n_edges].
      clockwise: the next half-edge around the same vertex, int [2 n_edges].
    """

    vertex: IntArray
    clockwise: IntArray

    @property
    def n_edges(self) -> int:
        """The number of edges."""
        return len(self.vertex) // 2

    def walk(self) -> IntArray:
        """The half-edge that follows each one on the boundary of the face on its left."""
        return np.take(self.clockwise, np.arange(len(self.vertex)) ^ 1)

    def faces(self) -> IntArray:
        """The face on the left of each half-edge, int [2 n_edges]."""
        return cycles(self.walk())[0]

    def position(self) -> IntArray:
        """The place of each half-edge in the counterclockwise order around its vertex."""
        _, rank = cycles(self.clockwise)
        return -rank

    def split(self, most: int) -> "Plane":
        """Each vertex of degree above ``most`` as a path of vertices with one half-edge each.

        The path's own edges come after all others. A closed subgraph continues in exactly one way
        along them, so where they have weight 1 nothing changes but the degrees.
        """
        degree = np.bincount(self.vertex, minlength=1)
        _, rank = cycles(self.clockwise)
        wide = np.flatnonzero(degree[self.vertex] > most)
        own = wide[rank[wide] < degree[self.vertex[wide]] - 1]
        following = self.clockwise[own]
        out = len(self.vertex) + 2 * np.arange(len(own))
        back = out + 1
        vertex = np.concatenate([self.vertex, np.zeros(2 * len(own), dtype=int)])
        vertex[wide] = len(degree) + np.arange(len(wide))
        vertex[out], vertex[back] = vertex[own], vertex[following]
        clockwise = np.arange(len(vertex))
        clockwise[: len(self.vertex)] = self.clockwise
        clockwise[wide] = wide
        clockwise[back] = following
        clockwise[following] = back
        clockwise[out] = clockwise[own]
        clockwise[own] = out
        return Plane(np.unique(vertex, return_inverse=True)[1], clockwise)

    def signs(self) -> IntArray:
        r"""A sign for each edge, from half-edge 2 e to 2 e + 1.

        Walk around any face; the product over the walk of the sign of each edge (negative when
        followed from 2 e + 1 to 2 e), and at each vertex of +1 where the next half-edge comes later
        in ``position`` and -1 where it comes earlier, is -1. So every closed subgraph enters the
        Pfaffian with the same sign (P. W. Kasteleyn, J. Math. Phys. 4, 287 (1963)). Signs are
        found edge by edge along a tree that joins all faces, from its leaves to its root.
        """
        half = np.arange(len(self.vertex))
        position, arrived = self.position(), half ^ 1
        following = self.clockwise[arrived]
        face = self.faces()
        n_faces = int(face.max(initial=-1)) + 1
        negative = (half % 2 == 1) ^ (position[following] < position[arrived])
        wrong = 1 - np.bincount(face, weights=negative, minlength=n_faces).astype(int) % 2
        sides = np.sort(face.reshape(-1, 2), axis=1)
        pairs, edge = np.unique(sides, axis=0, return_index=True)
        graph = coo_array((edge + 1, (pairs[:, 0], pairs[:, 1])), shape=(n_faces, n_faces)).tocsr()
        numbers = (graph + graph.T).todok()
        signs = np.ones(self.n_edges, dtype=int)
        _, component = connected_components(graph, directed=False)
        for root in np.unique(component, return_index=True)[1].tolist():
            order, parent = breadth_first_order(graph, root, directed=False)
            for f in order[:0:-1].tolist():
                if wrong[f]:
                    signs[numbers[f, parent[f]] - 1] = -1
                    wrong[parent[f]] ^= 1
            assert not wrong[root]
        return signs


def drawn(edges: IntArray) -> Plane | None:
    """Draw the graph of distinct edges [n_edges, 2] in the plane, ``None`` where it cannot be.

    Isolated vertices are left out.
    """
    planar, drawing = nx.check_planarity(nx.Graph(edges.tolist()))
    if not planar:
        return None
    number = {(i, j): 2 * e for e, (i, j) in enumerate(edges.tolist())}
    number |= {(j, i): h + 1 for (i, j), h in number.items()}
    clockwise = np.empty(2 * len(edges), dtype=int)
    for i in drawing:
        around = [number[i, j] for j in drawing.neighbors_cw_order(i)]
        clockwise[around] = np.roll(around, -1)
    return Plane(edges.reshape(-1), clockwise)


def cycles(permutation: IntArray) -> tuple[IntArray, IntArray]:
    """The number of the cycle that holds each element, and the place of the element in it."""
    follow = permutation.tolist()
    number, rank = [-1] * len(follow), [0] * len(follow)
    n_cycles = 0
    for start in range(len(follow)):
        if number[start] < 0:
            element, place = start, 0
            while number[element] < 0:
                number[element], rank[element] = n_cycles, place
                element, place = follow[element], place + 1
            n_cycles += 1
    return np.array(number, dtype=int), np.array(rank, dtype=int)
