r"""The q-state Potts model in two dimensions: where it is critical, and what is known there.

Duality maps the square lattice to itself, the triangular to the honeycomb lattice and back, through
:math:`(e^K - 1)(e^{K^*} - 1) = q`; with the star-triangle relation it fixes all three critical
couplings. In :math:`v = e^K - 1`:

| lattice | critical condition |
|---|---|
| square | v^2 = q |
| triangular | v^3 + 3 v^2 = q |
| honeycomb | v^3 - 3 q v - q^2 = 0 |

Convention: H = -K sum over bonds of delta_{ss'}, ferromagnetic, energies in units of J per site.
The Ising coupling is half the Potts coupling at q = 2. Consequence: the transition is continuous
for q <= 4 and of first order above, with Baxter's latent heat; at a first-order transition duality
fixes the mean of the two phases' energies. Here numbers, not traced values: floats.
"""

import math

import numpy as np

from physdl.bibliography import cites
from physdl.errors import SettingError

__all__ = [
    "potts_critical_energy",
    "potts_critical_log_z",
    "potts_dual_coupling",
    "potts_honeycomb_critical_coupling",
    "potts_latent_heat",
    "potts_square_critical_coupling",
    "potts_triangular_critical_coupling",
]


def _states(q: float) -> float:
    if not 1 <= q < math.inf:
        raise SettingError(f"q must be a number of at least 1, got {q!r}: give a number of states.")
    return float(q)


@cites("potts1952")
def potts_dual_coupling(coupling: float, q: float) -> float:
    r"""The dual coupling: :math:`(e^K - 1)(e^{K^*} - 1) = q`.

    Args:
      coupling: K > 0.
      q: number of states, a real number of at least 1.

    Raises:
      SettingError: the coupling is not positive or q is below 1.

    Source: R. B. Potts, Proc. Camb. Phil. Soc. 48, 106 (1952).

    >>> k = potts_dual_coupling(0.7, 3)
    >>> print(f"{potts_dual_coupling(k, 3):.12f}")
    0.700000000000
    """
    states = _states(q)
    if not coupling > 0:
        raise SettingError(
            f"coupling must be positive, got {coupling!r}: only a ferromagnet has a dual one."
        )
    return math.log1p(states / math.expm1(coupling))


@cites("potts1952", "baxter1973")
def potts_square_critical_coupling(q: float) -> float:
    r"""Critical coupling on the square lattice, ln(1 + sqrt q).

    Args:
      q: number of states, a real number of at least 1 (q = 1: bond percolation).

    Raises:
      SettingError: q is below 1.

    Source: R. B. Potts, Proc. Camb. Phil. Soc. 48, 106 (1952); R. J. Baxter, J. Phys. C 6, L445
    (1973).

    >>> potts_square_critical_coupling(3)
    1.005052538742381
    """
    return math.log1p(math.sqrt(_states(q)))


@cites("baxter1978")
def potts_triangular_critical_coupling(q: float) -> float:
    r"""Critical coupling on the triangular lattice: v^3 + 3v^2 = q, v = e^K - 1.

    The root in closed form: v = 2 cos(arccos(q/2 - 1)/3) - 1, with cosh for q > 4.

    Args:
      q: number of states, a real number of at least 1.

    Raises:
      SettingError: q is below 1.

    Source: R. J. Baxter, H. N. V. Temperley and S. E. Ashley, Proc. R. Soc. Lond. A 358, 535
    (1978).

    >>> print(f"{potts_triangular_critical_coupling(2):.12f} {math.log(3) / 2:.12f}")
    0.549306144334 0.549306144334
    """
    x = _states(q) / 2 - 1
    e_k = 2 * (math.cos(math.acos(x) / 3) if x <= 1 else math.cosh(math.acosh(x) / 3))
    return math.log(e_k)


@cites("baxter1978")
def potts_honeycomb_critical_coupling(q: float) -> float:
    r"""Critical coupling on the honeycomb lattice: v^3 - 3qv - q^2 = 0, v = e^K - 1.

    The dual of the triangular one.

    Args:
      q: number of states, a real number of at least 1.

    Raises:
      SettingError: q is below 1.

    Source: R. J. Baxter, H. N. V. Temperley and S. E. Ashley, Proc. R. Soc. Lond. A 358, 535
    (1978).

    >>> print(f"{potts_honeycomb_critical_coupling(2):.12f} {math.log(2 + math.sqrt(3)):.12f}")
    1.316957896925 1.316957896925
    """
    return potts_dual_coupling(potts_triangular_critical_coupling(q), q)


