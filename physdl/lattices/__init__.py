"""Geometry: which sites there are, and which of them are neighbours.

A lattice is a finite graph: sites 0, 1, ..., N-1 and undirected bonds, each listed once. It holds
no number to differentiate, so it is structure: hashed, compared, never traced. Energies are
attached to it by a Hamiltonian.

*Box lattices* are a unit cell repeated n_1 x ... x n_d times, each axis periodic or open. A
configuration has the shape ``(n_1, ..., n_d)``, with a last axis for the sites of a cell where a
cell has several (honeycomb 2, kagome 3), and sites are numbered in C order of that shape. Bonds
come direction by direction, and within a direction cell by cell in C order. For one site per cell
and all axes periodic, bond ``d * n_cells + cell`` joins ``cell`` to ``cell + offsets[d]``, wrapped,
so a sum over bonds is a sum of rolls; an open axis leaves out the bonds that would wrap and keeps
the order of the others.

Convention: a periodic axis of length 2 wraps onto the neighbour it already has, so that
one-site-per-cell lattices list those bonds twice and their coupling counts twice, as the transfer
matrix of a two-site ring does. A periodic axis of length 1 would join a site to itself and is
refused.

*Graphs* (Bethe, complete, random, diluted, imported) have no axes: their configurations are plain
vectors. A diluted box is the exception that keeps the shape of its box.

| box lattice | neighbours in the bulk | colours on even boxes |
|---|---|---|
| ``chain`` | 2 | 2 |
| ``ladder``, ``square`` | up to 4 | 2 |
| ``triangular`` | 6 | 3 where 3 divides both lengths |
| ``honeycomb`` | 3 | 2 |
| ``kagome`` | 4 | 3 |
| ``cubic``, ``hypercubic`` | 2 d | 2 |

Consequence: sites of one colour of ``Lattice.colouring`` share no bond, so a Markov chain may
update them all at once.
"""

from physdl.lattices.boxes import (
    chain,
    cubic,
    honeycomb,
    hypercubic,
    kagome,
    ladder,
    square,
    triangular,
)
from physdl.lattices.graphs import (
    bethe,
    bipartite,
    complete,
    diluted,
    from_networkx,
    from_scipy_sparse,
    random_regular,
)
from physdl.lattices.lattice import Lattice, UnitCell

__all__ = [
    "Lattice",
    "UnitCell",
    "bethe",
    "bipartite",
    "chain",
    "complete",
    "cubic",
    "diluted",
    "from_networkx",
    "from_scipy_sparse",
    "honeycomb",
    "hypercubic",
    "kagome",
    "ladder",
    "random_regular",
    "square",
    "triangular",
]
