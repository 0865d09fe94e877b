"""Hamiltonians of scalar spins and pairs as plain arrays, for formats that know nothing else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physdl.errors import SettingError, SpaceError, StructureError
from physdl.files._storage import concrete
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.polynomial import expand
from physdl.pytree import IntArray
from physdl.spaces import SPIN

__all__ = ["Pairs", "monomials", "pairs_of"]


@dataclass(frozen=True)
class Pairs:
    """H = constant - sum_e couplings_e s_i s_j - sum_i fields_i s_i.

    Attributes:
      edges: pairs i < j, each once, int [n_edges, 2].
      couplings: [n_edges].
      fields: [n_sites].
      constant: what is left.
    """

    edges: IntArray
    couplings: NDArray[np.float64]
    fields: NDArray[np.float64]
    constant: float


def monomials(h: Hamiltonian, what: str) -> dict[int, tuple[NDArray[np.float64], IntArray]]:
    """Coefficients and sites of the expanded polynomial, by degree, in double precision.

    Raises:
      SettingError: a coefficient is not finite, or the Hamiltonian is traced.
    """
    found: dict[int, tuple[NDArray[np.float64], IntArray]] = {}
    expanded = expand(concrete(h, f"writing {what}").terms, h.space, h.shape)
    for term in expanded.values():
        table = term.table.array
        coefficient = np.broadcast_to(np.asarray(term.coefficient, np.float64), table.shape[:1])
        if not np.isfinite(coefficient).all():
            raise SettingError(
                f"{what} holds finite numbers, got a coefficient that is not: hard constraints "
                f"need a .uai or .npz file."
            )
        found[table.shape[1]] = (coefficient, table)
    return found


def pairs_of(h: Hamiltonian, what: str, *, fields: bool) -> Pairs:
    """A Hamiltonian over ``SPIN`` of degree at most 2, without fields unless ``fields``.

    Raises:
      SpaceError: the space is not ``SPIN``.
      StructureError: a term of higher degree, or a field where there may be none.
      SettingError: a coefficient is not finite, or the Hamiltonian is traced.
    """
    if h.space != SPIN:
        raise SpaceError(f"{what} is about spins -1 and +1, got the space {h.space!r}.")
    found = monomials(h, what)
    for degree, (coefficient, _) in found.items():
        if coefficient.any() and (degree > 2 or (degree == 1 and not fields)):
            terms = "pairs and fields" if fields else "pairs"
            raise StructureError(
                f"{what} holds {terms} only, got terms of degree {degree}: save as .npz or .uai."
            )
    none = (np.zeros(0), np.zeros((0, 2), dtype=np.int32))
    coupling, edges = found.get(2, none)
    linear = np.zeros(h.n_sites)
    if 1 in found:
        linear[found[1][1][:, 0]] = found[1][0]
    constant = float(found[0][0].sum()) if 0 in found else 0.0
    return Pairs(edges, -coupling, -linear, constant)
