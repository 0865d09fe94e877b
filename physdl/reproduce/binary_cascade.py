"""The capacity of a binary symmetric channel.

Published as 1 + p log2 p + (1 - p) log2(1 - p): 0.531004 bits at p = 1 / 10. Computed as the mutual
information of the first level of a hierarchy.
"""

from physdl.theory import hierarchy

SUBJECT = "theory"
CITATION = "C. E. Shannon, Bell Syst. Tech. J. 27, 379 (1948)"
PUBLISHED = 0.531004
TOLERANCE = 5e-7
QUICK = True


def compute() -> float:
    """Bits."""
    cascade = hierarchy.information_profile(hierarchy.binary_symmetric_cascade(0.1, 1))
    return float(cascade.levels[1]) / hierarchy.BIT
