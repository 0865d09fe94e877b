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
Phys. 14, 171 (1976)). The best p makes it largest: ``best_kadanoff`` finds it at a fixed point of
the map, ``tightest_kadanoff`` at any couplings.

The published fixed point (p = 0.76598, y_T = 1.0009) treats the four spins of a square alike, K_1 =
2 K_2. Against a difference of the two it is unstable, with y = 0.203, so no nearest-neighbour model
flows there. The critical one ends at K_1 = 0.3174, K_2 = 0.1077, K_4 = -0.0075, whose own best p is
0.76099 and y_T = 1.0175; ``best_kadanoff`` finds either, from a guess near it.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import ShapeError
from physdl.numerics import logsumexp
from physdl.pytree import module
from physdl.rg._base import RGStatus, RGStep
from physdl.rg._fixed_point import root
from physdl.rg._trajectory import free_energy

__all__ = ["Kadanoff", "best_kadanoff", "tightest_kadanoff"]

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
N_PLACES = 64
N_BISECTIONS = 60


@cites("kadanoff1975")
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


def tightest_kadanoff(couplings: Float[Array, " 5"]) -> Kadanoff:
    """The map whose p, the same in every step, makes the bound largest at these couplings.

    The largest of 64 values of f(p) up to p = 2 max(1, sum |k|) is refined by bisection of df/dp,
    which is odd in p. By the envelope theorem df/dk of the bound is that at fixed p, and what

        dp/dk = -f_pk / f_pp

    adds to the second derivative is there as well; of higher derivatives it is not all.

    Args:
      couplings: [K_1, K_2, K_4, h, K_3] of a model.

    Raises:
      ShapeError: the couplings are not a vector of five.

    >>> from physdl import reference, rg
    >>> k = jnp.array([0.3, 0.0, 0.0, 0.0, 0.0])
    >>> f = rg.free_energy(rg.tightest_kadanoff(k), k) + reference.onsager_log_z(0.3)
    >>> bool(-0.02 < f < 0), bool(rg.free_energy(rg.Kadanoff(0.766), k) < -0.9)
    (True, True)
    """
    k = jnp.asarray(couplings, dtype=float)

    def bound(p: Array, k: Array) -> Array:
        return free_energy(Kadanoff(p), k)

    slope = jax.grad(bound)
    held = jax.lax.stop_gradient(k)
    reach = 2 * jnp.maximum(1, jnp.sum(jnp.abs(held)))
    places = reach * jnp.linspace(0, 1, N_PLACES).astype(k.dtype)
    at = jnp.argmax(jax.vmap(bound, (0, None))(places, held))

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        rises = slope(middle, held) > 0
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    ends = places[jnp.maximum(at - 1, 0)], places[jnp.minimum(at + 1, N_PLACES - 1)]
    low, high = jax.lax.fori_loop(0, N_BISECTIONS, halve, ends)
    p = (low + high) / 2
    curvature = jax.grad(slope)(p, held)
    curved = jnp.where(curvature < 0, curvature, -jnp.inf)
    moved = slope(p, k)
    return Kadanoff(p - (moved - jax.lax.stop_gradient(moved)) / curved)
