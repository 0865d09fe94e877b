"""The Kac-Ward determinant against tensor contraction and transfer matrices, and its refusals."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from physdl import estimators, lattices, models, reference, spaces
from physdl.errors import SettingError, SpaceError, StructureError, TooLargeError
from physdl.estimators import Contraction, Planar, Status, TransferMatrix
from physdl.hamiltonian import Hamiltonian, Potential, Sites

CONTRACTION = Contraction()


def triangulation(rng, n):
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    for corners in Delaunay(rng.random((n, 2))).simplices.tolist():
        graph.add_edges_from(zip(corners, np.roll(corners, 1).tolist(), strict=True))
    return graph


def glass(lattice, rng, scale=1.0):
    return models.ising(lattice, scale * rng.normal(size=lattice.n_bonds))


def agree(h, method=CONTRACTION, **tolerance):
    out = Planar()(h)
    assert Status(int(out.status)) is Status.OK
    np.testing.assert_allclose(out.log_z, method(h).log_z, **({"rtol": 1e-12} | tolerance))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(4, 40), kept=st.floats(0.2, 1.0))
def test_random_planar_graphs(seed, n, kept):
    """Triangulations with edges removed: bridges, trees, isolated sites, several parts."""
    rng = np.random.default_rng(seed)
    graph = triangulation(rng, n)
    graph.remove_edges_from([e for e in list(graph.edges) if rng.random() > kept])
    agree(glass(lattices.from_networkx(graph), rng), atol=1e-11)


@pytest.mark.parametrize(
    "graph",
    [nx.star_graph(40), nx.wheel_graph(30), nx.path_graph(200), nx.complete_graph(4),
     nx.balanced_tree(3, 4), nx.dodecahedral_graph(),
     nx.disjoint_union_all([nx.cycle_graph(5)] * 6)],
    ids=["star", "wheel", "path", "tetrahedron", "tree", "dodecahedron", "cycles"],
)  # fmt: skip
def test_graphs_with_hubs_and_parts(graph):
    agree(glass(lattices.from_networkx(graph), np.random.default_rng(1)))


@pytest.mark.parametrize("length", [40, 400])
def test_long_cylinders(length):
    lattice = lattices.square(length, 8, periodic=(False, True))
    agree(glass(lattice, np.random.default_rng(2)), TransferMatrix(axis=0), rtol=1e-13)


CRITICAL = 0.5 * np.log1p(np.sqrt(2.0))


@pytest.mark.parametrize("coupling", [0.1, CRITICAL, 0.7, 3.0, -0.3, -CRITICAL])
@pytest.mark.parametrize("shape", [(3, 3), (4, 4), (5, 3), (7, 8)])
def test_torus_against_kaufman(shape, coupling):
    lattice = lattices.square(*shape)
    log_z = lambda k: Planar()(models.ising(lattice, k)).log_z
    exact = lambda k: reference.kaufman_log_z(*shape, k)
    np.testing.assert_allclose(log_z(coupling), exact(coupling), rtol=1e-13)
    np.testing.assert_allclose(jax.grad(log_z)(coupling), jax.grad(exact)(coupling), rtol=1e-10)


@pytest.mark.slow
def test_specific_heat_of_the_critical_torus():
    """One of the four Pfaffians vanishes there; Kaufman's formula beside the point, and on it."""
    lattice = lattices.square(4, 4)
    second = jax.jit(jax.grad(jax.grad(lambda k: Planar()(models.ising(lattice, k)).log_z)))
    exact = jax.grad(jax.grad(lambda k: reference.kaufman_log_z(4, 4, k)))
    enumerated = jax.grad(
        jax.grad(lambda k: estimators.Enumeration()(models.ising(lattice, k)).log_z)
    )
    np.testing.assert_allclose(second(CRITICAL), enumerated(CRITICAL), rtol=1e-10)
    np.testing.assert_allclose(second(0.43), exact(0.43), rtol=1e-10)


@pytest.mark.parametrize("make", [lattices.square, lattices.triangular, lattices.honeycomb])
def test_frustrated_tori(make):
    rng = np.random.default_rng(10)
    for scale in (0.5, 1.0, 2.0):
        agree(glass(make(3, 4), rng, scale), rtol=1e-9)


@pytest.mark.slow
def test_a_hundred_by_a_hundred_in_both_directions():
    """The determinant taken along the rows and, for the transposed lattice, along the columns."""
    rng = np.random.default_rng(3)
    down, right = rng.normal(size=(99, 100)), rng.normal(size=(100, 99))

    def log_z(down, right):
        n_rows, n_columns = right.shape[0], down.shape[1]
        site = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
        pairs = [(site[:-1], site[1:]), (site[:, :-1], site[:, 1:])]
        bonds = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])
        coupling = -np.concatenate([down.ravel(), right.ravel()])
        h = Hamiltonian({"b": Sites(coupling, bonds)}, space=spaces.SPIN, shape=site.shape)
        return Planar()(h).log_z

    assert float(log_z(down, right)) == pytest.approx(float(log_z(right.T, down.T)), rel=1e-13)


def test_a_field_on_the_sites_of_one_face():
    lattice = lattices.square(4, 4, periodic=False)
    rng = np.random.default_rng(4)
    rim = np.array([0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 14, 15])
    field = Sites(rng.normal(size=len(rim)), rim[:, None])
    bonds = Sites(rng.normal(size=lattice.n_bonds), lattice.bonds)
    h = Hamiltonian({"b": bonds, "f": field}, space=spaces.SPIN, shape=lattice.shape)
    agree(h)
    inside = Sites(0.5, [[5]])
    with pytest.raises(StructureError, match="without crossings"):
        Planar()(Hamiltonian({**h.terms, "i": inside}, space=spaces.SPIN, shape=lattice.shape))


