"""Neurons of one layer for a product of four numbers.

Published as 2^n, necessary and sufficient. Computed as the rank of one hidden layer of all sign
patterns, which suffices; that it is needed is the theorem.
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
    return float(expressivity.shallow_rank((1, 1, 1, 1), grid, EXP).rank)
