"""Population annealing: log Z and the distribution against enumeration, and Z without bias."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import compiled

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.estimators import Enumeration, Gaussian, TransferMatrix
from physdl.hamiltonian import Hamiltonian, Potential, Sites
from physdl.pytree import module
from physdl.sampling import HeatBath
from physdl.sampling._resampling import RESAMPLING, log_weights, longest_stride
from physdl.sampling.population import population_annealing
from physdl.sampling.tempering import ParallelTempering
from physdl.spaces import BINARY, LINE

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(5)
PLACES = np.linspace(0, 1, 13)
MODELS = {
    "ising": models.ising(lattices.square(4, 4), 0.44, 0.1),
    "potts": models.potts(lattices.square(3, 3), 3, 0.9),
    "glass": models.edwards_anderson(lattices.square(4, 4), 1.5, seed=2),
    "machine": models.rbm(RNG.normal(size=(8, 5)), RNG.normal(size=8), RNG.normal(size=5)),
}


def repeated(h, seed, n, **settings):
    """log Z, mean energy and info of n independent runs."""
    settings = {"kernel": HeatBath(), "n_population": 200, "n_sweeps": 2, **settings}

    def run(key):
        ensemble, info = population_annealing(h, key=key, **settings)
        return ensemble.log_z, jnp.mean(jax.vmap(h)(ensemble.states[:, 0])), info

    return compiled(jax.vmap(run))(jax.random.split(jax.random.key(seed), n))


@pytest.mark.parametrize("name", MODELS)
def test_log_z_and_energy(name):
    h, n = MODELS[name], 24
    energies = enumerated(h)
    exact = float(np.log(np.sum(np.exp(energies.min() - energies))) - energies.min())
    log_z, energy, info = repeated(h, 1, n)
    error = np.std(log_z) / np.sqrt(n - 1)
    bias = np.var(log_z) / 2  # log of an unbiased estimate
    assert abs(np.mean(log_z) + bias - exact) < 4 * error and error < 0.04
    error = np.std(energy) / np.sqrt(n - 1)
    assert abs(np.mean(energy) - np.exp(-energies - exact) @ energies) < 4 * error + 0.02
    assert np.all(info["reached"])
    assert np.all(np.asarray(info["rho_t"]) < 0.3 * 200)
    stderr = np.sqrt(np.mean(np.asarray(info["log_z_stderr"]) ** 2))
    assert 0.7 < stderr / np.std(log_z) < 2.5


def enumerated(h):
    """The energies of all configurations."""
    points = [h.space.at(i).array for i in range(h.n_sites)]
    index = np.indices([len(p) for p in points]).reshape(h.n_sites, -1)
    states = np.stack([p[i] for p, i in zip(points, index, strict=True)], axis=1)
    return np.asarray(compiled(jax.vmap(h))(states.reshape(-1, *h.state_shape)))


def test_log_z_of_a_strip():
    h = models.ising(lattices.square(5, 12, periodic=False), 0.4)
    exact = float(TransferMatrix()(h).log_z)
    log_z, _, _ = repeated(h, 2, 8, n_population=200)
    error = np.std(log_z) / np.sqrt(7)
    assert abs(np.mean(log_z) - exact) < 4 * error < 0.5


@pytest.mark.parametrize("resampling", RESAMPLING)
def test_z_is_unbiased(resampling):
    """The mean of Z over 200 runs of a small population on a given schedule."""
    h, n = MODELS["glass"], 200
    exact = float(Enumeration()(h).log_z)
    log_z, _, info = repeated(
        h, 3, n, n_population=60, betas=PLACES, n_sweeps=1, resampling=resampling
    )
    z = np.exp(np.asarray(log_z) - exact)
    assert abs(z.mean() - 1) < 4 * z.std() / np.sqrt(n) < 0.15
    assert np.mean(log_z) < exact  # and log Z is not
    along = np.asarray(info["log_z"])
    half = float(Enumeration()(0.5 * h).log_z)
    z = np.exp(along[:, 6] - half)
    assert abs(z.mean() - 1) < 4 * z.std() / np.sqrt(n)
    if resampling == "multinomial":
        variance = np.nan_to_num(np.asarray(info["log_z_stderr"])) ** 2
        assert 0.6 < np.mean(variance) / np.var(log_z) < 1.6


def test_a_lattice_field_from_its_gaussian_part():
    sites = np.arange(6)
    pair = Sites(-0.4, np.stack([sites, (sites + 1) % 6], axis=1))
    mass = lambda m: Sites(m, np.stack([sites, sites], axis=1))
    h0 = Hamiltonian({"mass": mass(0.5)}, space=LINE, shape=(6,))
    h = Hamiltonian({"mass": mass(0.8), "pair": pair}, space=LINE, shape=(6,))
    log_z0, exact = (float(Gaussian()(g).log_z) for g in (h0, h))
    log_z, _, _ = repeated(h, 8, 12, reference=h0, reference_log_z=log_z0, n_burn=5, betas=PLACES)
    error = np.std(log_z) / np.sqrt(11)
    assert abs(np.mean(log_z) - exact) < 4 * error and error < 0.05
    unknown, _ = population_annealing(
        h, key=jax.random.key(0), n_population=9, kernel=Still(), reference=h0, betas=[0.0, 1.0]
    )
    assert np.isnan(unknown.log_z)
    with pytest.raises(SpaceError, match="cannot be normalised"):
        population_annealing(h, key=jax.random.key(0), n_population=9, kernel=HeatBath())


def test_hard_constraints_from_the_start():
    """Hard squares: random starts are mostly forbidden, and Z counts those that are not."""
    pairs = lattices.square(3, 3, periodic=False).bonds.array
    hard = Potential([[0.0, 0.0], [0.0, np.inf]], pairs)
    h = Hamiltonian(
        {"hard": hard, "mu": Sites(-0.7, np.arange(9)[:, None])}, space=BINARY, shape=(9,)
    )
    exact = float(Enumeration()(h).log_z)
    log_z, _, _ = repeated(h, 9, 64, n_population=200, kernel=HeatBath(constrained=True))
    z = np.exp(np.asarray(log_z) - exact)
    assert abs(z.mean() - 1) < 4 * z.std() / 8 < 0.3


def test_everything_forbidden_is_zero():
    h = Hamiltonian({"no": Potential([np.inf, np.inf], [[0]])}, space=BINARY, shape=(1,))
    for betas in (None, [0.0, 0.5, 1.0]):
        ensemble, _ = population_annealing(
            h, key=jax.random.key(0), n_population=8, kernel=Still(), betas=betas
        )
        assert float(ensemble.log_z) == -np.inf


@module
class Still:
    """The kernel that does nothing."""

    def __call__(self, h, state, *, key):
        return state, {}


def test_without_moves_it_is_importance_sampling():
    """One step and no motion: log Z0 + log of the mean weight of the first configurations."""
    h = MODELS["ising"]
    ensemble, info = population_annealing(
        h, key=jax.random.key(0), n_population=50, kernel=Still(), betas=[0.0, 1.0]
    )
    states, parents = np.unique(
        np.asarray(ensemble.states).reshape(50, -1), axis=0, return_counts=True
    )
    assert info["rho_t"] == pytest.approx(np.sum(parents**2) / 50)
    nu = parents / 50
    assert info["family_entropy"] == pytest.approx(-np.sum(nu * np.log(nu)))
    assert info["culled"] == pytest.approx(1 - len(states) / 50)
    assert info["n_temperatures"] == 2 and info["betas"].tolist() == [0, 1]
    assert float(info["log_z"][0]) == pytest.approx(16 * np.log(2))
    assert ensemble.states.shape == (50, 1, 4, 4) and np.ptp(ensemble.log_weights) == 0


@pytest.mark.parametrize("resampling", RESAMPLING)
def test_resampling_is_in_proportion_to_the_weights(resampling):
    log_w = jnp.log(jnp.array([0.0, 0.5, 2.0, 0.0, 1.5, 1.0, 0.0]))
    expected = 7 * jnp.exp(log_w) / jnp.sum(jnp.exp(log_w))
    draw = compiled(jax.vmap(lambda key: RESAMPLING[resampling](key, log_w)))
    parents = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    counts = np.sum(parents[:, :, None] == np.arange(7), axis=1)
    error = np.std(counts, axis=0) / np.sqrt(4000) + 1e-9
    assert np.all(np.abs(np.mean(counts, axis=0) - expected) < 4.5 * error)
    assert np.all(counts[:, [0, 3, 6]] == 0)
    if resampling == "systematic":
        assert np.all(np.abs(counts - np.asarray(expected)) < 1)


def test_strides_keep_to_the_target():
    slope = jnp.asarray(RNG.normal(size=500) * 10).at[:100].set(jnp.inf)
    stride = longest_stride(slope, jnp.asarray(1.0), jnp.asarray(0.8))
    w = np.exp(log_weights(slope, stride))
    assert np.sum(w) ** 2 / np.sum(w**2) == pytest.approx(0.8 * 400, rel=1e-6)
    assert float(longest_stride(0 * slope[100:], jnp.asarray(0.3), jnp.asarray(0.8))) == 0.3


def test_chosen_schedule():
    anneal = functools.partial(
        population_annealing, MODELS["glass"], key=jax.random.key(0), kernel=HeatBath()
    )
    fine, coarse = (anneal(n_population=300, target=t, max_steps=40)[1] for t in (0.95, 0.7))
    n = int(fine["n_temperatures"])
    assert int(coarse["n_temperatures"]) < n < 40
    betas = np.asarray(fine["betas"])
    assert betas[0] == 0 and betas[n - 1] == 1 and np.all(np.diff(betas[:n]) > 0)
    assert np.all(np.isnan(betas[n:])) and bool(fine["reached"])


def test_a_schedule_that_is_cut_short_says_so():
    _, info = population_annealing(
        MODELS["glass"], key=jax.random.key(0), n_population=50, kernel=Still(), max_steps=5
    )
    assert not bool(info["reached"])
    assert int(info["n_temperatures"]) == 6 and float(info["betas"][-1]) == 1


def test_float32():
    h = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), MODELS["ising"])
    log_z, _, _ = repeated(h, 0, 4, n_population=500, betas=PLACES)
    assert log_z.dtype == jnp.float32
    assert abs(float(log_z.mean()) - float(Enumeration()(MODELS["ising"]).log_z)) < 0.1


def test_bad_coefficients_give_nan():
    log_z, _, info = repeated(models.ising(lattices.chain(4), jnp.nan), 0, 1, n_population=8)
    assert np.isnan(log_z[0]) and not bool(info["reached"][0])


def test_bad_settings():
    h = models.ising(lattices.chain(4), 0.5)
    good = {"key": jax.random.key(0), "n_population": 8, "kernel": HeatBath()}
    other = models.ising(lattices.chain(5), 0.5)
    for error, wrong, text in (
        (SettingError, {"n_population": 1}, "n_population of 2 or more"),
        (SettingError, {"n_sweeps": 0}, "n_sweeps of 1 or more"),
        (SettingError, {"max_steps": 0}, "max_steps of 1 or more"),
        (SettingError, {"n_burn": -1}, "n_burn of 0 or more"),
        (SettingError, {"resampling": "residual"}, "got 'residual'"),
        (SettingError, {"target": 1.0}, "between 0 and 1"),
        (SettingError, {"betas": [0.1, 1.0]}, "from 0 to 1"),
        (SettingError, {"betas": [0.0, 0.6, 0.5, 1.0]}, "from 0 to 1"),
        (SettingError, {"betas": [1.0]}, "two places"),
        (SettingError, {"kernel": ParallelTempering(HeatBath(), [0.0, 1.0])}, "ParallelTempering"),
        (ShapeError, {"states": jnp.ones((7, 4))}, r"got \(7, 4\)"),
        (StructureError, {"reference": other}, "same sites"),
    ):
        with pytest.raises(error, match=text):
            population_annealing(h, **{**good, **wrong})
