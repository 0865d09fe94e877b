"""The partition function of the critical Ising torus of 16 x 16 spins.

Published as a sum of four products; its logarithm is 238.642256635. Computed without that formula,
as four Pfaffians on the torus.
"""

from physdl import estimators, lattices, models, reference

SUBJECT = "exact"
CITATION = "B. Kaufman, Phys. Rev. 76, 1232 (1949), evaluated with 30 digits"
PUBLISHED = 238.64225663513289
TOLERANCE = 1e-9
QUICK = True


def compute() -> float:
    """log Z in nats."""
    h = models.ising(lattices.square(16, 16), reference.square_critical_coupling())
    return float(estimators.Planar()(h).log_z)
