"""A coupling from configurations by pseudolikelihood.

Published as a consistent estimate. Computed from 4000 independent draws of 4 x 4 spins at K = 0.3.
"""

import jax

from physdl import lattices, learning, models, sampling
from physdl.hamiltonian import Stencil
from physdl.reproduce._outcomes import Computed

SUBJECT = "learning"
CITATION = "J. Besag, The Statistician 24, 179 (1975)"
PUBLISHED = 0.3
TOLERANCE = 0.01
QUICK = False


def compute() -> Computed:
    """K."""
    h = models.ising(lattices.square(4, 4), 0.3, field=0.1)
    x = sampling.exact_sample(h, n=4000, key=jax.random.key(0)).states[:, 0]
    found = learning.pseudolikelihood(x, h)
    bond, error = (v.terms["bond"] for v in (found.hamiltonian, found.stderr))
    assert isinstance(bond, Stencil) and isinstance(error, Stencil)
    return Computed(-float(bond.coefficient), float(error.coefficient))
