import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, rg
from physdl.errors import LatticeError, SettingError, ShapeError, TooLargeError, UnknownNameError
from physdl.spaces import LINE

BOXES = [lattices.chain(9), lattices.square(7, 7), lattices.triangular(7, 7)]


def sums_over_the_space_group(lattice, body, longest, x):
    """All invariant sums of products of so many sites within a range, sorted, by permutations.

    On the torus, from the positions, the bonds' symmetry permutations and enumeration alone.
    """
    position, box = lattice.positions, np.array(lattice.cell.primitive)
    box = box * np.array(lattice.shape)[:, None]
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=lattice.dim))) @ box
    apart = position[:, None, None] - position[None, :, None] + shifts
    distance = np.linalg.norm(apart, axis=-1).min(axis=-1)
    near = np.flatnonzero(distance[0] <= longest + 1e-9)
    near = near[near > 0]
    group, seen, sums = lattice.symmetries(), set(), []
    for rest in itertools.combinations(near, body - 1):
        if any(distance[a, b] > longest + 1e-9 for a, b in itertools.combinations(rest, 2)):
            continue
        orbit = frozenset(frozenset(image) for image in group[:, [0, *rest]].tolist())
        if orbit not in seen:
            seen.add(orbit)
            sums.append(sum(np.prod(x[list(sites)]) for sites in orbit))
    return sorted(sums)


@pytest.mark.parametrize("lattice", BOXES, ids=["chain", "square", "triangular"])
@pytest.mark.parametrize("parity", ["even", "odd"])
def test_operators_are_all_invariant_sums(lattice, parity):
    x = np.random.default_rng(0).normal(size=lattice.n_sites)
    basis = rg.operator_basis(lattice, 4, 2, parity=parity)
    for body in (1, 3) if parity == "odd" else (2, 4):
        own = rg.OperatorBasis(tuple(o for o in basis if o.body == body))
        expected = sums_over_the_space_group(lattice, body, 2.0, x)
        found = sorted(np.asarray(own(jnp.asarray(x.reshape(lattice.shape)))).tolist())
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_cubic_operators():
    lattice = lattices.cubic(4, 4, 4)
    basis = rg.operator_basis(lattice, 4, {2: 3**0.5, 4: 2**0.5})
    x = np.random.default_rng(1).normal(size=(4, 4, 4))
    roll = lambda *o: np.roll(x, [-v for v in o], (0, 1, 2))
    axes = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    nearest = sum(np.sum(x * roll(*a)) for a in axes)
    plaquette = sum(
        np.sum(x * roll(*a) * roll(*b) * roll(*np.add(a, b)))
        for a, b in itertools.combinations(axes, 2)
    )
    space = sum(np.sum(x * roll(1, a, b)) for a in (1, -1) for b in (1, -1))
    values = dict(zip(basis.names, np.asarray(basis(jnp.asarray(x))), strict=True))
    assert np.isclose(values["nearest neighbour"], nearest, rtol=1e-12)
    assert np.isclose(values["plaquette"], plaquette, rtol=1e-12)
    assert np.isclose(values["space diagonal"], space, rtol=1e-12)


def test_names_and_order():
    square = lattices.square(8, 8)
    even = rg.operator_basis(square, max_range={2: 5**0.5, 4: 2**0.5})
    names = ("nearest neighbour", "diagonal", "plaquette", "third neighbour", "knight")
    assert even.names == names
    assert rg.operator_basis(square, 3, 2, parity="odd").names == ("site", "corner", "line", "bent")
    wide = rg.operator_basis(lattices.square(32, 32), 2, 5)
    assert len(set(wide.names)) == len(wide)  # (0, 5) and (3, 4) are equally far
    assert even.take(["plaquette", "diagonal"]).names == ("plaquette", "diagonal")
    assert even.take(2).names == names[:2]
    assert [o.parity for o in even] == ["even"] * 5
    assert len(even[2].offsets.array) == 1 and even[2].body == 4


def test_bytes_and_batches():
    lattice = lattices.square(16, 16)
    basis = rg.operator_basis(lattice, 4, 2)
    x = jax.random.rademacher(jax.random.key(0), (5, 16, 16))
    small = jax.vmap(basis)(x.astype(jnp.int8))
    assert small.dtype == jnp.int32
    np.testing.assert_array_equal(small, jax.vmap(basis)(x.astype(float)))
    local = jax.vmap(basis.densities)(x.astype(float))
    np.testing.assert_allclose(jnp.sum(local, axis=(2, 3)), small, rtol=1e-14)


def test_hamiltonian_is_minus_couplings_times_operators():
    lattice = lattices.triangular(5, 5)
    basis = rg.operator_basis(lattice, 3, 1.8, parity="odd")
    k = jnp.arange(1.0, len(basis) + 1)
    x = jnp.asarray(np.random.default_rng(2).normal(size=(5, 5)))
    h = basis.hamiltonian(k, lattice, space=LINE)
    assert jnp.isclose(h(x), -k @ basis(x), rtol=1e-12)
    gradient = jax.grad(lambda k: basis.hamiltonian(k, lattice, space=LINE)(x))(k)
    np.testing.assert_allclose(gradient, -basis(x), rtol=1e-12)
    pair = rg.operator_basis(lattice, 2, 1)
    assert jnp.isclose(pair.hamiltonian([0.3], lattice)(x), models.ising(lattice, 0.3)(x))


def test_sheared_triangular_box_has_the_same_operators():
    sheared = rg.Triangles().lattice(lattices.triangular(15, 15))
    basis = rg.operator_basis(sheared, 4, 2)
    plain = rg.operator_basis(lattices.triangular(15, 15), 4, 2)
    shape = lambda b: [(o.body, round(o.diameter, 6), len(o.offsets.array)) for o in b]
    assert sorted(shape(basis)) == sorted(shape(plain))
    x = np.random.default_rng(3).normal(size=sheared.shape)
    i, j = sheared.bonds.array.T
    bonds = np.sum(x.reshape(-1)[i] * x.reshape(-1)[j])
    assert np.isclose(basis.take(["nearest neighbour"])(jnp.asarray(x))[0], bonds, rtol=1e-12)


def test_refusals():
    square = lattices.square(8, 8)
    with pytest.raises(SettingError, match="parity"):
        rg.operator_basis(square, parity="any")
    with pytest.raises(SettingError, match="max_body"):
        rg.operator_basis(square, 0)
    with pytest.raises(SettingError, match="ranges"):
        rg.operator_basis(square, 2, -1)
    with pytest.raises(LatticeError, match="one site in a cell"):
        rg.operator_basis(lattices.honeycomb(4, 4))
    with pytest.raises(LatticeError, match="periodic"):
        rg.operator_basis(lattices.square(8, 8, periodic=False))
    with pytest.raises(TooLargeError, match="smaller range"):
        rg.operator_basis(lattices.cubic(8, 8, 8), 6, 3)
    basis = rg.operator_basis(square, 2, 2)
    with pytest.raises(UnknownNameError, match="diagonal"):
        basis.take(["diagnal"])
    with pytest.raises(ShapeError, match="coincide"):
        basis.check((2, 2))
    with pytest.raises(ShapeError, match="are the same"):
        basis.check((3, 3))
    with pytest.raises(ShapeError, match="dimensions"):
        basis(jnp.ones(8))
    with pytest.raises(ShapeError, match="as many couplings"):
        basis.hamiltonian([1.0], square)
