"""The layered structure of a Hamiltonian: which tables act inside a layer and between two.

A box of sites is cut into T layers along one axis. A table whose sites lie in layer t, or in layers
t and t + 1, acts at step t; tables that are translations of one another share a *pattern*, the list
of (0 or 1 layers ahead, column) of their sites. Periodic boundaries join the last layer to the
first.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import StructureError
from physdl.hamiltonian import Potential
from physdl.pytree import IntArray, module, static

__all__ = ["Layers", "Pattern", "layered"]

Pattern = tuple[tuple[int, int], ...]
THICKEST = 8


@module
class Layers:
    """A Hamiltonian cut into layers.

    Attributes:
      tables: for each pattern the energies [T, q, ...] of its tables, zero where there is none.
      constant: energies without sites.
      n_layers: the number T of layers.
      sizes: the number of states of each column of a layer.
      periodic: whether the last layer acts on the first.
      axis: which axis of the shape was cut.
    """

    tables: dict[Pattern, Float[Array, "T ..."]]
    constant: Array
    n_layers: int = static()
    sizes: tuple[int, ...] = static()
    periodic: bool = static()
    axis: int = static()

    @property
    def log2_states(self) -> float:
        """log2 of the number of states of a layer."""
        return sum(math.log2(q) for q in self.sizes)

    @property
    def operations(self) -> float:
        """How many numbers are touched in all."""
        per_step = 2.0 ** min(self.log2_states, 500.0) * len(self.sizes)
        starts = 2.0 ** min(self.log2_states, 500.0) if self.periodic else 1.0
        return float(2 * per_step * self.n_layers * starts)


def layered(
    potentials: tuple[Potential, ...], sizes: IntArray, shape: tuple[int, ...], axis: int
) -> Layers:
    """Cut along ``axis``, with as few slices to a layer as the range of the tables allows.

    Raises:
      StructureError: no cut has only tables inside a layer or between two neighbours.
    """
    length = shape[axis] if shape else 1
    order = np.moveaxis(np.arange(len(sizes)).reshape(shape), axis, 0).reshape(length, -1)
    reason = "the axis has a single slice"
    for thickness in range(1, min(THICKEST, length // 2) + 1):
        if length % thickness:
            continue
        sites = order.reshape(length // thickness, -1)
        q = sizes[sites]
        if np.any(q != q[0]):
            reason = "slices differ in their numbers of states"
            continue
        found = _patterns(potentials, sites)
        if found is not None:
            return _stacked(potentials, found, sites, tuple(q[0].tolist()), axis)
        reason = "some interaction reaches beyond the neighbouring layer"
    raise StructureError(
        f"the Hamiltonian has no layers along axis {axis} of shape {shape}: {reason}; use "
        f"Contraction."
    )


Found = dict[tuple[int, Pattern, tuple[int, ...]], tuple[list[int], list[int]]]


def _patterns(potentials: tuple[Potential, ...], sites: IntArray) -> tuple[Found, bool] | None:
    """(potential, pattern, axes) -> (layers, rows), and whether the layers close to a ring."""
    n_layers, width = sites.shape
    place = np.empty(sites.size, dtype=int)
    place[sites.reshape(-1)] = np.arange(sites.size)
    found: Found = {}
    ring = False
    for number, potential in enumerate(potentials):
        scopes = potential.sites.array
        if scopes.shape[1] == 0:
            continue
        layer, column = np.divmod(place[scopes], width)
        first, last = layer.min(axis=1), layer.max(axis=1)
        wraps = (last - first > 1) & (n_layers > 2)
        ahead = np.where(wraps[:, None], layer == 0, layer - first[:, None])
        own = np.where(wraps, n_layers - 1, first)
        inner = wraps[:, None] & (layer != 0) & (layer != n_layers - 1)
        if inner.any() or (last - first > 1)[~wraps].any():
            return None
        ring |= bool(wraps.any())
        key = ahead * width + column
        axes = np.argsort(key, axis=1)
        sorted_key = np.take_along_axis(key, axes, axis=1)
        kinds, inverse = np.unique(
            np.concatenate([sorted_key, axes], axis=1), axis=0, return_inverse=True
        )
        k = scopes.shape[1]
        for label, kind in enumerate(kinds.tolist()):
            rows = np.flatnonzero(inverse.reshape(-1) == label)
            pattern = tuple(divmod(v, width) for v in kind[:k])
            found[(number, pattern, tuple(kind[k:]))] = (own[rows].tolist(), rows.tolist())
    return found, ring


def _stacked(
    potentials: tuple[Potential, ...],
    found: tuple[Found, bool],
    sites: IntArray,
    sizes: tuple[int, ...],
    axis: int,
) -> Layers:
    together: dict[tuple[int, tuple[int, ...]], list[Pattern]] = {}
    for number, pattern, axes in found[0]:
        together.setdefault((number, axes), []).append(pattern)
    tables: dict[Pattern, Array] = {}
    for (number, axes), patterns in together.items():
        table = potentials[number].table
        index = np.full((len(patterns), len(sites)), len(table))
        for k, pattern in enumerate(patterns):
            layers, rows = found[0][(number, pattern, axes)]
            index[k, layers] = rows
        padded = jnp.concatenate([table, jnp.zeros((1, *table.shape[1:]), table.dtype)])
        own = jnp.transpose(padded[index], (0, 1, *(a + 2 for a in axes)))
        for k, pattern in enumerate(patterns):
            tables[pattern] = tables[pattern] + own[k] if pattern in tables else own[k]
    zero = jnp.zeros((), potentials[0].table.dtype if potentials else float)
    constant = sum((jnp.sum(p.table) for p in potentials if p.table.ndim == 1), start=zero)
    return Layers(tables, constant, len(sites), sizes, found[1], axis)
