import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, rg
from physdl.errors import LatticeError, SettingError, ShapeError, SpaceError
from physdl.spaces import LINE, SPIN, potts, spin

KEY = jax.random.key(0)


def spins(*shape, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


def blocks_by_loops(x, b):
    """Sites of every block of an array, by indexing alone: a dict from block to list."""
    out = {}
    for at in np.ndindex(*x.shape):
        out.setdefault(tuple(a // b for a in at), []).append(x[at])
    return out


@pytest.mark.parametrize(("shape", "b"), [((12,), 3), ((6, 4), 2), ((9, 9), 3), ((4, 4, 6), 2)])
def test_majority_of_spins(shape, b):
    x = spins(*shape)
    out = np.asarray(rg.Majority(b)(jnp.asarray(x), key=KEY))
    assert out.shape == tuple(n // b for n in shape)
    for at, sites in blocks_by_loops(x, b).items():
        assert out[at] == np.sign(sum(sites)) if sum(sites) else abs(out[at]) == 1


def test_ties_are_fair_coins():
    x = jnp.tile(jnp.array([[1.0, -1.0], [-1.0, 1.0]]), (100, 100))
    once, again = (rg.Majority(2)(x, key=KEY) for _ in range(2))
    other = rg.Majority(2)(x, key=jax.random.key(1))
    assert jnp.all(once == again)
    assert abs(jnp.mean(once)) < 4 / 100
    assert abs(jnp.mean(once * other)) < 4 / 100


def test_majority_of_bytes_is_that_of_floats():
    x = jnp.asarray(spins(24, 24))
    for b in (2, 3, 12):
        small = rg.Majority(b)(x.astype(jnp.int8), key=KEY)
        assert small.dtype == jnp.int8
        assert jnp.all(small.astype(float) == rg.Majority(b)(x, key=KEY))


def test_plurality_of_potts_states():
    label = np.random.default_rng(1).integers(0, 3, (40, 40))
    x = jnp.asarray(np.eye(3)[label])
    rule = rg.Majority(2, potts(3))
    out = np.asarray(rule(x, key=KEY))
    assert out.shape == (20, 20, 3)
    seen = {}
    for at, sites in blocks_by_loops(label, 2).items():
        count = np.bincount(sites, minlength=3)
        winner = int(np.argmax(out[at]))
        assert out[at].sum() == 1 and count[winner] == count.max()
        if (count == 2).sum() == 2:
            seen.setdefault(tuple(count), []).append(winner == np.argmax(count))
    for first in seen.values():  # among two equals each wins half of the time
        assert abs(np.mean(first) - 0.5) < 4 * 0.5 / np.sqrt(len(first))


def test_plurality_of_two_states_is_the_majority():
    x = jnp.asarray(spins(9, 9))
    two = rg.Majority(3, spin(1))(x, key=KEY)
    assert jnp.all(two == rg.Majority(3)(x, key=KEY))


def test_decimation_average_and_filter():
    x = np.random.default_rng(2).normal(size=(6, 4))
    for site, (r, c) in enumerate(itertools.product(range(2), repeat=2)):
        out = rg.BlockDecimation(2, site, LINE)(jnp.asarray(x), key=KEY)
        np.testing.assert_array_equal(out, x[r::2, c::2])
    mean = rg.BlockAverage(2, factor=3.0)(jnp.asarray(x), key=KEY)
    expected = {at: 3 * np.mean(s) for at, s in blocks_by_loops(x, 2).items()}
    np.testing.assert_allclose(mean, np.reshape(list(expected.values()), (3, 2)), rtol=1e-14)
    same = rg.LinearFilter(jnp.full((2, 2), 0.75))(jnp.asarray(x), key=KEY)
    np.testing.assert_allclose(same, mean, rtol=1e-14)


def test_filter_by_loops():
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(6, 9)), rng.normal(size=(5, 4))
    out = np.asarray(rg.LinearFilter(jnp.asarray(w), 3)(jnp.asarray(x), key=KEY))
    for r, c in np.ndindex(2, 3):
        total = sum(  # a window of 5 begins one before its block, one of 4 too
            w[i, j] * x[(3 * r + i - 1) % 6, (3 * c + j - 1) % 9] for i, j in np.ndindex(5, 4)
        )
        assert np.isclose(out[r, c], total, rtol=1e-12)


def test_vectors_are_averaged():
    x = np.random.default_rng(4).normal(size=(4, 4, 3))
    from physdl.spaces import sphere

    out = rg.BlockAverage(2, space=sphere(3))(jnp.asarray(x), key=KEY)
    np.testing.assert_allclose(out[0, 0], x[:2, :2].mean(axis=(0, 1)), rtol=1e-14)


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        (lattices.square(8, 4), lattices.square(4, 2)),
        (lattices.triangular(6, 8), lattices.triangular(3, 4)),
        (lattices.cubic(4, 8, 4), lattices.cubic(2, 4, 2)),
        (lattices.hypercubic(4, 4), lattices.hypercubic(2, 4)),
        (lattices.square(8, 4, periodic=False), lattices.square(4, 2, periodic=False)),
    ],
)
def test_lattice_of_the_blocks(fine, coarse):
    found = rg.Majority(2).lattice(fine)
    assert found == coarse
    assert rg.Majority(2)(jnp.ones(fine.shape), key=KEY).shape == found.shape


def nearest_images(lattice):
    """Distances between all pairs of sites around a periodic box, from positions alone."""
    position = lattice.positions
    box = np.array(lattice.cell.primitive) * np.array(lattice.shape)[:, None]
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=2))) @ box
    apart = position[:, None, None] - position[None, :, None] + shifts
    return np.linalg.norm(apart, axis=-1).min(axis=-1)


