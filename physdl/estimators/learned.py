r"""log Z by a network, for all Hamiltonians of a family at once.

    log Z(h(k)) ~ f(k),        moments: -d f / d coefficients by differentiating the network,

with f trained on the estimates of another method at some couplings (``learning.amortise``). An
answer costs a product of small matrices, whatever the method it learned from costs.

The error bar is that of split conformal prediction (V. Vovk, A. Gammerman and G. Shafer,
Algorithmic Learning in a Random World (2005); J. Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018)):
of n errors at couplings that were held out, drawn like those that will be asked for, the
ceil((n + 1) p)-th smallest is a half-width that holds a fresh one with probability between p and
p + 1 / (n + 1), whatever the network is and however errors are distributed. It is a statement about
the box as a whole, not about each point: near transitions errors are larger. Errors are against the
method learned from, noise of its own included.

Consequence: derivatives are those along the family. Outside the box of training nothing is claimed.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status
from physdl.estimators.coupling_box import CouplingBox
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static

__all__ = ["LearnedEstimator"]

EDGE = 1e-5


@module
class LearnedEstimator:
    """A trained function of couplings as an estimator.

    ``info`` holds the ``couplings`` that were read off the Hamiltonian, the ``half_width`` of the
    interval of level ``level``, and the ``interval`` itself, [2]. ``stderr`` is the half-width
    divided by that of the normal distribution of this level; an interval is no bound, so ``lower``
    and ``upper`` are infinite. Outside the box, or the family, the status is OUT_OF_RANGE.

    Attributes:
      function: z in [-1, 1]^n -> log Z as [1], a pytree that is called (``networks.Corrected``).
      box: the Hamiltonians it knows.
      errors: absolute errors of held-out examples, sorted, in nats, [n_held_out].
      level: p, the probability that an interval holds.

    Raises:
      SettingError: the level is not between 0 and 1.
      StructureError: when called, the Hamiltonian is of another structure than the family.

    >>> from physdl import lattices, models, networks
    >>> box = CouplingBox(lambda k: models.ising(lattices.chain(2), k[0]), [0.0], [0.2])
    >>> value, slope, bend = jnp.log(4) + 0.02, 0.04, 0.02  # log(4 cosh 2K), each bond twice
    >>> f = networks.Quadratic(value[None], jnp.full((1, 1), slope), jnp.full((1, 1, 1), bend))
    >>> found = LearnedEstimator(f, box, jnp.linspace(0.0, 3e-4, 19))
    >>> found(models.ising(lattices.chain(2), 0.1))
    log Z = 1.406294... +/- 0.00015 [OK]
    """

    function: Callable[[Array], Array]
    box: CouplingBox
    errors: Float[Array, " n_held_out"]
    level: float = static(default=0.95)

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise SettingError(f"a level is a probability between 0 and 1, got {self.level!r}.")

    @property
    def half_width(self) -> Float[Array, ""]:
        """Of the interval; infinite where too few examples were held out for the level."""
        n = self.errors.shape[-1]
        rank = math.ceil((n + 1) * self.level)
        return self.errors[..., rank - 1] if rank <= n else jnp.full((), jnp.inf, self.errors.dtype)

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        estimate: Estimate = _estimate(self, h)
        return estimate


@jax.jit
def _estimate(learned: LearnedEstimator, h: Hamiltonian) -> Estimate:
    z, off = learned.box.coordinates(h)
    log_z = learned.function(z)[0].astype(h.dtype)
    inside = (jnp.max(jnp.abs(z)) <= 1 + EDGE) & (off <= EDGE)
    status = jnp.select(
        [~inside, ~jnp.isfinite(log_z)],
        [Status.OUT_OF_RANGE.value, Status.NONFINITE.value],
        Status.OK.value,
    )
    half = jnp.where(inside, learned.half_width, jnp.inf).astype(log_z.dtype)
    one = NormalDist().inv_cdf((1 + learned.level) / 2)
    stderr = jnp.where(jnp.isfinite(half), half / one, jnp.nan)
    none = jnp.full_like(log_z, jnp.inf)
    info = {
        "couplings": learned.box.couplings(z),
        "half_width": half,
        "interval": jnp.stack([log_z - half, log_z + half]),
    }
    method = f"a network over {learned.box.n_couplings} couplings"
    return Estimate(log_z, stderr, -none, none, status.astype(jnp.int32), info, method, h.n_sites)
