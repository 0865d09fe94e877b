"""Families of distributions that differ in temperature alone: exp(-beta E(x)) / Z(beta).

All that concerns temperature is in E(x) and in the one function log Z(beta), whose derivatives are
minus the mean energy and its variance.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl import lattices, models
from physdl.errors import ShapeError, StructureError
from physdl.estimators import Estimator
from physdl.hamiltonian import Hamiltonian
from physdl.networks import HamiltonianClassifier
from physdl.pytree import module, static
from physdl.reference import kaufman_log_z

__all__ = ["Canonical", "canonical", "ising_torus"]

LogZ = Callable[[Float[Array, ""]], Float[Array, ""]]


@module
class Canonical:
    """p_beta(x) = exp(-beta E(x)) / Z(beta).

    Attributes:
      h: E, the Hamiltonian at beta = 1.
      log_z: beta -> log Z(beta) in nats, twice differentiable; a ``@module``, so that it is data.

    Raises:
      StructureError: ``log_z`` is a plain function.
    """

    h: Hamiltonian
    log_z: LogZ

    def __post_init__(self) -> None:
        leaves = jax.tree.leaves(self.log_z)
        if any(callable(leaf) for leaf in leaves):
            raise StructureError(
                "log_z is data of a family: make the function a @module with a __call__."
            )

    def classifier(
        self, betas: ArrayLike, log_prior: ArrayLike | None = None
    ) -> HamiltonianClassifier:
        """The posterior over a grid as a network of one hidden layer that computes beta E(x)."""
        grid, mu = surprisals(self, betas, log_prior)
        return HamiltonianClassifier(Multiples(self.h, grid), mu)


@module
class Multiples:
    """x -> beta E(x) for every beta."""

    h: Hamiltonian
    betas: Float[Array, " n_betas"]

    def __call__(self, x: Array) -> Float[Array, " n_betas"]:
        return self.betas * self.h(x)[None]


@module
class Kaufman:
    """beta -> log Z of the Ising torus."""

    rows: int = static()
    cols: int = static()

    def __call__(self, beta: Float[Array, ""]) -> Float[Array, ""]:
        return kaufman_log_z(self.rows, self.cols, beta)


@module
class Counted:
    """beta -> log Z of beta h, by an estimator."""

    h: Hamiltonian
    estimator: Estimator

    def __call__(self, beta: Float[Array, ""]) -> Float[Array, ""]:
        return self.estimator(beta * self.h).log_z


def ising_torus(rows: int, cols: int) -> Canonical:
    """The square Ising model on a torus, beta = K, with Kaufman's log Z.

    Raises:
      LatticeError: a side is shorter than 2.

    >>> model = ising_torus(4, 4)
    >>> float(model.h(jnp.ones((4, 4)))), f"{model.log_z(jnp.asarray(0.2)):.5f}"
    (-32.0, '11.77147')
    """
    h = models.ising(lattices.square(rows, cols), 1.0)
    return Canonical(h, Kaufman(rows, cols))


def canonical(h: Hamiltonian, estimator: Estimator) -> Canonical:
    """Any Hamiltonian, with log Z by any deterministic estimator that can be differentiated twice.

    >>> from physdl import estimators
    >>> model = canonical(models.ising(lattices.square(4, 4), 1.0), estimators.Enumeration())
    >>> f"{model.log_z(jnp.asarray(0.2)):.5f}"
    '11.77147'
    """
    return Canonical(h, Counted(h, estimator))


def surprisals(
    model: Canonical, betas: ArrayLike, log_prior: ArrayLike | None
) -> tuple[Float[Array, " n_betas"], Float[Array, " n_betas"]]:
    """The grid, and log Z(beta) - log p(beta) on it."""
    grid = jnp.asarray(betas, model.h.dtype)
    if grid.ndim != 1 or not grid.size:
        raise ShapeError(f"a grid of beta is a vector, got shape {grid.shape}.")
    log_z = jax.vmap(model.log_z)(grid)
    if log_prior is None:
        return grid, log_z
    prior = jnp.asarray(log_prior, grid.dtype)
    if prior.shape != grid.shape:
        raise ShapeError(
            f"{grid.size} values of beta have as many priors, got {np.shape(log_prior)}."
        )
    return grid, log_z - prior
