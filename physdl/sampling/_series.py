"""Measurements of a running chain in constant memory, and what they say at the end.

A chain of n draws is cut into at most ``MOST_BLOCKS`` blocks of equal length b; only the sums over
each block, of the values and of their squares, are kept. Blocks carry everything that follows: the
mean, its error with autocorrelation, any function of means by jackknife, R-hat. With v the variance
of the draws and tau_b the autocorrelation time of the block means,

    stderr^2 = var(block means) 2 tau_b / n_blocks,      tau = n stderr^2 / (2 v)      (in draws),

which is the usual estimate where b = 1. Draws after the last whole block are not counted.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl import statistics
from physdl.errors import ShapeError
from physdl.pytree import module, static
from physdl.statistics import Mean

__all__ = ["Blocks", "Series"]

MOST_BLOCKS = 2048
FEWEST = 8


@module
class Series:
    """Block means of one observable in several chains.

    Attributes:
      blocks: means over the blocks, [n_chains, n_blocks, ...].
      squares: means of the squares over the blocks, the same shape.
      block: draws in a block.
      thin: sweeps between draws.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> series = Series(draws, draws**2, block=1, thin=1)
    >>> bool(abs(series.mean.value) < 4 * series.mean.stderr), bool(abs(series.tau - 0.5) < 0.1)
    (True, True)
    """

    blocks: Float[Array, "n_chains n_blocks ..."]
    squares: Float[Array, "n_chains n_blocks ..."]
    block: int = static(default=1)
    thin: int = static(default=1)

    @property
    def n_draws(self) -> int:
        """Draws of all chains that are counted."""
        return int(self.blocks.shape[0] * self.blocks.shape[1] * self.block)

    @property
    def mean(self) -> Mean:
        """The mean over all chains, with the standard error that autocorrelation leaves."""
        if self.blocks.shape[1] < FEWEST:
            value = jnp.mean(self.blocks, axis=(0, 1))
            return Mean(value, jnp.full_like(value, jnp.nan))
        out: Mean = self._each(statistics.mean)
        return out

    @property
    def variance(self) -> Mean:
        """The variance of the draws, <x^2> - <x>^2, with its standard error by jackknife."""
        return self.function(lambda m: m[..., 1] - m[..., 0] ** 2)

    def function(self, f: Callable[[Array], Array]) -> Mean:
        """A function of the means of x and x^2, stacked on the last axis, by jackknife.

        Raises:
          ShapeError: there are fewer than 16 blocks.
        """
        return jackknife(f, [self])

    @property
    def tau(self) -> Float[Array, "..."]:
        """Integrated autocorrelation time in sweeps; thin / 2 where draws are independent."""
        spread = jnp.mean(self.squares, axis=(0, 1)) - jnp.mean(self.blocks, axis=(0, 1)) ** 2
        return self.thin * self.n_draws * self.mean.stderr**2 / (2 * spread)

    @property
    def effective_sample_size(self) -> Float[Array, "..."]:
        """How many independent draws the mean is worth: n / (2 tau)."""
        return self.thin * self.n_draws / (2 * self.tau)

    @property
    def r_hat(self) -> Float[Array, "..."]:
        """Rank-normalised split R-hat of the block means; NaN where there are too few."""
        if self.blocks.shape[1] < FEWEST:
            return jnp.full(self.blocks.shape[2:], jnp.nan)
        out: Array = self._each(statistics.r_hat)
        return out

    def _each(self, f: Callable[[Array], Any]) -> Any:
        """f of [n_chains, n_blocks], for every component of the observable."""
        shape = self.blocks.shape
        flat = jnp.moveaxis(self.blocks.reshape(*shape[:2], -1), -1, 0)
        return jax.tree.map(lambda out: out.reshape(shape[2:]), jax.vmap(f)(flat))

    def __repr__(self) -> str:
        if self.blocks.ndim > 2:
            return f"Series(shape {self.blocks.shape[2:]}, {self.n_draws} draws)"
        return (
            f"{self.mean!r}  tau {float(self.tau):.3g}  R-hat {float(self.r_hat):.4f}  "
            f"ESS {float(self.effective_sample_size):.4g}"
        )


def jackknife(f: Callable[..., Array], series: list[Series]) -> Mean:
    """A function of the means of (x, x^2) of several series, measured together.

    Each argument of ``f`` has the shape [..., 2]. Blocks are joined into 32 per chain or more than
    16 in all, so that they are longer than the correlations.

    Raises:
      ShapeError: there are fewer than 16 blocks.
    """
    first = series[0].blocks
    n_chains, n_blocks = first.shape[:2]
    per_chain = min(n_blocks, max(1, -(-64 // n_chains)))
    if per_chain * n_chains < 16:
        raise ShapeError(
            f"an error by jackknife needs 16 blocks, got {n_chains} chains of {n_blocks}: "
            f"run longer."
        )
    size = n_blocks // per_chain

    def joined(x: Array) -> Array:
        kept = x[:, : size * per_chain].reshape(n_chains * per_chain, size, *x.shape[2:])
        return jnp.mean(kept, axis=1)

    stacked = [jnp.stack([joined(s.blocks), joined(s.squares)], axis=-1) for s in series]
    sizes = [s[0].size for s in stacked]
    flat = jnp.concatenate([s.reshape(len(s), -1) for s in stacked], axis=1)

    def of_draws(draws: Array) -> Array:
        means = jnp.split(jnp.mean(draws, axis=0), np.cumsum(sizes)[:-1])
        return f(*(m.reshape(s.shape[1:]) for m, s in zip(means, stacked, strict=True)))

    return statistics.jackknife(of_draws, flat, n_blocks=len(flat))


class Blocks:
    """Sums over the blocks of one observable, filled draw by draw on the host."""

    def __init__(self, n_draws: int, shape: tuple[int, ...]):
        self.block = -(-n_draws // MOST_BLOCKS)
        n_blocks = n_draws // self.block
        self.sums: NDArray[np.float64] = np.zeros((2, n_blocks, *shape))

    def add(self, first: int, values: NDArray[Any]) -> None:
        """Count the draws ``first``, ``first + 1``, ...; shape [n, n_chains, ...]."""
        wide = values.astype(np.float64)
        index = (first + np.arange(len(wide))) // self.block
        counted = index < self.sums.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(self.sums[0], index[counted], wide[counted])
            np.add.at(self.sums[1], index[counted], wide[counted] ** 2)

    def series(self, n_draws: int, thin: int) -> Series:
        """What is known after a number of draws."""
        whole = min(n_draws // self.block, self.sums.shape[1])
        means = np.swapaxes(self.sums[:, :whole] / self.block, 1, 2)
        blocks, squares = jnp.asarray(means[0]), jnp.asarray(means[1])
        return Series(blocks, squares, block=self.block, thin=thin)
