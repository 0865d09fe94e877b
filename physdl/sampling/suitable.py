"""The kernel that suits a Hamiltonian when nothing is known but its space.

| space | kernel |
|---|---|
| finite | heat bath |
| spheres | heat bath, four sweeps of overrelaxation after each |
| the line | hybrid Monte Carlo with a tuned step and trajectories of random length |

Local moves are right for every model; near a critical point, and in glasses, ``SwendsenWang`` and
``ParallelTempering`` are faster.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Key

from physdl.hamiltonian import Hamiltonian
from physdl.sampling._kernel import Cycle, Kernel
from physdl.sampling.heat_bath import HeatBath
from physdl.sampling.hmc import HMC, tune_step_size
from physdl.sampling.microcanonical import Overrelaxation
from physdl.spaces import Line, Sphere

__all__ = ["suitable_kernel"]

FIRST_STEP = 0.1
TRAJECTORY: Mapping[str, Any] = {"n_leapfrogs": 10, "jitter": 0.2}
REFLECTIONS = 4


def suitable_kernel(h: Hamiltonian, *, key: Key[Array, ""]) -> Kernel:
    """A kernel of local moves for h, tuned where there is something to tune.

    Raises:
      PhysdlError: no kernel knows the space (the named subclass says how).

    >>> import jax
    >>> from physdl import lattices, models
    >>> h = models.xy(lattices.square(4, 4), 0.4)
    >>> type(suitable_kernel(h, key=jax.random.key(0))).__name__
    'Cycle'
    """
    if h.space == Line():
        return tune_step_size(HMC(FIRST_STEP, **TRAJECTORY), h, key=key)[0]
    if isinstance(h.space, Sphere):
        return Cycle([HeatBath(), *[Overrelaxation()] * REFLECTIONS])
    return HeatBath()
