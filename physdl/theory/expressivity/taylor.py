r"""Taylor certificates: does a network have the Taylor coefficients of a polynomial?

Theorems about the size of networks are about equality in the sense of Taylor,

    d^k N(0) / k! = p_k        for all monomials k of degree at most d,

which derivatives decide to rounding, where errors on a domain only bound it. All of them are taken
by nested forward differentiation along the axes, so that any activation will do.

What to expect of a compiled network: a gate of order n is exact through order n + 1, and its error
begins at n + 2, or at n + 4 with the fourth-order bias. So networks of homogeneous polynomials of
degree d match to degree d, whatever the scale of their gates (Rolnick & Tegmark, arXiv:1705.05502,
Proposition 3.3); where degrees are mixed, gates of low order leave errors of order lambda^2 at the
higher degrees, and ``TaylorMatch.agrees_to`` says from where.

Rounding: small scales amplify it by lambda^-n, in the lowest degrees. A loose tolerance, i.e. a
large lambda, certifies best.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.hamiltonian import Hamiltonian
from physdl.networks._domain import monomials_of
from physdl.pytree import module, static

__all__ = ["TaylorMatch", "taylor_coefficients", "taylor_match"]

Exponents = tuple[int, ...]
Function = Callable[[Array], Float[Array, ""]]

MOST_DERIVATIVES = 2**17


@module
class TaylorMatch:
    """How far Taylor coefficients at zero differ.

    Attributes:
      deviations: the largest difference among the monomials of degree 0, 1, ..., d.
    """

    deviations: tuple[float, ...] = static()

    @property
    def deviation(self) -> float:
        """The largest of all."""
        return max(self.deviations)

    def agrees_to(self, tolerance: float = 1e-10) -> int:
        """The degree through which all coefficients agree; -1 where the constants differ."""
        wrong = [degree for degree, v in enumerate(self.deviations) if not v <= tolerance]
        return min(wrong, default=len(self.deviations)) - 1


def taylor_match(
    network: Function, polynomial: Hamiltonian | Mapping[Exponents, float], degree: int
) -> TaylorMatch:
    """The largest deviation of the Taylor coefficients of a network at zero, degree by degree.

    Args:
      network: a function of one configuration, differentiable at zero.
      polynomial: a Hamiltonian, of which ``expand()`` is meant (as by ``compile_polynomial``), or
        {exponents of all variables: coefficient} for a network of shape [n].
      degree: the highest that is compared.

    Raises:
      SettingError: the degree is negative.
      ShapeError: exponents have different lengths, or there are none.
      StructureError: a coefficient of the Hamiltonian is infinite.
      TooLargeError: there are more than 2^17 monomials of one degree.

    >>> from physdl import lattices, models
    >>> from physdl.networks import compile_polynomial
    >>> h = models.ising(lattices.square(3, 3), 0.4)
    >>> network, _ = compile_polynomial(h, tolerance=0.1, bias="generic")
    >>> match = taylor_match(network, h, 4)
    >>> match.agrees_to(1e-5)  # gates of order 2 are exact through order 3
    3
    """
    shape, wanted = _polynomial(polynomial)
    found = taylor_coefficients(network, shape, degree)
    deviations = [0.0] * (degree + 1)
    for exponents in found.keys() | {k for k in wanted if sum(k) <= degree}:
        gap = abs(found.get(exponents, 0.0) - wanted.get(exponents, 0.0))
        deviations[sum(exponents)] = max(deviations[sum(exponents)], gap)
    return TaylorMatch(tuple(deviations))


def taylor_coefficients(
    function: Function, shape: tuple[int, ...], degree: int
) -> dict[Exponents, float]:
    """All Taylor coefficients at zero to a degree, {exponents of all variables: coefficient}.

    ``function`` takes one configuration of the shape; the variables are its entries in C order.

    Raises:
      SettingError: the degree is negative.
      ShapeError: the function does not return one number.
      TooLargeError: there are more than 2^17 monomials of one degree.

    >>> taylor_coefficients(lambda x: jnp.exp(x[0]) * x[1], (2,), 2)
    {(0, 0): 0.0, (1, 0): 0.0, (0, 1): 1.0, (2, 0): 0.0, (1, 1): 1.0, (0, 2): 0.0}
    """
    n = math.prod(shape)
    if int(degree) != degree or degree < 0:
        raise SettingError(f"a degree is an integer >= 0, got {degree!r}.")
    if math.comb(n + degree - 1, degree) > MOST_DERIVATIVES:
        raise TooLargeError(
            f"{n} variables have {math.comb(n + degree - 1, degree)} monomials of degree {degree}, "
            f"and the limit is {MOST_DERIVATIVES}: compare to a lower degree."
        )
    found = {}
    for order in range(degree + 1):
        axes = _axes(n, order)
        values = _derivatives(function, shape, axes)
        for row, value in zip(axes.tolist(), values.tolist(), strict=True):
            powers = Counter(row)
            exponents = tuple(powers[v] for v in range(n))
            found[exponents] = value / math.prod(map(math.factorial, exponents))
    return found


def _polynomial(
    polynomial: Hamiltonian | Mapping[Exponents, float],
) -> tuple[tuple[int, ...], dict[Exponents, float]]:
    if isinstance(polynomial, Hamiltonian):
        n = math.prod(polynomial.state_shape)
        counts = ((Counter(row), c) for row, c in monomials_of(polynomial).items())
        return polynomial.state_shape, {tuple(k[v] for v in range(n)): c for k, c in counts}
    lengths = {len(exponents) for exponents in polynomial}
    if len(lengths) != 1:
        raise ShapeError(
            f"a polynomial is {{exponents of all n variables: coefficient}}, got exponents of "
            f"lengths {sorted(lengths)}."
        )
    return (lengths.pop(),), dict(polynomial)


def _axes(n: int, order: int) -> NDArray[np.int64]:
    """Every monomial of one degree as its variables in ascending order, [n_monomials, order]."""
    rows = np.zeros((1, 0), np.int64)
    for _ in range(order):
        last = rows[:, -1] if rows.shape[1] else np.zeros(1, np.int64)
        repeat = n - last
        head = np.repeat(rows, repeat, axis=0)
        tail = np.concatenate([np.arange(start, n) for start in last])
        rows = np.concatenate([head, tail[:, None]], axis=1)
    return rows


def _derivatives(
    function: Function, shape: tuple[int, ...], axes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The mixed derivative at zero along the axes of every row."""
    dtype = jnp.result_type(float)
    n = math.prod(shape)

    def along(row: Int[Array, " order"]) -> Float[Array, ""]:
        def nested(order: int, x: Float[Array, " n"]) -> Float[Array, ""]:
            if order == 0:
                value = jnp.asarray(function(x.reshape(shape)), dtype)
                if value.shape:
                    raise ShapeError(f"the function returns one number, got shape {value.shape}.")
                return value
            direction = (jnp.arange(n) == row[order - 1]).astype(dtype)
            slope: Array = jax.jvp(lambda y: nested(order - 1, y), (x,), (direction,))[1]
            return slope

        return nested(len(row), jnp.zeros(n, dtype))

    return np.asarray(jax.jit(jax.vmap(along))(jnp.asarray(axes)), np.float64)
