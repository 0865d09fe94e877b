r"""In which order to contract a tensor network: pairwise steps, their cost, and slicing.

The tables of a Hamiltonian are tensors and its sites are (hyper)indices; Z sums the product of all
tensors over all indices. A *plan* contracts two tensors at a time; an index is summed as soon as no
other tensor holds it. Two families of orders are tried, and the cheapest plan wins:

- elimination of one site after another, in min-fill order (with random tie-breaks) or in the order
  of the lattice: good on graphical models and on lattices, where the width is the frontier;
- trees of cotengra (J. Gray and S. Kourtis, Quantum 5, 410 (2021)), found within a time budget.

A plan whose largest tensor exceeds the memory limit is sliced: some sites are fixed to each of
their states in turn and the results are added.
"""

import functools
import heapq
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from physdl.errors import TooLargeError
from physdl.pytree import IntArray

__all__ = ["Network", "Plan", "Step", "find_plan", "require_few_neighbours"]

Scope = tuple[int, ...]
MAX_OPERATIONS = 1e15
OPERATIONS_PER_SECOND = 2e8
MOST_SEARCHED = 2000
LEAST_SECONDS = 2.0
RECONFIGURED = 1e6


@dataclass(frozen=True)
class Network:
    """The structure of a tensor network.

    Attributes:
      scopes: the sites of every tensor.
      sizes: the number of states of every site.
    """

    scopes: tuple[Scope, ...]
    sizes: tuple[int, ...]

    def volume(self, scope: Iterable[int]) -> float:
        """The number of entries of a tensor over these sites."""
        return math.prod(float(self.sizes[i]) for i in scope)


@dataclass(frozen=True)
class Step:
    """Contract tensors ``left`` and ``right`` (numbers of the growing list) into ``scope``."""

    left: int
    right: int
    scope: Scope


@dataclass(frozen=True)
class Plan:
    """A complete contraction.

    Attributes:
      steps: the pairwise contractions; the last one leaves a tensor without indices.
      sliced: sites that are fixed in turn.
      operations: multiplications in all slices.
      largest: entries of the largest tensor in one slice.
      order: where the order comes from.
    """

    steps: tuple[Step, ...]
    sliced: Scope
    operations: float
    largest: float
    order: str

    @property
    def width(self) -> float:
        """log2 of the largest tensor."""
        return math.log2(max(self.largest, 1.0))


@functools.lru_cache(maxsize=64)
def find_plan(
    network: Network, shape: tuple[int, ...], max_entries: int, seconds: float, seed: int
) -> Plan:
    """The cheapest plan found within a time budget and a limit on the size of a tensor.

    The search also ends once it has taken as long as the contraction will.

    Raises:
      TooLargeError: even sliced, the contraction would take more than 1e15 operations.
    """
    start = time.perf_counter()
    deadline = start + max(seconds, LEAST_SECONDS)
    candidates = [("min-fill order", _min_fill(network, None, deadline))]
    candidates += [(f"lattice order {i}", o) for i, o in enumerate(_lattice_orders(shape))]
    best = min((_ordered(network, order, name) for name, order in candidates), key=_quality)
    if math.isinf(best.operations) and len(network.scopes) > MOST_SEARCHED:
        raise _too_large(network)
    rng = np.random.default_rng(seed)
    elapsed = time.perf_counter() - start
    while elapsed < min(0.4 * seconds, best.operations / OPERATIONS_PER_SECOND):
        other = _ordered(network, _min_fill(network, rng, deadline), "min-fill order")
        best = min(best, other, key=_quality)
        elapsed = time.perf_counter() - start
    left = seconds - elapsed
    if best.operations > left * OPERATIONS_PER_SECOND > 0:
        path = _cotengra_path(network, left, seed)
        best = min(best, _evaluate(network, path, (), "cotengra tree"), key=_quality)
    if max_entries < best.largest < math.inf:
        best = _sliced(network, best, max_entries)
    if best.operations > MAX_OPERATIONS:
        raise _too_large(network)
    return best


