r"""The Gaussian field: momentum shells are summed out exactly, and every coupling only rescales.

    H = int d^d x [y_0 phi^2 + y_1 (grad phi)^2 + y_2 (laplacian phi)^2 + ...]

is diagonal in Fourier space with y(k) = sum_i y_i k^(2 i). Modes with Lambda / b < |k| < Lambda are
summed out; then lengths are measured in units b times as large and the field is rescaled so that
y_1 stays,

    phi'(x / b) = b^((d - 2) / 2) phi(x),        y_i' = b^(2 - 2 i) y_i

(K. G. Wilson and J. Kogut, Phys. Rep. 12, 75 (1974); with i as the order of relevance,
H. W. Lin, M. Tegmark and D. Rolnick, J. Stat. Phys. 168, 1223 (2017), section III E). The exponents
are 2, 0, -2, -4, ...: the square of the field is relevant, the gradient sets the units, all higher
derivatives are noise that coarsening removes.

Convention: one mode per site, that is a ball |k| < Lambda of volume (2 pi)^d (Debye's sphere), and
Lebesgue measure for the field on each site. So a mode counts log(pi / y(k)) / 2, and

    w = int_shell d^d k / (2 pi)^d  log(pi / y(k)) / 2  +  b^(-d) log b,

the last term from the rescaling of the modes that are left.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.pytree import is_traced, module
from physdl.rg._base import RGStep

__all__ = ["GaussianRG"]

N_NODES = 48


@cites("wilson1974", "lin2017")
@module
class GaussianRG:
    """The momentum-shell map of a quadratic field theory, exact for any real b and d.

    The couplings are [y_0, y_1, ..., y_n], any number of them.

    Attributes:
      scale: the length ratio b > 1.
      dim: the dimension d > 0.

    Raises:
      SettingError: ``scale`` is not above 1 or ``dim`` not above 0.

    >>> from physdl import rg
    >>> rg.GaussianRG(scale=2.0, dim=3)(jnp.array([0.1, 1.0, 0.4])).couplings.tolist()
    [0.4, 1.0, 0.1]
    >>> rg.exponents(rg.GaussianRG(scale=3.0), jnp.array([0.0, 1.0, 0.0])).kinds()
    ('relevant', 'marginal', 'irrelevant')
    """

    scale: Any = 2.0
    dim: Any = 2

    def __post_init__(self) -> None:
        if not is_traced(self.scale) and not float(self.scale) > 1:
            raise SettingError(f"the length ratio is above 1, got scale={self.scale}.")
        if not is_traced(self.dim) and not float(self.dim) > 0:
            raise SettingError(f"the dimension is above 0, got dim={self.dim}.")

    @property
    def cutoff(self) -> Float[Array, ""]:
        """Lambda = 2 sqrt(pi) Gamma(1 + d / 2)^(1 / d), one mode per site of unit volume."""
        d = jnp.asarray(self.dim, dtype=float)
        return 2 * math.sqrt(math.pi) * jnp.exp(gammaln(1 + d / 2) / d)

    def __call__(self, couplings: Float[Array, " n"]) -> RGStep[Float[Array, " n"]]:
        """The rescaled couplings; ``log_weight`` is exact and NaN where a mode is unstable.

        The integral over the shell is by Gauss-Legendre in log k, to rounding unless y(k) almost
        vanishes inside the shell.

        Raises:
          ShapeError: the couplings are not a vector.
        """
        y = jnp.asarray(couplings)
        if y.ndim != 1 or y.size == 0:
            raise ShapeError(f"the couplings y_0, y_1, ... are a vector, got shape {y.shape}.")
        b = jnp.asarray(self.scale, y.dtype)
        order = jnp.arange(y.size).astype(y.dtype)
        after = y * b ** (2 - 2 * order)
        return RGStep(after, self._shell(y) + self._rescaling(b), jnp.zeros((), y.dtype))

    def _rescaling(self, b: Float[Array, ""]) -> Float[Array, ""]:
        return b ** (-jnp.asarray(self.dim, b.dtype)) * jnp.log(b)

    def _shell(self, y: Float[Array, " n"]) -> Float[Array, ""]:
        nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
        log_b, d = jnp.log(jnp.asarray(self.scale, y.dtype)), jnp.asarray(self.dim, y.dtype)
        log_t = -log_b * jnp.asarray((1 + nodes) / 2, y.dtype)
        share = d * log_b * jnp.asarray(weights / 2, y.dtype) * jnp.exp(d * log_t)
        spectrum = jnp.polyval(y[::-1], (self.cutoff.astype(y.dtype) * jnp.exp(log_t)) ** 2)
        return jnp.sum(share * jnp.log(math.pi / spectrum)) / 2
