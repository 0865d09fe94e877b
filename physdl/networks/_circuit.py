r"""Polynomials as circuits of gates and sums, in four layouts.

A node is a number that the network computes: an input, the monomial of a few nodes by one gate, or
a sum of nodes with weights. Equal gates are made once, so monomials share factors. Gates stand on
levels, one above the highest of what they read; a sum costs no neuron, since it is part of the
affine map into the next level.
"""

import functools
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Circuit", "GateNode", "LAYOUTS", "Layout", "SumNode", "circuit_of", "optimal_grouping"]

Layout: TypeAlias = Literal["tree", "grouped", "flat", "horner"]
Monomials: TypeAlias = Mapping[tuple[int, ...], float]

LAYOUTS: tuple[Layout, ...] = ("tree", "grouped", "flat", "horner")


class GateNode(NamedTuple):
    """The product of nodes to powers; ``exponents[k]`` belongs to ``nodes[k]``."""

    nodes: tuple[int, ...]
    exponents: tuple[int, ...]


class SumNode(NamedTuple):
    """constant + sum_k weights[k] nodes[k]."""

    constant: float
    nodes: tuple[int, ...]
    weights: tuple[float, ...]


class Circuit:
    """Nodes in the order in which they can be computed: inputs first, the output last."""

    def __init__(self, n_inputs: int):
        self.n_inputs = n_inputs
        self.nodes: list[GateNode | SumNode] = []
        self.levels: list[int] = [0] * n_inputs
        self._known: dict[GateNode, int] = {}

    def gate(self, operands: Mapping[int, int]) -> int:
        """The node of prod node^power; of one node to the power 1 that node itself."""
        nodes = tuple(sorted(operands, key=lambda v: (-operands[v], v)))
        made = GateNode(nodes, tuple(operands[v] for v in nodes))
        if made.exponents == (1,):
            return nodes[0]
        if made not in self._known:
            self._known[made] = self._append(made, 1 + max(self.levels[v] for v in nodes))
        return self._known[made]

    def sum(self, constant: float, weights: Mapping[int, float]) -> int:
        """The node of a sum; of one node with weight 1 that node itself."""
        if constant == 0 and list(weights.values()) == [1.0]:
            return next(iter(weights))
        return self.output(constant, weights)

    def output(self, constant: float, weights: Mapping[int, float]) -> int:
        """The node of a sum, whatever it is."""
        level = max((self.levels[v] for v in weights), default=0)
        return self._append(SumNode(constant, tuple(weights), tuple(weights.values())), level)

    def _append(self, node: GateNode | SumNode, level: int) -> int:
        self.nodes.append(node)
        self.levels.append(level)
        return len(self.levels) - 1

    def numbered(self) -> Iterator[tuple[int, GateNode | SumNode]]:
        """Every node that is no input, with its number."""
        return enumerate(self.nodes, start=self.n_inputs)

    @property
    def depth(self) -> int:
        """The number of levels of gates."""
        return max(self.levels, default=0)


def circuit_of(monomials: Monomials, n_inputs: int, layout: Layout, depth: int) -> Circuit:
    """A circuit whose last node is the polynomial {variables of the monomial: coefficient}.

    ``depth`` is the largest number of levels of a monomial in the layout ``"grouped"``.
    """
    circuit = Circuit(n_inputs)
    if layout == "horner":
        _horner(circuit, monomials, top=True)
        return circuit
    weights: dict[int, float] = {}
    for variables, coefficient in monomials.items():
        if variables:
            node = _monomial(circuit, variables, layout, depth)
            weights[node] = weights.get(node, 0.0) + coefficient
    circuit.output(monomials.get((), 0.0), weights)
    return circuit


