"""Parallel tempering: exact transition matrices on replicas, and what tuning promises."""

import dataclasses
import itertools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import compiled
from scipy.special import erf
from scipy.stats import binom
from transition import Finder, Script, boltzmann, states_of, transition_matrix

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, StructureError
from physdl.hamiltonian import Hamiltonian, Potential, Sites, conditional_energies
from physdl.pytree import module
from physdl.sampling import HeatBath
from physdl.sampling import _random as random
from physdl.sampling._kernel import EnsembleKernel
from physdl.sampling._ladder import (
    _advanced,
    best_round_trip_rate,
    cumulative_barrier,
    equalised,
    round_trip_rate,
    tune_ladder,
)
from physdl.sampling._path import Path, log_z_of_zero
from physdl.sampling.tempering import ParallelTempering
from physdl.spaces import BINARY, LINE, SPIN, levels, product, sphere

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(7)
BETAS = np.array([0.1, 0.45, 1.0])
RING = [[0, 1], [1, 2], [2, 0]]


def spins(scale):
    """Three spins with random couplings and fields."""
    return Hamiltonian(
        {
            "pair": Sites(scale * RNG.normal(size=3), RING),
            "field": Sites(scale * RNG.normal(size=3), [[0], [1], [2]]),
        },
        space=SPIN,
        shape=(3,),
    )


def hard_squares():
    """Three neighbouring cells of which no two may be occupied."""
    return Hamiltonian(
        {
            "hard": Potential([[0.0, 0.0], [0.0, np.inf]], [[0, 1], [1, 2]]),
            "site": Sites(RNG.normal(size=3), [[0], [1], [2]]),
        },
        space=BINARY,
        shape=(3,),
    )


def without_field(h):
    return Hamiltonian({"pair": h.terms["pair"]}, space=h.space, shape=h.shape)


FIELD = spins(1.0)
CASES = {
    "temperature": (spins(1.0), None),
    "two couplings": (spins(1.0), spins(0.7)),
    "only the field": (FIELD, without_field(FIELD)),
    "hard constraints": (hard_squares(), None),
}


@module
class Still:
    """The kernel that does nothing."""

    def __call__(self, h, state, *, key):
        return state, {}


@module
class Scripted:
    """Heat bath, site after site, with outcomes from bits of the key, and log p in info."""

    def __call__(self, h, state, *, key):
        code, log_p = jax.random.key_data(key)[0], 0.0
        for site in range(3):
            outcome = ((code >> np.uint32(site)) & np.uint32(1)).astype(int)
            log_p += jax.nn.log_softmax(-conditional_energies(h, state, site))[outcome]
            state = state.at[site].set(jnp.asarray(h.space.points)[outcome, 0])
        return state, {"log_p": log_p}


class Replicated:
    """Parallel tempering as a kernel on joint configurations [K, *state]."""

    def __init__(self, tempering, parity):
        self.tempering, self.parity = tempering, parity

    def __call__(self, h, x, *, key):
        state = self.tempering.init(h, x, key=key)
        state = dataclasses.replace(state, n_rounds=jnp.asarray(self.parity, jnp.int32))
        state, info = self.tempering(h, state, key=key)
        return state.configurations, info


def joint(h, reference):
    """Joint states of three replicas and their product distribution."""
    states, path = states_of(h), Path(h, reference)
    marginals = [boltzmann(path(b), states) for b in BETAS]
    index = np.array(list(itertools.product(range(len(states)), repeat=3)))
    p = np.prod([m[index[:, k]] for k, m in enumerate(marginals)], axis=0)
    return states[index], p


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("parity", [0, 1])
def test_swaps_are_reversible(case, parity):
    h, reference = CASES[case]
    states, p = joint(h, reference)
    kernel = Replicated(ParallelTempering(Still(), BETAS, reference), parity)
    matrix = transition_matrix(kernel, h, states)[p > 0]
    flow = p[p > 0][:, None] * matrix[:, p > 0]
    np.testing.assert_allclose(matrix[:, p > 0].sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(flow, flow.T, atol=1e-14)
    assert np.abs(flow - np.diag(np.diag(flow))).max() > 1e-4  # something is exchanged


def test_swaps_at_random_are_stationary():
    h, reference = CASES["two couplings"]
    states, p = joint(h, reference)
    kernel = Replicated(ParallelTempering(Still(), BETAS, reference, reversible=True), 0)
    matrix = transition_matrix(kernel, h, states)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-13)
    even, odd = (
        transition_matrix(Replicated(ParallelTempering(Still(), BETAS, reference), k), h, states)
        for k in (0, 1)
    )
    np.testing.assert_allclose(matrix, (even + odd) / 2, atol=1e-13)


