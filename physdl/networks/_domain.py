"""The polynomial a network is compiled from, and the configurations it is made for."""

import numpy as np
from numpy.typing import NDArray

from physdl.errors import StructureError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.spaces import Finite, Line, Sphere

__all__ = ["configurations", "monomials_of", "ranges_of"]

N_CONFIGURATIONS = 256


def monomials_of(h: Hamiltonian) -> dict[tuple[int, ...], float]:
    """{variables: coefficient} of the expanded polynomial, zeros left out."""
    found: dict[tuple[int, ...], float] = {}
    for term in h.expand().terms.values():
        assert isinstance(term, Sites)
        table = term.table.array
        values = np.broadcast_to(np.asarray(term.coefficient, np.float64), table.shape[:1])
        if not np.all(np.isfinite(values)):
            raise StructureError(
                "a network has finite weights, but a coefficient of this Hamiltonian is not "
                "finite: hard constraints cannot be compiled."
            )
        for row, value in zip(table.tolist(), values.tolist(), strict=True):
            if value != 0:
                found[tuple(row)] = found.get(tuple(row), 0.0) + value
    return found


def ranges_of(h: Hamiltonian, radius: float | None) -> NDArray[np.float64]:
    """The largest absolute value of every variable, shape [n_sites * n_components]."""
    rows = []
    for site in range(h.n_sites):
        space = h.space.at(site)
        if isinstance(space, Finite):
            rows.append(np.abs(space.array).max(axis=0))
        else:
            reach = radius if isinstance(space, Line) and radius is not None else 1.0
            rows.append(np.full(space.n_components, reach))
    return np.concatenate(rows) if rows else np.zeros(0)


def configurations(h: Hamiltonian, radius: float | None) -> NDArray[np.float64]:
    """Random configurations of the domain, shape [n_configurations, *state_shape]."""
    rng = np.random.default_rng(0)
    columns = []
    for site in range(h.n_sites):
        space = h.space.at(site)
        if isinstance(space, Finite):
            columns.append(space.array[rng.integers(space.n_states, size=N_CONFIGURATIONS)])
        elif isinstance(space, Sphere):
            v = rng.normal(size=(N_CONFIGURATIONS, space.n_components))
            columns.append(v / np.linalg.norm(v, axis=1, keepdims=True))
        else:
            reach = radius or 1.0
            columns.append(rng.uniform(-reach, reach, size=(N_CONFIGURATIONS, 1)))
    x = np.concatenate(columns, axis=1) if columns else np.zeros((N_CONFIGURATIONS, 0))
    return x.reshape(N_CONFIGURATIONS, *h.state_shape)
