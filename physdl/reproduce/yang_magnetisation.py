"""The spontaneous magnetisation of the square Ising model.

Published as (1 - sinh^-4 2 K)^(1/8): 0.9113193779 at K = 1 / 2. Computed from uniform matrix
product states of the half planes above and below a spin.
"""

from physdl import lattices, models, tensors

SUBJECT = "tensors"
CITATION = "C. N. Yang, Phys. Rev. 85, 808 (1952)"
PUBLISHED = 0.9113193779
TOLERANCE = 5e-10
QUICK = False


def compute() -> float:
    """m per spin."""
    lattice = lattices.square(2, 2)
    h, spin = models.ising(lattice, 0.5), models.ising(lattice, 0.0, -1.0)
    state = tensors.VUMPS(chi=24)(tensors.bulk(h))
    return abs(float(state.expectation(tensors.impurity(h, spin))))
