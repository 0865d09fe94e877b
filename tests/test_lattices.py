import math
from collections import Counter
from itertools import product

import jax
import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import GraphMatcher

from physdl import lattices
from physdl.errors import LatticeError, ShapeError, SupportError, TooLargeError, UnknownNameError
from physdl.lattices import Lattice
from physdl.pytree import Table

PERIODIC = {
    "chain": (lattices.chain(7), 2),
    "square": (lattices.square(5, 4), 4),
    "triangular": (lattices.triangular(4, 5), 6),
    "honeycomb": (lattices.honeycomb(3, 4), 3),
    "kagome": (lattices.kagome(3, 4), 4),
    "cubic": (lattices.cubic(3, 4, 5), 6),
    "hypercubic 4": (lattices.hypercubic(3, 4), 8),
    "hypercubic 5": (lattices.hypercubic((3, 2, 3, 2, 3), 5), 10),
}
BOXES = ["chain", "square", "triangular", "honeycomb", "kagome", "cubic"]
N_AXES = {"chain": 1, "cubic": 3}


def build(name, sizes, periodic):
    return getattr(lattices, name)(*sizes, periodic=periodic)


def all_boxes(least=3, most=5):
    for name in BOXES:
        axes = N_AXES.get(name, 2)
        for sizes in product(range(least, most), repeat=axes):
            for periodic in product((True, False), repeat=axes):
                yield build(name, sizes, periodic)


def assorted():
    """Every constructor, at sizes that are odd, even, small and long."""
    yield from all_boxes(2, 5)
    yield from (lattices.square(n, m) for n in range(2, 8) for m in range(2, 8))
    yield from (lattices.triangular(n, m) for n in range(2, 8) for m in range(2, 8))
    yield from (lattices.ladder(n, legs) for n in (2, 3, 4) for legs in (1, 2, 3))
    yield from (lattices.hypercubic(length, 4) for length in (2, 3))
    yield lattices.chain(1, periodic=False)
    yield lattices.triangular(1, 5, periodic=False)
    yield from (lattices.bethe(z, 3) for z in (2, 3, 5))
    yield from (lattices.complete(n) for n in (1, 2, 5))
    yield lattices.bipartite(3, 4)
    yield lattices.random_regular(30, 3, seed=2)
    yield lattices.diluted(lattices.triangular(6, 6), 0.7)
    yield lattices.diluted(lattices.triangular(6, 6), 0.7, what="sites")
    yield lattices.from_networkx(nx.petersen_graph())
    yield lattices.from_networkx(nx.florentine_families_graph())


def bond_multiset(lattice, image=None):
    bonds = lattice.bonds.array if image is None else image[lattice.bonds.array]
    return Counter(tuple(sorted(bond)) for bond in bonds.tolist())


@pytest.mark.parametrize("name", PERIODIC)
def test_coordination_number_of_periodic_boxes(name):
    lattice, degree = PERIODIC[name]
    assert set(lattice.degrees.tolist()) == {degree}
    assert 2 * lattice.n_bonds == degree * lattice.n_sites
    assert max(bond_multiset(lattice).values()) == (2 if name == "hypercubic 5" else 1)


@pytest.mark.parametrize(
    ("lattice", "degree", "site"),
    [
        (lattices.square(5, 5, periodic=False), 4, 12),
        (lattices.triangular(5, 5, periodic=False), 6, 12),
        (lattices.honeycomb(3, 3, periodic=False), 3, 8),
        (lattices.kagome(3, 3, periodic=False), 4, 12),
        (lattices.cubic(3, 3, 3, periodic=False), 6, 13),
    ],
)
def test_coordination_number_in_the_bulk_of_open_boxes(lattice, degree, site):
    assert lattice.degrees[site] == degree == lattice.degrees.max()
    assert lattice.degrees.min() < degree


