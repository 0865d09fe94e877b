r"""Functions of sets: the order of the elements does not matter, nor does their number.

    f({x_1, ..., x_n}) = rho(sum_i phi(x_i))

with two perceptrons phi and rho. Every continuous permutation-invariant function has this form if
phi is wide enough (M. Zaheer et al., Deep Sets, arXiv:1703.06114, Theorem 2). An energy of n equal
particles is one, and so is an order parameter.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from physdl.networks.activations import TANH, Activation
from physdl.networks.network import Network, build
from physdl.networks.perceptron import Perceptron, sizes_of

__all__ = ["DeepSets", "deep_sets"]


class DeepSets(nnx.Module):
    """rho(sum_i phi(x_i))."""

    def __init__(self, phi: Perceptron, rho: Perceptron):
        self.phi = phi
        self.rho = rho

    def __call__(self, x: Float[Array, "n features"]) -> Float[Array, " n_out"]:
        """The first axis runs over the elements of the set."""
        return self.rho(jnp.sum(self.phi(x), axis=0))


def deep_sets(
    n_features: int,
    n_out: int,
    *,
    n_latent: int = 32,
    widths: Sequence[int] = (64,),
    activation: Activation = TANH,
    key: Key[Array, ""],
) -> Network:
    """A network of a set of vectors, shape [n, n_features] for any n, to n_out numbers.

    ``n_latent`` is the number of outputs of phi, ``widths`` the hidden layers of phi and of rho.

    Raises:
      SettingError: a size is below 1.

    >>> import jax
    >>> network = deep_sets(2, 1, key=jax.random.key(0))
    >>> x = jnp.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> bool(jnp.allclose(network(x), network(x[::-1])))
    True
    """
    inner = sizes_of(n_features, *widths, n_latent)
    outer = sizes_of(n_latent, *widths, n_out)

    def make(rngs: nnx.Rngs) -> DeepSets:
        phi = Perceptron(inner, activation, rngs=rngs)
        return DeepSets(phi, Perceptron(outer, activation, rngs=rngs))

    return build(make, key=key)
