r"""Functions of bits as networks: one neuron a monomial.

Every function of n bits is a multilinear polynomial, whose coefficients are the Moebius transform
of its table, and the product of bits is one logistic neuron (``gates.bit_product``), so that

    f(x) = c_0 + sum_K c_K prod_{i in K} x_i
         ~ c_0 + sum_K c_K s(beta (sum_{i in K} x_i - k + 1/2)),        k = |K|,

has one hidden layer of at most 2^n - 1 neurons (Lin & Tegmark, arXiv:1608.08225, Eq. 13). The
error is at most s(-beta/2) sum_K abs(c_K): it falls exponentially with the weights, where that of
product gates falls as a power of them. Between the corners of the cube the network is steep and
flat; its gradient there means nothing.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Sites, Term, coefficients_of
from physdl.networks._circuit import SumNode
from physdl.networks._compiled import CompiledPolynomial, GateLevel, SumLevel
from physdl.networks._cost import largest_weight, measured_error
from physdl.networks._domain import configurations, monomials_of
from physdl.networks.activations import LOGISTIC
from physdl.networks.cost_report import CostReport, status_of
from physdl.networks.network import Network, freeze
from physdl.pytree import is_traced
from physdl.spaces import BINARY

__all__ = ["compile_boolean"]


@jax.ensure_compile_time_eval()
@cites("lin2017")
def compile_boolean(
    f: Hamiltonian | ArrayLike, *, tolerance: float | None = None
) -> tuple[Network, CostReport]:
    """A network of one hidden layer that computes a function of bits, and what it costs.

    ``f`` is a Hamiltonian on ``BINARY`` sites, or the table of f: 2^n values, x_1 the slowest
    index (shape [2^n] or [2, ..., 2]). ``tolerance`` is the largest absolute error over all
    inputs, which fixes beta = 2 log(sum_K abs(c_K) / tolerance - 1); without one beta is that at
    which floating point sees no error.

    Raises:
      SpaceError: a site is not ``BINARY``.
      ShapeError: the table has another number of values.
      StructureError: a value is not finite, or ``f`` has no values yet because it is traced.

    >>> parity = jnp.array([0.0, 1.0, 1.0, 0.0])
    >>> network, report = compile_boolean(parity, tolerance=1e-3)
    >>> bool(abs(network(jnp.array([1, 0])) - 1) < 1e-3), report.neurons  # x + y - 2 x y
    (True, 3)
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise SettingError(f"a tolerance is a number > 0, got {tolerance!r}.")
    if is_traced(f):
        raise StructureError(
            "the values of this function are traced: compile outside of jit, vmap and grad."
        )
    h = f if isinstance(f, Hamiltonian) else _multilinear(jnp.asarray(f, float))
    if any(h.space.at(site) != BINARY for site in range(h.n_sites)):
        raise SpaceError(
            f"a boolean network takes bits, got sites of {h.space!r}: use compile_polynomial."
        )
    monomials = monomials_of(h)
    constant = monomials.pop((), 0.0)
    total = sum(abs(c) for c in monomials.values())
    unit = float(np.finfo(np.dtype(jnp.result_type(float))).eps)
    floor = unit * (total + abs(constant))
    beta = _steepness(total, (tolerance or 0.0) - floor, unit)
    network = freeze(_module(monomials, constant, beta, h.state_shape))
    x = configurations(h, None)
    report = CostReport(
        neurons=len(monomials),
        synapses=len(monomials) + sum(map(len, monomials)),
        depth=min(1, len(monomials)),
        largest_weight=largest_weight(network),
        tolerance=tolerance,
        predicted_error=_predicted(monomials, beta, x.reshape(len(x), h.n_sites)) + floor,
        measured_error=measured_error(network, h, x),
        precision_floor=floor,
        scales=tuple(((1,) * k, beta * (0.5 - k), beta) for k in sorted(set(map(len, monomials)))),
        status=status_of(tolerance, floor, jnp.result_type(float)),
    )
    return network, report


def _steepness(total: float, tolerance: float, unit: float) -> float:
    error = max(tolerance / total if total else 0.0, unit / 4)
    return 2 * math.log(1 / min(error, 0.25) - 1)


def _multilinear(table: Float[Array, "..."]) -> Hamiltonian:
    n = max(table.size, 1).bit_length() - 1
    if table.size != 2**n or not jnp.all(jnp.isfinite(table)):
        raise ShapeError(
            f"a function of n bits has a table of 2^n finite values, got shape {table.shape}."
        )
    coefficients = coefficients_of(table.reshape((2,) * n), (BINARY,) * n).reshape(-1)
    subsets = list(itertools.product((0, 1), repeat=n))
    terms: dict[str, Term] = {}
    for degree in range(n + 1):
        rows = [k for k, bits in enumerate(subsets) if sum(bits) == degree]
        variables = [np.flatnonzero(subsets[k]) for k in rows]
        terms[f"degree_{degree}"] = Sites(
            coefficients[np.array(rows)], np.array(variables, dtype=int).reshape(len(rows), degree)
        )
    return Hamiltonian(terms, space=BINARY, shape=(n,))


def _module(
    monomials: dict[tuple[int, ...], float],
    constant: float,
    beta: float,
    state_shape: tuple[int, ...],
) -> CompiledPolynomial:
    n_inputs, levels, weights = math.prod(state_shape), [], []
    for k, group in itertools.groupby(sorted(monomials, key=len), key=len):
        rows = list(group)
        one = np.ones((1, len(rows)))
        inner = beta * np.ones((k, 1, len(rows)))
        table = np.array(rows).T
        levels.append(GateLevel(LOGISTIC, table, inner, one, beta * (0.5 - k) * one))
        weights += [monomials[row] for row in rows]
    nodes = tuple(range(n_inputs, n_inputs + len(weights)))
    output = SumLevel([SumNode(constant, nodes, tuple(weights))], {v: v for v in nodes})
    return CompiledPolynomial(levels, output, state_shape)


def _predicted(
    monomials: dict[tuple[int, ...], float], beta: float, x: NDArray[np.float64]
) -> float:
    """The neurons that are wrong most: with all bits set, and with all but one."""
    error = np.zeros(len(x))
    for row, coefficient in monomials.items():
        missing = len(row) - np.sum(x[:, list(row)], axis=1)
        sign = np.where(missing == 0, -1.0, np.where(missing == 1, 1.0, 0.0))
        error += coefficient * sign / (1 + math.exp(beta / 2))
    return float(np.max(np.abs(error), initial=0.0))
