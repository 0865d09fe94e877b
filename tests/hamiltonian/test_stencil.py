import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from samples import SAMPLES, evaluated, shaped

from physdl.errors import ShapeError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.spaces import LINE, SPIN

STENCILS = [name for name in SAMPLES if name.startswith("stencil")]
RIGHT_AND_DOWN = [[[0, 0], [0, 1]], [[0, 0], [1, 0]]]


def on_box(term, x):
    x = np.asarray(x, dtype=float)
    return float(Hamiltonian({"t": term}, space=LINE, shape=x.shape)(x))


@pytest.mark.parametrize("name", STENCILS)
def test_to_sites_is_the_same_function(name):
    sample = SAMPLES[name]
    h = sample.h
    sites = h.terms["t"].to_sites(h.shape, h.space)
    same = Hamiltonian({"t": sites}, space=h.space, shape=h.shape)
    np.testing.assert_allclose(evaluated(same, sample.states), sample.energies, atol=1e-12)


@pytest.mark.parametrize("name", ["stencil, isotropic", "stencil, anisotropic"])
def test_translation_invariance(name):
    sample = SAMPLES[name]
    x = shaped(sample.h, sample.states)
    for axis in (1, 2):
        energies = jax.vmap(sample.h)(np.roll(x, 1, axis=axis))
        np.testing.assert_allclose(energies, sample.energies, atol=1e-12)


def test_an_offset_points_from_the_cell_to_the_neighbour():
    x = [[1.0, 2.0, 3.0], [5.0, 7.0, 11.0]]
    disorder = np.zeros((1, 2, 3))
    disorder[0, 0, 2] = 1.0
    assert on_box(Stencil(disorder, [[[0, 0], [1, 1]]]), x) == 3.0 * 5.0
    assert on_box(Stencil(disorder, [[[0, -1], [0, 0]]]), x) == 2.0 * 3.0


def test_isotropic_anisotropic_and_disordered_coefficients():
    x = np.random.default_rng(0).normal(size=(3, 4))
    right, down = np.sum(x * np.roll(x, -1, 1)), np.sum(x * np.roll(x, -1, 0))
    assert on_box(Stencil(2.0, RIGHT_AND_DOWN), x) == pytest.approx(2 * (right + down))
    assert on_box(Stencil([2.0, 3.0], RIGHT_AND_DOWN), x) == pytest.approx(2 * right + 3 * down)
    same = np.broadcast_to(np.array([2.0, 3.0])[:, None, None], (2, 3, 4))
    assert on_box(Stencil(same, RIGHT_AND_DOWN), x) == pytest.approx(2 * right + 3 * down)


def test_bonds_along_an_axis_of_length_two_count_twice():
    h = Hamiltonian({"t": Stencil(-1.0, [[[0], [1]]])}, space=SPIN, shape=(2,))
    assert float(h(jnp.array([1.0, 1.0]))) == -2.0


def test_offsets_that_wrap_onto_one_cell_are_powers():
    x = [2.0, 3.0]
    assert on_box(Stencil(1.0, [[[0], [2], [-2]]]), x) == 8.0 + 27.0
    assert on_box(Stencil(1.0, [[[0], [1], [3]]]), x) == 2 * 9 + 3 * 4


def test_three_dimensions():
    offsets = [[[0, 0, 0], [1, 0, 1], [0, 2, 0]]]
    rng = np.random.default_rng(1)
    x, c = rng.normal(size=(2, 3, 2)), rng.normal(size=(1, 2, 3, 2))
    monomials = oracle.stencil_monomials(c, offsets, (2, 3, 2))
    expected = oracle.energies(x.reshape(1, -1, 1), monomials)[0]
    assert on_box(Stencil(c, offsets), x) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, [[0, 0], [0, 1]]), r"\[n_monomials, degree, dim\], got \(2, 2\)"),
        ((1.0, np.empty((1, 0, 2), int)), r"got \(1, 0, 2\)"),
        ((1.0, np.empty((0, 2, 1), int)), r"got \(0, 2, 1\)"),
        ((1.0, [[[0], [1]]], [[0]]), r"degree 2 .*\[n_summed, 2\], got \(1, 1\)"),
        (([1.0, 2.0, 3.0], RIGHT_AND_DOWN), r"2 monomials in 2 dim.*got \(3,\)"),
        ((np.ones((2, 3)), RIGHT_AND_DOWN), r"\(2, \*box\), got \(2, 3\)"),
        ((np.ones((1, 3, 3)), RIGHT_AND_DOWN), r"got \(1, 3, 3\)"),
    ],
)
def test_parts_that_do_not_fit_together(arguments, message):
    with pytest.raises(ShapeError, match=message):
        Stencil(*arguments)
