import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, rg, sampling, statistics
from physdl.errors import PhysdlError, SettingError, UnknownNameError
from physdl.rg._binder import binder_ratio, magnetic_sums

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


def drawn(length, coupling, seed, n_sweeps=4000):
    h = models.ising(lattices.square(length, length), coupling)
    key = jax.random.key(seed)
    kernel = sampling.SwendsenWang()
    return sampling.run(kernel, h, key=key, n_chains=8, n_sweeps=n_sweeps, n_kept=n_sweeps).ensemble


BOND = rg.operator_basis(lattices.square(4, 4), 2, 1)


def ratio(coupling, coarse):
    """Binder's ratio of 4 x 4 spins or their 2 x 2 majorities, a sum over all configurations."""
    x = np.array(np.indices((2,) * 16).reshape(16, -1).T * 2.0 - 1).reshape(-1, 4, 4)
    bonds = (x * np.roll(x, 1, 1) + x * np.roll(x, 1, 2)).sum(axis=(1, 2))
    w = np.exp(coupling * bonds)
    m = x.mean(axis=(1, 2))
    if coarse:
        total = x.reshape(-1, 2, 2, 2, 2).sum(axis=(2, 4)).reshape(-1, 1, 4)
        mu = np.array(np.indices((2,) * 4).reshape(4, -1).T * 2.0 - 1)
        w = w @ np.where(total == 0, 0.5, total * mu > 0).prod(axis=2)
        m = mu.mean(axis=1)
    return 1 - (w @ m**4) * w.sum() / (3 * (w @ m**2) ** 2)


def test_binder_ratio_and_its_slope():
    """Of 4 x 4 spins and of their blocks, against differences of sums over all configurations."""
    k, d = 0.4, 1e-5
    sums = magnetic_sums(
        drawn(4, k, 0, 8000), (rg.Majority(2),), BOND, jax.random.key(1), n_blocks=32
    )
    found = statistics.jackknife(
        lambda v: jnp.stack(binder_ratio(jnp.mean(v, axis=0))), sums, n_blocks=32
    )
    exact = [
        [ratio(k, c) for c in (False, True)],
        [(ratio(k + d, c) - ratio(k - d, c)) / (2 * d) for c in (False, True)],
    ]
    assert np.all(np.abs(found.value - np.array(exact)) < 4 * found.stderr)
    assert np.all(found.stderr < 0.02 * np.abs(np.array(exact)))


def test_matching_of_binder_ratios():
    """Lattices of 16 and 8 find K_c from beside it and y_T there, with and without blocks."""
    match = functools.partial(
        rg.binder_matching, blocks=rg.Majority(2), coupling=BOND, n_steps=2, key=jax.random.key(2)
    )
    k = 0.43
    beside = match(drawn(16, k, 0), drawn(8, k, 1))
    shift = beside.shift
    assert shift.value.shape == beside.deviation.shape == (3, 1)
    assert np.all(np.abs(k + shift.value - CRITICAL) < 4 * shift.stderr + 0.002)
    assert np.all(shift.stderr < 0.002) and np.all(beside.deviation < -4)
    at = match(drawn(16, CRITICAL, 0), drawn(8, CRITICAL, 1))
    assert np.all(np.abs(at.y.value - 1) < 4 * at.y.stderr) and np.all(at.y.stderr < 0.1)
    assert np.all(np.abs(at.deviation) < 4)


def test_refusals_of_binder_matching():
    small, odd = drawn(8, 0.4, 0, 20), rg.operator_basis(lattices.square(4, 4), 1, parity="odd")
    match = functools.partial(rg.binder_matching, key=jax.random.key(0))
    with pytest.raises(PhysdlError, match="factor 2"):
        match(small, small, rg.Majority(2), coupling=BOND)
    with pytest.raises(SettingError, match="one coupling"):
        match(small, small, rg.Majority(2), coupling=rg.OperatorBasis((*BOND, *odd)))
    with pytest.raises(SettingError, match="run longer"):
        match(small, drawn(4, 0.4, 0, 2), rg.Majority(2), coupling=BOND)
