r"""A gated PixelCNN: a box in two dimensions, read row by row.

    v^{k+1} = g(K_v * v^k + a),   h^{k+1} = g(K_h * h^k + P v^{k+1} + b) + h^k,   g = tanh sigmoid,

with v a summary of the rows above, as far as ``reach`` rows and columns a layer, and h one of the
sites to the left in the same row (A. van den Oord et al., arXiv:1606.05328, whose two stacks leave
no blind spot).

Convention: convolutions go round along the rows, which breaks no causality for the rows above, and
v sees the first row at all times, since on a torus it is the neighbour of the last. Biases belong
to sites, so that a network can tell where it is.

Consequence: weights are shared by all sites. A draw computes v once a row and h once a site: the
work of one pass.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.networks.autoregressive.autoregressive_network import (
    AutoregressiveNetwork,
    assembled,
    n_codes,
)
from physdl.networks.perceptron import sizes_of

__all__ = ["pixel_cnn"]


class GatedConvolution(nnx.Module):
    """Two stacks of gated convolutions."""

    def __init__(
        self,
        box: tuple[int, int],
        d: int,
        q: int,
        width: int,
        depth: int,
        reach: int,
        *,
        rngs: nnx.Rngs,
    ):
        dtype = jnp.result_type(float)
        self.box, self.reach = box, reach

        def kernel(*shape: int) -> nnx.Param[Array]:
            spread = jnp.asarray(shape[0] * shape[1] * shape[2], dtype) ** -0.5
            return nnx.Param(spread * rngs.params.normal(shape, dtype))

        def bias(*shape: int) -> nnx.Param[Array]:
            return nnx.Param(jnp.zeros(shape, dtype))

        columns, twice, layers = 2 * reach + 1, 2 * width, range(depth)
        self.down = nnx.List(kernel(reach, columns, width if k else 2 * d, twice) for k in layers)
        self.along = nnx.List(kernel(1, reach + (k > 0), width if k else d, twice) for k in layers)
        self.across = nnx.List(kernel(1, 1, width, twice) for _ in layers)
        self.above_bias = nnx.List(bias(*box, twice) for _ in layers)
        self.left_bias = nnx.List(bias(*box, twice) for _ in layers)
        self.last, self.last_bias = nnx.Param(jnp.zeros((width, q), dtype)), bias(*box, q)

    def __call__(self, codes: Float[Array, "n d"]) -> Float[Array, "n q"]:
        """The outputs of all sites."""
        grid = codes.reshape(*self.box, codes.shape[-1])
        first = jnp.broadcast_to(grid[:1], grid.shape).at[0].set(0)
        above = jnp.concatenate([jnp.pad(grid, ((1, 0), (0, 0), (0, 0)))[:-1], first], axis=-1)
        left, strictly = grid, 1
        for k, (down, along) in enumerate(zip(self.down, self.along, strict=True)):
            rows = jnp.pad(above, ((self.reach - 1, 0), (0, 0), (0, 0)))
            above = _gated(self._down(down, rows) + self.above_bias[k][...])
            columns = jnp.pad(left, ((0, 0), (self.reach, 0), (0, 0)))
            seen = _convolved(columns[:, : columns.shape[1] - strictly], along[...])
            new = _gated(seen + self._across(k, above) + self.left_bias[k][...])
            left, strictly = new if k == 0 else new + left, 0
        out = jnp.einsum("rcw,wq->rcq", left, self.last[...], precision="highest")
        return (out + self.last_bias[...]).reshape(len(codes), -1)

    def start(self) -> Any:
        """No rows of the first stack, and no sites of the second."""
        rows, columns = self.box
        inputs = [kernel.shape[2] for kernel in self.down]
        width = self.last.shape[0]
        above = [jnp.zeros((rows + self.reach - 1, columns, n)) for n in inputs]
        now = jnp.zeros((len(inputs), columns, 2 * width))
        left = [jnp.zeros((columns + self.reach, width)) for _ in inputs[1:]]
        return above, now, left

    def step(
        self, kept: Any, site: Int[Array, ""], codes: Float[Array, "n d"]
    ) -> tuple[Float[Array, " q"], Any]:
        """The output of one site."""
        grid = codes.reshape(*self.box, codes.shape[-1])
        row, column = site // self.box[1], site % self.box[1]
        above, now, left = jax.lax.cond(
            column == 0, self._next_row, lambda kept, row, grid: kept, kept, row, grid
        )
        own, now_left = jnp.pad(grid[row], ((self.reach, 0), (0, 0))), []
        window = jax.lax.dynamic_slice_in_dim(own, column, self.reach)
        value = jnp.zeros(self.last.shape[0])
        for k, along in enumerate(self.along):
            seen = _convolved(window[None], along[...])[0, 0]
            new = _gated(seen + now[k, column] + self.left_bias[k][...][row, column])
            value = new if k == 0 else new + value
            if k < len(left):
                past = left[k].at[column + self.reach].set(value)
                window = jax.lax.dynamic_slice_in_dim(past, column, self.reach + 1)
                now_left.append(past)
        out = jnp.einsum("w,wq->q", value, self.last[...], precision="highest")
        return out + self.last_bias[...][row, column], (above, now, now_left)

    def _next_row(self, kept: Any, row: Int[Array, ""], grid: Float[Array, "r c d"]) -> Any:
        """The first stack for a row, and none of its sites in the second."""
        above, _, left = kept
        before, first = grid[jnp.maximum(row - 1, 0)], grid[0]
        new = jnp.where(row > 0, jnp.concatenate([before, first], axis=-1), 0)
        caches, now = [], []
        for k, (down, cache) in enumerate(zip(self.down, above, strict=True)):
            cache = cache.at[row + self.reach - 1].set(new)
            rows = jax.lax.dynamic_slice_in_dim(cache, row, self.reach)
            new = _gated(self._down(down, rows)[0] + self.above_bias[k][...][row])
            caches.append(cache)
            now.append(self._across(k, new[None])[0])
        return caches, jnp.stack(now), jax.tree.map(jnp.zeros_like, left)

    def _down(self, kernel: nnx.Param[Array], rows: Float[Array, "r c a"]) -> Array:
        n = rows.shape[1]
        around = rows[:, (jnp.arange(-self.reach, n + self.reach)) % n]
        return _convolved(around, kernel[...])

    def _across(self, k: int, above: Float[Array, "r c w"]) -> Array:
        return _convolved(above, self.across[k][...])


def _convolved(x: Float[Array, "r c a"], kernel: Float[Array, "i j a b"]) -> Array:
    out: Array = jax.lax.conv_general_dilated(
        x[None],
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )
    return out[0]


def _gated(x: Float[Array, "... twice"]) -> Array:
    value, gate = jnp.split(x, 2, axis=-1)
    return jnp.tanh(value) * jax.nn.sigmoid(gate)


def pixel_cnn(
    h: Hamiltonian,
    *,
    width: int = 16,
    depth: int = 3,
    reach: int = 3,
    informed: bool = True,
    cyclic: bool = False,
    key: Key[Array, ""],
) -> AutoregressiveNetwork:
    """A gated PixelCNN for configurations on a box in two dimensions.

    ``width`` are the channels, ``depth`` the layers of each stack, ``reach`` the sites that a layer
    looks up, left and right.

    Raises:
      SpaceError: the space of h is not finite.
      ShapeError: configurations have another number of axes than two.
      SettingError: a size is below 1, or ``cyclic`` on sites that differ.

    >>> from physdl import lattices, models
    >>> h = models.potts(lattices.square(3, 3), 3, 0.5)
    >>> q = pixel_cnn(h, width=4, key=jax.random.key(0))
    >>> x, log_q = q.sample(jax.random.key(1))
    >>> x.shape, bool(jnp.isclose(q.log_prob(x), log_q))
    ((3, 3, 3), True)
    """
    width, depth, reach = sizes_of(width, depth, reach)
    if len(h.shape) != 2:
        raise ShapeError(
            f"a PixelCNN reads boxes of two axes row by row, got configurations of shape "
            f"{h.shape}: use frontier(), made() or transformer()."
        )
    if reach > h.shape[1]:
        raise SettingError(f"a row of {h.shape[1]} sites is too short for a reach of {reach}.")
    d, q = n_codes(h)
    rows, columns = h.shape

    def make(rngs: nnx.Rngs) -> GatedConvolution:
        return GatedConvolution((rows, columns), d, q, width, depth, reach, rngs=rngs)

    return assembled(h, make, informed=informed, cyclic=cyclic, key=key)
