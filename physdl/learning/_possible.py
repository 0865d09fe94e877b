"""Whether some distribution has given moments, as far as they tell.

A moment lies between the least and the largest value of its monomial; and the matrix of <f g>, for
monomials f and g whose products are all given, has no negative eigenvalue, since <(sum c f)^2> has
none. Both are necessary. Moments that pass and belong to no distribution leave an objective without
a minimum, which the status says.
"""

import math

import jax
import numpy as np
from numpy.typing import NDArray

from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.pytree import is_traced
from physdl.spaces import BINARY, SPIN, Finite

__all__ = ["require_possible"]

Monomial = tuple[int, ...]

MOST = 400
SLACK = 1e-8


def require_possible(moments: Hamiltonian) -> None:
    """Raise where no distribution has these moments.

    Raises:
      SettingError: a moment is not finite, out of the range of its monomial, or a mean square would
        be negative.
    """
    if is_traced(moments):
        return
    known = _known(moments)
    for monomial, value in known.items():
        low, high = _range(moments, monomial)
        if not low - SLACK <= value <= high + SLACK:
            raise SettingError(
                f"no distribution has the moment {_named(monomial)} = {value:g}: it lies between "
                f"{low:g} and {high:g}."
            )
    known[()] = 1.0
    basis = _basis(moments, known)
    matrix = np.array([[known[_product(moments, f, g)] for g in basis] for f in basis])
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -SLACK * max(1.0, values[-1]):
        heavy = np.argsort(-np.abs(vectors[:, 0]))[:3]
        names = " and ".join(sorted(_named(basis[k])[1:-1] for k in heavy if basis[k]))
        raise SettingError(
            f"no distribution has these moments: a square of a combination of {names} would have "
            f"the negative mean {values[0]:g}."
        )


def _known(moments: Hamiltonian) -> dict[Monomial, float]:
    """The moment of every monomial, equal ones shared; sums of several monomials tell none."""
    known: dict[Monomial, float] = {}
    for name, term in moments.terms.items():
        (given,) = jax.tree.leaves(term)
        values = np.asarray(given, float)
        if not np.all(np.isfinite(values)):
            raise SettingError(f"the moments of {name!r} are finite numbers, got {values}.")
        if isinstance(term, Potential) or moments.space.event_shape:
            continue
        rows: NDArray[np.integer] = term.to_sites(moments.shape, moments.space).rows
        flat = rows.reshape(len(rows), -1, rows.shape[-1])
        if values.size != len(flat):
            values = np.full(len(flat), values.sum() / len(flat))
        if flat.shape[1] == 1:
            for row, value in zip(flat[:, 0].tolist(), values.ravel().tolist(), strict=True):
                known[_reduced(moments, row)] = value
    known.pop((), None)
    return known


def _basis(moments: Hamiltonian, known: dict[Monomial, float]) -> list[Monomial]:
    """Monomials, the short ones first, whose products with one another are all known."""
    basis: list[Monomial] = []
    for monomial in sorted(known, key=lambda m: (len(m), m)):
        trial = [*basis, monomial]
        if len(trial) <= MOST and all(_product(moments, monomial, f) in known for f in trial):
            basis = trial
    return basis


def _product(moments: Hamiltonian, f: Monomial, g: Monomial) -> Monomial:
    return _reduced(moments, [*f, *g])


def _reduced(moments: Hamiltonian, variables: list[int]) -> Monomial:
    """Sorted, with s^2 = 1 of spins and n^2 = n of a lattice gas."""
    counts: dict[int, int] = {}
    for v in variables:
        counts[v] = counts.get(v, 0) + 1
    out: list[int] = []
    for v in sorted(counts):
        space = moments.space.at(v)
        power = counts[v] % 2 if space == SPIN else 1 if space == BINARY else counts[v]
        out += [v] * power
    return tuple(out)


def _range(moments: Hamiltonian, monomial: Monomial) -> tuple[float, float]:
    low = high = 1.0
    for v in sorted(set(monomial)):
        space, power = moments.space.at(v), monomial.count(v)
        if isinstance(space, Finite):
            values = space.array[:, 0] ** power
            ends = values.min(), values.max()
        else:
            ends = (0.0 if power % 2 == 0 else -math.inf), math.inf
        corners = [a * b if a and b else 0.0 for a in (low, high) for b in ends]
        low, high = float(min(corners)), float(max(corners))
    return low, high


def _named(monomial: Monomial) -> str:
    return "<" + " ".join(f"x{v}" for v in monomial) + ">"
