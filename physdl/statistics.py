r"""Errors of correlated data: autocorrelation, blocking, jackknife, bootstrap, convergence.

Successive states of a Markov chain are correlated, so the mean of n measurements is worth fewer
independent ones. With the normalised autocorrelation rho(t) of a stationary chain,

    tau = 1/2 + sum_{t >= 1} rho(t),      stderr^2 = (variance / n) 2 tau,      ESS = n / (2 tau).

Data have the shape [n_chains, n_draws] (or [n_draws] for one chain) and chains are taken to be
independent runs of the same length. Times are in draws. All functions are pure and compile; where
data cannot tell (a constant, too few draws) the result is NaN, never a number.

References: A. Sokal, in Functional Integration (1997), sections 2 and 3; C. J. Geyer, Stat. Sci. 7,
473 (1992); H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461 (1989); M. Jonsson, Phys. Rev. E
98, 043304 (2018); A. Vehtari et al., Bayesian Anal. 16, 667 (2021).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key
from scipy import stats

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.pytree import module

__all__ = [
    "Mean",
    "autocorrelation",
    "autocorrelation_time",
    "binder_cumulant",
    "blocking",
    "bootstrap",
    "effective_sample_size",
    "jackknife",
    "mean",
    "r_hat",
]

SOKAL_WINDOW = 5.0
CONFIDENCE = 0.99
FEWEST_BLOCKS = 16


@module
class Mean:
    """A value and its standard error.

    Attributes:
      value: the estimate.
      stderr: its standard error, NaN where the data cannot tell.
    """

    value: Float[Array, "..."]
    stderr: Float[Array, "..."]

    def __repr__(self) -> str:
        try:
            return f"{float(self.value):.8g} +/- {float(self.stderr):.2g}"
        except TypeError:  # traced or batched: no single number to show
            return f"Mean(value={self.value}, stderr={self.stderr})"


def _chains(x: ArrayLike, least: int) -> Float[Array, "n_chains n_draws"]:
    data = jnp.asarray(x)
    data = data if jnp.issubdtype(data.dtype, jnp.floating) else data.astype(float)
    if data.ndim not in (1, 2):
        raise ShapeError(
            f"measurements have the shape [n_draws] or [n_chains, n_draws], got {data.shape}: "
            f"use jax.vmap for several observables."
        )
    data = jnp.atleast_2d(data)
    if data.shape[0] < 1 or data.shape[1] < least:
        raise ShapeError(
            f"at least one chain of {least} draws is needed, got {data.shape[0]} of "
            f"{data.shape[1]}: run longer."
        )
    return data


def autocorrelation(x: ArrayLike) -> Float[Array, " n_draws"]:
    r"""Normalised autocorrelation rho(t) for t = 0, ..., n - 1, averaged over chains.

    rho(t) = c(t) / c(0),  c(t) = (1 / n) sum_s (x_s - m)(x_{s+t} - m), m the mean of all chains.

    Raises:
      ShapeError: x is neither [n_draws] nor [n_chains, n_draws], or has fewer than two draws.

    >>> jnp.round(autocorrelation(jnp.array([1.0, -1.0, 1.0, -1.0])), 6).tolist()
    [1.0, -0.75, 0.5, -0.25]
    """
    data = _chains(x, 2)
    covariance = _autocovariance(data - jnp.mean(data))
    return covariance / covariance[0]


def _autocovariance(centred: Float[Array, "n_chains n_draws"]) -> Float[Array, " n_draws"]:
    n = centred.shape[1]
    spectrum = jnp.fft.rfft(centred, 2 * n, axis=1)
    power = jnp.mean(jnp.abs(spectrum) ** 2, axis=0)
    return jnp.fft.irfft(power, 2 * n)[:n] / n


@cites("geyer1992")
def autocorrelation_time(x: ArrayLike, *, window: str = "sokal") -> Mean:
    r"""Integrated autocorrelation time tau = 1/2 + sum_{t >= 1} rho(t), in draws, with its error.

    The sum ends where it has said what it can: for ``"sokal"`` at the first W >= 5 max(tau(W), 1);
    for ``"geyer"``, made for reversible chains, before the first pair rho(2k) + rho(2k + 1) that is
    not positive, pairs made monotone. stderr^2 = (2 (2 W + 1) / n) tau^2 (Madras and Sokal 1988).
    Independent draws have tau = 1/2.

    Raises:
      SettingError: the window has another name.
      ShapeError: x is neither [n_draws] nor [n_chains, n_draws], or has fewer than four draws.

    >>> x = jax.random.normal(jax.random.key(0), (4, 10_000))
    >>> tau = autocorrelation_time(x)
    >>> bool(abs(tau.value - 0.5) < 4 * tau.stderr)
    True
    """
    data = _chains(x, 4)
    rho = autocorrelation(data)
    tau, end = _summed(rho, window)
    return Mean(tau, tau * jnp.sqrt(2 * (2 * end.astype(tau.dtype) + 1) / data.size))


def _summed(rho: Float[Array, " n"], window: str) -> tuple[Array, Array]:
    """tau and the last time in it."""
    n, undefined = len(rho), ~jnp.isfinite(rho[-1])
    if window == "sokal":
        sums = jnp.cumsum(rho) - 0.5
        enough = jnp.arange(n, dtype=rho.dtype) >= SOKAL_WINDOW * jnp.maximum(sums, 1)
        end = jnp.where(jnp.any(enough), jnp.argmax(enough), n - 1)
        return jnp.where(undefined, jnp.nan, sums[end]), end
    if window == "geyer":
        pairs = jnp.sum(rho[: n - n % 2].reshape(-1, 2), axis=1)
        positive = jnp.cumprod(pairs > 0)
        kept = jnp.where(positive > 0, jax.lax.cummin(pairs), 0.0)
        tau = jnp.sum(kept) - 0.5
        return jnp.where(undefined, jnp.nan, tau), 2 * jnp.sum(positive)
    raise SettingError(f"the window is 'sokal' or 'geyer', got {window!r}.")


def mean(x: ArrayLike) -> Mean:
    """The mean of all draws, with the standard error that autocorrelation leaves.

    Raises:
      ShapeError: x is neither [n_draws] nor [n_chains, n_draws], or has fewer than four draws.

    >>> x = jax.random.normal(jax.random.key(1), (4, 2500))
    >>> bool(abs(mean(x).value) < 4 * mean(x).stderr) and bool(0.009 < mean(x).stderr < 0.011)
    True
    """
    data = _chains(x, 4)
    tau = autocorrelation_time(data).value
    return Mean(jnp.mean(data), jnp.sqrt(2 * tau * jnp.var(data) / data.size))


@cites("flyvbjerg1989")
def blocking(x: ArrayLike) -> Mean:
    r"""The mean of one or more chains with its error by blocking, the plateau found by a test.

    Neighbours are averaged again and again. At each level k the hypothesis that the n_k blocks that
    are left are independent is tested by M_k = sum_{j >= k} n_j gamma_j^2 / sigma_j^4, which is
    chi-squared then (gamma_j: covariance of neighbours, sigma_j^2: variance); the first level that
    passes at 99 % gives stderr^2 = sigma_k^2 / n_k (Jonsson 2018). Draws beyond the largest power
    of two in each chain are left out of the error; NaN where no level of 16 blocks or more passes.

    Raises:
      ShapeError: x is neither [n_draws] nor [n_chains, n_draws], or has fewer than 16 draws.

    >>> x = jax.random.normal(jax.random.key(2), (4096,))
    >>> bool(0.8 / 64 < blocking(x).stderr < 1.2 / 64)
    True
    """
    data = _chains(x, 16)
    n_levels = int(math.log2(data.shape[1])) - 1
    level = data[:, -(2 ** int(math.log2(data.shape[1]))) :]
    centre = jnp.mean(level)
    n_blocks, statistic, variances = list[int](), [], []
    for _ in range(n_levels):
        off = level - centre
        variance = jnp.mean(off**2)
        neighbours = jnp.sum(off[:, 1:] * off[:, :-1]) / off.size
        weight = variance * (off.size - 1) / off.size
        n_blocks.append(off.size)
        statistic.append(off.size * (weight / off.size + neighbours) ** 2 / variance**2)
        variances.append(variance / (off.size - 1))
        level = (level[:, 0::2] + level[:, 1::2]) / 2
    remaining = jnp.cumsum(jnp.stack(statistic)[::-1])[::-1]
    quantiles = jnp.asarray(stats.chi2.ppf(CONFIDENCE, np.arange(n_levels, 0, -1)), data.dtype)
    passed = (remaining < quantiles) & (np.array(n_blocks) >= FEWEST_BLOCKS)
    error = jnp.sqrt(jnp.stack(variances)[jnp.argmax(passed)])
    return Mean(jnp.mean(data), jnp.where(jnp.any(passed), error, jnp.nan))


def jackknife(
    f: Callable[[Array], Array], x: Float[Array, "n_draws ..."], *, n_blocks: int = 50
) -> Mean:
    r"""A function of all draws, e.g. a ratio of means, with bias removed and its error.

    value = n f - (n - 1) <f_k>,  stderr^2 = (n - 1) / n sum_k (f_k - <f_k>)^2, where f_k leaves out
    block k of n. Blocks must be longer than a few tau; draws beyond a multiple of n are left out.

    Raises:
      SettingError: there are fewer than two blocks.
      ShapeError: there are fewer draws than blocks.

    >>> x = jnp.arange(100.0)
    >>> estimate = jackknife(lambda d: jnp.mean(d) ** 2, x, n_blocks=100)
    >>> unbiased = jnp.mean(x) ** 2 - jnp.var(x, ddof=1) / 100
    >>> bool(jnp.isclose(estimate.value, unbiased, rtol=1e-5))
    True
    """
    if n_blocks < 2:
        raise SettingError(f"the jackknife needs at least two blocks, got {n_blocks}.")
    data = jnp.asarray(x)
    size = data.shape[0] // n_blocks if data.ndim else 0
    if size < 1:
        raise ShapeError(f"{n_blocks} blocks need as many draws, got the shape {data.shape}.")
    data = data[: size * n_blocks]
    number = np.arange(n_blocks)
    rest = np.array([np.delete(number, k) for k in number])
    blocks = data.reshape(n_blocks, size, *data.shape[1:])
    without = jax.lax.map(lambda own: f(blocks[own].reshape(-1, *data.shape[1:])), rest)
    centre = jnp.mean(without, axis=0)
    value = n_blocks * f(data) - (n_blocks - 1) * centre
    spread = jnp.sum((without - centre[None]) ** 2, axis=0)
    return Mean(value, jnp.sqrt((n_blocks - 1) / n_blocks * spread))


def bootstrap(
    f: Callable[[Array], Array],
    x: Float[Array, "n_draws ..."],
    *,
    key: Key[Array, ""],
    n_resamples: int = 200,
    n_blocks: int | None = None,
) -> Mean:
    """A function of all draws with the standard deviation over resampled data.

    Draws are resampled one by one, which takes them as independent, or in ``n_blocks`` blocks,
    which must be longer than a few tau.

    Raises:
      SettingError: fewer than two resamples or blocks.
      ShapeError: there are fewer draws than blocks.

    >>> x = jax.random.normal(jax.random.key(3), (2500,))
    >>> bool(0.016 < bootstrap(jnp.mean, x, key=jax.random.key(4)).stderr < 0.024)
    True
    """
    data = jnp.asarray(x)
    n = len(data) if n_blocks is None else n_blocks
    if n_resamples < 2 or n < 2:
        raise SettingError(
            f"a bootstrap needs two resamples and two blocks, got {n_resamples}, {n}."
        )
    if len(data) < n:
        raise ShapeError(f"{n} blocks need as many draws, got {len(data)}.")
    size = len(data) // n
    blocks = data[: size * n].reshape(n, size, *data.shape[1:])

    def resampled(key: Array) -> Array:
        chosen = jax.random.randint(key, (n,), 0, n)
        return f(blocks[chosen].reshape(-1, *data.shape[1:]))

    values = jax.lax.map(resampled, jax.random.split(key, n_resamples))
    return Mean(f(data), jnp.std(values, axis=0, ddof=1))


def _halves(x: ArrayLike) -> Float[Array, "n_chains n_draws"]:
    data = _chains(x, 8)
    half = data.shape[1] // 2
    return jnp.concatenate([data[:, :half], data[:, -half:]])


def _normal_scores(data: Float[Array, "n_chains n_draws"]) -> Float[Array, "n_chains n_draws"]:
    """Normal quantiles of the ranks of all draws, equal values sharing their rank."""
    ranks = jax.scipy.stats.rankdata(data.reshape(-1)).reshape(data.shape)
    scores: Array = jax.scipy.stats.norm.ppf((ranks - 0.375) / (data.size + 0.25))
    return scores


def _split_r_hat(chains: Float[Array, "n_chains n_draws"]) -> Float[Array, ""]:
    n = chains.shape[1]
    within = jnp.mean(jnp.var(chains, axis=1, ddof=1))
    between = jnp.var(jnp.mean(chains, axis=1), ddof=1)
    return jnp.sqrt((n - 1) / n + between / within)


@cites("vehtari2021")
def r_hat(x: ArrayLike) -> Float[Array, ""]:
    r"""Rank-normalised split R-hat: 1 where all halves of all chains agree, above 1.01 is suspect.

    R-hat^2 = (n - 1) / n + B / W with B the variance of the means of the half chains and W the mean
    of their variances, on normal scores of the ranks; the larger one of the draws and of their
    distances from the median (Vehtari et al. 2021). NaN for constant data.

    Raises:
      ShapeError: x is neither [n_draws] nor [n_chains, n_draws], or has fewer than eight draws.

    >>> x = jax.random.normal(jax.random.key(5), (4, 1000))
    >>> bool(r_hat(x) < 1.01), bool(r_hat(x + jnp.arange(4.0)[:, None]) > 1.3)
    (True, True)
    """
    halves = _halves(x)
    folded = jnp.abs(halves - jnp.median(halves))
    bulk, tail = (_split_r_hat(_normal_scores(d)) for d in (halves, folded))
    return jnp.maximum(bulk, tail)


@cites("vehtari2021")
def effective_sample_size(x: ArrayLike) -> Float[Array, ""]:
    r"""Bulk effective sample size: the number of independent draws worth the same.

    n_chains n / (2 tau) on normal scores of the ranks of half chains, with tau from Geyer's window
    and rho(t) = 1 - (W - c(t)) / V, where V = (n - 1) / n W + B: chains that disagree have few
    effective draws, however fast each forgets (Vehtari et al. 2021). NaN for constant data.

    Raises:
      ShapeError: x is neither [n_draws] nor [n_chains, n_draws], or has fewer than eight draws.

    >>> x = jax.random.normal(jax.random.key(6), (4, 1000))
    >>> bool(3000 < effective_sample_size(x) < 5500)
    True
    """
    scores = _normal_scores(_halves(x))
    n = scores.shape[1]
    means = jnp.mean(scores, axis=1, keepdims=True)
    covariance = _autocovariance(scores - means)
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + jnp.var(means, ddof=1)
    rho = (1 - (within - covariance * n / (n - 1)) / total).at[0].set(1.0)
    tau, _ = _summed(rho, "geyer")
    most = scores.size * math.log10(scores.size)
    return jnp.minimum(scores.size / (2 * tau), most)


@cites("binder1981")
def binder_cumulant(m: ArrayLike) -> Float[Array, ""]:
    """U = 1 - <m^4> / (3 <m^2>^2) over all draws: 2/3 in order, 0 for Gaussian disorder.

    Source: K. Binder, Z. Phys. B 43, 119 (1981). For its error: ``jackknife(binder_cumulant, m)``.

    >>> float(binder_cumulant(jnp.array([1.0, -1.0, 1.0])))
    0.6666666666666667
    """
    squares = jnp.asarray(m) ** 2
    return 1 - jnp.mean(squares**2) / (3 * jnp.mean(squares) ** 2)
