r"""Infinite planar Ising models without a field: square, triangular, honeycomb.

All three are one double integral (Houtappel 1950). On the triangular lattice with couplings
:math:`K_1, K_2, K_3` along its three directions and :math:`c_i = \cosh 2K_i`,
:math:`s_i = \sinh 2K_i`,

.. math:: \ln z = \ln 2 + \tfrac12 \int\!\!\int \frac{dp\,dq}{(2\pi)^2}
          \ln\bigl[c_1c_2c_3 + s_1s_2s_3 - s_1\cos p - s_2\cos q - s_3\cos(p+q)\bigr].

The integral over q is elementary and leaves
:math:`\tfrac12 \langle\ln\tfrac12(A + \sqrt R)\rangle_p`, where R is a polynomial of degree two in
cos p. The square lattice is :math:`K_3 = 0` (Onsager 1944); the honeycomb lattice follows
by the star-triangle transformation.

At a critical point :math:`\sqrt R` has a kink. The quadrature is Gauss-Legendre on panels that
shrink by a factor 4 towards the kink, and R is built from squares and positive terms only, so that
the value and its first two derivatives keep their digits however near the critical point is.

Convention: H = -sum over bonds of K s s', weight exp(-H), ln z in nats *per site*; couplings of any
sign. Consequence: ln z is exact to about 1e-14 in float64 and 1e-6 in float32, critical
point included; its second derivative diverges logarithmically there, which the grid cuts off within
about 1e-16 of the critical coupling.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike

from physdl.bibliography import cites
from physdl.reference._arguments import log_cosh, scalar

__all__ = [
    "honeycomb_critical_coupling",
    "honeycomb_log_z",
    "triangular_critical_coupling",
    "triangular_log_z",
]

_N_PANELS = 27
_NODES_PER_PANEL = 16


@cites("houtappel1950")
def triangular_critical_coupling() -> float:
    r"""Critical coupling of the isotropic ferromagnet on the triangular lattice, ln(3)/4.

    In general the ferromagnet is critical where :math:`s_1s_2 + s_2s_3 + s_3s_1 = 1`,
    :math:`s_i = \sinh 2K_i`. Source: R. M. F. Houtappel, Physica 16, 425 (1950).

    >>> triangular_critical_coupling()
    0.27465307216702745
    """
    return math.log(3.0) / 4


@cites("houtappel1950")
def honeycomb_critical_coupling() -> float:
    r"""Critical coupling of the isotropic honeycomb lattice, ln(2 + sqrt 3)/2; either sign.

    Source: R. M. F. Houtappel, Physica 16, 425 (1950).

    >>> honeycomb_critical_coupling()
    0.6584789484624083
    """
    return math.log(2 + math.sqrt(3.0)) / 2


@cites("houtappel1950", "wannier1950")
def triangular_log_z(
    coupling_1: ArrayLike,
    coupling_2: ArrayLike | None = None,
    coupling_3: ArrayLike | None = None,
) -> Float[Array, ""]:
    r"""ln Z per site of the infinite triangular lattice; formula in the module's text.

    Args:
      coupling_1: K along the first direction, a scalar of any sign.
      coupling_2: K along the second direction; equal to the first if left out.
      coupling_3: K along the third direction; equal to the first if left out.

    Returns:
      Nats per site. The antiferromagnet keeps a residual entropy: ln z(K) - |K| tends to
      0.3230659 for K to minus infinity (G. H. Wannier, Phys. Rev. 79, 357 (1950)). Accuracy 1e-14
      (float64), 1e-6 (float32); exponents are scaled, so large \|K\| does not overflow.

    Raises:
      ShapeError: a coupling is not a scalar.

    Source: R. M. F. Houtappel, Physica 16, 425 (1950).

    >>> print(f"{triangular_log_z(triangular_critical_coupling()):.12f}")
    0.879585386162
    """
    k1 = scalar(coupling_1, "coupling_1")
    k2 = k1 if coupling_2 is None else scalar(coupling_2, "coupling_2")
    k3 = k1 if coupling_3 is None else scalar(coupling_3, "coupling_3")
    return _log_z(k1, k2, k3)


@cites("houtappel1950")
def honeycomb_log_z(
    coupling_1: ArrayLike,
    coupling_2: ArrayLike | None = None,
    coupling_3: ArrayLike | None = None,
) -> Float[Array, ""]:
    r"""ln Z per site of the infinite honeycomb lattice, by the star-triangle transformation.

    Summing over every other spin, :math:`2\cosh(L_1s_1 + L_2s_2 + L_3s_3) =
    \rho\, e^{K_1s_2s_3 + K_2s_3s_1 + K_3s_1s_2}`, leaves a triangular lattice of half the sites:
    :math:`\ln z(L) = \tfrac12[\ln\rho + \ln z_{triangular}(K)]`.

    Args:
      coupling_1: L along the first direction, a scalar of any sign.
      coupling_2: L along the second direction; equal to the first if left out.
      coupling_3: L along the third direction; equal to the first if left out.

    Returns:
      Nats per site, even in all couplings. Accuracy as ``triangular_log_z``.

    Raises:
      ShapeError: a coupling is not a scalar.

    Sources: L. Onsager, Phys. Rev. 65, 117 (1944); R. M. F. Houtappel, Physica 16, 425 (1950).

    >>> print(f"{honeycomb_log_z(honeycomb_critical_coupling()):.12f}")
    1.025059096471
    """
    l1 = scalar(coupling_1, "coupling_1")
    l2 = l1 if coupling_2 is None else scalar(coupling_2, "coupling_2")
    l3 = l1 if coupling_3 is None else scalar(coupling_3, "coupling_3")
    aligned = log_cosh(l1 + l2 + l3)
    flipped = [log_cosh(l2 + l3 - l1), log_cosh(l3 + l1 - l2), log_cosh(l1 + l2 - l3)]
    log_factor = math.log(2.0) + (aligned + flipped[0] + flipped[1] + flipped[2]) / 4
    k1 = (aligned + flipped[0] - flipped[1] - flipped[2]) / 4
    k2 = (aligned - flipped[0] + flipped[1] - flipped[2]) / 4
    k3 = (aligned - flipped[0] - flipped[1] + flipped[2]) / 4
    return (log_factor + _log_z(k1, k2, k3)) / 2


def _log_z(k1: Float[Array, ""], k2: Float[Array, ""], k3: Float[Array, ""]) -> Float[Array, ""]:
    """The average over p, in the weights w = exp(+-K1+-K2+-K3)/2 that make A and R squares.

    w0 belongs to the sign pattern +++, w1 to +--, w2 to -+-, w3 to --+. Then s1 = 2(w0w1 - w2w3),
    A(p) = (w0-w1)^2 + (w2+w3)^2 + s1 v with v = 1 - cos p, and
    R(p) = [(w0-w1)^2 - (w2+w3)^2]^2 + 2 b v + s1^2 v^2. If b < 0, R has its minimum inside the
    range of p and is used as s1^2 (v + b/s1^2)^2 + depth/s1^2 instead, depth a product of sums
    of w.
    """
    exponents = jnp.stack([k1 + k2 + k3, k1 - k2 - k3, k2 - k3 - k1, k3 - k1 - k2])
    # Turning over every other row changes the signs of K1 and K2 and moves p by pi; it brings the
    # minimum of R to the side of p = 0.
    turned = _minimum_beyond_quarter(exponents)
    exponents = jnp.where(turned, exponents[::-1], exponents)
    top = lax.stop_gradient(jnp.max(exponents))
    w0, w1, w2, w3 = (jnp.exp(e - top) / 2 for e in exponents)
    s1 = 2 * (w0 * w1 - w2 * w3)
    a_at_zero = (w0 - w1) ** 2 + (w2 + w3) ** 2
    r_at_zero = ((w0 - w1) ** 2 - (w2 + w3) ** 2) ** 2
    b = s1 * a_at_zero + 4 * (w0 * w2 - w3 * w1) * (w0 * w3 - w1 * w2)

    inside = (b < 0) & (s1 != 0)
    s1_squared = jnp.where(inside, s1**2, 1)
    v_minimum = jnp.where(inside, -b, 0) / s1_squared
    depth = -(w0 + w1 + w2 + w3) * (w0 + w1 - w2 - w3) * (w0 - w1 + w2 - w3) * (w0 - w1 - w2 + w3)
    depth = depth * jnp.exp(-4 * top)

    p, from_minimum, weights = _nodes(lax.stop_gradient(v_minimum))
    v = 2 * jnp.sin(p / 2) ** 2
    from_minimum = from_minimum + lax.stop_gradient(v_minimum) - v_minimum
    r = jnp.where(
        inside,
        s1_squared * from_minimum**2 + depth / s1_squared,
        r_at_zero + 2 * b * v + s1**2 * v**2,
    )
    root = jnp.sqrt(jnp.maximum(r, float(np.finfo(r.dtype).tiny)))
    mean = jnp.sum(weights * jnp.log((a_at_zero + s1 * v + root) / 2))
    return jnp.asarray(math.log(2.0) + top + mean / 2)


def _minimum_beyond_quarter(exponents: Float[Array, "4"]) -> Bool[Array, ""]:
    """Whether R, a parabola in cos p, has its minimum at cos p < 0: s1 A0 + s2 s3 < 0."""
    w0, w1, w2, w3 = jnp.exp(exponents - jnp.max(exponents)) / 2
    a0 = w0**2 + w1**2 + w2**2 + w3**2
    position = (w0 * w1 - w2 * w3) * a0 + 2 * (w0 * w2 - w3 * w1) * (w0 * w3 - w1 * w2)
    return jnp.less(position, 0)


def _nodes(
    v_minimum: Float[Array, ""],
) -> tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]:
    """Momenta in [0, pi] that crowd at 0 and at the minimum of R; v - v_minimum; weights (sum 1).

    With v = 1 - cos p, v - v' = 2 sin((p+p')/2) sin((p-p')/2) keeps its digits near the minimum.
    """
    x, w = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    edges = np.concatenate([[0.0], 4.0 ** -np.arange(_N_PANELS, -1, -1)])
    widths = np.diff(edges)[:, None]
    unit = jnp.asarray((edges[:-1, None] + widths * (x + 1) / 2).ravel(), v_minimum.dtype)
    weight = jnp.asarray((widths * w / 2).ravel(), v_minimum.dtype)

    kink = 2 * jnp.arcsin(jnp.sqrt(v_minimum / 2))
    beyond = jnp.pi - kink
    p = jnp.concatenate([unit * kink / 2, kink - unit * kink / 2, kink + unit * beyond])
    offset = jnp.concatenate([unit * kink / 2 - kink, -unit * kink / 2, unit * beyond])
    weights = jnp.concatenate([weight * kink / 2, weight * kink / 2, weight * beyond]) / jnp.pi
    return p, 2 * jnp.sin(kink + offset / 2) * jnp.sin(offset / 2), weights
