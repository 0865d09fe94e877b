import itertools
import math

import jax
import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physdl import lattices
from physdl.errors import LatticeError, SettingError, ShapeError, SpaceError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.lattices import chain, complete, honeycomb, kagome, square, triangular
from physdl.networks import convolutional
from physdl.spaces import BINARY, LINE, SPIN, potts, sphere, spin
from physdl.theory.expressivity import (
    generated_group,
    is_convolution,
    n_coefficients,
    n_generic,
    n_parameters,
)


@pytest.mark.parametrize(
    ("n", "degree", "count"),
    [
        (10, 4, 1001),
        (100, 2, 5151),
        (100, 4, 4_598_126),
        (10**4, 2, 50_015_001),
        (10**6, 2, 500_001_500_001),
    ],
)
def test_coefficients_of_a_polynomial(n, degree, count):
    assert n_coefficients(n, degree) == count


@pytest.mark.parametrize(("n", "degree"), [(1, 3), (3, 4), (4, 2), (5, 0)])
def test_coefficients_by_listing(n, degree):
    powers = itertools.product(range(degree + 1), repeat=n)
    assert n_coefficients(n, degree) == sum(sum(p) <= degree for p in powers)
    assert n_coefficients(n, degree) == 1 + n_parameters(n, degree, space=LINE)


@pytest.mark.parametrize(("n", "v"), [(4, 2), (3, 3), (2, 5)])
def test_a_generic_function_has_all_powers(n, v):
    space = spin((v - 1) / 2)
    assert n_generic(n, v) == v**n - 1 == n_parameters(n, n * (v - 1), space=space)
    assert n_generic(n, v) == n_parameters(n, n, space=potts(v))


def test_bits_are_multilinear():
    assert n_parameters(6, 6, space=BINARY) == 2**6 - 1
    assert n_parameters(6, 3, space=BINARY) == 6 + 15 + 20


@pytest.mark.parametrize("length", [3, 4, 6])
def test_periodic_ising(length):
    box, n = square(length, length), length**2
    quarter = np.rot90(np.arange(n).reshape(length, length)).reshape(1, -1)
    c4 = np.concatenate([box.translations(), quarter])
    assert n_parameters(box, n) == n_generic(n) == 2**n - 1
    assert n_parameters(box, 2) == n * (n + 1) // 2
    assert n_parameters(box, 2, reach=1) == 3 * n
    assert n_parameters(box, 2, reach=1, group=box.translations()) == 3
    assert n_parameters(box, 2, reach=1, group=c4) == 2
    assert n_parameters(box, 2, reach=1, group=c4, spin_flip=True) == 1


def test_one_dimension_quadratic_local_invariant():
    """x, x^2 and x_i x_{i+1}."""
    ring = chain(12)
    assert n_parameters(ring, 2, space=LINE, reach=1, group=ring.translations()) == 3


@pytest.mark.parametrize("lattice", [chain(7), square(3, 4), triangular(4, 4), complete(5)])
def test_locality_caps_the_degree_of_spins(lattice):
    """Mutual neighbours are at most as many as a site has neighbours, and itself."""
    cliques = list(networkx.find_cliques(networkx.Graph(lattice.to_networkx())))
    largest = max(map(len, cliques))
    assert largest <= 1 + lattice.degrees.max()
    counts = [n_parameters(lattice, d, reach=1) for d in range(lattice.n_sites + 1)]
    assert counts[largest - 1] < counts[largest] == counts[-1]


def brute_force(n, degree, powers, group, near, even):
    """Orbits of monomials as sets of exponent tuples, by listing all of both."""
    monomials = set()
    for exponents in itertools.product(range(powers + 1), repeat=n):
        support = [i for i, e in enumerate(exponents) if e]
        if not 1 <= sum(exponents) <= degree or (even and sum(exponents) % 2):
            continue
        if all(near(i, j) for i, j in itertools.combinations(support, 2)):
            monomials.add(exponents)
    return len({min(tuple(m[i] for i in g) for g in group) for m in monomials})


LATTICES = {
    "chain": chain(6),
    "open": lattices.square(2, 4, periodic=False),
    "square": square(3, 3),
    "triangular": triangular(3, 3),
    "honeycomb": honeycomb(2, 2),
}


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("reach", [None, 0, 1, 2])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("space", "powers", "degree"), [(SPIN, 1, 4), (LINE, 3, 3)])
def test_burnside_is_brute_force(name, reach, flip, space, powers, degree):
    lattice = LATTICES[name]
    graph = networkx.Graph(lattice.to_networkx())
    distance = dict(networkx.all_pairs_shortest_path_length(graph))
    near = lambda i, j: reach is None or distance[i].get(j, math.inf) <= reach
    group = lattice.symmetries()
    count = n_parameters(lattice, degree, space=space, reach=reach, group=group, spin_flip=flip)
    rows = group.tolist()
    assert count == brute_force(lattice.n_sites, degree, powers, rows, near, flip)


