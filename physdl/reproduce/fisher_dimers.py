"""The coverings of a chessboard by dominoes.

Published as 12 988 816 for 8 x 8 squares. Computed by contracting a network: every pair of
neighbouring squares is a site, covered or not, and every square forbids all but one covered pair
around it.
"""

import math

import numpy as np

from physdl import estimators, lattices
from physdl.hamiltonian import Hamiltonian, Potential, Term
from physdl.spaces import BINARY

SUBJECT = "exact"
CITATION = "M. E. Fisher, Phys. Rev. 124, 1664 (1961); P. W. Kasteleyn, Physica 27, 1209 (1961)"
PUBLISHED = 12988816.0
TOLERANCE = 0.5
QUICK = True


def compute() -> float:
    """The number of coverings."""
    board = lattices.square(8, 8, periodic=False)
    bonds = board.bonds.array
    terms: dict[str, Term] = {}
    for square in range(board.n_sites):
        pairs = np.flatnonzero((bonds == square).any(axis=1))
        covered = np.indices((2,) * len(pairs)).sum(axis=0)
        table = np.where(covered == 1, 0.0, np.inf)
        terms[f"square {square}"] = Potential(table, pairs[None])
    h = Hamiltonian(terms, space=BINARY, shape=(board.n_bonds,))
    return math.exp(float(estimators.Contraction()(h).log_z))
