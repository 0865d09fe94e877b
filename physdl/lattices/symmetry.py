"""Symmetries of a box: translations, and the rotations and reflections that map it to itself.

A symmetry of the infinite crystal sends cell c to c M + t, with M an integer matrix that preserves
the lengths and angles of the primitive vectors, M G M^T = G for their Gram matrix G. It is a
symmetry of the finite box when M maps every vector around the box to another one: L_k M_kj is a
multiple of L_j along periodic axes j, and 0 along open ones.

Convention: a permutation p sends site i to site p[i].
"""

import math
from collections.abc import Iterator
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from physdl.errors import TooLargeError

__all__ = ["coordinates", "space_group", "translations"]

Permutations = NDArray[np.int32]

MOST_ENTRIES = 2**27
MOST_AXES = 8


def coordinates(box: tuple[int, ...]) -> NDArray[np.int64]:
    """Integer coordinates of all cells of a box, shape [n_cells, d], in C order."""
    return np.stack(np.unravel_index(np.arange(math.prod(box)), box), axis=-1)


def translations(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Permutations:
    """All translations along periodic axes, shape [n_group, n_sites]."""
    _refuse_above(_n_translations(shape, periodic) * math.prod(shape), "translations")
    sites = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    group = sites.reshape(1, -1)
    for axis, wraps in enumerate(periodic):
        if wraps:
            shifts = [np.roll(sites, -t, axis).reshape(-1) for t in range(shape[axis])]
            group = np.stack(shifts)[:, group].swapaxes(0, 1).reshape(-1, sites.size)
    return group


def space_group(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    bonds: NDArray[np.int32],
    primitive: NDArray[np.float64],
    basis: NDArray[np.float64],
) -> Permutations:
    """All distinct symmetries of a box that preserve its bonds, shape [n_group, n_sites]."""
    box = shape[: len(periodic)]
    if len(box) > MOST_AXES:
        raise TooLargeError(
            f"symmetries() treats boxes of up to {MOST_AXES} axes, got {len(box)}: "
            f"use translations()."
        )
    size = _n_translations(shape, periodic) * math.prod(shape)
    matrices = list(islice(_point_group(box, periodic, primitive), MOST_ENTRIES // size + 1))
    _refuse_above(size * len(matrices), "symmetries")
    shifts = translations(shape, periodic)
    images = [
        _representative(image, shifts)
        for matrix in matrices
        for first in range(len(basis))
        if (image := _image(box, periodic, matrix, basis, first)) is not None
        and _preserves(image, bonds)
    ]
    return np.concatenate([shifts[:, image] for image in np.unique(images, axis=0)])


def _n_translations(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> int:
    return math.prod(n for n, wraps in zip(shape, periodic, strict=False) if wraps)


def _refuse_above(entries: int, what: str) -> None:
    if entries > MOST_ENTRIES:
        raise TooLargeError(
            f"{what}() would need at least {entries} entries and the limit is {MOST_ENTRIES}: "
            f"use a smaller box."
        )


def _point_group(
    box: tuple[int, ...], periodic: tuple[bool, ...], primitive: NDArray[np.float64]
) -> Iterator[NDArray[np.int64]]:
    """Integer matrices that preserve the Gram matrix and the box, row by row."""
    gram = primitive @ primitive.T
    vectors = np.array(list(product((0, 1, -1), repeat=len(box))))
    lengths = np.einsum("vi,ij,vj->v", vectors, gram, vectors)
    candidates = []
    for k, wraps in enumerate(periodic):
        fits = np.isclose(lengths, gram[k, k])
        if wraps:
            around = box[k] * vectors
            fits &= np.all(np.where(periodic, around % box, around) == 0, axis=1)
        candidates.append(vectors[fits])

    def extend(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        k = len(rows)
        if k == len(box):
            yield rows
            return
        angles = candidates[k] @ gram @ rows.T
        for row in candidates[k][np.all(np.abs(angles - gram[k, :k]) < 1e-9, axis=1)]:
            yield from extend(np.vstack([rows, row]))

    return extend(np.empty((0, len(box)), dtype=np.int64))


def _image(
    box: tuple[int, ...],
    periodic: tuple[bool, ...],
    matrix: NDArray[np.int64],
    basis: NDArray[np.float64],
    first: int,
) -> Permutations | None:
    """Where the map c -> c M that sends basis site 0 to basis site ``first`` sends every site.

    None where it misses a site or leaves the box. Open axes are shifted so that the image starts
    at 0.
    """
    moved = (basis - basis[0]) @ matrix + basis[first]
    jumps = moved[:, None, :] - basis
    is_site = np.all(np.abs(jumps - np.round(jumps)) < 1e-6, axis=-1)
    if not np.all(is_site.any(axis=1)):
        return None
    kinds = is_site.argmax(axis=1)
    jump = np.round(jumps[np.arange(len(basis)), kinds]).astype(np.int64)
    cells = (coordinates(box) @ matrix)[:, None, :] + jump
    cells -= np.where(periodic, 0, cells.min(axis=(0, 1)))
    cells %= np.where(periodic, box, cells.max() + 1)
    if np.any(cells.max(axis=(0, 1)) >= box):
        return None
    image = np.ravel_multi_index(np.moveaxis(cells, -1, 0), box) * len(basis) + kinds
    image = image.reshape(-1)
    return image.astype(np.int32) if np.all(np.bincount(image) == 1) else None


def _representative(image: Permutations, shifts: Permutations) -> Permutations:
    """The translate of ``image`` that sends site 0 as far down as translations can.

    Translations move every site, so one translate alone does, and images that differ by a
    translation have the same one.
    """
    lowest: Permutations = shifts[shifts[:, image[0]].argmin(), image]
    return lowest


def _preserves(image: Permutations, bonds: NDArray[np.int32]) -> bool:
    def multiset(pairs: NDArray[np.int32]) -> NDArray[np.int64]:
        ends = np.sort(pairs.astype(np.int64), axis=1)
        return np.sort(ends[:, 0] * len(image) + ends[:, 1])

    return np.array_equal(multiset(image[bonds]), multiset(bonds))
