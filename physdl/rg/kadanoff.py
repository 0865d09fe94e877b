r"""Kadanoff's variational map of the square lattice: a lower bound of the free energy.

Spins interact in the four of a square by one function S, -H = sum_squares S(s_1, s_2, s_3, s_4).
Every fourth square carries a cell spin mu, tied to its four spins by the normalised kernel

    exp(p mu (s_1 + ... + s_4)) / (2 cosh p (s_1 + ... + s_4)).

Of the four kinds of squares the interactions, and the logarithm of the denominator, are moved to
the squares with one spin of each of four cells. There the spins decouple from all others:

    S'(mu) + c = log sum_s exp(4 S(s) + p sum_i mu_i s_i - log 2 cosh(p sum_i s_i)),

and w = c / 4. What is moved has the mean zero in a homogeneous system, so by convexity log Z can
only grow: -log Z per site of the map is a lower bound of the free energy, for every p (L. P.
Kadanoff, Phys. Rev. Lett. 34, 1005 (1975); L. P. Kadanoff, A. Houghton and M. C. Yalabik, J. Stat.
Phys. 14, 171 (1976)). The best p makes it largest; ``best_kadanoff`` finds it at the fixed point.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import ShapeError
from physdl.numerics import logsumexp
from physdl.pytree import module
from physdl.rg._base import RGStatus, RGStep
from physdl.rg._fixed_point import root

__all__ = ["Kadanoff", "best_kadanoff"]

STATES = np.array(list(itertools.product((1.0, -1.0), repeat=4)))
FUNCTIONS = np.stack(
    [
        sum(STATES[:, i] * STATES[:, (i + 1) % 4] for i in range(4)) / 2,
        STATES[:, 0] * STATES[:, 2] + STATES[:, 1] * STATES[:, 3],
        STATES.prod(axis=1),
        STATES.sum(axis=1) / 4,
        sum(STATES.prod(axis=1) * STATES[:, i] for i in range(4)),
    ]
)
NAMES = ("K_1", "K_2", "K_4", "h", "K_3")


@module
class Kadanoff:
    """Potential moving on the square lattice, with one variational parameter.

    The couplings are [K_1, K_2, K_4, h, K_3] per bond, diagonal bond, square, site and corner:
    -H = sum K_1 s s' + sum K_2 s s' + sum K_4 s s' s'' s''' + h sum s + sum K_3 s s' s''. These are
    all functions of a square with the symmetries of the lattice, so the map is closed.

    Attributes:
      parameter: p, the strength of the tie between spins and cell spins.

    >>> from physdl import reference, rg
    >>> k = jnp.array([0.5, 0.0, 0.0, 0.0, 0.0])
    >>> f = rg.free_energy(rg.Kadanoff(0.76), k)
    >>> exact = -reference.onsager_log_z(0.5)
    >>> bool(exact - 0.01 < f) and bool(f < exact)
    True
    """

    parameter: Any

    @property
    def scale(self) -> int:
        """The length ratio b."""
        return 2

    @property
    def dim(self) -> int:
        """The plane."""
        return 2

    def __call__(self, couplings: Float[Array, " 5"]) -> RGStep[Float[Array, " 5"]]:
        """The couplings of the cell spins; ``log_weight`` is that of the bound.

        ``error`` is NaN: the distance from the bound to the truth is not known.

        Raises:
          ShapeError: the couplings are not a vector of five.
        """
        k = jnp.asarray(couplings)
        if k.shape != (len(NAMES),):
            raise ShapeError(
                f"the couplings are {', '.join(NAMES)}, a vector of shape ({len(NAMES)},), "
                f"got {k.shape}."
            )
        p = jnp.asarray(self.parameter, k.dtype)
        functions = jnp.asarray(FUNCTIONS, k.dtype)
        total = p * jnp.asarray(STATES.sum(axis=1), k.dtype)
        single = 4 * (k @ functions) - jnp.logaddexp(total, -total)
        tie = p * jnp.asarray(STATES @ STATES.T, k.dtype)
        moved = logsumexp(tie + single[None, :], axis=1)
        norm = jnp.asarray(np.sum(FUNCTIONS**2, axis=1), k.dtype)
        after, constant = functions @ moved / norm, jnp.mean(moved)
        return RGStep(after, constant / 4, jnp.asarray(math.nan, k.dtype))


def best_kadanoff(couplings: Float[Array, " 5"], parameter: float = 0.76) -> Kadanoff:
    """The map whose p makes the bound of the free energy stationary at the map's own fixed point.

    Solves R(k, p) = k together with df(k, p) / dp = 0, f the bound from k with the same p in every
    step,

        (1 - 1/4) df/dp = -dw/dp + f_k . dR/dp / 4,        f_k = -w_k (1 - R_k / 4)^(-1).

    Args:
      couplings: a guess for the fixed point.
      parameter: a guess for p.

    p is NaN where Newton's method does not get there from the guesses.

    >>> from physdl import rg
    >>> best = best_kadanoff(jnp.array([0.28, 0.14, -0.01, 0.0, 0.0]))
    >>> fixed = rg.fixed_point(best, jnp.array([0.28, 0.14, -0.01, 0.0, 0.0]))
    >>> bool(abs(rg.exponents(best, fixed).y[1] - 1) < 0.01)  # y_T; exactly 1
    True
    """

    def step(k: Array, p: Array) -> tuple[Array, Array]:
        out = Kadanoff(p)(k)
        return out.couplings, out.log_weight

    def conditions(v: Array) -> Array:
        k, p = v[:-1], v[-1]
        (r_k, r_p), (w_k, w_p) = jax.jacfwd(step, argnums=(0, 1))(k, p)
        f_k = -jnp.linalg.solve(jnp.eye(len(k), dtype=k.dtype) - r_k.T / 4, w_k)
        return jnp.append(step(k, p)[0] - k, f_k @ r_p / 4 - w_p)

    guess = jnp.append(jnp.asarray(couplings, dtype=float), parameter)
    at, (_, _, status) = root(conditions, guess)
    return Kadanoff(jnp.where(status == RGStatus.OK.value, at[-1], jnp.nan))
