"""The exponent of the magnetisation in the theory of Weiss.

Published as beta = 1 / 2. Computed as a logarithmic slope of m = tanh(K m) just above K = 1.
"""

import math

from physdl import reference

SUBJECT = "mean field"
CITATION = "P. Weiss, J. Phys. Theor. Appl. 6, 661 (1907)"
PUBLISHED = 0.5
TOLERANCE = 1e-4
QUICK = True


def compute() -> float:
    """beta."""
    near, far = (float(reference.curie_weiss_magnetisation(1 + t)) for t in (1e-5, 2e-5))
    return math.log2(far / near)
