"""Contrastive gradients and trainings, against likelihoods that are summed."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import learning, networks, spaces

KINDS = {
    "binary": (spaces.BINARY, spaces.BINARY),
    "spin": (spaces.SPIN, spaces.SPIN),
    "line": (spaces.LINE, spaces.BINARY),
    "potts": (spaces.potts(3), spaces.BINARY),
    "spin 1": (spaces.BINARY, spaces.spin(1)),
}
TWO_STATE = {"binary": 0.05, "spin": 0.0125}  # weights of spins are a quarter of bits'


def machine_of(kind, n_visible=4, n_hidden=3, scale=0.7, seed=0):
    visible, hidden = KINDS[kind]
    rng = np.random.default_rng(seed)
    layer = (n_visible, *visible.event_shape)
    biases = 0.3 * rng.normal(size=layer), 0.3 * rng.normal(size=n_hidden)
    weights = scale * rng.normal(size=(*layer, n_hidden))
    return networks.RBM(weights, *biases, visible, hidden)


def log_z(machine):
    """The sum over hidden states, the visible layer summed unit by unit, in numpy."""
    points = machine.hidden.array[:, 0]
    w, a, b = (np.asarray(x) for x in (machine.weights, machine.visible_bias, machine.hidden_bias))
    totals = []
    for h in itertools.product(points, repeat=len(b)):
        field = a + w @ np.array(h)
        if isinstance(machine.visible, spaces.Line):
            units = field**2 / 2 + np.log(2 * np.pi) / 2
        else:
            exponents = field.reshape(len(field), -1) @ machine.visible.array.T
            units = np.log(np.exp(exponents).sum(1))
        totals.append(units.sum() + b @ np.array(h))
    return np.logaddexp.reduce(totals)


def configurations(machine):
    points = machine.visible.array
    x = np.array(list(itertools.product(range(len(points)), repeat=machine.n_visible)))
    return points[x].reshape(len(x), *machine.visible_bias.shape)


def some_data(machine, n=40, seed=1):
    rng = np.random.default_rng(seed)
    if isinstance(machine.visible, spaces.Line):
        return rng.normal(size=(n, machine.n_visible))
    points = machine.visible.array
    label = rng.choice(
        len(points),
        p=np.arange(1, len(points) + 1) ** 2 / np.sum(np.arange(1, len(points) + 1) ** 2),
        size=(n, machine.n_visible),
    )
    return points[label].reshape(n, *machine.visible_bias.shape)


def flat(tree):
    return np.asarray(jax.flatten_util.ravel_pytree(tree)[0])


def loss_and_slope(machine, data, phase, key=2, **settings):
    objective = learning.contrastive_objective(data, phase, **settings)
    state = objective.start(machine, key=jax.random.key(key))
    call = jax.jit(jax.value_and_grad(lambda m, k: objective(m, state, k)[0]))
    loss, slope = call(machine, jax.random.key(key + 1))
    return float(loss), flat(slope)


@functools.cache
def exact_slope(kind):
    """Finite differences of the likelihood that numpy sums."""
    machine = machine_of(kind)
    data = some_data(machine)
    vector, unravel = jax.flatten_util.ravel_pytree(machine)

    def surprise(vector):
        m = unravel(jnp.asarray(vector))
        return float(jnp.mean(jax.vmap(m)(jnp.asarray(data)))) + log_z(m)

    steps = 1e-5 * np.eye(len(vector))
    slopes = [(surprise(vector + s) - surprise(vector - s)) / 2e-5 for s in steps]
    return surprise(vector), np.array(slopes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_objective_is_the_likelihood(kind):
    machine = machine_of(kind)
    loss, slope = loss_and_slope(machine, some_data(machine), learning.Exact())
    wanted, wanted_slope = exact_slope(kind)
    assert loss == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(slope, wanted_slope, atol=1e-8)


def samples_of_slope(machine, data, phase, n, **settings):
    objective = learning.contrastive_objective(data, phase, **settings)
    start = lambda key: objective.start(machine, key=key)

    def one(key):
        begin, step = jax.random.split(key)
        return jax.grad(lambda m: objective(m, start(begin), step)[0])(machine)

    slopes = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), n))
    leaves = [np.asarray(leaf).reshape(n, -1) for leaf in jax.tree.leaves(slopes)]
    return np.concatenate(leaves, axis=1)


def worst(slopes, wanted):
    """The largest deviation of the mean, in standard errors."""
    error = slopes.std(0, ddof=1) / np.sqrt(len(slopes))
    return np.max(np.abs(slopes.mean(0) - wanted) / error)


@pytest.mark.parametrize("kind", KINDS)
def test_contrastive_divergence_is_exact_for_many_sweeps(kind):
    """The largest of about 20 deviations in standard errors; a single sweep is far off."""
    machine = machine_of(kind, scale=0.7)
    data = some_data(machine)
    far = worst(samples_of_slope(machine, data, learning.CD(1), 400), exact_slope(kind)[1])
    near = worst(samples_of_slope(machine, data, learning.CD(30), 400), exact_slope(kind)[1])
    assert near < 4 < far


PHASES = {
    "persistent": (learning.PCD(k=20, n_chains=40), ("potts", "spin 1")),
    "tempered": (learning.Tempered(4, n_chains=10, k=60), ("binary", "line", "spin 1")),
}
CASES = [(phase, kind) for phase, (_, kinds) in PHASES.items() for kind in kinds]


@pytest.mark.parametrize(("phase", "kind"), CASES)
def test_chains_at_rest_give_the_exact_gradient(phase, kind):
    machine = machine_of(kind)
    slopes = samples_of_slope(machine, some_data(machine), PHASES[phase][0], 400)
    assert worst(slopes, exact_slope(kind)[1]) < 4


def test_a_tempered_loss_is_the_likelihood():
    """The mean of 400 losses, each from one round of a ladder at rest, in standard errors."""
    machine = machine_of("spin")
    data = some_data(machine)
    objective = learning.contrastive_objective(data, learning.Tempered(6, n_chains=50, k=40))

    def one(key):
        begin, step = jax.random.split(key)
        return objective(machine, objective.start(machine, key=begin), step)[0]

    losses = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(8), 400)))
    error = losses.std(ddof=1) / 20
    assert abs(losses.mean() - exact_slope("spin")[0]) < 4 * error < 0.05


def test_a_centred_gradient_is_that_of_the_centred_parameters():
    """J J^T g with J by autodiff, from the map of centred parameters to those of the machine."""
    machine, phase = machine_of("potts"), learning.Exact()
    data = some_data(machine)
    mu = data.mean(0)
    plain = loss_and_slope(machine, data, phase)[1]
    centred = loss_and_slope(machine, data, phase, centred=True)[1]
    seen = np.asarray(jax.vmap(machine.hidden_means)(jnp.asarray(data))).mean(0)
    vector, unravel = jax.flatten_util.ravel_pytree(machine)

    def uncentred(vector):
        m = unravel(vector)
        shift = jnp.einsum("icj,j->ic", m.weights, seen), jnp.einsum("ic,icj->j", mu, m.weights)
        moved = m.visible_bias - shift[0], m.hidden_bias - shift[1]
        return jax.flatten_util.ravel_pytree((m.weights, *moved))[0]

    jacobian = np.asarray(jax.jacobian(uncentred)(vector))
    np.testing.assert_allclose(centred, jacobian @ jacobian.T @ plain, atol=1e-12)


def test_penalties_act_on_weights():
    machine = machine_of("binary")
    data = some_data(machine)
    loss, slope = loss_and_slope(machine, data, learning.Exact())
    held, tilted = loss_and_slope(machine, data, learning.Exact(), l1=0.3, l2=0.2)
    w = np.asarray(machine.weights)
    assert held - loss == pytest.approx(0.3 * np.abs(w).sum() + 0.1 * (w**2).sum())
    change = np.concatenate([(0.3 * np.sign(w) + 0.2 * w).ravel(), np.zeros(4 + 3)])
    np.testing.assert_allclose(tilted - slope, change, atol=1e-12)


def test_an_epoch_takes_every_sample_once():
    data = np.eye(7)[:, :4] * np.arange(1, 8)[:, None]
    data[4:, 0] = np.arange(5, 8)
    objective = learning.contrastive_objective(data, learning.CD(), batch_size=3)
    machine = machine_of("binary")
    state, seen = objective.start(machine, key=jax.random.key(0)), []
    step = jax.jit(objective.__call__)
    for t in range(6):
        state = step(machine, state, jax.random.key(t))[1]
        seen.append(np.asarray(state.order)[int(state.place) - 3 : int(state.place)])
    for epoch in np.reshape(seen, (3, 6)):
        assert len(set(epoch.tolist())) == 6
    assert len({tuple(e.tolist()) for e in np.reshape(seen, (3, 6))}) == 3


@pytest.mark.parametrize("kind", TWO_STATE)
def test_mean_field_errs_by_the_next_order(kind):
    """Errors of -G and of its gradient at weights of one sign, twice as large: W^(k+1) and W^k."""
    machine = machine_of(kind)
    data = some_data(machine)
    biased = dataclasses.replace(
        machine, visible_bias=machine.visible_bias + 0.8, hidden_bias=machine.hidden_bias + 0.8
    )

    def measured(phase):
        objective = learning.contrastive_objective(data, phase)

        def at(scale):
            m = dataclasses.replace(biased, weights=scale * jnp.abs(machine.weights))
            state = objective.start(m, key=jax.random.key(0))
            loss, slope = jax.value_and_grad(lambda m: objective(m, state, jax.random.key(1))[0])(m)
            return jnp.concatenate([loss[None], jax.flatten_util.ravel_pytree(slope)[0]])

        return jax.jit(jax.vmap(at))

    exact = measured(learning.Exact())
    for order, share in ((1, 0.2), (2, 0.4), (3, 1.0)):
        scales = share * TWO_STATE[kind] * jnp.array([1.0, 2.0])
        found = measured(learning.MeanField(order, n_steps=200, persistent=False))
        error = np.abs(np.asarray(found(scales) - exact(scales)))
        rise = np.log2([error[1, 0] / error[0, 0], error[1, 1:].max() / error[0, 1:].max()])
        np.testing.assert_allclose(rise, [order + 1, order], atol=0.2)


def test_mean_field_of_gaussian_units_is_stationary():
    """The free energy at fixed means has no slope where the iteration ends."""
    machine = machine_of("line", scale=0.3)
    data = jnp.asarray(some_data(machine))
    for order in (1, 2, 3):
        phase = learning.MeanField(order, n_steps=200)
        state = phase.start(machine, data, key=jax.random.key(0))
        _, means = phase(machine, data, state, key=jax.random.key(0))
        slope = jax.grad(learning.gibbs_free_energy, (1, 2))
        found = slope(machine, means.visible[0], means.hidden[0], order=order)
        assert np.abs(flat(found)).max() < 1e-10
