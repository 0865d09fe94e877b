"""The critical coupling of triangles of spins, to first order.

Published as K* = log(1 + 2 sqrt(2)) / 4 = 0.3356 (exact: 0.2747) for the majority of triangles in
the first cumulant. Computed at the fixed point of the recursion of coupling and field.
"""

import jax.numpy as jnp

from physdl import rg

SUBJECT = "renormalization"
CITATION = (
    "Th. Niemeijer and J. M. J. van Leeuwen, Phys. Rev. Lett. 31, 1411 (1973); Physica 71, 17 "
    "(1974)"
)
PUBLISHED = 0.3356
TOLERANCE = 5e-5
QUICK = True


def compute() -> float:
    """K*."""
    step = rg.Cumulant(order=1)
    at = rg.fixed_point(step, jnp.array([0.3, 0.0]))
    return float(at.couplings[0])
