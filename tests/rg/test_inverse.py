import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, rg, sampling
from physdl.ensemble import Ensemble
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.spaces import LINE, spin

KEY = jax.random.key(0)


def every_state(n, points=(-1.0, 1.0)):
    return jnp.asarray(np.array(points)[np.indices((len(points),) * n).reshape(n, -1).T])


@functools.cache
def chain_operators():
    lattice = lattices.chain(10)
    odd = rg.operator_basis(lattice, 3, 2, parity="odd")
    return rg.OperatorBasis((*rg.operator_basis(lattice, 4, {2: 3, 4: 3}), *odd))


def test_couplings_of_exact_weights_come_back():
    basis = chain_operators()
    k = np.random.default_rng(0).normal(size=len(basis)) * 0.3
    h = basis.hamiltonian(k, (10,))
    x = every_state(10)
    fit = rg.pseudolikelihood(x[:, None], basis, log_weights=-jax.vmap(h)(x)[:, None])
    np.testing.assert_allclose(fit.value, k, atol=1e-9)
    assert int(fit.status) == rg.RGStatus.OK
    assert jnp.isclose(fit.hamiltonian((10,))(x[5]), h(x[5]))


def test_three_states():
    basis = rg.operator_basis(lattices.chain(6), 2, 2)
    h = basis.hamiltonian([0.4, -0.2], (6,), space=spin(1))
    x = every_state(6, (-1.0, 0.0, 1.0))
    weights = -jax.vmap(h)(x)[:, None]
    fit = rg.pseudolikelihood(x[:, None], basis, space=spin(1), log_weights=weights)
    np.testing.assert_allclose(fit.value, [0.4, -0.2], atol=1e-9)


def test_decimated_chain_has_one_coupling():
    """Exactly: K' = log(cosh 2K) / 2 between neighbours and nothing else."""
    h = models.ising(lattices.chain(12), 0.8)
    x = every_state(12)
    fine = Ensemble(x[:, None], -jax.vmap(h)(x)[:, None], h=h)
    coarse = rg.blocked(fine, rg.BlockDecimation(2), key=KEY)
    basis = rg.operator_basis(lattices.chain(6), 4, 2)
    fit = rg.pseudolikelihood(coarse, basis, log_weights=fine.log_weights)
    expected = np.zeros(len(basis))
    expected[0] = np.log(np.cosh(1.6)) / 2
    np.testing.assert_allclose(fit.value, expected, atol=1e-9)


def test_errors_are_those_of_repeated_fits():
    """The pull over 60 independent data sets has variance 1."""
    basis = rg.operator_basis(lattices.chain(10), 2, 2)
    k = jnp.array([0.3, -0.15])
    x = every_state(10)
    log_p = -jax.vmap(basis.hamiltonian(k, (10,)))(x)
    pulls = []
    for number in range(60):
        drawn = jax.random.categorical(jax.random.key(number), log_p, shape=(150,))
        fit = rg.pseudolikelihood(x[drawn][:, None], basis)
        pulls.append((fit.value - k) / fit.stderr)
    pulls = np.array(pulls)
    assert np.all(np.abs(pulls.mean(axis=0)) < 4 / np.sqrt(60))
    assert np.all(np.abs(pulls.var(axis=0) - 1) < 4 * np.sqrt(2 / 60))


def test_blocks_of_correlated_draws_widen_errors():
    x = jnp.repeat(jax.random.rademacher(KEY, (50, 1, 8)).astype(float), 20, axis=1)
    basis = rg.operator_basis(lattices.chain(8), 2, 1)
    naive = rg.pseudolikelihood(x, basis)
    honest = rg.pseudolikelihood(x, basis, n_blocks=50)
    assert jnp.isclose(honest.value[0], naive.value[0], rtol=1e-12)
    assert jnp.isclose(honest.stderr[0] / naive.stderr[0], np.sqrt(20), rtol=0.02)


def test_degenerate_and_refused():
    basis = rg.operator_basis(lattices.chain(8), 2, 1)
    frozen = rg.pseudolikelihood(jnp.ones((4, 1, 8)), basis)
    assert int(frozen.status) == rg.RGStatus.DEGENERATE
    x = jnp.ones((4, 1, 8))
    with pytest.raises(SpaceError, match="finite set"):
        rg.pseudolikelihood(x, basis, space=LINE)
    with pytest.raises(ShapeError, match="weights"):
        rg.pseudolikelihood(x, basis, log_weights=jnp.zeros(4))
    with pytest.raises(ShapeError, match="dimensions"):
        rg.pseudolikelihood(jnp.ones((4, 8)), basis)
    with pytest.raises(SettingError, match="blocks"):
        rg.pseudolikelihood(x, basis, n_blocks=1)
    with pytest.raises(SettingError, match="jit"):
        jax.jit(lambda x: rg.pseudolikelihood(x, basis).value)(x)


@pytest.mark.slow
def test_audit_of_one_majority_step():
    """Beyond nearest neighbours: more range than bodies, all small, and nearest ones dominate."""
    lattice = lattices.square(32, 32)
    h = models.ising(lattice, np.log(1 + np.sqrt(2)) / 2)
    run = sampling.run(sampling.SwendsenWang(), h, key=KEY, n_sweeps=3000, n_kept=300, n_chains=16)
    coarse = rg.blocked(run.ensemble, rg.Majority(2), key=KEY)
    basis = rg.operator_basis(lattice, max_range={2: 3, 4: 2})
    fit = rg.pseudolikelihood(coarse, basis, n_blocks=64)
    assert int(fit.status) == rg.RGStatus.OK
    nearest, diagonal, plaquette = (fit[n] for n in ("nearest neighbour", "diagonal", "plaquette"))
    assert 0.25 < nearest.value < 0.44 and nearest.stderr < 0.01
    assert 0.03 < diagonal.value < 0.15 and diagonal.value > 10 * diagonal.stderr
    assert abs(plaquette.value) < diagonal.value
    far = [o.name for o in basis if o.diameter > 2.1]
    assert all(abs(fit[n].value) < 0.02 for n in far)
