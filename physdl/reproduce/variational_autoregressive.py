"""The variational free energy of a critical Ising torus from an autoregressive network.

Published: the free energy of such a network lies above the exact one and comes close to it; the
exact one is Kaufman's, log Z / N = 0.9397 for 8 x 8 spins at the critical point. Computed as the
bound of a network trained for 2000 steps, to a thousandth of a nat a spin.
"""

import jax

from physdl import lattices, learning, models, reference
from physdl.reproduce._outcomes import Computed

SUBJECT = "learning"
CITATION = (
    "D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122, 080602 (2019); exact: B. Kaufman, "
    "Phys. Rev. 76, 1232 (1949)"
)
PUBLISHED = 0.9397
TOLERANCE = 0.001
QUICK = False


def compute() -> Computed:
    """The bound of log Z / N, in nats."""
    torus = models.ising(lattices.square(8, 8), reference.square_critical_coupling())
    out = learning.VariationalAutoregressive(n_steps=2000)(torus, key=jax.random.key(0))
    bound, stderr = (float(out.info[name]) for name in ("bound", "bound_stderr"))
    return Computed(bound / torus.n_sites, stderr / torus.n_sites)
