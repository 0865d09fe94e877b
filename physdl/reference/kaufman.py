r"""The finite torus: Kaufman's partition function of the rows x columns square lattice Ising model.

.. math:: Z = \tfrac12(2\sinh 2K)^{MN/2}\Bigl[\prod_r 2\cosh\tfrac M2\gamma_{2r+1}
          + \prod_r 2\sinh\tfrac M2\gamma_{2r+1} + \prod_r 2\cosh\tfrac M2\gamma_{2r}
          + \prod_r 2\sinh\tfrac M2\gamma_{2r}\Bigr],

:math:`\cosh\gamma_l = \cosh^2 2K/\sinh 2K - \cos(\pi l/N)`. The trap: :math:`\gamma_0` is *signed*,
:math:`\gamma_0 = 2K + \ln\tanh K`, negative above the critical temperature. Taking the arccosh
instead costs up to ln 2 there.

Here the four products are written as polynomials in the tanh of the couplings, one for each pair of
boundary conditions of the fermions (periodic or antiperiodic along each axis):
:math:`Z = 2^{MN-1}(\cosh K_x\cosh K_y)^{MN}(P_{aa} + P_{ap} + P_{pa} - P_{pp})`. A pair of momenta
:math:`\pm p` gives :math:`\Lambda_p^M(1 \pm \rho_p^M)^2`; the momenta 0 and pi, their own partners,
give the signed factor :math:`e^{-MK_x}\cosh^M K_y\,[1 \pm (e^{2K_x}\tanh K_y)^M]` (pi: with
:math:`-K_x`), which is where :math:`\gamma_0` sits. A polynomial identity that holds for positive
couplings holds for all, so couplings of either sign, unequal couplings and odd sides are covered.

Convention: H = -sum over bonds of K s s'; a side of length 2 counts its bonds twice, a side of
length 1 binds each site to itself. Consequence: ln Z of any torus to rounding, with finite first
and second derivatives at the critical coupling, where the last product is exactly zero.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from physdl.bibliography import cites
from physdl.reference._arguments import integer, log_cosh, magnitude, scalar

__all__ = ["kaufman_energy", "kaufman_log_z", "kaufman_specific_heat"]


@cites("kaufman1949")
def kaufman_log_z(
    rows: int, cols: int, coupling_x: ArrayLike, coupling_y: ArrayLike | None = None
) -> Float[Array, ""]:
    r"""Exact ln Z of the Ising model on a rows x cols torus; formula in the module's text.

    Args:
      rows: number of rows (static), at least 1.
      cols: number of columns (static), at least 1.
      coupling_x: K between neighbours in a row, a scalar of any sign.
      coupling_y: K between neighbours in a column; equal to the first if left out.

    Returns:
      ln Z in nats, extensive: relative accuracy about 1e-14 in float64, 1e-6 in float32, at a cost
      that grows with ``cols`` only. One case loses digits: a negative coupling along an odd
      side frustrates every loop around it, and the products cancel by about 0.87 \|K\| digits for
      each of those loops (their number is the other side); the answer is nan when none is left.

    Raises:
      SettingError: a size is not a positive integer.
      ShapeError: a coupling is not a scalar.

    Sources: B. Kaufman, Phys. Rev. 76, 1232 (1949); the four boundary sectors: B. M. McCoy and
    T. T. Wu, The Two-Dimensional Ising Model (Harvard University Press, 1973).

    >>> print(f"{kaufman_log_z(16, 16, 0.1):.11f}")
    180.02719802517
    >>> print(f"{kaufman_log_z(2, 2, 0.3):.12f} {math.log(12 + 4 * math.cosh(2.4)):.12f}")
    3.533037848289 3.533037848289
    """
    n_rows, n_cols = integer(rows, "rows", 1), integer(cols, "cols", 1)
    kx = scalar(coupling_x, "coupling_x")
    ky = kx if coupling_y is None else scalar(coupling_y, "coupling_y")
    antiperiodic = _sectors(n_rows, n_cols, kx, ky, periodic=False)
    periodic = _sectors(n_rows, n_cols, kx, ky, periodic=True)
    log_scale = jnp.concatenate([antiperiodic[0], periodic[0]])
    values = jnp.concatenate([antiperiodic[1], periodic[1]])
    top = lax.stop_gradient(jnp.max(log_scale))
    terms = values * jnp.exp(log_scale - top) * jnp.asarray([1, 1, 1, -1], kx.dtype)
    total = jnp.sum(terms)
    noise = 8 * float(np.finfo(kx.dtype).eps) * jnp.sum(jnp.abs(terms))
    n_sites = n_rows * n_cols
    log_total = jnp.log(jnp.where(total > noise, total, jnp.nan))
    return (n_sites - 1) * math.log(2.0) + top + log_total


@cites("kaufman1949")
def kaufman_energy(rows: int, cols: int, coupling: ArrayLike) -> Float[Array, ""]:
    r"""Exact mean energy of the isotropic torus, -d ln Z/dK: the whole lattice, in units of J.

    Args:
      rows: number of rows (static).
      cols: number of columns (static).
      coupling: K, a scalar; for unequal couplings use ``jax.grad`` of ``kaufman_log_z``.

    Raises:
      SettingError: a size is not a positive integer.
      ShapeError: the coupling is not a scalar.

    Source: B. Kaufman, Phys. Rev. 76, 1232 (1949); the derivative is automatic.

    >>> print(f"{kaufman_energy(4, 4, math.log(1 + math.sqrt(2)) / 2) / 16:.12f}")
    -1.565623787638
    """
    energy = jax.grad(lambda k: -kaufman_log_z(rows, cols, k))
    return jnp.asarray(energy(scalar(coupling, "coupling")))


@cites("ferdinand1969")
def kaufman_specific_heat(rows: int, cols: int, coupling: ArrayLike) -> Float[Array, ""]:
    r"""Exact specific heat of the isotropic torus, K^2 d^2 ln Z/dK^2: the whole lattice.

    It is the variance of the reduced energy; divided by K^2 it is the Fisher information of one
    configuration about K.

    Args:
      rows: number of rows (static).
      cols: number of columns (static).
      coupling: K, a scalar.

    Raises:
      SettingError: a size is not a positive integer.
      ShapeError: the coupling is not a scalar.

    Source: A. E. Ferdinand and M. E. Fisher, Phys. Rev. 185, 832 (1969); here from automatic
    derivatives of ``kaufman_log_z``.

    >>> print(f"{kaufman_specific_heat(4, 4, math.log(1 + math.sqrt(2)) / 2) / 16:.10f}")
    0.7832668259
    """
    k = scalar(coupling, "coupling")
    curvature = jax.grad(jax.grad(lambda x: kaufman_log_z(rows, cols, x)))
    return jnp.asarray(k**2 * curvature(k))


def _sectors(
    n_rows: int, n_cols: int, kx: Float[Array, ""], ky: Float[Array, ""], *, periodic: bool
) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
    r"""Two products P, each as (log of a positive scale, signed rest).

    ``periodic`` selects the momenta along a row; the axis of length 2 is the closure along the
    columns, antiperiodic first.
    """
    closure = jnp.asarray([-1, 1], kx.dtype)
    log_scale, value = jnp.zeros_like(closure), jnp.ones_like(closure)
    at_zero = [kx] if periodic else []
    at_pi = [-kx] if (n_cols % 2 == 0) == periodic else []
    for signed_coupling in at_zero + at_pi:
        scale, factor = _own_partner(n_rows, signed_coupling, ky, closure)
        log_scale, value = log_scale + scale, value * factor
    n_pairs = (n_cols - len(at_zero + at_pi)) // 2
    if n_pairs:
        first = 1.0 if periodic else 0.5
        momenta = jnp.asarray(2 * np.pi * (np.arange(n_pairs) + first) / n_cols, kx.dtype)
        log_eigenvalue, ratio = _pair(momenta, kx, ky)
        log_closed = jnp.log1p(-closure[:, None] * ratio[None, :] ** n_rows)
        log_scale = log_scale + n_rows * jnp.sum(log_eigenvalue) + 2 * jnp.sum(log_closed, axis=1)
    return log_scale, value


def _own_partner(
    n_rows: int, kx: Float[Array, ""], ky: Float[Array, ""], closure: Float[Array, "2"]
) -> tuple[Float[Array, ""], Float[Array, "2"]]:
    r"""(e^{-K_x} cosh K_y)^M [1 -+ (e^{2K_x} tanh K_y)^M], split so that neither part overflows.

    The split point is constant under differentiation; it drops out of the product.
    """
    tanh = jnp.tanh(ky)
    shift = lax.stop_gradient(jnp.maximum(2 * kx + jnp.log(jnp.abs(tanh)), 0))
    value = jnp.exp(-n_rows * shift) - closure * (tanh * jnp.exp(2 * kx - shift)) ** n_rows
    return n_rows * (log_cosh(ky) - kx + shift), value


def _pair(
    momenta: Float[Array, " n"], kx: Float[Array, ""], ky: Float[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    r"""ln Lambda_p and the signed rho_p = e^{-gamma_p}, for momenta other than 0 and pi.

    :math:`\Lambda = \tfrac12(A + \sqrt{A^2 - B^2})`, :math:`\rho = B/2\Lambda`,
    :math:`A = \cosh2K_x\cosh2K_y - \sinh2K_x\cos p`, :math:`B = \sinh2K_y`, both over
    :math:`\cosh2K_x\cosh2K_y`; A - \|B\| is a sum of positive terms.
    """
    x, y = magnitude(kx), magnitude(ky)
    log_cosh_x, log_cosh_y = log_cosh(2 * x), log_cosh(2 * y)
    sech_x, sech_y = jnp.exp(-log_cosh_x), jnp.exp(-log_cosh_y)
    tanh_x, tanh_y = jnp.tanh(2 * x), jnp.tanh(2 * y)
    one_minus_cos = jnp.where(kx < 0, 2 * jnp.cos(momenta / 2) ** 2, 2 * jnp.sin(momenta / 2) ** 2)
    b = tanh_y * sech_x
    gap = (sech_x * sech_y - tanh_x * tanh_y) ** 2 / (1 + tanh_x * sech_y + tanh_y * sech_x)
    difference = gap + tanh_x * sech_y * one_minus_cos
    a = difference + b
    root = jnp.sqrt(jnp.maximum(difference * (a + b), float(np.finfo(kx.dtype).tiny)))
    ratio = jnp.where(ky < 0, -b, b) / (a + root)
    return log_cosh_x + log_cosh_y + jnp.log((a + root) / 2), ratio
