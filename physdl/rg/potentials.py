r"""Potentials of the functional renormalization group: how a function u(rho) is held by couplings.

Lengths on the rho axis are measured in

    rho_0 = l_1 (1 / (d - 2) + 1 / N) / max(4 - d, 1/10),        l_1 = -l'(0),

about which the fixed point's slope u' reaches one; l_1 (1 / (d - 2) + 1 / N) is about where its
minimum lies. The unit changes nothing but the scale of couplings, which it keeps of order one.

    AboutMinimum    k = (kappa, c_2, ..., c_n)    u = sum_m c_m ((rho - kappa) / rho_0)^m
    AboutZero       k = (c_1, ..., c_n)           u = sum_m c_m (rho / rho_0)^m
    Grid            k = u' at Chebyshev points    of 0 <= rho <= reach rho_0

About the minimum the expansion converges fast for d >= 3, and for many components in any d. Below
d = 2.8 it does not for few: there its spectrum fills with relevant eigenvalues that are no physics,
and a grid is needed. About zero field it does not converge either, but settles for a few orders.
The grid is a global collocation, exponentially accurate in its number of points (J. Borchardt and
B. Knorr, Phys. Rev. D 91, 105011 (2015)); nothing needs to be told at its end, where the flow
carries everything outwards.
"""

import dataclasses
import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import SettingError, ShapeError
from physdl.pytree import module, static
from physdl.rg._chebyshev import chebyshev, interpolated

__all__ = ["AboutMinimum", "AboutZero", "Grid", "Potential"]

LEAST_ORDER, LEAST_POINTS = 2, 4
BISECTIONS, REFINEMENTS = 60, 2
MOST_TAYLOR = 8

Couplings = Float[Array, " n"]


class Potential(Protocol):
    """How couplings stand for a function u(rho), and how they then flow."""

    @property
    def n_couplings(self) -> int: ...

    def beta(self, frg: Any, k: Couplings) -> Couplings:
        """dk/dl under the flow of ``frg``."""
        ...

    def start(self, frg: Any) -> Couplings:
        """Near the fixed point, for ``frg`` with infinitely many components."""
        ...

    def slope(self, frg: Any, k: Couplings, rho: Float[Array, ""]) -> Float[Array, ""]:
        """u'(rho)."""
        ...

    def minimum(self, frg: Any, k: Couplings) -> tuple[Array, Array, Array]:
        """kappa, u''(kappa) and u'''(kappa); kappa is zero in the symmetric phase."""
        ...


@module
class AboutMinimum:
    """u = sum over m of c_m ((rho - kappa) / rho_0)^m, m = 2 ... order, about the running minimum.

    It describes fixed points and the ordered phase, where kappa > 0; for d >= 2.8.

    Attributes:
      order: of the polynomial, 2 or more, and the number of couplings.

    Raises:
      SettingError: ``order`` is less than 2.
    """

    order: int = static(default=12)

    def __post_init__(self) -> None:
        _check_order(self.order)

    @property
    def n_couplings(self) -> int:
        """As many as the order."""
        return self.order

    def beta(self, frg: Any, k: Couplings) -> Couplings:
        """dk/dl: kappa moves so that u' stays zero there."""
        c, unit = _coefficients(k), frg.unit
        at = k[0] / unit
        flow = _expanded_flow(frg, c, at, frg.eta(k))
        moves = -flow[1] / (2 * c[2])
        degrees = np.arange(3, self.order + 2)
        carried = jnp.asarray(degrees, k.dtype) * jnp.append(c[3:], 0) * moves
        return jnp.append(unit * moves, flow[2:] + carried)

    def start(self, frg: Any) -> Couplings:
        """The first Taylor coefficients of A ((rho / kappa)^q - 1)."""
        amplitude, at, power = _large_n(frg)
        first = amplitude * power * frg.unit**2 / (2 * at)
        second = first * (power - 1) * frg.unit / (3 * at)
        rest = jnp.zeros(self.order, at.dtype)
        return jnp.concatenate([jnp.stack([at, first, second]), rest])[: self.order]

    def slope(self, frg: Any, k: Couplings, rho: Float[Array, ""]) -> Float[Array, ""]:
        """u'(rho)."""
        found: Array = _polynomial_slope(_coefficients(k), (rho - k[0]) / frg.unit) / frg.unit
        return found

    def minimum(self, frg: Any, k: Couplings) -> tuple[Array, Array, Array]:
        """kappa, u''(kappa) and u'''(kappa)."""
        third = k[2] if self.order > 2 else jnp.zeros_like(k[0])
        return k[0], 2 * k[1] / frg.unit**2, 6 * third / frg.unit**3


