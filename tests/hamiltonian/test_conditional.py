import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import SAMPLES, compiled, shaped

from physdl import lattices, models
from physdl.errors import ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian, conditional_energies
from physdl.spaces import LINE, SPIN, product, sphere


@pytest.mark.parametrize("name", SAMPLES)
def test_differences_of_the_energy(name):
    """exp(-E) is proportional to exp(-H) with all other sites fixed; missing states are inf."""
    sample = SAMPLES[name]
    n, allowed = sample.h.n_sites, np.flatnonzero(np.isfinite(sample.energies))
    pick = np.random.default_rng(1).permutation(allowed)[:8]
    conditional = compiled(jax.vmap(conditional_energies, (None, 0, None)))
    energies = conditional(sample.h, shaped(sample.h, sample.states[pick]), np.arange(n))
    everything = dict(zip(map(tuple, sample.labels.tolist()), sample.energies, strict=True))
    for row, given in zip(sample.labels[pick].tolist(), np.asarray(energies), strict=True):
        for site in range(n):
            q = len(sample.points[site])
            own = [everything[*row[:site], s, *row[site + 1 :]] for s in range(q)]
            now = row[site]
            np.testing.assert_allclose(
                given[site, :q] - given[site, now], np.array(own) - own[now], atol=1e-12
            )
            assert np.all(given[site, q:] == np.inf)


def test_only_terms_that_contain_the_site_count():
    h = models.ising(lattices.chain(6, periodic=False), 1.0, 0.5)
    x = jnp.array([1, 1, -1, -1, 1, 1])
    energies = compiled(conditional_energies)(h, x, np.array([0, 2]))
    assert energies.tolist() == [[1.5, -1.5], [0.5, -0.5]]


def test_heat_bath_probability_of_the_ising_chain():
    """p(+1 | neighbours) = 1 / (1 + exp(-2 K (s_left + s_right)))."""
    h = models.ising(lattices.chain(5), 0.3)
    energies = conditional_energies(h, jnp.ones(5), 2)
    assert float(jax.nn.softmax(-energies)[1]) == pytest.approx(1 / (1 + np.exp(-1.2)))


def test_shape_follows_the_sites():
    sample = SAMPLES["stencil, components"]
    x = shaped(sample.h, sample.states[5:6])[0]
    energies = compiled(conditional_energies)
    every = energies(sample.h, x, np.arange(3))
    assert every.shape == (3, 3)
    for sites in (2, np.array([[0, 2], [1, 1]]), np.zeros(0, int), jnp.array([1], jnp.int8)):
        given = energies(sample.h, x, sites)
        np.testing.assert_allclose(given, every[np.asarray(sites)], atol=1e-14)


@pytest.mark.parametrize("name", ["all kinds, mixed", "sites, summed scalars", "dense, blocks"])
def test_a_traced_site(name):
    sample = SAMPLES[name]
    x, n = shaped(sample.h, sample.states[3:4])[0], sample.h.n_sites
    every = compiled(conditional_energies)(sample.h, x, np.arange(n))
    one = lambda site: conditional_energies(sample.h, x, site)
    fast = compiled(one)
    np.testing.assert_allclose(np.stack([fast(i) for i in range(n)]), every, atol=1e-14)
    np.testing.assert_allclose(compiled(jax.vmap(one))(jnp.arange(n)), every, atol=1e-14)


def test_integer_states_and_single_precision():
    h = models.ising(lattices.square(3, 3), 0.5)
    x = np.ones((3, 3), np.int8)
    assert compiled(conditional_energies)(h, x, 4).tolist() == [2.0, -2.0]
    with jax.enable_x64(False):
        h = models.ising(lattices.square(3, 3), 0.5)
        energies = compiled(conditional_energies)(h, x, 4)
        assert energies.dtype == jnp.float32
        assert energies.tolist() == [2.0, -2.0]


@pytest.mark.parametrize("space", [LINE, sphere(2), product([SPIN, LINE])], ids=repr)
def test_continuous_spaces(space):
    h = Hamiltonian({}, space=space, shape=(2,))
    with pytest.raises(SpaceError, match="conditional energies needs a finite space, got"):
        conditional_energies(h, jnp.zeros(h.state_shape), 0)


def test_a_configuration_of_another_shape():
    h = Hamiltonian({}, space=SPIN, shape=(2,))
    with pytest.raises(ShapeError, match=r"\(2,\), got \(3,\)"):
        conditional_energies(h, jnp.ones(3), 0)
