"""Energies of dimod, networkx and scipy against h(x) on every or many configurations."""

import itertools

import dimod
import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest
from scipy import sparse

from physdl import files, lattices, models
from physdl.errors import (
    MissingDependencyError,
    SettingError,
    ShapeError,
    SpaceError,
    StructureError,
)
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.spaces import BINARY, SPIN

RNG = np.random.default_rng(11)
SPINS = np.array(list(itertools.product([-1, 1], repeat=5)))
VALUES = {"SPIN": (-1, 1), "BINARY": (0, 1)}


def random_bqm(vartype):
    labels = ["z", "a", 3, ("t", 1), "m"]
    pairs = [("z", "a"), ("m", 3), (("t", 1), "z"), ("a", 3)]
    linear = dict(zip(labels, RNG.normal(size=5), strict=True))
    quadratic = dict(zip(pairs, RNG.normal(size=4), strict=True))
    return dimod.BinaryQuadraticModel(linear, quadratic, 0.7, vartype)


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_dimod_quadratic_energies(vartype, beta):
    bqm = random_bqm(vartype)
    h = files.from_dimod(bqm, beta=beta)
    assert h.space == (SPIN if vartype == "SPIN" else BINARY)
    states = np.array(list(itertools.product(VALUES[vartype], repeat=5)))
    energies = bqm.energies((states, list(bqm.variables)))
    np.testing.assert_allclose(jax.vmap(h)(jnp.asarray(states)), beta * energies, atol=1e-14)


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_dimod_polynomial_energies(vartype):
    terms = {
        (): 0.4,
        ("b",): -1.0,
        ("a", "c"): 0.5,
        ("c", "b", "d"): 2.0,
        ("a", "b", "c", "d"): -0.3,
    }
    polynomial = dimod.BinaryPolynomial(terms, vartype)
    h = files.from_dimod(polynomial, beta=0.5)
    assert h.degree == 4
    states = np.array(list(itertools.product(VALUES[vartype], repeat=4)))
    energies = polynomial.energies((states, ["a", "b", "c", "d"]))
    np.testing.assert_allclose(jax.vmap(h)(jnp.asarray(states)), 0.5 * energies, atol=1e-14)


def test_dimod_polynomial_of_labels_that_do_not_compare():
    polynomial = dimod.BinaryPolynomial({("b", 2): 1.0, ("b",): 0.25}, "SPIN")
    h = files.from_dimod(polynomial)  # by repr: 'b' before 2
    assert float(h(jnp.array([1.0, -1.0]))) == -0.75


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_dimod_round_trip(vartype):
    bqm = random_bqm(vartype)
    back = files.to_dimod(files.from_dimod(bqm, beta=2.0), beta=2.0)
    numbered = bqm.relabel_variables(dict(zip(bqm.variables, range(5), strict=True)), inplace=False)
    assert back.vartype is bqm.vartype
    assert back.is_almost_equal(numbered, places=14)


def test_to_dimod_of_a_lattice_model_and_of_degree_three():
    h = models.ising(lattices.square(2, 3, periodic=False), 0.4, 0.1)
    bqm = files.to_dimod(h, beta=0.5)
    states = RNG.choice([-1, 1], size=(30, 6))
    energies = bqm.energies((states, range(6)))
    expected = jax.vmap(h)(jnp.asarray(states).reshape(30, 2, 3))
    np.testing.assert_allclose(0.5 * energies, expected, atol=1e-14)
    three = Hamiltonian({"t": Sites(0.3, [[0, 1, 2]])}, space=BINARY, shape=(3,))
    polynomial = files.to_dimod(three)
    assert isinstance(polynomial, dimod.BinaryPolynomial)
    assert polynomial.energy({0: 1, 1: 1, 2: 1}) == pytest.approx(0.3)


def test_absent_biases_are_absent_terms():
    h = files.from_dimod(dimod.BinaryQuadraticModel({}, {(0, 1): -1.0}, "SPIN"))
    assert list(h.terms) == ["bond"]
    assert files.from_dimod(dimod.BinaryQuadraticModel("SPIN")).shape == (0,)


def test_dimod_ferromagnet_has_the_opposite_sign():
    h = files.from_dimod(dimod.BinaryQuadraticModel({}, {(0, 1): -1.0}, "SPIN"))
    ferromagnet = models.ising(lattices.chain(2, periodic=False), 1.0)
    assert float(h(jnp.array([1, 1]))) == float(ferromagnet(jnp.array([1, 1]))) == -1.0


def test_networkx_energies_and_order():
    graph = networkx.MultiGraph()
    graph.add_node("e", field=0.5)
    graph.add_nodes_from("dcba")
    graph.add_edge("a", "b", weight=0.5)
    graph.add_edge("b", "a", weight=0.25)
    graph.add_edge("c", "e")
    graph.add_edge("d", "a", weight=-2.0)
    h = files.from_networkx(graph, beta=0.6)
    for s in SPINS:
        v = dict(zip("edcba", s, strict=True))
        energy = -(0.75 * v["a"] * v["b"] + v["c"] * v["e"] - 2 * v["d"] * v["a"] + 0.5 * v["e"])
        assert float(h(jnp.asarray(s))) == pytest.approx(0.6 * energy, abs=1e-14)


def test_networkx_attributes_by_name():
    graph = networkx.Graph()
    graph.add_node(0, bias=1.0)
    graph.add_edge(0, 1, coupling=3.0, weight=100.0)
    h = files.from_networkx(graph, coupling="coupling", field="bias")
    assert float(h(jnp.array([1, -1]))) == 3.0 - 1.0


