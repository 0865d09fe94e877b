r"""A causal transformer over the sites.

    x <- x + sum_heads softmax_{j <= i}(q_i . k_j / sqrt d) v_j,      x <- x + MLP(x),

on tokens that carry the state of the site before and a learned position, normalised before each
block (A. Vaswani et al., arXiv:1706.03762; R. Xiong et al., arXiv:2002.04745).

Consequence: correlations over any distance with few weights. A draw keeps the keys and values of
the sites that are drawn, so that it takes the work of one pass.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.networks.activations import GELU
from physdl.networks.autoregressive.autoregressive_network import (
    AutoregressiveNetwork,
    assembled,
    n_codes,
)
from physdl.networks.perceptron import Perceptron, sizes_of

__all__ = ["transformer"]


SMALL = 1e-6


class Norm(nnx.Module):
    """A vector with mean 0 and variance 1, times a scale for each component."""

    def __init__(self, width: int):
        self.scale = nnx.Param(jnp.ones(width))

    def __call__(self, x: Float[Array, "... w"]) -> Float[Array, "... w"]:
        """The normalised vectors."""
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        size = jnp.sqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + SMALL)
        shape = (1,) * (x.ndim - 1) + x.shape[-1:]
        return centred / size * self.scale[...].reshape(shape)


class Block(nnx.Module):
    """Attention to the tokens so far, then a perceptron on each."""

    def __init__(self, width: int, n_heads: int, *, rngs: nnx.Rngs):
        dtype = jnp.result_type(float)

        def linear(n_out: int) -> nnx.Linear:
            return nnx.Linear(width, n_out, param_dtype=dtype, precision="highest", rngs=rngs)

        self.n_heads = n_heads
        self.before = Norm(width)
        self.between = Norm(width)
        self.query, self.key, self.value, self.out = (linear(width) for _ in range(4))
        self.dense = Perceptron((width, 2 * width, width), GELU, rngs=rngs)

    def keys_and_values(self, x: Float[Array, "... w"]) -> tuple[Array, Array]:
        """What later tokens attend to."""
        y = self.before(x)
        return self._heads(self.key(y)), self._heads(self.value(y))

    def __call__(
        self,
        x: Float[Array, "m w"],
        keys: Float[Array, "n heads d"],
        values: Float[Array, "n heads d"],
        seen: Bool[Array, "m n"],
    ) -> Float[Array, "m w"]:
        """The tokens after attention to what they have seen, and after the perceptron."""
        query = self._heads(self.query(self.before(x)))
        score = jnp.einsum("mhd,nhd->hmn", query, keys, precision="highest")
        score = jnp.where(seen[None], score / np.sqrt(query.shape[-1]), -jnp.inf)
        weight = jax.nn.softmax(score, axis=-1)
        mean = jnp.einsum("hmn,nhd->mhd", weight, values, precision="highest")
        x = x + self.out(mean.reshape(x.shape))
        return x + self.dense(self.between(x))

    def _heads(self, x: Float[Array, "... w"]) -> Float[Array, "... heads d"]:
        return x.reshape(*x.shape[:-1], self.n_heads, x.shape[-1] // self.n_heads)


class CausalTransformer(nnx.Module):
    """Blocks over tokens, one a site; that of site i carries the state of site i - 1."""

    def __init__(
        self, n: int, d: int, q: int, width: int, depth: int, n_heads: int, *, rngs: nnx.Rngs
    ):
        dtype = jnp.result_type(float)
        self.embedding = nnx.Param(rngs.params.normal((d, width), dtype))
        self.position = nnx.Param(rngs.params.normal((n, width), dtype))
        self.blocks = nnx.List(Block(width, n_heads, rngs=rngs) for _ in range(depth))
        self.norm = Norm(width)
        self.last = nnx.Param(jnp.zeros((width, q), dtype))
        self.bias = nnx.Param(jnp.zeros((n, q), dtype))

    def __call__(self, codes: Float[Array, "n d"]) -> Float[Array, "n q"]:
        """The outputs of all sites."""
        n = len(codes)
        before = jnp.concatenate([jnp.zeros_like(codes[:1]), codes[:-1]])
        x, seen = self._tokens(before, jnp.arange(n)), jnp.asarray(np.tri(n, dtype=bool))
        for block in self.blocks:
            x = block(x, *block.keys_and_values(x), seen)
        return self._output(x) + self.bias[...]

    def start(self) -> list[tuple[Array, Array]]:
        """No keys and no values."""
        position = self.position[...]

        def none(part: Array) -> Array:
            return jnp.zeros((len(position), *part.shape))

        parts = [block.keys_and_values(position[0]) for block in self.blocks]
        return [(none(keys), none(values)) for keys, values in parts]

    def step(
        self, kept: list[tuple[Array, Array]], site: Int[Array, ""], codes: Float[Array, "n d"]
    ) -> tuple[Float[Array, " q"], list[tuple[Array, Array]]]:
        """The output of one site."""
        n, now = len(codes), []
        before = jnp.where(site > 0, codes[jnp.maximum(site - 1, 0)], 0)
        x, seen = self._tokens(before[None], site[None]), jnp.asarray(np.tri(n, dtype=bool))[site]
        for block, past in zip(self.blocks, kept, strict=True):
            new = block.keys_and_values(x[0])
            keys, values = (old.at[site].set(own) for old, own in zip(past, new, strict=True))
            x = block(x, keys, values, seen[None])
            now.append((keys, values))
        return self._output(x)[0] + self.bias[...][site], now

    def _tokens(self, before: Float[Array, "m d"], sites: Array) -> Float[Array, "m w"]:
        told = jnp.einsum("md,dw->mw", before, self.embedding[...], precision="highest")
        return told + self.position[...][sites]

    def _output(self, x: Float[Array, "m w"]) -> Float[Array, "m q"]:
        return jnp.einsum("mw,wq->mq", self.norm(x), self.last[...], precision="highest")


def transformer(
    h: Hamiltonian,
    *,
    width: int = 32,
    depth: int = 2,
    n_heads: int = 4,
    informed: bool = True,
    cyclic: bool = False,
    key: Key[Array, ""],
) -> AutoregressiveNetwork:
    """An autoregressive transformer: correlations over any distance, any graph.

    ``width`` is that of a token, ``depth`` the number of blocks.

    Raises:
      SpaceError: the space of h is not finite.
      SettingError: a size is below 1, the width is no multiple of the number of heads, or
        ``cyclic`` on sites that differ.

    >>> from physdl import models
    >>> q = transformer(models.sherrington_kirkpatrick(6), key=jax.random.key(0))
    >>> x, log_q = q.sample(jax.random.key(1))
    >>> bool(jnp.isclose(q.log_prob(x), log_q))
    True
    """
    width, depth, n_heads = sizes_of(width, depth, n_heads)
    if width % n_heads:
        raise SettingError(f"{n_heads} heads share a width evenly, got {width}.")
    d, q = n_codes(h)

    def make(rngs: nnx.Rngs) -> CausalTransformer:
        return CausalTransformer(h.n_sites, d, q, width, depth, n_heads, rngs=rngs)

    return assembled(h, make, informed=informed, cyclic=cyclic, key=key)
