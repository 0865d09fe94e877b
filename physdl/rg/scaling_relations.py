r"""The critical exponents that follow from the two relevant eigenvalues.

With y_T and y_H the scaling dimensions of temperature and field in dimension d,

    nu = 1 / y_T,  alpha = 2 - d / y_T,  beta = (d - y_H) / y_T,  gamma = (2 y_H - d) / y_T,
    delta = y_H / (d - y_H),  eta = d + 2 - 2 y_H

(L. P. Kadanoff, Physics 2, 263 (1966)), so that Rushbrooke's alpha + 2 beta + gamma = 2, Widom's
gamma = beta (delta - 1), Fisher's gamma = nu (2 - eta) and Josephson's d nu = 2 - alpha hold. Above
the upper critical dimension, where a dangerous irrelevant coupling breaks the last, use them not.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.pytree import module

__all__ = ["Universality", "universality"]


@module
class Universality:
    """Critical exponents of a universality class.

    Attributes:
      nu: of the correlation length.
      eta: of the correlation function at criticality.
      alpha: of the specific heat; 0 stands for a logarithm or a jump.
      beta: of the order parameter.
      gamma: of the susceptibility.
      delta: of the critical isotherm.
    """

    nu: Float[Array, "..."]
    eta: Float[Array, "..."]
    alpha: Float[Array, "..."]
    beta: Float[Array, "..."]
    gamma: Float[Array, "..."]
    delta: Float[Array, "..."]


def universality(y_t: ArrayLike, y_h: ArrayLike, dim: ArrayLike) -> Universality:
    """The exponents of a class with these scaling dimensions.

    >>> ising = universality(1.0, 1.875, 2.0)
    >>> round(float(ising.delta), 6), round(float(ising.eta), 6), round(float(ising.gamma), 6)
    (15.0, 0.25, 1.75)
    """
    t, h, d = (1.0 * jnp.asarray(v, jnp.result_type(float)) for v in (y_t, y_h, dim))
    return Universality(
        nu=1 / t,
        eta=d + 2 - 2 * h,
        alpha=2 - d / t,
        beta=(d - h) / t,
        gamma=(2 * h - d) / t,
        delta=h / (d - h),
    )
