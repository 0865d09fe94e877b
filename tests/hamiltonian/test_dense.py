import numpy as np
import pytest
from samples import SAMPLES, evaluated

from physdl.errors import ShapeError, SupportError
from physdl.hamiltonian import Dense, Hamiltonian
from physdl.spaces import LINE, sphere

DENSE = [name for name in SAMPLES if name.startswith("dense")]


@pytest.mark.parametrize("name", DENSE)
def test_to_sites_is_the_same_function_with_each_pair_once(name):
    sample = SAMPLES[name]
    h = sample.h
    sites = h.terms["t"].to_sites(h.shape, h.space)
    same = Hamiltonian({"t": sites}, space=h.space, shape=h.shape)
    np.testing.assert_allclose(evaluated(same, sample.states), sample.energies, atol=1e-12)
    pairs = sites.rows[:, :2] // h.space.n_components
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs)


def test_quadratic_form():
    rng = np.random.default_rng(2)
    c, x = rng.normal(size=(4, 4)), rng.normal(size=4)
    h = Hamiltonian({"t": Dense(c)}, space=LINE, shape=(4,))
    assert float(h(x)) == pytest.approx(0.5 * x @ c @ x, abs=1e-14)
    symmetric = Hamiltonian({"t": Dense((c + c.T) / 2)}, space=LINE, shape=(4,))
    assert float(symmetric(x)) == pytest.approx(float(h(x)), abs=1e-14)


def test_bilinear_form_between_blocks():
    rng = np.random.default_rng(3)
    c, x = rng.normal(size=(2, 3)), rng.normal(size=6)
    h = Hamiltonian({"t": Dense(c, (4, 1))}, space=LINE, shape=(6,))
    assert float(h(x)) == pytest.approx(x[4:] @ c @ x[1:4], abs=1e-14)


def test_vectors_interact_through_their_scalar_product():
    x = np.array([[0.6, 0.8], [0.0, 1.0]])
    h = Hamiltonian({"t": Dense([[0.0, 3.0], [1.0, 0.0]])}, space=sphere(2), shape=(2,))
    assert float(h(x)) == pytest.approx(0.5 * (3 + 1) * 0.8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0],), ShapeError, r"\[n_sites, n_sites\], got \(2,\)"),
        ((np.ones((2, 3)),), ShapeError, r"\[n_sites, n_sites\], got \(2, 3\)"),
        (([1.0], (0, 1)), ShapeError, r"\[n_rows, n_columns\], got \(1,\)"),
        ((np.ones((2, 3)), (0, 1)), SupportError, r"rows from 0 \(2\) and columns from 1 \(3\)"),
        ((np.ones((2, 3)), (2, 0)), SupportError, r"rows from 2 \(2\) and columns from 0 \(3\)"),
        ((np.ones((2, 2)), (-1, 2)), SupportError, r"rows from -1"),
    ],
)
def test_wrong_matrices_and_blocks(arguments, error, message):
    with pytest.raises(error, match=message):
        Dense(*arguments)
