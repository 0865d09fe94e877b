"""The energy of the +-J glass on Nishimori's line.

Published as -tanh K a bond, for a share p of antiferromagnetic bonds and exp(-2 K) = p / (1 - p):
0.8 at p = 0.1, on any lattice. Computed as the mean over 8000 draws of the disorder of tori of 3 x
4 spins, each summed exactly.
"""

import math

import jax
import jax.numpy as jnp

from physdl import estimators, lattices, models
from physdl.reproduce._outcomes import Computed

SUBJECT = "exact"
CITATION = "H. Nishimori, Prog. Theor. Phys. 66, 1169 (1981)"
PUBLISHED = 0.8
TOLERANCE = 0.005
QUICK = True


def compute() -> Computed:
    """-E / J of a bond."""
    lattice, share = lattices.square(3, 4), 0.1
    coupling = math.log((1 - share) / share) / 2
    draws = jax.random.bernoulli(jax.random.key(0), 1 - share, (8000, lattice.n_bonds))
    signs = jnp.where(draws, 1.0, -1.0)

    def energy(sign: jax.Array) -> jax.Array:
        log_z = lambda k: estimators.Enumeration()(models.ising(lattice, k * sign)).log_z
        slope: jax.Array = jax.grad(log_z)(coupling)
        return slope / lattice.n_bonds

    found = jax.jit(lambda all_signs: jax.lax.map(energy, all_signs))(signs)
    return Computed(float(jnp.mean(found)), float(jnp.std(found)) / math.sqrt(len(signs)))
