"""The magnetisation of the Ising chain in a field.

Published as sinh h / sqrt(sinh^2 h + exp(-4 K)); 0.9238744 at K = 1 / 2 and h = 4 / 5. Computed on
a ring of 64 spins, where finite size is beyond all digits.
"""

import jax

from physdl import estimators, lattices, models

SUBJECT = "exact"
CITATION = "E. Ising, Z. Phys. 31, 253 (1925)"
PUBLISHED = 0.9238744
TOLERANCE = 5e-8
QUICK = True


def compute() -> float:
    """m per spin."""
    log_z = lambda h: estimators.TransferMatrix()(models.ising(lattices.chain(64), 0.5, h)).log_z
    return float(jax.grad(log_z)(0.8)) / 64
