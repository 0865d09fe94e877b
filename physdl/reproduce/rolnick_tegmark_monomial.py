"""Neurons of one layer for x^2 y.

Published as the product of the exponents plus one, here 3 x 2 = 6. Computed as the rank of a layer
of that many neurons, which one fewer does not reach.
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
    enough = expressivity.shallow_rank((2, 1), grid, EXP)
    fewer = expressivity.shallow_rank((2, 1), grid[:, 1:], EXP)
    return float(enough.rank) if fewer.rank < enough.rank else float("nan")
