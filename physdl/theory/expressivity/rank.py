r"""The rank theorem: which first layers can multiply.

One hidden layer without biases, sum_j c_j s(a_j . x), has the Taylor polynomial x^r = prod_i
x_i^{r_i} to order n = sum r_i only if the matrix of all sub-monomials

    A_kj = prod_i a_ij^{k_i},      0 <= k_i <= r_i,

with prod_i (r_i + 1) rows has full row rank, whatever c: 2^n neurons for x_1 ... x_n (Lin, Tegmark
& Rolnick, arXiv:1608.08225, App. A; with powers Rolnick & Tegmark, arXiv:1705.05502, Theorem 4.2).
The reason: if rows combine to zero, sum_k beta_k A_kj = 0 for all j, take the k of highest degree
with beta_k != 0 and multiply by a_j^{r - k}. Then c sums it to beta_k times the wanted moment plus
moments of other monomials of degree at most n, which vanish: so beta_k = 0.

The proof divides by s_0, ..., s_n, all of them: the *hypotheses* are that these derivatives do not
vanish at the (common) bias. With s(u) = u^2 they do, and two neurons multiply,
((u + v)^2 - (u - v)^2) / 4, which violates nothing. In general n factors then take 2^{n-1}.

Full rank of A is necessary. Whether a second layer c exists is one linear system over all monomials
k to degree n: sum_j c_j a_j^k is zero wherever s_{abs(k)} is not, except for k = r.
``shallow_rank`` solves that, too. The signs {-1, 1}^n have a solution, so that 2^n neurons suffice;
it is ``networks.gates.monomial``,

    m(x) = (1 / (2^n s_n)) sum_{e in signs} (prod_i e_i) s(b + e . x)
         = prod_i x_i [1 + (s_{n+2} / (6 s_n)) sum_i x_i^2 + ...].

Consequence: the theorem is about equal Taylor coefficients. It says nothing of uniform closeness to
a given accuracy, nor of ReLU; and the paper's "160 neurons" for a deep product of 32 is 4 (n - 1) =
124 by the tree of pairs.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.networks import Activation
from physdl.networks.gates.gate import Gate
from physdl.pytree import module, static

__all__ = ["RankCertificate", "leading_error", "shallow_rank"]

Numbers = NDArray[np.float64]

VANISHING = 1e-12
TINY = float(np.finfo(np.float64).tiny)
SOLVED = 1e-9
MOST_ENTRIES = 2**24


@module
class RankCertificate:
    """Whether a first layer can carry a monomial.

    Attributes:
      n_neurons: columns of the first layer.
      needed: prod_i (r_i + 1), the rows of A.
      rank: of A, with inputs scaled to largest weight 1 and columns to unit norm.
      vanishing: the orders up to n at which the activation's derivative vanishes at the bias.
      residual: distance of the target from what the best second layer reaches, relative to the
        target; over all Taylor coefficients to order n, scaled in the same way.
    """

    n_neurons: int = static()
    needed: int = static()
    rank: int = static()
    vanishing: tuple[int, ...] = static()
    residual: float = static()

    @property
    def applies(self) -> bool:
        """Whether the hypotheses of the theorem hold."""
        return not self.vanishing

    @property
    def necessary(self) -> bool:
        """Whether A has full row rank."""
        return self.rank == self.needed

    @property
    def sufficient(self) -> bool:
        """Whether a second layer makes the monomial, in the sense of Taylor coefficients."""
        return self.residual < SOLVED

    @property
    def verdict(self) -> str:
        """The certificate as a sentence."""
        if not self.applies:
            made = "makes" if self.sufficient else "does not make"
            return (
                f"the theorem does not apply, derivatives of order {list(self.vanishing)} vanish: "
                f"{self.n_neurons} neurons, and a second layer {made} the monomial."
            )
        if not self.necessary:
            return f"impossible: rank {self.rank} < {self.needed}, no second layer will do."
        if self.sufficient:
            return f"possible: rank {self.rank} = {self.needed}, and a second layer exists."
        return f"impossible: full rank {self.rank}, but no second layer fits all coefficients."


def shallow_rank(
    exponents: Sequence[int],
    first_layer: ArrayLike,
    activation: Activation,
    *,
    bias: float = 0.0,
) -> RankCertificate:
    """The rank theorem as a certificate for one first layer.

    Args:
      exponents: r, the powers of the monomial.
      first_layer: the weights a_ij, shape [n_inputs, n_neurons].
      activation: of every neuron, smooth at the bias.
      bias: the same for every neuron; the theorem's network has 0.

    Raises:
      SettingError: an exponent is below 1, or the derivatives cannot be had by jets.
      ShapeError: the first layer has no row for every input.
      TooLargeError: the linear system has more than 2^24 entries.

    >>> from physdl.networks import EXP, gates
    >>> signs = gates.monomial(EXP, (1, 1, 1), bias=0.0, scale=1.0).grid
    >>> shallow_rank((1, 1, 1), signs, EXP).verdict
    'possible: rank 8 = 8, and a second layer exists.'
    >>> shallow_rank((1, 1, 1), signs[:, 1:], EXP).verdict
    'impossible: rank 7 < 8, no second layer will do.'
    >>> square = Activation("square", lambda u: u * u)
    >>> shallow_rank((1, 1), [[1.0, 1.0], [1.0, -1.0]], square).sufficient
    True
    """
    powers = tuple(int(r) for r in exponents)
    if not powers or any(r != given or r < 1 for r, given in zip(powers, exponents, strict=True)):
        raise SettingError(f"the exponents of a monomial are integers >= 1, got {exponents!r}.")
    a = np.asarray(first_layer, np.float64)
    if a.ndim != 2 or len(a) != len(powers):
        raise ShapeError(
            f"a first layer of {len(powers)} inputs has shape [{len(powers)}, n_neurons], got "
            f"{a.shape}."
        )
    order = sum(powers)
    if math.comb(len(powers) + order, order) * a.shape[1] > MOST_ENTRIES:
        raise TooLargeError(
            f"all monomials of {len(powers)} inputs to degree {order} at {a.shape[1]} neurons are "
            f"more than {MOST_ENTRIES} numbers: certify a smaller monomial."
        )
    a = a / np.maximum(np.max(np.abs(a), axis=1, keepdims=True, initial=0.0), TINY)
    derivatives = activation.derivatives(bias, order)
    size = np.abs(derivatives)
    below = list(itertools.product(*(range(r + 1) for r in powers)))
    return RankCertificate(
        n_neurons=a.shape[1],
        needed=len(below),
        rank=int(np.linalg.matrix_rank(_balanced(_powers(a, below)))) if a.shape[1] else 0,
        vanishing=tuple(np.flatnonzero(size <= VANISHING * size.max()).tolist()),
        residual=_residual(a, powers, derivatives),
    )


def leading_error(gate: Gate, x: ArrayLike) -> Numbers:
    """(s_{n+2} / (6 s_n)) lambda^2 sum_i r_i x_i^2: relative error of a monomial by its signs.

    The last axis of ``x`` runs over the inputs; next comes lambda^4 (``Gate.truncation``).

    >>> from physdl.networks import LOGISTIC, gates
    >>> signs = gates.monomial(LOGISTIC, (1, 1, 1, 1), bias=0.7, scale=1.0)
    >>> x = np.array([0.01, 0.02, 0.03, 0.04])
    >>> round(float(leading_error(signs, x)), 8)
    -0.00162404
    """
    v = np.asarray(x, np.float64)
    n, s = gate.order, gate.derivatives
    powers = np.array(gate.exponents, np.float64)
    return np.asarray(s[n + 2] / (6 * s[n]) * gate.scale**2 * np.sum(powers * v**2, axis=-1))


def _powers(a: Numbers, exponents: Sequence[Sequence[int]]) -> Numbers:
    """prod_i a_ij^{k_i} for all k, shape [n_exponents, n_neurons]."""
    k = np.array(exponents)[:, :, None]
    return np.asarray(np.prod(a[None] ** k, axis=1))


def _balanced(matrix: Numbers) -> Numbers:
    """The matrix with columns of unit norm, which changes no rank."""
    norms = np.maximum(np.linalg.norm(matrix, axis=0), TINY)
    return np.asarray(matrix / norms)


def _residual(a: Numbers, powers: tuple[int, ...], derivatives: Numbers) -> float:
    """How far any second layer stays from the monomial, in Taylor coefficients."""
    order = sum(powers)
    rows = [
        k
        for degree in range(order + 1)
        for k in _compositions(degree, len(powers))
        if abs(derivatives[degree]) > VANISHING * np.max(np.abs(derivatives))
    ]
    if powers not in rows:
        return 1.0
    target = np.array([float(k == powers) for k in rows])
    system = _balanced(_powers(a, rows))
    best = np.linalg.lstsq(system, target, rcond=None)[0]
    return float(np.linalg.norm(system @ best - target))


def _compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to write a number as an ordered sum of natural numbers."""
    if parts == 1:
        return [(total,)]
    return [(k, *rest) for k in range(total + 1) for rest in _compositions(total - k, parts - 1)]
