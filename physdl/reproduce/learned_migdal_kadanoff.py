"""The thermal exponent of a renormalization that a network learned.

Published for bond moving as y_T = 0.747. A network is shown values and derivatives of the map over
a box of couplings, and its own fixed point is found.
"""

import jax
import jax.numpy as jnp

from physdl import learning, rg

SUBJECT = "learning"
CITATION = "L. P. Kadanoff, Ann. Phys. 100, 359 (1976)"
PUBLISHED = 0.747
TOLERANCE = 5e-4
QUICK = True


def compute() -> float:
    """y_T."""
    teacher = rg.MigdalKadanoff()
    taught = learning.learn_rg(
        teacher, jnp.array([0.1]), jnp.array([0.6]), key=jax.random.key(2)
    ).rg
    return float(rg.exponents(taught, rg.fixed_point(taught, jnp.array([0.3]))).y[0])
