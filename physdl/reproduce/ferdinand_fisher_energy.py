"""The energy of the critical Ising torus of 16 x 16 spins.

Published exactly, to three digits -1.45 J a spin. Computed from a Markov chain of Swendsen and
Wang's clusters.
"""

import jax
import jax.numpy as jnp

from physdl import lattices, models, reference, sampling
from physdl.reproduce._outcomes import Computed

SUBJECT = "sampling"
CITATION = (
    "A. E. Ferdinand and M. E. Fisher, Phys. Rev. 185, 832 (1969); L. Onsager, Phys. Rev. 65, "
    "117 (1944)"
)
PUBLISHED = 1.45
TOLERANCE = 0.005
QUICK = True


def compute() -> Computed:
    """-E / (N J)."""
    coupling = reference.square_critical_coupling()
    h = models.ising(lattices.square(16, 16), coupling)
    out = sampling.run(
        sampling.SwendsenWang(), h, key=jax.random.key(1), n_sweeps=6000, n_chains=8, n_warmup=200
    )
    mean, unit = out["energy"].mean, 256 * coupling
    return Computed(-float(jnp.asarray(mean.value)) / unit, float(jnp.asarray(mean.stderr)) / unit)
