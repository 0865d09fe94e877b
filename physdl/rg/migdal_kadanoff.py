r"""Migdal-Kadanoff: move bonds together, then sum out the sites between them.

On a hypercubic lattice of dimension d the bonds inside a cell of b^d sites are moved to its edges,
where b^(d-1) of them lie side by side; the b - 1 sites along an edge are then summed out,

    W'(s, s') = (W^(b^(d-1)))^b,      power of every entry, then of the matrix,

with W(s, s') = exp(-E(s, s')) the weight of a bond (A. A. Migdal, Sov. Phys. JETP 42, 743 (1975);
L. P. Kadanoff, Ann. Phys. 100, 359 (1976)). For the Ising model K' = atanh(tanh^b(b^(d-1) K)).

It is exact in one dimension, and on a hierarchical lattice. Moving a bond does not change the mean
energy, so log Z of the moved lattice is above the true one: -log Z per site is a lower bound of the
free energy. The sites inside a cell, which lose all their bonds, count log q each.

In the limit b -> 1 the map becomes a continuous group,

    d(log W) / dl = (d - 1) log W + (W log W) / W,

with log W of entries in the first term and of the matrix in the second.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.pytree import is_traced, module, static
from physdl.rg._base import RGStep
from physdl.rg._continuous import integrated
from physdl.rg._matrix import log_power, matrix_exponential, matrix_logarithm
from physdl.rg.bonds import Bond, bond
from physdl.spaces import SPIN

__all__ = ["MigdalKadanoff", "MigdalKadanoffFlow"]


@cites("migdal1975", "kadanoff1976")
@module
class MigdalKadanoff:
    """Bond moving and decimation on a hypercubic lattice.

    The couplings are those of ``bond``, [n]: for the Ising model the vector [K].

    Attributes:
      dim: the dimension d >= 1, any real number; can be differentiated.
      bond: the basis of couplings; that of the Ising model without a field by default.

    Args:
      scale: b > 1. An int is exact for any bond. A real number (also a traced one, which can be
        differentiated) needs a bond whose matrix has positive eigenvalues: no antiferromagnet.

    Raises:
      SettingError: ``scale`` is not above 1 or ``dim`` is below 1.

    >>> from physdl import rg, spaces
    >>> mk = rg.MigdalKadanoff(scale=2, dim=2, bond=rg.bond(spaces.potts(3)))
    >>> k = rg.fixed_point(mk, jnp.array([0.8])).couplings
    >>> bool(jnp.allclose(mk(k).couplings, k, rtol=1e-5))
    True
    """

    real_scale: Any
    dim: Any
    bond: Bond
    whole_scale: int | None = static()

    def __init__(self, scale: float = 2, dim: float = 2, bond: Bond | None = None):
        whole = isinstance(scale, int | np.integer) and not isinstance(scale, bool)
        _check(scale, dim)
        object.__setattr__(self, "real_scale", None if whole else scale)
        object.__setattr__(self, "dim", 1.0 * dim)
        object.__setattr__(self, "bond", ising_bond() if bond is None else bond)
        object.__setattr__(self, "whole_scale", int(scale) if whole else None)

    @property
    def scale(self) -> Any:
        """The length ratio b."""
        return self.real_scale if self.whole_scale is None else self.whole_scale

    def __call__(self, couplings: Float[Array, " n"]) -> RGStep[Float[Array, " n"]]:
        """The renormalized couplings.

        Raises:
          ShapeError: there are more or fewer couplings than the bond has.
        """
        k, b, d = _couplings(self.bond, couplings), 1.0 * self.scale, 1.0 * self.dim
        moved = self.bond.log_weights(b ** (d - 1) * k)
        summed = self._chain(moved)
        after, constant, error = self.bond.couplings(summed)
        return RGStep(after, summed_out(constant, b, d, self.bond), error)

    def _chain(self, log_w: Float[Array, "q q"]) -> Float[Array, "q q"]:
        """log of the b-th power of the matrix with these logarithms of entries."""
        if self.whole_scale is not None:
            return log_power(log_w, self.whole_scale)
        top = jnp.max(log_w)
        power = matrix_exponential(self.scale * matrix_logarithm(jnp.exp(log_w - top)))
        logarithms: Array = jnp.log(power) + self.scale * top
        return logarithms


@cites("migdal1975", "kadanoff1976")
@module
class MigdalKadanoffFlow:
    """The limit b -> 1 of ``MigdalKadanoff``: an ``RGFlow``.

    For the Ising model dK/dl = (d - 1) K + sinh(2 K) log(tanh K) / 2, whose fixed point in two
    dimensions is the exact critical coupling.

    Attributes:
      dim: the dimension d >= 1, any real number.
      bond: the basis of couplings; its matrix must have positive eigenvalues.
      scale: the length ratio of one call, which integrates the flow.

    Raises:
      SettingError: ``scale`` is not above 1 or ``dim`` is below 1.

    >>> from physdl import rg
    >>> limit = rg.MigdalKadanoffFlow(dim=2)
    >>> k = rg.fixed_point(limit, jnp.array([0.4])).couplings
    >>> bool(jnp.isclose(jnp.sinh(2 * k[0]), 1, rtol=1e-4))
    True
    """

    dim: Any
    bond: Bond
    scale: Any

    def __init__(self, dim: float = 2, bond: Bond | None = None, scale: float = 2):
        _check(scale, dim)
        object.__setattr__(self, "dim", 1.0 * dim)
        object.__setattr__(self, "bond", ising_bond() if bond is None else bond)
        object.__setattr__(self, "scale", 1.0 * scale)

    def beta(self, couplings: Float[Array, " n"]) -> Float[Array, " n"]:
        """dk/dl.

        Raises:
          ShapeError: there are more or fewer couplings than the bond has.
        """
        k = _couplings(self.bond, couplings)
        log_w = self.bond.log_weights(k)
        w = jnp.exp(log_w - jnp.max(log_w))
        series = w @ matrix_logarithm(w) / w
        rate: Array = (1.0 * self.dim - 1) * k + self.bond.couplings(series)[0]
        return rate

    def __call__(self, couplings: Float[Array, " n"]) -> RGStep[Float[Array, " n"]]:
        """The couplings after l = log(scale); the constant is not followed: log_weight is NaN."""
        return integrated(self, couplings)


def summed_out(constant: Any, b: Any, d: Any, basis: Bond) -> Any:
    """log Z per site of the d bonds of a cell, and of its inner sites, which have lost theirs."""
    inside = b**d - 1 - d * (b - 1)
    return (d * constant + inside * np.log(basis.n_states)) / b**d


def ising_bond() -> Bond:
    """The basis of a model that names none."""
    return bond(SPIN)


def _check(scale: float, dim: float) -> None:
    if not is_traced(scale) and not float(scale) > 1:
        raise SettingError(f"the length ratio is above 1, got scale={scale}.")
    if not is_traced(dim) and not float(dim) >= 1:
        raise SettingError(f"the dimension is 1 or more, got dim={dim}.")


def _couplings(basis: Bond, given: Float[Array, " n"]) -> Float[Array, " n"]:
    k = jnp.asarray(given)
    n = len(basis.names)
    if k.shape != (n,):
        raise ShapeError(
            f"this bond has {n} couplings ({', '.join(basis.names)}), so they are a vector of "
            f"shape [{n}], got {list(k.shape)}."
        )
    return k
