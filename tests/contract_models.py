"""The models of the estimator contracts, small enough for enumeration. Add a row to MODELS."""

import numpy as np

from physdl import lattices, models, spaces
from physdl.hamiltonian import Hamiltonian, Potential, Sites, Stencil

RNG = np.random.default_rng(7)


def random_bonds(lattice):
    return RNG.normal(size=len(lattice.bonds.array))


def glass(lattice, scale=1.0):
    return models.ising(
        lattice, scale * random_bonds(lattice), scale * RNG.normal(size=lattice.n_sites)
    )


def mixed():
    space = spaces.product([spaces.levels(q) for q in (2, 3, 2, 4, 3, 2)])
    pair = Potential(RNG.normal(size=(1, 2, 3)), [[0, 1]])
    triple = Potential(RNG.normal(size=(1, 2, 4, 3)), [[2, 3, 4]])
    last = Potential(RNG.normal(size=(2, 3, 2)), [[4, 5], [1, 2]])
    return Hamiltonian({"a": pair, "b": triple, "c": last}, space=space, shape=(2, 3))


def hard_squares(rows, cols):
    lattice = lattices.square(rows, cols, periodic=False)
    exclusion = Potential([[0.0, 0.0], [0.0, np.inf]], lattice.bonds)
    activity = Sites(-0.3, np.arange(lattice.n_sites)[:, None])
    terms = {"exclusion": exclusion, "activity": activity}
    return Hamiltonian(terms, space=spaces.BINARY, shape=lattice.shape)


def zero_field(lattice, scale=1.0):
    return models.ising(lattice, scale * random_bonds(lattice))


PLAQUETTE = Stencil(RNG.normal(size=(1, 4, 3)), [[[0, 0], [0, 1], [1, 0], [1, 1]]])

MODELS = {
    "ising torus": models.ising(lattices.square(4, 4), 0.44),
    "ising 2 x 3 torus with field": models.ising(lattices.square(2, 3), 0.3, 0.2),
    "glass cylinder": glass(lattices.square(4, 3, periodic=(True, False))),
    "glass triangular": glass(lattices.triangular(4, 3)),
    "glass honeycomb": glass(lattices.honeycomb(2, 3)),
    "glass kagome": glass(lattices.kagome(2, 2, periodic=False)),
    "glass ladder": glass(lattices.ladder(6, periodic=False)),
    "glass cubic": glass(lattices.cubic(2, 2, 3)),
    "frozen glass": glass(lattices.square(3, 4), 300.0),
    "random regular graph": glass(lattices.random_regular(10, 3)),
    "complete graph": models.sherrington_kirkpatrick(10, 1.0, 0.3),
    "three-spin": models.p_spin(9, 3),
    "potts": models.potts(lattices.square(3, 3), 3, 0.9, [0.1, 0.0, -0.2]),
    "clock": models.clock(lattices.square(3, 3, periodic=False), 4, 0.7, 0.1),
    "blume-capel": models.blume_capel(lattices.square(3, 3), 0.5, 0.2, biquadratic=0.3),
    "ashkin-teller": models.ashkin_teller(lattices.square(2, 3), 0.3, 0.2),
    "plaquettes": Hamiltonian({"p": PLAQUETTE}, space=spaces.SPIN, shape=(4, 3)),
    "mixed levels": mixed(),
    "hard squares": hard_squares(3, 4),
    "rbm": models.rbm(RNG.normal(size=(5, 4)), 0.1, 0.2),
    "free spins": models.ising(lattices.chain(6), 0.0, 0.4),
    "zero-field glass": zero_field(lattices.square(4, 4, periodic=False)),
    "zero-field cylinder": zero_field(lattices.square(5, 3, periodic=(True, False)), 2.0),
    "zero-field triangles": zero_field(lattices.triangular(4, 4, periodic=False)),
    "zero-field honeycomb": zero_field(lattices.honeycomb(2, 4, periodic=False)),
    "zero-field torus": zero_field(lattices.square(3, 5), 2.0),
    "zero-field triangular torus": zero_field(lattices.triangular(4, 3)),
    "zero-field kagome torus": zero_field(lattices.kagome(2, 2)),
    "tree": zero_field(lattices.bethe(3, 2), 10.0),
    "two-state potts": models.potts(lattices.square(3, 4, periodic=False), 2, 0.8),
    "one site": models.ising(lattices.chain(1, periodic=False), 0.0, 0.4),
}
