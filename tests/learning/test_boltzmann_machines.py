"""Machines trained on data: what they learn by enumeration, published fixtures, refusals."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import learning, networks, spaces
from physdl.errors import PhysdlError

STATES = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
TWO_MODES = np.repeat(np.array([[0.0] * 10, [1.0] * 10]), 100, axis=0)


def distribution(machine):
    energy = np.asarray(jax.vmap(machine)(jnp.asarray(STATES)))
    p = np.exp(-energy + energy.min())
    return p / p.sum()


def trained(data, phase, *, seed=0, n_hidden=3, rate=0.05, n_steps=1500, **settings):
    start_key, key = jax.random.split(jax.random.key(seed))
    n = data.shape[1]
    return learning.train_boltzmann(
        networks.RBM.initial(n, n_hidden, data=data, key=start_key),
        data,
        method=phase,
        optimizer=optax.adam(optax.cosine_decay_schedule(rate, n_steps)),
        n_steps=n_steps,
        key=key,
        **settings,
    )


@pytest.mark.parametrize("phase", [learning.PCD(), learning.Tempered(5)])
def test_a_machine_is_recovered(phase):
    """KL(true | found), which 5000 samples and 27 parameters put near 27 / (2 * 5000)."""
    rng = np.random.default_rng(0)
    p = distribution(networks.RBM(3 * rng.normal(size=(6, 3)), rng.normal(size=6)))
    data = STATES[rng.choice(len(STATES), p=p, size=5000)]
    found = trained(data, phase, rate=0.05, n_steps=2000)
    q = distribution(found.result)
    independent = np.prod(np.where(STATES == 1, p @ STATES, 1 - p @ STATES), axis=1)
    assert np.sum(p * np.log(p / q)) < 0.01 < 0.2 < np.sum(p * np.log(p / independent))


@pytest.mark.slow
def test_a_ladder_learns_two_modes_where_plain_chains_do_not():
    """Two patterns of ten units with few errors, against the same training with exact gradients."""
    rng = np.random.default_rng(1)
    data = np.where(rng.random(TWO_MODES.shape) < 0.02, 1 - TWO_MODES, TWO_MODES)
    phases = {"exact": learning.Exact(), "ladder": learning.Tempered(8), "plain": learning.PCD()}
    found = {
        name: float(learning.log_likelihood(trained(data, phase).result, data))
        for name, phase in phases.items()
    }
    assert abs(found["ladder"] - found["exact"]) < 0.1
    assert found["plain"] < found["exact"] - 2


def test_the_likelihood_is_tracked_and_the_best_machine_kept():
    rng = np.random.default_rng(0)
    data = (rng.random((120, 6)) < 0.5).astype(float)
    other = (rng.random((120, 6)) < 0.5).astype(float)
    found = trained(
        data, learning.Exact(), batch_size=120, held_out=other, track=10, patience=3, centred=False
    )
    looks = np.asarray(found.monitored)
    assert len(looks) < 150
    assert looks.min() == pytest.approx(-float(learning.log_likelihood(found.result, other)))


@pytest.mark.slow
def test_runs_of_many_keys_are_those_of_each():
    data = STATES[:50]
    keys = jax.random.split(jax.random.key(3), 2)
    one = networks.RBM.initial(6, 2, key=jax.random.key(0))
    both = jax.tree.map(lambda x: jnp.stack([x, x]), one)
    settings = {"optimizer": optax.sgd(0.1), "n_steps": 20, "batch_size": 10}
    found = learning.train_boltzmann(both, data, key=keys, **settings)
    assert not np.allclose(found.result.weights[0], found.result.weights[1])
    for k in range(2):
        alone = learning.train_boltzmann(one, data, key=keys[k], **settings)
        np.testing.assert_allclose(found.result.weights[k], alone.result.weights, atol=1e-12)


def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    return (datasets.load_digits().data > 1e-3 * 16).astype(float)


def test_two_batches_of_the_published_mean_field():
    """Numbers of the tests of charlesmartin14/emf-rbm, which two programs share; order 2.

    Its weights begin at 1e-16, so all is determined. Biases there take no momentum. Its TAP free
    energy after a batch, -24.38, is neither E - S of its own entropy and energy nor near it.
    """
    x = digits()
    assert np.linalg.norm(x, 2) == pytest.approx(211.4983270228649, rel=1e-12)
    odds = np.maximum(x.mean(0), 1e-8)
    weights = 1e-16 * np.random.default_rng(0).normal(size=(64, 64))
    machine = networks.RBM(weights, np.log(odds / (1 - odds)))
    labels = lambda p: jax.tree.unflatten(jax.tree.structure(p), ["weights", "bias", "bias"])
    optimizer = optax.partition(
        {"weights": optax.sgd(0.005, momentum=0.5), "bias": optax.sgd(0.005)}, labels
    )
    phase = learning.MeanField(2, n_steps=3, persistent=False)
    memory, key = optimizer.init(machine), jax.random.key(0)
    spectral = lambda a: float(np.linalg.norm(np.asarray(a), 2))
    published = [
        (0.007628825568441182, 1.8196753262900838e-6, 38.97452180357592, 0.0, 152.57651136882203),
        (
            0.015478158879359825,
            8.120675004806954e-6,
            38.974504602139554,
            1.0779652694386856e-6,
            178.06423558738115,
        ),
    ]
    velocity = 0.0
    for k, (w, w2, visible, hidden, step) in enumerate(published):
        batch = x[100 * k : 100 * k + 100]
        objective = learning.contrastive_objective(batch, phase)
        state = objective.start(machine, key=key)
        slope = jax.grad(lambda m, o=objective, s=state: o(m, s, key)[0])(machine)
        velocity = 0.5 * velocity - 100 * slope.weights
        change, memory = optimizer.update(slope, memory, machine)
        machine = optax.apply_updates(machine, change)
        assert spectral(machine.weights) == pytest.approx(w, rel=1e-12)
        assert spectral(machine.weights**2) == pytest.approx(w2, rel=1e-11)
        assert spectral(machine.visible_bias) == pytest.approx(visible, rel=1e-13)
        assert spectral(machine.hidden_bias) == pytest.approx(hidden, rel=1e-9, abs=1e-16)
        assert spectral(velocity) == pytest.approx(step, rel=1e-12)
        if k == 0:
            entropy, energy = mean_field_parts(machine, batch)
            assert entropy == pytest.approx(68.52758766764042, rel=1e-13)
            assert energy == pytest.approx(-48.5436547091488, rel=1e-13)


def mean_field_parts(machine, batch):
    """Entropy and naive energy where three iterations from the batch end, in numpy."""
    phase = learning.MeanField(2, n_steps=3)
    key = jax.random.key(0)
    start = phase.start(machine, jnp.asarray(batch), key=key)
    means = phase(machine, jnp.asarray(batch), start, key=key)[1]
    v, h = (np.clip(np.asarray(m), 1e-8, 1 - 1e-8) for m in (means.visible, means.hidden))
    entropy = sum(-(m * np.log(m) + (1 - m) * np.log(1 - m)).sum(1) for m in (v, h))
    w, a, b = (np.asarray(x) for x in (machine.weights, machine.visible_bias, machine.hidden_bias))
    energy = -v @ a - h @ b - ((v @ w) * h).sum(1)
    return entropy.mean(), energy.mean()


def test_numbers_of_potts_states_are_states():
    numbers = np.random.default_rng(0).integers(0, 3, (60, 4))
    machine = networks.RBM(np.zeros((4, 3, 2)), visible=spaces.potts(3))
    wanted = learning.log_likelihood(machine, np.eye(3)[numbers])
    assert float(learning.log_likelihood(machine, numbers)) == float(wanted)


START = networks.RBM(jnp.zeros((6, 2)))
WRONG = {
    "outside": (START, np.full((200, 6), 0.5), {}),
    "nan": (START, np.full((200, 6), np.nan), {}),
    "shape": (START, np.zeros((200, 5)), {}),
    "none": (START, np.zeros((0, 6)), {}),
    "batch": (START, np.zeros((50, 6)), {}),
    "l1": (START, np.zeros((200, 6)), {"l1": -1.0}),
    "phase": (START, np.zeros((200, 6)), {"method": "pcd"}),
    "optimizer": (START, np.zeros((200, 6)), {"optimizer": 0.1}),
    "held out": (START, np.zeros((200, 6)), {"held_out": np.zeros((10, 5))}),
    "space": (
        networks.RBM(jnp.zeros((6, 2)), hidden=spaces.spin(1)),
        np.zeros((200, 6)),
        {"method": learning.MeanField()},
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    machine, samples, settings = WRONG[case]
    with pytest.raises(PhysdlError):
        learning.train_boltzmann(
            machine,
            samples,
            **{"optimizer": optax.sgd(0.1), "n_steps": 1, "key": jax.random.key(0), **settings},
        )


@pytest.mark.parametrize(
    "build",
    [
        lambda: learning.CD(0),
        lambda: learning.PCD(n_chains=0),
        lambda: learning.Tempered(1),
        lambda: learning.MeanField(4),
        lambda: learning.MeanField(damping=1.0),
    ],
)
def test_settings_out_of_range(build):
    with pytest.raises(PhysdlError):
        build()
