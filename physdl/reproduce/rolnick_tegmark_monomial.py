"""Neurons of one layer for x^2 y.

Published as the product of the exponents plus one, here 3 x 2 = 6. Computed as the rank of the
layer of a gate, which suffices; that it is needed is the theorem.
"""

from physdl.networks import EXP, gates
from physdl.theory import expressivity

SUBJECT = "theory"
CITATION = "D. Rolnick and M. Tegmark, ICLR 2018, arXiv:1705.05502, theorem 4.2"
PUBLISHED = 6.0
TOLERANCE = 0.5
QUICK = True


def compute() -> float:
    """The rank."""
    grid = gates.monomial(EXP, (2, 1), bias=0.0, scale=1.0).grid
    return float(expressivity.shallow_rank((2, 1), grid, EXP).rank)
