"""Four neurons multiply.

Published as a gate of four neurons whose error vanishes with the scale of its weights; 0.3 times
0.4 is 0.12. Computed with softplus neurons at a scale of 1 / 1000.
"""

import jax.numpy as jnp

from physdl.networks import SOFTPLUS, gates

SUBJECT = "theory"
CITATION = "H. W. Lin, M. Tegmark and D. Rolnick, J. Stat. Phys. 168, 1223 (2017), equation 11"
PUBLISHED = 0.12
TOLERANCE = 1e-6
QUICK = True


def compute() -> float:
    """The product."""
    gate = gates.product(SOFTPLUS, scale=1e-3)
    return float(gate(jnp.array([0.3, 0.4]))) if gate.n_neurons == 4 else float("nan")
