"""The coefficients of a polynomial Hamiltonian.

Published as (n + d)! / (n! d!) for n variables and degree d: 4 598 126 of degree four in a hundred
variables. Counted here by Burnside's lemma for the trivial group, without the formula, the constant
added.
"""

from physdl.spaces import LINE
from physdl.theory import expressivity

SUBJECT = "theory"
CITATION = "H. W. Lin, M. Tegmark and D. Rolnick, J. Stat. Phys. 168, 1223 (2017), section 2"
PUBLISHED = 4598126.0
TOLERANCE = 0.5
QUICK = True


def compute() -> float:
    """The number of coefficients."""
    return 1.0 + expressivity.n_parameters(100, 4, space=LINE)
