r"""MADE: dense layers with masks, so that every site sees those before it.

Every layer has ``width`` neurons for each site. Those of site i read inputs of sites j < i in the
first layer and neurons of sites j <= i in the others (M. Germain et al., arXiv:1502.03509; with
sites as groups of neurons in D. Wu et al., arXiv:1809.10606).

Consequence: n^2 width^2 weights a layer, for interactions of any range. A draw computes the neurons
of one site at a time, the work of one pass in all.
"""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from physdl.bibliography import cites
from physdl.hamiltonian import Hamiltonian
from physdl.networks.activations import TANH, Activation
from physdl.networks.autoregressive.autoregressive_network import (
    AutoregressiveNetwork,
    assembled,
    n_codes,
)
from physdl.networks.perceptron import sizes_of

__all__ = ["made"]


class MaskedDense(nnx.Module):
    """Masked dense layers over sites and neurons of a site."""

    def __init__(self, n: int, sizes: Sequence[int], activation: Activation, *, rngs: nnx.Rngs):
        dtype = jnp.result_type(float)
        self.activation = activation
        kernels = []
        for k, (a, b) in enumerate(itertools.pairwise(sizes)):
            n_in = np.maximum(np.arange(n) + (k > 0), 1) * a
            spread = np.sqrt(1 / n_in)[:, None, None, None] * (k + 2 < len(sizes))
            kernels.append(jnp.asarray(spread, dtype) * rngs.params.normal((n, b, n, a), dtype))
        self.kernels = nnx.List(map(nnx.Param, kernels))
        self.biases = nnx.List(nnx.Param(jnp.zeros((n, b), dtype)) for b in sizes[1:])

    def __call__(self, codes: Float[Array, "n d"]) -> Float[Array, "n q"]:
        """The outputs of all sites."""
        n, values = len(codes), codes
        for k, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            mask = jnp.asarray(np.tril(np.ones((n, n), bool), -1 if k == 0 else 0))
            weights = jnp.where(mask[:, None, :, None], kernel[...], 0)
            inputs = self.activation(values) if k else values
            values = jnp.einsum("ibja,ja->ib", weights, inputs, precision="highest") + bias[...]
        return values

    def start(self) -> list[Array]:
        """No neuron of the hidden layers is known."""
        return [jnp.zeros_like(bias[...]) for bias in self.biases[:-1]]

    def step(
        self, kept: list[Array], site: Int[Array, ""], codes: Float[Array, "n d"]
    ) -> tuple[Float[Array, " q"], list[Array]]:
        """The output of one site; neurons of later sites are 0, which stands for the masks."""
        inputs, layers = codes, []
        value = codes[0]
        for k, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            own = kernel[...][site]
            value = jnp.einsum("bja,ja->b", own, inputs, precision="highest") + bias[...][site]
            if k < len(kept):
                inputs = kept[k].at[site].set(self.activation(value))
                layers.append(inputs)
        return value, layers


@cites("germain2015")
def made(
    h: Hamiltonian,
    *,
    widths: Sequence[int] = (4,),
    activation: Activation = TANH,
    informed: bool = True,
    cyclic: bool = False,
    key: Key[Array, ""],
) -> AutoregressiveNetwork:
    """An autoregressive network of masked dense layers: interactions of any range, small systems.

    ``widths`` are neurons per site of the hidden layers; none is a linear model.

    Raises:
      SpaceError: the space of h is not finite.
      SettingError: a width is below 1, or ``cyclic`` on sites that differ.

    >>> import jax
    >>> from physdl import models
    >>> q = made(models.sherrington_kirkpatrick(6), informed=False, key=jax.random.key(0))
    >>> x, log_q = q.sample(jax.random.key(1))
    >>> x.shape, round(float(log_q / jnp.log(2.0)), 4)  # uniform before it has learned
    ((6,), -6.0)
    """
    d, q = n_codes(h)
    sizes = sizes_of(d, *widths, q)

    def make(rngs: nnx.Rngs) -> MaskedDense:
        return MaskedDense(h.n_sites, sizes, activation, rngs=rngs)

    return assembled(h, make, informed=informed, cyclic=cyclic, key=key)