@pytest.mark.parametrize("space", [SPIN, LINE, spin(1), BINARY, potts(3)], ids=repr)
@pytest.mark.parametrize("name", ["chain", "square"])
def test_symmetrise_leaves_as_many(space, name):
    lattice = LATTICES[name]
    n, c, degree = lattice.n_sites, space.n_components, 3
    rng = np.random.default_rng(1)
    terms = {}
    for d in range(1, degree + 1):
        rows = list(itertools.combinations_with_replacement(range(n * c), d))
        terms[f"degree_{d}"] = Sites(rng.normal(size=len(rows)), rows)
    h = Hamiltonian(terms, space=space, shape=lattice.shape).expand()
    constant = sum(t.table.array.shape[1] == 0 for t in h.terms.values())
    assert h.n_parameters - constant == n_parameters(n, degree, space=space)
    for group in (lattice.translations(), lattice.symmetries()):
        left = h.symmetrise(group).n_parameters - constant
        assert left == n_parameters(lattice, degree, space=space, group=group)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.permutations(range(n)), min_size=1, max_size=3)
    ),
    st.integers(0, 4),
)
def test_any_group_of_permutations(generators, degree):
    n = len(generators[0])
    group = {tuple(range(n))}
    while True:
        more = {tuple(g[i] for i in p) for g in generators for p in group} | group
        if more == group:
            break
        group = more
    elements = generated_group(generators)
    assert sorted(map(tuple, elements.tolist())) == sorted(group)
    assert elements[0].tolist() == list(range(n))
    count = n_parameters(n, degree, space=LINE, group=generators)
    assert count == brute_force(n, degree, degree, sorted(group), lambda i, j: True, False)


def test_all_permutations_leave_the_size_of_the_set():
    """Multilinear symmetric polynomials: one elementary one for each degree."""
    swaps = [[1, 0, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]]
    assert len(generated_group(swaps)) == math.factorial(6)
    assert [n_parameters(6, d, group=swaps) for d in range(7)] == list(range(7))


@pytest.mark.parametrize("lattice", [chain(9), square(4, 6), kagome(3, 3), lattices.ladder(5)])
def test_what_commutes_with_translations_is_a_convolution(lattice):
    rng = np.random.default_rng(5)
    w = rng.normal(size=(lattice.n_sites, lattice.n_sites))
    moves = lattice.translations()
    average = np.mean([w[np.ix_(g, g)] for g in moves], axis=0)
    assert is_convolution(average, lattice)
    assert not is_convolution(w, lattice)
    broken = average.copy()
    broken[0, 0] += 1e-9
    assert not is_convolution(broken, lattice)
    assert is_convolution(broken, lattice, tolerance=1e-6)


def test_a_convolutional_layer_is_a_convolution():
    network, _ = convolutional((4, 5), channels=(), invariant=False, key=jax.random.key(2))
    slope = jax.jacfwd(network)(np.zeros((4, 5))).reshape(20, 20)
    assert is_convolution(slope, square(4, 5))
    assert not is_convolution(np.asarray(slope) * np.arange(20), square(4, 5))


def test_refusals():
    with pytest.raises(SettingError, match="degree is an integer >= 0"):
        n_coefficients(3, -1)
    with pytest.raises(SettingError, match="give a lattice"):
        n_parameters(4, 2, reach=1)
    with pytest.raises(SettingError, match="does not preserve the bonds"):
        n_parameters(chain(5), 2, reach=1, group=[[1, 0, 2, 3, 4]])
    with pytest.raises(ShapeError, match="permutes 4 sites, got 3"):
        n_parameters(4, 2, group=[[0, 1, 2]])
    with pytest.raises(ShapeError, match="permutations of the sites"):
        generated_group([[0, 0, 1]])
    with pytest.raises(SpaceError, match="relations between components"):
        n_parameters(4, 2, space=sphere(2))
    with pytest.raises(SpaceError, match="x -> -x"):
        n_parameters(4, 2, space=BINARY, spin_flip=True)
    with pytest.raises(TooLargeError, match="more than"):
        generated_group([[1, 0, *range(2, 12)], [*range(1, 12), 0]])
    with pytest.raises(ShapeError, match="has shape"):
        is_convolution(np.eye(3), chain(4))
    with pytest.raises(LatticeError, match="periodic axis"):
        is_convolution(np.eye(4), complete(4))
