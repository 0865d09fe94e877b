"""The energy of the square Ising model at K = 1 / 2.

Published as an elliptic integral: E / N = -1.7455645753 J. Computed as the derivative of log Z
through the fixed point of corner transfer matrices.
"""

import jax

from physdl import lattices, models, tensors

SUBJECT = "tensors"
CITATION = "L. Onsager, Phys. Rev. 65, 117 (1944)"
PUBLISHED = 1.7455645753
TOLERANCE = 5e-10
QUICK = False


def compute() -> float:
    """-E / (N J)."""

    def log_z(coupling: jax.Array) -> jax.Array:
        bulk = tensors.bulk(models.ising(lattices.square(2, 2), coupling))
        return tensors.CTMRG(chi=24)(bulk).log_z_per_tensor

    return float(jax.grad(log_z)(jax.numpy.asarray(0.5)))
