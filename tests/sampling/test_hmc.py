"""HMC and MALA: properties of trajectories, detailed balance, and exact moments of fields."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sampling.fields import PHI4_MOMENTS, assert_means, chains, covariance_of, moments

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.estimators import Gaussian
from physdl.hamiltonian import Hamiltonian, Sites, Stencil
from physdl.reference import phi4_log_z
from physdl.sampling._force import force_of
from physdl.sampling._trajectory import integrate, metropolis
from physdl.sampling.hmc import HMC, MALA, tune_step_size
from physdl.spaces import LINE

pytestmark = pytest.mark.slow

PHI4 = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
ANHARMONIC = Hamiltonian(
    {
        "pair": Sites([0.3, -0.7, 0.4], [[0, 1], [1, 2], [0, 2]]),
        "square": Sites([0.5, 1.0, 1.5], [[0, 0], [1, 1], [2, 2]]),
        "fourth": Sites(0.2, [[0, 0, 0, 0], [1, 1, 1, 2]]),
        "field": Sites([0.3], [[1]]),
    },
    space=LINE,
    shape=(3,),
)
_LATTICE, _RNG = lattices.random_regular(8, 3, seed=2), np.random.default_rng(6)
GRAPH = models.gaussian(
    _LATTICE,
    r=0.3 + _RNG.random(8),
    gradient=_RNG.random(_LATTICE.n_bonds),
    field=_RNG.normal(size=8),
)


def mean_and_pairs(x):
    return jnp.concatenate([x, jnp.outer(x, x).reshape(-1)])


def single(h):
    return jax.tree.map(lambda c: c.astype(jnp.float32), h)


@functools.partial(jax.jit, static_argnames=("n", "integrator"))
def follow(h, x, u, step, n, integrator, inverse_mass=1.0):
    kick = lambda gradient: step**2 * inverse_mass * gradient
    end = integrate(force_of(h), kick, x, u, n, integrator)
    return end.x, end.last


@pytest.mark.parametrize("integrator", ["leapfrog", "omelyan"])
class TestTrajectories:
    @pytest.mark.parametrize("h", [PHI4, ANHARMONIC], ids=["phi4", "anharmonic"])
    def test_reversible(self, h, integrator):
        rng = np.random.default_rng(0)
        x, u = (jnp.asarray(a) for a in 0.4 * rng.normal(size=(2, h.n_sites)))
        y, v = follow(h, x, 0.1 * u, 0.1, 20, integrator)
        assert float(jnp.max(jnp.abs(y - x))) > 0.1
        back, w = follow(h, y, -v, 0.1, 20, integrator)
        np.testing.assert_allclose(back, x, atol=1e-10)
        np.testing.assert_allclose(w, -0.1 * u, atol=1e-10)

    def test_preserves_volume_and_areas(self, integrator):
        """J^T S J = S for the Jacobian J of the map, S the symplectic form."""
        map_ = lambda z: jnp.concatenate(follow(ANHARMONIC, z[:3], z[3:], 0.3, 4, integrator))
        at = jnp.array([0.3, -0.4, 0.8, 0.1, -0.2, 0.3])
        j = np.asarray(jax.jit(jax.jacfwd(map_))(at))
        assert np.abs(j - np.eye(6)).max() > 0.1
        assert abs(np.linalg.det(j) - 1) < 1e-10
        form = np.block([[np.zeros((3, 3)), np.eye(3)], [-np.eye(3), np.zeros((3, 3))]])
        np.testing.assert_allclose(j.T @ form @ j, form, atol=1e-12)

    def test_energy_error_is_of_second_order(self, integrator):
        rng = np.random.default_rng(1)
        x, xi = (jnp.asarray(a) for a in rng.normal(size=(2, 3)))

        def error(n):
            step = 1.0 / n
            y, v = follow(ANHARMONIC, x, step * xi, step, n, integrator)
            kinetic = 0.5 * jnp.sum((v / step) ** 2 - xi**2)
            return float(ANHARMONIC(y) - ANHARMONIC(x) + kinetic)

        errors = np.array([error(n) for n in (16, 32, 64)])
        np.testing.assert_allclose(errors[:-1] / errors[1:], 4.0, rtol=0.05)


def test_omelyan_conserves_energy_better_at_equal_cost():
    def spread(integrator, n):
        kernel = HMC(1.0 / n, n, integrator=integrator)
        run = lambda x, k: jax.lax.scan(lambda x, k: kernel(PHI4, x, key=k), x, k)[1]
        keys = jax.random.split(jax.random.key(0), (64, 100))
        info = jax.jit(jax.vmap(run))(jnp.zeros((64, 4, 4)), keys)
        return float(jnp.std(info["energy_change"][:, 20:]))

    assert spread("omelyan", 8) < 0.6 * spread("leapfrog", 16)


def test_energy_change_is_that_of_the_hamiltonian():
    """On the free particle in a quartic well the change can be recomputed from outside."""
    x = jnp.asarray(np.random.default_rng(2).normal(size=16)) * 0.4
    u = 0.1 * jnp.asarray(np.random.default_rng(3).normal(size=16))
    end = integrate(force_of(PHI4), lambda g: 0.01 * g, x, u, 7, "leapfrog")
    found = float(jnp.sum(end.after - end.before))
    assert abs(found - float(PHI4(end.x.reshape(4, 4)) - PHI4(x.reshape(4, 4)))) < 1e-12
    np.testing.assert_allclose(end.first, u, atol=1e-15)


@pytest.mark.parametrize("change", [0.7, -0.3, jnp.inf, -jnp.inf, jnp.nan, 2000.0])
def test_metropolis_rule(change):
    keys = jax.random.split(jax.random.key(5), 20_000)
    old, new = jnp.zeros(1), jnp.ones(1)
    rule = jax.vmap(lambda k: metropolis(k, jnp.asarray(change), old, new))
    moved, info = jax.jit(rule)(keys)
    exact = np.exp(-max(change, 0)) if np.isfinite(change) else 0.0
    assert abs(float(jnp.mean(moved)) - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-12
    np.testing.assert_allclose(info["acceptance"], exact, rtol=1e-12)
    assert bool(info["divergent"][0]) == (not np.isfinite(change) or change > 1000)


class TestExactMoments:
    """Steps so long that a fifth to a half is rejected: without the rule the means would be off."""

    @pytest.mark.parametrize("length", [2, 3, 4])
    def test_phi4_torus(self, length):
        h = models.phi4(lattices.square(length, length), r=-4.0, u=6.975)
        values, acceptance = chains(HMC(0.2, 4), h, moments, seed=length, n_draws=1000)
        assert 0.4 < acceptance < 0.9
        assert_means(values, PHI4_MOMENTS[length])

    @pytest.mark.parametrize(
        "kernel",
        [
            HMC(0.36, 2, integrator="omelyan"),
            HMC(0.2, 4, jitter=0.3),
            HMC(0.2, 4, inverse_mass=jnp.linspace(0.5, 1.5, 16).reshape(4, 4)),
            HMC(0.25, 1),
            MALA(0.25),
            MALA(0.25, inverse_mass=jnp.linspace(0.5, 1.5, 16).reshape(4, 4)),
        ],
        ids=["omelyan", "jitter", "masses", "one step", "mala", "mala masses"],
    )
    def test_kernels(self, kernel):
        values, acceptance = chains(kernel, PHI4, moments, seed=9, n_draws=1000)
        assert 0.3 < acceptance < 0.9
        assert_means(values, PHI4_MOMENTS[4])

    @pytest.mark.parametrize("kernel", [HMC(0.2, 4), MALA(0.25)], ids=["hmc", "mala"])
    def test_single_precision(self, kernel):
        values, _ = chains(kernel, single(PHI4), moments, seed=4, n_draws=1000)
        assert values.dtype == np.float32
        assert_means(values.astype(np.float64), PHI4_MOMENTS[4])

    def test_chain_against_the_derivative_of_log_z(self):
        delta = 1e-4
        values = [phi4_log_z((6,), 0.5 + s, 0.3, gradient=0.7).log_z for s in (-delta, delta)]
        square = -(values[1] - values[0]) / (2 * delta) / 6
        h = models.phi4(lattices.chain(6), r=0.5, u=0.3, gradient=0.7)
        found, _ = chains(HMC(0.45, 4), h, moments, seed=1, n_draws=1000)
        assert_means(found[..., :1], [square])

    @pytest.mark.parametrize("kernel", [HMC(0.4, 5, jitter=0.5), MALA(0.5)], ids=["hmc", "mala"])
    def test_disordered_gaussian_field_on_a_graph(self, kernel):
        mean, covariance = covariance_of(GRAPH)
        values, _ = chains(kernel, GRAPH, mean_and_pairs, seed=3, n_draws=1000)
        exact = np.concatenate([mean, (covariance + np.outer(mean, mean)).reshape(-1)])
        assert_means(values, exact, n_sigma=4.5)

    def test_covariances_are_those_of_the_estimator(self):
        mean, covariance = covariance_of(GRAPH)
        gradient = jax.grad(lambda h: Gaussian()(h).log_z)(GRAPH).terms
        np.testing.assert_allclose(gradient["site"].coefficient, -mean, rtol=1e-10)
        second = np.diag(covariance) + mean**2
        np.testing.assert_allclose(gradient["phi2"].coefficient, -second, rtol=1e-10)

    def test_gaussian_rbm(self):
        rng = np.random.default_rng(8)
        h = models.rbm(0.4 * rng.normal(size=(3, 2)), visible=LINE, hidden=LINE)
        quadratic = Sites(0.8, np.repeat(np.arange(5)[:, None], 2, axis=1))
        h = h + Hamiltonian({"width": quadratic}, space=LINE, shape=h.shape)
        mean, covariance = covariance_of(h)
        products = lambda x: jnp.outer(x, x).reshape(-1)
        values, _ = chains(HMC(0.5, 4, jitter=0.5), h, products, seed=8, n_draws=1000)
        exact = covariance + np.outer(mean, mean)
        assert_means(values, exact, n_sigma=4.5)


@pytest.mark.parametrize("inverse_mass", [1.0, jnp.array([0.5, 1.0, 2.0])], ids=["one", "many"])
def test_mala_detailed_balance(inverse_mass):
    """pi(x) q(y | x) a(x, y) is symmetric, with q and pi written down here."""
    kernel, rng = MALA(0.7, inverse_mass), np.random.default_rng(4)
    d = np.broadcast_to(np.asarray(inverse_mass), (3,))

    gradient, energy = jax.jit(jax.grad(ANHARMONIC)), jax.jit(lambda x: ANHARMONIC(x))
    log_acceptance = jax.jit(lambda x, y: kernel.log_acceptance(ANHARMONIC, x, y))

    def log_proposal(x, y):
        mean = x - 0.5 * 0.7**2 * d * np.asarray(gradient(x))
        return -np.sum((y - mean) ** 2 / (2 * 0.7**2 * d))

    def log_flow(x, y):
        ratio = float(log_acceptance(x, y))
        return -float(energy(x)) + log_proposal(x, y) + min(0.0, ratio)

    ratios = []
    for x, y in rng.normal(size=(20, 2, 3)):
        x, y = jnp.asarray(x), jnp.asarray(y)
        assert abs(np.expm1(log_flow(x, y) - log_flow(y, x))) < 1e-12
        ratios.append(float(log_acceptance(x, y)))
    assert min(ratios) < -0.1 < 0.1 < max(ratios)


def test_mala_reports_what_it_uses():
    """The state that was proposed and the acceptance that was reported belong together."""
    kernel, x = MALA(0.3), jnp.asarray(np.random.default_rng(5).normal(size=(4, 4))) * 0.4
    move = jax.jit(lambda x, key: kernel(PHI4, x, key=key))
    log_acceptance = jax.jit(lambda x, y: kernel.log_acceptance(PHI4, x, y))
    for seed in range(10):
        y, info = move(x, jax.random.key(seed))
        if not np.array_equal(x, y):
            exact = min(0.0, float(log_acceptance(x, y)))
            assert abs(np.log(float(info["acceptance"])) - exact) < 1e-10


@pytest.mark.parametrize("kernel", [HMC(50.0, 20), MALA(50.0)], ids=["hmc", "mala"])
@pytest.mark.parametrize("h", [PHI4, single(PHI4)], ids=["float64", "float32"])
def test_divergent_trajectories_are_rejected(kernel, h):
    x = 0.3 * jnp.ones((4, 4), h.dtype)
    y, info = jax.jit(lambda x, k: kernel(h, x, key=k))(x, jax.random.key(0))
    assert bool(info["divergent"]) and float(info["acceptance"]) == 0.0
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("kernel", "target"),
    [(HMC(1.0, 5), 0.8), (HMC(0.001, 5, integrator="omelyan"), 0.8), (MALA(3.0), 0.574)],
    ids=["hmc", "omelyan", "mala"],
)
def test_tuning_reaches_the_target(kernel, target):
    tune = jax.jit(lambda key: tune_step_size(kernel, PHI4, key=key, n_steps=2000))
    tuned, x = tune(jax.random.key(7))
    assert bool(jnp.all(jnp.isfinite(x)))
    again, _ = tune(jax.random.key(7))
    assert float(tuned.step_size) == float(again.step_size)
    assert dataclasses.replace(tuned, step_size=1.0) == dataclasses.replace(kernel, step_size=1.0)
    _, acceptance = chains(tuned, PHI4, moments, n_draws=100)
    assert -0.07 < acceptance - target < 0.12


def test_tuning_starts_anywhere_and_to_any_target():
    start = jnp.full((4, 4), 0.2)
    tune = lambda key: tune_step_size(
        HMC(0.2, 5), PHI4, key=key, state=start, n_steps=2000, target=0.6
    )
    tuned, _ = jax.jit(tune)(jax.random.key(1))
    _, acceptance = chains(tuned, PHI4, moments, n_draws=100)
    assert 0.55 < acceptance < 0.7


def test_equal_settings_compile_once():
    count = 0

    @jax.jit
    def move(kernel, x, key):
        nonlocal count
        count += 1
        return kernel(PHI4, x, key=key)[0]

    for step in (0.1, 0.2):
        move(HMC(step, 3), jnp.zeros((4, 4)), jax.random.key(0))
    assert count == 1


def test_gradient_with_respect_to_couplings():
    """A trajectory that is accepted is a differentiable function of the Hamiltonian."""

    @jax.jit
    def end(r):
        h = models.phi4(lattices.square(3, 3), r=r, u=1.0)
        return jnp.sum(HMC(0.05, 4)(h, 0.1 * jnp.ones((3, 3)), key=jax.random.key(0))[0])

    slope = (end(1.0 + 1e-5) - end(1.0 - 1e-5)) / 2e-5
    assert abs(float(jax.jit(jax.jacfwd(end))(1.0) - slope)) < 1e-7


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: HMC(0.0, 5), "step_size is finite and positive, got 0.0"),
        (lambda: HMC(np.nan, 5), "step_size is finite and positive, got nan"),
        (lambda: HMC(0.1, 0), "n_leapfrogs is an integer of at least 1, got 0"),
        (lambda: HMC(0.1, 2.5), "n_leapfrogs is an integer of at least 1, got 2.5"),
        (lambda: HMC(0.1, 5, inverse_mass=-1.0), "inverse_mass is finite and positive, got -1.0"),
        (lambda: HMC(0.1, 5, jitter=1.0), "jitter is at least 0 and below 1, got 1.0"),
        (lambda: HMC(0.1, 5, integrator="euler"), "'leapfrog' or 'omelyan', got 'euler'"),
        (lambda: MALA(-0.1), "step_size is finite and positive, got -0.1"),
        (lambda: tune_step_size(MALA(1.0), PHI4, key=None, n_steps=0), "at least 1, got 0"),
        (lambda: tune_step_size(MALA(1.0), PHI4, key=None, target=1.5), "between 0 and 1, got 1.5"),
    ],
)
def test_bad_settings(build, message):
    with pytest.raises(SettingError, match=message):
        build()


@pytest.mark.parametrize("kernel", [HMC(0.1, 2), MALA(0.1)], ids=["hmc", "mala"])
def test_bad_spaces_and_shapes(kernel):
    ising = models.ising(lattices.chain(4), 1.0)
    with pytest.raises(SpaceError, match="needs the space LINE, got SPIN"):
        kernel(ising, jnp.ones(4), key=jax.random.key(0))
    heavy = dataclasses.replace(kernel, inverse_mass=jnp.ones(3))
    with pytest.raises(ShapeError, match=r"shape \(\) or that of a configuration, \(4, 4\), got"):
        heavy(PHI4, jnp.ones((4, 4)), key=jax.random.key(0))


def test_state_of_disordered_box_keeps_its_shape():
    c = jnp.asarray(np.random.default_rng(1).random((1, 3, 4)))
    h = Hamiltonian({"r": Stencil(c, [[[0, 0], [0, 0]]])}, space=LINE, shape=(3, 4))
    x, _ = HMC(0.1, 2)(h, jnp.zeros((3, 4)), key=jax.random.key(0))
    assert x.shape == (3, 4)
