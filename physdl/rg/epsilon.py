r"""The epsilon expansion: beta functions of phi^4 in d = 4 - epsilon, O(N) and cubic.

    H = int d^d x [(grad phi)^2 / 2 + r phi^2 / 2 - h . phi
                   + 16 pi^2 (u (phi^2)^2 + v sum_i phi_i^4) / 4!],

renormalised by minimal subtraction, with l the logarithm of the length,

    dh/dl = (d + 2 - eta) h / 2,      dr/dl = (2 - gamma) r,      du/dl = eps u - b_1 u^2 + ...,

where eta and gamma are functions of u and v. At the fixed point y_h = (d + 2 - eta) / 2,
y_t = 1 / nu = 2 - gamma, and -omega is the derivative of du/dl.

Up to four loops for O(N), two with cubic anisotropy. Source: H. Kleinert, J. Neu, V.
Schulte-Frohlinde, K. G. Chetyrkin and S. A. Larin, Phys. Lett. B 272, 39 (1991) and its erratum
(hep-th/9503230); cubic: H. Kleinert and V. Schulte-Frohlinde, Phys. Lett. B 342, 284 (1995).

The series diverge. At eps = 1 the truncated beta function itself has no zero at two and four loops
(N = 1): take the exponents of ``epsilon_series`` there, and the flow at small eps or at an odd
number of loops.
"""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.pytree import is_traced, module, static
from physdl.rg._base import RGStep
from physdl.rg._continuous import integrated

__all__ = ["EpsilonExpansion", "EpsilonSeries", "epsilon_series"]

MOST_LOOPS, MOST_CUBIC_LOOPS = 4, 2
ZETA_3, ZETA_4, ZETA_5 = 1.2020569031595943, math.pi**4 / 90, 1.0369277551433699


@module
class EpsilonExpansion:
    """The flow of phi^4 with N components in 4 - epsilon dimensions: an ``RGFlow``.

    The couplings are [h, r, u], or [h, r, u, v] with ``cubic``.

    Attributes:
      n: the number N of components, any real number.
      epsilon: 4 - d.
      scale: the length ratio b > 1 of one call, which integrates the flow.
      loops: the order of all functions, 1 to 4.
      cubic: whether there is a v sum_i phi_i^4; up to two loops.

    Raises:
      SettingError: ``loops`` or ``scale`` is out of range.

    >>> from physdl import rg
    >>> flow = rg.EpsilonExpansion(n=1, epsilon=0.3, loops=1)
    >>> at = rg.fixed_point(flow, jnp.array([0.0, 0.0, 0.2])).couplings
    >>> y = rg.exponents(flow, at).y  # (d + 2) / 2, 2 - eps / 3, -eps
    >>> bool(jnp.allclose(y, jnp.array([2.85, 1.9, -0.3]), rtol=1e-5))
    True
    """

    n: Any
    epsilon: Any
    scale: Any
    loops: int = static()
    cubic: bool = static()

    def __init__(
        self,
        n: float = 1,
        epsilon: float = 1.0,
        *,
        loops: int = 3,
        cubic: bool = False,
        scale: float = 2.0,
    ):
        most = MOST_CUBIC_LOOPS if cubic else MOST_LOOPS
        if loops not in range(1, most + 1):
            raise SettingError(
                f"beta functions {'with cubic anisotropy ' if cubic else ''}are known here to "
                f"{most} loops, got loops={loops!r}."
            )
        if not is_traced(scale) and not float(scale) > 1:
            raise SettingError(f"the length ratio is above 1, got scale={scale}.")
        object.__setattr__(self, "n", n)
        object.__setattr__(self, "epsilon", epsilon)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "loops", int(loops))
        object.__setattr__(self, "cubic", bool(cubic))

    @property
    def dim(self) -> Any:
        """The dimension d = 4 - epsilon."""
        return 4 - self.epsilon

    def beta(self, couplings: Float[Array, " n"]) -> Float[Array, " n"]:
        """dk/dl.

        Raises:
          ShapeError: the couplings are not [h, r, u] or [h, r, u, v].
        """
        k = jnp.asarray(couplings)
        names = "[h, r, u, v]" if self.cubic else "[h, r, u]"
        if k.shape != (3 + self.cubic,):
            raise ShapeError(
                f"the couplings are {names}, a vector of shape ({3 + self.cubic},), got {k.shape}."
            )
        n, eps = jnp.asarray(self.n, k.dtype), jnp.asarray(self.epsilon, k.dtype)
        if self.cubic:
            eta, gamma, own = _cubic_functions(n, k[2], k[3], self.loops)
        else:
            eta, gamma, one = (jnp.polyval(c[::-1], k[2]) for c in _functions(n, self.loops))
            own = jnp.stack([one])
        fields = jnp.stack([(6 - eps - eta) / 2 * k[0], (2 - gamma) * k[1]])
        return jnp.concatenate([fields, eps * k[2:] - own])

    def __call__(self, couplings: Float[Array, " n"]) -> RGStep[Float[Array, " n"]]:
        """The couplings after l = log(scale); the constant is not followed: log_weight is NaN."""
        return integrated(self, couplings)


