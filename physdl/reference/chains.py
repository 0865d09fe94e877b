r"""Chains: every one-dimensional model with neighbour bonds, solved by its transfer matrix.

:math:`Z = \mathrm{Tr}\,T^N = \sum_i \lambda_i^N` on a ring of N sites, :math:`T(s, s')` the weight
of one bond. For Ising and Potts spins T is q x q; for unit vectors its eigenfunctions are plane
waves (XY) and spherical harmonics (Heisenberg).

Convention: H = -K sum over bonds of s.s' (Potts: of delta_{ss'}) - h sum of s, ln Z in nats for the
whole chain; unit vectors are integrated over the circle (total 2 pi) or the sphere (total 4 pi). A
ring of 2 sites has two bonds, a ring of 1 site binds it to itself. Consequence: there is no phase
transition, so every function is smooth in its couplings, to all orders.

Where a ring is frustrated (odd length, K < 0) the eigenvalues have both signs and the sum cancels;
for Ising and Potts rings this is done without loss, for unit vectors the docstring says what is
left.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from physdl.bibliography import cites
from physdl.errors import ShapeError
from physdl.reference._arguments import integer, magnitude, scalar

__all__ = [
    "heisenberg_chain_log_z",
    "heisenberg_ring_log_z",
    "potts_ring_log_z",
    "ring_log_z",
    "ring_log_z_of",
    "xy_ring_log_z",
]


@cites("ising1925", "kramers1941")
def ring_log_z(length: int, coupling: ArrayLike, field: ArrayLike = 0.0) -> Float[Array, ""]:
    r"""ln Z of the Ising ring in a field.

    .. math:: Z = \lambda_+^N + \lambda_-^N, \qquad
              \lambda_\pm = e^K\cosh h \pm \sqrt{e^{2K}\sinh^2 h + e^{-2K}}.

    Args:
      length: number of sites N (static), at least 1.
      coupling: K, a scalar of any sign.
      field: h, a scalar.

    Returns:
      ln Z in nats, extensive, to a few roundings of the dtype.

    Raises:
      SettingError: the length is not a positive integer.
      ShapeError: coupling or field is not a scalar.

    Source: E. Ising, Z. Phys. 31, 253 (1925); H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252
    (1941).

    >>> print(f"{ring_log_z(10, 0.5, 0.1):.12f}")
    8.266554362560
    """
    n = integer(length, "length", 1)
    k, h = scalar(coupling, "coupling"), scalar(field, "field")
    top = lax.stop_gradient(jnp.maximum(k + jnp.abs(h), -k))
    up, down = jnp.exp(k + h - top) / 2, jnp.exp(k - h - top) / 2
    root = jnp.hypot(up - down, jnp.exp(-k - top))
    largest = up + down + root
    ratio = (jnp.exp(2 * (k - top)) - jnp.exp(-2 * (k + top))) / largest**2
    return n * (top + jnp.log(largest)) + _log_one_plus_power(ratio, 2 * (up + down) / largest, n)


@cites("potts1952", "wu1982")
def potts_ring_log_z(length: int, q: int, coupling: ArrayLike) -> Float[Array, ""]:
    r"""ln Z of the Potts ring, H = -K sum of delta_{ss'}.

    .. math:: Z = (e^K + q - 1)^N + (q-1)(e^K - 1)^N.

    Args:
      length: number of sites N (static), at least 1.
      q: number of states (static), at least 2.
      coupling: K, a scalar of any sign.

    Returns:
      ln Z in nats, extensive, to a few roundings of the dtype.

    Raises:
      SettingError: the length or q is too small or no integer.
      ShapeError: the coupling is not a scalar.

    Source: R. B. Potts, Proc. Camb. Phil. Soc. 48, 106 (1952); F. Y. Wu, Rev. Mod. Phys. 54, 235
    (1982).

    >>> print(f"{potts_ring_log_z(6, 3, 1.0):.12f}")
    9.313322879520
    """
    n, states = integer(length, "length", 1), integer(q, "q", 2)
    k = scalar(coupling, "coupling")
    shrunk = jnp.exp(-magnitude(k))
    largest = jnp.where(k < 0, shrunk + (states - 1), 1 + (states - 1) * shrunk)
    ratio = jnp.where(k < 0, jnp.expm1(-magnitude(k)), -jnp.expm1(-magnitude(k))) / largest
    log_largest = jnp.where(k < 0, 0, k) + jnp.log(largest)
    if states == 2:
        one_plus_ratio = 2 * jnp.where(k < 0, shrunk, 1) / largest
        return n * log_largest + _log_one_plus_power(ratio, one_plus_ratio, n)
    return n * log_largest + jnp.log1p((states - 1) * ratio**n)


def _log_one_plus_power(
    ratio: Float[Array, ""], one_plus_ratio: Float[Array, ""], n: int
) -> Float[Array, ""]:
    """ln(1 + r^n) for |r| <= 1; near r = -1 it needs 1 + r given to full relative accuracy."""
    if n % 2 == 0:
        return jnp.log1p(ratio**n)
    near = ratio < -0.5
    gap = jnp.where(near, one_plus_ratio, 0.5)
    power = jnp.where(near, 0.0, ratio) ** n
    return jnp.where(near, jnp.log(-jnp.expm1(n * jnp.log1p(-gap))), jnp.log1p(power))


@cites("kramers1941")
def ring_log_z_of(log_weights: ArrayLike, length: int) -> Float[Array, ""]:
    r"""ln Tr T^N of any transfer matrix, :math:`T_{ab} = e^{W_{ab}}`, by repeated squaring.

    Args:
      log_weights: W, the log-weight of one bond from state a to state b; it need not be symmetric,
        and -inf forbids a step.
      length: number of bonds N (static), at least 1.

    Returns:
      ln Z in nats; -inf if no closed walk is allowed. Sums of positive terms only: a few roundings.

    Raises:
      SettingError: the length is not a positive integer.
      ShapeError: the log-weights are not a square matrix.

    Source: H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941).

    >>> golden_mean = jnp.array([[0.0, 0.0], [0.0, -jnp.inf]])
    >>> print(f"{jnp.exp(ring_log_z_of(golden_mean, 10)):.6f}")
    123.000000
    """
    n = integer(length, "length", 1)
    w = jnp.asarray(log_weights)
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ShapeError(
            f"log_weights must have shape [q, q], got {w.shape}: give one row for each state."
        )
    power_scale = lax.stop_gradient(jnp.max(w))
    power = jnp.exp(w - power_scale)
    product, product_scale = jnp.eye(w.shape[0], dtype=w.dtype), jnp.zeros((), w.dtype)
    while n:
        if n % 2:
            product, product_scale = _rescaled(product @ power, product_scale + power_scale)
        n //= 2
        if n:
            power, power_scale = _rescaled(power @ power, 2 * power_scale)
    return product_scale + jnp.log(jnp.trace(product))


def _rescaled(
    matrix: Float[Array, "q q"], log_scale: Float[Array, ""]
) -> tuple[Float[Array, "q q"], Float[Array, ""]]:
    """The same matrix with its largest entry 1; the scale is constant under differentiation."""
    largest = lax.stop_gradient(jnp.max(matrix))
    largest = jnp.where(largest > 0, largest, 1)
    return matrix / largest, log_scale + jnp.log(largest)


@cites("joyce1967")
def xy_ring_log_z(length: int, coupling: ArrayLike, n_nodes: int = 512) -> Float[Array, ""]:
    r"""ln Z of the ring of plane unit vectors, H = -K sum of cos(theta_i - theta_{i+1}).

    .. math:: Z = \sum_{m=-\infty}^{\infty} (2\pi I_m(K))^N.

    The Bessel functions come from one Fourier transform of the bond weight on ``n_nodes`` angles.

    Args:
      length: number of sites N (static), at least 1.
      coupling: K, a scalar of any sign.
      n_nodes: number of angles (static), at least 2; enough while \|K\| < (n_nodes/18)^2 in
        float64.

    Returns:
      ln Z in nats with measure d theta, total 2 pi for each site. For K < 0 and odd N the sum
      cancels: about 0.43 N \|K\| (1 - cos(pi/N)) digits are lost.

    Raises:
      SettingError: length or n_nodes is too small or no integer.
      ShapeError: the coupling is not a scalar.

    Source: G. S. Joyce, Phys. Rev. 155, 478 (1967), who treats classical vector spins on a ring.

    >>> print(f"{xy_ring_log_z(8, 1.0):.12f}")
    16.593479628868
    """
    n, nodes = integer(length, "length", 1), integer(n_nodes, "n_nodes", 2)
    k = scalar(coupling, "coupling")
    cosine = jnp.asarray(np.cos(2 * np.pi * np.arange(nodes) / nodes), k.dtype)
    weight = jnp.exp(k * cosine - magnitude(k)) * (2 * np.pi / nodes)
    eigenvalues = jnp.fft.fft(weight).real
    modes = jnp.sum((eigenvalues / eigenvalues[0]) ** n)
    return n * (magnitude(k) + jnp.log(eigenvalues[0])) + jnp.log(modes)


@cites("joyce1967")
def heisenberg_ring_log_z(length: int, coupling: ArrayLike, n_modes: int = 96) -> Float[Array, ""]:
    r"""ln Z of the ring of unit vectors in space, H = -K sum of S_i.S_{i+1}.

    .. math:: Z = \sum_{l\ge0} (2l+1)\Bigl(2\pi\int_{-1}^1 e^{Kx}P_l(x)\,dx\Bigr)^N
                = \sum_{l\ge0} (2l+1)\,(4\pi\, i_l(K))^N.

    Args:
      length: number of sites N (static), at least 1.
      coupling: K, a scalar of any sign.
      n_modes: number of l kept (static), at least 1; enough while \|K\| < (n_modes/9)^2 in float64.

    Returns:
      ln Z in nats with surface measure, total 4 pi for each site, to a few roundings (1e-10 for
      N = 1, where the sum converges slowest). For K < 0 and odd N the sum
      cancels: about 0.43 N \|K\| (1 - cos(pi/N)) digits are lost.

    Raises:
      SettingError: length or n_modes is too small or no integer.
      ShapeError: the coupling is not a scalar.

    Source: G. S. Joyce, Phys. Rev. 155, 478 (1967).

    >>> print(f"{heisenberg_ring_log_z(8, 1.0):.12f}")
    21.539985440849
    """
    n, modes = integer(length, "length", 1), integer(n_modes, "n_modes", 1)
    k = scalar(coupling, "coupling")
    x, w = np.polynomial.legendre.leggauss(2 * modes)
    legendre = np.polynomial.legendre.legvander(x, modes - 1) * w[:, None] * 2 * np.pi
    weight = jnp.exp(k * jnp.asarray(x, k.dtype) - magnitude(k))
    eigenvalues = weight @ jnp.asarray(legendre, k.dtype)
    degeneracy = jnp.asarray(2 * np.arange(modes) + 1, k.dtype)
    total = jnp.sum(degeneracy * (eigenvalues / eigenvalues[0]) ** n)
    return n * (magnitude(k) + jnp.log(eigenvalues[0])) + jnp.log(total)


@cites("fisher1964")
def heisenberg_chain_log_z(length: int, coupling: ArrayLike) -> Float[Array, ""]:
    r"""ln Z of the open chain of unit vectors in space, H = -K sum of S_i.S_{i+1}.

    .. math:: Z = 4\pi\,\Bigl(4\pi\,\frac{\sinh K}{K}\Bigr)^{N-1}.

    Args:
      length: number of sites N (static), at least 1.
      coupling: K, a scalar of any sign; Z is even in it.

    Returns:
      ln Z in nats with surface measure, total 4 pi for each site, to a few roundings.

    Raises:
      SettingError: the length is not a positive integer.
      ShapeError: the coupling is not a scalar.

    Source: M. E. Fisher, Am. J. Phys. 32, 343 (1964).

    >>> print(f"{heisenberg_chain_log_z(8, 1.0):.12f}")
    21.378269506753
    """
    n = integer(length, "length", 1)
    return n * math.log(4 * math.pi) + (n - 1) * _log_sinhc(scalar(coupling, "coupling"))


def _log_sinhc(x: Float[Array, ""]) -> Float[Array, ""]:
    """ln(sinh x / x): its power series (Bernoulli numbers) for |x| < 1/2, closed form beyond."""
    coefficients = [
        1 / 6,
        -1 / 180,
        1 / 2835,
        -1 / 37800,
        1 / 467775,
        -691 / 3831077250,
        2 / 127702575,
        -3617 / 2605132530000,
        43867 / 350813659321125,
    ]
    small = magnitude(x) < 0.5
    square = jnp.where(small, x, 0) ** 2
    series = square * jnp.polyval(jnp.asarray(coefficients[::-1], x.dtype), square)
    large = jnp.where(small, 1, magnitude(x))
    return jnp.where(small, series, large + jnp.log(-jnp.expm1(-2 * large) / (2 * large)))
