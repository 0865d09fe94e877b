r"""Gates: a few neurons that multiply, by reading one Taylor coefficient of their activation.

The neurons of a gate of exponents r lie on a grid of steps around the bias b; with n = sum r_i,

    m(x) = (1 / (2^n lambda^n s_n)) sum_j prod_i (-1)^{j_i} binom(r_i, j_i)
                                        s(b + lambda sum_i (r_i - 2 j_i) x_i),   0 <= j_i <= r_i,

is a central difference of the activation s, hence its n-th derivative s_n times the monomial:

    m(x) = prod_i x_i^{r_i} [1 + (s_{n+2} / (6 s_n)) lambda^2 sum_i r_i x_i^2 + O(lambda^4)].

It takes prod_i (r_i + 1) neurons: 2 for x (the identity), 3 for x^2 (one of them the constant),
4 for x y, 2^n for the product of n numbers, the count of Rolnick & Tegmark (arXiv:1705.05502,
Theorem 4.2). Exponents (1, 1) are the gate of Lin & Tegmark (arXiv:1608.08225, Eq. 11). All its
inner weights have one magnitude, and its output does not vanish, since s acts before the sum.

Where s_{n+2} vanishes the same neurons are exact to fourth order (``bias="fourth_order"``).

lambda trades truncation, which shrinks with it, against rounding, which grows as eps / lambda^n:
any accuracy at fixed size is bought with weights of size lambda^-n, and ends at a floor. For the
product of two numbers in [-1, 1] by softplus neurons at bias 0 that is 3.6e-4 in float32 and
1.5e-8 in float64.
"""

import functools
import itertools
import math
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.networks.activations import Activation
from physdl.pytree import module, static

__all__ = ["Gate", "derivatives_at"]

Numbers: TypeAlias = NDArray[np.float64]


@module
class Gate:
    """A monomial of numbers in [-1, 1] by a few neurons.

    Attributes:
      activation: what each neuron computes.
      exponents: the power r_i of each input.
      bias: b, the same for all neurons.
      scale: lambda, the step of the grid.

    >>> from physdl.networks.activations import EXP
    >>> gate = Gate(EXP, (1, 1), bias=0.0, scale=0.01)
    >>> gate.n_neurons, gate.outer.round(1).tolist()
    (4, [2500.0, -2500.0, -2500.0, 2500.0])
    """

    activation: Activation = static()
    exponents: tuple[int, ...] = static()
    bias: float = static()
    scale: float = static()

    def __call__(self, x: Float[Array, " n_inputs"]) -> Float[Array, ""]:
        """The monomial of one input vector, nearly."""
        x = jnp.asarray(x, jnp.result_type(float))
        inner = jnp.asarray(self.scale * self.grid, x.dtype)
        outer = jnp.asarray(self.outer, x.dtype)
        steps = jnp.sum(x[:, None] * inner, axis=0)
        return jnp.sum(outer * self.activation(jnp.asarray(self.bias, x.dtype) + steps))

    @property
    def order(self) -> int:
        """n, the degree of the monomial."""
        return sum(self.exponents)

    @property
    def n_neurons(self) -> int:
        """prod_i (r_i + 1)."""
        return math.prod(r + 1 for r in self.exponents)

    @property
    def grid(self) -> NDArray[np.float64]:
        """r_i - 2 j_i, shape [n_inputs, n_neurons]: the inner weights over lambda."""
        steps = [range(r, -r - 1, -2) for r in self.exponents]
        return np.array(list(itertools.product(*steps)), dtype=np.float64).T

    @property
    def outer(self) -> NDArray[np.float64]:
        """The weight of each neuron in the output, shape [n_neurons]."""
        columns = [[(-1) ** j * math.comb(r, j) for j in range(r + 1)] for r in self.exponents]
        signs = np.array([math.prod(c) for c in itertools.product(*columns)], dtype=np.float64)
        return signs / ((2 * self.scale) ** self.order * self.derivatives[self.order])

    @property
    def derivatives(self) -> tuple[float, ...]:
        """s_0 to s_{n+6} at the bias."""
        return derivatives_at(self.activation, self.bias, self.order + 6)

    def truncation(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative error to sixth order in lambda; the last axis of x runs over the inputs.

        The gate is prod_i (sinh(x_i D) / (x_i D))^{r_i} on s_n, with D = lambda d/db, so with
        p_k = sum_i r_i x_i^k the error is exp(p_2 D^2 / 6 - p_4 D^4 / 180 + p_6 D^6 / 2835) - 1 on
        s_n, divided by s_n.

        >>> from physdl.networks.activations import SOFTPLUS
        >>> gate = Gate(SOFTPLUS, (1, 1), bias=0.0, scale=1.0)
        >>> round(float(gate.truncation(np.array([0.07, -0.04]))), 8)
        -0.00054123
        """
        powers = np.array(self.exponents, np.float64)
        p, q, t = (np.sum(powers * x**k, axis=-1) for k in (2, 4, 6))
        return np.asarray(np.tensordot(self._series, _moments(p, q, t), 1))

    @property
    def largest_truncation(self) -> float:
        """Bound of the error on [-1, 1]^n, to sixth order in lambda."""
        corner = np.asarray(self.order, np.float64)
        return float(np.abs(self._series) @ np.abs(_moments(corner, corner, corner)))

    @property
    def _series(self) -> NDArray[np.float64]:
        n, s = self.order, self.derivatives
        return np.array([s[n + 2 * k] / s[n] * self.scale ** (2 * k) for k in (1, 2, 3)])

    def rounding(self, dtype: DTypeLike) -> float:
        """Root mean square of the rounding error of the output in the given precision.

        Each neuron is wrong by half a unit roundoff of its value and of its argument.
        """
        value, slope, *_ = self.derivatives
        reach = self.scale * math.sqrt(self.order)
        size = math.hypot(value, slope * reach, slope * math.hypot(self.bias, reach))
        unit = float(np.finfo(np.dtype(dtype)).eps) / 2 * size
        return unit * float(np.linalg.norm(self.outer))


def _moments(p: Numbers, q: Numbers, t: Numbers) -> Numbers:
    """The polynomials of D^2, D^4 and D^6 in ``Gate.truncation``, stacked."""
    return np.stack([p / 6, p**2 / 72 - q / 180, p**3 / 1296 - p * q / 1080 + t / 2835])


@functools.lru_cache(maxsize=4096)
def derivatives_at(activation: Activation, bias: float, order: int) -> tuple[float, ...]:
    """s_0 to s_order at a bias."""
    return tuple(activation.derivatives(bias, order).tolist())
