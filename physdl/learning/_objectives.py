"""What the inverse problem minimises: convex functions of a Hamiltonian's coefficients.

Each is ``objective(h)``, in nats per sample, and ``objective.score(h)``, the covariance of the
gradient of one sample's term, from which standard errors follow.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from physdl.estimators import Estimator
from physdl.hamiltonian import (
    Dense,
    Hamiltonian,
    Potential,
    Sites,
    Stencil,
    conditional_energies,
)
from physdl.learning._convex import curvature
from physdl.pytree import module, static
from physdl.spaces import LINE

__all__ = ["Entropy", "Objective", "Sampled", "roughness", "surprise"]

BATCH = 1024

Polynomial: TypeAlias = Sites | Stencil | Dense


@module
class Sampled:
    """The weighted mean of term(h, *example) over examples, and the penalty l2."""

    examples: tuple[Array, ...]
    weights: Float[Array, " samples"]
    l2: Float[Array, ""]
    term: Callable[..., Float[Array, ""]] = static()

    def __call__(self, h: Hamiltonian) -> Float[Array, ""]:
        one = jax.checkpoint(lambda example: self.term(h, *example))
        each = jax.lax.map(one, self.examples, batch_size=BATCH)
        return jnp.vdot(self.weights, each) + self.l2 / 2 * _square(h)

    def start(self, family: Hamiltonian) -> Hamiltonian:
        """Zero."""
        zero: Hamiltonian = jax.tree.map(jnp.zeros_like, family)
        return zero

    def score(self, h: Hamiltonian) -> Float[Array, "m m"]:
        """The covariance of the gradient of one sample's term."""

        def slope(pair: tuple[tuple[Array, ...], Array]) -> Array:
            example, weight = pair
            flat: Array = ravel_pytree(jax.grad(self.term)(h, *example))[0]
            return jnp.sqrt(weight) * flat

        slopes: Array = jax.lax.map(slope, (self.examples, self.weights), batch_size=BATCH)
        mean = jnp.sqrt(self.weights) @ slopes
        covariance: Array = slopes.T @ slopes - jnp.outer(mean, mean)
        return covariance


def surprise(h: Hamiltonian, x: Array, indices: Int[Array, " sites"]) -> Float[Array, ""]:
    """- sum_i log p(x_i | all others), the states of the sites given by their indices too."""
    energies = conditional_energies(h, x, np.arange(h.n_sites))
    own = jnp.take_along_axis(energies, indices[:, None], axis=1)[:, 0]
    return jnp.sum(own + jax.scipy.special.logsumexp(-energies, axis=1))


def roughness(h: Hamiltonian, x: Array) -> Float[Array, ""]:
    """abs(grad H)^2 / 2 - laplacian H."""
    slope, along = jax.linearize(jax.grad(lambda v: h(v.reshape(x.shape))), x.reshape(-1))
    second = jax.vmap(along)(jnp.eye(x.size, dtype=x.dtype))
    return jnp.vdot(slope, slope) / 2 - jnp.trace(second)


@module
class Entropy:
    """<moments, coefficients> + log Z, and the penalty l2."""

    moments: Hamiltonian
    l2: Float[Array, ""]
    estimator: Estimator = static()

    def __call__(self, h: Hamiltonian) -> Float[Array, ""]:
        given, found = (ravel_pytree(tree)[0] for tree in (self.moments, h))
        return jnp.vdot(given, found) + self.estimator(h).log_z + self.l2 / 2 * _square(h)

    def start(self, family: Hamiltonian) -> Hamiltonian:
        """Zero; on the line, where that has no Z, independent variables with about these moments.

        An even power c x^d alone has <x^d> = 1 / (c d), since <x dH/dx> = 1.
        """
        real = family.space == LINE
        terms = {
            name: jax.tree.map(jnp.zeros_like, term)
            if isinstance(term, Potential) or not real
            else _confining(term, family)
            for name, term in self.moments.terms.items()
        }
        return Hamiltonian(terms, space=family.space, shape=family.shape)

    def score(self, h: Hamiltonian) -> Float[Array, "m m"]:
        """The covariance of the monomials."""
        flat, unravel = ravel_pytree(h)
        return curvature(lambda v: self.estimator(unravel(v)).log_z, flat)


Objective: TypeAlias = Sampled | Entropy


def _confining(moments: Polynomial, family: Hamiltonian) -> Polynomial:
    """Coefficients 1 / (d <x^d>) of even powers of one variable, zero of all other monomials."""
    rows = moments.to_sites(family.shape, family.space).rows
    degree = rows.shape[-1]
    pure = np.all(rows == rows[..., :1], axis=-1).reshape(len(rows), -1).all(axis=1)
    (given,) = jax.tree.leaves(moments)
    power = pure & (degree > 0) & (degree % 2 == 0)
    share = 1.0
    if given.shape != power.shape:
        share, power = len(rows) / max(given.size, 1), np.asarray(power.all())
    found = jnp.where(power & (given > 0), share / (max(degree, 1) * given), 0)
    confining: Polynomial = jax.tree.map(
        lambda c: jnp.broadcast_to(found, c.shape).astype(c.dtype), moments
    )
    return confining


def _square(h: Hamiltonian) -> Float[Array, ""]:
    flat: Array = ravel_pytree(h)[0]
    return jnp.vdot(flat, flat)
