"""The order of the error of third-order mean field.

Published as an expansion of the Gibbs free energy in the couplings, of which three orders are kept,
so that log Z is wrong from the fourth on. Computed as the slope of the error of a glass of ten
spins against enumeration, when the couplings are doubled.
"""

import math

from physdl import estimators, models

SUBJECT = "mean field"
CITATION = "A. Georges and J. S. Yedidia, J. Phys. A 24, 2173 (1991)"
PUBLISHED = 4.0
TOLERANCE = 0.05
QUICK = True


def compute() -> float:
    """The power of the couplings."""

    def error(beta: float) -> float:
        glass = models.sherrington_kirkpatrick(n_sites=10, beta=beta, seed=1)
        tap = estimators.TAP(3)(glass).log_z
        return abs(float(tap - estimators.Enumeration()(glass).log_z))

    return math.log2(error(0.02) / error(0.01))
