"""Force and energy density of every kind of term, against automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.errors import SpaceError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Stencil
from physdl.sampling._force import force_of, require_line
from physdl.spaces import LINE, Product


def assert_force(h, rtol=1e-12):
    x = jnp.asarray(np.random.default_rng(h.n_sites).normal(size=h.shape), h.dtype)
    gradient, density = jax.jit(lambda h, x: force_of(h)(x))(h, x.reshape(-1))
    exact = np.asarray(jax.jit(jax.grad(h))(x)).reshape(-1)
    scale = np.abs(exact).max() + 1
    np.testing.assert_allclose(gradient, exact, atol=rtol * scale)
    energy = float(jax.jit(lambda x: h(x) - h(jnp.zeros_like(x)))(x))
    np.testing.assert_allclose(float(jnp.sum(density)), energy, atol=rtol * scale * h.n_sites)


LATTICES = {
    "chain": lattices.chain(7),
    "square": lattices.square(4, 5),
    "double bonds": lattices.square(2, 3),
    "open": lattices.square(4, 4, periodic=False),
    "triangular": lattices.triangular(4, 5),
    "honeycomb": lattices.honeycomb(3, 3),
    "cubic": lattices.cubic(3, 4, 5),
    "four dimensions": lattices.hypercubic((2, 3, 2, 4)),
    "complete": lattices.complete(6),
    "random regular": lattices.random_regular(20, 3, seed=1),
}


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)
def test_fields_on_any_lattice(lattice):
    rng = np.random.default_rng(3)
    assert_force(models.phi4(lattice, r=-4.0, u=6.975))
    assert_force(
        models.phi4(
            lattice,
            r=rng.normal(size=lattice.n_sites),
            u=0.5,
            gradient=rng.normal(size=lattice.n_bonds),
            field=rng.normal(size=lattice.n_sites),
            higher={3: 0.1, 6: 0.2},
        )
    )


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 2), (4, 1, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_random_stencils(shape, degree):
    rng = np.random.default_rng(degree)
    offsets = rng.integers(-5, 6, size=(3, degree, len(shape)))
    for c in (0.3, rng.normal(size=3), rng.normal(size=(3, *shape))):
        terms = {"a": Stencil(c, offsets), "b": Stencil(0.7, offsets[:1])}
        assert_force(Hamiltonian(terms, space=LINE, shape=shape))


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_random_graphs(degree):
    rng = np.random.default_rng(degree)
    terms = {
        "constant": Sites(2.0, np.zeros((1, 0), int)),
        "powers": Sites(rng.normal(size=20), rng.integers(0, 9, size=(20, degree))),
        "summed": Sites(rng.normal(size=10), rng.integers(0, 9, size=(10, 3, degree))),
        "dense": Dense(rng.normal(size=(9, 9))),
        "layers": Dense(rng.normal(size=(2, 3)), (0, 4)),
    }
    assert_force(Hamiltonian(terms, space=LINE, shape=(3, 3)))


def test_hub_is_not_padded():
    star = np.stack([np.zeros(300, int), np.arange(1, 301)], axis=1)
    assert_force(Hamiltonian({"star": Sites(0.5, star)}, space=LINE, shape=(301,)))


def test_single_precision():
    h = models.phi4(lattices.square(4, 6), r=-1.0, u=0.5)
    assert_force(jax.tree.map(lambda c: c.astype(jnp.float32), h), rtol=1e-5)


def test_batch_of_couplings():
    lattice = lattices.square(3, 4)
    build = lambda r: models.phi4(lattice, r=r, u=1.0)
    x = jnp.linspace(-1, 1, 12)
    batched = jax.vmap(lambda r: force_of(build(r))(x)[0])(jnp.array([0.5, -2.0]))
    for r, found in zip((0.5, -2.0), batched, strict=True):
        exact = jax.grad(build(r))(x.reshape(3, 4)).reshape(-1)
        np.testing.assert_allclose(found, exact, atol=1e-12)


def test_only_real_sites():
    require_line(Hamiltonian({}, space=Product((LINE, LINE)), shape=(2,)), "it")
    with pytest.raises(SpaceError, match="needs the space LINE, got SPIN"):
        require_line(models.ising(lattices.chain(4), 1.0), "it")
