r"""The convex problem behind multistate reweighting, solved by Newton steps in a trust region.

With shares s_k = n_k / N of the samples, f = -log Z, and P_kn the probability that sample n is of
state k, the function

    F(f) = (1 / N) sum_n log sum_k s_k exp(f_k - u_kn) - sum_k s_k f_k

is convex with gradient p_k - s_k, p_k = (1 / N) sum_n P_kn, and its Hessian is the Laplacian of the
graph with weights Q_kl = (1 / N) sum_n P_kn P_ln, k != l. All entries of Q are positive and have
full relative precision, also where overlaps are tiny; its diagonal, a difference, is not used.

The scaled Hessian s^-1/2 H s^-1/2 has eigenvalues between 0 and 1. It vanishes on sqrt(s), since a
constant added to f changes nothing, and on one more vector for each further group of states that
does not overlap the others.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physdl.numerics import log_or_zero, logsumexp
from physdl.pytree import module

__all__ = [
    "FORBIDDEN",
    "LARGE",
    "Problem",
    "Response",
    "energies",
    "gradient",
    "log_denominators",
    "log_partitions",
    "overlaps",
    "per_sample",
    "problem",
    "response",
    "solved",
    "thinned",
]

FORBIDDEN = 1e9  # energies above are those of forbidden configurations
LARGE = 1e15  # stands for +inf, so that 0 * LARGE = 0
N_STAGES = 12
LOOSE, STAGE_STEPS, MOST_STEPS = 1e-2, 30, 200
COARSE, COARSE_PER_STATE = 1024, 16
FIRST_RADIUS = 10.0
ARMIJO = 1e-4

SLACK = 10.0  # times the tolerance at which steps end

Sums: TypeAlias = tuple[Array, Array, Array, Array]
Carry: TypeAlias = tuple[Array, Array, Array]
Solution: TypeAlias = tuple[Array, Array, Array, Array]


@module
class Problem:
    """States and samples, the samples in chunks, padded with samples that count nothing.

    Attributes:
      parameters: [K, p].
      features: [n_chunks, chunk, p], finite.
      counts: how often each sample was found, as shares that sum to 1, [n_chunks, chunk].
      shares: n_k / N, [K].
    """

    parameters: Float[Array, "K p"]
    features: Float[Array, "n_chunks chunk p"]
    counts: Float[Array, "n_chunks chunk"]
    shares: Float[Array, " K"]


def problem(
    parameters: Float[Array, "K p"],
    features: Float[Array, "N p"],
    counts: Float[Array, " N"],
    n_draws: Float[Array, " K"],
    chunk: int,
) -> Problem:
    """The problem of these samples; infinite features become very large ones."""
    n, p = features.shape
    chunk = min(chunk, n)
    n_chunks = -(-n // chunk)
    missing = n_chunks * chunk - n
    finite = jnp.pad(jnp.clip(features, -LARGE, LARGE), ((0, missing), (0, 0)))
    weights = jnp.pad(counts / jnp.sum(counts), (0, missing))
    return Problem(
        parameters,
        finite.reshape(n_chunks, chunk, p),
        weights.reshape(n_chunks, chunk),
        n_draws / jnp.sum(n_draws),
    )


def thinned(data: Problem) -> Problem:
    """The problem with few of its samples, as one chunk."""
    k, p = data.parameters.shape
    features, counts = data.features.reshape(-1, p), data.counts.reshape(-1)
    every = max(1, len(counts) // max(COARSE, COARSE_PER_STATE * k))
    few = counts[::every]
    share = few / jnp.where(jnp.sum(few) > 0, jnp.sum(few), 1)
    return Problem(data.parameters, features[None, ::every], share[None], data.shares)


def energies(parameters: Float[Array, "K p"], features: Float[Array, "n p"]) -> Array:
    """u_kn, [K, n]."""
    exact = jax.lax.Precision.HIGHEST
    return jnp.einsum("kp,np->kn", parameters, features, precision=exact)


def log_denominators(
    parameters: Array, shares: Array, f: Float[Array, " K"], features: Float[Array, "n p"]
) -> Float[Array, " n"]:
    """log sum_k s_k exp(f_k - u_kn) of some samples."""
    return logsumexp((log_or_zero(shares) + f)[:, None] - energies(parameters, features), axis=0)


def per_sample(own: Callable[[Array], Array], data: Problem) -> Float[Array, " n_padded"]:
    """What a function of the features of a chunk says of every sample."""
    each: Array = jax.lax.map(jax.checkpoint(own), data.features).reshape(-1)
    return each


def gradient(data: Problem, f: Float[Array, " K"]) -> Float[Array, " K"]:
    """p_k - s_k, differentiable in memory that does not grow with the number of samples."""

    @jax.checkpoint
    def add(total: Array, chunk: tuple[Array, Array]) -> tuple[Array, None]:
        features, counts = chunk
        a = (log_or_zero(data.shares) + f)[:, None] - energies(data.parameters, features)
        p = jnp.exp(a - logsumexp(a, axis=0)[None])
        return total + p @ counts, None

    p, _ = jax.lax.scan(add, jnp.zeros_like(f), (data.features, data.counts))
    return p - data.shares


def log_partitions(data: Problem, f: Float[Array, " K"]) -> Float[Array, " K"]:
    """log Z_k of all states, sampled or not, in the gauge of f."""

    @jax.checkpoint
    def part(chunk: tuple[Array, Array]) -> Array:
        features, counts = chunk
        u = energies(data.parameters, features)
        a = (log_or_zero(data.shares) + f)[:, None] - u
        return logsumexp((log_or_zero(counts) - logsumexp(a, axis=0))[None] - u, axis=1)

    return logsumexp(jax.lax.map(part, (data.features, data.counts)), axis=0)


def overlaps(data: Problem, f: Float[Array, " K"], log_z: Float[Array, " K"]) -> Array:
    """B_kl = sum_n c_n W_kn W_ln, W_kn = exp(-u_kn) / Z_k / sum_l s_l exp(f_l - u_ln), [K, K]."""

    def add(total: Array, chunk: tuple[Array, Array]) -> tuple[Array, None]:
        features, counts = chunk
        u = energies(data.parameters, features)
        a = (log_or_zero(data.shares) + f)[:, None] - u
        w = jnp.exp(-log_z[:, None] - u - logsumexp(a, axis=0)[None])
        return total + (w * counts[None]) @ w.T, None

    zero = jnp.zeros((len(f), len(f)), f.dtype)
    total: Array = jax.lax.scan(add, zero, (data.features, data.counts))[0]
    return total


def _sums(data: Problem, scale: Array, f: Float[Array, " K"]) -> Sums:
    """F, the size of its terms, p and Q with energies times a scale."""
    log_s = log_or_zero(data.shares) + f
    parameters = scale * data.parameters

    def add(carry: tuple[Array, Array, Array], chunk: tuple[Array, Array]) -> tuple[Carry, None]:
        value, p, q = carry
        features, counts = chunk
        a = log_s[:, None] - energies(parameters, features)
        largest = jnp.max(a, axis=0)
        e = jnp.exp(a - largest[None])
        total = jnp.sum(e, axis=0)
        own = e * (jnp.sqrt(counts) / total)[None]
        value = value + counts @ (largest + jnp.log(total))
        return (value, p + own @ jnp.sqrt(counts), q + own @ own.T), None

    k = len(f)
    zero = (jnp.zeros((), f.dtype), jnp.zeros(k, f.dtype), jnp.zeros((k, k), f.dtype))
    (value, p, q), _ = jax.lax.scan(add, zero, (data.features, data.counts))
    linear = data.shares @ f
    return value - linear, jnp.abs(value) + jnp.abs(linear), p, q


@module
class Response:
    """The scaled Hessian in its eigenvectors.

    Attributes:
      values: eigenvalues, those of constants replaced by 1, [K].
      vectors: eigenvectors, [K, K].
      root: sqrt(s), [K].
    """

    values: Float[Array, " K"]
    vectors: Float[Array, "K K"]
    root: Float[Array, " K"]

    @property
    def tied(self) -> Bool[Array, " K"]:
        """Which eigenvectors are determined by the samples."""
        rounding = 4 * len(self.values) * float(np.finfo(self.values.dtype).eps)
        determined: Array = self.values > rounding
        return determined

    def unscaled(self, x: Float[Array, " K"]) -> Float[Array, " K"]:
        """x / sqrt(s), 0 for states without samples."""
        sampled = self.root > 0
        return jnp.where(sampled, x / jnp.where(sampled, self.root, 1), 0)

    def matrix(self) -> Float[Array, "K K"]:
        """The pseudo-inverse of the scaled Hessian without undetermined directions."""
        inverse = jnp.where(self.tied, 1 / jnp.where(self.tied, self.values, 1), 0)
        constant = self.root[:, None] * self.root[None, :]
        idle = jnp.diag((self.root == 0).astype(self.root.dtype))
        return (self.vectors * inverse[None]) @ self.vectors.T - constant - idle


def response(q: Float[Array, "K K"], shares: Float[Array, " K"]) -> Response:
    """Of the Laplacian with weights q between different states."""
    k, root = len(shares), jnp.sqrt(shares)
    sampled = shares > 0
    off = jnp.where(~np.eye(k, dtype=bool) & sampled[:, None] & sampled[None, :], q, 0)
    scale = jnp.where(sampled, 1 / jnp.where(sampled, root, 1), 0)
    laplacian = jnp.diag(jnp.sum(off, axis=1)) - off
    scaled = laplacian * scale[:, None] * scale[None, :] + root[:, None] * root[None, :]
    values, vectors = jnp.linalg.eigh(scaled + jnp.diag((~sampled).astype(root.dtype)))
    return Response(values, vectors, root)


@module
class _Iterate:
    f: Float[Array, " K"]
    sums: Sums
    radius: Float[Array, ""]
    n_steps: Int[Array, ""]
    done: Bool[Array, ""]


def _norm(p: Array, shares: Array) -> Float[Array, ""]:
    """Root mean square of p_k / s_k - 1 over samples."""
    sampled = shares > 0
    return jnp.sqrt(
        jnp.sum(jnp.where(sampled, (p - shares) ** 2, 0) / jnp.where(sampled, shares, 1))
    )


def _newton(
    data: Problem, scale: Array, f: Float[Array, " K"], tolerance: float, most: int
) -> Solution:
    """The minimum of F, the norm of its gradient there, how many steps were taken, and success."""
    eps = float(np.finfo(f.dtype).eps)

    def done(sums: Sums, slack: float = 1.0) -> Bool[Array, ""]:
        rounding = jnp.maximum(1, sums[1] / 10)  # of energies, in units of eps
        return _norm(sums[2], data.shares) <= slack * tolerance * rounding

    def advance(now: _Iterate) -> _Iterate:
        value, size, p, q = now.sums
        slope = p - data.shares
        curvature = response(q, data.shares)
        step, length = _step(curvature, slope, now.radius, eps)
        f = now.f - step
        trial = _sums(data, scale, f)
        gain, rest = slope @ step, (trial[2] - data.shares) @ step
        rounded = gain <= 100 * eps * size
        better = trial[0] <= value - ARMIJO * gain
        good = better | (rounded & (jnp.abs(rest) <= gain / 2))

        def keep(new: Array, old: Array) -> Array:
            return jnp.where(good, new, old)

        truncated = length > 0.9 * now.radius
        grown = jnp.where(truncated, 3 * now.radius, now.radius)
        return _Iterate(
            keep(f, now.f),
            jax.tree.map(keep, trial, now.sums),
            keep(grown, length / 4),
            now.n_steps + 1,
            (good & done(trial)) | (~good & rounded),
        )

    first = _sums(data, scale, f)
    radius = jnp.asarray(FIRST_RADIUS, f.dtype)
    begin = _Iterate(f, first, radius, jnp.zeros((), jnp.int32), done(first))
    end = jax.lax.while_loop(lambda now: ~now.done & (now.n_steps < most), advance, begin)
    return end.f, _norm(end.sums[2], data.shares), end.n_steps, done(end.sums, SLACK)


def _step(
    curvature: Response, slope: Float[Array, " K"], radius: Array, eps: float
) -> tuple[Float[Array, " K"], Float[Array, ""]]:
    """(H + mu s)^-1 slope with the least mu that keeps its root mean square within the radius."""
    along = curvature.vectors.T @ curvature.unscaled(slope)
    values = jnp.maximum(curvature.values, 0)
    least = jnp.asarray(eps * len(slope), slope.dtype)
    most = jnp.maximum(jnp.linalg.norm(along) / radius, 2 * least)

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = jnp.sqrt(low * high)
        long = jnp.linalg.norm(along / (values + middle)) > radius
        return jnp.where(long, middle, low), jnp.where(long, high, middle)

    fits = jnp.linalg.norm(along / (values + least)) <= radius
    _, found = jax.lax.fori_loop(0, 20, halve, (least, most))
    y = along / (values + jnp.where(fits, least, found))
    return curvature.unscaled(curvature.vectors @ y), jnp.linalg.norm(y)


def solved(data: Problem, coarse: Problem) -> Solution:
    """f of the sampled states, the norm of the gradient, the steps taken, and whether it is solved.

    Begun on few samples at energies scaled down.
    """
    u = jax.lax.map(functools.partial(energies, coarse.parameters), coarse.features)
    u = jnp.where((jnp.abs(u) < FORBIDDEN) & (coarse.shares > 0)[None, :, None], u, 0)
    spread = jnp.max(jnp.abs(u - jnp.mean(u, axis=1, keepdims=True)))
    first = 1 / jnp.maximum(spread, 1)
    stage = jnp.linspace(0, 1, N_STAGES, dtype=first.dtype)
    scales = first ** (1 - stage)

    def warmer(f: Array, scale: Array) -> tuple[Array, None]:
        solution, *_ = _newton(coarse, scale, f * scale, LOOSE, STAGE_STEPS)
        return solution / scale, None

    f, _ = jax.lax.scan(warmer, jnp.zeros_like(data.shares), scales)
    tolerance = 100 * float(np.finfo(f.dtype).eps)
    return _newton(data, jnp.ones_like(first), f, tolerance, MOST_STEPS)
