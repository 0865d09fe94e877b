"""The exponent nu of O(2) in the local potential approximation.

Published as 0.708211 in three dimensions with the optimised regulator. Computed from the flow of
the whole potential at its fixed point.
"""

from physdl import rg

SUBJECT = "renormalization"
CITATION = "D. F. Litim, Nucl. Phys. B 631, 128 (2002), hep-th/0203006"
PUBLISHED = 0.708211
TOLERANCE = 5e-7
QUICK = True


def compute() -> float:
    """nu."""
    frg = rg.FunctionalRG(n_components=2, dim=3)
    return 1 / float(rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y[0])
