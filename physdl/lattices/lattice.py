"""The noun: sites, bonds, and what follows from them.

Everything here is computed with numpy on the host when it is first asked for, and kept. Arrays
that are kept are read-only.
"""

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physdl.errors import LatticeError, ShapeError, SupportError
from physdl.lattices import colouring, symmetry
from physdl.pytree import Table, module, static

__all__ = ["Lattice", "UnitCell"]


@module
class UnitCell:
    """What a box lattice repeats: primitive vectors, the sites of a cell, and its bonds.

    Attributes:
      primitive: the d primitive vectors in cartesian coordinates, in units of the bond length.
      basis: the sites of a cell, in units of the primitive vectors.
      links: the bonds that start in a cell, as (site of the cell, site of the other cell, offset
        of the other cell); empty where the bonds do not repeat, as in a diluted box.
    """

    primitive: tuple[tuple[float, ...], ...] = static()
    basis: tuple[tuple[float, ...], ...] = static()
    links: tuple[tuple[int, int, tuple[int, ...]], ...] = static()


@module
class Lattice:
    """Sites ``0, ..., n_sites - 1`` and the undirected bonds between them.

    Attributes:
      n_sites: number N of sites.
      bonds: table [n_bonds, 2] of sites; a bond is listed once, a doubled bond twice.
      dim: number of axes d of the box; 0 for a graph, which has none.
      shape: shape of a configuration; its product is N.
      periodic: whether each axis of the box is periodic; ``()`` for graphs.
      cell: the unit cell of a box, from which positions, colours and symmetries follow.

    Raises:
      ShapeError: bonds are not [n_bonds, 2], or the shape has another number of sites.
      SupportError: a bond names a site that does not exist.
      LatticeError: a bond joins a site to itself.

    >>> triangle = Lattice(3, Table([[0, 1], [1, 2], [0, 2]]), dim=0, shape=(3,))
    >>> triangle.degrees
    array([2, 2, 2])
    """

    n_sites: int = static()
    bonds: Table = static()
    dim: int = static()
    shape: tuple[int, ...] = static()
    periodic: tuple[bool, ...] = static(default=())
    cell: UnitCell | None = static(default=None, repr=False)

    def __post_init__(self) -> None:
        bonds = self.bonds.array
        if bonds.ndim != 2 or bonds.shape[1] != 2:
            raise ShapeError(f"bonds need the shape [n_bonds, 2], got {list(bonds.shape)}.")
        if math.prod(self.shape) != self.n_sites:
            raise ShapeError(
                f"the shape {self.shape} has {math.prod(self.shape)} sites and not {self.n_sites}: "
                f"give a shape whose product is n_sites."
            )
        if bonds.size and (bonds.min() < 0 or bonds.max() >= self.n_sites):
            site = bonds.min() if bonds.min() < 0 else bonds.max()
            raise SupportError(
                f"a bond names site {site}, which does not exist: "
                f"sites are 0, ..., {self.n_sites - 1}."
            )
        loops = np.flatnonzero(bonds[:, 0] == bonds[:, 1])
        if loops.size:
            raise LatticeError(
                f"bond {loops[0]} joins site {bonds[loops[0], 0]} to itself: "
                f"remove it, or write it as a field on that site."
            )

    @property
    def n_bonds(self) -> int:
        """Number of bonds, doubled ones counted twice."""
        return len(self.bonds.array)

    @cached_property
    def offsets(self) -> Table | None:
        """Bond directions [n_directions, dim] of a fully periodic box with one site per cell.

        Bond ``d * n_sites + site`` joins ``site`` to ``site + offsets[d]``, wrapped. None for all
        other lattices.

        >>> from physdl.lattices import square
        >>> square(4, 4).offsets.array.tolist()
        [[0, 1], [1, 0]]
        """
        if self.cell is None or not self.cell.links:
            return None
        if len(self.cell.basis) > 1 or not all(self.periodic):
            return None
        return Table([offset for _, _, offset in self.cell.links])

    @cached_property
    def positions(self) -> NDArray[np.float64] | None:
        """Cartesian coordinates [n_sites, dim] with bonds of length 1; None for graphs.

        The box is drawn straight: in two dimensions rows run downwards and columns to the right
        (the rows of triangular, honeycomb and kagome lattices are sheared by 60 degrees), and
        bonds that wrap around the box connect its opposite sides.
        """
        if self.cell is None:
            return None
        cells = symmetry.coordinates(self.shape[: self.dim])
        sites = cells[:, None, :] + np.array(self.cell.basis)
        return _frozen(sites.reshape(self.n_sites, self.dim) @ np.array(self.cell.primitive))

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """Coordination number of every site [n_sites]; a doubled bond counts twice."""
        return _frozen(np.bincount(self.bonds.array.reshape(-1), minlength=self.n_sites))

    @cached_property
    def _halves(self) -> NDArray[np.int64] | None:
        return colouring.two_colouring(self.n_sites, self.bonds.array)

    @property
    def is_bipartite(self) -> bool:
        """Whether two colours suffice, i.e. no closed path has odd length."""
        return self._halves is not None

    @cached_property
    def colouring(self) -> NDArray[np.int64]:
        """A proper colouring [n_sites]: bonded sites have different colours 0, 1, ...

        Two colours where two suffice; else a pattern that repeats through the box (the minimum
        for hypercubic and kagome lattices, at most 6 for the triangular one); else, for graphs
        without a repeating cell, DSATUR (Brelaz, Commun. ACM 22 (1979) 251), which is not always
        minimal.

        >>> from physdl.lattices import square
        >>> square(2, 4).colouring.reshape(2, 4)
        array([[0, 1, 0, 1],
               [1, 0, 1, 0]])
        """
        if self._halves is not None:
            return _frozen(self._halves)
        colours = None
        if self.cell is not None and self.cell.links:
            colours = colouring.box_colouring(self.shape, self.periodic, self.cell.links)
        return _frozen(colouring.dsatur(self.to_scipy_sparse()) if colours is None else colours)

    @property
    def n_colours(self) -> int:
        """Number of colours of ``colouring``."""
        return int(self.colouring.max()) + 1

    def translations(self) -> NDArray[np.int32]:
        """Translations along the periodic axes, as site permutations [n_group, n_sites].

        Row g sends site i to site ``translations()[g, i]``; rows are in C order of the shift, the
        identity first. A lattice without periodic axes has the identity alone.

        Raises:
          TooLargeError: the table would have more than 2^27 entries.

        >>> from physdl.lattices import chain
        >>> chain(3).translations()
        array([[0, 1, 2],
               [1, 2, 0],
               [2, 0, 1]], dtype=int32)
        """
        return symmetry.translations(self.shape, self.periodic)

    def symmetries(self) -> NDArray[np.int32]:
        """The space group of a box lattice, as site permutations [n_group, n_sites].

        Translations combined with the rotations and reflections that map the box to itself. Every
        row maps the multiset of bonds to itself; the rows form a group and begin with those of
        ``translations()``, the identity first.

        Raises:
          LatticeError: the lattice is not a box.
          TooLargeError: the table would have more than 2^27 entries, or more than 8 axes.

        >>> from physdl.lattices import square
        >>> square(5, 5).symmetries().shape
        (200, 25)
        """
        if self.cell is None or not self.cell.links:
            raise LatticeError(
                f"symmetries() needs a box lattice, got a graph of {self.n_sites} sites: "
                f"find the automorphisms of to_networkx() instead."
            )
        return symmetry.space_group(
            self.shape,
            self.periodic,
            self.bonds.array,
            np.array(self.cell.primitive),
            np.array(self.cell.basis),
        )

    def to_networkx(self) -> Any:
        """The lattice as a networkx ``Graph``, or ``MultiGraph`` where bonds are doubled.

        Nodes are the sites 0, ..., n_sites - 1 in order.
        """
        import networkx

        ends = np.sort(self.bonds.array, axis=1)
        doubled = len(np.unique(ends, axis=0)) < self.n_bonds
        graph = networkx.MultiGraph() if doubled else networkx.Graph()
        graph.add_nodes_from(range(self.n_sites))
        graph.add_edges_from(self.bonds.array.tolist())
        return graph

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """Bonds on the shortest way between any two sites, [N, N]; infinite where there is none.

        >>> from physdl.lattices import chain
        >>> chain(6).distances[0].tolist()
        [0.0, 1.0, 2.0, 3.0, 2.0, 1.0]
        """
        from scipy.sparse.csgraph import shortest_path

        return _frozen(shortest_path(self.to_scipy_sparse(), directed=False, unweighted=True))

    def to_scipy_sparse(self) -> Any:
        """The symmetric adjacency matrix as a scipy ``csr_array`` of integers.

        Entry (i, j) is the number of bonds between sites i and j.
        """
        return colouring.adjacency(self.n_sites, self.bonds.array)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
