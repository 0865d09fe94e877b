"""The information that decimation keeps.

Published as a share of 0.505 of what two spins of a chain at K = 0.1 know of the rest, one spin
left out on either side. Computed by summing over six spins.
"""

from physdl import lattices, models, rg
from physdl.theory import audit

SUBJECT = "theory"
CITATION = "P. M. Lenggenhager and others, Phys. Rev. X 10, 011037 (2020)"
PUBLISHED = 0.505
TOLERANCE = 5e-4
QUICK = True


def compute() -> float:
    """The share."""
    chain = models.ising(lattices.chain(6, periodic=False), 0.1)
    kernel = audit.block_kernel(rg.BlockDecimation(2), (2,))
    return float(audit.information_kept(chain, kernel, block=[2, 3], environment=[0, 5]).share)
