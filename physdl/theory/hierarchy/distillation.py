r"""What each level of an inference must keep: minimal sufficient statistics, and the maps between.

T(x) is sufficient for y when P(y | x) = P(y | T(x)), and minimal when it is a function of every
other such statistic: it tells two x apart exactly where their posteriors differ. So it is the
partition of the x by equal rows of P(y | x).

*Theorem 2* (Lin, Tegmark & Rolnick, J. Stat. Phys. 168, 1223 (2017)). In a Markov hierarchy, with
T_i minimal for P(y_i | y_n), there are functions f_i with

    T_i = f_i o T_{i+1},

for P(y_i | y_n) = sum_{y_{i+1}} P(y_i | y_{i+1}) P(y_{i+1} | y_n) depends on y_n through T_{i+1}
only. *Corollary 2*: P(y_0 | y_n) = (f_0 o f_1 o ... o f_n)(y_n): inference by layers, each of which
forgets what no longer matters. ``distill`` builds the f_i.

What this does not say: that any f_i is cheap, or that their composition is costly to flatten. The
theorem holds for every Markov chain, and neither is proved.

Convention: statistics are labels 0, 1, ... in the order of their first x. Posteriors are equal when
no probability differs by more than a tolerance from that of the first x of the class, so classes
are to lie further apart than that.
"""

import itertools

import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.pytree import IntArray, Table, module, static
from physdl.theory.hierarchy.information import mutual_information, processed
from physdl.theory.hierarchy.markov_hierarchy import MarkovHierarchy

__all__ = [
    "Distillation",
    "InformationProfile",
    "distill",
    "factor_through",
    "information_profile",
    "minimal_sufficient_statistic",
]

TOLERANCE = 1e-6
SUM = 1e-3


@module
class Distillation:
    """Inference by layers.

    Attributes:
      posterior: P(y_0 | T_0), [n_classes, n_0].
      statistics: T_0, ..., T_n as labels of y_n; T_n tells all y_n apart.
      maps: f_0, ..., f_{n-1}, f_i from labels of T_{i+1} to labels of T_i.
    """

    posterior: Float[Array, "n_classes n_0"]
    statistics: tuple[Table, ...] = static()
    maps: tuple[Table, ...] = static()

    @property
    def n_classes(self) -> tuple[int, ...]:
        """How many values T_0, ..., T_n have."""
        return tuple(int(t.array.max()) + 1 for t in self.statistics)

    def __call__(self, y: int) -> Float[Array, " n_0"]:
        """P(y_0 | y_n = y), layer by layer."""
        label = int(y)
        for f in reversed(self.maps):
            label = int(f.array[label])
        return self.posterior[label]


@module
class InformationProfile:
    """What levels and their statistics know of y_0, in nats; level 0 first.

    Attributes:
      levels: I(y_0; y_k), [n + 1].
      statistics: I(y_0; T(y_k)) with T minimal for P(y_0 | y_k), [n + 1].
      n_states: of y_k.
      n_classes: of T(y_k).
    """

    levels: NDArray[np.float64]
    statistics: NDArray[np.float64]
    n_states: tuple[int, ...] = static()
    n_classes: tuple[int, ...] = static()


def minimal_sufficient_statistic(conditional: ArrayLike, tolerance: float = TOLERANCE) -> IntArray:
    """The partition of x by equal rows of P(y | x): labels, int [n_x].

    Args:
      conditional: P(y | x), [n_x, n_y].
      tolerance: the largest difference of probabilities that counts as none.

    Raises:
      ShapeError: the conditional is no table.
      SettingError: a row is no probability (an x that cannot occur has none), or the tolerance is
        negative.

    >>> minimal_sufficient_statistic([[0.2, 0.8], [0.5, 0.5], [0.2, 0.8]]).tolist()
    [0, 1, 0]
    """
    p = np.asarray(conditional, np.float64)
    if p.ndim != 2:
        raise ShapeError(f"a conditional is a table [n_x, n_y], got shape {p.shape}.")
    if not tolerance >= 0:
        raise SettingError(f"a tolerance is >= 0, got {tolerance}.")
    wrong = np.flatnonzero(~((p.min(axis=1) > -SUM) & (np.abs(p.sum(axis=1) - 1) < SUM)))
    if len(wrong):
        raise SettingError(
            f"row {wrong[0]} of the conditional is no probability: leave out what cannot occur."
        )
    found = np.full(len(p), -1)
    label = 0
    while np.any(found < 0):
        rest = np.flatnonzero(found < 0)
        equal = np.max(np.abs(p[rest] - p[rest[0]]), axis=1) <= tolerance
        found[rest[equal]] = label
        label += 1
    return found