@pytest.mark.parametrize("rows", [2, 3, 5])
@pytest.mark.parametrize("cols", [2, 4])
@pytest.mark.parametrize("wrap_rows", [True, False])
@pytest.mark.parametrize("wrap_cols", [True, False])
def test_bond_counts_with_mixed_boundaries(rows, cols, wrap_rows, wrap_cols):
    periodic = (wrap_rows, wrap_cols)
    r, c = rows - (not wrap_rows), cols - (not wrap_cols)
    count = {
        name: build(name, (rows, cols), periodic).n_bonds
        for name in ("square", "triangular", "honeycomb", "kagome")
    }
    assert count["square"] == rows * c + r * cols
    assert count["triangular"] == rows * c + r * cols + r * c
    assert count["honeycomb"] == rows * cols + rows * c + r * cols
    assert count["kagome"] == 3 * rows * cols + rows * c + r * cols + r * c


def test_a_periodic_axis_of_length_two_doubles_its_bonds():
    assert bond_multiset(lattices.chain(2)) == {(0, 1): 2}
    assert bond_multiset(lattices.square(2, 3, periodic=(True, False))) == {
        **dict.fromkeys([(0, 1), (1, 2), (3, 4), (4, 5)], 1),
        **dict.fromkeys([(0, 3), (1, 4), (2, 5)], 2),
    }
    assert set(bond_multiset(lattices.hypercubic(2, 3)).values()) == {2}
    assert set(bond_multiset(lattices.honeycomb(2, 2)).values()) == {1}


def neighbours_at_distance_one(lattice):
    """Pairs of sites at distance 1, counted once per image of the box; independent of bonds."""
    positions = np.asarray(lattice.positions)
    around = [
        length * np.array(v)
        for length, v in zip(lattice.shape[: lattice.dim], lattice.cell.primitive, strict=True)
    ]
    shifts = [(-1, 0, 1) if wraps else (0,) for wraps in lattice.periodic]
    pairs = Counter()
    for shift in product(*shifts):
        image = positions + sum(s * v for s, v in zip(shift, around, strict=True))
        distance = np.linalg.norm(positions[:, None] - image[None], axis=-1)
        near = np.argwhere(np.abs(distance - 1) < 1e-9)
        pairs.update((int(i), int(j)) for i, j in near if i < j)
    return pairs


@pytest.mark.parametrize("lattice", list(all_boxes()), ids=repr)
def test_bonds_are_the_pairs_at_unit_distance(lattice):
    assert bond_multiset(lattice) == neighbours_at_distance_one(lattice)


def test_no_two_sites_are_drawn_closer_than_a_bond():
    for lattice in all_boxes():
        x = np.asarray(lattice.positions)
        distance = np.linalg.norm(x[:, None] - x[None], axis=-1) + 9 * np.eye(len(x))
        assert distance.min() > 1 - 1e-9


def test_rows_run_downwards_and_columns_to_the_right():
    positions = lattices.square(2, 3).positions
    assert positions.tolist() == [[0, 0], [1, 0], [2, 0], [0, -1], [1, -1], [2, -1]]
    assert lattices.triangular(2, 2).positions[2] == pytest.approx([0.5, -math.sqrt(3) / 2])
    assert lattices.complete(3).positions is None


@pytest.mark.parametrize(
    ("lattice", "graph"),
    [
        (lattices.chain(6), nx.cycle_graph(6)),
        (lattices.chain(6, periodic=False), nx.path_graph(6)),
        (lattices.ladder(5, periodic=False), nx.ladder_graph(5)),
        (lattices.ladder(5), nx.circular_ladder_graph(5)),
        (lattices.square(4, 5), nx.grid_graph((5, 4), periodic=True)),
        (lattices.square(4, 5, periodic=False), nx.grid_2d_graph(4, 5)),
        (lattices.cubic(3, 4, 2, periodic=False), nx.grid_graph((3, 4, 2))),
        (lattices.hypercubic(3, 3), nx.grid_graph((3, 3, 3), periodic=True)),
        (lattices.hypercubic(2, 4, periodic=False), nx.hypercube_graph(4)),
        (lattices.triangular(3, 3), nx.complete_multipartite_graph(3, 3, 3)),
        (lattices.triangular(2, 6, periodic=False), nx.power(nx.path_graph(12), 2)),
        (lattices.honeycomb(2, 2), nx.cubical_graph()),
        (lattices.honeycomb(3, 3), nx.pappus_graph()),
        (lattices.bethe(2, 4), nx.path_graph(9)),
        (lattices.bethe(4, 1), nx.star_graph(4)),
        (lattices.complete(6), nx.complete_graph(6)),
        (lattices.bipartite(3, 5), nx.complete_bipartite_graph(3, 5)),
    ],
)
def test_isomorphic_to_networkx(lattice, graph):
    assert nx.is_isomorphic(lattice.to_networkx(), graph)