@pytest.mark.parametrize("case", ["temperature", "two couplings"])
@pytest.mark.parametrize("parity", [0, 1])
def test_a_call_leaves_the_product_of_all_distributions(case, parity):
    """The whole call, with every outcome of the sweep of every replica."""
    h, reference = CASES[case]
    states, p = joint(h, reference)
    tempering = ParallelTempering(Scripted(), BETAS, reference)
    split = random.split

    def call(h, x, *, key):
        def scripted(key, n=2):
            if n != 4:
                return split(key, n)
            codes = random.integers(key, (3,), 8).astype(jnp.uint32)
            words = jnp.pad(jnp.stack([codes, 0 * codes], axis=1), ((0, 1), (0, 0)))
            return jax.random.wrap_key_data(words, impl="threefry2x32")

        with mock.patch.object(random, "split", scripted):
            return Replicated(tempering, parity)(h, x, key=key)

    matrix = weighted_matrix(call, h, states)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-13)
    assert np.linalg.matrix_power(matrix, 4).min() > 0


def weighted_matrix(call, h, states):
    """The transition matrix where the uniform script of the sweeps is weighed by info["log_p"]."""
    n, find = len(states), Finder(states)
    x, first = jnp.asarray(states), Script()
    with first.installed():
        jax.eval_shape(lambda s: call(h, s, key=jax.random.key(0)), x[0])
    bases = np.array(first.bases, dtype=np.int64)
    codes = np.array(list(itertools.product(*[range(b) for b in bases])))

    @jax.jit
    @jax.vmap
    def paths(digits):
        def path(state):
            script = Script(digits)
            with script.installed():
                after, info = call(h, state, key=jax.random.key(0))
            uniform = -3 * jnp.log(8.0)
            return after, sum(script.log_p) - uniform + 3 * info["log_p"]

        return jax.vmap(path)(x)

    matrix = np.zeros((n, n))
    for part in np.array_split(codes, max(1, len(codes) // 256)):
        after, log_p = paths(jnp.asarray(part))
        where = find(np.asarray(after).reshape(len(part) * n, -1))
        np.add.at(matrix, (np.tile(np.arange(n), len(part)), where), np.exp(log_p).reshape(-1))
    return matrix


def test_replicas_follow_their_distributions():
    """The code as it is used: energies of every rung against enumeration, through jit."""
    h = models.edwards_anderson(lattices.square(3, 3), 1.5, 0.2, seed=3)
    tempering = ParallelTempering(HeatBath(), [0.2, 0.6, 1.0])
    n_chains, n = 64, 200

    def chain(key):
        start_key, key = jax.random.split(key)
        x = jax.random.rademacher(start_key, (3, 3, 3), float)
        state = tempering.init(h, x, key=key)

        def step(state, key):
            state, info = tempering(h, state, key=key)
            return state, (jax.vmap(h)(state.configurations), info["round_trips"])

        state, (energy, trips) = jax.lax.scan(step, state, jax.random.split(key, n))
        return jnp.mean(energy[50:], axis=0), jnp.sum(trips), state.replica

    energy, trips, replica = compiled(jax.vmap(chain))(
        jax.random.split(jax.random.key(5), n_chains)
    )
    states = states_of(h)
    exact = [
        boltzmann(b * h, states) @ np.asarray(jax.vmap(h)(jnp.asarray(states)))
        for b in tempering.betas
    ]
    error = np.std(energy, axis=0) / np.sqrt(n_chains - 1)
    assert np.all(np.abs(np.mean(energy, axis=0) - np.array(exact)) < 4 * error)
    assert np.all(error < 0.08)
    assert trips.min() > 5
    assert np.all(np.sort(replica, axis=1) == np.arange(3))


def test_books_of_round_trips():
    """With every swap accepted a replica meets the top after K rounds, and is back after 2 K."""
    h = models.ising(lattices.chain(3), 0.0)
    tempering = ParallelTempering(Still(), [0.0, 0.5, 1.0])
    state = tempering.init(h, jnp.arange(9.0).reshape(3, 3), key=jax.random.key(0))
    seen = []
    for i in range(7):
        state, info = tempering(h, state, key=jax.random.key(i))
        seen.append((state.replica.tolist(), int(state.round_trips), int(info["round_trips"])))
        np.testing.assert_array_equal(state.configurations[:, 0] // 3, state.replica)
    assert [replica for replica, _, _ in seen[:3]] == [[1, 0, 2], [1, 2, 0], [2, 1, 0]]
    assert [trips for _, trips, _ in seen] == [0, 0, 0, 0, 1, 1, 2]
    assert [trips for _, _, trips in seen] == [0, 0, 0, 0, 1, 0, 1]
    assert seen[-1][0] == [1, 0, 2] and state.direction.tolist() == [1, 1, -1]
    assert state.acceptance.tolist() == [1, 1]


def test_forbidden_configurations_are_not_exchanged_upwards():
    h = hard_squares()
    tempering = ParallelTempering(Still(), [0.5, 1.0])
    bad, good = [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]
    for low, high, end in ((bad, good, good), (good, bad, good), (bad, bad, bad)):
        state = tempering.init(h, jnp.array([low, high]), key=jax.random.key(0))
        state, info = tempering(h, state, key=jax.random.key(1))
        assert state.configurations[-1].tolist() == end
        assert np.isfinite(info["swap_acceptance"])


def test_float32_and_vmap():
    h = models.ising(lattices.chain(4), 0.7)
    h = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), h)
    tempering = ParallelTempering(HeatBath(), [0.0, 1.0], models.ising(lattices.chain(4), 0.1))
    x = jnp.ones((5, 2, 4))
    states = jax.vmap(lambda x: tempering.init(h, x, key=jax.random.key(0)))(x)
    keys = jax.random.split(jax.random.key(1), 5)
    move = jax.jit(jax.vmap(lambda s, k: tempering(h, s, key=k)))
    states, info = move(states, keys)
    assert states.configurations.dtype == jnp.float32
    assert info["pair_acceptance"].shape == (5, 1) and info["pair_acceptance"].dtype == jnp.float32


def test_is_an_ensemble_kernel():
    tempering = ParallelTempering(HeatBath(), [0.0, 1.0])
    assert isinstance(tempering, EnsembleKernel) and tempering.n_replicas == 2
    again = jax.tree.map(lambda leaf: leaf, tempering)
    assert again == tempering


def test_bad_settings():
    with pytest.raises(SettingError, match="increase to 1"):
        ParallelTempering(HeatBath(), [0.0, 0.5])
    with pytest.raises(SettingError, match="increase to 1"):
        ParallelTempering(HeatBath(), [0.5, 0.2, 1.0])
    with pytest.raises(SettingError, match="increase to 1"):
        ParallelTempering(HeatBath(), [np.nan, 1.0])
    with pytest.raises(SettingError, match="two rungs"):
        ParallelTempering(HeatBath(), [1.0])
    with pytest.raises(SettingError, match="one configuration, got ParallelTempering"):
        ParallelTempering(ParallelTempering(HeatBath(), [0.0, 1.0]), [0.0, 1.0])
    h = models.ising(lattices.chain(4), 0.7)
    tempering = ParallelTempering(HeatBath(), [0.0, 1.0])
    with pytest.raises(ShapeError, match="2 rungs"):
        tempering.init(h, jnp.ones((3, 4)), key=jax.random.key(0))
    other = ParallelTempering(HeatBath(), [0.0, 1.0], models.ising(lattices.chain(5), 0.7))
    with pytest.raises(StructureError, match="same sites"):
        other.init(h, jnp.ones((2, 4)), key=jax.random.key(0))
    for wrong in ({"n_rounds": 1}, {"n_sweeps": 0}, {"n_replicas": 1}):
        with pytest.raises(SettingError, match="or more"):
            tune_ladder(tempering, h, key=jax.random.key(0), **wrong)


def test_path():
    h, reference = CASES["two couplings"]
    path = Path(h, reference)
    states = jnp.asarray(states_of(h))
    for b in (0.0, 0.3, 1.0):
        mixed = (1 - b) * jax.vmap(reference)(states) + b * jax.vmap(h)(states)
        np.testing.assert_allclose(jax.vmap(path(b))(states), mixed, atol=1e-12)
    ladder = jax.vmap(path)(jnp.asarray(BETAS))
    energies = jax.vmap(lambda h: h(states[3]))(ladder)
    np.testing.assert_allclose(energies, [path(b)(states[3]) for b in BETAS], atol=1e-12)
    assert float(Path(hard_squares())(0.0)(jnp.array([1.0, 1.0, 0.0]))) == np.inf


def test_log_z_of_zero():
    of = lambda space, n: log_z_of_zero(Hamiltonian({}, space=space, shape=(n,)))
    assert of(levels(3), 4) == pytest.approx(4 * np.log(3))
    assert of(product([SPIN, levels(3)]), 2) == pytest.approx(np.log(6))
    assert of(sphere(3), 2) == pytest.approx(2 * np.log(4 * np.pi))
    assert np.isnan(of(LINE, 2)) and np.isnan(of(product([SPIN, LINE]), 2))


def test_ladder_of_normal_slopes():
    """Slopes that are normal with variance v: r = erf(sqrt(v) db / 2) and Lambda = sqrt(v / pi)."""
    betas, v = np.array([0.0, 0.1, 0.5, 1.0]), 30.0
    rejection = erf(np.sqrt(v) * np.diff(betas) / 2)
    np.testing.assert_allclose(cumulative_barrier(rejection)[-1], np.sqrt(v / np.pi), rtol=1e-12)
    np.testing.assert_allclose(equalised(betas, rejection, 6), np.linspace(0, 1, 6), atol=1e-12)
    assert round_trip_rate(np.array([0.5, 0.5])) == pytest.approx(1 / 6)
    assert round_trip_rate(np.array([0.5, 1.0])) == 0
    assert best_round_trip_rate(1.0) == pytest.approx(0.25)


def test_equalised_ladders_increase():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = rng.integers(2, 9)
        betas = np.concatenate([[0], np.sort(rng.uniform(size=n)), [1]])
        rejection = rng.choice([0.0, 1e-9, 0.3, 0.999, 1.0], size=n + 1)
        ladder = equalised(betas, rejection, int(rng.integers(2, 20)))
        assert np.all(np.diff(ladder) > 0) and ladder[0] == 0 and ladder[-1] == 1


def measured(tempering, h, n, key):
    """Rejections and round trips per call of n calls after n / 4 others."""
    x = jax.random.rademacher(key, (tempering.n_replicas, *h.shape), float)
    first = _advanced(tempering, h, tempering.init(h, x, key=key), n // 4, jax.random.key(1))
    last = _advanced(tempering, h, first, n, jax.random.key(1))
    return 1 - np.asarray(last.acceptance), (int(last.round_trips) - int(first.round_trips)) / n


def test_tuned_ladder_of_a_glass():
    h = models.edwards_anderson(lattices.square(6, 6), 2.0, seed=1)
    key, n = jax.random.key(0), 3000
    rough = ParallelTempering(HeatBath(), [0.0, 0.3, 0.6, 1.0])
    tuned, info = tune_ladder(rough, h, key=key, n_sweeps=80)
    k = tuned.n_replicas
    barrier = float(info["barrier"])
    assert abs(k - (2 * barrier + 1)) < 2.5 and int(info["best_n_replicas"]) >= 2 * barrier + 1
    rejection, rate = measured(tuned, h, n, key)
    assert np.std(rejection) < 0.04 and np.ptp(rejection) < 0.12
    np.testing.assert_allclose(rejection.mean(), np.mean(info["rejection"]), atol=0.03)
    geometric = ParallelTempering(HeatBath(), np.geomspace(0.05, 1.0, k))
    uneven, slow = measured(geometric, h, n, key)
    assert np.std(uneven) > 2 * np.std(rejection)
    # the geometric ladder begins at 0.05, a shorter way than from 0
    assert rate > slow
    predicted = round_trip_rate(rejection)
    assert float(info["predicted_round_trip_rate"]) == pytest.approx(predicted, rel=0.1)
    assert 0.3 * predicted < rate < 1.1 * predicted
    assert predicted < float(info["best_round_trip_rate"]) == pytest.approx(1 / (2 + 2 * barrier))


def test_round_trips_reach_the_bound_where_replicas_forget():
    """Independent spins in a field: one sweep of heat bath forgets everything."""
    h = Hamiltonian({"field": Sites(-1.2, np.arange(64)[:, None])}, space=SPIN, shape=(64,))
    start = ParallelTempering(HeatBath(), np.linspace(0.0, 1.0, 24))
    _, info = tune_ladder(start, h, key=jax.random.key(3), n_rounds=7, n_replicas=24, n_sweeps=128)
    n = int(info["state"].n_rounds) // 2
    rate, predicted = float(info["round_trip_rate"]), float(info["predicted_round_trip_rate"])
    assert abs(rate - predicted) < 4 * np.sqrt(predicted / n)
    assert rate > 0.75 * float(info["best_round_trip_rate"])
    # lambda(b) = E|D - D'| / 2 of two independent draws at b, by numerical integration
    b = np.linspace(0, 1, 201)
    grid = np.arange(65)
    p = binom.pmf(grid[None], 64, 1 / (1 + np.exp(-2.4 * b))[:, None])
    gap = np.abs(grid[:, None] - grid) * 2 * 1.2
    exact = np.trapezoid(0.5 * np.einsum("bi,ij,bj->b", p, gap, p), b)
    assert float(info["barrier"]) == pytest.approx(exact, rel=0.02)


def test_tuning_goes_on_from_a_state():
    h = models.ising(lattices.square(4, 4), 0.5)
    start = ParallelTempering(Still(), [0.0, 0.5, 1.0])
    _, info = tune_ladder(start, h, key=jax.random.key(0), n_rounds=2, n_sweeps=4, n_replicas=3)
    again, info = tune_ladder(
        start, h, key=jax.random.key(0), n_rounds=2, n_sweeps=4, n_replicas=3, state=info["state"]
    )
    assert again.n_replicas == 3 and int(info["state"].n_rounds) == 8
