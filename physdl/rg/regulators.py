r"""Regulators of the functional renormalization group, and the threshold functions they give.

A regulator R_k(p) adds a mass to momenta below the scale k. With y = p^2 / k^2, R = Z k^2 y r(y),

    P(y) = y (1 + r(y)),        s(y) = -2 y^2 r'(y) - eta y r(y),        G_w(y) = 1 / (P(y) + w),

where s is the derivative of R with respect to log k in units of Z k^2. Two integrals enter,

    l(w)    = (d/4) int dy y^(d/2 - 1) s(y) G_w(y),
    m(w, v) = -1/2 int dy y^(d/2) D[G_w'(y) G_v'(y)],        D P = s,  D P' = s',

the first in the flow of the potential, the second in the anomalous dimension (J. Berges,
N. Tetradis and C. Wetterich, Phys. Rep. 363, 223 (2002), section 2; there l_0 = 2 l / d,
m_{2,2}(w) = m(w, 0), m_{4,0}(w) = m(w, w)).

The first, by quadrature or exactly, is a sum over poles, l(w) = sum W / (P + w), which holds for
numbers as for power series.
"""

from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.pytree import is_traced, module, static

__all__ = ["Exponential", "Litim", "Regulator"]

LARGEST = 45.0
POWER = 4
NEAR_ZERO = 1e-2

Scalar = Float[Array, ""]
Vector = Float[Array, " n"]


class Regulator(Protocol):
    """What the flow of a potential needs to know of a regulator."""

    def poles(self, dim: Any, eta: Any) -> tuple[Vector, Vector]:
        """(P, W) of l(w) = sum of W / (P + w)."""
        ...

    def kinetic(self, w: Scalar, v: Scalar, dim: Any) -> tuple[Scalar, Scalar]:
        """(a, b) of m(w, v) = a - eta b."""
        ...


@cites("litim2001", when="poles")
@module
class Litim:
    """R = Z (k^2 - p^2) below k: l = (1 - eta / (d + 2)) / (1 + w), m = 1 / ((1 + w) (1 + v))^2.

    D. F. Litim, Phys. Rev. D 64, 105007 (2001).

    >>> p, w = Litim().poles(3.0, 0.1)
    >>> p.tolist(), w.round(6).tolist()
    ([1.0], [0.98])
    """

    def poles(self, dim: Any, eta: Any) -> tuple[Vector, Vector]:
        """(P, W) of l(w) = sum of W / (P + w)."""
        weight = jnp.atleast_1d(jnp.asarray(1 - eta / (dim + 2)))
        return jnp.ones_like(weight), weight

    def kinetic(self, w: Scalar, v: Scalar, dim: Any) -> tuple[Scalar, Scalar]:
        """(a, b) of m(w, v) = a - eta b."""
        m = 1 / ((1 + w) * (1 + v)) ** 2
        return m, jnp.zeros_like(m)


@module
class Exponential:
    """R = a Z p^2 / (exp(p^2 / k^2) - 1).

    C. Wetterich, Phys. Lett. B 301, 90 (1993). The integrals are Gauss-Legendre sums in the fourth
    root of y up to y = 45, where exp(-y) is below the precision of float64.

    Attributes:
      amplitude: a > 0; can be differentiated, so that one can look for least sensitivity.
      n_nodes: of the quadrature; 64 leave a relative error below 1e-12.

    Raises:
      SettingError: ``amplitude`` is not positive or ``n_nodes`` below 2.

    >>> p, w = Exponential().poles(2.0, 0.0)
    >>> bool(jnp.isclose(jnp.sum(w / p), jnp.pi**2 / 6))
    True
    """

    amplitude: Any = 1.0
    n_nodes: int = static(default=64)

    def __post_init__(self) -> None:
        if not is_traced(self.amplitude) and not float(self.amplitude) > 0:
            raise SettingError(
                f"the amplitude of a regulator is positive, got amplitude={self.amplitude}."
            )
        if self.n_nodes < 2:
            raise SettingError(f"a quadrature has two or more nodes, got n_nodes={self.n_nodes}.")
        object.__setattr__(self, "amplitude", 1.0 * self.amplitude)

    def poles(self, dim: Any, eta: Any) -> tuple[Vector, Vector]:
        """(P, W) of l(w) = sum of W / (P + w)."""
        y, weight, b, _ = (jnp.asarray(v, jnp.result_type(float)) for v in _nodes(self.n_nodes))
        a = self.amplitude
        s = 2 * a * b**2 * jnp.exp(y) - eta * a * b
        return y + a * b, dim / 4 * weight * y ** (dim / 2 - 1) * s

    def kinetic(self, w: Scalar, v: Scalar, dim: Any) -> tuple[Scalar, Scalar]:
        """(a, b) of m(w, v) = a - eta b."""
        y, weight, b, slope = (jnp.asarray(t, jnp.result_type(w)) for t in _nodes(self.n_nodes))
        a = self.amplitude
        p, dp = y + a * b, 1 + a * slope
        measure = weight * y ** (dim / 2)

        def summed(s: Array, ds: Array) -> Array:
            g, h = 1 / (p + w), 1 / (p + v)
            parts = dp * ds - dp**2 * s * (g + h)
            return -jnp.sum(measure * g**2 * h**2 * parts)

        growth = jnp.exp(y)
        return (
            summed(2 * a * b**2 * growth, 2 * a * b * growth * (2 * slope + b)),
            summed(a * b, a * slope),
        )


def _nodes(n: int) -> tuple[NDArray[np.float64], ...]:
    """y, weights of int dy, b(y) = y / (exp(y) - 1), and b'(y)."""
    t, weight = np.polynomial.legendre.leggauss(n)
    t, weight = (1 + t) / 2, weight / 2
    y = LARGEST * t**POWER
    growth = np.expm1(y)
    series = -1 / 2 + y / 6 - y**3 / 180
    slope = np.where(y < NEAR_ZERO, series, (growth - y * np.exp(y)) / growth**2)
    return y, LARGEST * POWER * t ** (POWER - 1) * weight, y / growth, slope
