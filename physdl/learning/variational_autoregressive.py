r"""log Z by a network that is trained on the spot: variational, then sampled.

    train q by  min_q E_q[log q + H],      then      log Z = log E_q[exp(-H) / q]

The estimator for whoever has a Hamiltonian and no network yet: ``networks.frontier`` trained by
``minimise_free_energy`` under annealing, and ``estimators.Autoregressive`` on its draws. Where
shifts of all labels leave H as it is, the network has that symmetry exactly.

Consequence: training is the cost, some thousand steps whatever the accuracy wanted; to ask the same
model twice, keep the network (D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122, 080602 (2019)).
"""

import dataclasses
import functools
import math

import jax
import optax
from jaxtyping import Array, Key

from physdl.bibliography import cites
from physdl.errors import PhysdlError, SettingError
from physdl.estimators import Autoregressive, Estimate
from physdl.hamiltonian import Hamiltonian
from physdl.learning._falling import falling_adam
from physdl.learning.reverse_kl import minimise_free_energy
from physdl.networks import frontier
from physdl.networks.autoregressive import is_invariant
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random
from physdl.sampling._chains import positive
from physdl.sampling._kernel import random_configuration
from physdl.spaces import Finite

__all__ = ["VariationalAutoregressive"]

LOG_LEFT = 12.0
TRIED = 16


@cites("wu2019")
@module
class VariationalAutoregressive:
    """An autoregressive network trained on the Hamiltonian, then importance sampling from it.

    The estimate, its ``info`` and its statuses are those of ``estimators.Autoregressive``;
    ``"training_status"`` is a ``TrainingStatus``. Derivatives are those of the ensemble drawn.

    Attributes:
      n_steps: of the training.
      batch_size: draws a step.
      n_samples: draws at the end.
      width: of the hidden layer of the network.
      rate: the first learning rate of Adam; it falls to zero as a cosine.
      anneal: 1 - anneal^t multiplies h at step t; ``None`` is exp(-12 / n_steps), so that half the
        steps are taken at the temperature itself, within a quarter of a percent.

    Raises:
      SettingError: a number is out of range, or there is no key.
      SpaceError: the space is not finite.
      PhysdlError: the Hamiltonian is traced by ``jit`` or ``vmap``.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.44)
    >>> out = VariationalAutoregressive(n_steps=300, width=16)(h, key=jax.random.key(0))
    >>> bool(abs(out.log_z - reference.kaufman_log_z(4, 4, 0.44)) < 4 * out.stderr)
    True
    """

    n_steps: int = static(default=2000)
    batch_size: int = static(default=128)
    n_samples: int = static(default=2**13)
    width: int = static(default=32)
    rate: float = static(default=1e-2)
    anneal: float | None = static(default=None)

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size", "n_samples", "width"):
            positive(getattr(self, name), name)
        if not self.rate > 0:
            raise SettingError(f"the learning rate is positive, got {self.rate!r}.")

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate."""
        known = jax.lax.stop_gradient(h)
        if is_traced(known):
            raise PhysdlError(
                "a network is trained on a known Hamiltonian: inside jit and vmap train it before, "
                "and use estimators.Autoregressive."
            )
        if key is None:
            raise SettingError("training and draws take a key: give key=jax.random.key(0).")
        build_key, train_key, draw_key = random.split(key, 3)
        q = frontier(known, widths=(self.width,), cyclic=_is_cyclic(known), key=build_key)
        found = minimise_free_energy(
            q,
            known,
            optimizer=_rule(self.rate, self.n_steps),
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            anneal=math.exp(-LOG_LEFT / self.n_steps) if self.anneal is None else self.anneal,
            key=train_key,
        )
        out = Autoregressive(found.result, n_samples=self.n_samples)(h, key=draw_key)
        info = {**out.info, "training_status": found.status}
        method = f"{out.method}, trained in {self.n_steps} steps"
        return dataclasses.replace(out, info=info, method=method)

    def larger(self) -> "VariationalAutoregressive":
        """Twice the draws."""
        return dataclasses.replace(self, n_samples=2 * self.n_samples)


@functools.cache
def _rule(rate: float, n_steps: int) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(1.0), falling_adam(rate, n_steps))


def _is_cyclic(h: Hamiltonian) -> bool:
    """Whether a shift of all labels leaves the energies of random configurations as they are."""
    if not isinstance(h.space, Finite):
        return False
    keys = jax.random.split(jax.random.key(0), TRIED)
    x = jax.vmap(lambda key: random_configuration(h, key=key))(keys)
    return bool(is_invariant(h, x, 1))
