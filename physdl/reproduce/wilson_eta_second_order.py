"""The exponent eta near four dimensions.

Published as eta = (N + 2) epsilon^2 / (2 (N + 8)^2), for Ising spins epsilon^2 / 54.
"""

from physdl import rg

SUBJECT = "renormalization"
CITATION = "K. G. Wilson, Phys. Rev. Lett. 28, 548 (1972)"
PUBLISHED = 0.0185185
TOLERANCE = 5e-8
QUICK = True


def compute() -> float:
    """The coefficient of epsilon^2."""
    return float(rg.epsilon_series(n=1).eta[2])
