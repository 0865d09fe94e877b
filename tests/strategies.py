"""Random polynomial Hamiltonians with the list of monomials that an oracle needs.

``hamiltonians()`` draws a ``Sample``; ``examples(n)`` is the one place that says how hypothesis
runs: always the same examples, no time limit on one (the first call of each compiles).
"""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from oracle import POINTS, sites_monomials
from samples import sample

from physdl.hamiltonian import Sites

UNIFORM = ("SPIN", "BINARY", "potts(3)", "spin(1)")
SCALAR = ("SPIN", "BINARY", "spin(1)", "levels(3)", "levels(4)", "uneven")
MOST_STATES = 300


def examples(n):
    """Settings for ``n`` examples."""
    return settings(
        max_examples=n,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@st.composite
def site_names(draw):
    """Names of the spaces of 1 to 5 sites, equal or mixed, with a countable number of states."""
    if draw(st.booleans()):
        return [draw(st.sampled_from(UNIFORM))] * draw(st.integers(1, 5))
    return draw(
        st.lists(st.sampled_from(SCALAR), min_size=2, max_size=5).filter(
            lambda names: np.prod([len(POINTS[n]) for n in names]) <= MOST_STATES
        )
    )


@st.composite
def polynomials(draw, n_variables):
    """Coefficient and table of one ``Sites`` term of degree 0 to 5, indices free to repeat."""
    degree, n = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    n_summed = draw(st.sampled_from([None, None, 1, 2, 3]))
    shape = (n, degree) if n_summed is None else (n, n_summed, degree)
    size = int(np.prod(shape))
    entries = draw(st.lists(st.integers(0, n_variables - 1), min_size=size, max_size=size))
    number = st.floats(-2, 2, allow_subnormal=False)
    shared = draw(st.booleans())
    coefficient = draw(number if shared else st.lists(number, min_size=n, max_size=n))
    return coefficient, np.array(entries, dtype=int).reshape(shape)


@st.composite
def hamiltonians(draw):
    """A sum of one to three random ``Sites`` terms, as a ``Sample``."""
    names = draw(site_names())
    c = len(POINTS[names[0]][0])
    drawn = draw(st.lists(polynomials(len(names) * c), min_size=1, max_size=3))
    terms = {f"term_{i}": Sites(*term) for i, term in enumerate(drawn)}
    monomials = [m for term in drawn for m in sites_monomials(*term, c)]
    return sample(names, (len(names),), terms, monomials)
