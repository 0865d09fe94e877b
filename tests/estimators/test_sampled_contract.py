"""What every sampled estimator must do. Add a row to SAMPLED; write no new test here.

An estimate that calls itself OK is within its error of the exact value, as are its derivatives; one
that is not says so. The same check must fail where a fault is planted.
"""

import dataclasses
import math

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_models import MODELS, glass
from scipy import special

from physdl import estimators, lattices, models, reference
from physdl.errors import PhysdlError, SettingError
from physdl.estimators import Status
from physdl.estimators._schedule import Schedule
from physdl.pytree import module

SAMPLED = {
    "ais": estimators.AIS(),
    "reverse_ais": estimators.ReverseAIS(),
    "population_annealing": estimators.PopulationAnnealing(n_population=64),
    "adaptive_integration": estimators.ThermodynamicIntegration(n_sweeps=600),
    "gauss_legendre": estimators.ThermodynamicIntegration(rule="gauss-legendre", n_sweeps=600),
    "mbar": estimators.MBAR(n_states=10, n_sweeps=600),
    "histogram_reweighting": estimators.HistogramReweighting(n_states=10, n_sweeps=600),
    "wang_landau": estimators.WangLandau(),
    "multicanonical": estimators.Multicanonical(),
    "perturbation": estimators.Zwanzig(),
    "insertion": estimators.Widom(site=0),
    "autoregressive": estimators.Autoregressive(),
}
FINITE = ["insertion", "autoregressive"]
QUICK = ["ising torus"]
N_SEEDS = 4
FAR = 4.0

CONTINUOUS = {
    "phi4": (
        models.phi4(lattices.square(2, 2), r=-4.0, u=6.975),
        reference.phi4_log_z((2, 2), -4.0, 6.975).log_z,
    ),
    "gaussian": (
        models.gaussian(lattices.square(3, 3), r=0.4),
        float(estimators.Gaussian()(models.gaussian(lattices.square(3, 3), r=0.4)).log_z),
    ),
    "xy ring": (models.xy(lattices.chain(6), 1.2), float(reference.xy_ring_log_z(6, 1.2))),
    "heisenberg ring": (
        models.heisenberg(lattices.chain(5), 1.2),
        float(reference.heisenberg_ring_log_z(5, 1.2)),
    ),
}

each_method = pytest.mark.parametrize("estimator", SAMPLED.values(), ids=SAMPLED.keys())


def assert_agrees(estimator, h, truth, *, n_seeds=N_SEEDS, ok=True):
    """Estimates of several seeds that call themselves OK are within their errors of the truth."""
    found = [estimator(h, key=jax.random.key(100 + seed)) for seed in range(n_seeds)]
    sure = [e for e in found if Status(int(e.status)) is Status.OK]
    assert not ok or len(sure) == len(found), [Status(int(e.status)) for e in found]
    z = np.array([float((e.log_z - truth) / np.hypot(e.stderr, 1e-12 * truth)) for e in sure])
    assert np.all(np.abs(z) < FAR), z
    assert abs(z.sum()) < FAR * math.sqrt(max(len(z), 1)), z
    for e in found:
        assert np.isfinite(float(e.log_z)) or Status(int(e.status)) is not Status.OK
        assert float(e.lower) <= float(e.upper)


REFUSED = {
    ("wang_landau", "mixed levels"): "alike",
    ("multicanonical", "mixed levels"): "alike",
    ("insertion", "one site"): "two sites",
}


def cases(names):
    return [
        pytest.param(SAMPLED[e], MODELS[m], id=f"{e}-{m}")
        for m in names
        for e in SAMPLED
        if (e, m) not in REFUSED
    ]


@pytest.mark.parametrize("method, model", REFUSED)
def test_refuses_what_it_cannot_do(method, model):
    with pytest.raises(PhysdlError, match=REFUSED[method, model]):
        SAMPLED[method](MODELS[model], key=jax.random.key(0))


@pytest.mark.parametrize("estimator, h", cases(QUICK))
def test_agrees_with_brute_force(estimator, h):
    assert_agrees(estimator, h, brute_force.log_z_of(h), ok=not is_far(estimator, h))


@pytest.mark.slow
@pytest.mark.parametrize("estimator, h", cases([m for m in MODELS if m not in QUICK]))
def test_agrees_with_brute_force_on_every_model(estimator, h):
    assert_agrees(estimator, h, brute_force.log_z_of(h), ok=False)


