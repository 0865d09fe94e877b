"""The cumulant of the critical Ising torus.

Published as U = 1 - <m^4> / (3 <m^2>^2) = 0.61069, to three digits 0.611. Computed with the
clusters of Swendsen and Wang on 32 x 32 spins, where finite size is below the tolerance.
"""

import jax
import jax.numpy as jnp

from physdl import lattices, models, reference, sampling
from physdl.reproduce._outcomes import Computed

SUBJECT = "sampling"
CITATION = (
    "G. Kamieniarz and H. W. J. Bloete, J. Phys. A 26, 201 (1993); J. Salas and A. D. Sokal, "
    "J. Stat. Phys. 98, 551 (2000)"
)
PUBLISHED = 0.611
TOLERANCE = 5e-4
QUICK = False


def compute() -> Computed:
    """U."""
    h = models.ising(lattices.square(32, 32), reference.square_critical_coupling())
    out = sampling.run(
        sampling.SwendsenWang(),
        h,
        key=jax.random.key(0),
        n_sweeps=60_000,
        n_chains=16,
        n_warmup=200,
        observables={"m2": sampling.OrderParameter(h.space, 2)},
    )
    found = out["m2"].function(lambda m: 1 - m[1] / (3 * m[0] ** 2))
    return Computed(float(jnp.asarray(found.value)), float(jnp.asarray(found.stderr)))