def test_networkx_round_trip():
    h = models.ising(lattices.square(3, 3), jnp.asarray(RNG.normal(size=18)), 0.2)
    graph = files.to_networkx(h, beta=0.5)
    assert list(graph) == list(range(9))
    back = files.from_networkx(graph, beta=0.5)
    states = RNG.choice([-1.0, 1.0], size=(30, 9))
    expected = jax.vmap(h)(jnp.asarray(states).reshape(30, 3, 3))
    np.testing.assert_allclose(jax.vmap(back)(jnp.asarray(states)), expected, atol=1e-13)
    free = files.to_networkx(models.ising(lattices.chain(3), 1.0))
    assert not networkx.get_node_attributes(free, "field")
    assert "site" not in files.from_networkx(free).terms


def test_scipy_energies_and_round_trip():
    dense = RNG.normal(size=(5, 5)) * (RNG.random((5, 5)) < 0.7)
    dense = np.triu(dense, 1) + np.triu(dense, 1).T
    fields = RNG.normal(size=5)
    h = files.from_scipy_sparse(sparse.csr_array(dense), fields, beta=0.8)
    energies = [-(0.5 * s @ dense @ s + fields @ s) for s in SPINS]
    np.testing.assert_allclose(
        jax.vmap(h)(jnp.asarray(SPINS)), 0.8 * np.array(energies), atol=1e-14
    )
    matrix, back = files.to_scipy_sparse(h, beta=0.8)
    np.testing.assert_allclose(matrix.toarray(), dense, rtol=0, atol=1e-15)
    np.testing.assert_allclose(back, fields, rtol=0, atol=1e-15)
    assert matrix.nnz == np.count_nonzero(dense)


def test_scipy_duplicate_entries_add_up_and_fields_are_optional():
    matrix = sparse.coo_matrix(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    h = files.from_scipy_sparse(matrix)
    assert list(h.terms) == ["bond"]
    assert float(h(jnp.array([1, 1]))) == -3.0


def test_beta_may_be_differentiated():
    s = jnp.array([1.0, -1.0])
    matrix = sparse.csr_array([[0.0, 2.0], [2.0, 0.0]])
    for read in (
        lambda beta: files.from_scipy_sparse(matrix, beta=beta),
        lambda beta: files.from_networkx(networkx.Graph([(0, 1, {"weight": 2.0})]), beta=beta),
        lambda beta: files.from_dimod(
            dimod.BinaryQuadraticModel({}, {(0, 1): -2.0}, "SPIN"), beta=beta
        ),
    ):
        assert float(jax.grad(lambda beta, read=read: read(beta)(s))(0.7)) == 2.0


@pytest.mark.parametrize("package", ["dimod", "networkx"])
def test_missing_packages(monkeypatch, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    h = models.ising(lattices.chain(3), 1.0)
    for call in (getattr(files, f"from_{package}"), getattr(files, f"to_{package}")):
        with pytest.raises(MissingDependencyError, match=f"pip install {package}"):
            call(h)


def test_refusals():
    chain = models.ising(lattices.chain(3), 1.0)
    with pytest.raises(SettingError, match="undirected"):
        files.from_networkx(networkx.DiGraph())
    with pytest.raises(SettingError, match="edge to itself"):
        files.from_networkx(networkx.Graph([(0, 0)]))
    with pytest.raises(SettingError, match=r"'weight' of edge 0, 1 .* 'x'"):
        files.from_networkx(networkx.Graph([(0, 1, {"weight": "x"})]))
    with pytest.raises(SettingError, match="scipy sparse"):
        files.from_scipy_sparse(np.eye(2))
    with pytest.raises(ShapeError, match="square"):
        files.from_scipy_sparse(sparse.csr_array((2, 3)))
    with pytest.raises(SettingError, match="symmetric"):
        files.from_scipy_sparse(sparse.csr_array([[0.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(SettingError, match="diagonal"):
        files.from_scipy_sparse(sparse.csr_array(np.eye(2)))
    with pytest.raises(SettingError, match="NaN"):
        files.from_scipy_sparse(sparse.csr_array([[0.0, np.nan], [np.nan, 0.0]]))
    with pytest.raises(ShapeError, match="field of 2 sites"):
        files.from_scipy_sparse(sparse.csr_array((2, 2)), [1.0])
    with pytest.raises(SettingError, match="fields are finite"):
        files.from_scipy_sparse(sparse.csr_array((2, 2)), [1.0, np.inf])
    with pytest.raises(SettingError, match="BinaryQuadraticModel"):
        files.from_dimod({(0, 1): 1.0})
    with pytest.raises(SettingError, match="bias"):
        files.from_dimod(dimod.BinaryQuadraticModel({0: np.nan}, {}, "SPIN"))
    for write in (files.to_networkx, files.to_scipy_sparse, files.to_dimod):
        with pytest.raises(SpaceError):
            write(models.potts(lattices.chain(3), 3, 1.0))
        with pytest.raises(SettingError, match="beta"):
            write(chain, beta=0.0)
        with pytest.raises(SettingError, match="jit"):
            jax.jit(write)(chain)
    with pytest.raises(StructureError, match="degree 3"):
        files.to_networkx(Hamiltonian({"t": Sites(1.0, [[0, 1, 2]])}, space=SPIN, shape=(3,)))
