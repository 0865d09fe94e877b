"""Free energies of harmonic wells.

Multistate reweighting is known by this test: wells of stiffness 1 to 16 differ by log(16) / 2, to
two digits 1.4, at the ends. Computed from independent samples of five wells.
"""

import jax
import jax.numpy as jnp

from physdl import estimators
from physdl.reproduce._outcomes import Computed

SUBJECT = "sampling"
CITATION = "M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105 (2008)"
PUBLISHED = 1.4
TOLERANCE = 0.05
QUICK = True


def compute() -> Computed:
    """The free energy of the last well less that of the first."""
    stiffness, place, n = 2.0 ** jnp.arange(5.0), jnp.arange(5.0), 60_000
    noise = jax.random.normal(jax.random.key(0), (5, n))
    x = place[:, None] + noise / jnp.sqrt(stiffness)[:, None]
    found = estimators.mbar(
        jnp.stack([stiffness / 2, -stiffness * place, stiffness * place**2 / 2], axis=1),
        jnp.stack([x**2, x, jnp.ones_like(x)], axis=-1).reshape(-1, 3),
        jnp.full(5, n),
    )
    return Computed(float(found.log_z[0] - found.log_z[4]), float(found.stderr[0, 4]))
