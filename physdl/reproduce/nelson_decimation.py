"""Decimation of the Ising chain.

Published as tanh K' = tanh^2 K for every second spin: 1 becomes 0.662501. Computed by the
decimation of a table of energies.
"""

import jax.numpy as jnp

from physdl import rg

SUBJECT = "renormalization"
CITATION = "D. R. Nelson and M. E. Fisher, Ann. Phys. 91, 226 (1975)"
PUBLISHED = 0.662501
TOLERANCE = 5e-7
QUICK = True


def compute() -> float:
    """K'."""
    return float(rg.Decimation(scale=2)(jnp.array([1.0, 0.0])).couplings[0])
