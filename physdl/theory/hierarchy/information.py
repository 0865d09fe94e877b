r"""Information: what one variable tells of another, and what a function of it still tells.

    I(x; y) = sum_xy p(x, y) ln [p(x, y) / (p(x) p(y))]  >=  I(x; f(y)),

with equality exactly when f is a sufficient statistic of y for x (data processing; T. M. Cover and
J. A. Thomas, Elements of Information Theory, section 2.8). It is summed in logarithms, so that no
probability is too small, and a probability of zero counts nothing.

Convention: nats; ``BIT`` nats are one bit. A joint distribution is a table p(x, y) of shape
[n_x, n_y] that sums to one, a function of y a vector of labels or a stochastic matrix.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import ShapeError
from physdl.numerics import log_or_zero, logsumexp

__all__ = ["BIT", "log_mutual_information", "mutual_information", "processed"]

BIT = math.log(2)


def mutual_information(joint: ArrayLike) -> Float[Array, ""]:
    """I(x; y) in nats of a joint distribution p(x, y), differentiable in it.

    A table that does not sum to one is divided by its sum.

    Raises:
      ShapeError: the joint distribution is no table.

    >>> noise = jnp.array([[0.45, 0.05], [0.05, 0.45]])
    >>> round(float(mutual_information(noise) / BIT), 6)  # 1 - h2(0.1) bits
    0.531004
    """
    return log_mutual_information(log_or_zero(_table(joint)))


def log_mutual_information(log_joint: ArrayLike) -> Float[Array, ""]:
    """I(x; y) in nats from the logarithm of p(x, y), up to a constant.

    >>> float(log_mutual_information(jnp.array([[0.0, -jnp.inf], [-jnp.inf, 0.0]]))) / BIT
    1.0
    """
    given = _table(log_joint)
    log_p = given - logsumexp(given)
    possible = log_p > -jnp.inf
    apart = logsumexp(log_p, axis=1)[:, None] + logsumexp(log_p, axis=0)[None, :]
    ratio = jnp.where(possible, log_p, 0.0) - jnp.where(possible, apart, 0.0)
    return jnp.maximum(jnp.sum(jnp.where(possible, jnp.exp(log_p), 0.0) * ratio), 0.0)


def processed(joint: ArrayLike, f: NumpyArrayLike) -> Float[Array, "n_x n_z"]:
    """p(x, z) for z = f(y), or for z drawn from p(z | y).

    Args:
      joint: p(x, y), [n_x, n_y].
      f: labels of z, int [n_y]; or p(z | y), [n_z, n_y].

    Raises:
      ShapeError: f is not given for every y.

    >>> processed(jnp.array([[0.4, 0.1, 0.0], [0.0, 0.2, 0.3]]), [0, 0, 1]).tolist()
    [[0.5, 0.0], [0.2, 0.3]]
    """
    p = _table(joint)
    given = np.asarray(f)
    if given.ndim not in (1, 2) or given.shape[-1] != p.shape[1]:
        raise ShapeError(
            f"a function of {p.shape[1]} values is as many labels or a matrix [n_z, {p.shape[1]}], "
            f"got shape {given.shape}."
        )
    if given.ndim == 1:
        given = np.arange(given.max() + 1)[:, None] == given
    return jnp.matmul(p, jnp.asarray(given, p.dtype).T, precision="highest")


def _table(joint: ArrayLike) -> Float[Array, "n_x n_y"]:
    p = jnp.asarray(joint, dtype=float)
    if p.ndim != 2:
        raise ShapeError(f"a joint distribution is a table [n_x, n_y], got shape {p.shape}.")
    return p