def is_far(estimator, h):
    """Whether one step from the reference is too long, as the status may say."""
    return isinstance(estimator, estimators.Zwanzig)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize(
    "estimator", [pytest.param(e, id=n) for n, e in SAMPLED.items() if n not in FINITE]
)
def test_agrees_on_continuous_spaces(estimator, name):
    h, truth = CONTINUOUS[name]
    assert_agrees(estimator, h, truth, ok=False)


def flipped(before, h, x, key):
    """16 flips of sites at random, accepted by h of the new and ``before`` of the old state."""

    def flip(i, x):
        chosen, decide = jax.random.split(jax.random.fold_in(key, i))
        site = jax.random.randint(chosen, (2,), 0, 4)
        y = x.at[site[0], site[1]].multiply(-1)
        accepted = jnp.log(jax.random.uniform(decide)) < before(x) - h(y)
        return jnp.where(accepted, y, x)

    return jax.lax.fori_loop(0, 16, flip, x)


class Faults:
    """Samplers with the classical mistakes, on the 4 x 4 torus or a field."""

    @module
    class StaleEnergy:
        """Metropolis that keeps the weight from the temperature before."""

        n_temperatures: int = 20

        def __call__(self, h, state, *, key):
            earlier = h - (1 / self.n_temperatures) * models.ising(lattices.square(4, 4), 0.4)
            return flipped(earlier, h, state, key), {}

    @module
    class MissingJacobian:
        """Moves x -> x e^s of the whole field, accepted as if they conserved volume."""

        def __call__(self, h, state, *, key):
            scale, decide = jax.random.split(key)
            y = state * jnp.exp(0.3 * jax.random.normal(scale))
            accepted = jnp.log(jax.random.uniform(decide)) < h(state) - h(y)
            return jnp.where(accepted, y, state), {}


def test_a_stale_energy_is_caught():
    h, truth = models.ising(lattices.square(4, 4), 0.4), float(reference.kaufman_log_z(4, 4, 0.4))
    places = jnp.linspace(0, 1, 21)
    assert_agrees(estimators.AIS(betas=places, kernel=Fresh()), h, truth)
    with pytest.raises(AssertionError):
        assert_agrees(estimators.AIS(betas=places, kernel=Faults.StaleEnergy()), h, truth)


@module
class Fresh:
    """The same moves as ``StaleEnergy``, with the energy of the temperature at hand."""

    def __call__(self, h, state, *, key):
        return flipped(h, h, state, key), {}


def test_a_missing_jacobian_is_caught():
    h, truth = CONTINUOUS["gaussian"]
    start = models.gaussian(lattices.square(3, 3), r=1.0)
    with pytest.raises(AssertionError):
        assert_agrees(estimators.AIS(kernel=Faults.MissingJacobian(), reference=start), h, truth)


def test_a_schedule_that_stops_early_is_caught(monkeypatch):
    with pytest.raises(SettingError, match="increase from 0 to 1"):
        estimators.AIS(betas=[0.0, 0.5, 0.9])
    h, truth = MODELS["ising torus"], brute_force.log_z_of(MODELS["ising torus"])
    whole = Schedule.at
    monkeypatch.setattr(Schedule, "at", lambda self, u: 0.9 * whole(self, u))
    jax.clear_caches()
    with pytest.raises(AssertionError):
        assert_agrees(estimators.AIS(), h, truth)
    monkeypatch.undo()
    jax.clear_caches()


def test_a_wrong_base_measure_is_caught():
    h, truth = MODELS["potts"], brute_force.log_z_of(MODELS["potts"])
    free = models.potts(lattices.square(3, 3), 3, 0.0)
    right, wrong = 9 * math.log(3), 9 * math.log(2)
    assert_agrees(estimators.AIS(reference=free, reference_log_z=right), h, truth)
    with pytest.raises(AssertionError):
        assert_agrees(estimators.AIS(reference=free, reference_log_z=wrong), h, truth)