def test_kagome_is_the_line_graph_of_honeycomb():
    for sizes in ((3, 3), (3, 4)):
        medial = nx.line_graph(lattices.honeycomb(*sizes).to_networkx())
        assert nx.is_isomorphic(lattices.kagome(*sizes).to_networkx(), medial)


@pytest.mark.parametrize(("z", "depth"), [(3, 1), (3, 4), (4, 3), (6, 2)])
def test_bethe_joins_balanced_trees(z, depth):
    lattice = lattices.bethe(z, depth)
    branch = nx.balanced_tree(z - 1, depth - 1)
    tree = nx.join_trees([(branch, 0)] * z)
    assert nx.is_isomorphic(lattice.to_networkx(), tree)
    leaves = z * (z - 1) ** (depth - 1)
    assert Counter(lattice.degrees.tolist()) == {1: leaves, z: lattice.n_sites - leaves}
    shells = nx.single_source_shortest_path_length(lattice.to_networkx(), 0)
    assert [shells[site] for site in range(lattice.n_sites)] == sorted(shells.values())


def test_triangle_counts():
    def per_site(lattice):
        return sum(nx.triangles(lattice.to_networkx()).values()) / 3 / lattice.n_sites

    assert per_site(lattices.triangular(5, 6)) == 2
    assert per_site(lattices.kagome(3, 4)) == pytest.approx(2 / 3, rel=1e-15)
    assert per_site(lattices.square(5, 5)) == per_site(lattices.honeycomb(4, 4)) == 0


def test_every_colouring_is_proper_and_uses_all_its_colours():
    for lattice in assorted():
        first, second = lattice.bonds.array.T
        colours = lattice.colouring
        assert colours.shape == (lattice.n_sites,)
        assert not np.any(colours[first] == colours[second]), lattice
        assert set(colours.tolist()) == set(range(lattice.n_colours))


def test_bipartite_exactly_where_networkx_says_so():
    verdicts = Counter()
    for lattice in assorted():
        expected = nx.is_bipartite(lattice.to_networkx())
        assert lattice.is_bipartite == expected
        assert (lattice.n_colours <= 2) == expected
        verdicts[expected] += 1
    assert min(verdicts.values()) > 20
    assert lattices.honeycomb(3, 3).is_bipartite
    assert not lattices.triangular(4, 4).is_bipartite
    assert not lattices.triangular(4, 4, periodic=False).is_bipartite


@pytest.mark.parametrize(
    ("lattice", "n_colours"),
    [
        (lattices.chain(4), 2),
        (lattices.chain(5), 3),
        (lattices.square(6, 4), 2),
        (lattices.square(5, 4), 3),
        (lattices.square(7, 7), 3),
        (lattices.cubic(3, 5, 7), 3),
        (lattices.triangular(6, 9), 3),
        (lattices.triangular(5, 5, periodic=False), 3),
        (lattices.triangular(4, 4), 4),
        (lattices.triangular(2, 3), 6),
        (lattices.honeycomb(3, 5), 2),
        (lattices.kagome(3, 5), 3),
        (lattices.complete(5), 5),
        (lattices.random_regular(200, 3), 3),
        (lattices.from_networkx(nx.petersen_graph()), 3),
        (lattices.from_networkx(nx.mycielski_graph(4)), 4),
    ],
)
def test_number_of_colours(lattice, n_colours):
    assert lattice.n_colours == n_colours


@given(rows=st.integers(2, 40), cols=st.integers(2, 40))
def test_triangular_tori_need_no_more_than_six_colours(rows, cols):
    lattice = lattices.triangular(rows, cols)
    assert lattice.n_colours <= (5 if min(rows, cols) > 2 else 6)


