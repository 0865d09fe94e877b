r"""The functional renormalization group: Wetterich's equation for O(N) models.

The effective average action Gamma_k, in which fluctuations of momenta above k are summed out, obeys

    d Gamma_k / d log k = 1/2 Tr [(Gamma_k'' + R_k)^(-1) d R_k / d log k]

(C. Wetterich, Phys. Lett. B 301, 90 (1993)). Here it is solved for

    Gamma_k = int (Z_k/2 (grad phi)^2 + U_k(phi^2 / 2)),

with Z_k = 1, eta = 0 (the local potential approximation, LPA) or with a running Z_k (LPA'). In
units of k, with l = -log k growing towards the infrared, u(rho) and its slope w = u' obey

    du/dl = d u - (d - 2 + eta) rho u' - (1 - 1/N) l(u') - (1/N) l(u' + 2 rho u''),

where l is the threshold function of ``regulators``, 1/(1 + w) for Litim's. The N - 1 Goldstone
modes drop out at N = 1. rho and u are measured in units of 4 v_d N / d, v_d^(-1) = 2^(d+1) pi^(d/2)
Gamma(d/2), which leaves no number in the equation and a limit of infinite N (the spherical model,
``n_components=inf``): nu = 1/(d - 2), omega = 4 - d.

Eigenvalues of the derivative of beta are y_1 = 1/nu and y_2 = -omega. A potential of n couplings
has n; the last few are no physics, and most often complex (``exponents`` then says COMPLEX,
which here concerns the irrelevant end alone). float32 leaves nu and omega to 1e-4.

The anomalous dimension eta = -d log Z / d log k is read off at the minimum kappa of u, with
lambda = u''(kappa) and the kinetic threshold m of ``regulators``, of

    goldstone   eta = (4/N) kappa lambda^2 m(2 kappa lambda, 0)
    radial      eta = (2/N) kappa [(3 lambda + 2 kappa u''')^2 m(2 kappa lambda, 2 kappa lambda)
                                   + (N - 1) lambda^2 m(0, 0)]

the momentum dependence of the Goldstone or of the radial mode (J. Berges, N. Tetradis and
C. Wetterich, Phys. Rep. 363, 223 (2002), section 2). For N > 1 the first is eta; for N = 1 there is
only the second, though the first, continued to N = 1, is often used.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, UnknownNameError
from physdl.pytree import is_traced, module, static
from physdl.rg._base import RGStep
from physdl.rg._continuous import integrated
from physdl.rg._fixed_point import root
from physdl.rg.potentials import AboutZero, Grid, Potential, check_couplings
from physdl.rg.regulators import Litim, Regulator

__all__ = ["FunctionalRG"]

ANOMALOUS = ("none", "goldstone", "radial")
N_STAGES = 9
EASY_DIM = 3.0
LEAST_GAP = 0.1


@cites("wetterich1993", "berges2002")
@module
class FunctionalRG:
    """The flow of the potential of an O(N) model: an ``RGFlow``.

    The couplings are a vector that stands for u(rho) as ``potential`` says.

    Attributes:
      n_components: N >= 1, any real number or infinity; can be differentiated.
      dim: d > 2, any real number; can be differentiated.
      scale: the length ratio of one call, which integrates the flow.
      regulator: ``Litim`` or ``Exponential``.
      potential: ``AboutMinimum``, ``AboutZero`` or ``Grid``.
      anomalous: ``"none"`` (LPA), ``"goldstone"`` or ``"radial"`` (LPA').

    Raises:
      SettingError: N < 1, d <= 2, scale <= 1, or an anomalous dimension is asked for about zero
        field, where it vanishes.
      UnknownNameError: ``anomalous`` is none of the above.

    >>> from physdl import rg
    >>> frg = rg.FunctionalRG(n_components=1, dim=3, potential=rg.AboutMinimum(2))
    >>> at = rg.fixed_point(frg, frg.guess())
    >>> y = rg.exponents(frg, at).y
    >>> [round(float(v), 6) for v in (1 / y[0], -y[1])]
    [0.5, 0.333333]
    """

    n_components: Any = 1.0
    dim: Any = 3.0
    scale: Any = 2.0
    regulator: Regulator = Litim()
    potential: Potential = Grid()
    anomalous: str = static(default="none")

    def __post_init__(self) -> None:
        if not is_traced(self.n_components) and not float(self.n_components) >= 1:
            raise SettingError(
                f"there are N >= 1 components, got n_components={self.n_components}."
            )
        if not is_traced(self.dim) and not float(self.dim) > 2:
            raise SettingError(f"the dimension is above 2, got dim={self.dim}.")
        if not is_traced(self.scale) and not float(self.scale) > 1:
            raise SettingError(f"the length ratio is above 1, got scale={self.scale}.")
        if self.anomalous not in ANOMALOUS:
            raise UnknownNameError("anomalous dimension", self.anomalous, ANOMALOUS)
        if self.anomalous != "none" and isinstance(self.potential, AboutZero):
            raise SettingError(
                f"the anomalous dimension is zero at zero field, got anomalous={self.anomalous!r}: "
                "expand about the minimum or use a grid."
            )
        for name in ("n_components", "dim", "scale"):
            object.__setattr__(self, name, 1.0 * getattr(self, name))

    @property
    def unit(self) -> Array:
        """rho_0, the unit of rho in which the couplings of the potential are of order one."""
        poles, weights = self.regulator.poles(self.dim, 0.0)
        place: Array = jnp.sum(weights / poles**2) * (1 / (self.dim - 2) + 1 / self.n_components)
        return place / jnp.maximum(4 - self.dim, LEAST_GAP)

    def beta(self, couplings: Float[Array, " n"]) -> Float[Array, " n"]:
        """dk/dl.

        Raises:
          ShapeError: there are more or fewer couplings than the potential has.
        """
        return self.potential.beta(self, check_couplings(self.potential, couplings))

    def __call__(self, couplings: Float[Array, " n"]) -> RGStep[Float[Array, " n"]]:
        """The couplings after l = log(scale); u(0) is not followed: log_weight is NaN."""
        return integrated(self, couplings)

    def guess(self) -> Float[Array, " n"]:
        """Couplings near the Wilson-Fisher fixed point, 2 < d < 4.

        Followed by Newton's method in 1/N from the limit of infinite N, where kappa and u''(kappa)
        are known; ``fixed_point`` takes it from there. Its derivative is zero.
        """
        still = jax.lax.stop_gradient(self)
        about_zero = isinstance(self.potential, AboutZero)
        found: Array = self.potential.start(still) if about_zero else _followed(still)
        return found

    def eta(self, couplings: Float[Array, " n"]) -> Float[Array, ""]:
        """The anomalous dimension; 0 in the local potential approximation."""
        if self.anomalous == "none":
            return jnp.zeros((), couplings.dtype)
        n, kinetic = self.n_components, self.regulator.kinetic
        kappa, second, third = self.potential.minimum(self, couplings)
        mass, zero = 2 * kappa * second, jnp.zeros_like(kappa)
        if self.anomalous == "goldstone":
            a, b = (4 / n * kappa * second**2 * m for m in kinetic(mass, zero, self.dim))
        else:
            heavy = 2 / n * kappa * (3 * second + 2 * kappa * third) ** 2
            light = 2 * (1 - 1 / n) * kappa * second**2
            thresholds = kinetic(mass, mass, self.dim), kinetic(zero, zero, self.dim)
            a, b = (heavy * m + light * o for m, o in zip(*thresholds, strict=True))
        found: Array = a / (1 + b)
        return found

    def minimum(self, couplings: Float[Array, " n"]) -> Float[Array, ""]:
        """kappa, the rho >= 0 at which u is least."""
        return self.potential.minimum(self, check_couplings(self.potential, couplings))[0]

    def slope(self, couplings: Float[Array, " n"], rho: Float[Array, ""]) -> Float[Array, ""]:
        """u'(rho)."""
        k = check_couplings(self.potential, couplings)
        return self.potential.slope(self, k, jnp.asarray(rho))

    def loops(self, transversal: Array, radial: Array, eta: Any) -> Array:
        """(1 - 1/N) l(w) + (1/N) l(v), for every w and v."""
        poles, weights = self.regulator.poles(self.dim, eta)
        l: Any = jax.vmap(lambda w: jnp.sum(weights / (poles + w)))
        return self._mixed(l(transversal), l(radial))

    def loop_series(self, transversal: Array, radial: Array, eta: Any) -> Array:
        """The same of two power series in the field, as a power series of that length."""
        poles, weights = self.regulator.poles(self.dim, eta)
        one = jnp.zeros_like(radial).at[0].set(1)
        shift = np.subtract.outer(np.arange(len(one)), np.arange(len(one)))

        def series(w: Array) -> Array:
            times = jnp.where(shift >= 0, w[np.abs(shift)], 0)
            inverse = lambda p: solve_triangular(times + p * np.eye(len(one)), one, lower=True)
            inverses: Any = jax.vmap(inverse)
            found: Array = weights @ inverses(poles)
            return found

        return self._mixed(series(transversal), series(radial))

    def _mixed(self, transversal: Array, radial: Array) -> Array:
        share = 1 / self.n_components
        found: Array = (1 - share) * transversal + share * radial
        return found


@jax.jit
def _followed(frg: FunctionalRG) -> Array:
    """The fixed point at N = n / t, for t from 0 to 1, each looked for on the line of the last two.

    The dimension goes from 3 (or d, where it is higher) to d on the way.
    """
    way = "goldstone" if frg.anomalous == "radial" else frg.anomalous
    first = jnp.maximum(frg.dim, EASY_DIM)

    def at(t: Any) -> FunctionalRG:
        n, dim = frg.n_components / t, first + t * (frg.dim - first)
        return dataclasses.replace(frg, n_components=n, dim=dim, anomalous=way)

    def stage(last: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], None]:
        ahead = jnp.where(t > 1.5 / (N_STAGES - 1), last[1] - last[0], 0)
        found, _ = root(at(t).beta, last[1] + ahead)
        return (last[1], found), None

    start = frg.potential.start(at(0.0))
    stages = jnp.linspace(0, 1, N_STAGES, dtype=start.dtype)
    return jax.lax.scan(stage, (start, start), stages)[0][1]
