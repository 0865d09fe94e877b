"""Wang-Landau against exact densities of states, exact log Z, and its own claims about errors."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, reference
from physdl.errors import SettingError, StructureError
from physdl.estimators import Auto, Status
from physdl.estimators._walk import Bins, walk
from physdl.estimators.density import DensityOfStates
from physdl.estimators.wang_landau import WangLandau
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites
from physdl.reference.density_of_states import ising_density_of_states
from physdl.sampling import HeatBath, random_configuration
from physdl.sampling._path import Path
from physdl.spaces import BINARY, SPIN, product

COUPLING = 0.44
SMALL = WangLandau(n_walkers=32, n_learn=200, n_sweeps=800, n_kept=20)


def random_field_chain(n=14, seed=0):
    rng = np.random.default_rng(seed)
    fields = Sites(rng.normal(size=n), np.arange(n)[:, None])
    bonds = Sites(-rng.normal(size=n), np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1))
    return Hamiltonian({"bond": bonds, "field": fields}, space=SPIN, shape=(n,))


def three_body_tables(n=10, seed=1):
    rng = np.random.default_rng(seed)
    groups = [[i, (i + 1) % n, (i + 3) % n] for i in range(n)]
    return Hamiltonian(
        {"table": Potential(rng.normal(size=(n, 2, 2, 2)), groups)}, space=SPIN, shape=(n,)
    )


def boltzmann_machine(seed=2):
    rng = np.random.default_rng(seed)
    weights = Dense(rng.normal(size=(7, 5)), blocks=(0, 7))
    fields = Sites(0.5 * rng.normal(size=12), np.arange(12)[:, None])
    return Hamiltonian({"weights": weights, "field": fields}, space=BINARY, shape=(12,))


def glass(seed=3, n=12):
    couplings = np.triu(np.random.default_rng(seed).normal(size=(n, n)), 1) / math.sqrt(n)
    return Hamiltonian({"pair": Dense(couplings + couplings.T)}, space=SPIN, shape=(n,))


def z_of_density(density, energies, states, scale):
    """(log g - exact) / stderr of every level that was met, and the deviations themselves."""
    exact = {round(float(e), 6): math.log(s) for e, s in zip(energies, states, strict=True) if s}
    z, off = [], []
    for d, log_g, error in zip(density.energies, density.log_g, density.stderr, strict=True):
        if np.isfinite(log_g) and np.isfinite(error) and error > 0:
            level = round(float(d) / scale, 6)
            off.append(float(log_g) - exact[level])
            z.append(off[-1] / float(error))
    return np.array(z), np.array(off)


def check_density(side, method, seed):
    h = models.ising(lattices.square(side, side), COUPLING)
    density = method.density(h, key=jax.random.key(seed))
    assert isinstance(density, DensityOfStates)
    z, off = z_of_density(density, *ising_density_of_states(side, side), COUPLING)
    assert len(z) > 0.5 * side * side
    assert np.max(np.abs(z)) < 5
    assert 0.3 < np.sqrt(np.mean(z**2)) < 2
    for k in (0.0, 0.5, 1.0):
        exact = float(reference.kaufman_log_z(side, side, k * COUPLING))
        assert abs(float(density.log_z(k)) - exact) < 5 * float(np.nanmax(density.stderr))
    energy = COUPLING * float(reference.kaufman_energy(side, side, COUPLING))
    assert abs(float(density.energy(1.0)) - energy) < 0.05 * abs(energy)
    heat = float(reference.kaufman_specific_heat(side, side, COUPLING))
    assert abs(float(density.specific_heat(1.0)) / heat - 1) < 0.3
    return off


def test_density_of_states_of_the_ising_model_8_by_8():
    off = check_density(8, WangLandau(n_sweeps=2000), seed=0)
    assert np.sqrt(np.mean(off**2)) < 0.15


@pytest.mark.slow
def test_density_of_states_of_the_ising_model_16_by_16():
    check_density(16, WangLandau(n_learn=2000, n_sweeps=8000), seed=0)


@pytest.mark.slow
def test_density_of_states_below_and_above_the_middle():
    # Negative b reach the antiferromagnetic states: the whole spectrum, symmetric.
    h = models.ising(lattices.square(4, 4), 0.5)
    method = WangLandau(n_learn=200, n_sweeps=1000, b_range=(-2.0, 2.0))
    density = method.density(h, key=jax.random.key(1))
    z, _ = z_of_density(density, *ising_density_of_states(4, 4), 0.5)
    assert len(z) == 15 and np.max(np.abs(z)) < 5


def potts_counts(side, q):
    """How many of the q^(side^2) configurations have k equal neighbours: sums over rows."""
    rows = np.array(list(itertools.product(range(q), repeat=side)))
    within = np.sum(rows == np.roll(rows, 1, axis=1), axis=1)
    between = np.sum(rows[:, None] == rows[None], axis=2)
    counts = np.zeros(2 * side**2 + 1, dtype=np.int64)
    for first in range(len(rows)):
        found = np.zeros((len(rows), len(counts)), dtype=np.int64)
        found[first, within[first]] = 1
        for row in range(1, side + 1):
            last = row == side
            step = np.zeros_like(found)
            for k in range(side + 1):
                meets = (between == k).astype(np.int64)
                step[:, k:] += meets @ found[:, : len(counts) - k]
            if last:
                counts += step[first]
                break
            found = np.zeros_like(step)
            for state, extra in enumerate(within):
                found[state, extra:] = step[state, : len(counts) - extra]
    return counts


@pytest.mark.slow
def test_density_of_states_of_the_potts_model_against_counting():
    """3-state Potts, 4 x 4: all 3^16 configurations, counted row by row."""
    counts = potts_counts(4, 3)
    assert counts.sum() == 3**16
    h = models.potts(lattices.square(4, 4), 3, COUPLING)
    density = WangLandau(n_sweeps=3000).density(h, key=jax.random.key(4))
    z, off = z_of_density(density, -np.arange(len(counts)), counts.tolist(), COUPLING)
    assert len(z) > 15
    assert np.max(np.abs(z)) < 5 and np.sqrt(np.mean(off**2)) < 0.1


def test_a_walk_with_fixed_weights_visits_bins_as_often_as_their_weights_say():
    # p(bin) is proportional to (states in it) / g(bin), for any g: here a wrong one.
    h = random_field_chain(8)
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=8)))
    d = np.asarray(jax.vmap(h)(states))
    bins = Bins(jnp.asarray(d.min()), jnp.asarray((d.max() - d.min()) / 9.5), 10)
    log_g = jnp.asarray(np.random.default_rng(0).normal(size=10))
    index = np.asarray(bins.index(jnp.asarray(d)))
    exact = np.bincount(index, minlength=10) * np.exp(-np.asarray(log_g))
    exact /= exact.sum()
    keys = jax.random.split(jax.random.key(0), 400)
    x = jax.vmap(lambda k: random_configuration(h, key=k))(keys[:256])

    def sweep(x, key):
        return walk(Path(h), bins, log_g, x, jnp.ones(8), key=key)

    x, _ = jax.lax.scan(sweep, x, keys[:100])
    _, counts = jax.lax.scan(sweep, x, keys[100:])
    counts = np.asarray(counts)
    assert counts.sum() == 256 * 300 * 8
    share = counts.sum(0) / counts.sum(2).sum(0)[:, None]  # of each walker
    z = (share.mean(0) - exact) / (share.std(0, ddof=1) / 16 + 1e-12)
    assert np.max(np.abs(z[exact > 0])) < 5
    assert share[:, exact == 0].sum() == 0


@pytest.mark.parametrize(
    "make",
    [
        random_field_chain,
        pytest.param(three_body_tables, marks=pytest.mark.slow),
        pytest.param(boltzmann_machine, marks=pytest.mark.slow),
    ],
    ids=["gaussian couplings", "tables", "dense blocks"],
)
def test_log_z_of_any_terms(make):
    h = make()
    estimate = SMALL(h, key=jax.random.key(3))
    assert int(estimate.status) == Status.OK
    assert abs(float(estimate.log_z - Auto()(h).log_z)) < 4 * float(estimate.stderr) < 0.8


@pytest.mark.slow
def test_log_z_of_all_pairs():
    h = glass()
    method = WangLandau(n_walkers=32, n_learn=200, n_sweeps=800, n_kept=20, kernel=HeatBath())
    estimate = method(h, key=jax.random.key(4))
    assert abs(float(estimate.log_z - Auto()(h).log_z)) < 4 * float(estimate.stderr) < 0.8


@pytest.mark.slow
def test_log_z_on_circles():
    h = models.xy(lattices.chain(6), 1.5)
    estimate = SMALL(h, key=jax.random.key(5))
    exact = float(reference.xy_ring_log_z(6, 1.5))
    assert abs(float(estimate.log_z) - exact) < 4 * float(estimate.stderr) < 0.8


@pytest.mark.slow
def test_log_z_from_a_reference_with_its_fields_left_out():
    h = random_field_chain()
    start = Hamiltonian({"bond": h.terms["bond"]}, space=h.space, shape=h.shape)
    method = WangLandau(n_walkers=32, n_learn=200, n_sweeps=800, n_kept=20, reference=start)
    estimate = method(h, key=jax.random.key(6))
    assert abs(float(estimate.log_z - Auto()(h).log_z)) < 4 * float(estimate.stderr) < 0.4


@pytest.mark.slow
def test_errors_are_calibrated():
    h = models.ising(lattices.square(4, 4), COUPLING)
    exact = float(reference.kaufman_log_z(4, 4, COUPLING))
    method = WangLandau(n_walkers=32, n_learn=100, n_sweeps=300, n_kept=20)
    run = jax.jit(lambda key: method(h, key=key))
    estimates = [run(jax.random.key(k)) for k in range(40)]
    z = np.array([(float(e.log_z) - exact) / float(e.stderr) for e in estimates])
    assert all(int(e.status) == Status.OK for e in estimates)
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    assert 0.65 < z.std(ddof=1) < 1.4


@pytest.mark.slow
def test_derivatives_are_moments_of_the_kept_configurations():
    lattice = lattices.square(4, 4)
    run = lambda k: SMALL(models.ising(lattice, k), key=jax.random.key(7))
    slope = float(jax.jit(jax.grad(lambda k: run(k).log_z))(COUPLING))
    ensemble = run(COUPLING).ensemble
    bonds = lambda x: jnp.sum(x * (jnp.roll(x, 1, 0) + jnp.roll(x, 1, 1)))
    mean = ensemble.expectation(bonds)
    assert abs(slope - float(mean.value)) < 1e-9
    exact = -float(reference.kaufman_energy(4, 4, COUPLING))
    assert abs(slope - exact) < 5 * float(mean.stderr)


@pytest.mark.slow
def test_vmap_and_single_precision():
    h = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32), models.ising(lattices.square(4, 4), COUPLING)
    )
    method = WangLandau(n_walkers=16, n_learn=50, n_sweeps=200, n_kept=10)
    estimates = jax.vmap(lambda key: method(h, key=key))(jax.random.split(jax.random.key(8), 3))
    assert estimates.log_z.dtype == jnp.float32
    exact = float(reference.kaufman_log_z(4, 4, COUPLING))
    assert np.all(np.abs(np.asarray(estimates.log_z) - exact) < 5 * np.asarray(estimates.stderr))


@pytest.mark.slow
def test_a_run_too_short_to_cross_says_so():
    h = models.ising(lattices.square(12, 12), COUPLING)
    method = WangLandau(n_walkers=8, n_learn=16, n_sweeps=16, n_kept=4)
    estimate = method(h, key=jax.random.key(9))
    assert int(estimate.status) in (Status.UNCONVERGED, Status.FEW)


def test_no_energy_at_all_is_exact_enough():
    h = models.ising(lattices.chain(8), 0.0)
    estimate = WangLandau(n_walkers=8, n_learn=16, n_sweeps=16, n_kept=4)(h, key=jax.random.key(0))
    assert math.isclose(float(estimate.log_z), 8 * math.log(2), rel_tol=1e-12)
    assert int(estimate.status) == Status.OK


def test_larger_is_twice_the_effort():
    assert SMALL.larger() == WangLandau(n_walkers=32, n_learn=400, n_sweeps=1600, n_kept=20)


def test_refuses_bad_settings():
    h = models.ising(lattices.chain(4), 0.3)
    with pytest.raises(SettingError, match="give key"):
        WangLandau()(h)
    with pytest.raises(SettingError, match="n_walkers of 8 or more, got 2"):
        WangLandau(n_walkers=2)
    with pytest.raises(SettingError, match="b_range that contains 0 and 1"):
        WangLandau(b_range=(0.5, 1.0))
    with pytest.raises(SettingError, match="at most one configuration a sweep"):
        WangLandau(n_sweeps=20, n_kept=50)
    mixed = Hamiltonian(
        {"field": Sites(1.0, [[0], [1]])}, space=product([SPIN, BINARY]), shape=(2,)
    )
    with pytest.raises(StructureError, match="sites that are alike"):
        WangLandau()(mixed, key=jax.random.key(0))
