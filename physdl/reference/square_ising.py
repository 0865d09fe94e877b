r"""The infinite square lattice Ising model without a field: Onsager's solution and Yang's.

With couplings :math:`K_x, K_y` along the two directions,

.. math:: \ln z = \ln 2 + \tfrac12\int_{-\pi}^{\pi}\!\int_{-\pi}^{\pi}\frac{dp\,dq}{(2\pi)^2}
          \ln[\cosh 2K_x\cosh 2K_y - \sinh 2K_x\cos p - \sinh 2K_y\cos q].

It is critical where :math:`\sinh 2K_x \sinh 2K_y = 1`, that is where one coupling is the *dual* of
the other. For :math:`K_x = K_y` energy and specific heat are complete elliptic integrals, here by
the arithmetic-geometric mean in a form without cancellation at any temperature.

Convention: H = -sum over bonds of K s s', energies in units of the bond strength J (so that
:math:`u = -d\ln z/dK`), specific heat in units of the Boltzmann constant, all per site; couplings
of any sign. Consequence: every function here is exact to rounding, and may be jitted, mapped and
differentiated; no Monte Carlo result on the square lattice needs another yardstick.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from physdl.bibliography import cites
from physdl.reference._arguments import magnitude, scalar
from physdl.reference.planar_ising import triangular_log_z

__all__ = [
    "dual_coupling",
    "onsager_energy",
    "onsager_log_z",
    "onsager_specific_heat",
    "square_critical_coupling",
    "yang_magnetisation",
]

_N_MEANS = 10


@cites("kramers1941")
def square_critical_coupling() -> float:
    r"""Critical coupling of the isotropic square lattice, ln(1 + sqrt 2)/2; either sign.

    Source: H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941).

    >>> square_critical_coupling()
    0.44068679350977147
    """
    return math.log(1 + math.sqrt(2.0)) / 2


@cites("kramers1941")
def dual_coupling(coupling: ArrayLike) -> Float[Array, ""]:
    r"""The dual K* of a coupling K > 0: sinh 2K sinh 2K* = 1, that is K* = -ln(tanh K)/2.

    The square lattice with couplings :math:`K_x, K_y` is critical where K_y is the dual of K_x.
    The dual of 0 is infinite, that of a negative coupling not a number.

    Source: H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941).

    >>> print(f"{dual_coupling(square_critical_coupling()):.12f} {dual_coupling(0.2):.12f}")
    0.440686793510 0.811324091994
    """
    k = scalar(coupling, "coupling")
    return (jnp.log1p(jnp.exp(-2 * k)) - jnp.log(-jnp.expm1(-2 * k))) / 2


@cites("onsager1944")
def onsager_log_z(coupling_x: ArrayLike, coupling_y: ArrayLike | None = None) -> Float[Array, ""]:
    r"""ln Z per site of the infinite square lattice; formula in the module's text.

    Args:
      coupling_x: K along the first direction, a scalar of any sign.
      coupling_y: K along the second direction; equal to the first if left out.

    Returns:
      Nats per site, to 1e-14 in float64 and 1e-6 in float32, at the critical point too.

    Raises:
      ShapeError: a coupling is not a scalar.

    Source: L. Onsager, Phys. Rev. 65, 117 (1944).

    >>> print(f"{onsager_log_z(square_critical_coupling()):.13f}")
    0.9296953983416
    """
    kx = scalar(coupling_x, "coupling_x")
    return triangular_log_z(kx, kx if coupling_y is None else coupling_y, 0.0)


@cites("onsager1944")
def onsager_energy(coupling: ArrayLike) -> Float[Array, ""]:
    r"""Energy per site of the isotropic infinite square lattice, in units of J.

    .. math:: u = -\coth 2K\,\bigl[1 + \tfrac{2}{\pi}(2\tanh^2 2K - 1)\,\mathsf K(k)\bigr],
              \qquad k = 2\sinh 2K/\cosh^2 2K.

    Args:
      coupling: K, a scalar of any sign; u is odd in K.

    Returns:
      :math:`-d\ln z/dK`; -sqrt 2 at the critical point. Relative accuracy is a few roundings of the
      dtype (the slope is infinite at the critical point and amplifies the rounding of K itself).

    Raises:
      ShapeError: the coupling is not a scalar.

    Source: L. Onsager, Phys. Rev. 65, 117 (1944).

    >>> print(f"{onsager_energy(0.4):.12f} {onsager_energy(square_critical_coupling()):.6f}")
    -1.106079203746 -1.414214
    """
    k = scalar(coupling, "coupling")
    tanh = jnp.tanh(2 * k)
    disordered, m, mean, linear, _ = _elliptic(k)
    safe = jnp.where(disordered, 1, tanh)
    return jnp.where(
        disordered, -tanh * (1 - linear) / mean, -(2 - 3 * m - m * linear) / (safe * mean)
    )


@cites("onsager1944")
def onsager_specific_heat(coupling: ArrayLike) -> Float[Array, ""]:
    r"""Specific heat per site of the isotropic infinite square lattice.

    .. math:: C = \tfrac4\pi (K\coth 2K)^2 \bigl\{\mathsf K(k) - \mathsf E(k)
              - (1-\tanh^2 2K)[\tfrac\pi2 + (2\tanh^2 2K - 1)\mathsf K(k)]\bigr\}.

    Args:
      coupling: K, a scalar of any sign.

    Returns:
      :math:`K^2 d^2\ln z/dK^2`. It diverges logarithmically at the critical point; for K within
      one rounding of it the value stays finite (about 18 in float64).

    Raises:
      ShapeError: the coupling is not a scalar.

    Source: L. Onsager, Phys. Rev. 65, 117 (1944).

    >>> print(f"{onsager_specific_heat(0.4):.10f}")
    0.8616983568
    """
    k = scalar(coupling, "coupling")
    disordered, m, mean, linear, quadratic = _elliptic(k)
    safe = jnp.where(disordered, 1, jnp.tanh(2 * k))
    return jnp.where(
        disordered,
        2 * k**2 * (1 + (1 - m) * linear + m * quadratic) / mean,
        2 * (k * m / safe) ** 2 * (2 + linear + quadratic) / mean,
    )


def _elliptic(
    k: Float[Array, ""],
) -> tuple[Array, Float[Array, ""], Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    r"""The arithmetic-geometric mean of 1 and k' = |2 tanh^2 2K - 1| and the sums it needs.

    With m = (1-k')/2 and differences :math:`c_n = m d_n`, :math:`d_1 = 1`,
    :math:`d_{n+1} = m d_n^2/(4a_{n+1})`, the integrals are :math:`\mathsf K = \pi/(2a_\infty)` and
    :math:`\mathsf K - \mathsf E = \tfrac12\mathsf K\sum_n 2^n c_n^2`.

    Returns:
      Whether K is below the critical coupling, m, the mean, :math:`\sum_{n\ge2} d_n` and
      :math:`\tfrac12\sum_{n\ge2} 2^n d_n^2`.
    """
    tanh_squared = jnp.tanh(2 * k) ** 2
    shrunk = jnp.exp(-4 * magnitude(k))
    disordered = tanh_squared <= 0.5
    m = jnp.where(disordered, tanh_squared, 4 * shrunk / (1 + shrunk) ** 2)
    m = jnp.minimum(m, (1 - float(np.finfo(k.dtype).eps)) / 2)
    a, b, d = 1 - m, jnp.sqrt(1 - 2 * m), jnp.ones_like(m)
    linear = quadratic = jnp.zeros_like(m)
    for n in range(2, _N_MEANS + 2):
        a, b = (a + b) / 2, jnp.sqrt(a * b)
        d = m * d**2 / (4 * a)
        linear = linear + d
        quadratic = quadratic + 2.0 ** (n - 1) * d**2
    return disordered, m, a, linear, quadratic


@cites("yang1952")
def yang_magnetisation(
    coupling_x: ArrayLike, coupling_y: ArrayLike | None = None
) -> Float[Array, ""]:
    r"""Spontaneous magnetisation per site of the infinite square lattice.

    .. math:: M = [1 - (\sinh 2K_x\sinh 2K_y)^{-2}]^{1/8}

    below the critical temperature, 0 above. For negative couplings it is the order parameter of
    the ground state's own pattern (the staggered magnetisation of the antiferromagnet).

    Args:
      coupling_x: K along the first direction, a scalar of any sign.
      coupling_y: K along the second direction; equal to the first if left out.

    Returns:
      M in [0, 1], accurate to rounding away from the critical point, where the slope is infinite.

    Raises:
      ShapeError: a coupling is not a scalar.

    Sources: C. N. Yang, Phys. Rev. 85, 808 (1952); anisotropic: C. H. Chang, Phys. Rev. 88, 1422
    (1952).

    >>> print(f"{yang_magnetisation(0.5):.11f} {yang_magnetisation(0.4):.1f}")
    0.91131937788 0.0
    """
    kx = scalar(coupling_x, "coupling_x")
    ky = kx if coupling_y is None else scalar(coupling_y, "coupling_y")
    kx, ky = magnitude(kx), magnitude(ky)
    ordered = dual_coupling(kx) < ky
    modulus = _inverse_sinh(jnp.where(ordered, kx, 1)) * _inverse_sinh(jnp.where(ordered, ky, 1))
    return jnp.where(ordered, jnp.maximum((1 - modulus) * (1 + modulus), 0) ** 0.125, 0)


def _inverse_sinh(coupling: Float[Array, ""]) -> Float[Array, ""]:
    """1/sinh(2K) for K > 0, without overflow."""
    return 2 * jnp.exp(-2 * coupling) / -jnp.expm1(-4 * coupling)
