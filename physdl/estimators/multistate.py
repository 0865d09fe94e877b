r"""Free energies of many states from samples of all of them, in bounded memory.

State k has the reduced energy u_k(x); n_k samples were drawn under exp(-u_k) / Z_k. The maximum of
the likelihood of the pooled samples x_n is

    Z_k = sum_n exp(-u_k(x_n)) / sum_l n_l exp(-u_l(x_n)) / Z_l,

up to a common factor: M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105 (2008). For two
states it is Bennett's acceptance ratio (C. H. Bennett, J. Comput. Phys. 22, 245 (1976)), for
histograms the multi-histogram method (A. M. Ferrenberg and R. H. Swendsen, Phys. Rev. Lett. 63,
1195 (1989); S. Kumar et al., J. Comput. Chem. 13, 1011 (1992)). It does not matter which sample was
drawn under which state, only how many were.

Hamiltonians are linear in their coefficients, so the energies of any family of them are
``u_k(x_n) = parameters[k] @ features[n]`` with features that are monomials, or the slope of a path.
The K x N matrix of the energies is never stored: sums over samples run over chunks, in memory of
order K chunk + N p + K^2.

With the probability that sample n is of state k, P_kn = n_k exp(-u_k(x_n)) / Z_k over its sum over
k, the equations read sum_n P_kn = n_k. They are the gradient of a convex function of f = -log Z
whose Hessian is a graph Laplacian with the weights sum_n P_kn P_ln: how much two states overlap is
how stiffly they are tied. Newton steps in a trust region solve them, begun on few of the samples
and at energies scaled down, t u with t from small to 1, where all states overlap. Where samples
fall into groups of states without overlap, the differences between groups are not determined, and
their standard error is infinite.

Derivatives with respect to parameters and features are right to second order: two steps of f - H^-1
gradient(f) from the solution, with f and H held fixed, are part of the result; each step adds an
order.

In float32, differences of log Z of order one have errors of 1e-6 or so where neighbours overlap,
plus the rounding of the energies themselves, 1e-7 of their size.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.estimators._multistate_solver import (
    FORBIDDEN,
    LARGE,
    Problem,
    Response,
    energies,
    gradient,
    log_denominators,
    log_partitions,
    overlaps,
    per_sample,
    problem,
    response,
    solved,
    thinned,
)
from physdl.numerics import log_or_zero, logsumexp
from physdl.pytree import is_traced, module

__all__ = ["MultiState", "bar", "mbar", "mbar_of_energies", "wham"]

CHUNK = 2048
LOOSE = 1e-3


@cites("shirts2008")
@module
class MultiState:
    """What pooled samples of several states say about all of them.

    Attributes:
      parameters: of the states, [K, p].
      features: of the samples, [N, p].
      n_draws: how many samples were drawn under each state, [K]; 0 for states only asked for.
      counts: how often each sample was found, [N].
      log_z: log Z_k - log Z_0, [K], in nats.
      log_denominators: log sum_k n_k exp(-u_k) / Z_k of each sample, in the same gauge, [N].
      overlap: [K, K]; entry (k, l) is the mean under state k of the probability that a sample is
        of state l. Rows sum to 1.
      covariance: asymptotic covariance of log Z up to a common constant, for independent samples,
        [K, K] (Shirts and Chodera 2008, Eq. 8).
      stderr: standard errors of log Z_k - log Z_l for independent samples, [K, K]; ``inf`` where
        no overlap ties them.
      gradient_norm: root mean square of sum_n P_kn / n_k - 1 at the solution.
      n_iterations: Newton steps taken with all samples.
      converged: whether the equations are solved to the rounding of the energies.
    """

    parameters: Float[Array, "K p"]
    features: Float[Array, "N p"]
    n_draws: Float[Array, " K"]
    counts: Float[Array, " N"]
    log_z: Float[Array, " K"]
    log_denominators: Float[Array, " N"]
    overlap: Float[Array, "K K"]
    covariance: Float[Array, "K K"]
    stderr: Float[Array, "K K"]
    gradient_norm: Float[Array, ""]
    n_iterations: Int[Array, ""]
    converged: Bool[Array, ""]

    def log_weights(self, parameters: ArrayLike) -> Float[Array, " N"]:
        """Logarithms of the normalised weights of the samples in any state; -inf where forbidden.

        A sample found c times has c times the weight of one found once.
        """
        terms = self._log_terms(parameters)
        return terms - logsumexp(terms)

    def log_z_of(self, parameters: ArrayLike) -> Float[Array, ""]:
        """log Z - log Z_0 of any state."""
        return logsumexp(self._log_terms(parameters))

    def _log_terms(self, parameters: ArrayLike) -> Float[Array, " N"]:
        row = jnp.asarray(parameters, self.features.dtype)[None]
        energy = energies(row, jnp.clip(self.features, -LARGE, LARGE))[0]
        terms = log_or_zero(self.counts) - energy - self.log_denominators
        return jnp.where(energy < FORBIDDEN, terms, -jnp.inf)

    def influence(self, state: int = -1, reference: int = 0) -> Float[Array, " N"]:
        r"""What one more sample like n adds to log Z_state - log Z_reference, [N].

        To first order the error of the difference is the sum of this over all samples, each less
        its mean under the state that the sample was drawn from. So the standard error for
        correlated samples is that of a mean, of the series of these, times its length.
        """
        total = jnp.sum(self.n_draws)
        shares = self.n_draws / total
        curvature = response(shares[:, None] * self.overlap, shares)
        ends = np.array([state, reference])
        rows = self.overlap[ends]
        through = curvature.matrix() @ curvature.unscaled(rows[0] - rows[1])
        onto = curvature.root * through
        data = problem(self.parameters, self.features, self.counts, self.n_draws, CHUNK)
        log_z, f = self.log_z, jnp.where(shares > 0, -self.log_z, 0)

        def own(features: Float[Array, "n p"]) -> Float[Array, " n"]:
            denominators = log_denominators(self.parameters, shares, f, features)
            u = energies(self.parameters, features)
            w = jnp.exp(-log_z[:, None] - u - denominators[None])
            return w[ends[0]] - w[ends[1]] + onto @ w

        return per_sample(own, data)[: len(self.counts)] / total


@cites("shirts2008")
def mbar(
    parameters: ArrayLike,
    features: ArrayLike,
    n_draws: ArrayLike,
    *,
    counts: ArrayLike | None = None,
    chunk: int = CHUNK,
) -> MultiState:
    r"""Free energies of states with the energies ``parameters[k] @ features[n]``.

    A feature of ``+inf`` forbids the sample in every state whose parameter is positive and does not
    matter where it is zero.

    Args:
      parameters: of the states, [K, p].
      features: of the samples of all states, in any order, [N, p].
      n_draws: how many samples were drawn under each state, [K]; may be 0.
      counts: how often each sample was found, [N]; once by default.
      chunk: how many samples are treated at a time.

    Raises:
      ShapeError: the shapes do not fit together, or there is no sample.
      SettingError: the numbers of draws are negative or do not add up to the number of samples.

    Ten thousand draws each of two normal distributions, exp(-x^2 / 2) and exp(-2 x^2), with the
    exact log Z ratio -log 2:

    >>> x = jax.random.normal(jax.random.key(0), (20_000,))
    >>> x = x.at[10_000:].divide(2)
    >>> found = mbar([[0.5], [2.0]], x[:, None] ** 2, [10_000, 10_000])
    >>> bool(abs(found.log_z[1] + jnp.log(2.0)) < 4 * found.stderr[0, 1]), bool(found.converged)
    (True, True)
    """
    data = jnp.asarray(features)
    data = data if jnp.issubdtype(data.dtype, jnp.floating) else data.astype(float)
    kind = data.dtype
    rows = jnp.asarray(parameters).astype(kind)
    draws = jnp.asarray(n_draws).astype(kind)
    if rows.ndim != 2 or data.ndim != 2 or rows.shape[1] != data.shape[1] or 0 in data.shape:
        raise ShapeError(
            f"states take parameters [K, p] and features [N, p], got {rows.shape} and {data.shape}."
        )
    found = jnp.ones(len(data), kind) if counts is None else jnp.asarray(counts).astype(kind)
    if draws.shape != rows.shape[:1] or found.shape != data.shape[:1]:
        raise ShapeError(
            f"{len(rows)} states and {len(data)} samples take n_draws and counts of these lengths, "
            f"got {draws.shape} and {found.shape}."
        )
    if not isinstance(chunk, int) or chunk < 1:
        raise SettingError(f"samples are treated in chunks of 1 or more, got chunk={chunk!r}.")
    if not is_traced((draws, found)):
        total, pooled = float(np.sum(np.asarray(draws))), float(np.sum(np.asarray(found)))
        if np.min(np.asarray(draws)) < 0 or abs(total - pooled) > 1e-4 * pooled:
            raise SettingError(
                f"the draws of all states are the samples: n_draws adds up to {total:g} with the "
                f"least {np.min(np.asarray(draws)):g}, but there are {pooled:g} samples."
            )
    result: MultiState = _mbar(rows, data, draws, found, chunk=chunk)
    return result


@functools.partial(jax.jit, static_argnames=("chunk",))
def _mbar(
    parameters: Float[Array, "K p"],
    features: Float[Array, "N p"],
    n_draws: Float[Array, " K"],
    counts: Float[Array, " N"],
    *,
    chunk: int,
) -> MultiState:
    data = problem(parameters, features, counts, n_draws, chunk)
    known = jax.lax.stop_gradient(data)
    f, norm, n_iterations, found = solved(known, thinned(known))
    curvature, shared, spread = _spread(known, f)
    inverse = curvature.matrix()
    for _ in range(2):
        pull = curvature.unscaled(gradient(data, f))
        f = f - curvature.unscaled(inverse @ pull)
    log_z = log_partitions(data, f)
    denominators = functools.partial(log_denominators, parameters, data.shares, f)
    each = per_sample(denominators, data)[: len(counts)]
    seen = jnp.all(jnp.isfinite(log_z)) & jnp.all(each > -FORBIDDEN)
    covariance = spread / jnp.sum(n_draws)
    return MultiState(
        parameters,
        features,
        n_draws,
        counts,
        log_z - log_z[0],
        each + log_z[0] + jnp.log(jnp.sum(counts)),
        shared * known.shares[None],
        covariance,
        _stderr(curvature, shared, covariance),
        norm,
        n_iterations,
        found & seen,
    )


def _spread(data: Problem, f: Float[Array, " K"]) -> tuple[Response, Array, Array]:
    """The Hessian, B = sum_n c_n W_n W_n^T, and N times the covariance of log Z, at a solution."""
    shared = overlaps(data, f, log_partitions(data, f))
    curvature = response(data.shares[:, None] * shared * data.shares[None], data.shares)
    half = shared * curvature.root[None]
    return curvature, shared, shared - 1 + half @ curvature.matrix() @ half.T


def _stderr(curvature: Response, shared: Array, covariance: Array) -> Float[Array, "K K"]:
    """Of differences; infinite where a direction that no overlap ties tells them apart."""
    own = jnp.diagonal(covariance)
    variance = own[:, None] + own[None, :] - covariance - covariance.T
    stderr = jnp.sqrt(jnp.maximum(variance, 0))
    loose = jnp.where(curvature.tied[None], 0, shared * curvature.root[None] @ curvature.vectors)
    apart = jnp.max(jnp.abs(loose[:, None] - loose[None]), axis=2)
    different = ~np.eye(len(own), dtype=bool)
    return jnp.where(apart > LOOSE, jnp.inf, jnp.where(different, stderr, 0))


@cites("shirts2008")
def mbar_of_energies(
    u_kn: ArrayLike, n_k: ArrayLike, *, counts: ArrayLike | None = None, chunk: int = CHUNK
) -> MultiState:
    """``mbar`` of any states: u_kn is the reduced energy of state k on sample n, [K, N].

    The features of a sample are then its energies and the parameters of a state a unit vector.

    Raises:
      ShapeError: the energies are no matrix, or the numbers of draws are not one for each state.

    >>> u = jnp.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, jnp.inf]])  # a box and a part of it
    >>> found = mbar_of_energies(u, [4, 0])
    >>> round(float(jnp.exp(found.log_z[1])), 6)  # three of four draws lie in that part
    0.75
    """
    u = jnp.asarray(u_kn)
    if u.ndim != 2:
        raise ShapeError(f"energies have the shape [K, N], got {u.shape}.")
    return mbar(jnp.eye(len(u), dtype=u.dtype), u.T, n_k, counts=counts, chunk=chunk)


@cites("bennett1976")
def bar(work_forward: ArrayLike, work_reverse: ArrayLike) -> MultiState:
    r"""Two states from the work u_1 - u_0 on samples of state 0 and u_0 - u_1 on samples of 1.

    The difference is ``log_z[1]`` = log Z_1 - log Z_0 with its error ``stderr[0, 1]`` (Bennett
    1976). In nats, as is the work.

    Raises:
      ShapeError: the work is not a list of numbers.

    >>> forward, reverse = jax.random.normal(jax.random.key(1), (2, 4000))
    >>> found = bar(1.0 + forward, reverse)  # normal, of variance 1: log Z_1 - log Z_0 = -1/2
    >>> bool(abs(found.log_z[1] + 0.5) < 4 * found.stderr[0, 1])
    True
    """
    forward, reverse = jnp.asarray(work_forward), jnp.asarray(work_reverse)
    if forward.ndim != 1 or reverse.ndim != 1:
        raise ShapeError(f"work is a list of numbers, got {forward.shape} and {reverse.shape}.")
    difference = jnp.concatenate([forward, -reverse])[:, None]
    ends = jnp.array([[0.0], [1.0]], difference.dtype)
    return mbar(ends, difference, np.array([len(forward), len(reverse)]))


@cites("ferrenberg1989", "kumar1992")
def wham(energies: ArrayLike, betas: ArrayLike, histogram: ArrayLike) -> MultiState:
    r"""Temperatures from histograms of the energy, [K, n_bins]: the multi-histogram method.

    The weight of state k is exp(-beta_k E). Bins are samples that were found several times, so with
    bins of one energy each nothing is lost. ``log_weights(jnp.zeros(1))`` is the logarithm of the
    normalised density of states (Ferrenberg and Swendsen 1989; Kumar et al. 1992).

    Raises:
      ShapeError: the histogram has another shape.

    Two levels, of which the upper is twofold, found as often as expected:

    >>> found = wham([0.0, 1.0], [0.0, 1.0], [[1000, 2000], [1729, 1271]])
    >>> jnp.exp(found.log_weights([0.0])).round(3).tolist()
    [0.333, 0.667]
    """
    level, inverse, hits = (jnp.asarray(a) for a in (energies, betas, histogram))
    if level.ndim != 1 or inverse.ndim != 1 or hits.shape != (len(inverse), len(level)):
        raise ShapeError(
            f"the histogram of {inverse.shape} temperatures and {level.shape} energies has their "
            f"shapes, got {hits.shape}."
        )
    total, found = jnp.sum(hits, axis=1), jnp.sum(hits, axis=0)
    return mbar(inverse[:, None], level[:, None], total, counts=found)