@cites("potts1952", "baxter1973")
def potts_critical_energy(q: float) -> float:
    r"""Energy per site on the square lattice at the critical coupling, -(1 + 1/sqrt q).

    By duality. For q > 4 it is the mean of the energies of the two coexisting phases.

    Args:
      q: number of states, a real number of at least 1.

    Returns:
      The energy in units of J; two bonds for each site.

    Raises:
      SettingError: q is below 1.

    Source: R. B. Potts, Proc. Camb. Phil. Soc. 48, 106 (1952); R. J. Baxter, J. Phys. C 6, L445
    (1973).

    >>> print(f"{potts_critical_energy(4):.1f}")
    -1.5
    """
    return -(1 + 1 / math.sqrt(_states(q)))


@cites("baxter1973")
def potts_critical_log_z(q: float) -> float:
    r"""ln Z per site of the infinite square lattice at its critical coupling.

    .. math:: \ln z = \tfrac12\ln q + 2\int_0^\infty \frac{dx}{x}\tanh\mu x\,
              \frac{\sinh(\pi-\mu)x}{\sinh\pi x}, \qquad 2\cos\mu = \sqrt q,\quad q \le 4,

    .. math:: \ln z = \tfrac12\ln q + \Theta + 2\sum_{n\ge1}\frac{e^{-n\Theta}}n\tanh n\Theta,
              \qquad 2\cosh\Theta = \sqrt q,\quad q > 4.

    Args:
      q: number of states, a real number of at least 1.

    Returns:
      Nats per site, to about 1e-13.

    Raises:
      SettingError: q is below 1.

    Source: R. J. Baxter, J. Phys. C 6, L445 (1973), from the six-vertex model of H. N. V. Temperley
    and E. H. Lieb, Proc. R. Soc. Lond. A 322, 251 (1971).

    >>> print(f"{potts_critical_log_z(1) / math.log(2):.12f} {potts_critical_log_z(3):.11f}")
    2.000000000000 2.07018716258
    """
    states = _states(q)
    if states <= 4:
        mu = math.acos(math.sqrt(states) / 2)
        return 0.5 * math.log(states) + 2 * _momentum_integral(math.pi / mu if mu else math.inf)
    theta = math.acosh(math.sqrt(states) / 2)
    if theta < 1e-3:
        # The sum is a trapezoid rule of step Theta for the integral at q = 4 (Euler-Maclaurin).
        return 0.5 * math.log(states) + 2 * _momentum_integral(math.inf) + theta**2 / 6
    n = np.arange(1, math.ceil(40 / theta) + 1)
    series = float(np.sum(np.exp(-n * theta) * np.tanh(n * theta) / n))
    return 0.5 * math.log(states) + theta + 2 * series


def _momentum_integral(a: float) -> float:
    """The integral over y = mu x of (tanh y / y) sinh((a-1)y)/sinh(ay), a = pi/mu; q = 4 is inf."""
    # Panels shrink towards 0, where the integrand bends on the scale 1/a.
    edges = np.concatenate([[0.0], 4.0 ** np.arange(-20, 0), np.arange(1.0, 41.0)])
    widths = np.diff(edges)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(16)
    y = edges[:-1, None] + widths * (nodes + 1) / 2
    ratio = np.exp(-y) * np.expm1(-2 * (a - 1) * y) / np.expm1(-2 * a * y)
    return float(np.sum(widths * weights / 2 * np.tanh(y) / y * ratio))


@cites("baxter1973")
def potts_latent_heat(q: float) -> float:
    r"""Latent heat of the square lattice, in units of J per site; 0 for q <= 4 (continuous).

    .. math:: L = 2(1 + q^{-1/2})\tanh\tfrac\Theta2\prod_{n\ge1}\tanh^2 n\Theta,
              \qquad 2\cosh\Theta = \sqrt q.

    Args:
      q: number of states, a real number of at least 1.

    Returns:
      The jump of the energy per site, hot minus cold.

    Raises:
      SettingError: q is below 1.

    Source: R. J. Baxter, J. Phys. C 6, L445 (1973).

    >>> print(f"{potts_latent_heat(3)} {potts_latent_heat(10):.5f}")
    0.0 0.69605
    """
    states = _states(q)
    if states <= 4:
        return 0.0
    theta = math.acosh(math.sqrt(states) / 2)
    if theta < 1e-3:
        # The product behaves as exp(-pi^2/(4 Theta)), below the smallest float here.
        return 0.0
    log_tanh = np.log(np.tanh(theta * np.arange(1, math.ceil(20 / theta) + 1)))
    product = math.exp(2 * float(np.sum(log_tanh)))
    return 2 * (1 + 1 / math.sqrt(states)) * math.tanh(theta / 2) * product
