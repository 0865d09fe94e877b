r"""The density of states: how many states there are at every energy, and so log Z at every b.

On a path H_b = h0 + b (h - h0) with slope D = h - h0, let g_k be the weight exp(-h0) of all
configurations whose D lies in bin k. Then

    Z_b = sum_k g_k exp(-b D_k).

Without a reference h0 = 0: D is the energy of h, g_k a number of states (a volume on spheres) and b
an inverse temperature. One density holds the thermodynamics at every b whose D it covers.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.numerics import logsumexp
from physdl.pytree import module

__all__ = ["DensityOfStates"]


@module
class DensityOfStates:
    """The logarithm of the number of states per bin of D.

    Attributes:
      energies: D of every bin, its mean over the bin, [n_bins].
      log_g: log of the number of states, normalised to that of all states (in general to Z of the
        reference), [n_bins]; ``-inf`` where none was met.
      stderr: standard errors of ``log_g``, [n_bins]; NaN where unknown.

    >>> log_g = jnp.log(jnp.array([2.0, 2.0]))
    >>> pair = DensityOfStates(jnp.array([-1.0, 1.0]), log_g, jnp.zeros(2))
    >>> bool(jnp.isclose(pair.log_z(0.3), jnp.log(4 * jnp.cosh(0.3)), rtol=1e-6))
    True
    >>> bool(jnp.isclose(pair.energy(0.3), -jnp.tanh(0.3), rtol=1e-6))
    True
    """

    energies: Float[Array, " n_bins"]
    log_g: Float[Array, " n_bins"]
    stderr: Float[Array, " n_bins"]

    def log_z(self, b: ArrayLike) -> Float[Array, ""]:
        """log Z_b, in nats."""
        return logsumexp(self.log_g - _number(b, self.log_g) * self.energies)

    def energy(self, b: ArrayLike) -> Float[Array, ""]:
        """The mean of D at b, -d log Z / db."""
        return -jnp.asarray(jax.grad(self.log_z)(_number(b, self.log_g)))

    def specific_heat(self, b: ArrayLike) -> Float[Array, ""]:
        """b^2 times the variance of D at b, b^2 d^2 log Z / db^2, in units of k_B."""
        number = _number(b, self.log_g)
        return number**2 * jnp.asarray(jax.grad(jax.grad(self.log_z))(number))


def _number(b: ArrayLike, like: Array) -> Float[Array, ""]:
    return jnp.asarray(b, like.dtype)
