"""Couplings from correlations in Bethe's approximation.

Published as exact on trees: the error is zero. Computed on an open chain of eight spins with random
couplings and fields, whose magnetisations and correlations are derivatives of an exact log Z.
"""

import jax
import jax.numpy as jnp

from physdl import estimators, lattices, learning, models

SUBJECT = "learning"
CITATION = "F. Ricci-Tersenghi, J. Stat. Mech. P08015 (2012), arXiv:1112.4814"
PUBLISHED = 0.0
TOLERANCE = 1e-9
QUICK = True


def compute() -> float:
    """The largest error of a coupling of neighbours."""
    chain = lattices.chain(8, periodic=False)
    couplings, fields = jax.random.normal(jax.random.key(0), (2, 8))
    couplings = 0.5 * couplings[:7]

    def log_z(h: jax.Array) -> jax.Array:
        return estimators.Enumeration()(models.ising(chain, couplings, h)).log_z

    means, covariance = jax.grad(log_z)(fields), jax.hessian(log_z)(fields)
    _, found = learning.mean_field_couplings(means, covariance, "bethe")
    i, j = chain.bonds.array.T
    return float(jnp.max(jnp.abs(jnp.asarray(found)[i, j] - couplings)))
