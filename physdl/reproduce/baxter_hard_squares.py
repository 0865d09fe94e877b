"""The entropy constant of hard squares.

Published as 1.503048082475332...: the number of ways to occupy sites of which no two are neighbours
grows by this factor a site. Computed from corner transfer matrices.
"""

import math

import numpy as np

from physdl import lattices, tensors
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.spaces import BINARY

SUBJECT = "tensors"
CITATION = "R. J. Baxter, Ann. Comb. 3, 191 (1999)"
PUBLISHED = 1.503048082475332
TOLERANCE = 5e-13
QUICK = False


def compute() -> float:
    """Configurations a site."""
    never = Potential(np.array([[0.0, 0.0], [0.0, np.inf]]), lattices.square(4, 4).bonds)
    h = Hamiltonian({"bond": never}, space=BINARY, shape=(4, 4))
    return math.exp(float(tensors.CTMRG(chi=24)(tensors.bulk(h)).log_z_per_tensor))
