r"""What a machine says about its visible units alone: couplings between 1, 2, ..., k of them.

The free energy of a machine with two-state visible units is a polynomial, F(v) = sum_S J_S v_S over
sets S of units, v_S the product of these. With units of 0 and 1 a coefficient takes the 2^|S|
configurations inside S,

    J_S = sum_{T in S} (-1)^(|S| - |T|) F(1_T)                 (inclusion and exclusion)

With spins it is a mean over all 2^n configurations, J_S = <s_S F(s)>. A hidden unit adds to F the
function -log 2 cosh(b + w . s), whose second derivative has the transform -pi x / sinh(pi x / 2);
so the mean is one integral for each hidden unit,

    <s_S log 2 cosh(b + w . s)> = -int_0^inf dx Re[i^|S| e^(i b x)] / (x sinh(pi x / 2))
                                   prod_{i in S} sin(w_i x) prod_{i not in S} cos(w_i x)

(where S is empty the product less 1, which is relative to log 2 cosh b). The integrand is analytic
in a strip and falls exponentially, so the midpoint rule converges exponentially: with 2 pi / step
above sum_i |w_i| by some tens, to rounding. All sets of k units are products of matrices of
tangents; nothing is expanded in weights, and no weight is too large.

Consequence: couplings of a trained machine can be compared with those that made its data. Those of
0 and 1 describe v near 0 (F is exact where at most k units are 1); those of spins are the best
polynomial of their degree over all configurations.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physdl.errors import SettingError, SpaceError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Sites, Term
from physdl.networks.boltzmann import RBM, cumulant
from physdl.numerics import full_precision
from physdl.pytree import is_traced
from physdl.spaces import BINARY, SPIN, Finite

__all__ = ["marginal_couplings"]

MOST_SETS = 10**6
BATCH = 2**12
FARTHEST = 26.0  # x at which pi / sinh(pi x / 2) is 1e-17
MARGIN = 40.0


def marginal_couplings(rbm: RBM, order: int, *, n_nodes: int | None = None) -> Hamiltonian:
    """The couplings J_S of up to ``order`` visible units, as a Hamiltonian of these alone.

    Terms ``"degree_0"``, ``"degree_1"``, ...: one coefficient for every set of so many units, sets
    in ascending order. At ``order = n_visible`` it is the free energy itself. Exact to rounding.

    Args:
      rbm: visible units 0/1 and hidden ones of any kind, or visible spins and hidden units of two
        states.
      order: the largest number of units, k >= 0; the cost is n^k n_hidden 2^k, with spins n^k
        n_hidden n_nodes.
      n_nodes: nodes of the integrals (spins alone); ``None`` takes as many as the weights need,
        which must have values then.

    Raises:
      SettingError: the order is negative or above the number of visible units, or weights have no
        values and ``n_nodes`` is not given.
      SpaceError: units of other kinds.
      TooLargeError: there are more than 10^6 sets of one size.

    >>> from physdl.networks import RBM, marginal_couplings
    >>> machine = RBM(jnp.array([[1.0], [2.0], [-1.0]]), 0.3)
    >>> pairs = marginal_couplings(machine, 2).terms["degree_2"]
    >>> pairs.table.array.tolist()
    [[0, 1], [0, 2], [1, 2]]
    >>> exact = machine.hamiltonian.marginalise([3]).expand().terms["degree_2"]
    >>> bool(jnp.allclose(pairs.coefficient, exact.coefficient))
    True
    """
    n = rbm.n_visible
    if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= n:
        raise SettingError(f"the order is an integer from 0 to {n}, got {order!r}.")
    if math.comb(n, min(order, n // 2)) > MOST_SETS:
        raise TooLargeError(
            f"there are {math.comb(n, order):.1e} sets of {order} out of {n} units, more than "
            f"{MOST_SETS:.0e}: choose a lower order."
        )
    sets = [
        np.array(list(itertools.combinations(range(n), k)), dtype=np.int32).reshape(
            math.comb(n, k), k
        )
        for k in range(order + 1)
    ]
    if rbm.visible == BINARY:
        found = [_by_exclusion(rbm, jnp.asarray(rows)) for rows in sets]
    elif rbm.visible == SPIN and isinstance(rbm.hidden, Finite) and rbm.hidden.n_states == 2:
        found = _of_spins(rbm, order, _nodes(rbm, n_nodes))
    else:
        raise SpaceError(
            f"couplings are those of visible units BINARY, or SPIN beside hidden units of two "
            f"states, got {rbm.visible!r} and {rbm.hidden!r}: use visible_hamiltonian for LINE, or "
            f"hamiltonian.marginalise."
        )
    terms: dict[str, Term] = {
        f"degree_{k}": Sites(coefficient, rows)
        for k, (coefficient, rows) in enumerate(zip(found, sets, strict=True))
    }
    return Hamiltonian(terms, space=rbm.visible, shape=(n,))


@jax.jit
@full_precision
def _by_exclusion(rbm: RBM, rows: Int[Array, "n k"]) -> Float[Array, " n"]:
    k, dtype = rows.shape[1], rbm.weights.dtype
    subsets = np.array(list(itertools.product([0, 1], repeat=k))).reshape(2**k, k)
    inside = jnp.asarray(subsets, dtype)
    sign = jnp.asarray((-1.0) ** (k - subsets.sum(axis=1)), dtype)

    def coefficient(own: Int[Array, " k"]) -> Float[Array, ""]:
        fields = rbm.hidden_bias[None] + inside @ rbm.weights[own]
        sums = jnp.sum(jax.vmap(functools.partial(cumulant, rbm.hidden))(fields), axis=1)
        return -jnp.vdot(sign, sums + inside @ rbm.visible_bias[own])

    found: Array = jax.lax.map(coefficient, rows, batch_size=min(BATCH, len(rows)))
    return found


def _nodes(rbm: RBM, given: int | None) -> int:
    """So many that the step resolves the fastest oscillation of the integrand."""
    if given is not None:
        if given < 1:
            raise SettingError(f"n_nodes is a positive number, got {given}.")
        return given
    if is_traced(rbm.weights):
        raise SettingError("the weights have no values yet: give n_nodes, e.g. n_nodes=512.")
    span = float(jnp.max(jnp.sum(jnp.abs(rbm.weights), axis=0))) * _half_width(rbm)
    return math.ceil(FARTHEST * (span + MARGIN) / (2 * math.pi))


def _half_width(rbm: RBM) -> float:
    """d of hidden units, whose cumulant function is c f + log 2 cosh(d f)."""
    assert isinstance(rbm.hidden, Finite)
    first, second = rbm.hidden.array[:, 0].tolist()
    return abs(float(second - first)) / 2


@functools.partial(jax.jit, static_argnames=("order", "n_nodes"))
@full_precision
def _of_spins(rbm: RBM, order: int, n_nodes: int) -> list[Float[Array, " s"]]:
    """<s_S F(s)> of all sets S of up to ``order`` spins, the hidden units one after the other."""
    assert isinstance(rbm.hidden, Finite)
    dtype = rbm.weights.dtype
    centre, width = float(rbm.hidden.array.mean()), _half_width(rbm)
    step = FARTHEST / n_nodes
    place = step * (np.arange(n_nodes) + 0.5)
    x = jnp.asarray(place, dtype)
    measure = jnp.asarray(-step / (place * np.sinh(np.pi * place / 2)), dtype)

    def unit(w: Float[Array, " n"], b: Float[Array, ""]) -> list[Float[Array, " s"]]:
        phase, beat = jnp.outer(w, x), b * x
        cosines, tangents = jnp.prod(jnp.cos(phase), axis=0), jnp.tan(phase)
        turn = jnp.cos(beat), -jnp.sin(beat), -jnp.cos(beat), jnp.sin(beat)  # Re i^k e^(i b x)
        own = [
            measure * turn[k % 4] * (cosines - 1 if k == 0 else cosines) for k in range(order + 1)
        ]
        found = [(jnp.sum(own[0]) + jnp.logaddexp(b, -b))[None]]
        found += [tangents @ own[1]] if order else []
        return found + [_of_sets(tangents, own[k], k) for k in range(2, order + 1)]

    units = (width * rbm.weights.T, width * rbm.hidden_bias)
    shapes = jax.eval_shape(unit, units[0][0], units[1][0])
    begin = [jnp.zeros(s.shape, s.dtype) for s in shapes]
    add = lambda total, one: (jax.tree.map(jnp.add, total, unit(*one)), None)
    total, _ = jax.lax.scan(add, begin, units)
    total[0] = total[0] + centre * jnp.sum(rbm.hidden_bias)
    if order:
        total[1] = total[1] + rbm.visible_bias + centre * jnp.sum(rbm.weights, axis=1)
    return [-value for value in total]


def _of_sets(tangents: Float[Array, "n t"], kernel: Float[Array, " t"], k: int) -> Array:
    """sum_t kernel prod_{i in S} tangent_i of all sets of k >= 2, by a product for all pairs."""
    rows = np.array(list(itertools.combinations(range(len(tangents)), k)), dtype=np.int32)
    heads, head = np.zeros((1, 0), np.int32), np.zeros(len(rows), int)
    if k > 2:
        heads, head = np.unique(rows[:, : k - 2], axis=0, return_inverse=True)

    def pairs(head: Int[Array, " h"]) -> Float[Array, "n n"]:
        own = kernel * jnp.prod(tangents[head], axis=0)
        return (tangents * own[None]) @ tangents.T

    every: Array = jax.lax.map(pairs, jnp.asarray(heads))
    return every[head.reshape(-1), rows[:, -2], rows[:, -1]]
