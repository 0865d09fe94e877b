"""Proper colourings: bonded sites get different colours, so one colour can be updated at once.

Three ways, from exact to general. A graph is bipartite exactly when its double cover (two copies of
every site, each bond joining the copies crosswise) falls apart into twice as many components; the
copy a site lies in is then its colour. A box whose cells have one site is coloured by

    colour(c) = f_1(c_1) + ... + f_d(c_d)  mod q,

where f_k climbs along axis k by increments from a set A_k of nonzero residues. It is proper when no
link (offset o) can have o_1 a_1 + ... + o_d a_d = 0 mod q with a_k in A_k, and it closes around a
periodic axis of length L when some L increments add up to 0 mod q; both are finite checks. Every
other graph is coloured greedily by DSATUR.
"""

import heapq
from collections.abc import Sequence
from functools import reduce
from itertools import combinations, combinations_with_replacement, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["adjacency", "box_colouring", "dsatur", "two_colouring"]

Link = tuple[int, int, tuple[int, ...]]


def adjacency(n_sites: int, bonds: NDArray[np.int32]) -> Any:
    """Symmetric adjacency matrix, a scipy ``csr_array`` of bond multiplicities."""
    from scipy.sparse import coo_array

    first, second = bonds.T
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    ones = np.ones(len(rows), dtype=np.int64)
    return coo_array((ones, (rows, columns)), shape=(n_sites, n_sites)).tocsr()


def two_colouring(n_sites: int, bonds: NDArray[np.int32]) -> NDArray[np.int64] | None:
    """Colours 0 and 1 [n_sites], or None where the graph is not bipartite.

    The smallest site of every connected component has colour 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = bonds.astype(np.int64).T
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first]) + n_sites
    cover = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(2 * n_sites,) * 2)
    _, component = connected_components(cover, directed=False)
    here, there = component[:n_sites], component[n_sites:]
    return None if np.any(here == there) else (here > there).astype(np.int64)


def box_colouring(
    shape: tuple[int, ...], periodic: tuple[bool, ...], links: Sequence[Link]
) -> NDArray[np.int64] | None:
    """Colours [n_sites] that repeat through a box, or None where no such pattern was found.

    Cells with several sites are coloured by the site of the cell, where no link joins two equal
    ones; cells with one site by increments modulo q <= 6, which succeeds on every square, cubic
    and triangular box.
    """
    if len(shape) > len(periodic):
        if any(start == end for start, end, _ in links):
            return None
        return np.broadcast_to(np.arange(shape[-1]), shape).reshape(-1).copy()
    offsets = [offset for _, _, offset in links]
    for q in range(2, 7):
        for increments in product(_subsets(q), repeat=len(shape)):
            if not _is_proper(offsets, increments, q):
                continue
            axes = zip(shape, periodic, increments, strict=True)
            heights = [height for axis in axes if (height := _height(*axis, q)) is not None]
            if len(heights) == len(shape):
                total = reduce(np.add, np.ix_(*heights)) % q
                return np.unique(total, return_inverse=True)[1].reshape(-1)
    return None


def _subsets(q: int) -> list[tuple[int, ...]]:
    """Nonempty sets of nonzero residues modulo q, the largest first."""
    residues = range(1, q)
    return [a for size in reversed(residues) for a in combinations(residues, size)]


def _is_proper(
    offsets: Sequence[tuple[int, ...]], increments: tuple[tuple[int, ...], ...], q: int
) -> bool:
    """Whether no link, all of whose steps are 0 or +-1, can join equal colours."""
    for offset in offsets:
        moved = [k for k, step in enumerate(offset) if step]
        if any(abs(offset[k]) > 1 for k in moved):
            return False
        for rise in product(*(increments[k] for k in moved)):
            if sum(offset[k] * a for k, a in zip(moved, rise, strict=True)) % q == 0:
                return False
    return True


def _height(
    length: int, periodic: bool, increments: tuple[int, ...], q: int
) -> NDArray[np.int64] | None:
    """The function f of one axis [length], or None where no climb closes around the axis.

    Sums of L increments fill a coset of the residues that q free steps already reach, so all but
    the last q steps may be equal.
    """
    if not periodic:
        return increments[0] * np.arange(length) % q
    free = min(length, q)
    steps = np.full(length, increments[0], dtype=np.int64)
    for last in combinations_with_replacement(increments, free):
        steps[length - free :] = last
        if steps.sum() % q == 0:
            height: NDArray[np.int64] = (np.cumsum(steps) - steps[0]) % q
            return height
    return None


def dsatur(neighbours: Any) -> NDArray[np.int64]:
    """Greedy colours [n_sites] from a csr adjacency matrix.

    The next site is always the one whose neighbours show the most colours, then the one with the
    most neighbours, then the first; it takes the smallest free colour (Brelaz 1979, section 3).
    """
    starts, ends = neighbours.indptr.tolist(), neighbours.indices.tolist()
    n_sites = len(starts) - 1
    colours = np.full(n_sites, -1)
    seen = [0] * n_sites  # bit c: colour c is next to the site
    queue = [(0, starts[site] - starts[site + 1], site) for site in range(n_sites)]
    heapq.heapify(queue)
    while queue:
        _, _, site = heapq.heappop(queue)
        if colours[site] >= 0:
            continue
        free = ~seen[site] & (seen[site] + 1)
        colours[site] = free.bit_length() - 1
        for other in ends[starts[site] : starts[site + 1]]:
            if colours[other] < 0 and not seen[other] & free:
                seen[other] |= free
                degree = starts[other + 1] - starts[other]
                heapq.heappush(queue, (-seen[other].bit_count(), -degree, other))
    return colours
