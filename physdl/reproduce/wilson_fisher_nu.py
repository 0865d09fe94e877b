"""The exponent nu near four dimensions.

Published as nu = 1 / 2 + epsilon / 12 for Ising spins. Computed as the first coefficient of the
series that follows from the functions of the coupling.
"""

from physdl import rg

SUBJECT = "renormalization"
CITATION = "K. G. Wilson and M. E. Fisher, Phys. Rev. Lett. 28, 240 (1972)"
PUBLISHED = 0.0833333
TOLERANCE = 5e-8
QUICK = True


def compute() -> float:
    """d nu / d epsilon at four dimensions."""
    return float(rg.epsilon_series(n=1).nu[1])
