import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import lattices, models, networks
from physdl.errors import SettingError, ShapeError, StructureError
from physdl.learning import TrainingStatus, train
from physdl.pytree import module, static

KEY = jax.random.key(0)


@module
class Quadratic:
    """|A p - b|^2 / 2 with a gradient that carries noise."""

    a: jax.Array
    b: jax.Array
    noise: float = static(default=0.0)

    def __call__(self, p, key):
        off = self.a @ p - self.b
        return jnp.sum(off**2) / 2 + self.noise * jnp.sum(p * jax.random.normal(key, p.shape))


def quadratic(noise=0.0):
    rng = np.random.default_rng(0)
    return Quadratic(jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=5)), noise)


def test_gradient_descent_step_by_step():
    """Against numpy: p <- p - rate A^T (A p - b)."""
    objective = quadratic()
    a, b, p, losses = np.asarray(objective.a), np.asarray(objective.b), np.ones(3), []
    for _ in range(20):
        losses.append(np.sum((a @ p - b) ** 2) / 2)
        p = p - 0.05 * a.T @ (a @ p - b)
    found = train(objective, jnp.ones(3), optimizer=optax.sgd(0.05), n_steps=20, key=KEY)
    np.testing.assert_allclose(found.result, p, rtol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-12)
    assert int(found.status) == TrainingStatus.OK
    assert int(found.skipped) == 0


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.lbfgs()], ids=["adam", "lbfgs"])
def test_the_minimum_is_that_of_least_squares(optimizer):
    objective = quadratic()
    found = train(objective, jnp.zeros(3), optimizer=optimizer, n_steps=400, key=KEY)
    exact = np.linalg.lstsq(objective.a, objective.b)[0]
    np.testing.assert_allclose(found.result, exact, atol=1e-6)


def test_noise_of_keys_has_the_mean_and_covariance_of_the_linear_recursion():
    """q <- M q - rate s z with q = p - p*: mean M^n q_0, covariance C <- M C M^T + (rate s)^2."""
    objective, n, n_steps, rate, s = quadratic(noise=0.5), 256, 300, 0.05, 0.5
    sgd = optax.sgd(rate)

    def final(key):
        return train(objective, jnp.zeros(3), optimizer=sgd, n_steps=n_steps, key=key).result

    ends = np.asarray(jax.vmap(final)(jax.random.split(KEY, n)))
    exact = np.linalg.lstsq(objective.a, objective.b)[0]
    m = np.eye(3) - rate * np.asarray(objective.a).T @ np.asarray(objective.a)
    mean, c = exact - np.linalg.matrix_power(m, n_steps) @ exact, np.zeros((3, 3))
    for _ in range(n_steps):
        c = m @ c @ m.T + (rate * s) ** 2 * np.eye(3)
    variances = np.diag(c)
    assert np.all(np.abs(ends.mean(axis=0) - mean) < 4 * np.sqrt(variances / n))
    ratio = np.var(ends, axis=0, ddof=1) / variances
    assert np.all(np.abs(ratio - 1) < 4 * np.sqrt(2 / (n - 1)))


def test_any_pytree_and_python_numbers():
    h = models.ising(lattices.chain(4), 0.3)

    def objective(p, key):
        model, number = p
        return (model(jnp.ones(4)) + 2.0) ** 2 + (number - 1.0) ** 2

    found = train(objective, (h, 0.0), optimizer=optax.sgd(0.02), n_steps=200, key=KEY)
    assert jax.tree.structure(found.result) == jax.tree.structure((h, 0.0))
    assert float(found.result[0](jnp.ones(4))) == pytest.approx(-2.0, abs=1e-6)


def test_equal_settings_compile_once():
    traces = []

    @module
    class Counted:
        target: jax.Array

        def __call__(self, p, key):
            traces.append(1)
            return jnp.sum((p - self.target) ** 2)

    sgd = optax.sgd(0.1)
    for target in (1.0, 2.0, 3.0):
        key = jax.random.key(int(target))
        found = train(
            Counted(jnp.full(2, target)), jnp.zeros(2), optimizer=sgd, n_steps=60, key=key
        )
        np.testing.assert_allclose(found.result, target, atol=1e-4)
        if target == 1.0:
            first = len(traces)
    assert len(traces) == first

    def function(p, key):
        traces.append(1)
        return jnp.sum(p**2)

    del traces[:]
    for start in (jnp.ones(2), jnp.zeros(2)):
        train(function, start, optimizer=sgd, n_steps=5, key=KEY)
    assert len(traces) == 1


