"""The critical coupling of bond moving in 3 dimensions.

Published as K* = 0.0653 of the Ising model at length ratio 2: bonds are moved together, then
decimated. Found by Newton's method.
"""

import jax.numpy as jnp

from physdl import rg

SUBJECT = "renormalization"
CITATION = "L. P. Kadanoff, Ann. Phys. 100, 359 (1976)"
PUBLISHED = 0.0653
TOLERANCE = 5e-5
QUICK = True


def compute() -> float:
    """K*."""
    step = rg.MigdalKadanoff(scale=2, dim=3)
    return float(rg.fixed_point(step, jnp.array([0.065])).couplings[0])
