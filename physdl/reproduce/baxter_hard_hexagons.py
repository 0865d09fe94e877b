"""The entropy constant of hard hexagons.

Published as an algebraic number, 1.395485972479...: hard particles on the triangular lattice at
activity one. Computed from corner transfer matrices.
"""

import math

import numpy as np

from physdl import lattices, tensors
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.spaces import BINARY

SUBJECT = "tensors"
CITATION = "R. J. Baxter, J. Phys. A 13, L61 (1980)"
PUBLISHED = 1.395485972
TOLERANCE = 5e-10
QUICK = False


def compute() -> float:
    """Configurations a site."""
    never = Potential(np.array([[0.0, 0.0], [0.0, np.inf]]), lattices.triangular(4, 4).bonds)
    h = Hamiltonian({"bond": never}, space=BINARY, shape=(4, 4))
    return math.exp(float(tensors.CTMRG(chi=24)(tensors.bulk(h)).log_z_per_tensor))
