"""The thermal exponent of the Ising model by Monte Carlo renormalization.

Swendsen's method has the exact 1.0 after two steps of the majority rule, within the error of the
truncation to a few operators. Computed on 32 x 32 spins.
"""

import jax

from physdl import lattices, models, reference, rg, sampling
from physdl.reproduce._outcomes import Computed

SUBJECT = "renormalization"
CITATION = (
    "R. H. Swendsen, Phys. Rev. Lett. 42, 859 (1979); exact: L. Onsager, Phys. Rev. 65, 117 "
    "(1944), C. N. Yang, Phys. Rev. 85, 808 (1952)"
)
PUBLISHED = 1.0
TOLERANCE = 0.01
QUICK = False


def compute() -> Computed:
    """y at the second step."""
    lattice = lattices.square(32, 32)
    found = rg.mcrg_run(
        sampling.SwendsenWang(),
        models.ising(lattice, reference.square_critical_coupling()),
        rg.Majority(2),
        even=rg.operator_basis(lattice, max_range={2: 1.5, 4: 1.5}),
        n_steps=2,
        key=jax.random.key(0),
        n_sweeps=8000,
        n_chains=16,
    )
    assert found.even is not None
    exponent = found.even.y(2)
    return Computed(float(exponent.value), float(exponent.stderr))
