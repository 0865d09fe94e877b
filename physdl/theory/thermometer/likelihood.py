r"""The two best thermometers: Bayes on a grid, and maximum likelihood.

    p(beta | x) = softmax(-beta E(x) - log Z(beta) + log p(beta)),        <E>_beta-hat = E(x).

Both see the configuration through its energy alone. The second solves one equation: <E>_beta falls
with beta, at the rate of the variance, so that there is one root and Newton's steps, kept within a
bracket, find it. By the implicit function theorem d beta-hat / dE = -1 / Var(E), to which no step
of the iteration contributes.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import SettingError
from physdl.pytree import is_traced
from physdl.sampling._chains import positive
from physdl.theory.thermometer.families import Canonical, surprisals
from physdl.theory.thermometer.line import cramer_rao
from physdl.theory.thermometer.reading import Reading, reading

__all__ = ["maximum_likelihood", "posterior"]

Bracket: TypeAlias = tuple[Array, Array, Array, Array, Array]

MAX_STEPS = 100
ROUNDING = 64


def posterior(
    model: Canonical,
    energies: ArrayLike,
    betas: ArrayLike,
    log_prior: ArrayLike | None = None,
) -> Float[Array, "... n_betas"]:
    """p(beta | E) on a grid, for energies of any shape: softmax(-beta E - log Z + log prior).

    Args:
      model: the family.
      energies: E(x) at beta = 1.
      betas: the grid, [n_betas].
      log_prior: [n_betas], up to a constant; uniform by default.

    Raises:
      ShapeError: the grid is no vector, or the prior has another shape.

    Source: Lin & Tegmark, arXiv:1608.08225, Eq. 8.

    >>> from physdl.theory.thermometer import ising_torus
    >>> p = posterior(ising_torus(16, 16), -300.0, [0.3, 0.4, 0.5])
    >>> [round(float(v), 4) for v in p]
    [0.0008, 0.9989, 0.0003]
    """
    prior = None if log_prior is None else jnp.asarray(log_prior, model.h.dtype)
    found: Array = _posterior(
        model,
        jnp.asarray(energies, model.h.dtype),
        jnp.asarray(betas, model.h.dtype),
        prior,
    )
    return found


@jax.jit
def _posterior(
    model: Canonical, energies: Array, betas: Array, log_prior: Array | None
) -> Float[Array, "... n_betas"]:
    grid, mu = surprisals(model, betas, log_prior)
    row = (1,) * energies.ndim + (-1,)
    return jax.nn.softmax(-energies[..., None] * grid.reshape(row) - mu.reshape(row))


def maximum_likelihood(
    model: Canonical,
    energy: ArrayLike,
    *,
    n: int = 1,
    lower: ArrayLike = 0.0,
    upper: ArrayLike = 2.0,
) -> Reading:
    """The beta at which the mean energy is that of what was seen; ``jax.vmap`` for many readings.

    Differentiable in the energy and in the model, by the implicit function theorem.

    Args:
      model: the family.
      energy: E(x) at beta = 1 of one configuration, or its mean over n independent ones.
      n: how many.
      lower: the lower end of the scale.
      upper: its upper end; near the ground state only the scale bounds beta.

    Returns:
      beta, with the error 1 / sqrt(n Var(E)) there; EDGE where the root is beyond the scale, and
      beta then its end.

    Raises:
      SettingError: the scale has no length, or there is no configuration.

    >>> from physdl.theory.thermometer import ising_torus
    >>> model = ising_torus(16, 16)
    >>> maximum_likelihood(model, -300.0)
    beta = 0.40585 +/- 0.023 [OK]
    >>> maximum_likelihood(model, 20.0)
    beta = 0 +/- 0.044 [EDGE]
    """
    if not is_traced((lower, upper)) and not np.asarray(lower) < np.asarray(upper):
        raise SettingError(f"a scale runs from lower to upper, got {lower} and {upper}.")
    positive(n, "n")
    dtype = model.h.dtype
    ends = jnp.asarray(lower, dtype), jnp.asarray(upper, dtype)
    found: Reading = _maximum_likelihood(model, jnp.asarray(energy, dtype), *ends, n)
    return found


@jax.jit
def _maximum_likelihood(
    model: Canonical,
    energy: Float[Array, ""],
    lower: Float[Array, ""],
    upper: Float[Array, ""],
    n: ArrayLike,
) -> Reading:
    def mean_energy(beta: Float[Array, ""]) -> Float[Array, ""]:
        slope: Array = jax.grad(model.log_z)(beta)
        return -slope

    least, most = jax.vmap(mean_energy)(jnp.stack([upper, lower]))
    inside = jnp.clip(energy, least, most)
    beta = jax.lax.custom_root(
        lambda beta: inside - mean_energy(beta),
        jax.lax.stop_gradient((lower + upper) / 2),
        partial(_root, lower=jax.lax.stop_gradient(lower), upper=jax.lax.stop_gradient(upper)),
        lambda g, y: y / g(jnp.ones_like(y)),
    )
    beta = jnp.where(energy <= least, upper, jnp.where(energy >= most, lower, beta))
    beta = jnp.where(jnp.isnan(energy), energy, beta)
    at_edge = (energy <= least) | (energy >= most)
    return reading(beta, cramer_rao(model, beta, n=n).sigma_beta, at_edge)


def _root(
    f: Callable[[Array], Array],
    guess: Float[Array, ""],
    *,
    lower: Float[Array, ""],
    upper: Float[Array, ""],
) -> Float[Array, ""]:
    """The root of an increasing function between two ends, by Newton's steps or by halving."""
    tolerance = ROUNDING * float(np.finfo(guess.dtype).eps)

    def unfinished(carry: Bracket) -> Array:
        beta, _, _, last, n = carry
        return (jnp.abs(beta - last) > tolerance * (1 + jnp.abs(beta))) & (n < MAX_STEPS)

    def step(carry: Bracket) -> Bracket:
        beta, low, high, _, n = carry
        value, slope = jax.value_and_grad(f)(beta)
        low, high = jnp.where(value < 0, beta, low), jnp.where(value < 0, high, beta)
        newton = beta - value / slope
        within = (newton >= low) & (newton <= high)
        return jnp.where(within, newton, (low + high) / 2), low, high, beta, n + 1

    begin = (guess, lower, upper, jnp.full_like(guess, jnp.inf), jnp.zeros((), jnp.int32))
    found: Array = jax.lax.while_loop(unfinished, step, begin)[0]
    return found
