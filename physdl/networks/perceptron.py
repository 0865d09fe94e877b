"""Multilayer perceptrons: dense layers with an activation between them."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError
from physdl.networks.activations import TANH, Activation
from physdl.networks.network import Network, build

__all__ = ["Perceptron", "mlp", "sizes_of"]


class Perceptron(nnx.Module):
    """x -> A_k s(... s(A_1 x)), the last layer without activation."""

    def __init__(self, sizes: Sequence[int], activation: Activation, *, rngs: nnx.Rngs):
        dtype = jnp.result_type(float)
        self.activation = activation
        self.layers = nnx.List(
            nnx.Linear(n_in, n_out, param_dtype=dtype, rngs=rngs)
            for n_in, n_out in itertools.pairwise(sizes)
        )

    def __call__(self, x: Float[Array, "... n_in"]) -> Float[Array, "... n_out"]:
        """The last axis runs over inputs and over outputs."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        output: Array = last(x)
        return output


def mlp(
    n_in: int,
    n_out: int,
    *,
    widths: Sequence[int] = (64, 64),
    activation: Activation = TANH,
    key: Key[Array, ""],
) -> Network:
    """A perceptron with hidden layers of the given widths; weights of variance 1 / fan-in.

    Smooth activations make smooth functions, whose derivatives (forces, critical exponents) exist.

    Raises:
      SettingError: a width or a number of inputs or outputs is below 1.

    >>> import jax
    >>> network = mlp(3, 2, widths=(8,), key=jax.random.key(0))
    >>> network(jnp.ones(3)).shape, network.n_parameters  # 3 * 8 + 8 + 8 * 2 + 2
    ((2,), 50)
    """
    sizes = sizes_of(n_in, *widths, n_out)
    return build(lambda rngs: Perceptron(sizes, activation, rngs=rngs), key=key)


def sizes_of(*sizes: int) -> tuple[int, ...]:
    """The sizes as integers, or ``SettingError``."""
    if any(int(n) != n or n < 1 for n in sizes):
        raise SettingError(f"layers have integer sizes >= 1, got {sizes!r}.")
    return tuple(int(n) for n in sizes)
