"""What is said of a Hamiltonian: symmetries against groups known by construction, counts, range."""

import jax
import numpy as np
import pytest

from physdl import lattices, models, spaces
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.report import identify
from physdl.theory.expressivity import n_parameters

FLIP = "spin flip: both states exchanged at all sites"


def test_a_field_breaks_the_flip_and_disorder_the_lattice():
    box = lattices.square(4, 5)
    free, biased = models.ising(box, 0.4), models.ising(box, 0.4, 0.1)
    glass = models.edwards_anderson(box, 1.0, seed=3)
    moves = {
        f"{what} axis {axis}" for what in ("translation along", "reflection of") for axis in (0, 1)
    }
    assert set(identify(free).symmetries) == {FLIP, *moves}
    assert set(identify(biased).symmetries) == moves
    assert identify(glass).symmetries == (FLIP,)


def test_open_boundaries_have_reflections_alone():
    found = identify(models.ising(lattices.square(4, 4, periodic=False), 0.4)).symmetries
    assert set(found) == {
        FLIP,
        "reflection of axis 0",
        "reflection of axis 1",
        "axes 0 and 1 exchanged",
    }


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda box: models.potts(box, 3, 0.7), {"all 3 states of a site moved on by one",
            "the order of the states reversed", "two states exchanged"}),
        (lambda box: models.clock(box, 5, 0.7), {"all 5 states of a site moved on by one",
            "the order of the states reversed"}),
        (lambda box: models.blume_capel(box, 0.7, 0.3), {"the order of the states reversed"}),
        (lambda box: models.heisenberg(box, 0.7), {"all spins turned alike, O(3)"}),
        (lambda box: models.phi4(box, r=-1.0, u=1.0), {"x to -x"}),
        (lambda box: models.gaussian(box, r=0.0), {"x to -x", "a constant added to all sites"}),
    ],
    ids=["potts", "clock", "blume-capel", "heisenberg", "phi4", "massless"],
)  # fmt: skip
def test_symmetries_of_the_states(make, expected):
    found = identify(make(lattices.chain(6))).symmetries
    assert set(found) - {"translation along axis 0", "reflection of axis 0"} == expected


def test_counts_are_those_of_burnside():
    """The monomials of a complete polynomial, and their orbits, by the lemma."""
    box = lattices.square(3, 3)
    pairs = [[i, j] for i in range(9) for j in range(i)]
    h = Hamiltonian(
        {"pair": Sites(-1.0, pairs), "field": Sites(-0.3, [[i] for i in range(9)])},
        space=spaces.SPIN,
        shape=(3, 3),
    )
    counts = [n for _, n in identify(h).counts]
    assert counts[:3] == [511, n_parameters(9, 2), n_parameters(9, 2)]
    group = [np.roll(np.arange(9).reshape(3, 3), -1, a).reshape(-1) for a in (0, 1)]
    group += [np.arange(9).reshape(3, 3).T.reshape(-1)]
    group += [np.flip(np.arange(9).reshape(3, 3), a).reshape(-1) for a in (0, 1)]
    assert counts[3] == n_parameters(9, 2, group=np.array(group))
    assert box.n_sites == 9


def test_range_wraps_around():
    assert identify(models.ising(lattices.chain(10), 0.4)).range == 1
    far = Hamiltonian({"t": Sites(1.0, [[0, 7], [1, 4]])}, space=spaces.SPIN, shape=(10,))
    assert identify(far).range == 3


def test_large_and_float32():
    big = identify(models.ising(lattices.square(64, 64), 0.44, 0.1))
    assert [n for _, n in big.counts] == ["10^1233.0", 8390656, 3 * 4096, 2]
    single = jax.tree.map(lambda x: x.astype("float32"), models.ising(lattices.square(8, 8), 0.44))
    assert FLIP in identify(single).symmetries and len(identify(single).symmetries) == 6
