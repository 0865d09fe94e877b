"""The magnetic exponent of triangles of spins, to first order.

Published as y_H = log(3 / sqrt(2)) / log(sqrt(3)) = 1.369 (exact: 1.875). Computed at the fixed
point of the recursion of coupling and field.
"""

import jax.numpy as jnp

from physdl import rg

SUBJECT = "renormalization"
CITATION = (
    "Th. Niemeijer and J. M. J. van Leeuwen, Phys. Rev. Lett. 31, 1411 (1973); Physica 71, 17 "
    "(1974)"
)
PUBLISHED = 1.369
TOLERANCE = 5e-4
QUICK = True


def compute() -> float:
    """y_H."""
    step = rg.Cumulant(order=1)
    at = rg.fixed_point(step, jnp.array([0.3, 0.0]))
    return float(rg.exponents(step, at).y[0])
