"""Sets of sites up to translations and the point group, and what they are called."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from physdl.errors import TooLargeError

__all__ = ["Sites", "diameter_of", "lowered", "names_of", "point_group", "sets_of"]

MOST_SETS = 10**6
NEAR = 1e-9

Sites = tuple[tuple[int, ...], ...]


def point_group(primitive: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Integer matrices M, acting as sites @ M, that keep lengths and angles."""
    gram, dim = primitive @ primitive.T, len(primitive)
    reach = _reach(primitive, float(np.sqrt(np.max(np.diag(gram)))))
    vectors = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
    lengths = np.einsum("vi,ij,vj->v", vectors, gram, vectors)
    partial: list[list[NDArray[np.int64]]] = [[]]
    for k in range(dim):
        fits = vectors[np.abs(lengths - gram[k, k]) < NEAR]
        partial = [
            [*rows, v]
            for rows in partial
            for v in fits
            if all(abs(v @ gram @ r - gram[k, j]) < NEAR for j, r in enumerate(rows))
        ]
    return [np.array(rows) for rows in partial]


def _reach(primitive: NDArray[np.float64], longest: float) -> list[int]:
    """The largest coefficient of each primitive vector in a vector of at most this length."""
    gap = np.linalg.norm(np.linalg.inv(primitive), axis=0)
    return [math.floor(longest * g + NEAR) for g in gap]


def sets_of(primitive: NDArray[np.float64], body: int, longest: float) -> list[Sites]:
    """All sets of so many sites within a diameter, the lowest site at the origin."""
    dim = len(primitive)
    reach = _reach(primitive, longest)
    near = [
        v
        for v in itertools.product(*(range(-n, n + 1) for n in reach))
        if v > (0,) * dim and np.linalg.norm(np.array(v) @ primitive) <= longest + NEAR
    ]
    if math.comb(len(near), body - 1) > MOST_SETS:
        raise TooLargeError(
            f"{math.comb(len(near), body - 1):.1e} sets of {body} sites within {longest} are more "
            f"than {MOST_SETS:.0e}: take a smaller range for {body} sites."
        )
    points = np.array(near).reshape(-1, dim) @ primitive
    close = np.linalg.norm(points[:, None] - points[None], axis=-1) <= longest + NEAR
    out: list[Sites] = []

    def extend(chosen: list[int]) -> None:
        if len(chosen) == body - 1:
            out.append(((0,) * dim, *(near[c] for c in chosen)))
            return
        for new in range(chosen[-1] + 1 if chosen else 0, len(near)):
            if all(close[new, c] for c in chosen):
                extend([*chosen, new])

    extend([])
    return [lowered(np.array(sites)) for sites in out]


def lowered(sites: NDArray[np.integer]) -> Sites:
    """The set translated so that its lowest site is the origin, sorted."""
    ordered = sorted(tuple(int(v) for v in s) for s in sites)
    return tuple(tuple(a - b for a, b in zip(s, ordered[0], strict=True)) for s in ordered)


def diameter_of(points: NDArray[np.float64]) -> float:
    return float(np.max(np.linalg.norm(points[:, None] - points[None], axis=-1)))


ORDINALS = ("nearest", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
OF_STEPS = {(1, 1): "diagonal", (1, 2): "knight", (1, 1, 1): "space diagonal"}
OF_SQUARED_DISTANCES = {
    (1.0, 1.0, 1.0): "triangle",
    (1.0, 1.0, 2.0): "corner",
    (1.0, 1.0, 4.0): "line",
    (2.0, 2.0, 4.0): "bent",
    (1.0, 1.0, 1.0, 1.0, 2.0, 2.0): "plaquette",
    (1.0, 1.0, 1.0, 1.0, 1.0, 3.0): "rhombus",
    (2.0, 2.0, 2.0, 2.0, 2.0, 2.0): "tetrahedron",
    (2.0, 2.0, 2.0, 2.0, 4.0, 4.0): "diamond",
}


def names_of(sets: list[Sites], primitive: NDArray[np.float64]) -> list[str]:
    """What operators are called: by the distances between their sites where that says enough."""
    square = bool(np.allclose(primitive @ primitive.T, np.eye(len(primitive))))
    squared = [_squared_distances(np.array(sites) @ primitive) for sites in sets]
    shells = sorted({d[0] for d in squared if len(d) == 1})
    out: list[str] = []
    for sites, d in zip(sets, squared, strict=True):
        body, name = len(sites), OF_SQUARED_DISTANCES.get(d)
        if body == 2:
            steps = tuple(sorted(abs(v) for v in sites[1] if v))
            shell = shells.index(d[0])
            near = shell < len(ORDINALS) and not (square and d[0] > 4)
            name = OF_STEPS.get(steps) if square else None
            name = name or (f"{ORDINALS[shell]} neighbour" if near else None)
        if body == 1 or name is None or name in out:
            shape = " ".join("".join(str(v) for v in s) for s in sites)
            name = "site" if body == 1 else f"{body}-spin {shape}"
        out.append(name)
    return out


def _squared_distances(points: NDArray[np.float64]) -> tuple[float, ...]:
    pairs = itertools.combinations(points, 2)
    return tuple(sorted(round(float(np.sum((a - b) ** 2)), 6) for a, b in pairs))
