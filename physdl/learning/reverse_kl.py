r"""Variational free energies: a distribution with exact draws, fitted to a Hamiltonian.

    minimise  F_q = E_{x ~ q}[log q(x) + H(x)] = -log Z + KL(q || p),      p = exp(-H) / Z,

over the network of an autoregressive q. No samples of p are needed, and -F_q is a lower bound of
log Z. Draws are discrete, so the gradient is that of REINFORCE, with the mean of the other draws of
the batch as the baseline,

    dF_q = E[sum_i d log q_i(x_i | x_<i) (R_i - <R_i>)],     R_i = sum_{j >= i} (log q_j + E_j),

where R_i counts what is still to come after site i, since what was before it cannot depend on x_i:
H = c + sum_j E_j is shared out to sites by the order in which they are drawn. A mixture, whose
probability is no product, takes the whole of log q + H for every site.

Near the optimum log q + H is constant and the noise of the gradient vanishes, so that an expressive
network comes as close as it can.

At low temperatures q may fall into one of several valleys and not know of the others. Annealing
trains it on b_t H + log q instead, b_t = 1 - anneal^t, from high temperature on.

Sources: D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122, 080602 (2019) (arXiv:1809.10606);
baselines from the batch: W. Kool, H. van Hoof and M. Welling, ICLR workshop (2019).
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.learning.training import Training, train
from physdl.networks import AutoregressiveNetwork, Mixture, Network
from physdl.pytree import module, static
from physdl.sampling import _random as random

__all__ = ["ReverseKL", "minimise_free_energy"]

Q = TypeVar("Q", AutoregressiveNetwork, Mixture)


@cites("wu2019")
@module
class ReverseKL:
    """The objective: F_q of a batch, with the gradient of REINFORCE.

    Called as (network, t, key) -> (F_q, t + 1), for ``train`` and ``fit`` with ``state=0.0``; its
    value is a surrogate where the temperature changes.

    Attributes:
      q: the distribution whose network is trained.
      h: the Hamiltonian it is to imitate.
      batch_size: draws of a step, two at least.
      anneal: b_t = 1 - anneal^t multiplies h; 0 is no annealing.
    """

    q: AutoregressiveNetwork | Mixture
    h: Hamiltonian
    batch_size: int = static()
    anneal: float = static(default=0.0)

    def __call__(
        self, network: Network, t: Float[Array, ""], key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The mean of log q + b H over the batch, and the number of the next step."""
        h = self.h
        if self.anneal:
            h = (1 - jnp.asarray(self.anneal, t.dtype) ** (t + 1)).astype(h.dtype) * h
        q = self.q.with_parts(network, h)
        x, _ = jax.vmap(jax.lax.stop_gradient(q).sample)(random.split(key, self.batch_size))
        log_q, cost = jax.vmap(lambda x: _shared_out(q, h, x))(jax.lax.stop_gradient(x))
        held = jax.lax.stop_gradient(log_q)
        to_come = jnp.cumsum((held + cost)[:, ::-1], axis=1)[:, ::-1]
        above = to_come - jnp.mean(to_come, axis=0, keepdims=True)
        pull = jnp.sum(log_q * above) / (self.batch_size - 1)
        value = jnp.mean(jnp.sum(held, axis=1) + jax.vmap(h)(x))
        return value + (pull - jax.lax.stop_gradient(pull)), t + 1


def minimise_free_energy(
    q: Q,
    h: Hamiltonian,
    *,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    batch_size: int = 256,
    anneal: float = 0.0,
    key: Key[Array, ""],
) -> Training[Q]:
    """Fit an autoregressive distribution to a Hamiltonian, by its variational free energy.

    The losses are F_q of every batch, of b_t h while the temperature changes. Compiled once for
    each structure: another h of the same kind, or a q trained before, is taken as data. For
    checkpoints and early stopping give ``ReverseKL`` to ``fit``.

    Args:
      q: of ``networks.frontier``, ``made``, ``pixel_cnn``, ``transformer`` or ``mixture``.
      h: on the same sites and space; its fields become those of q.
      optimizer: of optax, best with ``optax.clip_by_global_norm``.
      n_steps: updates.
      batch_size: draws of an update, the baseline of one being the mean of the others.
      anneal: b_t = 1 - anneal^t multiplies h at step t; 0 is no annealing.
      key: of all draws.

    Raises:
      SettingError: a number is out of range, or h has other sites than q.

    >>> from physdl import lattices, models, networks, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> found = minimise_free_energy(
    ...     networks.frontier(h, widths=(16,), key=jax.random.key(0)),
    ...     h,
    ...     optimizer=optax.adam(1e-2),
    ...     n_steps=300,
    ...     batch_size=64,
    ...     key=jax.random.key(1),
    ... )
    >>> bound, exact = -jnp.mean(found.losses[-100:]), reference.kaufman_log_z(4, 4, 0.4)
    >>> bool(exact - 0.1 < bound < exact + 0.02)
    True
    """
    if not isinstance(batch_size, int) or batch_size < 2:
        raise SettingError(f"a baseline takes a batch of two draws or more, got {batch_size!r}.")
    if not 0 <= anneal < 1:
        raise SettingError(f"anneal lies between 0 and 1, got {anneal!r}.")
    if (q.h.space, q.h.shape) != (h.space, h.shape):
        raise SettingError(
            f"the network draws {q.h.space!r} of shape {q.h.shape}, and h is of {h.space!r} of "
            f"shape {h.shape}."
        )
    found = train(
        ReverseKL(q, h, batch_size, float(anneal)),
        q.network,
        optimizer=optimizer,
        n_steps=n_steps,
        key=key,
        state=0.0,
        surrogate=anneal > 0,
    )
    best = q.with_parts(found.result, h)
    return Training(best, found.losses, found.skipped, found.status, found.state)


def _shared_out(
    q: AutoregressiveNetwork | Mixture, h: Hamiltonian, x: Array
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """log q and H of one configuration as sums, over its sites where q is a product."""
    if isinstance(q, Mixture):
        return q.log_prob(x)[None], h(x)[None]
    log_q, energies, label = q.site_terms(x)
    own = [jnp.take_along_axis(a, label[:, None], axis=1)[:, 0] for a in (log_q, energies)]
    return own[0], own[1]