def moments(weights, lattice, field):
    """First and second derivatives of log Z by the weights of bonds and field, by enumeration."""
    bonds = lattice.bonds.array
    states = brute_force.all_states(brute_force.POINTS["SPIN"], lattice.n_sites)[:, :, 0]
    features = np.stack(
        [(states[:, bonds[:, 0]] * states[:, bonds[:, 1]]).sum(1), states @ field], 1
    )
    p = special.softmax(features @ weights)
    mean = p @ features
    return mean, (features - mean).T @ ((features - mean) * p[:, None])


def derivatives_agree(estimator, n_seeds=16):
    lattice, weights = lattices.square(3, 3), np.array([0.3, -0.2])
    field = np.linspace(-1, 1, lattice.n_sites)

    def log_z(w, key):
        return estimator(models.ising(lattice, w[0], w[1] * jnp.asarray(field)), key=key).log_z

    truth = np.concatenate([m.ravel() for m in moments(weights, lattice, field)])
    found = []
    for seed in range(n_seeds):
        key = jax.random.key(seed)
        gradient = jax.grad(log_z)(jnp.asarray(weights), key)
        hessian = jax.hessian(log_z)(jnp.asarray(weights), key)
        found.append(np.concatenate([np.ravel(gradient), np.ravel(hessian)]))
    z = (np.mean(found, 0) - truth) / (np.std(found, 0, ddof=1) / math.sqrt(n_seeds))
    assert np.all(np.abs(z) < FAR + 1), z  # Student's t of 15 degrees of freedom


def test_derivatives_agree_with_enumeration():
    derivatives_agree(SAMPLED["ais"], n_seeds=16)


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator", [pytest.param(e, id=n) for n, e in SAMPLED.items() if n != "ais"]
)
def test_derivatives_of_every_method_agree_with_enumeration(estimator):
    derivatives_agree(estimator)


@each_method
def test_needs_a_key(estimator):
    with pytest.raises(SettingError, match="key"):
        estimator(MODELS["ising torus"])


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: estimators.AIS(n_chains=1), "n_chains"),
        (lambda: estimators.AIS(n_temperatures=0), "n_temperatures"),
        (lambda: estimators.AIS(betas=[0.2, 1.0]), "from 0 to 1"),
        (lambda: estimators.AIS(variance=0.0), "variance"),
        (lambda: estimators.PopulationAnnealing(n_populations=1), "n_populations"),
        (lambda: estimators.ThermodynamicIntegration(n_nodes=1), "n_nodes"),
        (lambda: estimators.ThermodynamicIntegration(rule="simpson"), "rule"),
        (lambda: estimators.Zwanzig(n_samples=1), "n_samples"),
        (lambda: estimators.Widom(site=-1), "site"),
        (lambda: estimators.Compare({}), "one estimator"),
    ],
)
def test_a_setting_out_of_range_is_named(make, match):
    with pytest.raises(SettingError, match=match):
        make()


def test_a_site_that_does_not_exist_is_named():
    with pytest.raises(SettingError, match="16 sites"):
        estimators.Widom(site=16)(MODELS["ising torus"], key=jax.random.key(0))


def test_weights_that_are_all_zero_are_no_number():
    """No allowed configuration is met, so nothing is known."""
    h = MODELS["hard squares"]
    crowded = dataclasses.replace(h, terms={**h.terms, "wall": blocked(h)})
    out = estimators.AIS(n_chains=8)(crowded, key=jax.random.key(0))
    assert Status(int(out.status)) is Status.FEW
    assert not math.isfinite(float(out.log_z)) and math.isnan(float(out.stderr))


def blocked(h):
    from physdl.hamiltonian import Potential

    return Potential([[np.inf, np.inf]] * h.n_sites, np.arange(h.n_sites)[:, None])


def test_too_few_configurations_are_reported():
    out = estimators.Zwanzig(n_samples=64)(glass(lattices.square(4, 4), 3.0), key=jax.random.key(0))
    assert Status(int(out.status)) is Status.FEW


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ais", "population_annealing", "adaptive_integration"])
def test_vmap_over_keys_is_a_loop(name):
    estimator, h = SAMPLED[name], models.ising(lattices.chain(5), 0.4)
    keys = jax.random.split(jax.random.key(1), 2)
    batched = jax.vmap(lambda key: estimator(h, key=key).log_z)(keys)
    looped = [float(estimator(h, key=key).log_z) for key in keys]
    np.testing.assert_allclose(batched, looped, rtol=1e-9)
