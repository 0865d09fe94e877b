"""Edge lists against energies written out by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import files, lattices, models
from physdl.errors import SettingError, SpaceError, StructureError, UnknownNameError
from physdl.hamiltonian import Dense, Hamiltonian, Sites
from physdl.spaces import SPIN

TEXT = """# a comment
c another
% and one more
4 4
1 2 1.5
2 3
c between edges
4 3 -2e0
1 4 0.25

"""
EDGES = [(0, 1, 1.5), (1, 2, 1.0), (3, 2, -2.0), (0, 3, 0.25)]
SPINS = list(itertools.product([-1.0, 1.0], repeat=4))


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "graph.rud"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("beta", [1.0, 0.4, -2.0])
def test_both_problems(graph, beta):
    ising = files.read_edge_list(graph, beta)
    maxcut = files.read_edge_list(graph, beta=beta, problem="maxcut")
    assert ising.space == maxcut.space == SPIN
    assert ising.shape == maxcut.shape == (4,)
    for s in SPINS:
        bonds = sum(w * s[i] * s[j] for i, j, w in EDGES)
        cut = sum(w for i, j, w in EDGES if s[i] != s[j])
        assert float(ising(jnp.array(s))) == pytest.approx(-beta * bonds, abs=1e-14)
        assert float(maxcut(jnp.array(s))) == pytest.approx(-beta * cut, abs=1e-14)


def test_beta_may_be_differentiated(graph):
    s = jnp.array(SPINS[5])
    slope = jax.grad(lambda beta: files.read_edge_list(graph, beta)(s))(0.3)
    assert float(slope) == pytest.approx(float(files.read_edge_list(graph)(s)), abs=1e-14)


@pytest.mark.parametrize(("problem", "beta"), [("ising", 1.0), ("ising", 0.7), ("maxcut", 0.7)])
def test_round_trip(graph, tmp_path, problem, beta):
    h = files.read_edge_list(graph, beta, problem)
    files.write_edge_list(tmp_path / "again.rud", h, beta, problem)
    back = files.read_edge_list(tmp_path / "again.rud", beta, problem)
    for s in SPINS:
        assert float(back(jnp.array(s))) == pytest.approx(float(h(jnp.array(s))), abs=1e-14)


def test_the_file_itself(tmp_path):
    couplings = jnp.array([[0.0, 0.5, 0.0], [0.5, 0.0, -0.1], [0.0, -0.1, 0.0]])
    h = Hamiltonian({"pair": Dense(couplings)}, space=SPIN, shape=(3,))
    files.write_edge_list(tmp_path / "h.txt", h)
    assert (tmp_path / "h.txt").read_text() == "3 2\n1 2 -0.5\n2 3 0.1\n"


def test_a_box_reads_back_as_a_list(tmp_path):
    h = models.edwards_anderson(lattices.square(3, 4), 0.8, seed=2)
    files.write_edge_list(tmp_path / "box.sg", h)
    back = files.read_edge_list(tmp_path / "box.sg")
    assert back.shape == (12,)
    x = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], size=(20, 12)))
    flat = jax.vmap(h)(x.reshape(20, 3, 4))
    np.testing.assert_allclose(jax.vmap(back)(x), flat, rtol=0, atol=1e-13)


def test_no_edges_and_isolated_vertices(tmp_path):
    (tmp_path / "free.mc").write_text("5 0")
    h = files.read_edge_list(tmp_path / "free.mc")
    assert h.shape == (5,)
    assert float(h(jnp.ones(5))) == 0.0
    files.write_edge_list(tmp_path / "again.mc", h)
    assert (tmp_path / "again.mc").read_text() == "5 0\n"


def test_refusals(graph, tmp_path):
    path, chain = tmp_path / "no.rud", lattices.chain(4)
    with pytest.raises(UnknownNameError, match="did you mean 'maxcut'"):
        files.read_edge_list(graph, problem="max-cut")
    with pytest.raises(UnknownNameError, match="problem"):
        files.write_edge_list(path, models.ising(chain, 1.0), problem="sat")
    with pytest.raises(StructureError, match="degree 1"):
        files.write_edge_list(path, models.ising(chain, 1.0, 0.5))
    with pytest.raises(StructureError, match="degree 3"):
        three = Hamiltonian({"t": Sites(1.0, [[0, 1, 2]])}, space=SPIN, shape=(3,))
        files.write_edge_list(path, three)
    with pytest.raises(StructureError, match="constant 0"):
        files.write_edge_list(path, files.read_edge_list(graph, problem="maxcut"))
    with pytest.raises(StructureError, match=r"'maxcut' has the constant -0\.375"):
        files.write_edge_list(path, -0.5 * files.read_edge_list(graph), problem="maxcut")
    with pytest.raises(SpaceError, match="spins -1 and \\+1"):
        files.write_edge_list(path, models.potts(chain, 3, 1.0))
    for beta in (0.0, jnp.nan, "hot"):
        with pytest.raises(SettingError, match="beta is a finite number"):
            files.write_edge_list(path, models.ising(chain, 1.0), beta)
    with pytest.raises(SettingError, match="not"):
        files.write_edge_list(path, models.ising(chain, jnp.inf))
    assert not path.exists()
