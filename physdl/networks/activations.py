r"""Activations and their Taylor coefficients: what a gate is made of.

A gate reads one Taylor coefficient of its activation at its bias b,

    s(b + u) = s_0 + s_1 u + s_2 u^2 / 2 + ... + s_n u^n / n! + ...,

so that all it needs is the numbers s_n(b), which are computed by jets in float64, never tabulated.
Two biases matter for a gate of order n: a *generic* one where s_n is not zero (zero itself if
possible, else where abs(s_n) is largest), and the *fourth-order* one where s_{n+2} vanishes, so
that the leading error of the gate does, too.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray

from physdl.errors import SettingError
from physdl.pytree import module, static

__all__ = [
    "EXP",
    "GELU",
    "LOGISTIC",
    "SILU",
    "SOFTPLUS",
    "TANH",
    "Activation",
    "fourth_order_bias",
    "generic_bias",
]

Function = Callable[[Array], Array]

BIASES = np.linspace(-6.0, 6.0, 2401)
VANISHING = 1e-6
N_NEWTON = 6


@module
class Activation:
    """A smooth function of one real variable, applied to every neuron.

    Attributes:
      name: how it calls itself in reports and messages.
      function: what a neuron computes.
      analytic: the same function in a form that jets go through (no case distinctions, no custom
        derivatives); ``None`` where ``function`` is one.

    >>> [round(float(s), 9) for s in SOFTPLUS.derivatives(0.0, 4)]
    [0.693147181, 0.5, 0.25, 0.0, -0.125]
    """

    name: str = static()
    function: Function = static()
    analytic: Function | None = static(default=None)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function, element by element."""
        return self.function(x)

    def derivatives(self, bias: ArrayLike, order: int) -> NDArray[np.float64]:
        """s_0 to s_order at each bias, shape [order + 1, *bias.shape], in float64.

        Raises:
          SettingError: jets do not go through the function.
        """
        point = np.asarray(bias, np.float64)
        function = self.analytic or self.function
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            at = jnp.asarray(point)
            series = [jnp.ones_like(at)] + [jnp.zeros_like(at)] * (order - 1)
            try:
                value, higher = jet(function, (at,), (series,))  # type: ignore[no-untyped-call]
            except (jax.errors.UnexpectedTracerError, NotImplementedError) as error:
                raise SettingError(
                    f"the derivatives of {self.name} cannot be computed by jets: give the same "
                    f"function without custom derivatives as Activation(..., analytic=...)."
                ) from error
            return np.stack([np.asarray(value), *map(np.asarray, higher)])

    def __repr__(self) -> str:
        return self.name


def _exact_gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def _plain_softplus(x: Array) -> Array:
    return jnp.log1p(jnp.exp(x))


SOFTPLUS = Activation("softplus", jax.nn.softplus, _plain_softplus)
TANH = Activation("tanh", jnp.tanh)
SILU = Activation("SiLU", jax.nn.silu)
GELU = Activation("GELU", _exact_gelu)
LOGISTIC = Activation("logistic", jax.nn.sigmoid)
EXP = Activation("exp", jnp.exp)


@functools.lru_cache(maxsize=256)
def _scan(activation: Activation, order: int) -> NDArray[np.float64]:
    """The derivatives of the given order and the three above it, shape [4, n_biases]."""
    return activation.derivatives(BIASES, order + 3)[order:]


@functools.lru_cache(maxsize=256)
def generic_bias(activation: Activation, order: int = 2) -> float:
    """A bias at which s_order does not vanish: zero, or where abs(s_order) is largest.

    Raises:
      SettingError: the derivative vanishes everywhere.

    >>> generic_bias(SOFTPLUS), round(generic_bias(LOGISTIC), 7)  # log(2 + sqrt 3)
    (0.0, 1.3169579)
    """
    size = np.abs(_scan(activation, order)[0])
    if not size.max() > 0:
        raise SettingError(
            f"the derivative of order {order} of {activation!r} vanishes everywhere, so no bias "
            f"makes a gate of it: use a smooth activation such as softplus."
        )
    if size[np.argmin(np.abs(BIASES))] > VANISHING * size.max():
        return 0.0
    ties = np.flatnonzero(size > (1 - 1e-9) * size.max())
    start = BIASES[ties[-1:]]
    return float(_newton(activation, order + 1, start)[0])


@functools.lru_cache(maxsize=256)
def fourth_order_bias(activation: Activation, order: int = 2) -> float | None:
    """The bias at which s_{order + 2} vanishes and s_order does not, or ``None`` without one.

    Of several the one with the largest abs(s_order); of two of opposite sign the positive one.

    >>> [round(fourth_order_bias(a), 8) for a in (SOFTPLUS, TANH, SILU, GELU)]
    [1.3169579, 1.14621583, 1.03195824, 0.79228699]
    >>> fourth_order_bias(EXP) is None
    True
    """
    wanted, above = _scan(activation, order)[[0, 2]]
    size = np.abs(wanted)
    crosses = above[:-1] * above[1:] <= 0
    crosses &= np.minimum(size[:-1], size[1:]) > 1e-3 * size.max()
    crosses &= np.abs(above[:-1]) + np.abs(above[1:]) > 0
    if not crosses.any():
        return None
    roots = _newton(activation, order + 2, BIASES[:-1][crosses])
    size = np.abs(activation.derivatives(roots, order)[order])
    return float(max(roots[size > (1 - 1e-9) * size.max()]))


def _newton(activation: Activation, order: int, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zeros of s_order near the given biases."""
    b = start
    for _ in range(N_NEWTON):
        value, slope = activation.derivatives(b, order + 1)[order:]
        b = b - value / slope
    return b
