"""The thermal exponent of bond moving in 2 dimensions.

Published as y_T = 0.747 of the Ising model at length ratio 2. Computed as the logarithm of the
derivative, by automatic differentiation, at the fixed point.
"""

import jax.numpy as jnp

from physdl import rg

SUBJECT = "renormalization"
CITATION = "L. P. Kadanoff, Ann. Phys. 100, 359 (1976)"
PUBLISHED = 0.747
TOLERANCE = 5e-4
QUICK = True


def compute() -> float:
    """y_T."""
    step = rg.MigdalKadanoff(scale=2, dim=2)
    return float(rg.exponents(step, rg.fixed_point(step, jnp.array([0.3]))).y[0])
