import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, rg, sampling
from physdl.errors import PhysdlError, UnknownNameError

CRITICAL = float(np.log(1 + np.sqrt(2)) / 2)


def sector(length, n_steps, coupling, seed, n_sweeps=1500):
    lattice = lattices.square(length, length)
    return rg.mcrg_run(
        sampling.SwendsenWang(),
        models.ising(lattice, coupling),
        rg.Majority(2),
        even=rg.operator_basis(lattice, 4, 1.5),
        n_steps=n_steps,
        key=jax.random.key(seed),
        n_sweeps=n_sweeps,
        n_chains=16,
    ).even


@pytest.fixture(scope="module")
def pairs():
    """L = 16 and 8 at K_c and beside it."""
    return {k: (sector(16, 2, k, 0), sector(8, 1, k, 1)) for k in (CRITICAL, CRITICAL - 0.01)}


def test_critical_point_is_found_from_beside_it(pairs):
    for k, (large, small) in pairs.items():
        found = rg.matching(large, small)
        shift = found.shift.value[1], found.shift.stderr[1]
        assert jnp.all(shift[1] < 0.003)
        assert jnp.all(jnp.abs(k + shift[0] - CRITICAL) < 4 * shift[1] + 0.001)


def test_exponent_from_two_lattices(pairs):
    found = rg.matching(*pairs[CRITICAL])
    y = found.y.value[1], found.y.stderr[1]
    assert jnp.all(y[1] < 0.06)
    assert jnp.all(jnp.abs(y[0] - 1) < 4 * y[1] + 0.03)


def test_scale_invariance_tells_critical_from_not(pairs):
    at, beside = (rg.scale_invariance(*pair)[1] for pair in pairs.values())
    assert jnp.all(jnp.abs(at) < 4.5)
    assert jnp.all(jnp.abs(beside) > 6)


def test_derivative_of_means_is_that_of_reweighting():
    """cov(S^l, S^0) against the difference of two runs at couplings 0.02 apart."""
    low, high = (sector(8, 1, CRITICAL + d, 2) for d in (-0.01, 0.01))
    middle = sector(8, 1, CRITICAL, 3)
    slope = middle.sums.total().covariances()[2][:, :, 0]
    difference = (high.means.value - low.means.value) / 0.02
    error = jnp.sqrt(high.means.stderr**2 + low.means.stderr**2) / 0.02
    assert jnp.all(jnp.abs(slope - difference) < 4 * error + 0.03 * jnp.abs(slope))


def test_refusals(pairs):
    large, small = pairs[CRITICAL]
    with pytest.raises(UnknownNameError, match="diagonal"):
        rg.matching(large, small, coupling="diagnal")
    with pytest.raises(PhysdlError, match="n - 1"):
        rg.scale_invariance(large, sector_of_other_operators())


def sector_of_other_operators():
    lattice = lattices.square(8, 8)
    ones = rg.Majority(2)
    return rg.mcrg_run(
        sampling.HeatBath(),
        models.ising(lattice, 0.4),
        ones,
        even=rg.operator_basis(lattice, 2, 1),
        n_steps=1,
        key=jax.random.key(0),
        n_sweeps=20,
    ).even