def _monomial(circuit: Circuit, variables: tuple[int, ...], layout: Layout, depth: int) -> int:
    count = Counter(variables)
    nodes = sorted(variables, key=lambda v: (-count[v], v))
    if layout == "flat":
        return circuit.gate(count)
    if layout == "grouped":
        for groups in optimal_grouping(len(nodes), depth):
            rest = iter(nodes)
            nodes = [circuit.gate(Counter(next(rest) for _ in range(size))) for size in groups]
        return nodes[0]
    while len(nodes) > 1:
        pairs = [circuit.gate(Counter(pair)) for pair in zip(nodes[::2], nodes[1::2], strict=False)]
        nodes = [*pairs, *nodes[2 * len(pairs) :]]
    return nodes[0]


def _horner(circuit: Circuit, monomials: Monomials, *, top: bool = False) -> int:
    """p = x q + r, with x the variable of most monomials, and so on in q and in r."""
    weights: dict[int, float] = {}
    rest = dict(monomials)
    for x, inside in _divided(monomials):
        for variables in inside:
            del rest[variables]
        unit, quotient = _without_factor(inside, x)
        node = circuit.gate(Counter((x, _horner(circuit, quotient))))
        weights[node] = weights.get(node, 0.0) + unit
    for variables, coefficient in rest.items():
        if variables:
            weights[variables[0]] = weights.get(variables[0], 0.0) + coefficient
    make = circuit.output if top else circuit.sum
    return make(rest.get((), 0.0), weights)


def _divided(monomials: Monomials) -> Iterator[tuple[int, dict[tuple[int, ...], float]]]:
    """Variables, each with the monomials it is taken out of, the most frequent first."""
    containing: dict[int, set[tuple[int, ...]]] = {}
    for variables in monomials:
        if len(variables) > 1:
            for v in variables:
                containing.setdefault(v, set()).add(variables)
    heap = [(-len(rows), v) for v, rows in containing.items()]
    heapq.heapify(heap)
    while heap:
        count, x = heapq.heappop(heap)
        inside = containing[x]
        if -count != len(inside):
            if inside:
                heapq.heappush(heap, (-len(inside), x))
            continue
        yield x, {variables: monomials[variables] for variables in sorted(inside)}
        for variables in tuple(inside):
            for v in set(variables):
                containing[v].discard(variables)


def _without_factor(monomials: Monomials, x: int) -> tuple[float, dict[tuple[int, ...], float]]:
    """(u, q) with the sum of the monomials u x q; u is 1 unless q is a single monomial."""
    quotient = {}
    for variables, coefficient in monomials.items():
        left = list(variables)
        left.remove(x)
        quotient[tuple(left)] = coefficient
    if len(quotient) > 1:
        return 1.0, quotient
    ((variables, coefficient),) = quotient.items()
    return coefficient, {variables: 1.0}


@functools.lru_cache(maxsize=1024)
def optimal_grouping(n: int, depth: int) -> tuple[tuple[int, ...], ...]:
    """Group sizes of each level for the product of n numbers with fewest neurons, sum of 2^size.

    At most ``depth`` levels; groups of one number cost nothing, since the number is read by the
    level above. The optimum over all integer groupings of Rolnick & Tegmark (arXiv:1705.05502,
    Theorem 5.1): groups of a level are as equal as can be, as 2^size is convex.

    >>> optimal_grouping(8, 2), sum(2**g for level in optimal_grouping(32, 2) for g in level)
    (((3, 3, 2), (3,)), 304)
    """
    if n == 1:
        return ()
    choices: list[tuple[tuple[int, ...], ...]] = [((n,),)]
    if depth > 1:
        for m in range(2, n):
            level = tuple(n // m + (k < n % m) for k in range(m))
            choices.append((level, *optimal_grouping(m, depth - 1)))
    return min(choices, key=lambda levels: (grouping_cost(levels), len(levels)))


def grouping_cost(levels: Sequence[Sequence[int]]) -> int:
    """Neurons of the grouped product of distinct numbers."""
    return sum(2**size for level in levels for size in level if size > 1)
