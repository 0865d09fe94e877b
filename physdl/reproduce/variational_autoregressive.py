"""The free energy of an Ising torus from an autoregressive network.

The network minimises its variational free energy, and its draws are reweighted; published exactly
for 4 x 4 critical spins, log Z = 15.5219154588.
"""

import jax

from physdl import lattices, learning, models, reference
from physdl.reproduce._outcomes import Computed

SUBJECT = "learning"
CITATION = (
    "D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122, 080602 (2019); exact: B. Kaufman, "
    "Phys. Rev. 76, 1232 (1949)"
)
PUBLISHED = 15.5219154588
TOLERANCE = 0.02
QUICK = False


def compute() -> Computed:
    """log Z in nats."""
    torus = models.ising(lattices.square(4, 4), reference.square_critical_coupling())
    out = learning.VariationalAutoregressive(n_steps=300)(torus, key=jax.random.key(0))
    return Computed(float(out.log_z), float(out.stderr))
