r"""Models that mean field solves exactly: the complete graph (Curie-Weiss) and the Bethe lattice.

On the complete graph every spin feels :math:`K m + h`; on the Bethe lattice of coordination z every
spin feels z independent branches. Both reduce to one equation for one number, solved by bisection
and finished by two Newton steps, through which the answer is differentiated (two steps make first
to third derivatives exact).

Convention: Curie-Weiss :math:`H = -\frac{K}{2N}(\sum_i s_i)^2 - h\sum_i s_i`, the N self-terms
:math:`s_i^2 = 1` included (they add K/2 to ln Z); Bethe lattice
:math:`H = -K\sum_{\langle ij\rangle}s_is_j - h\sum_i s_i`, its interior only (or a large random
regular graph), K >= 0. Consequence: critical couplings 1 and atanh(1/(z-1)), and exact tests for
any mean-field or message-passing method. At zero field below the critical temperature the positive
magnetisation is returned; exactly at the critical point derivatives are infinite.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import logsumexp
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from physdl.reference._arguments import integer, log_cosh, magnitude, scalar

__all__ = [
    "bethe_critical_coupling",
    "bethe_log_z",
    "bethe_magnetisation",
    "bethe_potts_spinodal_coupling",
    "curie_weiss_log_z",
    "curie_weiss_log_z_per_site",
    "curie_weiss_magnetisation",
]

_N_BISECTIONS = 60
_N_NEWTON = 2


def curie_weiss_log_z(
    n_sites: int, coupling: ArrayLike, field: ArrayLike = 0.0
) -> Float[Array, ""]:
    r"""ln Z of the Curie-Weiss model on N sites: the sum over magnetisations, exactly.

    .. math:: Z = \sum_{n=0}^N \binom Nn \exp\Bigl[\frac{K M^2}{2N} + hM\Bigr], \qquad M = N - 2n.

    Args:
      n_sites: N (static), at least 1.
      coupling: K, a scalar of any sign; critical at 1 for large N.
      field: h, a scalar.

    Returns:
      ln Z in nats, extensive; relative accuracy a few roundings of the dtype.

    Raises:
      SettingError: n_sites is not a positive integer.
      ShapeError: coupling or field is not a scalar.

    Source: M. Kac, in Statistical Physics, Phase Transitions and Superfluidity (Gordon and Breach,
    1968).

    >>> print(f"{curie_weiss_log_z(1, 0.6):.12f} {math.log(2) + 0.3:.12f}")
    0.993147180560 0.993147180560
    """
    n = integer(n_sites, "n_sites", 1)
    k, h = scalar(coupling, "coupling"), scalar(field, "field")
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_binomial = log_factorial[-1] - log_factorial - log_factorial[::-1]
    total = n - 2.0 * np.arange(n + 1)
    pair = jnp.asarray(total**2 / (2 * n), k.dtype)
    return logsumexp(
        jnp.asarray(log_binomial, k.dtype) + k * pair + h * jnp.asarray(total, k.dtype)
    )


def curie_weiss_magnetisation(coupling: ArrayLike, field: ArrayLike = 0.0) -> Float[Array, ""]:
    r"""Magnetisation of the infinite Curie-Weiss model: m = tanh(K m + h), the root beyond 0.

    Args:
      coupling: K, a scalar of any sign.
      field: h, a scalar; m has its sign, and is positive at h = 0.

    Returns:
      m in [-1, 1], to a few roundings away from the critical point K = 1, h = 0.

    Raises:
      ShapeError: coupling or field is not a scalar.

    Source: P. Weiss, J. Phys. Theor. Appl. 6, 661 (1907); M. Kac (1968), as above.

    >>> print(f"{curie_weiss_magnetisation(1.2):.12f} {curie_weiss_magnetisation(0.9):.1f}")
    0.658569660406 0.0
    """
    k, h = scalar(coupling, "coupling"), scalar(field, "field")
    strength = magnitude(h)

    def excess(m: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.tanh(k * m + strength) - m

    def slope(m: Float[Array, ""]) -> Float[Array, ""]:
        return k * (1 - jnp.tanh(k * m + strength) ** 2) - 1

    return _signed(_largest_root(excess, slope, jnp.ones_like(k)), h)


def curie_weiss_log_z_per_site(coupling: ArrayLike, field: ArrayLike = 0.0) -> Float[Array, ""]:
    r"""ln Z per site of the infinite Curie-Weiss model.

    .. math:: \ln z = \max_m\Bigl[-\tfrac12Km^2 + \ln 2\cosh(Km+h)\Bigr]_{m=\tanh(Km+h)}.

    Args:
      coupling: K, a scalar of any sign.
      field: h, a scalar.

    Returns:
      Nats per site, to a few roundings; first and second derivatives too, off the critical point.

    Raises:
      ShapeError: coupling or field is not a scalar.

    Source: M. Kac (1968), as above.

    >>> print(f"{curie_weiss_log_z_per_site(0.5):.12f} {curie_weiss_log_z_per_site(1.2):.9f}")
    0.693147180560 0.717246794
    """
    k, h = scalar(coupling, "coupling"), scalar(field, "field")
    m = curie_weiss_magnetisation(k, h)
    return math.log(2.0) + log_cosh(k * m + h) - k * m**2 / 2


def bethe_critical_coupling(coordination: int) -> float:
    r"""Critical coupling of the ferromagnetic Ising model on the Bethe lattice, tanh K = 1/(z-1).

    Args:
      coordination: number of neighbours z, at least 3.

    Raises:
      SettingError: the coordination is no integer of at least 3.

    Source: R. J. Baxter, Exactly Solved Models in Statistical Mechanics (Academic Press, 1982),
    chapter 4.

    >>> print(f"{bethe_critical_coupling(4):.12f}")
    0.346573590280
    """
    return math.atanh(1 / (integer(coordination, "coordination", 3) - 1))


def bethe_potts_spinodal_coupling(coordination: int, q: int) -> float:
    r"""Coupling where the disordered Potts state on the Bethe lattice loses stability.

    .. math:: e^K = \frac{q + z - 2}{z - 2}, \qquad
              \text{from}\quad (z-1)\,\frac{e^K - 1}{e^K + q - 1} = 1.

    For q = 2 it is the critical point, twice the Ising coupling; for q > 2 the transition is of
    first order and lies at a smaller coupling.

    Args:
      coordination: number of neighbours z, at least 3.
      q: number of states, at least 2.

    Raises:
      SettingError: coordination or q is too small or no integer.

    Source: F. Peruggi, F. di Liberto and G. Monroy, J. Phys. A 16, 811 (1983).

    >>> print(f"{bethe_potts_spinodal_coupling(4, 2) / 2:.12f}")
    0.346573590280
    """
    z, states = integer(coordination, "coordination", 3), integer(q, "q", 2)
    return math.log((states + z - 2) / (z - 2))


def bethe_magnetisation(
    coordination: int, coupling: ArrayLike, field: ArrayLike = 0.0
) -> Float[Array, ""]:
    r"""Magnetisation in the interior of the Bethe lattice, ferromagnetic coupling.

    .. math:: m = \tanh(h + zu), \qquad \tanh u = \tanh K\,\tanh(h + (z-1)u).

    Args:
      coordination: number of neighbours z (static), at least 2.
      coupling: K >= 0, a scalar.
      field: h, a scalar; m has its sign, and is positive at h = 0.

    Returns:
      m in [-1, 1], to a few roundings away from the critical point.

    Raises:
      SettingError: the coordination is no integer of at least 2.
      ShapeError: coupling or field is not a scalar.

    Source: R. J. Baxter (1982), as above.

    >>> print(f"{bethe_magnetisation(3, 0.7):.12f} {bethe_magnetisation(3, 0.5):.1f}")
    0.901480641576 0.0
    """
    z = integer(coordination, "coordination", 2)
    k, h = scalar(coupling, "coupling"), scalar(field, "field")
    strength = magnitude(h)
    return _signed(jnp.tanh(strength + z * _branch_field(z, k, strength)), h)


def bethe_log_z(coordination: int, coupling: ArrayLike, field: ArrayLike = 0.0) -> Float[Array, ""]:
    r"""ln Z per site in the interior of the Bethe lattice, ferromagnetic coupling.

    With the field :math:`g = h + (z-1)u` of a spin that lacks one neighbour,

    .. math:: \ln z = \ln\sum_s e^{hs}\Bigl[\sum_{s'}e^{Kss'}\pi(s')\Bigr]^z
              - \frac z2\ln\sum_{s,s'}e^{Kss'}\pi(s)\pi(s'),
              \qquad \pi(s) = \frac{e^{gs}}{2\cosh g}.

    Args:
      coordination: number of neighbours z (static), at least 2 (2 is the infinite chain).
      coupling: K >= 0, a scalar.
      field: h, a scalar.

    Returns:
      Nats per site, to a few roundings; first and second derivatives too, off the critical point.

    Raises:
      SettingError: the coordination is no integer of at least 2.
      ShapeError: coupling or field is not a scalar.

    Source: H. A. Bethe, Proc. R. Soc. Lond. A 150, 552 (1935); R. J. Baxter (1982), as above.

    >>> print(f"{bethe_log_z(2, 0.5):.12f} {jnp.log(2 * jnp.cosh(0.5)):.12f}")
    0.813261687518 0.813261687518
    """
    z = integer(coordination, "coordination", 2)
    k, h = scalar(coupling, "coupling"), magnitude(scalar(field, "field"))
    g = h + (z - 1) * _branch_field(z, k, h)
    up, down = (log_cosh(g + k) - log_cosh(g), log_cosh(g - k) - log_cosh(g))
    site = jnp.logaddexp(h + z * up, -h + z * down)
    edge = jnp.logaddexp(k + log_cosh(2 * g), -k) - math.log(2.0) - 2 * log_cosh(g)
    return site - z / 2 * edge


def _branch_field(z: int, k: Float[Array, ""], h: Float[Array, ""]) -> Float[Array, ""]:
    """The largest root u of u = atanh(tanh K tanh g), g = h + (z-1) u, for h >= 0.

    Written as ln[cosh(g+K)/cosh(g-K)]/2 so that it neither saturates nor loses digits near u = 0.
    """

    def excess(u: Float[Array, ""]) -> Float[Array, ""]:
        g = h + (z - 1) * u
        ratio = jnp.exp(g + k - log_cosh(g - k)) / 2
        return jnp.log1p(ratio * jnp.expm1(-2 * g) * jnp.expm1(-2 * k)) / 2 - u

    def slope(u: Float[Array, ""]) -> Float[Array, ""]:
        g = h + (z - 1) * u
        return (z - 1) * (jnp.tanh(g + k) - jnp.tanh(g - k)) / 2 - 1

    return _largest_root(excess, slope, k)


def _largest_root(
    excess: Callable[[Float[Array, ""]], Float[Array, ""]],
    slope: Callable[[Float[Array, ""]], Float[Array, ""]],
    upper: Float[Array, ""],
) -> Float[Array, ""]:
    """Where ``excess`` turns from positive to negative in [0, upper]; 0 if it is never positive.

    Bisection finds it; Newton steps from there carry the derivatives (implicit function theorem).
    """

    def halve(
        _: int, bounds: tuple[Float[Array, ""], Float[Array, ""]]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        low, high = bounds
        middle = (low + high) / 2
        beyond = excess(middle) <= 0
        return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

    start = lax.stop_gradient(upper)
    low, high = lax.fori_loop(0, _N_BISECTIONS, halve, (jnp.zeros_like(start), start))
    root = lax.stop_gradient(jnp.where(low > 0, (low + high) / 2, 0))
    for _ in range(_N_NEWTON):
        rate = slope(root)
        critical = rate == 0
        root = root - jnp.where(critical, 0, excess(root)) / jnp.where(critical, 1, rate)
    return root


def _signed(value: Float[Array, ""], field: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(field < 0, -value, value)
