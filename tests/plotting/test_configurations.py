"""Configurations of every space on every kind of lattice."""

import jax.numpy as jnp
import numpy as np
import pytest

from physdl import Hamiltonian, Sites, lattices, models, plotting, sampling, spaces
from physdl.errors import SettingError, ShapeError, SpaceError

RNG = np.random.default_rng(1)
SQUARE = lattices.square(4, 5)


def image(model, state, **settings):
    ax = plotting.configuration(model, state, ax=plotting.new_axes(), **settings)
    return ax.images[0]


def colour_of(shown, value):
    return tuple(np.round(shown.cmap(shown.norm(value)), 6))


def test_spins_by_value():
    spins = RNG.choice([-1.0, 1.0], (4, 5))
    shown = image(models.ising(SQUARE, 0.4), spins)
    assert np.array_equal(shown.get_array(), spins)
    assert colour_of(shown, -1.0) != colour_of(shown, 1.0)


@pytest.mark.parametrize("q", [3, 8])
def test_potts_states_by_number(q):
    labels = RNG.integers(q, size=(4, 5))
    shown = image(models.potts(SQUARE, q, 0.4), np.eye(q)[labels])
    assert np.array_equal(shown.get_array(), labels)
    assert len({colour_of(shown, k) for k in range(q)}) == q


def test_angles_of_clock_and_xy_spins():
    labels = RNG.integers(6, size=(4, 5))
    clock = image(models.clock(SQUARE, 6, 0.4), spaces.clock(6).array[labels])
    assert np.allclose(clock.get_array(), 2 * np.pi * labels / 6)
    angle = RNG.uniform(0, 2 * np.pi, (4, 5))
    xy = image(models.xy(SQUARE, 0.4), np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    assert np.allclose(xy.get_array(), angle) and xy.get_clim() == (0.0, 2 * np.pi)
    assert np.allclose(xy.cmap(0.0), xy.cmap(1.0), atol=0.02)


def test_heisenberg_spins_by_their_last_component():
    spins = RNG.normal(size=(4, 5, 3))
    spins /= np.linalg.norm(spins, axis=-1, keepdims=True)
    shown = image(models.heisenberg(SQUARE, 0.4), spins)
    assert np.allclose(shown.get_array(), spins[..., 2]) and shown.get_clim() == (-1.0, 1.0)


def test_blume_capel_states_have_a_colour_each():
    shown = image(models.blume_capel(SQUARE, 0.4, 0.1), RNG.choice([-1.0, 0.0, 1.0], (4, 5)))
    assert len({colour_of(shown, v) for v in (-1.0, 0.0, 1.0)}) == 3


def test_fields_are_centred_at_zero():
    field = RNG.normal(size=(4, 5))
    shown = image(models.phi4(SQUARE, r=0.4, u=0.1), field)
    low, high = shown.get_clim()
    assert -low == high == np.abs(field).max()
    positive = image(SQUARE, np.arange(20.0).reshape(4, 5))
    assert positive.get_clim() == (0.0, 19.0)


def test_mixed_sites_by_value():
    space = spaces.product([spaces.levels(2), spaces.levels(3)])
    h = Hamiltonian({"pair": Sites(1.0, [[0, 1]])}, space=space, shape=(2,))
    assert image(h, [1.0, 2.0]).get_array().tolist() == [[1.0, 2.0]]
    with pytest.raises(SpaceError, match=r"site 0 has \[2.0\]"):
        image(h, [2.0, 1.0])


def test_mixed_vectors_by_number():
    two = spaces.embedded(spaces.BINARY, 3)
    space = spaces.product([spaces.potts(3), two])
    h = Hamiltonian({"pair": Sites(1.0, [[0, 3]])}, space=space, shape=(2,))
    assert image(h, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]).get_array().tolist() == [[2.0, 1.0]]


def test_the_plane_of_a_cube():
    cube = lattices.cubic(2, 3, 4)
    values = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(image(cube, values, plane=1).get_array(), values[1])
    with pytest.raises(SettingError, match="no plane 2"):
        image(cube, values, plane=2)


def test_a_chain_is_a_strip_and_a_graph_is_dots():
    spins = RNG.choice([-1.0, 1.0], 6)
    chain = models.ising(lattices.chain(6), 0.4)
    assert image(chain, spins).get_array().shape == (1, 6)
    graph = lattices.random_regular(6, 3, seed=0)
    ax = plotting.configuration(models.ising(graph, 0.4), spins, ax=plotting.new_axes())
    bonds, dots = ax.collections
    assert len(bonds.get_segments()) == 9 and np.array_equal(dots.get_array(), spins)
    ends = np.asarray(bonds.get_segments())[:, :, :]
    at = dots.get_offsets()
    drawn = {tuple(sorted(int(np.argmin(np.abs(at - e).sum(1))) for e in pair)) for pair in ends}
    assert drawn == {tuple(sorted(b)) for b in graph.bonds.array.tolist()}


def test_dense_couplings_and_tables_are_bonds_too():
    dense = models.sherrington_kirkpatrick(5)
    ax = plotting.configuration(dense, jnp.ones(5), ax=plotting.new_axes())
    assert len(ax.collections[0].get_segments()) == 10


def test_lattices_with_a_basis_stand_at_their_positions():
    honeycomb = lattices.honeycomb(3, 3)
    spins = RNG.choice([-1.0, 1.0], honeycomb.shape)
    h = models.ising(honeycomb, 0.4)
    for ax in (
        plotting.configuration(h, spins, lattice=honeycomb, ax=plotting.new_axes()),
        plotting.configuration(honeycomb, spins, ax=plotting.new_axes()),
    ):
        bonds, dots = ax.collections
        assert np.allclose(dots.get_offsets(), honeycomb.positions)
        lengths = [np.linalg.norm(a - b) for a, b in bonds.get_segments()]
        assert np.allclose(lengths, 1.0) and len(lengths) < honeycomb.n_bonds
        assert np.array_equal(dots.get_array(), spins.reshape(-1))


def test_a_state_of_a_run():
    import jax

    h = models.potts(SQUARE, 3, 1.0)
    run = sampling.run(
        sampling.HeatBath(), h, key=jax.random.key(0), n_sweeps=2, n_chains=1, n_kept=1
    )
    shown = image(h, run.ensemble.states[0, 0])
    assert np.array_equal(shown.get_array(), np.argmax(run.ensemble.states[0, 0], axis=-1))


def test_what_is_no_configuration_is_refused():
    h = models.ising(SQUARE, 0.4)
    with pytest.raises(ShapeError, match=r"shape \(4, 5\), got \(1, 4, 5\)"):
        image(h, np.ones((1, 4, 5)))
    with pytest.raises(
        SpaceError, match=r"site 1 has \[0.5\], which is none of the values of SPIN"
    ):
        image(h, np.ones((4, 5)) - 0.5 * (np.arange(20).reshape(4, 5) == 1))
    with pytest.raises(SpaceError, match="sphere"):
        image(models.xy(SQUARE, 0.4), np.ones((4, 5, 2)))
    with pytest.raises(SpaceError, match="nan"):
        image(SQUARE, np.full((4, 5), np.nan))
    with pytest.raises(ShapeError, match="a lattice of 9 sites"):
        image(h, np.ones((4, 5)), lattice=lattices.square(3, 3))
