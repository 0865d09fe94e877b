"""Neurons of one layer for a product of four numbers.

Published as 2^n, necessary and sufficient. Computed as the rank that one hidden layer of all sign
patterns has and needs.
"""

from physdl.networks import EXP, gates
from physdl.theory import expressivity

SUBJECT = "theory"
CITATION = "H. W. Lin, M. Tegmark and D. Rolnick, J. Stat. Phys. 168, 1223 (2017), section 3.6"
PUBLISHED = 16.0
TOLERANCE = 0.5
QUICK = True


def compute() -> float:
    """The rank."""
    grid = gates.monomial(EXP, (1, 1, 1, 1), bias=0.0, scale=1.0).grid
    enough = expressivity.shallow_rank((1, 1, 1, 1), grid, EXP)
    fewer = expressivity.shallow_rank((1, 1, 1, 1), grid[:, 1:], EXP)
    return float(enough.rank) if fewer.rank < enough.rank else float("nan")
