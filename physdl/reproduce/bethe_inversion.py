"""A coupling from correlations in Bethe's approximation.

Published as exact on trees. Computed from the known correlations of an open chain, <s_i s_j> =
tanh(K)^|i - j| at K = 1 / 2.
"""

import numpy as np

from physdl import learning

SUBJECT = "learning"
CITATION = "F. Ricci-Tersenghi, J. Stat. Mech. P08015 (2012), arXiv:1112.4814"
PUBLISHED = 0.5
TOLERANCE = 1e-12
QUICK = True


def compute() -> float:
    """K."""
    place = np.arange(8)
    correlations = np.tanh(0.5) ** np.abs(place[:, None] - place)
    _, couplings = learning.mean_field_couplings(np.zeros(8), correlations, "bethe")
    return float(couplings[3, 4])
