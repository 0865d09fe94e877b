"""Which bias and which scale: gates for a given activation and precision."""

import functools
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from physdl.errors import SettingError
from physdl.networks.activations import (
    SOFTPLUS,
    VANISHING,
    Activation,
    fourth_order_bias,
    generic_bias,
)
from physdl.networks.gates.gate import Gate, derivatives_at

__all__ = [
    "Bias",
    "best",
    "error_bound",
    "identity",
    "monomial",
    "optimal_scale",
    "product",
    "rescaled",
    "square",
]

Bias: TypeAlias = float | Literal["auto", "generic", "fourth_order"]

LARGEST_REACH = 0.5
N_SCALES = 400
SPREAD = 3.0


def monomial(
    activation: Activation,
    exponents: tuple[int, ...],
    *,
    bias: Bias = "auto",
    scale: float | None = None,
) -> Gate:
    """The gate of prod_i x_i^{r_i}, with prod_i (r_i + 1) neurons.

    ``bias`` is a number, ``"generic"`` (where s_n does not vanish: zero, or where it is largest),
    ``"fourth_order"`` (where s_{n+2} vanishes), or ``"auto"``: fourth order where there is one.
    ``scale`` is lambda, by default the best for the default precision.

    Raises:
      SettingError: an exponent is below 1, s_n vanishes at the bias, or there is no fourth-order
        bias; the message names a bias that works.

    >>> gate = monomial(SOFTPLUS, (2, 1))
    >>> gate.n_neurons, bool(jnp.isclose(gate(jnp.array([0.5, -0.8])), -0.2, atol=0.02))
    (6, True)
    """
    powers = tuple(exponents)
    if not powers or any(int(r) != r or r < 1 for r in powers):
        raise SettingError(f"the exponents of a gate are integers >= 1, got {exponents!r}.")
    order = int(sum(powers))
    b = _bias(activation, order, bias)
    gate = Gate(activation, tuple(int(r) for r in powers), b, 1.0)
    if scale is None:
        return best(gate, jnp.result_type(float))
    if not scale > 0:
        raise SettingError(f"the scale of a gate is a number > 0, got {scale!r}.")
    return Gate(activation, gate.exponents, b, float(scale))


def _bias(activation: Activation, order: int, bias: Bias) -> float:
    if bias == "generic":
        return generic_bias(activation, order)
    if bias in ("auto", "fourth_order"):
        special = fourth_order_bias(activation, order)
        if special is not None:
            return special
        if bias == "fourth_order":
            raise SettingError(
                f"{activation!r} has no bias where the derivative of order {order + 2} vanishes "
                f"and that of order {order} does not: use bias='generic' "
                f"({generic_bias(activation, order):.7g})."
            )
        return generic_bias(activation, order)
    if isinstance(bias, str):
        raise SettingError(
            f"a bias is a number, 'auto', 'generic' or 'fourth_order', got {bias!r}."
        )
    remedy = generic_bias(activation, order)
    size = [abs(derivatives_at(activation, float(b), order)[order]) for b in (bias, remedy)]
    if not size[0] > VANISHING * size[1]:
        raise SettingError(
            f"the derivative of order {order} of {activation!r} vanishes at bias {bias:g}, and a "
            f"gate divides by it: use bias={remedy:.7g}."
        )
    return float(bias)


def product(activation: Activation, *, bias: Bias = "auto", scale: float | None = None) -> Gate:
    """x y by 4 neurons (arXiv:1608.08225, Eq. 11); arguments and errors as in ``monomial``.

    >>> from physdl.networks.activations import TANH
    >>> try:
    ...     product(TANH, bias=0.0)
    ... except SettingError as error:
    ...     print(error)
    the derivative of order 2 of tanh vanishes at bias 0, and a gate divides by it: use \
bias=0.6584789.
    """
    return monomial(activation, (1, 1), bias=bias, scale=scale)


def square(activation: Activation, *, bias: Bias = "auto", scale: float | None = None) -> Gate:
    """x^2 by 3 neurons, one of them the constant s(b); as ``monomial``."""
    return monomial(activation, (2,), bias=bias, scale=scale)


def identity(activation: Activation, *, bias: Bias = "auto", scale: float | None = None) -> Gate:
    """x by 2 neurons, which carry a number through a layer; as ``monomial``."""
    return monomial(activation, (1,), bias=bias, scale=scale)


def error_bound(gate: Gate, dtype: DTypeLike) -> float:
    """Truncation on [-1, 1]^n plus ``SPREAD`` standard deviations of rounding."""
    return gate.largest_truncation + SPREAD * gate.rounding(dtype)


def rescaled(gate: Gate, scale: float) -> Gate:
    """The gate with another lambda."""
    return Gate(gate.activation, gate.exponents, gate.bias, scale)


@functools.lru_cache(maxsize=1024)
def best(gate: Gate, dtype: np.dtype[Any]) -> Gate:
    """The gate with the lambda at which truncation and rounding together are least."""
    n = gate.order
    least = float(np.finfo(dtype).eps) ** (1 / max(n, 2))
    choices = [rescaled(gate, float(s)) for s in np.geomspace(least, LARGEST_REACH / n, N_SCALES)]
    return min(choices, key=lambda choice: error_bound(choice, dtype))


def optimal_scale(
    dtype: DTypeLike,
    activation: Activation = SOFTPLUS,
    *,
    order: int = 2,
    bias: Bias = "generic",
) -> float:
    """The lambda at which truncation and rounding of a product gate are together least.

    About eps^(1/4) at a generic bias, where truncation is lambda^2 and rounding eps / lambda^2;
    eps^(1/6) at the fourth-order bias.

    Raises:
      SettingError: as in ``monomial``.

    >>> 0.02 < optimal_scale(jnp.float32) < 0.04, 1e-4 < optimal_scale(jnp.float64) < 3e-4
    (True, True)
    """
    gate = monomial(activation, (1,) * order, bias=bias, scale=1.0)
    return best(gate, np.dtype(dtype)).scale
