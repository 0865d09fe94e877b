r"""One minimisation of the functional of ``variational``: stochastic descent, then Newton's step.

The gradient of every update of J is a mean over a few chains that go on from where they are; its
unit is the Hessian at the minimum where operators suffice, that of independent spins. The mean of J
over all runs and over the second half of the updates is then held, and its error, which the runs
have in common, is taken away to first order by the moments that every run measures there:

    K' = J + d,                  d = B^(-1) <S>_V,
    dK'/dK = B^(-1) (A - A_d + B_d B^(-1) A),

with B = cov_V(S_a, S_c), A = cov_V(S_a, F_b), F_b the operators of the fine spins, and A_d, B_d the
third cumulants of the same with S . d, by which A and B fall as J moves on by d. What is left is
that of every run alone, so errors are those between runs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from physdl.learning._biased import Biased, Joint
from physdl.sampling import _random as random

__all__ = ["RUNS", "Minimum", "minimised"]

RUNS = "runs"


class Descent(NamedTuple):
    """J, what the optimiser remembers, and the sum of J over the second half of the updates."""

    bias: Float[Array, " n"]
    memory: optax.OptState
    total: Float[Array, " n"]


class Moments(NamedTuple):
    """Sums over sweeps of the operators of block spins, then of spins, and of their products."""

    first: Float[Array, " n_both"]
    second: Float[Array, "n_both n_both"]
    third: Float[Array, "n n_both n"]


class Minimum(NamedTuple):
    """K', dK'/dK, the step d, <S_a>_V per monomial, and how well couplings are told apart."""

    couplings: Float[Array, "*runs n"]
    matrix: Float[Array, "*runs n n"]
    step: Float[Array, "*runs n"]
    correlations: Float[Array, "*runs n"]
    told: Float[Array, "*runs"]


def minimised(
    sampler: Biased,
    key: Key[Array, ""],
    *,
    n_updates: Int[Array, ""],
    n_sweeps: Int[Array, ""],
    n_chains: int,
    unit: Float[Array, " n"],
    optimiser: optax.GradientTransformation,
) -> Minimum:
    """One of the runs along the axis ``RUNS``; ``unit`` is <S_a^2> of independent block spins."""
    n = len(unit)
    sweep = jax.vmap(sampler.sweep, (0, None, 0))
    measure = jax.vmap(sampler.operators.__call__)
    start_key, sweep_key = random.split(key)
    states = jax.vmap(sampler.start)(random.split(start_key, n_chains))

    def learn(i: Array, descent: Descent, mean: Array) -> Descent:
        j, memory, total = descent
        change, memory = optimiser.update(-mean[:n] / unit, memory, j)
        j = jnp.asarray(optax.apply_updates(j, change))
        total = total + jnp.where(i < n_updates // 2, 0, j)
        kept = total / (n_updates - n_updates // 2).astype(unit.dtype)
        held = jax.lax.pmean(kept, RUNS)  # type: ignore[no-untyped-call]
        return Descent(jnp.where(i == n_updates - 1, held, j), memory, total)

    def count(moments: Moments, s: Array) -> Moments:
        own = s[:, :n]
        first, second = jnp.mean(s, axis=0), s.T @ s / n_chains
        third = jnp.einsum("ia,ib,ic->abc", own, s, own) / n_chains
        return Moments(moments.first + first, moments.second + second, moments.third + third)

    def step(i: Array, carry: tuple[Joint, Descent, Moments]) -> tuple[Joint, Descent, Moments]:
        states, descent, moments = carry
        keys = random.split(random.folded(sweep_key, i), n_chains)
        states = sweep(states, descent.bias, keys)
        s = jnp.concatenate([measure(states.coarse), measure(states.x)], axis=1)
        descent, moments = jax.lax.cond(
            i < n_updates,
            lambda: (learn(i, descent, jnp.mean(s, axis=0)), moments),
            lambda: (descent, count(moments, s)),
        )
        return states, descent, moments

    j = jnp.zeros_like(unit)
    shapes = ((2 * n,), (2 * n, 2 * n), (n, 2 * n, n))
    moments = Moments(*(jnp.zeros(shape, unit.dtype) for shape in shapes))
    begin = (states, Descent(j, optimiser.init(j), j), moments)
    _, descent, moments = jax.lax.fori_loop(0, n_updates + n_sweeps, step, begin)
    return _newton(descent.bias, Moments(*(v / n_sweeps.astype(unit.dtype) for v in moments)), unit)


def _newton(bias: Float[Array, " n"], moments: Moments, unit: Float[Array, " n"]) -> Minimum:
    n = len(unit)
    mean, second, third = moments
    own = mean[:n]
    covariance = second[:n] - own[:, None] * mean[None, :]
    b, a = covariance[:, :n], covariance[:, n:]
    step, plain = jnp.split(
        jnp.linalg.solve(b, jnp.concatenate([own[:, None], a], axis=1)), [1], axis=1
    )
    d = step[:, 0]
    moved = b @ d
    falls = (
        third @ d
        - (own @ d) * covariance
        - own[:, None] * (second[:n].T @ d)[None, :]
        - moved[:, None] * mean[None, :]
    )
    matrix = jnp.linalg.solve(b, a - falls[:, n:] + falls[:, :n] @ plain)
    told = jnp.linalg.eigvalsh(b / jnp.sqrt(unit[:, None] * unit[None, :]))[0]
    return Minimum(bias + d, matrix, d, own / unit, told)
