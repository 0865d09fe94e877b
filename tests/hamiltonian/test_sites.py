import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import ShapeError, SupportError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.hamiltonian.sites import incidence
from physdl.pytree import Table
from physdl.spaces import LINE, sphere


def energy(term, x, space=LINE):
    return float(Hamiltonian({"t": term}, space=space, shape=(len(x),))(jnp.asarray(x)))


def test_one_coefficient_for_each_monomial_or_for_all():
    x = [2.0, 3.0, 5.0]
    assert energy(Sites([1.0, 10.0], [[0, 1], [1, 2]]), x) == 6.0 + 150.0
    assert energy(Sites(10.0, [[0, 1], [1, 2]]), x) == 60.0 + 150.0


def test_a_repeated_index_is_a_power():
    assert energy(Sites(1.0, [[0, 1, 1, 1]]), [2.0, 3.0]) == 54.0


def test_a_table_without_factors_is_a_constant():
    assert energy(Sites([1.5, 2.0], np.empty((2, 0), int)), [7.0]) == 3.5
    assert energy(Sites(1.5, np.empty((2, 0), int)), [7.0]) == 3.0


def test_no_monomials_at_all():
    assert energy(Sites(np.empty(0), np.empty((0, 2), int)), [7.0]) == 0.0
    assert energy(Sites(3.0, np.empty((0, 2), int)), [7.0]) == 0.0


def test_summed_monomials_share_a_coefficient():
    dot = Sites([10.0], [[[0, 2], [1, 3]]])
    assert energy(dot, [[0.6, 0.8], [0.0, 1.0]], sphere(2)) == 8.0


def test_variables_number_the_components_of_a_site():
    assert energy(Sites(1.0, [[1, 2]]), [[3.0, 5.0], [7.0, 11.0]], sphere(2)) == 35.0


def test_flattened_has_one_coefficient_for_each_monomial():
    term = Sites([1.0, 2.0], [[[0, 1], [1, 2]], [[0, 2], [2, 2]]])
    flat = term.flattened()
    assert flat.coefficient.tolist() == [1.0, 1.0, 2.0, 2.0]
    assert flat.table.array.tolist() == [[0, 1], [1, 2], [0, 2], [2, 2]]
    assert Sites(2.0, [[0], [1]]).flattened().coefficient.tolist() == [2.0, 2.0]
    for shape in ((2, 3, 0), (0, 3, 2)):
        flat = Sites(1.0, np.empty(shape, int)).flattened()
        assert flat.table.array.shape == (shape[0] * shape[1], shape[2])


def test_incidence_lists_the_rows_that_touch_each_site():
    rows = incidence(Table([[0, 1, 1], [1, 2, 0]]), 4, 1)
    assert rows.tolist() == [[0, 1], [0, 1], [1, -1], [-1, -1]]
    assert incidence(Table([[0, 3], [2, 5]]), 3, 2).tolist() == [[0, -1], [0, 1], [1, -1]]
    assert incidence(Table(np.empty((1, 0), int)), 2, 1).tolist() == [[-1], [-1]]


@pytest.mark.parametrize(
    ("coefficient", "table", "error", "message"),
    [
        (1.0, [0, 1], ShapeError, r"got shape \(2,\)"),
        (1.0, np.zeros((1, 1, 1, 1), int), ShapeError, r"got shape \(1, 1, 1, 1\)"),
        ([1.0], [[0], [1]], ShapeError, r"2 monomials .*\(2,\), got \(1,\)"),
        ([[1.0], [2.0]], [[0], [1]], ShapeError, r"got \(2, 1\)"),
        (1.0, [[0.0, 1.0]], ShapeError, "integers, got dtype float64"),
        (1.0, [[2**31]], SupportError, "variable 2147483648 exceeds"),
    ],
)
def test_wrong_tables_and_coefficients(coefficient, table, error, message):
    with pytest.raises(error, match=message):
        Sites(coefficient, table)
