"""Groups given as permutations of sites."""

import numpy as np
from numpy.typing import ArrayLike

from physdl.errors import ShapeError
from physdl.pytree import IntArray

__all__ = ["permutations_of"]


def permutations_of(values: ArrayLike) -> IntArray:
    """The rows as integers, or ``ShapeError``."""
    rows = np.asarray(values)
    if rows.ndim != 2 or not np.array_equal(
        np.sort(rows, axis=1), np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    ):
        raise ShapeError(
            f"a symmetry group is given as permutations of the sites, int [n_permutations, "
            f"n_sites]; got an array of shape {rows.shape}."
        )
    return rows.astype(np.int64)