def test_it_composes_with_jit_and_vmap_and_same_key_same_answer():
    objective = quadratic(noise=0.3)

    def end(key):
        return train(objective, jnp.zeros(3), optimizer=optax.sgd(0.05), n_steps=10, key=key)

    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(end))(keys)
    for k in range(3):
        alone = end(keys[k])
        np.testing.assert_allclose(together.result[k], alone.result, rtol=1e-12)
        assert np.array_equal(alone.losses, end(keys[k]).losses)
    assert not np.array_equal(together.losses[0], together.losses[1])


def test_steps_do_not_depend_on_their_number():
    objective = quadratic(noise=0.3)
    run = lambda n: train(objective, jnp.zeros(3), optimizer=optax.sgd(0.05), n_steps=n, key=KEY)
    assert np.array_equal(run(20).losses[:10], run(10).losses)


def test_a_step_that_is_not_finite_is_not_taken():
    """Keys that break the objective leave parameters and the memory of the optimiser alone."""

    def broken(key):
        return jax.random.uniform(key) < 0.3

    def objective(p, key):
        loss = jnp.sum((p - 1) ** 2)
        return jnp.where(broken(key), jnp.nan, loss)

    n_steps, adam = 50, optax.adam(0.1)
    found = train(objective, jnp.zeros(2), optimizer=adam, n_steps=n_steps, key=KEY)
    bad = np.array([bool(broken(jax.random.fold_in(KEY, t))) for t in range(n_steps)])
    assert bad.any()
    assert not bad[-1]
    assert np.array_equal(~np.isfinite(found.losses), bad)
    assert int(found.skipped) == bad.sum()
    assert int(found.status) == TrainingStatus.SKIPPED
    clean = train(
        lambda p, key: jnp.sum((p - 1) ** 2),
        jnp.zeros(2),
        optimizer=adam,
        n_steps=n_steps - int(bad.sum()),
        key=KEY,
    )
    np.testing.assert_allclose(found.result, clean.result, rtol=1e-12)


def test_gradients_that_are_not_finite_are_seen_where_the_loss_is():
    def objective(p, key):
        return jnp.sum(jnp.sqrt(p)) + jax.random.normal(key)

    found = train(objective, jnp.zeros(2), optimizer=optax.sgd(0.1), n_steps=4, key=KEY)
    assert np.array_equal(found.result, np.zeros(2))
    assert int(found.status) == TrainingStatus.DIVERGED
    assert int(found.skipped) == 4


def test_divergence_has_a_name():
    objective = quadratic()
    run = lambda rate, n: train(
        objective, jnp.ones(3), optimizer=optax.sgd(rate), n_steps=n, key=KEY
    )
    assert int(run(1.0, 20).status) == TrainingStatus.ROSE
    away = run(1.0, 2000)
    assert int(away.status) == TrainingStatus.DIVERGED
    assert np.all(np.isfinite(away.result))
    assert all(s.message.endswith(".") for s in TrainingStatus)


def test_a_network_is_trained():
    network = networks.mlp(1, 1, widths=(16,), key=jax.random.key(1))
    x = jnp.linspace(-1, 1, 64)[:, None]

    def objective(network, key):
        return jnp.mean((jax.vmap(network)(x) - x**2) ** 2)

    found = train(objective, network, optimizer=optax.adam(1e-2), n_steps=500, key=KEY)
    assert float(found.losses[-1]) < 1e-3 < float(found.losses[0])
    assert "[OK]" in repr(found)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"optimizer": 0.1}, SettingError, r"one of optax"),
        ({"n_steps": 0}, SettingError, "n_steps"),
        ({"start": jnp.arange(3)}, StructureError, "floating-point arrays, got one of int"),
        ({"start": ()}, StructureError, "nothing to train"),
        ({"objective": lambda p, key: p}, ShapeError, r"shape \(3,\)"),
    ],
)
def test_refuses(change, error, message):
    settings = {
        "objective": quadratic(),
        "start": jnp.zeros(3),
        "optimizer": optax.sgd(0.1),
        "n_steps": 2,
        "key": KEY,
    }
    settings |= change
    with pytest.raises(error, match=message):
        train(settings.pop("objective"), settings.pop("start"), **settings)
