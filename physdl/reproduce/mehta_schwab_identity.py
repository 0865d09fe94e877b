"""The coarse Hamiltonian of a Boltzmann machine.

Published as an identity: with T = H - E the renormalized Hamiltonian is that of the hidden layer,
for any weights, trained or not. Computed with random weights on a ring of four spins.
"""

import jax
import jax.numpy as jnp

from physdl import lattices, models
from physdl.theory import audit

SUBJECT = "theory"
CITATION = "P. Mehta and D. J. Schwab, arXiv:1410.3831, equation 21"
PUBLISHED = 0.0
TOLERANCE = 1e-12
QUICK = True


def compute() -> float:
    """The largest difference in nats."""
    ring = audit.energy_table(models.ising(lattices.chain(4), 0.5))
    joint = jax.random.normal(jax.random.key(0), (16, 8))
    coarse = audit.coarse_hamiltonian(ring[:, None] - joint, ring)
    hidden = -jax.scipy.special.logsumexp(-joint, axis=0)
    return float(jnp.max(jnp.abs(coarse - hidden)))