@pytest.mark.parametrize("name", PERIODIC)
def test_offsets_give_the_bonds(name):
    lattice = PERIODIC[name][0]
    if name in ("honeycomb", "kagome"):
        assert lattice.offsets is None
        return
    cells = list(product(*map(range, lattice.shape)))
    offsets = lattice.offsets.array
    assert offsets.shape == (lattice.n_bonds // lattice.n_sites, lattice.dim)
    for number, bond in enumerate(lattice.bonds.array.tolist()):
        direction, cell = divmod(number, lattice.n_sites)
        end = (np.array(cells[cell]) + offsets[direction]) % lattice.shape
        assert bond == [cell, cells.index(tuple(end.tolist()))]


def test_offsets_follow_the_order_of_the_conventions():
    assert lattices.square(3, 4).offsets.array.tolist() == [[0, 1], [1, 0]]
    assert lattices.triangular(3, 4).offsets.array.tolist() == [[0, 1], [1, 0], [1, -1]]
    assert lattices.cubic(2, 3, 4).offsets.array.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    for lattice in (
        lattices.square(3, 4, periodic=(True, False)),
        lattices.ladder(4),
        lattices.complete(4),
    ):
        assert lattice.offsets is None


@pytest.mark.parametrize("name", BOXES)
def test_open_boxes_keep_the_bond_order(name):
    sizes = (4,) * N_AXES.get(name, 2)
    opened = build(name, sizes, False).bonds.array.tolist()
    remaining = iter(build(name, sizes, True).bonds.array.tolist())
    assert all(bond in remaining for bond in opened)


def test_shapes_and_numbering():
    assert lattices.chain(3).shape == (3,)
    assert lattices.ladder(4, 3).shape == (4, 3)
    assert lattices.ladder(4, 3).periodic == (True, False)
    assert lattices.honeycomb(2, 3).shape == (2, 3, 2)
    assert lattices.kagome(2, 3).shape == (2, 3, 3)
    assert lattices.kagome(2, 3).dim == 2
    assert lattices.bethe(3, 2).shape == (10,)
    assert lattices.bethe(3, 2).periodic == ()
    assert lattices.hypercubic((3, 4)).bonds == lattices.square(3, 4).bonds


def test_equal_lattices_share_a_compilation_and_are_structure():
    traces = []

    @jax.jit
    def n_sites(lattice):
        traces.append(lattice)
        return lattice.n_sites

    assert lattices.square(3, 4) == lattices.square(3, 4) != lattices.square(4, 3)
    assert hash(lattices.kagome(3, 4)) == hash(lattices.kagome(3, 4))
    assert n_sites(lattices.square(3, 4)) == n_sites(lattices.square(3, 4)) == 12
    assert len(traces) == 1
    assert jax.tree.leaves(lattices.square(3, 4)) == []


def test_kept_arrays_are_read_only():
    lattice = lattices.square(3, 4)
    for array in (lattice.colouring, lattice.degrees, lattice.positions):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_translations_shift_each_periodic_axis():
    x = np.arange(24).reshape(3, 4, 2)
    group = lattices.honeycomb(3, 4).translations()
    assert group.shape == (12, 24)
    for g, (r, c) in enumerate(product(range(3), range(4))):
        assert np.array_equal(group[g], np.roll(x, (-r, -c), axis=(0, 1)).reshape(-1))
    assert lattices.square(3, 4, periodic=(False, True)).translations().shape == (4, 12)
    assert lattices.bethe(3, 2).translations().tolist() == [list(range(10))]


SPACE_GROUPS = [
    (lattices.chain(6), 12),
    (lattices.chain(6, periodic=False), 2),
    (lattices.square(5, 5), 200),
    (lattices.square(3, 5), 60),
    (lattices.square(4, 4, periodic=False), 8),
    (lattices.square(3, 5, periodic=False), 4),
    (lattices.square(5, 4, periodic=(True, False)), 20),
    (lattices.ladder(5), 20),
    (lattices.triangular(5, 5), 300),
    (lattices.triangular(4, 4, periodic=False), 4),
    (lattices.honeycomb(4, 4), 192),
    (lattices.kagome(3, 3), 108),
    (lattices.cubic(3, 3, 3), 1296),
    (lattices.cubic(2, 2, 2, periodic=False), 48),
]


@pytest.mark.parametrize(("lattice", "order"), SPACE_GROUPS, ids=repr)
def test_space_group_has_the_known_order_and_preserves_the_bonds(lattice, order):
    group = lattice.symmetries()
    assert group.shape == (order, lattice.n_sites)
    assert np.array_equal(group[0], np.arange(lattice.n_sites))
    for image in group[:: max(1, order // 50)]:
        assert bond_multiset(lattice, image) == bond_multiset(lattice)


@pytest.mark.parametrize(
    "lattice",
    [
        *(lattice for lattice, order in SPACE_GROUPS if order <= 300),
        lattices.square(2, 4),
        lattices.triangular(2, 4),
        lattices.triangular(3, 6),
        lattices.triangular(4, 3, periodic=(True, False)),
        lattices.honeycomb(3, 2, periodic=(True, False)),
        lattices.kagome(3, 2, periodic=False),
    ],
    ids=repr,
)
def test_symmetries_form_a_group_that_contains_the_translations(lattice):
    group = lattice.symmetries()
    elements = set(map(tuple, group.tolist()))
    assert len(elements) == len(group)
    translations = lattice.translations()
    assert np.array_equal(group[: len(translations)], translations)
    products = np.unique(group[:, group].reshape(-1, lattice.n_sites), axis=0)
    assert set(map(tuple, products.tolist())) == elements


@pytest.mark.parametrize(
    "lattice",
    [
        lattices.square(5, 5),
        lattices.square(3, 5, periodic=False),
        lattices.triangular(5, 5),
        lattices.triangular(3, 4, periodic=False),
        lattices.honeycomb(4, 5),
        lattices.kagome(3, 4),
    ],
    ids=repr,
)
def test_symmetries_are_all_the_automorphisms_where_geometry_has_them_all(lattice):
    graph = lattice.to_networkx()
    found = {
        tuple(mapping[site] for site in range(lattice.n_sites))
        for mapping in GraphMatcher(graph, graph).isomorphisms_iter()
    }
    assert set(map(tuple, lattice.symmetries().tolist())) == found


@pytest.mark.parametrize("lattice", [lattices.square(3, 4), lattices.complete(5)], ids=repr)
def test_networkx_round_trip(lattice):
    graph = lattice.to_networkx()
    assert type(graph) is nx.Graph
    assert bond_multiset(lattices.from_networkx(graph)) == bond_multiset(lattice)


def test_networkx_multigraph_keeps_doubled_bonds_and_node_order():
    doubled = lattices.square(2, 3)
    graph = doubled.to_networkx()
    assert type(graph) is nx.MultiGraph
    assert bond_multiset(lattices.from_networkx(graph)) == bond_multiset(doubled)
    named = nx.Graph([("z", "a"), ("a", (1, 2))])
    assert lattices.from_networkx(named).bonds.array.tolist() == [[0, 1], [1, 2]]


def test_scipy_round_trip():
    for lattice in (lattices.kagome(3, 3), lattices.bethe(3, 3), lattices.square(2, 3)):
        matrix = lattice.to_scipy_sparse()
        dense = np.zeros((lattice.n_sites, lattice.n_sites))
        for i, j in lattice.bonds.array:
            dense[i, j] += 1
            dense[j, i] += 1
        assert np.array_equal(matrix.toarray(), dense)
        back = lattices.from_scipy_sparse(matrix)
        assert set(bond_multiset(back)) == set(bond_multiset(lattice))
        assert set(bond_multiset(back).values()) == {1}


def test_scipy_values_are_not_used_and_stored_zeros_are_no_bonds():
    rows, columns = [0, 1, 1, 2], [1, 0, 2, 1]
    matrix = scipy.sparse.coo_array(([0.5, -3.0, 0.0, 0.0], (rows, columns)), shape=(3, 3))
    lattice = lattices.from_scipy_sparse(matrix)
    assert (lattice.n_sites, lattice.bonds.array.tolist()) == (3, [[0, 1]])


@pytest.mark.parametrize("degree", [1, 4, 24, 25, 45])
def test_random_regular_is_simple_regular_and_reproducible(degree):
    lattice = lattices.random_regular(50, degree, seed=3)
    assert set(lattice.degrees.tolist()) == {degree}
    assert set(bond_multiset(lattice).values()) == {1}
    assert lattice == lattices.random_regular(50, degree, seed=3)
    assert lattice != lattices.random_regular(50, degree, seed=4)
    assert bond_multiset(lattices.random_regular(6, 5)) == bond_multiset(lattices.complete(6))


@pytest.mark.parametrize("keep", [0.25, 0.7])
def test_dilution_keeps_the_binomial_number(keep):
    box = lattices.square(200, 200)
    bonds, sites = lattices.diluted(box, keep), lattices.diluted(box, keep, what="sites")
    for kept, total in ((bonds.n_bonds, box.n_bonds), (sites.n_sites, box.n_sites)):
        assert abs(kept - keep * total) < 4 * math.sqrt(total * keep * (1 - keep))
    pairs = keep**2 * box.n_bonds
    assert abs(sites.n_bonds - pairs) < 6 * math.sqrt(pairs)
    assert bonds == lattices.diluted(box, keep)
    assert bonds != lattices.diluted(box, keep, seed=1)


def test_diluted_bonds_keep_the_box_and_are_nested():
    box = lattices.triangular(5, 6)
    few, many = lattices.diluted(box, 0.3), lattices.diluted(box, 0.6)
    assert set(bond_multiset(few)) < set(bond_multiset(many)) < set(bond_multiset(box))
    assert few.shape == box.shape
    assert np.array_equal(few.positions, box.positions)
    assert few.translations().shape == (1, 30)
    assert lattices.diluted(box, 1).bonds == box.bonds
    assert few.offsets is None


def test_diluted_sites_are_an_induced_subgraph_numbered_in_order():
    box = lattices.square(4, 5)
    random = np.random.default_rng(7).random(box.n_sites)
    kept = np.flatnonzero(random < 0.6)
    expected = nx.convert_node_labels_to_integers(box.to_networkx().subgraph(kept.tolist()))
    lattice = lattices.diluted(box, 0.6, 7, "sites")
    assert lattice.shape == (len(kept),)
    assert nx.utils.graphs_equal(lattice.to_networkx(), expected)


@pytest.mark.parametrize("size", [0, -3, 3.5, 3.0, True, "4", None])
def test_sizes_are_positive_integers(size):
    for make in (
        lattices.chain,
        lattices.ladder,
        lambda n: lattices.ladder(3, n),
        lambda n: lattices.square(n, 4),
        lambda n: lattices.triangular(4, n),
        lambda n: lattices.honeycomb(n, 4),
        lambda n: lattices.kagome(4, n),
        lambda n: lattices.cubic(4, 4, n),
        lambda n: lattices.hypercubic(n, 3),
        lambda n: lattices.hypercubic(3, n),
        lambda n: lattices.hypercubic((3, n)),
        lambda n: lattices.bethe(3, n),
        lambda n: lattices.bethe(n, 3),
        lattices.complete,
        lambda n: lattices.bipartite(n, 2),
        lambda n: lattices.bipartite(2, n),
        lambda n: lattices.random_regular(n, 2),
        lambda n: lattices.random_regular(8, n),
    ):
        with pytest.raises(LatticeError):
            make(size)


def test_numpy_integers_are_sizes():
    assert lattices.square(np.int64(3), np.int32(4)) == lattices.square(3, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lattices.chain(1), "periodic axis 0 of a hypercubic lattice.*>= 2, got 1"),
        (lambda: lattices.square(3, 1, periodic=(False, True)), "periodic axis 1 of a square"),
        (lambda: lattices.square(3, 3, periodic=(True,)), "tuple of 2"),
        (lambda: lattices.square(3, 3, periodic=(1, 0)), "tuple of 2"),
        (lambda: lattices.square(3, 3, periodic=None), "tuple of 2"),
        (lambda: lattices.ladder(3, periodic="yes"), "periodic must be"),
        (lambda: lattices.hypercubic(3), "dim of a hypercubic"),
        (lambda: lattices.hypercubic((3, 3), dim=3), "2 lengths"),
        (lambda: lattices.hypercubic(()), "1 to 32 axes, got 0"),
        (lambda: lattices.hypercubic(1, 10**9, periodic=False), "1 to 32 axes"),
        (lambda: lattices.square(10**6, 10**6), r"1e\+12 sites"),
        (lambda: lattices.kagome(20000, 20000), r"1.2e\+09 sites"),
        (lambda: lattices.hypercubic(2, 32), "sites"),
        (lambda: lattices.bethe(3, 10**9), "sites"),
        (lambda: lattices.bethe(2, 10**9), "sites"),
        (lambda: lattices.complete(10**5), r"5e\+09 bonds"),
        (lambda: lattices.bipartite(10**5, 10**5), "bonds"),
        (lambda: lattices.random_regular(10**9, 4), "bonds"),
        (lambda: lattices.bethe(1, 2), "coordination.*>= 2, got 1"),
        (lambda: lattices.random_regular(5, 3), "even, got n=5 and degree=3"),
        (lambda: lattices.random_regular(4, 4), "degree < n"),
        (lambda: lattices.random_regular(4, 3, seed=-1), "seed"),
        (lambda: lattices.diluted(lattices.chain(4), 1.5), "keep.*got 1.5"),
        (lambda: lattices.diluted(lattices.chain(4), math.nan), "keep.*got nan"),
        (lambda: lattices.diluted(lattices.chain(4), "half"), "keep.*got 'half'"),
        (lambda: lattices.diluted(lattices.chain(4), 0.5, seed=0.5), "seed"),
        (lambda: lattices.diluted(lattices.chain(4), 0.0, what="sites"), "no site of 4"),
        (lambda: lattices.from_networkx(nx.DiGraph([(0, 1)])), "undirected.*DiGraph"),
        (lambda: lattices.from_networkx([(0, 1)]), "got list"),
        (lambda: lattices.from_networkx(nx.Graph()), "without nodes"),
        (lambda: lattices.from_networkx(nx.Graph([(0, 1), (1, 1)])), "site 1 to itself"),
        (lambda: lattices.from_scipy_sparse(np.eye(2)), "got ndarray"),
        (lambda: lattices.from_scipy_sparse(scipy.sparse.csr_array((0, 0))), "empty"),
        (lambda: lattices.from_scipy_sparse(scipy.sparse.eye_array(2)), "site 0 to itself"),
        (
            lambda: lattices.from_scipy_sparse(scipy.sparse.csr_array([[0, 1], [0, 0]])),
            "symmetric",
        ),
        (lambda: lattices.complete(3).symmetries(), "needs a box lattice"),
        (lambda: lattices.diluted(lattices.chain(4), 0.5).symmetries(), "needs a box lattice"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(LatticeError, match=message):
        make()


def test_refusals_of_other_kinds():
    with pytest.raises(ShapeError, match=r"square.*\(2, 3\)"):
        lattices.from_scipy_sparse(scipy.sparse.csr_array((2, 3)))
    with pytest.raises(UnknownNameError, match="did you mean 'bonds'"):
        lattices.diluted(lattices.chain(4), 0.5, what="bond")
    with pytest.raises(ShapeError, match="n_bonds, 2"):
        Lattice(3, Table([0, 1]), dim=0, shape=(3,))
    with pytest.raises(ShapeError, match="4 sites and not 3"):
        Lattice(3, Table([[0, 1]]), dim=0, shape=(2, 2))
    for bond in ([0, 3], [-1, 0]):
        with pytest.raises(SupportError, match=r"sites are 0, \.\.\., 2"):
            Lattice(3, Table([bond]), dim=0, shape=(3,))
    with pytest.raises(TooLargeError, match="translations"):
        lattices.square(512, 512).translations()
    with pytest.raises(TooLargeError, match="symmetries"):
        lattices.square(512, 512).symmetries()
    with pytest.raises(TooLargeError, match="symmetries"):
        lattices.square(65, 65).symmetries()
    with pytest.raises(TooLargeError, match="8 axes, got 9"):
        lattices.hypercubic(2, 9).symmetries()


def test_a_large_box_is_built_and_coloured_in_memory_order():
    lattice = lattices.triangular(512, 512)
    assert lattice.n_bonds == 3 * 512**2
    first, second = lattice.bonds.array.T
    assert not np.any(lattice.colouring[first] == lattice.colouring[second])
    assert lattice.n_colours == 4
