r"""The line that no thermometer crosses, and where one stands.

    I(beta) = Var_beta(E) = d^2 log Z / dbeta^2,
    sigma_beta >= (n I)^(-1/2),        sigma_T >= T^2 (n I)^(-1/2),        T = 1 / beta,

for unbiased readings of n independent configurations (C. R. Rao, Bull. Calcutta Math. Soc. 37, 81
(1945); H. Cramer, Mathematical Methods of Statistics (1946), section 32.3). A biased reading may
have a smaller error at one temperature (a stopped clock has none, twice a day); averaged over a
prior none has a smaller one than the posterior mean.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import ShapeError
from physdl.pytree import module
from physdl.statistics import Mean
from physdl.theory.thermometer.families import Canonical

__all__ = ["Accuracy", "CramerRao", "accuracy", "cramer_rao", "fisher_information"]


@module
class CramerRao:
    """The least errors of an unbiased thermometer.

    Attributes:
      information: I(beta) of one configuration.
      sigma_beta: the least error of beta.
      sigma_temperature: the least error of T = 1 / beta.
    """

    information: Float[Array, ""]
    sigma_beta: Float[Array, ""]
    sigma_temperature: Float[Array, ""]


@module
class Accuracy:
    """How far readings at one temperature are from it.

    Attributes:
      bias: their mean error, with its standard error.
      rmse: the root of their mean square error, with its standard error.
    """

    bias: Mean
    rmse: Mean


def fisher_information(model: Canonical, beta: ArrayLike) -> Float[Array, ""]:
    """I(beta) = Var(E) of one configuration about beta.

    By two automatic derivatives of log Z. In float32 about five digits of Kaufman's are left (1e-5
    for 64 x 64 critical spins).

    >>> from physdl.theory.thermometer import ising_torus
    >>> critical = jnp.log(1 + jnp.sqrt(2.0)) / 2
    >>> print(f"{fisher_information(ising_torus(16, 16), critical):.0f}")
    1976
    """
    found: Array = _fisher_information(model, jnp.asarray(beta, model.h.dtype))
    return found


@jax.jit
def _fisher_information(model: Canonical, beta: Float[Array, ""]) -> Float[Array, ""]:
    curvature: Array = jax.grad(jax.grad(model.log_z))(beta)
    return curvature


def cramer_rao(model: Canonical, beta: ArrayLike, *, n: ArrayLike = 1) -> CramerRao:
    """The least errors of what n independent configurations tell about beta and T.

    >>> from physdl.theory.thermometer import ising_torus
    >>> line = cramer_rao(ising_torus(40, 40), 0.408)
    >>> print(f"{line.sigma_beta:.4f} {line.sigma_temperature:.4f}")
    0.0102 0.0614
    """
    at = jnp.asarray(beta, model.h.dtype)
    information = fisher_information(model, at)
    sigma = (jnp.asarray(n, at.dtype) * information) ** -0.5
    return CramerRao(information, sigma, sigma / at**2)


def accuracy(readings: ArrayLike, beta: ArrayLike) -> Accuracy:
    """Bias and root mean square error of independent readings [n] at one beta.

    Raises:
      ShapeError: there are fewer than two readings.

    >>> round(float(accuracy([0.3, 0.5, 0.5, 0.3], 0.4).rmse.value), 6)
    0.1
    """
    x = jnp.asarray(readings, float)
    if x.ndim != 1 or len(x) < 2:
        raise ShapeError(f"readings are a vector of two or more, got shape {x.shape}.")
    off = x - jnp.asarray(beta, x.dtype)
    n = len(x)
    root = jnp.sqrt(jnp.mean(off**2))
    spread = jnp.std(off**2, ddof=1) / n**0.5
    return Accuracy(
        Mean(jnp.mean(off), jnp.std(off, ddof=1) / n**0.5), Mean(root, spread / (2 * root))
    )
