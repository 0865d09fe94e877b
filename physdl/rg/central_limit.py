r"""The central limit theorem as a renormalization group, and its way to polynomial Hamiltonians.

Sums of b independent equal variables, divided by sqrt(b) so that the variance stays, have cumulants

    kappa_n' = b^(1 - n / 2) kappa_n,

so the exponents are 1 - n/2: the mean is relevant, the variance marginal, all else irrelevant, and
the Gaussian distribution is the fixed point (G. Jona-Lasinio, Nuovo Cimento B 26, 99 (1975)).

Near the fixed point the distribution is p = exp(-H) with H a polynomial. With kappa_n of order
eps^(n - 2), eps = b^(-1/2) the small parameter, the expansion of H in eps is

    H(x) = x^2 / 2 + log(2 pi) / 2 + sum_(j >= 1) eps^j H_j(x),        deg H_j = j + 2,

for a standardised variable (F. Y. Edgeworth, Trans. Camb. Phil. Soc. 20, 36 (1905), in the form for
log p: P. McCullagh, Tensor Methods in Statistics (1987)). So variables that are sums
of many have Hamiltonians of low order: to order j = n - 2 the polynomial has degree n, and is fixed
by the cumulants up to kappa_n.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian, Sites, Term
from physdl.pytree import is_traced, module, static
from physdl.rg._base import RGStep
from physdl.spaces import LINE

__all__ = [
    "CentralLimit",
    "cumulants_of_moments",
    "edgeworth",
    "edgeworth_hamiltonian",
    "moments_of_cumulants",
]


@cites("jonalasinio1975")
@module
class CentralLimit:
    """Block sums of independent variables.

    The couplings are the cumulants [kappa_1, ..., kappa_order] of one variable.

    Attributes:
      order: how many cumulants are followed.
      scale: the number b > 1 of variables in a block; any real number, as the formula allows.

    Raises:
      SettingError: ``order`` is less than 1, or ``scale`` not above 1.

    >>> from physdl import rg
    >>> clt = rg.CentralLimit(order=4, scale=4)
    >>> clt(jnp.array([0.0, 1.0, 2.0, 6.0])).couplings.tolist()  # of an exponential variable
    [0.0, 1.0, 1.0, 1.5]
    >>> rg.exponents(clt, jnp.array([0.0, 1.0, 0.0, 0.0])).y.tolist()
    [0.5, 0.0, -0.5, -1.0]
    """

    scale: Any
    order: int = static()

    def __init__(self, order: int = 4, scale: Any = 2):
        if order < 1:
            raise SettingError(f"one cumulant or more is followed, got order={order}.")
        if not is_traced(scale) and not float(scale) > 1:
            raise SettingError(f"a block has more than one variable, got scale={scale}.")
        object.__setattr__(self, "order", int(order))
        object.__setattr__(self, "scale", scale)

    @property
    def dim(self) -> int:
        """Variables stand in a row: a step leaves 1 / b of them."""
        return 1

    def __call__(self, couplings: Float[Array, " n"]) -> RGStep[Float[Array, " n"]]:
        """The cumulants of a block; distributions stay normalised, so ``log_weight`` is 0, exactly.

        Raises:
          ShapeError: there are more or fewer cumulants than ``order``.
        """
        kappa = jnp.asarray(couplings)
        if kappa.shape != (self.order,):
            raise ShapeError(
                f"the cumulants kappa_1 to kappa_{self.order} are a vector of shape "
                f"({self.order},), got {kappa.shape}."
            )
        n = jnp.arange(1, self.order + 1).astype(kappa.dtype)
        after = kappa * jnp.asarray(self.scale, kappa.dtype) ** (1 - n / 2)
        zero = jnp.zeros((), kappa.dtype)
        return RGStep(after, zero, zero)


def cumulants_of_moments(moments: ArrayLike) -> Float[Array, " n"]:
    """kappa_1, ..., kappa_n from the moments <x>, ..., <x^n>.

    By m_n = sum_k C(n - 1, k - 1) kappa_k m_(n - k).

    Raises:
      ShapeError: the moments are not a vector.

    >>> cumulants_of_moments([1.0, 2.0, 6.0, 24.0]).tolist()  # an exponential variable
    [1.0, 1.0, 2.0, 6.0]
    """
    given = _vector(moments, "moments")
    m = [jnp.ones((), given.dtype), *given]
    kappa: list[Array] = []
    for n in range(1, len(m)):
        kappa.append(
            m[n] - sum(math.comb(n - 1, k - 1) * kappa[k - 1] * m[n - k] for k in range(1, n))
        )
    return jnp.stack(kappa)


def moments_of_cumulants(cumulants: ArrayLike) -> Float[Array, " n"]:
    """<x>, ..., <x^n> from kappa_1, ..., kappa_n: the inverse of ``cumulants_of_moments``.

    Raises:
      ShapeError: the cumulants are not a vector.

    >>> moments_of_cumulants([0.0, 1.0, 0.0, 0.0]).tolist()  # a Gaussian variable
    [0.0, 1.0, 0.0, 3.0]
    """
    kappa = _vector(cumulants, "cumulants")
    m = [jnp.ones((), kappa.dtype)]
    for n in range(1, len(kappa) + 1):
        parts = [math.comb(n - 1, k - 1) * kappa[k - 1] * m[n - k] for k in range(1, n + 1)]
        m.append(sum(parts[1:], start=parts[0]))
    return jnp.stack(m[1:])


def edgeworth(cumulants: ArrayLike) -> Float[Array, " n+1"]:
    """The polynomial H = -log p of a distribution near a Gaussian: coefficients c_0, ..., c_n.

    With n cumulants, H(x) = sum_m c_m x^m is of degree n and right to order eps^(n - 2) in the
    small parameter eps of the module. Where n is odd, or c_n negative, exp(-H) is no distribution
    on the whole line, as any truncated series.

    Raises:
      ShapeError: there are fewer than two cumulants.

    >>> edgeworth([0.0, 1.0, 0.0]).tolist()[1:]  # a Gaussian: x^2 / 2
    [0.0, 0.5, 0.0]
    >>> [round(c, 4) for c in edgeworth([0.0, 1.0, 0.6]).tolist()[1:]]  # kappa_3 (x / 2 - x^3 / 6)
    [0.3, 0.5, -0.1]
    """
    kappa = _vector(cumulants, "cumulants")
    order = len(kappa)
    if order < 2:
        raise ShapeError(f"an expansion about a Gaussian needs two cumulants, got {order}.")
    mean, sigma = kappa[0], jnp.sqrt(kappa[1])
    standard = [kappa[n - 1] / sigma**n / math.factorial(n) for n in range(3, order + 1)]
    log_ratio = _log_series(_density_series(standard))
    h = jnp.zeros(order + 1, kappa.dtype)
    for j, part in enumerate(log_ratio, start=1):
        h = h.at[: j + 3].add(-part[: j + 3])
    h = h.at[2].add(0.5).at[0].add(math.log(2 * math.pi) / 2)
    shifted = jnp.zeros_like(h)
    for c in h[::-1]:
        shifted = (jnp.roll(shifted, 1) - shifted * mean) / sigma
        shifted = shifted.at[0].add(c)
    return shifted.at[0].add(jnp.log(sigma))


def edgeworth_hamiltonian(cumulants: ArrayLike) -> Hamiltonian:
    """``edgeworth`` as the Hamiltonian of one site of ``LINE``, one term a power.

    >>> h = edgeworth_hamiltonian([0.0, 1.0, 0.0, -0.15])
    >>> h.degree, bool(h(jnp.zeros(1)) < h(jnp.ones(1)))
    (4, True)
    """
    c = edgeworth(cumulants)
    terms: dict[str, Term] = {f"phi{n}": Sites(c[n], np.zeros((1, n), int)) for n in range(len(c))}
    return Hamiltonian(terms, space=LINE, shape=(1,))


def _vector(values: ArrayLike, name: str) -> Float[Array, " n"]:
    v = jnp.asarray(values, dtype=float)
    if v.ndim != 1 or v.size == 0:
        raise ShapeError(f"{name} are a vector of the first, the second, ..., got shape {v.shape}.")
    return v


def _density_series(a: list[Array]) -> list[Array]:
    """q_j in p / Gaussian = 1 + sum_j eps^j q_j, as coefficients of powers of x.

    exp(sum_j eps^j a_j t^(j + 2)) with t^m read as the Hermite polynomial He_m(x).
    """
    most = 3 * len(a)
    hermite = np.zeros((most + 1, most + 1))
    for m in range(most + 1):
        hermite[m, : m + 1] = np.polynomial.hermite_e.herme2poly([0] * m + [1])
    if not a:
        return []
    series = [jnp.zeros(most + 1, a[0].dtype).at[0].set(1)]
    for j in range(1, len(a) + 1):
        parts = [i * a[i - 1] * jnp.roll(series[j - i], i + 2) for i in range(1, j + 1)]
        series.append(sum(parts[1:], start=parts[0]) / j)
    return [q @ jnp.asarray(hermite, q.dtype) for q in series[1:]]


def _log_series(q: list[Array]) -> list[Array]:
    """l_j in log(1 + sum_j eps^j q_j) = sum_j eps^j l_j, polynomials cut at the degree of q."""
    out: list[Array] = []
    for j in range(1, len(q) + 1):
        total = q[j - 1]
        for i in range(1, j):
            total = total - i * jnp.convolve(out[i - 1], q[j - i - 1])[: len(total)] / j
        out.append(total)
    return out
