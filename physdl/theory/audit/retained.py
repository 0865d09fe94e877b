r"""Information kept: how much of what a block knows of its surroundings its block spin still knows.

A block V of sites, a buffer around it, and the environment E beyond. A good block spin H of V keeps
the long-range information,

    share = I(H; E) / I(V; E) <= 1

(M. Koch-Janusz and Z. Ringel, Nat. Phys. 14, 578 (2018)). A share of one makes the coarse measure
factorise, and the range of interactions does not grow (P. M. Lenggenhager et al., Phys. Rev. X 10,
011037 (2020), proved in one dimension). J. M. Bertoni and J. M. Renes (arXiv:2107.00990) hold
against it that small renormalised couplings need the *short*-range information, between a block and
its boundary; a buffer of no site measures that.

An open chain of spins without field is a piece of the infinite one, so a chain of six (one site of
environment, one of buffer, the block of two, and the same again) gives the exact share of the
infinite chain.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import SettingError, ShapeError, SupportError
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import logsumexp
from physdl.pytree import is_traced, module
from physdl.theory.audit.tables import joint_table
from physdl.theory.audit.trace import trace_condition
from physdl.theory.hierarchy.information import log_mutual_information

__all__ = ["InformationKept", "information_kept"]

NORMALISED = 1e-4


@module
class InformationKept:
    """What block and block spin know of the environment, in nats.

    Attributes:
      fine: I(V; E).
      coarse: I(H; E).
    """

    fine: Float[Array, ""]
    coarse: Float[Array, ""]

    @property
    def share(self) -> Float[Array, ""]:
        """I(H; E) / I(V; E); NaN where there is nothing to know."""
        return self.coarse / self.fine


def information_kept(
    h: Hamiltonian, kernel: ArrayLike, *, block: NumpyArrayLike, environment: NumpyArrayLike
) -> InformationKept:
    """I(H; E) and I(V; E) by enumeration; all other sites are the buffer and are summed out.

    Args:
      h: of all sites.
      kernel: ln P(H | V), [n_V, n_H], normalised for every V (``block_kernel``).
      block: the sites of V, in the order of the kernel's configurations.
      environment: the sites of E.

    Raises:
      SupportError: block and environment share a site, or name one that does not exist.
      ShapeError: the kernel does not have one row for each configuration of the block.
      SettingError: the kernel is no conditional probability.
      TooLargeError: block and environment have more than 2^24 configurations.

    >>> from physdl import lattices, models, rg
    >>> from physdl.theory.audit import block_kernel
    >>> chain = models.ising(lattices.chain(6, periodic=False), 0.5)
    >>> first = block_kernel(rg.BlockDecimation(2), (2,))
    >>> kept = information_kept(chain, first, block=[2, 3], environment=[0, 5])
    >>> round(float(kept.share), 4)
    0.6042
    """
    inside, outside = (np.asarray(s).reshape(-1).astype(int) for s in (block, environment))
    if np.intersect1d(inside, outside).size:
        raise SupportError(
            f"block {inside.tolist()} and environment {outside.tolist()} must share no site."
        )
    named = np.concatenate([inside, outside])
    if not np.all(np.isin(named, np.arange(h.n_sites))):
        raise SupportError(f"sites are 0 to {h.n_sites - 1}, got {named.tolist()}.")
    buffer = np.setdiff1d(np.arange(h.n_sites), named)
    rest = np.setdiff1d(np.arange(h.n_sites), buffer)
    marginal = h.marginalise(buffer) if buffer.size else h
    table = -joint_table(marginal, np.searchsorted(rest, inside))
    t = jnp.asarray(kernel, dtype=float)
    residual = trace_condition(t).residual
    if len(t) != len(table):
        raise ShapeError(
            f"a block of {len(inside)} sites has {len(table)} configurations, the kernel "
            f"{len(t)} rows."
        )
    if not is_traced(residual) and not float(residual) < NORMALISED:
        raise SettingError(
            f"a block spin is drawn from P(H | V), but the kernel's trace is off by a factor of "
            f"exp({float(residual):.3g}): subtract R(V)."
        )
    coarse = logsumexp(t[:, :, None] + table[:, None, :], axis=0)
    return InformationKept(log_mutual_information(table), log_mutual_information(coarse))