def factor_through(coarse: ArrayLike, fine: ArrayLike) -> IntArray:
    """f with coarse = f o fine, for two statistics of the same x: labels, int [n_fine].

    Raises:
      ShapeError: the statistics are not labels of the same x.
      SettingError: there is no such f; the message names two x that show it.

    >>> factor_through([0, 0, 1, 1], [2, 0, 1, 1]).tolist()
    [0, 1, 0]
    """
    t, s = np.asarray(coarse), np.asarray(fine)
    if t.shape != s.shape or t.ndim != 1:
        raise ShapeError(
            f"statistics are labels of the same x, got shapes {t.shape} and {s.shape}."
        )
    first = np.full(s.max(initial=-1) + 1, -1)
    first[s[::-1]] = np.arange(len(s))[::-1]
    torn = np.flatnonzero(t != t[first[s]])
    if len(torn):
        x, other = int(torn[0]), int(first[s[torn[0]]])
        raise SettingError(
            f"no function leads from the second statistic to the first: x = {other} and x = {x} "
            f"have the same value {s[x]} of it, but {t[other]} and {t[x]} of the first."
        )
    return np.where(first >= 0, t[first], 0)


@cites("lin2017")
def distill(hierarchy: MarkovHierarchy, tolerance: float = TOLERANCE) -> Distillation:
    """The minimal statistics T_i of a hierarchy and the f_i of Theorem 2.

    Raises:
      SettingError: some y_n cannot occur; or posteriors of different classes are so close that the
        tolerance does not tell them apart consistently, and no f_i exists.

    >>> import jax
    >>> from physdl.theory.hierarchy import random_hierarchy
    >>> distill(random_hierarchy(3, key=jax.random.key(0))).n_classes
    (2, 4, 8, 16)
    """
    statistics = [
        minimal_sufficient_statistic(np.asarray(hierarchy.posterior(i)), tolerance)
        for i in range(hierarchy.n_levels + 1)
    ]
    maps = [factor_through(t, s) for t, s in itertools.pairwise(statistics)]
    joint = processed(hierarchy.joint(0, hierarchy.n_levels), statistics[0]).T
    return Distillation(
        posterior=joint / joint.sum(axis=1, keepdims=True),
        statistics=tuple(Table(t) for t in statistics),
        maps=tuple(Table(f) for f in maps),
    )


def information_profile(
    hierarchy: MarkovHierarchy, tolerance: float = TOLERANCE
) -> InformationProfile:
    """I(y_0; y_k) down the levels, and what the minimal statistic of each keeps of it: all.

    >>> from physdl.theory.hierarchy import BIT, binary_symmetric_cascade
    >>> found = information_profile(binary_symmetric_cascade(0.1, 2))
    >>> (found.levels / BIT).round(6).tolist()
    [1.0, 0.531004, 0.319923]
    """
    levels, kept, sizes, classes = [], [], [], []
    for k in range(hierarchy.n_levels + 1):
        joint = hierarchy.joint(0, k)
        t = minimal_sufficient_statistic(np.asarray(hierarchy.posterior(0, k)), tolerance)
        levels.append(float(mutual_information(joint)))
        kept.append(float(mutual_information(processed(joint, t))))
        sizes.append(len(t))
        classes.append(int(t.max()) + 1)
    return InformationProfile(np.array(levels), np.array(kept), tuple(sizes), tuple(classes))
