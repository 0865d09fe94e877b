"""Random Hamiltonians, each with the list of monomials it was made from."""

import numpy as np
from hypothesis import strategies as st

from physdl import spaces
from physdl.hamiltonian import Hamiltonian, Sites

SPACES = {
    "SPIN": spaces.SPIN,
    "BINARY": spaces.BINARY,
    "spin(1)": spaces.spin(1),
    "potts(3)": spaces.potts(3),
}


@st.composite
def polynomials(draw, max_sites=5):
    """(name of the space, Hamiltonian, monomials): degree 0 to 5, repeated indices allowed."""
    name = draw(st.sampled_from(sorted(SPACES)))
    space = SPACES[name]
    n_sites = draw(st.integers(1, max_sites))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0]))
    terms, monomials = {}, []
    for degree in sorted(draw(st.sets(st.integers(0, 5), min_size=1, max_size=3))):
        count = int(rng.integers(1, 5))
        table = rng.integers(0, n_sites * space.n_components, size=(count, degree))
        coefficient = scale * rng.normal(size=count)
        terms[f"degree_{degree}"] = Sites(coefficient, table.astype(int))
        monomials += [
            (c, [divmod(int(v), space.n_components) for v in row])
            for c, row in zip(coefficient, table, strict=True)
        ]
    return name, Hamiltonian(terms, space=space, shape=(n_sites,)), monomials
