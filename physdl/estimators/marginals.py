"""Probabilities of the states of single sites, as derivatives of log Z.

    p(x_i = a) = - d log Z / d E_i(a)

where E_i(a) is an energy added to state a of site i. Any estimator that can be differentiated
gives them, and they inherit its exactness.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.estimators._base import Estimator
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import Table

__all__ = ["site_marginals"]


def site_marginals(
    h: Hamiltonian, estimator: Estimator, *, key: Key[Array, ""] | None = None
) -> Float[Array, "n_sites q"]:
    """p(x_i = a) for every site i and state a, shape [n_sites, q].

    Where sites have different numbers of states, q is the largest and missing states have
    probability zero.

    Raises:
      SpaceError: the space is not finite.

    >>> from physdl import estimators, lattices, models
    >>> h = models.ising(lattices.chain(3), 0.0, 0.5)
    >>> p = site_marginals(h, estimators.Enumeration())
    >>> bool(jnp.allclose(p[:, 1], 1 / (1 + jnp.exp(-2 * 0.5))))
    True
    """
    sizes = state_counts(require_finite(h.space, "site marginals"), h.n_sites)
    q = int(sizes.max(initial=1))

    def log_z(energies: Float[Array, "n q"]) -> Float[Array, ""]:
        terms = dict(h.terms)
        for n in np.unique(sizes).tolist():
            sites = np.flatnonzero(sizes == n)
            terms[f"marginal of {n} states"] = Potential(energies[sites, :n], Table(sites[:, None]))
        tilted = Hamiltonian(terms, space=h.space, shape=h.shape)
        return estimator(tilted, key=key).log_z

    gradient: Array = jax.jit(jax.grad(log_z))(jnp.zeros((h.n_sites, q), h.dtype))
    return -gradient
