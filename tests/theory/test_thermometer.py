import functools
import itertools
import json
import math
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import estimators, lattices, models, networks, rg, sampling, spaces
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError, TooLargeError
from physdl.learning import TrainingStatus
from physdl.pytree import module
from physdl.reference import ising_density_of_states
from physdl.theory import thermometer

CRITICAL = math.log(1 + math.sqrt(2)) / 2
KEY = jax.random.key(0)


def spins(rows, cols):
    """Every configuration, and its energy by numpy."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=rows * cols))).reshape(-1, rows, cols)
    energy = -sum((x * np.roll(x, 1, axis)).sum(axis=(1, 2)) for axis in (1, 2))
    return x, energy


def boltzmann(energy, beta):
    w = np.exp(-beta * (energy - energy.min()))
    return w / w.sum()


def variance(p, values):
    return p @ values**2 - (p @ values) ** 2


def half_a_digit(printed):
    return 0.5001 * 10 ** -len(printed.split(".")[1])


@pytest.mark.parametrize(
    ("side", "beta", "information", "sigma_beta", "sigma_temperature"),
    [
        (16, CRITICAL, 1975.58645, "0.0224984", "0.115849"),
        (32, CRITICAL, 9737.60445, "0.0101338", "0.0521812"),
        (40, 0.408, 9560.46208, "0.0102273", "0.0614"),
        (64, CRITICAL, 46236.2184, "0.0046506", "0.0239469"),
    ],
)
def test_the_line(side, beta, information, sigma_beta, sigma_temperature):
    """The numbers of golden.json ("fisher_beta") and of SCIENCE 1.10."""
    model = thermometer.ising_torus(side, side)
    line = thermometer.cramer_rao(model, beta)
    assert float(line.information) == pytest.approx(information, rel=1e-8)
    assert float(line.sigma_beta) == pytest.approx(float(sigma_beta), abs=half_a_digit(sigma_beta))
    assert float(line.sigma_temperature) == pytest.approx(
        float(sigma_temperature), abs=half_a_digit(sigma_temperature)
    )
    four = thermometer.cramer_rao(model, beta, n=4)
    assert float(four.sigma_beta) == pytest.approx(float(line.sigma_beta) / 2, rel=1e-12)


@pytest.mark.parametrize("beta", [0.1, CRITICAL, 0.8])
def test_information_is_the_variance_over_all_states(beta):
    _, energy = spins(4, 4)
    exact = variance(boltzmann(energy, beta), energy)
    model = thermometer.ising_torus(4, 4)
    assert float(thermometer.fisher_information(model, beta)) == pytest.approx(exact, rel=1e-10)
    counted = thermometer.canonical(model.h, estimators.Enumeration())
    assert float(thermometer.fisher_information(counted, beta)) == pytest.approx(exact, rel=1e-10)


def test_information_is_the_curvature_of_the_divergence():
    """KL(p_b || p_b') + KL(p_b' || p_b) = I (b' - b)^2 for nearby temperatures."""
    _, energy = spins(3, 3)
    p, q = (boltzmann(energy, b) for b in (0.4, 0.401))
    divergence = (p - q) @ np.log(p / q)
    model = thermometer.ising_torus(3, 3)
    information = float(thermometer.fisher_information(model, 0.4005))
    assert divergence == pytest.approx(information * 0.001**2, rel=1e-5)


def test_the_posterior_is_that_of_counting_and_that_of_the_classifier():
    x, energy = spins(4, 4)
    betas, prior = np.array([0.2, 0.44, 0.7]), np.array([0.5, 0.3, 0.2])
    likelihood = np.stack([boltzmann(energy, b) for b in betas], axis=1)
    flat = likelihood / likelihood.sum(axis=1, keepdims=True)
    model = thermometer.ising_torus(4, 4)
    np.testing.assert_allclose(thermometer.posterior(model, energy, betas), flat, atol=1e-12)
    tilted = likelihood * prior
    tilted = tilted / tilted.sum(axis=1, keepdims=True)
    found = thermometer.posterior(model, energy, betas, np.log(prior))
    np.testing.assert_allclose(found, tilted, atol=1e-12)
    some = jnp.asarray(x[::4097])
    network = model.classifier(betas, np.log(prior))
    np.testing.assert_allclose(jax.vmap(network)(some), tilted[::4097], atol=1e-12)


def test_maximum_likelihood_is_where_the_energies_agree():
    model, energy = thermometer.ising_torus(8, 8), -60.0
    found = thermometer.maximum_likelihood(model, energy)
    beta = float(found.beta)
    assert float(-jax.grad(model.log_z)(found.beta)) == pytest.approx(energy, abs=1e-10)
    grid = jnp.linspace(beta - 1e-3, beta + 1e-3, 21)
    likelihood = -grid * energy - jax.vmap(model.log_z)(grid)
    assert int(jnp.argmax(likelihood)) == 10
    assert float(found.stderr) == pytest.approx(
        float(thermometer.cramer_rao(model, beta).sigma_beta), rel=1e-10
    )


def test_the_derivative_of_maximum_likelihood_is_the_implicit_one():
    model = thermometer.ising_torus(8, 8)
    read = lambda e: thermometer.maximum_likelihood(model, e).beta
    energies = jnp.array([-20.0, -60.0, -100.0])
    slopes = jax.jit(jax.vmap(jax.grad(read)))(energies)
    information = jax.vmap(lambda e: thermometer.fisher_information(model, read(e)))(energies)
    np.testing.assert_allclose(slopes, -1 / information, rtol=1e-9)
    step = 1e-3
    difference = (jax.vmap(read)(energies + step) - jax.vmap(read)(energies - step)) / (2 * step)
    np.testing.assert_allclose(slopes, difference, rtol=1e-5)


@pytest.mark.slow
def test_its_second_derivative_is_the_implicit_one_too():
    """d^2 beta / dE^2 = -(log Z)''' / I^3, from E = -(log Z)'(beta)."""
    model = thermometer.ising_torus(8, 8)
    read = lambda e: thermometer.maximum_likelihood(model, e).beta
    third = jax.grad(jax.grad(jax.grad(model.log_z)))(read(-60.0))
    information = thermometer.fisher_information(model, read(-60.0))
    second = jax.grad(jax.grad(read))(-60.0)
    assert float(second) == pytest.approx(float(-third / information**3), rel=1e-8)


def test_twice_the_couplings_are_half_the_temperature():
    """Differentiable in the model: d log(beta) / d log(J) = -1 at fixed E / J."""
    h = models.ising(lattices.square(3, 3), 1.0)

    def read(j):
        model = thermometer.canonical(j * h, estimators.Enumeration())
        return thermometer.maximum_likelihood(model, -8.0 * j).beta

    beta = float(read(1.0))
    same = thermometer.maximum_likelihood(thermometer.ising_torus(3, 3), -8.0)
    assert beta == pytest.approx(float(same.beta), rel=1e-10)
    assert float(read(2.0)) == pytest.approx(beta / 2, rel=1e-10)
    assert float(jax.grad(read)(1.0)) == pytest.approx(-beta, rel=1e-8)


def test_beyond_the_scale_a_reading_says_so():
    model = thermometer.ising_torus(4, 4)
    read = functools.partial(thermometer.maximum_likelihood, model, lower=0.1, upper=1.0)
    found = jax.vmap(read)(jnp.array([-32.0, 4.0, -12.0, jnp.nan]))
    assert found.beta[:2].tolist() == [1.0, 0.1]
    expected = ["EDGE", "EDGE", "OK", "NONFINITE"]
    assert [thermometer.ReadingStatus(int(s)).name for s in found.status] == expected
    assert jax.grad(lambda e: read(e).beta)(-32.0) == 0
    assert all(s.message.endswith(".") for s in thermometer.ReadingStatus)
    assert float(read(-12.0).temperature) == pytest.approx(1 / float(found.beta[2]), rel=1e-12)


@functools.cache
def density(side):
    energies, states = ising_density_of_states(side, side)
    return np.asarray(energies, float), np.array([math.log(n) if n else -np.inf for n in states])


def exact_rmse(side, beta, n):
    """Of maximum likelihood from n configurations, over sigma: a sum over all mean energies."""
    energies, log_states = density(side)
    w = log_states - beta * energies
    w = np.exp(w - w.max())
    one = w / w.sum()
    p = one
    for _ in range(n - 1):
        p = np.convolve(p, one)
    means = np.linspace(energies[0], energies[-1], len(p))
    likely = p > 1e-12
    model = thermometer.ising_torus(side, side)
    read = jax.jit(jax.vmap(lambda e: thermometer.maximum_likelihood(model, e, n=n).beta))
    betas = np.asarray(read(jnp.asarray(means[likely])))
    line = float(thermometer.cramer_rao(model, beta, n=n).sigma_beta)
    return math.sqrt(p[likely] @ (betas - beta) ** 2) / line


@pytest.mark.parametrize(
    ("side", "beta", "n"), [(16, 0.3, 1), (32, 0.408, 1), (16, CRITICAL, 16), (32, CRITICAL, 4)]
)
def test_maximum_likelihood_reaches_the_line(side, beta, n):
    """Within 5 %, by the exact numbers of states of every energy: no sampling."""
    assert exact_rmse(side, beta, n) == pytest.approx(1, abs=0.05)


def test_one_critical_configuration_does_not_reach_it():
    """At the critical point energies are skewed, and the line is reached by averages alone."""
    assert exact_rmse(16, CRITICAL, 1) == pytest.approx(1.2537, abs=1e-3)


def test_sampled_states_have_their_temperature():
    model = thermometer.ising_torus(16, 16)
    x = thermometer.thermal_states(
        model.h, np.full(2000, 0.3), kernel=sampling.SwendsenWang(), n_sweeps=60, key=KEY
    )
    energy = jax.vmap(model.h)(x)
    exact = float(-jax.grad(model.log_z)(0.3))
    assert abs(float(jnp.mean(energy)) - exact) < 4 * float(jnp.std(energy)) / math.sqrt(2000)
    found = thermometer.accuracy(
        jax.vmap(lambda e: thermometer.maximum_likelihood(model, e).beta)(energy), 0.3
    )
    line = float(thermometer.cramer_rao(model, 0.3).sigma_beta)
    assert abs(float(found.rmse.value) - exact_rmse(16, 0.3, 1) * line) < 4 * found.rmse.stderr
    assert float(found.rmse.value) > line - 4 * found.rmse.stderr


@module
class SmallBox:
    """The even operators of 2 x 2 block spins, complete for their symmetry."""

    def __call__(self, x):
        a, b, c, d = x.reshape(-1)
        return jnp.stack([a * b + b * d + d * c + c * a, a * d + b * c, a * b * c * d])


def test_a_block_spin_thermometer_with_all_operators_is_exact():
    """The learned posterior given 2 x 2 majorities of 4 x 4 spins, against counting."""
    x, energy = spins(4, 4)
    betas, n = np.array([0.1, 0.25, 0.4]), 30_000
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    chosen = np.zeros(n, int)
    for b in range(3):
        draws = rng.choice(len(x), size=n // 3, p=boltzmann(energy, betas[b]))
        chosen[labels == b] = draws
    step = jax.jit(jax.vmap(lambda x, key: rg.Majority(2)(x, key=key)))
    coarse = step(jnp.asarray(x[chosen]), jax.random.split(KEY, n))
    found = thermometer.calibrate(
        SmallBox(), coarse, labels, betas, optimizer=optax.lbfgs(), n_steps=60, key=KEY
    )
    assert int(found.status) == TrainingStatus.OK
    table = majorities(x)
    joint = np.stack([boltzmann(energy, b) @ table for b in betas], axis=1) / 3
    patterns = np.array(list(itertools.product([-1.0, 1.0], repeat=4))).reshape(-1, 2, 2)
    exact = joint / joint.sum(axis=1, keepdims=True)
    learned = np.asarray(jax.vmap(found.result)(jnp.asarray(patterns)))
    excess = np.sum(joint * np.log(exact / learned))
    n_learned = 2 * 4  # couplings and mu of two of three temperatures, relative to the third
    assert 0 < excess < 4 * n_learned / (2 * n)
    kinds = np.asarray(jax.vmap(SmallBox())(jnp.asarray(patterns)))
    seen = np.asarray(jax.vmap(SmallBox())(coarse))
    for kind in np.unique(kinds, axis=0):  # complete operators learn frequencies, no more, no less
        counts = np.bincount(labels[np.all(seen == kind, axis=1)], minlength=3)
        own = learned[np.all(kinds == kind, axis=1)]
        np.testing.assert_allclose(own - counts / counts.sum(), 0, atol=1e-5)


def majorities(x):
    """P(x' | x) for 2 x 2 blocks by explicit loops, x' in the order of itertools.product."""
    rows, cols = x.shape[1] // 2, x.shape[2] // 2
    up = np.stack(
        [
            (1 + np.sign(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum(axis=(1, 2)))) / 2
            for i in range(rows)
            for j in range(cols)
        ],
        axis=1,
    )
    columns = []
    for pattern in itertools.product([0, 1], repeat=rows * cols):
        bits = np.array(pattern)
        columns.append(np.prod(np.where(bits == 1, up, 1 - up), axis=1))
    return np.stack(columns, axis=1)


def kept_by(table, energy, beta):
    """Var(E[E | x']) from P(x' | x)."""
    p = boltzmann(energy, beta)
    q, mean = p @ table, (p * energy) @ table
    return np.sum(mean**2 / q) - (p @ energy) ** 2


@pytest.mark.parametrize("beta", [0.2, CRITICAL, 0.7])
def test_information_of_majorities_and_decimations_by_counting(beta):
    x, energy = spins(4, 4)
    h = models.ising(lattices.square(4, 4), 1.0)
    fine = variance(boltzmann(energy, beta), energy)
    p = boltzmann(energy, beta)
    groups = defaultdict(lambda: [0.0, 0.0])
    for state, weight, e in zip(x[:, ::2, ::2].reshape(-1, 4), p, energy, strict=True):
        own = groups[tuple(state)]
        own[0] += weight
        own[1] += weight * e
    decimated = sum(m**2 / w for w, m in groups.values()) - (p @ energy) ** 2
    for step, expected in (
        (rg.Majority(2), kept_by(majorities(x), energy, beta)),
        (rg.BlockDecimation(2), decimated),
    ):
        found = thermometer.information_kept(h, (step,), beta)
        np.testing.assert_allclose(found.information, [fine, expected], rtol=1e-9)
        assert 0.05 < float(found.share[1]) < 0.6


def test_information_of_a_step_is_the_curvature_of_the_coarse_divergence():
    """By the coarse distributions alone: (p'_b - q'_b) . log(p'_b / q'_b) = I' (db)^2."""
    x, energy = spins(4, 4)
    table = majorities(x)
    p, q = (boltzmann(energy, b) @ table for b in (0.4, 0.401))
    h = models.ising(lattices.square(4, 4), 1.0)
    found = thermometer.information_kept(h, (rg.Majority(2),), 0.4005)
    divergence = (p - q) @ np.log(p / q)
    assert divergence == pytest.approx(float(found.information[1]) * 0.001**2, rel=1e-5)


def test_every_step_loses_and_one_spin_knows_nothing():
    h = models.ising(lattices.square(4, 4), 1.0)
    steps = (rg.Majority(2), rg.Majority(2))
    found = thermometer.information_kept(h, steps, 0.44)
    assert found.information[0] > found.information[1] > 0
    assert float(found.information[2]) == pytest.approx(0, abs=1e-12)
    assert repr(found).startswith("I = ")


def ring_log_z(n, k):
    return jnp.log((2 * jnp.cosh(k)) ** n + (2 * jnp.sinh(k)) ** n)


@pytest.mark.parametrize("beta", [0.2, 0.7, 1.5])
@pytest.mark.parametrize("scales", [(2,), (3,), (2, 2)])
def test_decimation_of_the_ring_in_closed_form(beta, scales):
    """I' = (dK'/dK)^2 Var_K'(E') with tanh K' = tanh^b K and the log Z of the smaller ring."""
    n = 12
    ring = models.ising(lattices.chain(n), 1.0)
    steps = tuple(rg.BlockDecimation(b) for b in scales)
    found = thermometer.information_kept(ring, steps, beta).information
    b = math.prod(scales)
    renormalized = lambda k: jnp.arctanh(jnp.tanh(k) ** b)
    curvature = jax.grad(jax.grad(lambda k: ring_log_z(n // b, k)))
    expected = jax.grad(renormalized)(beta) ** 2 * curvature(renormalized(beta))
    assert float(found[-1]) == pytest.approx(float(expected), rel=1e-9)
    whole = jax.grad(jax.grad(lambda k: ring_log_z(n, k)))(beta)
    assert float(found[0]) == pytest.approx(float(whole), rel=1e-9)


def test_pluralities_of_potts_states_by_counting():
    q, n, beta = 3, 6, 0.8
    states = np.array(list(itertools.product(range(q), repeat=n)))
    energy = -(states == np.roll(states, 1, axis=1)).sum(axis=1).astype(float)
    table = np.zeros((len(states), q**2))
    for row, state in enumerate(states):
        best = []
        for block in (state[:3], state[3:]):
            count = [int((block == s).sum()) for s in range(q)]
            best.append([s for s in range(q) if count[s] == max(count)])
        for a, b in itertools.product(*best):
            table[row, q * a + b] += 1 / (len(best[0]) * len(best[1]))
    h = models.potts(lattices.chain(n), q, 1.0)
    step = rg.Majority(3, spaces.potts(q))
    found = thermometer.information_kept(h, (step,), beta)
    assert float(found.information[1]) == pytest.approx(kept_by(table, energy, beta), rel=1e-9)


def test_information_kept_composes_with_transformations():
    ring = models.ising(lattices.chain(6), 1.0)
    share = lambda k: thermometer.information_kept(ring, (rg.BlockDecimation(2),), k).share[1]
    grid = jnp.array([0.3, 0.6])
    together = jax.jit(jax.vmap(share))(grid)
    np.testing.assert_allclose(together, [share(k) for k in grid], rtol=1e-12)
    slope = (share(0.6 + 1e-5) - share(0.6 - 1e-5)) / 2e-5
    assert float(jax.grad(share)(0.6)) == pytest.approx(float(slope), rel=1e-6)


def test_the_sampled_bound_is_below_the_exact_information_and_reaches_it():
    """Samples of 4 x 4 spins: all operators of 2 x 2 majorities, then fewer."""
    x, energy = spins(4, 4)
    h, n = models.ising(lattices.square(4, 4), 1.0), 40_000
    p = boltzmann(energy, CRITICAL)
    chosen = np.random.default_rng(1).choice(len(x), size=n, p=p)
    step = jax.jit(jax.vmap(lambda x, key: SmallBox()(rg.Majority(2)(x, key=key))))
    features = step(jnp.asarray(x[chosen]), jax.random.split(KEY, n))
    whole, kept = thermometer.information_kept(h, (rg.Majority(2),), CRITICAL).information
    bound, total = thermometer.information_bound(energy[chosen], features)
    assert abs(float(bound.value) - float(kept)) < 4 * float(bound.stderr)
    assert abs(float(total.value) - float(whole)) < 4 * float(total.stderr)
    fewer, _ = thermometer.information_bound(energy[chosen], features[:, 2:])
    q = p @ majorities(x)
    plaquette = np.prod(np.array(list(itertools.product([-1.0, 1.0], repeat=4))), axis=1)
    mean = (p * energy) @ majorities(x) / q
    covariance = q @ (mean * plaquette) - (q @ mean) * (q @ plaquette)
    linear = covariance**2 / variance(q, plaquette)
    assert abs(float(fewer.value) - linear) < 4 * float(fewer.stderr)
    assert float(fewer.value) < float(kept) - 4 * float(fewer.stderr)


@pytest.mark.parametrize(
    ("step", "share"), [(rg.Majority(2), 0.437), (rg.BlockDecimation(2), 0.492)]
)
def test_shares_of_4_x_4_critical_spins_as_documented(step, share):
    h = models.ising(lattices.square(4, 4), 1.0)
    found = thermometer.information_kept(h, (step,), CRITICAL)
    assert float(found.share[1]) == pytest.approx(share, abs=5.001e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "shares"), [(rg.Majority(2), (0.704, 0.466)), (rg.BlockDecimation(2), (0.738, 0.428))]
)
def test_shares_of_16_x_16_critical_spins_as_documented(step, shares):
    model, n = thermometer.ising_torus(16, 16), 6000
    x = thermometer.thermal_states(
        model.h, jnp.full(n, CRITICAL), kernel=sampling.SwendsenWang(), n_sweeps=100, key=KEY
    )
    energy = jax.vmap(model.h)(x)
    whole = float(thermometer.fisher_information(model, CRITICAL))
    for k, share in enumerate(shares, start=1):
        coarsen = lambda x, key, n=k: thermometer.coarsened(x, (step,) * n, key=key)
        coarse = jax.jit(jax.vmap(coarsen))(x, jax.random.split(jax.random.key(4), n))
        side = 16 // 2**k
        reach = (4, {2: 2.9, 4: 1.5}) if k == 1 else (2, 1.5)
        operators = rg.operator_basis(lattices.square(side, side), *reach)
        features = jax.jit(jax.vmap(operators))(coarse)
        bound, total = thermometer.information_bound(energy, features)
        assert abs(float(total.value) - whole) < 4 * float(total.stderr)
        assert float(bound.value) / whole == pytest.approx(share, abs=0.005)
        assert float(bound.value) < whole - 4 * float(bound.stderr)


@functools.cache
def experiment():
    """Examples and tests of 8 x 8 spins, and the exact posterior mean of the latter."""
    model, betas = thermometer.ising_torus(8, 8), jnp.linspace(0.1, 0.6, 11)
    draws = []
    for n, key in zip((2200, 2200), jax.random.split(KEY), strict=True):
        labels = jnp.arange(n) % len(betas)
        states = thermometer.thermal_states(
            model.h, betas[labels], kernel=sampling.SwendsenWang(), n_sweeps=60, key=key
        )
        draws.append((states, labels))
    tests, labels = draws[1]
    exact = thermometer.posterior(model, jax.vmap(model.h)(tests), betas) @ betas
    return betas, *draws, (exact - betas[labels]) ** 2


def excess_of(found, tests, betas, labels, least):
    """The mean square error above that of the exact posterior mean, and its standard error."""
    off = (jax.jit(jax.vmap(found.result.read))(tests).beta - betas[labels]) ** 2 - least
    return float(jnp.mean(off)), float(jnp.std(off)) / math.sqrt(len(off))


def test_the_energy_as_statistic_learns_the_exact_posterior():
    betas, (states, labels), (tests, true), least = experiment()
    energy = rg.operator_basis(lattices.square(8, 8), 2, 1.0)
    found = thermometer.calibrate(
        energy, states, labels, betas, optimizer=optax.lbfgs(), n_steps=40, key=KEY
    )
    excess, stderr = excess_of(found, tests, betas, true, least)
    assert -4 * stderr < excess < 0.03 * float(jnp.mean(least))
    batched = {"optimizer": optax.adam(1e-2), "n_steps": 20, "batch_size": 50}
    member = lambda key: thermometer.calibrate(energy, states, labels, betas, key=key, **batched)
    ensemble = jax.vmap(member)(jax.random.split(KEY, 2))
    alone = member(jax.random.split(KEY, 2)[1])
    np.testing.assert_allclose(ensemble.losses[1], alone.losses, rtol=1e-9)
    one = found.result.read(tests[0])
    p = found.result(tests[0])
    assert float(one.beta) == pytest.approx(float(p @ betas), rel=1e-12)
    assert float(jnp.sum(p)) == pytest.approx(1, abs=1e-12)


def test_a_convolutional_thermometer_is_above_the_line():
    betas, (states, labels), (tests, true), least = experiment()
    network, _ = networks.convolutional((8, 8), channels=(4,), key=jax.random.key(3))
    settings = {
        "optimizer": optax.adam(optax.cosine_decay_schedule(1e-2, 800)),
        "n_steps": 800,
        "batch_size": 100,
        "key": KEY,
    }
    found = thermometer.calibrate(network, states, labels, betas, **settings)
    assert int(found.status) == TrainingStatus.OK
    excess, stderr = excess_of(found, tests, betas, true, least)
    assert -4 * stderr < excess < 0.5 * float(jnp.mean(least))
    prior = float(jnp.var(betas))
    assert float(jnp.mean(least)) + excess < 0.3 * prior


@pytest.mark.parametrize("step", [rg.Majority(2), rg.BlockDecimation(2)])
def test_block_spin_thermometers_lose_a_measurable_share(step):
    betas, (states, labels), (tests, true), least = experiment()
    coarsen = jax.jit(jax.vmap(lambda x, key: thermometer.coarsened(x, (step,), key=key)))
    coarse = [
        coarsen(x, jax.random.split(jax.random.key(k), len(x)))
        for k, x in enumerate((states, tests))
    ]
    operators = rg.operator_basis(lattices.square(4, 4), 2, 1.5)
    found = thermometer.calibrate(
        operators, coarse[0], labels, betas, optimizer=optax.lbfgs(), n_steps=40, key=KEY
    )
    excess, stderr = excess_of(found, coarse[1], betas, true, least)
    assert excess > 4 * stderr


@pytest.mark.slow
def test_thermometers_of_16_x_16_spins_at_one_temperature():
    """No learned or block-spin thermometer is below the Cramer-Rao line at beta = 0.4."""
    model, betas = thermometer.ising_torus(16, 16), jnp.linspace(0.3, 0.58, 15)
    kernel, n = sampling.SwendsenWang(), 6000
    labels = jnp.arange(n) % len(betas)
    draw = functools.partial(thermometer.thermal_states, model.h, kernel=kernel, n_sweeps=100)
    states = draw(betas[labels], key=jax.random.key(0))
    tests = draw(jnp.full(2000, 0.4), key=jax.random.key(1))
    line = float(thermometer.cramer_rao(model, 0.4).sigma_beta)
    network, _ = networks.convolutional((16, 16), channels=(4,), key=jax.random.key(3))
    rmse = {}
    for name, steps in (("network", ()), ("majority", (rg.Majority(2),) * 1)):
        coarsen = jax.jit(jax.vmap(lambda x, key, s=steps: thermometer.coarsened(x, s, key=key)))
        x, y = (coarsen(v, jax.random.split(KEY, len(v))) for v in (states, tests))
        statistic = network if name == "network" else operators_of(8)
        rate = optax.adam(optax.cosine_decay_schedule(1e-2, 3000))
        settings = (
            {"optimizer": rate, "n_steps": 3000, "batch_size": 100}
            if name == "network"
            else {"optimizer": optax.lbfgs(), "n_steps": 60}
        )
        found = thermometer.calibrate(statistic, x, labels, betas, key=KEY, **settings)
        readings = jax.jit(jax.vmap(found.result.read))(y).beta
        rmse[name] = thermometer.accuracy(readings, 0.4).rmse
        assert float(rmse[name].value) > line - 4 * float(rmse[name].stderr)
    assert float(rmse["network"].value) < 1.25 * line
    assert float(rmse["majority"].value) > line + 4 * float(rmse["majority"].stderr)


def operators_of(side):
    return rg.operator_basis(lattices.square(side, side), 2, 1.5)


def small():
    return models.ising(lattices.chain(4), 1.0)


def calibrated(**change):
    settings = {
        "statistic": operators_of(4),
        "states": jnp.ones((4, 4, 4)),
        "labels": np.array([0, 1, 0, 1]),
        "betas": jnp.array([0.1, 0.2]),
        "optimizer": optax.sgd(0.1),
        "n_steps": 1,
        "key": KEY,
    }
    return thermometer.calibrate(**(settings | change))


@pytest.mark.parametrize(
    ("refused", "error", "message"),
    [
        (lambda: thermometer.Canonical(small(), lambda b: b), StructureError, "a @module"),
        (
            lambda: thermometer.posterior(thermometer.ising_torus(4, 4), 0.0, 0.3),
            ShapeError,
            "a vector, got shape",
        ),
        (
            lambda: thermometer.posterior(thermometer.ising_torus(4, 4), 0.0, [0.3], [0.1, 0.2]),
            ShapeError,
            "as many priors",
        ),
        (
            lambda: thermometer.maximum_likelihood(
                thermometer.ising_torus(4, 4), 0.0, lower=1.0, upper=0.5
            ),
            SettingError,
            "from lower to upper",
        ),
        (lambda: thermometer.accuracy([0.1], 0.1), ShapeError, "two or more"),
        (
            lambda: thermometer.information_kept(small(), (rg.BlockAverage(2),), 0.1),
            StructureError,
            "got BlockAverage",
        ),
        (
            lambda: thermometer.information_kept(small(), (rg.Majority(2, spaces.BINARY),), 0.1),
            SpaceError,
            "the map is of BINARY",
        ),
        (
            lambda: thermometer.information_kept(
                models.ising(lattices.square(5, 5), 1.0), (rg.Majority(5),), 0.1
            ),
            TooLargeError,
            r"2\^25 configurations",
        ),
        (
            lambda: thermometer.information_kept(small(), (rg.BlockDecimation(2, 5),), 0.1),
            ShapeError,
            "no site 5",
        ),
        (lambda: thermometer.information_bound(np.ones(4), np.ones((4, 3))), ShapeError, "n of 4"),
        (lambda: calibrated(betas=0.3), ShapeError, "a vector of two or more"),
        (lambda: calibrated(labels=np.array([0, 1])), ShapeError, "4 states have as many labels"),
        (lambda: calibrated(labels=np.array([0, 1, 2, 0])), SettingError, "from 0 to 1"),
        (lambda: calibrated(batch_size=0), SettingError, "one example"),
        (
            lambda: thermometer.thermal_states(
                small(), 0.3, kernel=sampling.HeatBath(), n_sweeps=1, key=KEY
            ),
            ShapeError,
            "is a vector",
        ),
    ],
)
def test_refuses(refused, error, message):
    with pytest.raises(error, match=message):
        refused()


def test_golden_numbers_are_those_of_the_file():
    shared = Path(__file__).parents[3] / "shared" / "golden.json"
    if not shared.exists():
        pytest.skip("golden.json is not beside this checkout")
    golden = json.loads(shared.read_text())["fisher_beta"]
    for name, value in golden.items():
        side, at = name[1:].split("_K")
        beta = CRITICAL if at == "c" else float(at)
        model = thermometer.ising_torus(int(side), int(side))
        assert float(thermometer.fisher_information(model, beta)) == pytest.approx(value, rel=1e-8)
