r"""Neural Markov chains: proposals of a network, accepted so that exp(-H) is left invariant.

    x' ~ q,        accepted with probability  min(1, w(x') / w(x)),        w = exp(-H) / q,

the independence sampler of W. K. Hastings (Biometrika 57, 97 (1970)), for lattice models K. A.
Nicoli et al. (Phys. Rev. E 101, 023304 (2020)). Proposals do not depend on where the chain stands,
so valleys are no obstacle, and the autocorrelation is that of rejections: where w is bounded, every
step forgets the past with probability 1 / max w at least (K. L. Mengersen and R. L. Tweedie, Ann.
Stat. 24, 101 (1996)). States that q has lost hold the chain for long when it finds one.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.networks.autoregressive.autoregressive_network import AutoregressiveNetwork
from physdl.networks.autoregressive.mixture import Mixture
from physdl.pytree import module
from physdl.sampling import _random as random

__all__ = ["IndependenceSampler"]


@cites("nicoli2020")
@module
class IndependenceSampler:
    """A kernel of ``sampling``: whole configurations proposed by an autoregressive distribution.

    Reported: ``"acceptance"``, a probability.

    Attributes:
      q: proposes; on the sites of the Hamiltonian.

    Raises:
      SettingError: when called, q is of other sites than the Hamiltonian.

    >>> import jax
    >>> from physdl import lattices, models, networks, reference, sampling
    >>> h = models.ising(lattices.square(3, 3), 0.3)
    >>> kernel = networks.IndependenceSampler(
    ...     networks.frontier(h, widths=(1,), key=jax.random.key(0))
    ... )
    >>> out = sampling.run(kernel, h, key=jax.random.key(1), n_sweeps=500)
    >>> exact = 0.3 * reference.kaufman_energy(3, 3, 0.3)
    >>> bool(abs(out["energy"].mean.value - exact) < 4 * out["energy"].mean.stderr)
    True
    """

    q: AutoregressiveNetwork | Mixture

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*shape"], dict[str, Any]]:
        """The proposal, or the state again."""
        if (self.q.h.space, self.q.h.shape) != (h.space, h.shape):
            raise SettingError(
                f"the network proposes {self.q.h.space!r} of shape {self.q.h.shape}, and h is of "
                f"{h.space!r} of shape {h.shape}."
            )
        draw_key, accept_key = random.split(key)
        proposed, log_q = self.q.sample(draw_key)
        proposed = proposed.astype(state.dtype)
        gain = (h(state) - h(proposed)) + (self.q.log_prob(state) - log_q).astype(h.dtype)
        chance = jnp.exp(jnp.minimum(gain, 0))
        accepted = random.bernoulli(accept_key, chance)
        return jnp.where(accepted, proposed, state), {"acceptance": chance}
