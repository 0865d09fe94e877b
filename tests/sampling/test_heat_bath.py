"""Heat bath, Metropolis and microcanonical moves on continuous spaces, against exact answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from physdl import lattices, models, spaces
from physdl.errors import SpaceError, StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Sites
from physdl.sampling import Creutz, Cycle, HeatBath, Metropolis, Overrelaxation, run, sweeps
from physdl.sampling.heat_bath import _von_mises_fisher

pytestmark = pytest.mark.slow

KEY = jax.random.key(5)


def langevin(n, strength):
    """<s . axis> of exp(strength s . axis) on the sphere of R^n: I_{n/2} / I_{n/2 - 1}."""
    return special.ive(n / 2, strength) / special.ive(n / 2 - 1, strength)


@pytest.mark.parametrize("n", [2, 3, 4, 7])
@pytest.mark.parametrize("strength", [0.0, 1e-4, 0.5, 3.0, 200.0])
def test_spins_in_a_field_have_their_distribution(n, strength):
    axis = np.linspace(1, 2, n) / np.linalg.norm(np.linspace(1, 2, n))
    field = jnp.broadcast_to(jnp.asarray(strength * axis), (20_000, n))
    s = np.asarray(jax.jit(_von_mises_fisher)(field, KEY))
    np.testing.assert_allclose(np.sum(s**2, axis=1), 1, rtol=1e-12)
    w = s @ axis
    theta = np.linspace(0, np.pi, 20_001)
    inner = np.exp(strength * (np.cos(theta) - 1)) * np.sin(theta) ** (n - 2)
    cdf = integrate.cumulative_simpson(inner, x=theta, initial=0)
    angle = np.arccos(np.clip(w, -1, 1))
    assert stats.kstest(np.interp(angle, theta, cdf / cdf[-1]), "uniform").pvalue > 1e-4
    across = s - w[:, None] * axis
    assert np.all(np.abs(across.mean(axis=0)) < 5 * across.std(axis=0) / np.sqrt(20_000) + 1e-12)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("kernel", [HeatBath(), Metropolis(1.0)], ids=["heat bath", "metropolis"])
def test_energy_of_an_open_chain_of_spins(n, kernel):
    """An open O(n) chain of N spins: <s_i . s_j> of a bond is the ratio of Bessel functions."""
    h = models.o_n(lattices.chain(12, periodic=False), n, 1.3)
    energy = run(kernel, h, key=KEY, n_sweeps=4000, n_chains=8, observables={"e": h})["e"].mean
    exact = -11 * 1.3 * langevin(n, 1.3)
    assert abs(float(energy.value) - exact) < 4 * float(energy.stderr) < 0.03 * abs(exact)


def test_a_box_of_spins_and_a_graph_agree():
    """Rolls and tables are two ways to the same fields."""
    box = models.xy(lattices.square(6, 6), 0.7, jnp.array([0.2, -0.1]))
    graph = Hamiltonian(
        {name: t.to_sites(box.shape, box.space) for name, t in box.terms.items()},
        space=box.space,
        shape=box.shape,
    )
    means = [
        run(HeatBath(), h, key=KEY, n_sweeps=3000, n_chains=8, observables={"e": h})["e"].mean
        for h in (box, graph)
    ]
    error = np.hypot(*(float(m.stderr) for m in means))
    assert abs(float(means[0].value - means[1].value)) < 4 * error


OVERRELAXED = Cycle([HeatBath(), Overrelaxation()])


@pytest.mark.parametrize("moves", [HeatBath(), Metropolis(0.7), OVERRELAXED],
                         ids=["heat bath", "metropolis", "overrelaxed"])  # fmt: skip
def test_gaussian_fields_have_their_covariance(moves):
    rng = np.random.default_rng(0)
    couplings = rng.uniform(0.2, 1.0, size=12)
    lattice = lattices.square(3, 3, periodic=False)
    h = models.gaussian(lattice, r=0.5, gradient=couplings, field=rng.normal(size=9))
    form = np.asarray(jax.hessian(h)(jnp.zeros((3, 3)))).reshape(9, 9)
    mean = np.linalg.solve(form, -np.asarray(jax.grad(h)(jnp.zeros((3, 3)))).ravel())
    out = run(moves, h, key=KEY, n_sweeps=5000, n_chains=8, observables={
        "x": lambda x: x, "xx": lambda x: jnp.outer(x.ravel(), x.ravel())})  # fmt: skip
    z = (out["x"].mean.value.ravel() - mean) / out["x"].mean.stderr.ravel()
    assert np.abs(z).max() < 4.5
    second = np.linalg.inv(form) + np.outer(mean, mean)
    assert np.abs((out["xx"].mean.value - second) / out["xx"].mean.stderr).max() < 5


def test_a_gaussian_machine_mixes_kinds_of_sites():
    """Visible units on the line, hidden ones binary: <h_j> from summing out the visible layer."""
    w = np.random.default_rng(1).normal(size=(4, 3)) * 0.8
    bias = np.array([0.3, -0.2, 0.1])
    h = models.rbm(w, hidden_bias=bias, visible=spaces.LINE)
    hidden = np.array(np.meshgrid(*[[0, 1]] * 3, indexing="ij")).reshape(3, -1).T
    weight = np.exp(0.5 * np.sum((hidden @ w.T) ** 2, axis=1) + hidden @ bias)
    exact = weight @ hidden / weight.sum()
    out = run(HeatBath(), h, key=KEY, n_sweeps=4000, n_chains=8, observables={"h": lambda x: x[4:]})
    assert np.all(np.abs(out["h"].mean.value - exact) < 4 * out["h"].mean.stderr)
    assert float(out["h"].mean.stderr.max()) < 0.02


def test_dense_gaussian_is_swept_site_by_site():
    a = np.random.default_rng(2).normal(size=(6, 6))
    form = a @ a.T + np.eye(6)
    h = Hamiltonian({"form": Dense(form)}, space=spaces.LINE, shape=(6,))
    out = run(HeatBath(), h, key=KEY, n_sweeps=4000, n_chains=8,
              observables={"xx": lambda x: jnp.outer(x, x)})["xx"].mean  # fmt: skip
    assert np.abs((out.value - np.linalg.inv(form)) / out.stderr).max() < 4.5


def test_overrelaxation_conserves_the_energy_and_undoes_itself():
    h = models.heisenberg(lattices.random_regular(20, 3, seed=1), 1.0, 0.4)
    x = jax.random.normal(KEY, h.state_shape)
    x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
    y, _ = jax.jit(lambda x: Overrelaxation()(h, x, key=KEY))(x)
    assert float(h(y)) == pytest.approx(float(h(x)), rel=1e-12)
    assert float(jnp.abs(y - x).max()) > 0.1


@pytest.mark.parametrize("h", [models.ising(lattices.square(8, 8), 0.3),
                               models.heisenberg(lattices.cubic(4, 4, 4), 0.5)],
                         ids=["ising", "heisenberg"])  # fmt: skip
def test_demons_conserve_the_energy_and_know_the_temperature(h):
    kernel, canonical = Creutz(), Creutz(refresh=True)
    equilibrium = run(canonical, h, key=KEY, n_sweeps=300, n_chains=8)
    walk = lambda s, k: sweeps(kernel, h, s, key=k, n_sweeps=200)
    end, info = jax.jit(jax.vmap(walk))(equilibrium.state, jax.random.split(KEY, 8))
    total = jax.vmap(lambda s: h(s.x) + jnp.sum(s.energy))
    np.testing.assert_allclose(total(end), total(equilibrium.state), rtol=1e-11)
    assert bool(jnp.all(end.energy >= 0))
    demon = info["demon"]
    assert abs(float(jnp.mean(demon)) - 1) < 5 * float(jnp.std(demon)) / np.sqrt(8) + 0.02


def test_demons_that_are_refreshed_are_canonical():
    h = models.heisenberg(lattices.chain(12, periodic=False), 1.3)
    e = run(Creutz(refresh=True), h, key=KEY, n_sweeps=4000, n_chains=8, observables={"e": h})["e"]
    assert abs(float(e.mean.value) + 11 * 1.3 * langevin(3, 1.3)) < 4 * float(e.mean.stderr)


def test_fields_that_are_not_linear_are_named():
    square = Hamiltonian({"s": Sites(1.0, [[0, 0]])}, space=spaces.sphere(3), shape=(1,))
    for kernel in (HeatBath(), Overrelaxation()):
        with pytest.raises(StructureError, match="must be linear here"):
            kernel(square, jnp.array([[1.0, 0, 0]]), key=KEY)
        with pytest.raises(StructureError, match="must be quadratic here, but it has the power 4"):
            kernel(models.phi4(lattices.chain(4), r=1.0, u=1.0), jnp.zeros(4), key=KEY)
    with pytest.raises(SpaceError, match="needs spheres or the line, got SPIN"):
        Overrelaxation()(models.ising(lattices.chain(4), 1.0), jnp.ones(4), key=KEY)


def test_float32_is_kept():
    with jax.enable_x64(False):
        for h in (models.ising(lattices.square(4, 4), 0.4), models.xy(lattices.chain(5), 1.0)):
            x, _ = HeatBath()(h, jnp.ones(h.state_shape) / np.sqrt(h.space.n_components), key=KEY)
            assert x.dtype == jnp.float32


def test_a_constant_changes_nothing():
    h = models.ising(lattices.chain(6), 0.5, 0.2).condition({0: 1})
    x, _ = HeatBath()(h, jnp.ones(5), key=jax.random.key(0))
    assert x.shape == (5,) and any(t.degree(h.space) == 0 for t in h.terms.values())
