r"""What a product costs: neurons against depth.

With one hidden layer, a smooth activation and no bias, a network has the Taylor polynomial
prod_i x_i^{r_i} only if it has

    m_1 = prod_i (r_i + 1)

neurons, and so many suffice (Rolnick & Tegmark, arXiv:1705.05502, Theorem 4.2, as reported by a
reading note): 2^n for the product of n inputs. Deep networks need at most

    m <= sum_i (7 ceil(log2 r_i) + 4),

by squares of 3 neurons and products of 4. In between, at most k layers multiply in groups, groups
of groups, ..., and with b_1 b_2 ... b_k = n (Theorem 5.1)

    m_k <= sum_i (n / prod_{j <= i} b_j) 2^{b_i} = O(n^{(k-1)/k} 2^{n^{1/k}}).

The optimum depends on which groupings are allowed, and tables of it differ for no other reason:

| family | groups of a level | n = 64, k = 2 | n = 64, k = 3 | n = 100, k = 3 |
|---|---|---|---|---|
| ``"equal"`` | sizes b that divide | 2304 | 336 | 592 |
| ``"ceiling"`` | ceil(n / b) of them, as equal as can be, over all b | 1920 | 312 | 592 |
| ``"any"`` | any number, any sizes | 1792 | 304 | 576 |

``"equal"`` is the theorem as stated; ``"any"`` is the least over all trees of products of depth k,
and what ``networks.optimal_grouping`` builds. ``"ceiling"`` misses numbers of groups that no
rounding hits: 64 numbers in 9 groups (one of 8, eight of 7) make 1792.

Consequence: two unequal layers make the product of 8 numbers by 28 neurons, as few as the tree's
4 (n - 1). Upper bounds are constructions; only m_1 is known exactly, and only in the sense of
Taylor coefficients. The uniform versions of its lower bound (Theorems 4.1, 4.3, 4.4) rest on an
unsupported step: uniform closeness does not bound Taylor coefficients. The paper has no biases;
ReLU, and tanh without bias, lie outside its hypotheses, though its experiment uses them.
"""

import functools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

from physdl.errors import SettingError, UnknownNameError
from physdl.networks import optimal_grouping
from physdl.networks._circuit import Circuit, GateNode, Layout, circuit_of, grouping_cost
from physdl.pytree import module, static

__all__ = ["Family", "MonomialCost", "grouping_neurons", "grouping_table", "monomial_cost"]

Family: TypeAlias = Literal["equal", "ceiling", "any"]
FAMILIES: tuple[Family, ...] = ("equal", "ceiling", "any")


@module
class MonomialCost:
    """Hidden neurons of prod_i x_i^{r_i}.

    Attributes:
      shallow: m_1 = prod_i (r_i + 1), necessary and sufficient in one layer (Taylor sense).
      grouped: in at most the given number of layers, by the cheapest layout of
        ``compile_polynomial``; an upper bound of m_k, which for distinct factors is Theorem 5.1.
      tree: by squares and products of pairs, its layout ``"tree"``.
      bound: sum_i (7 ceil(log2 r_i) + 4), the upper bound of Theorem 4.2 at any depth.
    """

    shallow: int = static()
    grouped: int = static()
    tree: int = static()
    bound: int = static()


def monomial_cost(exponents: Sequence[int], depth: int) -> MonomialCost:
    """What a monomial costs flat, in at most ``depth`` layers, and in a tree.

    Neurons only: affine maps are free, and a number that a later layer reads costs nothing.

    Raises:
      SettingError: an exponent or the depth is below 1, or there is no variable.

    >>> monomial_cost((1,) * 32, depth=2)
    MonomialCost(shallow=4294967296, grouped=304, tree=124, bound=128)
    >>> monomial_cost((8,), depth=3)  # three squares
    MonomialCost(shallow=9, grouped=9, tree=9, bound=25)
    """
    powers = _positive(exponents, "exponents")
    _positive([depth], "depth")
    variables = tuple(i for i, r in enumerate(powers) for _ in range(r))
    shallow = math.prod(r + 1 for r in powers)
    tree = _circuit(variables, "tree")
    layouts = [tree, *(_circuit(variables, "grouped", k) for k in range(1, depth + 1))]
    return MonomialCost(
        shallow=shallow,
        grouped=min([shallow, *(_neurons(c) for c in layouts if c.depth <= depth)]),
        tree=_neurons(tree),
        bound=sum(7 * math.ceil(math.log2(r)) + 4 for r in powers),
    )


def grouping_neurons(n: int, depth: int, family: Family = "any") -> int:
    """Neurons of the product of n numbers in at most ``depth`` layers, by the best grouping.

    arXiv:1705.05502, Theorem 5.1, minimised over the groupings of a family.

    Raises:
      SettingError: n or the depth is below 1.
      UnknownNameError: there is no such family.

    >>> [grouping_neurons(64, 2, family) for family in ("equal", "ceiling", "any")]
    [2304, 1920, 1792]
    """
    _positive([n, depth], "n and depth")
    if family not in FAMILIES:
        raise UnknownNameError("family of groupings", family, FAMILIES)
    if family == "any":
        return grouping_cost(optimal_grouping(n, depth))
    return _least(n, depth, family)


def grouping_table(
    numbers: Sequence[int], depths: Sequence[int], family: Family = "any"
) -> tuple[tuple[int, ...], ...]:
    """``grouping_neurons`` for every n (rows) and depth (columns): the curve neurons(depth).

    Python integers, since they pass 2^64.

    Raises:
      SettingError: a number or depth is below 1.
      UnknownNameError: there is no such family.

    >>> grouping_table([8, 32], [1, 2, 3, 4])
    ((256, 28, 28, 28), (4294967296, 304, 128, 124))
    """
    return tuple(tuple(grouping_neurons(n, k, family) for k in depths) for n in numbers)


def _positive(numbers: Sequence[int], name: str) -> tuple[int, ...]:
    if not numbers or any(int(v) != v or v < 1 for v in numbers):
        raise SettingError(f"{name} are integers >= 1, got {tuple(numbers)!r}.")
    return tuple(int(v) for v in numbers)


def _circuit(variables: tuple[int, ...], layout: Layout, depth: int = 1) -> Circuit:
    return circuit_of({variables: 1.0}, max(variables) + 1, layout, depth)


def _neurons(circuit: Circuit) -> int:
    gates = (node for node in circuit.nodes if isinstance(node, GateNode))
    return sum(math.prod(r + 1 for r in gate.exponents) for gate in gates)


@functools.lru_cache(maxsize=4096)
def _least(n: int, depth: int, family: Family) -> int:
    if n == 1:
        return 0
    costs = [int(2**n)]
    if depth > 1:
        for b in range(2, n):
            groups = -(-n // b)
            if family == "ceiling" or n % b == 0:
                sizes = Counter(n // groups + (k < n % groups) for k in range(groups))
                level = sum(int(2**size) * count for size, count in sizes.items() if size > 1)
                costs.append(level + _least(groups, depth - 1, family))
    return min(costs)
