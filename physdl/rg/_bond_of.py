"""The bond of a Hamiltonian on a hypercubic lattice: from its terms to couplings of a ``Bond``."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import LatticeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.rg.bonds import Bond, bond
from physdl.spaces import Finite

__all__ = ["bond_of"]

NEAR = 1e-9


def bond_of(h: Hamiltonian) -> tuple[Bond, Float[Array, " n"]]:
    """The basis of bonds and the couplings of a translation-invariant nearest-neighbour model.

    The energy of a site is shared by its 2 d bonds. The basis is that of invariant functions where
    it suffices, else that of all symmetric ones.

    Raises:
      SpaceError: the space is not finite.
      StructureError: a term is no ``Stencil`` with one coefficient, or reaches further than
        nearest neighbours along the axes, or the axes differ.
      LatticeError: the box has no axis.

    >>> from physdl import lattices, models, rg
    >>> basis, k = rg.bond_of(models.ising(lattices.square(8, 8), 0.4))
    >>> basis.names, [round(float(v), 6) for v in k]
    (("s.s'",), [0.4])
    """
    space, dim = h.space, len(h.shape)
    if not isinstance(space, Finite):
        raise SpaceError(f"bonds are tabulated on a finite space, got {space!r}: use clock(q).")
    if dim == 0:
        raise LatticeError("a bond needs a lattice, got a model without axes.")
    parts: list[tuple[Array, NDArray[np.float64]]] = []
    for name, term in h.terms.items():
        if not isinstance(term, Stencil) or term.coefficient.ndim > 0:
            raise StructureError(
                f"bond moving needs one coefficient for all places, but the term {name!r} has "
                f"its own at each: use a translation-invariant model on a hypercubic lattice."
            )
        parts.append((term.coefficient, _table(name, term, space, dim)))
    tables = np.array([t for _, t in parts])
    basis = bond(space)
    if not all(_spans(basis, t) for t in tables):
        basis = bond(space, field=True)
    log_w = -jnp.einsum("p,pst->st", jnp.stack([c for c, _ in parts]), jnp.asarray(tables, h.dtype))
    return basis, basis.couplings(log_w)[0]


def _spans(basis: Bond, table: NDArray[np.float64]) -> bool:
    functions = np.asarray(basis.functions).reshape(len(basis.names), -1)
    matrix = np.concatenate([np.ones_like(functions[:1]), functions])
    found = np.linalg.lstsq(matrix.T, table.reshape(-1), rcond=None)[0]
    return bool(np.max(np.abs(found @ matrix - table.reshape(-1))) < NEAR)


def _table(name: str, term: Stencil, space: Finite, dim: int) -> NDArray[np.float64]:
    """What a term of coefficient one adds to the energy of one bond, [q, q]."""
    points, offsets = space.array, term.offsets.array
    rows = (
        np.zeros((1, offsets.shape[1]), int) if term.components is None else term.components.array
    )
    q = len(points)
    along = np.zeros((dim, q, q))
    for monomial in offsets:
        apart = monomial - monomial[0]
        far = np.unique(np.abs(apart), axis=0)
        moved = far[np.any(far > 0, axis=1)]
        if len(moved) > 1 or (len(moved) and moved.sum() != 1):
            raise StructureError(
                f"bond moving needs nearest neighbours along the axes, but the term {name!r} "
                f"joins cells {monomial.tolist()}: use a hypercubic lattice."
            )
        second = np.any(apart != 0, axis=1)
        table = np.zeros((q, q))
        for row in rows:
            left = np.prod(points[:, row[~second]], axis=1)
            right = np.prod(points[:, row[second]], axis=1)
            table += left[:, None] * right[None, :]
        if len(moved):
            along[np.flatnonzero(moved[0])[0]] += (table + table.T) / 2
        else:
            along += (table + table.T)[None] / (2 * dim)
    if np.ptp(along, axis=0).max() > NEAR:
        raise StructureError(f"the term {name!r} is not the same along all axes.")
    found: NDArray[np.float64] = along[0]
    return found