@pytest.mark.parametrize("shape", [(9, 9), (6, 12)])
def test_triangles_are_neighbours_and_blocks_are_sqrt_3_apart(shape):
    fine, maps = lattices.triangular(*shape), [rg.Triangles(), rg.Triangles(sheared=True)]
    distance, site = nearest_images(fine), np.arange(fine.n_sites).reshape(shape)
    for step, blocks in enumerate(maps):
        number = jnp.asarray(site, float)
        members = np.stack(
            [rg.BlockDecimation(blocks, k)(number, key=KEY) for k in range(3)]
        ).astype(int)
        assert sorted(members.reshape(-1)) == sorted(site.reshape(-1))
        apart = 3 ** (step / 2)
        for a, b in itertools.combinations(members.reshape(3, -1), 2):
            np.testing.assert_allclose(distance[a, b], apart, rtol=1e-9)
        fine, site = blocks.lattice(fine), members[0]
        assert fine.shape == site.shape
        ends = site.reshape(-1)[fine.bonds.array]
        np.testing.assert_allclose(distance[ends[:, 0], ends[:, 1]], apart * 3**0.5, rtol=1e-9)
        assert set(fine.degrees) == {6}
        np.testing.assert_allclose(np.linalg.norm(fine.cell.primitive, axis=1)[1], 1, rtol=1e-12)
    assert fine == lattices.triangular(shape[0] // 3, shape[1] // 3)


def test_triangle_majority_has_no_ties():
    x = jnp.asarray(spins(9, 9))
    out = rg.Majority(rg.Triangles())(x, key=KEY)
    parts = [rg.BlockDecimation(rg.Triangles(), k)(x, key=KEY) for k in range(3)]
    assert out.shape == (3, 9) and jnp.all(out == jnp.sign(sum(parts)))
    assert rg.Majority(rg.Triangles()).scale == pytest.approx(3**0.5)


def test_refusals():
    one = jnp.ones((6, 6))
    with pytest.raises(SettingError, match="b >= 2"):
        rg.Majority(1)
    with pytest.raises(SettingError, match="b >= 2"):
        rg.LinearFilter(jnp.ones((2, 2)), 2.5)
    with pytest.raises(SpaceError, match="BlockAverage"):
        rg.Majority(2, LINE)
    with pytest.raises(ShapeError, match="divides"):
        rg.Majority(4)(one, key=KEY)
    with pytest.raises(ShapeError, match="no site 4"):
        rg.BlockDecimation(2, 4)(one, key=KEY)
    with pytest.raises(ShapeError, match="axes"):
        rg.LinearFilter(jnp.ones(2))(one, key=KEY)
    with pytest.raises(ShapeError, match="ends with the axes"):
        rg.Majority(2, potts(3))(one, key=KEY)
    with pytest.raises(ShapeError, match="3 divides rows"):
        rg.Majority(rg.Triangles())(jnp.ones((6, 9)), key=KEY)
    for lattice, text in [
        (lattices.square(6, 9), "divides"),
        (lattices.bethe(3, 2), "a graph"),
        (lattices.honeycomb(4, 4), "several sites"),
        (lattices.square(2, 2), "length"),
    ]:
        with pytest.raises(LatticeError, match=text):
            rg.Majority(2, SPIN).lattice(lattice)
    for blocks, lattice in [
        (rg.Triangles(), lattices.square(9, 9)),
        (rg.Triangles(), lattices.triangular(6, 9)),
        (rg.Triangles(sheared=True), lattices.triangular(9, 9)),
        (rg.Triangles(), lattices.triangular(9, 9, periodic=False)),
    ]:
        with pytest.raises(LatticeError):
            rg.Majority(blocks).lattice(lattice)