@module
class AboutZero:
    """u = sum over m of c_m (rho / rho_0)^m, m = 1 ... order, the expansion about zero field.

    Attributes:
      order: of the polynomial, 2 or more, and the number of couplings.

    Raises:
      SettingError: ``order`` is less than 2.
    """

    order: int = static(default=6)

    def __post_init__(self) -> None:
        _check_order(self.order)

    @property
    def n_couplings(self) -> int:
        """As many as the order."""
        return self.order

    def beta(self, frg: Any, k: Couplings) -> Couplings:
        """dk/dl."""
        c = jnp.append(jnp.zeros_like(k[:1]), k)
        return _expanded_flow(frg, c, jnp.zeros_like(k[0]), 0.0)[1:]

    def start(self, frg: Any) -> Couplings:
        """Taylor's series of the fixed point on a grid, as far as the grid knows it."""
        grid = Grid()
        on_grid = dataclasses.replace(frg, potential=grid)
        derivative, terms = on_grid.guess(), []
        for m in range(1, 1 + min(self.order, MOST_TAYLOR)):
            terms.append(derivative[0] * frg.unit**m / math.factorial(m))
            derivative = grid.derivative(on_grid, derivative)
        return jnp.append(jnp.stack(terms), jnp.zeros(self.order - len(terms), terms[0].dtype))

    def slope(self, frg: Any, k: Couplings, rho: Float[Array, ""]) -> Float[Array, ""]:
        """u'(rho)."""
        c = jnp.append(jnp.zeros_like(k[:1]), k)
        found: Array = _polynomial_slope(c, rho / frg.unit) / frg.unit
        return found

    def minimum(self, frg: Any, k: Couplings) -> tuple[Array, Array, Array]:
        """The expansion is about kappa = 0."""
        third = k[2] if self.order > 2 else jnp.zeros_like(k[0])
        return jnp.zeros_like(k[0]), 2 * k[1] / frg.unit**2, 6 * third / frg.unit**3


