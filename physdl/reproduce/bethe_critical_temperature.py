"""The critical temperature of the square lattice in Bethe's approximation.

Published as k T / J = 2 / log(z / (z - 2)) = 2.885390 for z = 4 neighbours. Computed as the
temperature where the squared magnetisation of the Bethe lattice, linear near it, reaches zero.
"""

from physdl import reference

SUBJECT = "mean field"
CITATION = "H. A. Bethe, Proc. R. Soc. Lond. A 150, 552 (1935)"
PUBLISHED = 2.885390
TOLERANCE = 5e-7
QUICK = True


def compute() -> float:
    """k T / J."""
    known = float(reference.bethe_critical_coupling(4))

    def square(offset: float) -> float:
        return float(reference.bethe_magnetisation(4, known + offset)) ** 2

    near, far = square(1e-5), square(2e-5)
    critical = known + 1e-5 * (1 - near / (far - near))
    return 1 / critical