@module
class EpsilonSeries:
    """Power series in epsilon, the coefficients of eps^0, eps^1, ..., [loops + 1].

    Attributes:
      u: the fixed point.
      y_t: 1 / nu.
      nu: the exponent of the correlation length.
      eta: the anomalous dimension of the field.
      omega: the leading correction to scaling.
    """

    u: Float[Array, " n"]
    y_t: Float[Array, " n"]
    nu: Float[Array, " n"]
    eta: Float[Array, " n"]
    omega: Float[Array, " n"]


@cites("kleinert1991")
def epsilon_series(n: Any = 1, loops: int = MOST_LOOPS) -> EpsilonSeries:
    """The exponents of O(N) to order eps^loops.

    Differentiable in N.

    Raises:
      SettingError: ``loops`` is not 1 to 4.

    >>> series = epsilon_series(n=1, loops=2)
    >>> f"{1 / jnp.sum(series.y_t):.5f} {jnp.sum(series.eta):.5f}"  # nu and eta at eps = 1
    '0.64542 0.01852'
    """
    if loops not in range(1, MOST_LOOPS + 1):
        raise SettingError(f"the series are known here to 1 to {MOST_LOOPS} loops, got {loops!r}.")
    eta, gamma, own = _functions(jnp.asarray(n, dtype=float), loops)
    eps = jnp.zeros(loops + 1, eta.dtype).at[1].set(1)
    u = eps / own[2]
    for _ in range(loops):  # eps = own / u
        u = (eps - _composed(own[1:], u) + own[2] * u) / own[2]
    y_t = (-_composed(gamma, u)).at[0].add(2)
    order = jnp.arange(1, loops + 2).astype(eta.dtype)
    omega = _composed(order * own[1:], u) - eps
    return EpsilonSeries(u, y_t, _reciprocal(y_t), _composed(eta, u), omega)


def _functions(n: Array, loops: int) -> tuple[Array, Array, Array]:
    """eta, gamma and eps u - du/dl, as coefficients of 1, u, u^2, ..."""
    zero = jnp.zeros_like(n)
    field = (n + 2) / 18
    eta = [
        zero,
        zero,
        field,
        -field * (n + 8) / 12,
        field * 5 * (-(n**2) + 18 * n + 100) / 144,
    ]
    mass = (n + 2) / 3
    gamma_4 = -(n**2) + 7578 * n + 31060 + 48 * ZETA_3 * (3 * n**2 + 10 * n + 68)
    gamma = [
        zero,
        mass,
        -mass * 5 / 6,
        mass * (5 * n + 37) / 12,
        -mass * (gamma_4 + 288 * ZETA_4 * (5 * n + 22)) / 2592,
    ]
    third = 33 * n**2 + 922 * n + 2960 + 96 * ZETA_3 * (5 * n + 22)
    fourth = (
        -5 * n**3
        + 6320 * n**2
        + 80456 * n
        + 196648
        + 96 * ZETA_3 * (63 * n**2 + 764 * n + 2332)
        - 288 * ZETA_4 * (5 * n + 22) * (n + 8)
        + 1920 * ZETA_5 * (2 * n**2 + 55 * n + 186)
    )
    own = [zero, zero, (n + 8) / 3, -(3 * n + 14) / 3, third / 216, -fourth / 3888]
    return (
        jnp.stack(eta[: loops + 1]),
        jnp.stack(gamma[: loops + 1]),
        jnp.stack(own[: loops + 2]),
    )


def _cubic_functions(n: Array, u: Array, v: Array, loops: int) -> tuple[Array, Array, Array]:
    """eta, gamma and eps (u, v) - d(u, v)/dl."""
    eta = jnp.zeros_like(u)
    gamma = (n + 2) / 3 * u + v
    own = jnp.stack([(n + 8) / 3 * u**2 + 2 * u * v, 3 * v**2 + 4 * u * v])
    if loops == 1:
        return eta, gamma, own
    quadratic = (n + 2) / 3 * u**2 + 2 * u * v + v**2
    own_u = (3 * n + 14) / 3 * u**3 + 22 / 3 * u**2 * v + 5 / 3 * u * v**2
    own_v = 17 / 3 * v**3 + 46 / 3 * u * v**2 + (5 * n + 82) / 9 * u**2 * v
    return quadratic / 6, gamma - 5 / 6 * quadratic, own - jnp.stack([own_u, own_v])


def _composed(outer: Float[Array, " m"], inner: Float[Array, " n"]) -> Float[Array, " n"]:
    """The series outer(inner), cut at the length of inner, which starts at the first power."""
    total = jnp.zeros_like(inner)
    for c in outer[::-1]:
        total = jnp.convolve(total, inner)[: len(inner)].at[0].add(c)
    return total


def _reciprocal(a: Float[Array, " n"]) -> Float[Array, " n"]:
    out = jnp.zeros_like(a).at[0].set(1 / a[0])
    for _ in range(len(a) - 1):
        out = out * 2 - jnp.convolve(jnp.convolve(out, a)[: len(a)], out)[: len(a)]
    return out
