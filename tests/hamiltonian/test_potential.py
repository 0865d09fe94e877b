import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from samples import SAMPLES, evaluated

from physdl.errors import ShapeError, SupportError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.potential import state_counts
from physdl.spaces import BINARY, SPIN, levels, potts, product

SMOOTH = ["potential, shared", "potential, triples", "potential, vectors"]


def test_axes_follow_the_order_in_which_sites_are_named():
    table = np.arange(6.0).reshape(2, 3)
    h = Hamiltonian(
        {"t": Potential(table, [[1, 0]])}, space=product([levels(3), BINARY]), shape=(2,)
    )
    assert float(h(jnp.array([2, 0]))) == table[0, 2]
    assert float(h(jnp.array([1, 1]))) == table[1, 1]


def test_labels_follow_the_order_of_the_points():
    h = Hamiltonian({"t": Potential([10.0, 20.0, 30.0], [[0]])}, space=potts(3), shape=(1,))
    assert [float(h(x[None])) for x in jnp.eye(3)] == [10.0, 20.0, 30.0]
    h = Hamiltonian({"t": Potential([10.0, 20.0], [[1]])}, space=SPIN, shape=(2,))
    assert float(h(jnp.array([1, -1]))) == 10.0


def test_a_table_over_no_site_is_a_constant():
    h = Hamiltonian({"t": Potential(2.5, np.empty((1, 0), int))}, space=SPIN, shape=(1,))
    assert float(h(jnp.ones(1))) == 2.5
    assert h.degree == 0


def test_a_square_table_over_two_groups_is_shared():
    h = Hamiltonian({"t": Potential(np.eye(2), [[0, 1], [1, 2]])}, space=BINARY, shape=(3,))
    assert h.n_parameters == 4
    assert float(h(jnp.array([0, 0, 0]))) == 2.0


def test_derivative_by_the_table_counts_how_often_an_entry_is_read():
    h = Hamiltonian({"t": Potential(np.eye(2), [[0, 1], [1, 2]])}, space=BINARY, shape=(3,))
    g = jax.grad(lambda h: h(jnp.array([0, 1, 1])))(h)
    assert g.terms["t"].table.tolist() == [[0.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize("name", SMOOTH)
def test_to_polynomial_is_the_same_function(name):
    sample = SAMPLES[name]
    h = sample.h
    terms = {f"{t.degree(h.space)}": t for t in h.terms["t"].to_polynomial(h.space)}
    assert max(map(int, terms)) <= h.degree
    same = Hamiltonian(terms, space=h.space, shape=h.shape)
    np.testing.assert_allclose(evaluated(same, sample.states), sample.energies, atol=1e-12)


def test_forbidden_configurations():
    sample = SAMPLES["potential, hard"]
    energies = evaluated(sample.h, sample.states)
    assert np.array_equal(np.isposinf(energies), np.isposinf(sample.energies))
    assert np.isposinf(energies).any()
    assert oracle.log_z(energies) == pytest.approx(oracle.log_z(sample.energies))


def test_number_of_states_of_every_site():
    assert state_counts(potts(3), 2).tolist() == [3, 3]
    assert state_counts(product([SPIN, levels(4)]), 2).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("table", "sites", "error", "message"),
    [
        ([0.0, 1.0], [0, 1], ShapeError, r"\[n_groups, k\], got \(2,\)"),
        (0.0, [[0]], ShapeError, r"1 groups of 1 sites .*got shape \(\)"),
        (np.zeros((3, 2, 2)), [[0, 1], [1, 2]], ShapeError, r"2 groups .*got shape \(3, 2, 2\)"),
        (np.zeros((2, 2, 2, 2)), [[0, 1], [1, 2]], ShapeError, r"shape \(2, 2, 2, 2\)"),
        (np.zeros((2, 2)), [[0, 1], [2, 2]], SupportError, r"group 1 .*\[2, 2\]"),
        (np.zeros((2, 2, 2)), [[1, 0, 1]], SupportError, r"group 0 .*\[1, 0, 1\]"),
    ],
)
def test_wrong_tables_and_groups(table, sites, error, message):
    with pytest.raises(error, match=message):
        Potential(table, sites)
