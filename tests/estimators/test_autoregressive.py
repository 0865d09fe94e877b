import math

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_models import MODELS

from physdl import estimators, lattices, models, networks, reference, sampling, spaces
from physdl.errors import SettingError, SpaceError
from physdl.estimators import Status
from physdl.hamiltonian import Hamiltonian, Potential, Sites

KEY = jax.random.key(0)
COLD = models.ising(lattices.square(3, 3), 0.9)


def status(estimate):
    return Status(int(estimate.status))


def fallen(h, field):
    """A distribution that draws in a field that h does not have, and so sees one valley."""
    tilted = models.ising(lattices.square(*h.shape), 0.9, field)
    return networks.frontier(tilted, key=KEY)


def test_a_perfect_distribution_has_equal_weights():
    h = models.ising(lattices.chain(8, periodic=False), 0.8)
    exact = math.log(2) + 7 * math.log(2 * math.cosh(0.8))
    out = estimators.Autoregressive(networks.made(h, key=KEY), n_samples=64)(h, key=KEY)
    assert status(out) is Status.OK
    np.testing.assert_allclose([out.log_z, out.lower, out.info["bound"]], exact, rtol=1e-12)
    assert float(out.stderr) < 1e-6
    assert abs(float(out.info["effective_sample_size"]) - 64) < 1e-6


def test_reweights_to_another_hamiltonian():
    q = networks.frontier(models.ising(lattices.square(3, 3), 0.35, 0.1), key=KEY)
    h = models.ising(lattices.square(3, 3), 0.3, 0.2)
    out = estimators.Autoregressive(q)(h, key=KEY)
    assert abs(float(out.log_z) - brute_force.log_z_of(h)) < 4 * float(out.stderr) < 0.2


def test_a_lost_valley_of_a_symmetry_is_noticed_and_mended():
    exact = brute_force.log_z_of(COLD)
    q = fallen(COLD, 2.0)
    lost = estimators.Autoregressive(q)(COLD, key=KEY)
    assert status(lost) is Status.UNCONVERGED
    assert float(lost.info["symmetry"]) < 0.1
    assert abs(float(lost.log_z) - exact) > 4 * float(lost.stderr)
    both = networks.mixture(q, shifts=True)
    mended = estimators.Autoregressive(both)(COLD, key=KEY)
    assert status(mended) is Status.OK
    assert abs(float(mended.log_z) - exact) < 4 * float(mended.stderr)
    assert float(mended.info["symmetry"]) == pytest.approx(1, abs=1e-9)


def test_a_lost_valley_without_a_symmetry_is_noticed_by_samples_of_p():
    h = models.ising(lattices.square(3, 3), 0.9, 0.01)
    exact = brute_force.log_z_of(h)
    x = sampling.exact_sample(h, n=512, key=jax.random.key(1)).states[:, 0]
    q = fallen(h, 2.0)
    blind = estimators.Autoregressive(q)(h, key=KEY)
    assert abs(float(blind.log_z) - exact) > 4 * float(blind.stderr)
    assert status(blind) is Status.OK  # its own weights cannot know
    out = estimators.Autoregressive(q, samples=x)(h, key=KEY)
    assert status(out) is Status.UNCONVERGED
    assert abs(float(out.info["log_z_reverse"]) - exact) < 0.3
    both = networks.mixture(q, shifts=True)
    good = estimators.Autoregressive(both, samples=x)(h, key=KEY)
    assert status(good) is Status.OK
    assert float(good.lower) < exact < float(good.upper) < float(out.upper)


def test_bounds_hold_over_seeds():
    """The mean of log w is below log Z by KL, never above by more than its error."""
    h = models.ising(lattices.square(4, 4), 0.44)
    exact = float(reference.kaufman_log_z(4, 4, 0.44))
    out = jax.vmap(lambda k: estimators.Autoregressive(n_samples=512)(h, key=k))(
        jax.random.split(KEY, 16)
    )
    assert np.all(np.asarray(out.lower) < exact)
    plain, of_means = (np.asarray(out.info[name]) for name in ("bound", "importance_bound"))
    assert np.all(plain < of_means)
    error = np.sqrt(np.mean(np.square(out.info["importance_bound_stderr"])) / len(plain))
    expected = np.mean(np.square(out.stderr)) * 512 / (2 * (512 // 64))  # var(w) / (2 m Z^2)
    assert of_means.mean() == pytest.approx(exact - expected, abs=4 * error + expected / 2)
    z = (np.asarray(out.log_z) - exact) / np.asarray(out.stderr)
    assert np.all(np.abs(z) < 4) and abs(z.mean()) < 1


def test_forbidden_draws_leave_no_bound_of_single_weights():
    """Hard squares by independent sites: a draw in ninety is allowed."""
    lattice = lattices.square(4, 4)
    exclusion = Potential([[0.0, 0.0], [0.0, np.inf]], lattice.bonds)
    h = Hamiltonian({"exclusion": exclusion}, space=spaces.BINARY, shape=lattice.shape)
    independent = Hamiltonian(
        {"none": Sites(0.0, np.arange(16)[:, None])}, space=spaces.BINARY, shape=lattice.shape
    )
    q = networks.made(independent, key=KEY)
    few, many = (
        estimators.Autoregressive(q, n_samples=n)(h, key=jax.random.key(1)) for n in (128, 2**17)
    )
    exact = math.log(743)
    assert float(few.lower) == float(many.info["bound"]) == -np.inf
    assert exact - 0.2 < float(many.lower) < exact


def test_the_potts_model_has_its_symmetry_checked():
    h, tilted = (models.potts(lattices.square(2, 3), 3, 0.7, f) for f in (0.0, [0.5, 0.0, -0.5]))
    out = estimators.Autoregressive(networks.made(tilted, key=KEY))(h, key=KEY)
    assert abs(float(out.log_z) - brute_force.log_z_of(h)) < 4 * float(out.stderr)
    assert 0.1 < float(out.info["symmetry"]) < 1


def test_refusals_are_named():
    with pytest.raises(SettingError, match="n_samples"):
        estimators.Autoregressive(n_samples=1)
    with pytest.raises(SettingError, match="train one"):
        estimators.Autoregressive(networks.made(COLD, key=KEY))(MODELS["rbm"], key=KEY)
    with pytest.raises(SettingError, match="key"):
        estimators.Autoregressive()(COLD)
    with pytest.raises(SpaceError):
        estimators.Autoregressive()(models.phi4(lattices.chain(4), r=1.0, u=1.0), key=KEY)


def test_larger_doubles_the_draws():
    assert estimators.Autoregressive(n_samples=8).larger().n_samples == 16
    assert jnp.isfinite(estimators.Autoregressive(n_samples=8)(COLD, key=KEY).log_z)
