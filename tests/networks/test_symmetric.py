import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices
from physdl.errors import SettingError, ShapeError, StructureError, TooLargeError
from physdl.networks import averaged, convolutional, equivariant, mlp

KEY = jax.random.key(0)
rng = np.random.default_rng(0)

GROUPS = {
    "ring": lattices.chain(6).translations(),
    "torus": lattices.square(3, 4).translations(),
    "square": lattices.square(3, 3).symmetries(),
    "all": np.array(list(itertools.permutations(range(4)))),
    "one": np.arange(5)[None],
    "halves": np.array([[0, 1, 2, 3, 4], [1, 0, 2, 3, 4]]),
}


def burnside(group):
    """Orbits of pairs and of sites of a whole group: the mean number of fixed ones."""
    fixed = np.sum(group == np.arange(group.shape[1]), axis=1)
    return np.mean(fixed**2), np.mean(fixed)


@pytest.mark.parametrize("name", GROUPS)
def test_it_commutes_with_the_group(name):
    group = GROUPS[name]
    n = group.shape[1]
    field, _ = equivariant(group, channels=(3,), invariant=False, key=KEY)
    energy, _ = equivariant(group, channels=(3,), key=KEY)
    x = rng.normal(size=n)
    values, number = np.asarray(field(x)), float(energy(x))
    assert number == pytest.approx(values.sum(), abs=1e-13)
    for image in group[:: max(1, len(group) // 8)]:
        moved = np.empty(n)
        moved[image] = x
        np.testing.assert_allclose(np.asarray(field(moved))[image], values, atol=1e-13)
        assert float(energy(moved)) == pytest.approx(number, abs=1e-13)
    if name in ("torus", "square"):
        other = rng.permutation(n)
        assert float(energy(x[other])) != pytest.approx(number, abs=1e-6)


@pytest.mark.parametrize("name", GROUPS)
def test_weights_are_orbits_of_pairs(name):
    """Orbit counting is checked against Burnside's lemma."""
    group = GROUPS[name]
    n = group.shape[1]
    pairs, sites = burnside(group)
    _, saved = equivariant(group, channels=(2,), key=KEY)
    assert saved.n_parameters == (2 + 2) * pairs + (2 + 1) * sites
    assert saved.n_unshared == (2 + 2) * n**2 + (2 + 1) * n
    assert saved.factor == saved.n_unshared / saved.n_parameters


def test_generators_suffice():
    swap_and_cycle = [[1, 0, 2, 3], [1, 2, 3, 0]]
    assert equivariant(swap_and_cycle, key=KEY) == equivariant(GROUPS["all"], key=KEY)


def test_translation_invariant_maps_are_convolutions():
    """F W F^-1 is diagonal to 1e-12 (SCIENCE.md 1.8)."""
    network, saved = equivariant(GROUPS["ring"], channels=(), invariant=False, key=KEY)
    w = np.asarray(jax.jacobian(network)(jnp.zeros(6)))
    spectrum = np.fft.fft(np.fft.ifft(w, axis=1), axis=0)
    np.testing.assert_allclose(spectrum - np.diag(np.diag(spectrum)), 0, atol=1e-12)
    assert saved.n_parameters == 6 + 1


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 3, 4)])
def test_convolutions_commute_with_translations(shape):
    field, _ = convolutional(shape, channels=(3,), invariant=False, key=KEY)
    energy, saved = convolutional(shape, channels=(3,), key=KEY)
    x = rng.normal(size=shape)
    values = np.asarray(field(x))
    assert float(energy(x)) == pytest.approx(values.sum(), abs=1e-12)
    for axis in range(len(shape)):
        np.testing.assert_allclose(field(np.roll(x, 1, axis)), np.roll(values, 1, axis), atol=1e-13)
    cells, kernel = np.prod(shape), 3 ** len(shape)
    assert saved.n_parameters == 3 * kernel + 3 + 3 * kernel + 1
    assert saved.n_unshared == 6 * cells**2 + 4 * cells


def test_a_convolution_is_a_sum_of_rolls():
    network, _ = convolutional((4, 5), channels=(), invariant=False, key=KEY)
    kernel = np.asarray(network.params["layers"][0]["kernel"][...])[:, :, 0, 0]
    x = rng.normal(size=(4, 5))
    expected = sum(
        kernel[i + 1, j + 1] * np.roll(x, (-i, -j), (0, 1))
        for i, j in itertools.product((-1, 0, 1), repeat=2)
    )
    np.testing.assert_allclose(network(x), expected, atol=1e-13)


def test_reach_is_locality():
    network, saved = convolutional((9,), channels=(), reach=2, invariant=False, key=KEY)
    response = np.asarray(jax.jacobian(network)(jnp.zeros(9)))
    assert np.count_nonzero(response[4]) == 5
    assert saved.n_parameters == 5 + 1


@pytest.mark.parametrize(("parity", "sign"), [("even", 1), ("odd", -1)])
def test_parity(parity, sign):
    plain = mlp(4, 2, key=KEY)
    network, saved = averaged(plain, 4, parity=parity)
    x = rng.normal(size=4)
    np.testing.assert_allclose(network(-x), sign * np.asarray(network(x)), atol=1e-15)
    np.testing.assert_allclose(network(x), (plain(x) + sign * plain(-x)) / 2, atol=1e-15)
    assert saved.factor == 2
    assert saved.n_parameters == plain.n_parameters


def test_averages_over_lattice_symmetries():
    group = GROUPS["square"]
    network, saved = averaged(mlp(9, 1, widths=(8,), key=KEY), 9, permutations=group, parity="even")
    x = rng.normal(size=9)
    value = float(network(x)[0])
    for image in group[::5]:
        assert float(network(-x[image])[0]) == pytest.approx(value, abs=1e-13)
    assert saved.factor == 2 * len(group)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: equivariant([[0, 0, 1]], key=KEY), ShapeError, "permutations of the sites"),
        (lambda: equivariant([0, 1], key=KEY), ShapeError, "permutations of the sites"),
        (lambda: equivariant(np.arange(5000)[None], key=KEY), TooLargeError, "use convolutional"),
        (lambda: convolutional((4, 2), key=KEY), SettingError, "do not fit in a box"),
        (lambda: convolutional((4,), reach=-1, key=KEY), SettingError, "reach -1"),
        (lambda: equivariant([[1, 0]], key=KEY)[0](jnp.ones((3, 2))), ShapeError, "vmap"),
        (
            lambda: averaged(mlp(3, 1, key=KEY), 3, permutations=[[1, 2, 0]]),
            StructureError,
            "not closed",
        ),
        (
            lambda: averaged(mlp(3, 1, key=KEY), 4, permutations=[[0, 1, 2]]),
            ShapeError,
            "3 sites, the network on 4",
        ),
        (lambda: averaged(mlp(3, 1, key=KEY), 3, parity="both"), SettingError, "got 'both'"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
