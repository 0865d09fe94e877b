import functools
import itertools
import math

import jax
import numpy as np
import pytest

from physdl import spaces
from physdl.errors import SettingError, UnknownNameError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.networks import compile_polynomial, optimal_grouping
from physdl.theory.expressivity import grouping_neurons, grouping_table, monomial_cost

TABLE = {
    4: (16, 12, 12, 12, 12),
    8: (256, 28, 28, 28, 28),
    16: (65_536, 80, 60, 60, 60),
    20: (1_048_576, 112, 76, 76, 76),
    32: (4_294_967_296, 304, 128, 124, 124),
    64: (2**64, 1920, 312, 252, 252),
    100: (2**100, 8192, 592, 400, 396),
    128: (2**128, 20_480, 816, 524, 508),
}
BETTER = {(64, 2): 1792, (64, 3): 304, (100, 3): 576}
DEPTHS = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("n", TABLE)
def test_the_published_table_is_of_the_family_ceiling(n):
    assert grouping_table([n], DEPTHS, "ceiling") == (TABLE[n],)
    assert TABLE[n][-1] == 4 * (n - 1)


@pytest.mark.parametrize("n", TABLE)
def test_unequal_groups_are_better_at_three_places(n):
    best = grouping_table([n], DEPTHS, "any")[0]
    assert best == tuple(BETTER.get((n, k), TABLE[n][k - 1]) for k in DEPTHS)


def least_tree(n, depth):
    """The cheapest tree of products with n leaves, by what it splits into, not by layers."""

    @functools.lru_cache(None)
    def tree(n, depth):
        if n == 1:
            return 0
        if depth == 0:
            return math.inf
        return min(2**c + forest(c, n, depth - 1) for c in range(2, n + 1))

    @functools.lru_cache(None)
    def forest(trees, n, depth):
        if trees == 1:
            return tree(n, depth)
        if trees == n:
            return 0
        sizes = range(1, n // trees + 1)
        return min(tree(m, depth) + forest(trees - 1, n - m, depth) for m in sizes)

    return tree(n, depth)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 11, 13, 17, 23, 31, 41, 64, 100])
def test_any_is_the_optimum_over_all_trees(n):
    for depth in DEPTHS:
        assert grouping_neurons(n, depth) == least_tree(n, depth)


def factorisations(n, length):
    if length == 1:
        yield (n,)
        return
    for b in range(1, n + 1):
        if n % b == 0:
            for rest in factorisations(n // b, length - 1):
                yield (b, *rest)


@pytest.mark.parametrize("n", [2, 7, 12, 20, 32, 64, 100, 128])
def test_equal_is_the_sum_of_the_theorem(n):
    """Theorem 5.1 as printed, over all b_1 ... b_k = n; a factor of 1 is no layer."""
    for depth in DEPTHS:
        costs = []
        for b in factorisations(n, depth):
            done = np.cumprod(np.array(b, dtype=object))
            costs.append(sum(n // p * 2**size for p, size in zip(done, b, strict=True) if size > 1))
        assert grouping_neurons(n, depth, "equal") == min(costs)


def test_ceiling_by_splitting_arrays():
    @functools.lru_cache(None)
    def least(n, depth):
        if n == 1:
            return 0
        if depth == 1:
            return 2**n
        counts = {math.ceil(n / b) for b in range(2, n)} - {n}
        costs = [least(n, 1)]
        for m in counts:
            sizes = [len(part) for part in np.array_split(np.arange(n), m)]
            costs.append(sum(2**s for s in sizes if s > 1) + least(m, depth - 1))
        return min(costs)

    for n, depth in itertools.product(range(2, 70), DEPTHS):
        assert grouping_neurons(n, depth, "ceiling") == least(n, depth)


@pytest.mark.parametrize("n", range(2, 65))
def test_families_are_ordered_and_depth_never_hurts(n):
    rows = [grouping_table([n], DEPTHS, f)[0] for f in ("any", "ceiling", "equal")]
    assert all(a <= b <= c for a, b, c in zip(*rows, strict=True))
    assert all(row[k] >= row[k + 1] for row in rows for k in range(4))


def test_64_in_9_groups():
    first, second = optimal_grouping(64, 2)
    assert (sorted(first), second) == ([7] * 8 + [8], (9,))


def test_100_inputs_in_two_layers_of_tens():
    """2^10 neurons for each of 11 groups, where one layer needs 2^100."""
    assert grouping_neurons(100, 1) == 2**100
    assert grouping_neurons(100, 2, "equal") == 11 * 2**10


def product_of(exponents):
    table = [[i for i, r in enumerate(exponents) for _ in range(r)]]
    return Hamiltonian({"t": Sites(1.0, table)}, space=spaces.LINE, shape=(len(exponents),))


def counted(network):
    """Neurons of a compiled network: each has one bias."""
    leaves = jax.tree_util.tree_leaves_with_path(network.params)
    return sum(v.size for path, v in leaves if "bias" in jax.tree_util.keystr(path))


@pytest.mark.parametrize("n", [4, 8, 16, 20])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_networks_have_exactly_that_many_neurons(n, depth):
    network, report = compile_polynomial(
        product_of((1,) * n), layout="grouped", depth=depth, radius=1.0
    )
    expected = grouping_neurons(n, depth)
    assert counted(network) == report.neurons == expected
    assert monomial_cost((1,) * n, depth).grouped == expected
    assert report.depth <= depth


@pytest.mark.parametrize("exponents", [(1, 1), (2, 1), (3,), (2, 2), (1, 1, 1), (3, 2), (2, 1, 1)])
def test_powers_as_compiled(exponents):
    h = product_of(exponents)
    flat, _ = compile_polynomial(h, layout="flat", radius=1.0)
    tree, _ = compile_polynomial(h, layout="tree", radius=1.0)
    cost = monomial_cost(exponents, 1)
    assert counted(flat) == cost.shallow == math.prod(r + 1 for r in exponents)
    assert counted(tree) == cost.tree


def test_the_upper_bound_of_theorem_4_2_holds_for_trees():
    for n in (1, 2, 3):
        for exponents in itertools.product(range(1, 9), repeat=n):
            cost = monomial_cost(exponents, 8)
            assert cost.tree <= cost.bound
            assert cost.grouped <= min(cost.shallow, cost.tree)
            bound = sum(7 * math.ceil(math.log2(r)) + 4 for r in exponents)
            assert cost.bound == bound


def test_the_product_of_32():
    cost = monomial_cost((1,) * 32, 2)
    assert (cost.shallow, cost.grouped, cost.tree) == (2**32, 304, 124)


def test_refusals():
    with pytest.raises(SettingError, match="exponents are integers >= 1"):
        monomial_cost((1, 0), 2)
    with pytest.raises(SettingError, match="depth are integers >= 1"):
        monomial_cost((1,), 0)
    with pytest.raises(SettingError, match="n and depth"):
        grouping_neurons(0, 2)
    with pytest.raises(UnknownNameError, match="equal"):
        grouping_neurons(8, 2, "equals")
