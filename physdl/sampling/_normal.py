r"""Standard normal numbers from uniform ones, as straight-line code that vectorises.

With v uniform on (0, 1), x = 2v - 1 and w = -log(1 - x^2) = -log(4 v (1 - v)), the normal quantile
is z = x f(w) with a smooth f: near x = 0 it is sqrt(pi / 2), in the tails it grows like sqrt(2 w).
One rational function fits f over all w that occur (w < 15.3 in float32, w < 35.4 in float64), of
degree 5 with relative error 2e-8 in float32 and of degree 12 with 5e-15 in float64. All of its
coefficients are positive, so that nothing cancels. The logarithm is the exponent of its argument
plus a polynomial in the mantissa. With neither branch nor table, and a single division at the end,
XLA computes bits, logarithm and quantile in one loop.

The fits are weighted least squares on 60 and 100 Chebyshev nodes in 60 digits, iterated towards the
minimax. Consequence: with the bits included 1.6 times faster on a CPU than sqrt(2) erf_inv(x), and
closer to the exact quantile, 3e-7 and 6e-15 against 6e-6 and 8e-13.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["quantile"]

# fmt: off
NUMERATOR_32 = (1.2533141618, 0.43519895694, 0.084719707669, 0.011045022017, 9.1522230417e-4,
                3.3627875562e-5)
DENOMINATOR_32 = (1.0, 0.085439672928, 0.032194167437, 0.0019093358016, 1.7756020824e-4,
                  1.2504433944e-6)
NUMERATOR_64 = (1.253314137315507, 0.47761340406531505, 0.13159927924740747, 0.025937026961946687,
                0.003909670502033604, 0.0004660560247020222, 4.408922303208432e-05,
                3.303094372911074e-06, 1.9652898026269994e-07, 9.279932193871057e-09,
                3.1871739012252635e-10, 6.007285242491588e-12, 2.0174291684073742e-14)
DENOMINATOR_64 = (1.0, 0.1192809733374302, 0.060741310374575974, 0.005873121508594292,
                  0.001249075513079456, 9.299759145353367e-05, 1.0251373205847178e-05,
                  5.554310315958253e-07, 3.4322849412829615e-08, 1.242722138805362e-09,
                  3.677478638982783e-11, 3.239365946929353e-13, 2.7723116590754824e-16)
# log(1 + f) / f on sqrt(1/2) <= 1 + f <= sqrt(2), interpolated at Chebyshev nodes
LOGARITHM_32 = (0.9999999741310671, -0.4999999638212389, 0.3333419328613508, -0.2500135218549606,
                0.1995593335838325, -0.16577992896798863, 0.14977401280127375, -0.14269258206218832,
                0.08533313082996152)
LOGARITHM_64 = (1.0, -0.4999999999999845, 0.33333333333337173, -0.2500000000076956,
                0.19999999999909318, -0.1666666655489462, 0.14285714173578096, -0.1250000725329438,
                0.11111124270511763, -0.09999754859995885, 0.0909028658518164, -0.08337810610043331,
                0.07707347824005895, -0.0710242204207069, 0.064733768826712, -0.06339266227186051,
                0.07092012090709178, -0.06606377274291701, 0.02991471437061158)
# fmt: on
ROOT_HALF_32, ROOT_HALF_64 = np.int32(0x3F3504F3), np.int64(0x3FE6A09E667F3BCD)
MANTISSA_32, MANTISSA_64 = np.int32(23), np.int64(52)


def _polynomial(c: tuple[float, ...], x: Float[Array, "..."]) -> Float[Array, "..."]:
    total = jnp.full_like(x, c[-1])
    for a in c[-2::-1]:
        total = total * x + a
    return total


def _log(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """log y for normal numbers y > 0."""
    double = y.dtype == jnp.float64
    width, root = (MANTISSA_64, ROOT_HALF_64) if double else (MANTISSA_32, ROOT_HALF_32)
    word = jax.lax.bitcast_convert_type(y, jnp.int64 if double else jnp.int32)
    exponent = (word - root) >> width
    f = jax.lax.bitcast_convert_type(word - (exponent << width), y.dtype) - 1
    series = _polynomial(LOGARITHM_64 if double else LOGARITHM_32, f)
    return exponent.astype(y.dtype) * math.log(2) + f * series


def quantile(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """The normal quantile of u + eps / 2, eps the spacing of ``jax.random.uniform``.

    >>> jnp.round(quantile(jnp.array([0.025, 0.5, 0.975])), 2).tolist()
    [-1.96, 0.0, 1.96]
    """
    double = u.dtype == jnp.float64
    v = u + float(np.finfo(u.dtype).eps) / 2
    w = -_log(4 * v * (1 - v))
    numerator = _polynomial(NUMERATOR_64 if double else NUMERATOR_32, w)
    denominator = _polynomial(DENOMINATOR_64 if double else DENOMINATOR_32, w)
    return (2 * v - 1) * numerator / denominator