def test_a_field_on_a_long_ladder_keeps_small_blocks():
    lattice = lattices.ladder(100, periodic=False)
    rng = np.random.default_rng(5)
    h = models.ising(lattice, rng.normal(size=lattice.n_bonds), rng.normal(size=200))
    agree(h, TransferMatrix())
    assert Planar().blocks(h).width < 60


def test_tables_and_other_two_state_spaces():
    rng = np.random.default_rng(6)
    lattice = lattices.square(3, 4, periodic=False)
    a, b = rng.normal(size=(2, lattice.n_bonds))
    even = np.stack([np.stack([a, b], axis=1), np.stack([b, a], axis=1)], axis=2)
    for space in (spaces.SPIN, spaces.BINARY, spaces.potts(2), spaces.levels(2)):
        agree(Hamiltonian({"t": Potential(even, lattice.bonds)}, space=space, shape=(3, 4)))


def test_derivatives_are_bond_correlations():
    rng = np.random.default_rng(7)
    lattice = lattices.triangular(3, 4, periodic=False)
    coupling = rng.normal(size=lattice.n_bonds)

    def derivatives(method):
        gradient = jax.grad(lambda k: method(models.ising(lattice, k)).log_z)
        return jax.jit(lambda k: jax.jvp(gradient, (k,), (jnp.ones_like(k),)))(coupling)

    for ours, theirs in zip(derivatives(Planar()), derivatives(CONTRACTION), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_no_coupling_is_differentiable():
    lattice = lattices.square(3, 3, periodic=False)
    log_z = lambda k: Planar()(models.ising(lattice, k)).log_z
    zero = jnp.zeros(lattice.n_bonds)
    assert float(log_z(zero)) == pytest.approx(9 * np.log(2), rel=1e-14)
    np.testing.assert_allclose(jax.hessian(log_z)(zero), np.eye(lattice.n_bonds), atol=1e-13)


@pytest.mark.parametrize("disorder", ["gaussian", "two values"])
@pytest.mark.parametrize("length", [3, 6, 9])
def test_what_is_called_ok_is_right_at_any_temperature(disorder, length):
    rng = np.random.default_rng(length)
    lattice = lattices.square(length, length, periodic=False)
    draw = rng.normal(size=lattice.n_bonds)
    coupling = draw if disorder == "gaussian" else np.sign(draw)
    planar = jax.jit(lambda beta: Planar()(models.ising(lattice, beta * coupling)))
    truth = jax.jit(lambda beta: TransferMatrix()(models.ising(lattice, beta * coupling)).log_z)
    seen = []
    for beta in (0.01, 0.3, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 300.0):
        out = planar(beta)
        seen.append(Status(int(out.status)))
        if seen[-1] is Status.OK:
            assert float(out.log_z) == pytest.approx(float(truth(beta)), abs=1e-7)
    assert seen[:4] == [Status.OK] * 4
    assert seen[-1] is not Status.OK


@pytest.mark.parametrize("coupling", [1e-8, 1.0, 30.0, 1e4])
def test_no_frustration_no_loss(coupling):
    lattice = lattices.square(6, 6, periodic=False)
    agree(models.ising(lattice, coupling), TransferMatrix(), rtol=1e-13)


def test_auto_falls_back_where_digits_are_lost():
    rng = np.random.default_rng(8)
    ladder = nx.relabel_nodes(nx.ladder_graph(40), dict(enumerate(rng.permutation(80).tolist())))
    lattice = lattices.from_networkx(ladder)
    for scale, fine in ((1.0, True), (40.0, False)):
        h = glass(lattice, rng, scale)
        method, _ = estimators.Auto().choose(h)
        assert isinstance(method, Planar)
        assert (int(method(h).status) == Status.OK) is fine
        out = estimators.Auto()(h)
        assert int(out.status) == Status.OK
        assert float(out.log_z) == pytest.approx(float(CONTRACTION(h).log_z), rel=1e-12)


@pytest.mark.parametrize(
    "h, error, words",
    [
        (models.ising(lattices.square(3, 3), 0.4, 0.1), StructureError, "without crossings"),
        (models.ising(lattices.cubic(3, 3, 3), 0.4), StructureError, "without crossings"),
        (models.ising(lattices.complete(5), 0.4), StructureError, "without crossings"),
        (models.ising(lattices.bipartite(3, 3), 0.4), StructureError, "without crossings"),
        (models.p_spin(4, 3), StructureError, "interact together"),
        (models.blume_capel(lattices.chain(4), 0.4, 0.1), SpaceError, "two states"),
        (models.phi4(lattices.chain(4), r=1.0, u=1.0), SpaceError, "finite space"),
        (
            Hamiltonian(
                {"no": Potential([[0.0, np.inf], [np.inf, 0.0]], [[0, 1]])},
                space=spaces.SPIN,
                shape=(2,),
            ),
            StructureError,
            "finite energies",
        ),
    ],
)
def test_refusals_name_the_reason(h, error, words):
    with pytest.raises(error, match=words):
        Planar()(h)


def test_limits():
    with pytest.raises(SettingError, match="max_memory"):
        Planar(max_memory=0)
    with pytest.raises(TooLargeError, match="half-edges"):
        Planar(max_memory=1000)(models.ising(lattices.square(9, 9, periodic=False), 0.4))
