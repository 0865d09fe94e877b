"""The independent sets of a board.

Published as 5 598 861 for 6 x 6 squares of which no two neighbours are occupied. Computed row by
row.
"""

import math

import numpy as np

from physdl import estimators, lattices
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.spaces import BINARY

SUBJECT = "exact"
CITATION = "N. J. Calkin and H. S. Wilf, SIAM J. Discrete Math. 11, 54 (1998)"
PUBLISHED = 5598861.0
TOLERANCE = 0.5
QUICK = True


def compute() -> float:
    """The number of independent sets."""
    board = lattices.square(6, 6, periodic=False)
    never = Potential(np.array([[0.0, 0.0], [0.0, np.inf]]), board.bonds)
    h = Hamiltonian({"bond": never}, space=BINARY, shape=board.shape)
    return math.exp(float(estimators.TransferMatrix()(h).log_z))
