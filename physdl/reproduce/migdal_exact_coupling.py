"""Bond moving by infinitesimal steps has the exact critical coupling.

Published as the self-dual point sinh 2 K = 1 of the square lattice, K = 0.440687. Computed as the
fixed point of the flow in which the length ratio tends to one.
"""

import jax.numpy as jnp

from physdl import rg

SUBJECT = "renormalization"
CITATION = "A. A. Migdal, Sov. Phys. JETP 42, 743 (1976)"
PUBLISHED = 0.440687
TOLERANCE = 5e-7
QUICK = True


def compute() -> float:
    """K*."""
    flow = rg.MigdalKadanoffFlow(dim=2)
    return float(rg.fixed_point(flow, jnp.array([0.4])).couplings[0])