@module
class Grid:
    """u' at Chebyshev points of 0 <= rho <= reach rho_0.

    More points need a wider grid, else directions appear that hardly flow: raise both.

    Attributes:
      n_points: 4 or more.
      reach: the end of the grid in units of rho_0.

    Raises:
      SettingError: ``n_points`` is less than 4 or ``reach`` not positive.
    """

    n_points: int = static(default=24)
    reach: float = static(default=3.0)

    def __post_init__(self) -> None:
        if self.n_points < LEAST_POINTS:
            raise SettingError(
                f"a grid has {LEAST_POINTS} or more points, got n_points={self.n_points}."
            )
        if not self.reach > 0:
            raise SettingError(f"the reach of a grid is positive, got reach={self.reach}.")

    @property
    def n_couplings(self) -> int:
        """As many as points."""
        return self.n_points

    def rho(self, frg: Any) -> Couplings:
        """The points."""
        points: Array = self.reach * frg.unit * jnp.asarray(chebyshev(self.n_points)[0])
        return points

    def beta(self, frg: Any, k: Couplings) -> Couplings:
        """dk/dl."""
        rho, d, eta = self.rho(frg).astype(k.dtype), frg.dim, frg.eta(k)
        slope = self.derivative(frg, k)
        loops = frg.loops(k, k + 2 * rho * slope, eta)
        flow: Array = (2 - eta) * k - (d - 2 + eta) * rho * slope - self.derivative(frg, loops)
        return flow

    def start(self, frg: Any) -> Couplings:
        """A ((rho / kappa)^q - 1)."""
        amplitude, at, power = _large_n(frg)
        return amplitude * ((self.rho(frg) / at) ** power - 1)

    def slope(self, frg: Any, k: Couplings, rho: Float[Array, ""]) -> Float[Array, ""]:
        """u'(rho)."""
        return interpolated(k, rho / (self.reach * frg.unit))

    def minimum(self, frg: Any, k: Couplings) -> tuple[Array, Array, Array]:
        """kappa, where u' turns positive, found by bisection; u''(kappa) and u'''(kappa)."""
        second = self.derivative(frg, k)
        third = self.derivative(frg, second)
        at = _crossing(jax.lax.stop_gradient(k))
        for _ in range(REFINEMENTS):
            rise = self.reach * frg.unit * interpolated(second, at)
            at = at - interpolated(k, at) / jnp.where(k[0] < 0, rise, 1)
        at = jnp.where(k[0] < 0, at, 0)
        return self.reach * frg.unit * at, interpolated(second, at), interpolated(third, at)

    def derivative(self, frg: Any, values: Couplings) -> Couplings:
        """d/drho between the points."""
        matrix = jnp.asarray(chebyshev(self.n_points)[1], values.dtype)
        found: Array = matrix @ values / (self.reach * frg.unit)
        return found


def _check_order(order: int) -> None:
    if order < LEAST_ORDER:
        raise SettingError(f"a potential has order {LEAST_ORDER} or more, got order={order}.")


def _large_n(frg: Any) -> tuple[Array, Array, Array]:
    """A, kappa, q of A ((rho / kappa)^q - 1): right at and near the minimum and far from it.

    At infinite N rho(w) is linear in l'(w), which gives kappa and u''(kappa) exactly.
    """
    d = frg.dim
    poles, weights = frg.regulator.poles(d, 0.0)
    at, power = jnp.sum(weights / poles**2) / (d - 2), 2 / (d - 2)
    slope = (4 - d) / (2 * jnp.sum(weights / poles**3))
    return slope * at / power, at, power * jnp.ones_like(at)


def _crossing(k: Couplings) -> Array:
    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        below = interpolated(k, middle) < 0
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    ends = jnp.zeros_like(k[0]), jnp.ones_like(k[0])
    found: Array = jax.lax.fori_loop(0, BISECTIONS, halve, ends)[0]
    return found


def _coefficients(k: Couplings) -> Array:
    return jnp.concatenate([jnp.zeros_like(k[:1]), jnp.zeros_like(k[:1]), k[1:]])


def _polynomial_slope(c: Array, x: Array) -> Array:
    degrees = jnp.arange(1, len(c)).astype(c.dtype)
    return jnp.polyval((degrees * c[1:])[::-1], x)


def _expanded_flow(frg: Any, c: Array, at: Array, eta: Any) -> Array:
    """The coefficients of du/dl, for u = sum of c_m (z - at)^m and z = rho / rho_0."""
    d, degrees = frg.dim, jnp.arange(len(c)).astype(c.dtype)
    slope = jnp.append(degrees[1:] * c[1:], 0)
    curvature = jnp.append(degrees[1:] * slope[1:], 0)
    transversal = slope / frg.unit
    radial = ((1 + 2 * degrees) * slope + 2 * at * curvature) / frg.unit
    scaling = at * slope + degrees * c
    flow: Array = d * c - (d - 2 + eta) * scaling - frg.loop_series(transversal, radial, eta)
    return flow


def check_couplings(potential: Potential, given: Any) -> Couplings:
    """The couplings as an array of the right shape."""
    k = jnp.asarray(given)
    if k.shape != (potential.n_couplings,):
        raise ShapeError(
            f"this potential has {potential.n_couplings} couplings, so they are a vector of shape "
            f"[{potential.n_couplings}], got {list(k.shape)}."
        )
    return k
