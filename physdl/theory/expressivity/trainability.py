r"""Depth, width and what training makes of them: the product of n numbers, learned.

Theorems say which networks exist, not which are found. Rolnick & Tegmark (arXiv:1705.05502, Fig. 2)
trained dense networks to multiply,

    y = x_1 x_2 ... x_20,      x_i uniform in [0, 2],

with tanh and the loss abs(N(x) - y), and mapped the loss over depth and width. They print a heat
map and no table; here the map is an array, with an ensemble at every place.

Convention: losses are means over fresh inputs, the same for all networks. ``trivial`` is the loss
of the best constant, the median. For n = 20 most products are tiny and their mean is 1, so it is a
little below 1, and a network below it has learned something.

Consequence: depth trains. Means of 4 networks after 3000 steps of Adam (batches of 128, rates from
0.003 down to 0 by a cosine, key 0, 2^15 test inputs), over the trivial loss:

| depth | n = 6: width 4 | 16 | 64 | n = 20: width 4 | 16 | 64 |
|---|---|---|---|---|---|---|
| 1 | 0.735(28) | 0.508(10) | 0.386(4) | 0.9948(3) | 0.9912(1) | 0.9843(4) |
| 2 | 0.537(22) | 0.307(14) | 0.238(4) | 0.9939(2) | 0.982(4) | 0.968(2) |
| 3 | 0.403(9) | 0.206(17) | 0.0877(9) | 0.985(8) | 0.951(7) | 0.808(4) |

y has variance (4/3)^n - 1, 314 for n = 20, so that losses fluctuate with the inputs: compare places
of one map, and take the errors of means from the ensemble (``stderr``). ReLU, and tanh without
biases, are outside the hypotheses of the theorems; the networks here have biases.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError
from physdl.learning import train
from physdl.networks import TANH, Activation, Network, mlp
from physdl.pytree import module, static

__all__ = ["TrainabilityMap", "product_trainability"]

UPPER = 2.0
MOST_AT_ONCE = 2**12


@module
class TrainabilityMap:
    """Losses after training over depth and width.

    Attributes:
      losses: mean absolute error of every network, [n_depths, n_widths, n_networks].
      trivial: the loss of the best constant at the same inputs.
      depths: hidden layers, one for each row.
      widths: neurons of each layer, one for each column.
    """

    losses: Float[Array, "n_depths n_widths n_networks"]
    trivial: Float[Array, ""]
    depths: tuple[int, ...] = static()
    widths: tuple[int, ...] = static()

    @property
    def mean(self) -> Float[Array, "n_depths n_widths"]:
        """The heat map: means over the ensemble."""
        return jnp.mean(self.losses, axis=-1)

    @property
    def stderr(self) -> Float[Array, "n_depths n_widths"]:
        """Standard errors of the means, from the ensemble; nan for a single network."""
        n = self.losses.shape[-1]
        return jnp.std(self.losses, axis=-1, ddof=1) / jnp.sqrt(jnp.asarray(n, self.losses.dtype))


@module
class _Products:
    """The loss at fresh inputs."""

    n_inputs: int = static()
    batch_size: int = static()

    def __call__(self, network: Network, key: Key[Array, ""]) -> Float[Array, ""]:
        x, y = _examples(key, self.batch_size, self.n_inputs)
        return jnp.mean(jnp.abs(jax.vmap(network)(x)[:, 0] - y))


def product_trainability(
    n_inputs: int = 20,
    *,
    depths: Sequence[int] = (1, 2, 3, 4, 5),
    widths: Sequence[int] = (8, 16, 32, 64, 128),
    optimizer: Any,
    n_steps: int = 20_000,
    batch_size: int = 256,
    n_networks: int = 8,
    n_test: int = 2**16,
    activation: Activation = TANH,
    key: Key[Array, ""],
) -> TrainabilityMap:
    """Train ensembles of dense networks to multiply, one for each depth and width.

    The defaults are large (the paper's input; its grid and number of steps are not known to us).
    Each place of the map is one compilation.

    Raises:
      SettingError: a number is below 1, or the optimizer is none of optax.

    >>> import optax
    >>> found = product_trainability(
    ...     2,
    ...     depths=[1],
    ...     widths=[8],
    ...     optimizer=optax.adam(1e-2),
    ...     n_steps=200,
    ...     n_networks=2,
    ...     n_test=1024,
    ...     key=jax.random.key(0),
    ... )
    >>> found.losses.shape, bool(jnp.all(found.losses < found.trivial / 2))
    ((1, 1, 2), True)
    """
    numbers = [n_inputs, n_steps, batch_size, n_networks, n_test, *depths, *widths]
    if any(int(v) != v or v < 1 for v in numbers) or not depths or not widths:
        raise SettingError(
            f"inputs, steps, sizes, depths and widths are integers >= 1, got n_inputs={n_inputs!r},"
            f" n_steps={n_steps!r}, batch_size={batch_size!r}, n_networks={n_networks!r}, "
            f"n_test={n_test!r}, depths={list(depths)!r}, widths={list(widths)!r}."
        )
    test_key, grid_key = jax.random.split(key)
    x, y = _examples(test_key, n_test, n_inputs)
    objective = _Products(n_inputs, batch_size)

    def ensemble(depth: int, width: int, key: Key[Array, ""]) -> Float[Array, " n_networks"]:
        def loss(key: Key[Array, ""]) -> Float[Array, ""]:
            start, steps = jax.random.split(key)
            layers = (int(width),) * int(depth)
            network = mlp(n_inputs, 1, widths=layers, activation=activation, key=start)
            after = train(objective, network, optimizer=optimizer, n_steps=n_steps, key=steps)
            found = jax.lax.map(after.result, x, batch_size=min(n_test, MOST_AT_ONCE))[:, 0]
            return jnp.mean(jnp.abs(found - y))

        return jax.vmap(loss)(jax.random.split(key, n_networks))

    places = [(depth, width) for depth in depths for width in widths]
    keys = jax.random.split(grid_key, len(places))
    losses = jnp.stack([ensemble(*place, k) for place, k in zip(places, keys, strict=True)])
    return TrainabilityMap(
        losses.reshape(len(depths), len(widths), n_networks),
        jnp.mean(jnp.abs(y - jnp.median(y))),
        depths=tuple(int(d) for d in depths),
        widths=tuple(int(w) for w in widths),
    )


def _examples(
    key: Key[Array, ""], n: int, n_inputs: int
) -> tuple[Float[Array, "n n_inputs"], Float[Array, " n"]]:
    x = jax.random.uniform(key, (n, n_inputs), maxval=UPPER)
    return x, jnp.prod(x, axis=-1)
