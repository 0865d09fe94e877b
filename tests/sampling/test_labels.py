"""Cluster labels against scipy's connected components."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from physdl import lattices
from physdl.errors import ShapeError, SupportError, TooLargeError
from physdl.pytree import Table
from physdl.sampling import _labels
from physdl.sampling._labels import labels, order, sizes


def expected(n_sites, pairs, active):
    i, j = np.asarray(pairs)[active].T
    graph = csr_array((np.ones(len(i)), (i, j)), shape=(n_sites, n_sites))
    count, name = connected_components(graph, directed=False)
    smallest = np.full(count, n_sites)
    np.minimum.at(smallest, name, np.arange(n_sites))
    return smallest[name]


def vectorised(n_sites, bonds, active):
    """The algorithm of other platforms, run here."""
    upper, lower = bonds.array.max(axis=1), bonds.array.min(axis=1)
    upper, lower = (jnp.asarray(ends, jnp.uint32)[None] for ends in (upper, lower))
    lower = jnp.where(active[None], lower, upper)
    return _labels._hooked(n_sites, upper, lower).astype(jnp.int32)


def check(n_sites, pairs, active):
    pairs = np.asarray(pairs)
    want = expected(n_sites, pairs, active)
    for algorithm in (labels, vectorised):
        found = jax.jit(algorithm, static_argnums=(0, 1))(n_sites, Table(pairs), active)
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("density", [0.0, 0.3, 0.6, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("n_sites", [1, 2, 7, 300])
def test_random_graphs(n_sites, density):
    rng = np.random.default_rng(n_sites)
    pairs = rng.integers(n_sites, size=(2 * n_sites, 2))  # with doubled bonds and loops
    check(n_sites, pairs, rng.random(len(pairs)) < density / 2)


@pytest.mark.parametrize(
    "lattice",
    [
        lattices.square(64, 64),
        lattices.square(64, 64, periodic=False),
        lattices.triangular(20, 30),
        lattices.cubic(12, 12, 12),
        lattices.kagome(10, 10),
        lattices.random_regular(500, 3, seed=1),
    ],
    ids=["square", "open", "triangular", "cubic", "kagome", "regular"],
)
@pytest.mark.parametrize("p", [0.25, 0.5, 0.7])
def test_percolation_on_lattices(lattice, p):
    active = np.random.default_rng(7).random(lattice.n_bonds) < p
    check(lattice.n_sites, lattice.bonds.array, active)


def snake(length):
    """A path through all sites of a square, row by row, alternately right and left."""
    index = np.arange(length**2).reshape(length, length)
    index[1::2] = index[1::2, ::-1].copy()
    path = index.reshape(-1)
    return np.stack([path[:-1], path[1:]], axis=1)


def spiral(length):
    """A path through all sites of a square, from the border to the centre."""
    rest, path = np.arange(length**2).reshape(length, length), []
    while rest.size:
        path += rest[0].tolist()
        rest = np.rot90(rest[1:])
    return np.stack([path[:-1], path[1:]], axis=1)


@pytest.mark.parametrize("pairs", [snake(64), spiral(64)], ids=["snake", "spiral"])
@pytest.mark.parametrize("numbering", ["row by row", "along", "against", "random"])
def test_long_paths(pairs, numbering):
    n_sites = len(pairs) + 1
    path = np.concatenate([pairs[:1, 0], pairs[:, 1]])
    new = {
        "row by row": np.arange(n_sites),
        "along": np.argsort(path),
        "against": n_sites - 1 - np.argsort(path),
        "random": np.random.default_rng(0).permutation(n_sites),
    }[numbering]
    check(n_sites, new[pairs], np.full(len(pairs), True))
    one_missing = np.arange(len(pairs)) != len(pairs) // 2
    check(n_sites, new[pairs], one_missing)


def test_the_order_of_bonds_and_of_their_ends_does_not_matter():
    rng, lattice = np.random.default_rng(5), lattices.square(16, 16)
    active = rng.random(lattice.n_bonds) < 0.5
    shuffled = rng.permutation(lattice.n_bonds)
    pairs = lattice.bonds.array[shuffled]
    pairs[::2] = pairs[::2, ::-1]
    one = labels(256, lattice.bonds, active)
    np.testing.assert_array_equal(labels(256, Table(pairs), active[shuffled]), one)
    best = order(256, lattice.bonds)
    assert sorted(best) == list(range(lattice.n_bonds))
    ordered = Table(lattice.bonds.array[best])
    np.testing.assert_array_equal(order(256, ordered), np.arange(lattice.n_bonds))
    np.testing.assert_array_equal(labels(256, ordered, active[best]), one)


def test_batches_of_batches():
    rng, lattice = np.random.default_rng(6), lattices.square(8, 8)
    active = jnp.asarray(rng.random((3, 4, lattice.n_bonds)) < 0.5)
    one = lambda a: labels(64, lattice.bonds, a)
    found = jax.jit(jax.vmap(jax.vmap(one)))(active)
    for i in range(3):
        for j in range(4):
            want = expected(64, lattice.bonds.array, np.asarray(active[i, j]))
            np.testing.assert_array_equal(found[i, j], want)
    unbatched = jax.vmap(lambda _: one(active[0, 0]))(jnp.arange(2))
    np.testing.assert_array_equal(unbatched, jnp.stack([found[0, 0]] * 2))


def test_no_bonds():
    none = Table(np.empty((0, 2), int))
    assert labels(3, none, jnp.zeros(0, bool)).tolist() == [0, 1, 2]
    assert labels(0, none, jnp.zeros(0, bool)).shape == (0,)
    assert jax.vmap(lambda a: labels(3, none, a))(jnp.zeros((2, 0), bool)).shape == (2, 3)


def test_sizes():
    label = labels(5, Table([[4, 1], [1, 0], [3, 2]]), jnp.array([True, True, False]))
    assert label.tolist() == [0, 0, 2, 3, 0]
    assert sizes(label).tolist() == [3, 0, 1, 1, 0]
    assert label.dtype == sizes(label).dtype == jnp.int32


def test_what_does_not_fit():
    with pytest.raises(ShapeError, match="one flag per bond"):
        labels(3, Table([[0, 1]]), jnp.ones(2, bool))
    with pytest.raises(SupportError, match="site 3, which does not exist"):
        labels(3, Table([[0, 3]]), jnp.ones(1, bool))
    with pytest.raises(TooLargeError, match="31 bits"):
        batch = jax.ShapeDtypeStruct((2**20, 1), bool)
        jax.eval_shape(jax.vmap(lambda a: labels(2**12, Table([[0, 1]]), a)), batch)
