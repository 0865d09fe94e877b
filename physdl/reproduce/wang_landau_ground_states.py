"""The number of ground states by a walk in the energy.

The method is known by this check: two ground states, log g = log 2, to one digit 0.7. Computed on 4
x 4 spins from the density of states, which is normalised by the 2^16 states of all energies.
"""

import jax
import jax.numpy as jnp

from physdl import estimators, lattices, models
from physdl.reproduce._outcomes import Computed

SUBJECT = "sampling"
CITATION = "F. Wang and D. P. Landau, Phys. Rev. Lett. 86, 2050 (2001)"
PUBLISHED = 0.7
TOLERANCE = 0.05
QUICK = True


def compute() -> Computed:
    """log g."""
    pairs = models.ising(lattices.square(4, 4), 1.0)
    walk = estimators.WangLandau(b_range=(-1.0, 1.0))
    density = walk.density(pairs, key=jax.random.key(3))
    ground = int(jnp.argmin(jnp.abs(density.energies + 32)))
    return Computed(float(density.log_g[ground]), float(density.stderr[ground]))