def require_few_neighbours(scopes: Iterable[IntArray], sizes: IntArray) -> None:
    """Refuse a network where every site meets too many others for any order to finish.

    The tensors of a contraction are the bags of a tree decomposition of the graph of sites, and
    its width is at least the smallest degree d (H. L. Bodlaender and A. M. C. A. Koster, Inf.
    Comput. 209, 1103 (2011)): one step at least takes q^(d + 1) operations.

    Raises:
      TooLargeError: that is more than 1e15.
    """
    n = len(sizes)
    pairs = [
        s[:, i].astype(np.int64) * n + s[:, j]
        for s in scopes
        for i in range(s.shape[1])
        for j in range(s.shape[1])
        if i != j
    ]
    if n == 0 or not pairs:
        return
    degrees = np.bincount(np.unique(np.concatenate(pairs)) // n, minlength=n)
    if (degrees.min() + 1) * math.log2(max(sizes.min(), 1)) > math.log2(MAX_OPERATIONS):
        raise TooLargeError(
            f"every site interacts with {degrees.min()} others or more, so any contraction takes "
            f"more than {MAX_OPERATIONS:.0e} operations: use a sampled or variational estimator."
        )


def _too_large(network: Network) -> TooLargeError:
    return TooLargeError(
        f"no contraction of {len(network.scopes)} tables over {len(network.sizes)} sites was found "
        f"that takes at most {MAX_OPERATIONS:.0e} operations: use a sampled or variational "
        f"estimator."
    )


def _quality(plan: Plan) -> float:
    return plan.operations + 64 * plan.largest


def _ordered(network: Network, order: Sequence[int] | None, name: str) -> Plan:
    """The plan of an elimination order; of infinite cost where a step alone takes too long."""
    path = None if order is None else _from_order(network, order)
    if path is None:
        return Plan((), (), math.inf, math.inf, name)
    return _evaluate(network, path, (), name)


def _lattice_orders(shape: tuple[int, ...]) -> list[list[int]]:
    """Sites in C order of the shape, with each axis in turn as the slowest."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    return [np.moveaxis(index, axis, 0).reshape(-1).tolist() for axis in range(len(shape))]


def _min_fill(
    network: Network, rng: np.random.Generator | None, deadline: float
) -> list[int] | None:
    """Eliminate the site whose elimination joins the fewest pairs of unjoined neighbours.

    Pairs are weighted by the logarithms of their numbers of states. With a generator the weights
    are perturbed, so that repeated calls explore different orders. ``None`` where one elimination
    alone takes more than ``MAX_OPERATIONS``, and after the deadline.
    """
    neighbours: list[set[int]] = [set() for _ in network.sizes]
    for scope in network.scopes:
        for i in scope:
            neighbours[i].update(scope)
    for i, own in enumerate(neighbours):
        own.discard(i)
    weight = np.log2(np.maximum(network.sizes, 1.001)).tolist()
    n = len(neighbours)
    noise = [1.0] * n if rng is None else (1 + rng.uniform(0, 0.5) * rng.random(n)).tolist()
    fill = {i: _fill(neighbours, i, weight) for i in range(n)}
    size = {i: sum(weight[j] for j in neighbours[i]) for i in range(n)}
    order: list[int] = []

    def rank(i: int) -> tuple[float, float, int]:
        return fill[i] * noise[i], size[i] * noise[i], i

    heap = [rank(i) for i in range(n)]
    heapq.heapify(heap)
    while fill:
        entry = heapq.heappop(heap)
        site = entry[2]
        if site not in fill or entry != rank(site):
            continue
        late = time.perf_counter() > deadline
        if late or size[site] + weight[site] > math.log2(MAX_OPERATIONS):
            return None
        around = neighbours[site]
        touched = set(around)
        for i in around:
            neighbours[i].discard(site)
            if fill[site] > 0:
                neighbours[i] |= around - {i}
                touched |= neighbours[i]
        del fill[site]
        neighbours[site] = set()
        for i in touched:
            fill[i] = _fill(neighbours, i, weight)
            size[i] = sum(weight[j] for j in neighbours[i])
            heapq.heappush(heap, rank(i))
        order.append(site)
    return order


def _fill(neighbours: Sequence[set[int]], site: int, weight: Sequence[float]) -> float:
    around = neighbours[site]
    total = 0.0
    for i in around:
        missing = around - neighbours[i]
        if len(missing) > 1:
            total += weight[i] * sum(weight[j] for j in missing if j != i)
    return total / 2


def _from_order(network: Network, order: Sequence[int]) -> list[tuple[int, int]] | None:
    """Pairwise contractions of an elimination order: each site's tensors, small ones first.

    ``None`` where one of them alone takes more than ``MAX_OPERATIONS``.
    """
    scopes = [set(s) for s in network.scopes]
    holders: list[set[int]] = [set() for _ in network.sizes]
    for number, scope in enumerate(scopes):
        for i in scope:
            holders[i].add(number)
    path: list[tuple[int, int]] = []

    def merge(a: int, b: int) -> int:
        number = len(scopes)
        union = scopes[a] | scopes[b]
        for i in union:
            holders[i] -= {a, b}
        kept = {i for i in union if holders[i]}
        inside = {i for i in union - kept}
        for i in kept:
            holders[i].add(number)
        if not kept and not inside:
            kept = set()
        scopes.append(kept)
        path.append((a, b))
        alive.difference_update((a, b))
        alive.add(number)
        return number

    alive = set(range(len(scopes)))
    for site in order:
        while len(holders[site]) > 1:
            own = sorted(holders[site], key=lambda t: (network.volume(scopes[t]), t))
            if network.volume(scopes[own[0]] | scopes[own[1]]) > MAX_OPERATIONS:
                return None
            merge(own[0], own[1])
    while len(alive) > 1:
        a, b = sorted(alive, key=lambda t: (network.volume(scopes[t]), t))[:2]
        merge(a, b)
    return path


def _evaluate(network: Network, path: Sequence[tuple[int, int]], sliced: Scope, order: str) -> Plan:
    """The steps of a path, what they cost, and the largest tensor."""
    fixed = set(sliced)
    scopes = [frozenset(s) - fixed for s in network.scopes]
    holders = [0] * len(network.sizes)
    for scope in scopes:
        for i in scope:
            holders[i] += 1
    slices = network.volume(sliced)
    operations = sum(network.volume(s) for s in scopes)
    largest = max((network.volume(s) for s in scopes), default=1.0)
    steps = []
    for a, b in path:
        union = scopes[a] | scopes[b]
        for i in union:
            holders[i] -= (i in scopes[a]) + (i in scopes[b])
        kept = frozenset(i for i in union if holders[i])
        for i in kept:
            holders[i] += 1
        scopes.append(kept)
        operations += network.volume(union)
        largest = max(largest, network.volume(kept))
        steps.append(Step(a, b, tuple(sorted(kept))))
    return Plan(tuple(steps), sliced, slices * operations, largest, order)


def _cotengra_path(network: Network, seconds: float, seed: int) -> list[tuple[int, int]]:
    """A path from cotengra's search within a time budget, improved by local reconfiguration."""
    import cotengra

    sizes = dict(enumerate(network.sizes))
    inputs = [tuple(s) for s in network.scopes]
    # by default the parts are joined by worker processes, and a fork under jax may stand still
    joined = cotengra.ReusableRandomGreedyOptimizer(max_repeats=32, parallel=False, seed=seed)
    optimizer = cotengra.HyperOptimizer(
        methods=["greedy", "labels"],
        constants={"greedy": {}, "labels": {"super_optimize": joined}},
        minimize="flops",
        max_time=0.6 * seconds,
        max_repeats=10_000,
        parallel=False,
        optlib="random",
        optlib_opts={"seed": seed},
        progbar=False,
    )
    tree = optimizer.search(inputs, (), sizes)
    if len(inputs) < 3000 and tree.contraction_cost() < RECONFIGURED * MAX_OPERATIONS:
        tree.subtree_reconfigure_(subtree_size=6, maxiter=20)
    return [(int(a), int(b)) for a, b in tree.get_ssa_path()]


def _sliced(network: Network, plan: Plan, max_entries: int) -> Plan:
    """Fix sites, the most relieving one first, until the largest tensor fits."""
    path = [(s.left, s.right) for s in plan.steps]
    while plan.largest > max_entries and plan.operations <= MAX_OPERATIONS:
        peak = max((s.scope for s in plan.steps), key=network.volume)
        options = [
            _evaluate(network, path, (*plan.sliced, i), plan.order)
            for i in peak
            if network.sizes[i] > 1
        ]
        if not options:
            break
        plan = min(options, key=lambda p: (p.largest * math.sqrt(p.operations), p.operations))
    return plan
