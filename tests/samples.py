"""Small Hamiltonians of every kind of term and space, each with its oracle."""

import dataclasses
from typing import Any

import jax
import numpy as np
import oracle
from oracle import POINTS, dense_monomials, sites_monomials, stencil_monomials

from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.spaces import BINARY, SPIN, clock, finite, levels, potts, product, spin

SPACES = {
    "SPIN": SPIN,
    "BINARY": BINARY,
    "spin(1)": spin(1),
    "levels(3)": levels(3),
    "levels(4)": levels(4),
    "potts(3)": potts(3),
    "clock(4)": clock(4),
    "uneven": finite([-0.5, 0.25, 2.0]),
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """A Hamiltonian and, for the oracle, its points, monomials and tables."""

    h: Hamiltonian
    points: list[Any]
    monomials: list[Any]
    tables: list[Any] = dataclasses.field(default_factory=list)

    @property
    def labels(self):
        return oracle.all_labels(self.points)

    @property
    def states(self):
        return oracle.states_of(self.points, self.labels)

    @property
    def energies(self):
        smooth = oracle.energies(self.states, self.monomials)
        return smooth + oracle.table_energies(self.labels, self.tables)


def compiled(function):
    """``jax.jit`` that compiles fast: most functions of these tests run once."""
    return jax.jit(
        function,
        compiler_options={
            "xla_backend_optimization_level": 0,
            "xla_llvm_disable_expensive_passes": True,
        },
    )


def shaped(h, states):
    """Configurations [n, n_sites, c] in the shape the Hamiltonian takes."""
    return np.asarray(states, dtype=float).reshape(len(states), *h.state_shape)


@compiled
def _evaluated(h, states):
    return jax.vmap(h)(states)


def evaluated(h, states):
    """The package's energies of configurations [n, n_sites, c]."""
    return np.asarray(_evaluated(h, shaped(h, states)))


def sample(names, shape, terms, monomials, tables=()):
    """A sample on spaces named per site, or by one name for all."""
    n_sites = int(np.prod(shape))
    names = [names] * n_sites if isinstance(names, str) else names
    space = SPACES[names[0]] if len(set(names)) == 1 else product([SPACES[n] for n in names])
    h = Hamiltonian(terms, space=space, shape=shape)
    return Sample(h, [POINTS[n] for n in names], monomials, list(tables))


def _sites(names, n_sites, coefficient, table):
    c = len(POINTS[names if isinstance(names, str) else names[0]][0])
    term = Sites(coefficient, table)
    return sample(names, (n_sites,), {"t": term}, sites_monomials(coefficient, table, c))


def _stencil(names, shape, coefficient, offsets, components=None):
    term = Stencil(coefficient, offsets, components)
    monomials = stencil_monomials(coefficient, offsets, shape, components)
    return sample(names, shape, {"t": term}, monomials)


def _dense(names, n_sites, matrix, blocks=None):
    c = len(POINTS[names if isinstance(names, str) else names[0]][0])
    return sample(
        names, (n_sites,), {"t": Dense(matrix, blocks)}, dense_monomials(matrix, c, blocks)
    )


def _potential(names, n_sites, table, sites):
    k = len(sites[0])
    tables = [
        (table if np.ndim(table) == k else table[row], group) for row, group in enumerate(sites)
    ]
    return sample(names, (n_sites,), {"t": Potential(table, sites)}, [], tables)


def _mixture():
    rng = np.random.default_rng(5)
    names = ["SPIN", "levels(3)", "BINARY", "uneven"]
    matrix, pair = rng.normal(size=(4, 4)), rng.normal(size=(2, 2))
    pair[0, 1] = np.inf
    table = [[0, 3], [1, 1], [2, 3]]
    offsets = [[[0, 0], [0, 1], [1, 1]]]
    terms = {
        "constant": Sites(0.75, np.empty((1, 0), int)),
        "dense": Dense(matrix),
        "hard": Potential(pair, [[2, 0]]),
        "sites": Sites([0.3, -0.4, 0.5], table),
        "stencil": Stencil(0.2, offsets),
    }
    monomials = [
        (0.75, []),
        *dense_monomials(matrix),
        *sites_monomials([0.3, -0.4, 0.5], table),
        *stencil_monomials(0.2, offsets, (2, 2)),
    ]
    return sample(names, (2, 2), terms, monomials, [(pair, [2, 0])])


def samples():
    """Name -> ``Sample``: each kind of term on several spaces, and all kinds together."""
    rng = np.random.default_rng(11)
    normal = lambda *shape: rng.normal(size=shape)
    mixed = ["SPIN", "levels(3)", "BINARY", "uneven"]
    forbidding = normal(2, 3, 3)
    forbidding[1, 0, 2] = forbidding[0, 1, 1] = np.inf
    two_of_three = normal(3, 2)
    two_of_three[2, 0] = np.inf
    return {
        "sites, spins": _sites("SPIN", 5, normal(3), [[0, 1, 3], [4, 2, 2], [1, 1, 1]]),
        "sites, a constant": _sites("BINARY", 2, [0.5, 1.25], np.empty((2, 0), int)),
        "sites, powers": _sites("uneven", 4, normal(3), [[0, 0, 1, 3], [2, 2, 2, 2], [1, 3, 1, 3]]),
        "sites, one coefficient": _sites("spin(1)", 4, 0.7, [[0, 1], [1, 2], [2, 2], [1, 0]]),
        "sites, summed vectors": _sites(
            "potts(3)", 3, normal(2), [[[0, 3], [1, 4], [2, 5]], [[3, 7], [4, 4], [0, 8]]]
        ),
        "sites, summed scalars": _sites(
            "BINARY", 4, normal(2), [[[0, 1], [2, 3]], [[1, 1], [1, 2]]]
        ),
        "sites, mixed": _sites(mixed, 4, normal(3), [[0, 1, 3], [1, 1, 2], [3, 3, 0]]),
        "stencil, isotropic": _stencil("SPIN", (2, 3), -0.6, [[[0, 0], [0, 1]], [[0, 0], [1, 0]]]),
        "stencil, anisotropic": _stencil(
            "spin(1)", (2, 2), normal(2), [[[0, 0], [0, 1], [1, 0]], [[0, 0], [0, 2], [1, 1]]]
        ),
        "stencil, disordered": _stencil(
            "uneven", (3,), normal(2, 3), [[[0], [1], [3]], [[-1], [2], [1]]]
        ),
        "stencil, components": _stencil(
            "potts(3)", (3,), normal(1), [[[0], [1]]], [[0, 1], [2, 2], [1, 0]]
        ),
        "stencil, components, disordered": _stencil(
            "clock(4)", (2, 2), normal(1, 2, 2), [[[0, 0], [0, 1], [1, 2]]], [[0, 1, 0], [1, 1, 1]]
        ),
        "stencil, mixed": _stencil(mixed, (2, 2), normal(1), [[[0, 0], [0, 1], [1, 1], [0, 0]]]),
        "dense": _dense("SPIN", 4, normal(4, 4)),
        "dense, vectors": _dense("clock(4)", 3, normal(3, 3)),
        "dense, mixed": _dense(mixed, 4, normal(4, 4)),
        "dense, blocks": _dense("BINARY", 6, normal(2, 3), (4, 0)),
        "dense, vector blocks": _dense("potts(3)", 4, normal(1, 2), (0, 2)),
        "potential, shared": _potential("BINARY", 4, normal(2, 2), [[0, 1], [3, 1], [2, 3]]),
        "potential, hard": _potential("spin(1)", 4, forbidding, [[3, 0], [1, 2]]),
        "potential, triples": _potential("SPIN", 4, normal(2, 2, 2, 2), [[0, 1, 2], [3, 2, 0]]),
        "potential, vectors": _potential("potts(3)", 3, normal(3, 3), [[0, 1], [2, 0]]),
        "potential, mixed": _potential(
            ["levels(3)", "BINARY", "levels(3)", "SPIN"], 4, two_of_three, [[0, 1], [2, 3], [0, 3]]
        ),
        "all kinds, mixed": _mixture(),
    }


SAMPLES = samples()
