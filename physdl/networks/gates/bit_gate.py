r"""The product of bits by one neuron.

    prod_i x_i  ~  s(beta (sum_i x_i - k + 1/2)),        s(u) = 1 / (1 + exp(-u)),

for k variables 0 or 1: the neuron is on where all bits are. Its worst error is s(-beta/2), so D
decimals need beta = 2 D log 10. The text around Eq. 13 of Lin & Tegmark (arXiv:1608.08225) says
D log 10 (by a reading note), which is too small by a factor 2.
"""

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.networks.activations import LOGISTIC
from physdl.pytree import module, static

__all__ = ["BitGate", "bit_product"]


@module
class BitGate:
    """The product of k bits by one logistic neuron: s(beta (sum_i x_i - k + 1/2)).

    Attributes:
      n_inputs: k.
      beta: the steepness; the worst error is 1 / (1 + exp(beta / 2)).
    """

    n_inputs: int = static()
    beta: float = static()

    def __call__(self, x: ArrayLike) -> Float[Array, ""]:
        """The product of one vector of bits, nearly."""
        bits = jnp.asarray(x, jnp.result_type(float))
        return LOGISTIC(self.beta * (jnp.sum(bits) - self.n_inputs + 0.5))

    @property
    def n_neurons(self) -> int:
        """One."""
        return 1

    @property
    def largest_error(self) -> float:
        """1 / (1 + exp(beta / 2)), reached where all bits are 1 or all but one."""
        return 1 / (1 + math.exp(self.beta / 2))


@cites("lin2017")
def bit_product(n_inputs: int, *, decimals: float) -> BitGate:
    """The product of bits to so many decimals: beta = 2 D log 10 (see the module docstring).

    Raises:
      SettingError: fewer than one bit, or no decimals.

    >>> gate = bit_product(3, decimals=3)
    >>> round(gate.beta, 4), gate.largest_error < 1e-3
    (13.8155, True)
    >>> round(BitGate(3, gate.beta / 2).largest_error, 4)  # with beta = D log 10
    0.0307
    """
    if n_inputs < 1:
        raise SettingError(f"a product of bits has at least one factor, got {n_inputs}.")
    if not decimals > 0:
        raise SettingError(f"the number of decimals is > 0, got {decimals!r}.")
    return BitGate(int(n_inputs), 2 * decimals * math.log(10))
