import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import lattices, models, networks, rg
from physdl.errors import SettingError, ShapeError
from physdl.learning import TrainingStatus, imitate, imitation_errors
from physdl.learning._disagreement import Disagreement, Scales, squares

KEY = jax.random.key(0)
ADAM = optax.adam(3e-3)


def square(key):
    return jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)


def target(x):
    return jnp.stack([jnp.sin(2 * x[0]) * x[1], x[0] ** 2 - x[1]])


def test_random_directions_are_unbiased():
    """|Df|^2 along random directions against the whole Jacobian by jacrev."""
    x = jax.random.normal(jax.random.key(1), (1, 2))
    exact = float(jnp.sum(jax.jacrev(target)(x[0]) ** 2))
    value, whole = squares(target, x, KEY, 2)
    assert float(whole[0]) == pytest.approx(exact, rel=1e-12)
    assert float(value[0]) == pytest.approx(float(jnp.sum(target(x[0]) ** 2)), rel=1e-12)
    draws = squares(target, jnp.broadcast_to(x, (4000, 2)), KEY, 1)[1]
    stderr = float(jnp.std(draws)) / np.sqrt(len(draws))
    assert abs(float(jnp.mean(draws)) - exact) < 4 * stderr
    wide = lambda x: jnp.sin(x)
    x = jax.random.normal(jax.random.key(2), (1, 6))
    draws = squares(wide, jnp.broadcast_to(x, (4000, 6)), KEY, 3)[1]
    stderr = float(jnp.std(draws)) / np.sqrt(len(draws))
    assert abs(float(jnp.mean(draws)) - float(jnp.sum(jnp.cos(x) ** 2))) < 4 * stderr


def test_the_loss_is_what_it_says():
    network = networks.mlp(2, 2, widths=(4,), key=jax.random.key(3))
    scales = Scales(jnp.asarray(2.0), jnp.asarray(5.0))
    loss = Disagreement(target, square, scales, jnp.asarray(0.7), 16, 2)
    x_key, _ = jax.random.split(KEY)
    by_hand = []
    for key in jax.random.split(x_key, 16):
        x = square(key)
        off = network(x) - target(x)
        slope = jax.jacrev(network)(x) - jax.jacrev(target)(x)
        by_hand.append(jnp.sum(off**2) / 2 + 0.7 * jnp.sum(slope**2) / 5)
    assert float(loss(network, KEY)) == pytest.approx(float(np.mean(by_hand)), rel=1e-12)


@functools.cache
def imitated(weight):
    network = networks.mlp(2, 2, widths=(32,), key=jax.random.key(4))
    return imitate(
        target,
        network,
        square,
        optimizer=optax.adam(optax.cosine_decay_schedule(1e-2, 3000)),
        n_steps=3000,
        batch_size=64,
        jacobian_weight=weight,
        key=KEY,
    )


def test_a_network_learns_values_and_jacobians():
    found = imitated(1.0)
    assert int(found.status) == TrainingStatus.OK
    x = jax.vmap(square)(jax.random.split(jax.random.key(5), 2000))
    f, g = (np.asarray(jax.vmap(c)(x)) for c in (found.network, target))
    df, dg = (np.asarray(jax.vmap(jax.jacrev(c))(x)) for c in (found.network, target))
    value = np.sqrt(np.sum((f - g) ** 2) / np.sum((g - g.mean(axis=0)) ** 2))
    slope = np.sqrt(np.sum((df - dg) ** 2) / np.sum(dg**2))
    assert value < 0.01
    assert slope < 0.03
    assert float(found.value_error) == pytest.approx(value, rel=0.2)
    assert float(found.jacobian_error) == pytest.approx(slope, rel=0.2)
    own = imitation_errors(target, found.network, x, key=KEY, n_directions=2)
    np.testing.assert_allclose(own, [value, slope], rtol=1e-9)


def test_without_a_weight_jacobians_are_worse_and_not_told():
    plain = imitated(0)
    assert np.isnan(plain.jacobian_error)
    assert int(plain.status) == TrainingStatus.OK
    x = jax.vmap(square)(jax.random.split(jax.random.key(5), 2000))
    errors = [
        float(imitation_errors(target, imitated(w).network, x, key=KEY, n_directions=2)[1])
        for w in (0, 1.0)
    ]
    assert errors[1] < errors[0]


def test_functions_without_derivative_may_be_imitated_in_values():
    def hosted(x):
        return jax.pure_callback(lambda v: np.sin(v), x, x, vmap_method="broadcast_all")

    network = networks.mlp(1, 1, widths=(16,), key=jax.random.key(1))
    found = imitate(
        hosted,
        network,
        jnp.linspace(-2, 2, 100)[:, None],
        optimizer=ADAM,
        n_steps=1000,
        batch_size=32,
        jacobian_weight=0,
        key=KEY,
    )
    assert float(found.value_error) < 0.1


def test_a_renormalization_map_is_imitated_and_its_exponent_with_it():
    """K' = ln cosh(4 K) / 2 of Migdal and Kadanoff, through the Jacobian at the fixed point."""
    exact = rg.MigdalKadanoff(2, 2)

    def step(k):
        return exact(k).couplings

    found = imitate(
        step,
        networks.mlp(1, 1, widths=(32,), key=jax.random.key(2)),
        lambda key: jax.random.uniform(key, (1,), minval=0.1, maxval=0.6),
        optimizer=optax.adam(optax.cosine_decay_schedule(1e-2, 3000)),
        n_steps=3000,
        batch_size=64,
        key=KEY,
    )
    assert int(found.status) == TrainingStatus.OK
    k = jnp.array([0.304688931718])
    slope = float(jax.jacfwd(found.network)(k)[0, 0])
    assert np.log2(slope) == pytest.approx(0.747235718929, abs=0.01)


def test_examples_are_kept_for_the_errors():
    """A network that can only remember examples: fresh ones give the honest error."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 1))
    found = imitate(
        lambda x: 3.0 * x,
        networks.mlp(1, 1, widths=(16,), key=jax.random.key(1)),
        x,
        optimizer=ADAM,
        n_steps=2000,
        batch_size=20,
        key=KEY,
    )
    assert float(found.value_error) < 0.1
    assert float(found.jacobian_error) < 0.2


def test_an_energy_is_imitated():
    """Hamiltonians are data: another coupling compiles nothing anew."""
    traces = []
    sampler = lambda key: traces.append(1) or jax.random.normal(key, (4,))
    for k in (0.3, 0.5):
        h = models.ising(lattices.chain(4), k)
        network = networks.mlp(4, 1, widths=(8,), key=jax.random.key(1))
        single = networks.build(lambda rngs: Scalar(rngs), key=jax.random.key(2))
        found = imitate(h, single, sampler, optimizer=ADAM, n_steps=50, batch_size=8, key=KEY)
        assert found.losses.shape == (50,)
        if k == 0.3:
            n_traces = len(traces)
    assert len(traces) == n_traces
    with pytest.raises(ShapeError, match=r"outputs of shape \(1,\) and the function of \(\)"):
        imitate(h, network, sampler, optimizer=ADAM, n_steps=50, batch_size=8, key=KEY)


class Scalar(networks.network.nnx.Module):
    def __init__(self, rngs):
        nnx = networks.network.nnx
        self.layer = nnx.Linear(4, 1, param_dtype=jnp.result_type(float), rngs=rngs)

    def __call__(self, x):
        return self.layer(x)[0] ** 2


def test_one_compilation_a_run_and_ensembles():
    traces = []

    def counted(x):
        traces.append(1)
        return jnp.sin(x)

    def member(key):
        build_key, key = jax.random.split(key)
        network = networks.mlp(1, 1, widths=(4,), key=build_key)
        return imitate(counted, network, uniform, optimizer=ADAM, n_steps=20, batch_size=8, key=key)

    first = member(KEY)
    n_traces = len(traces)
    second = member(jax.random.key(1))
    assert len(traces) == n_traces
    together = jax.vmap(member)(jnp.stack([KEY, jax.random.key(1)]))
    for k, alone in enumerate((first, second)):
        np.testing.assert_allclose(together.losses[k], alone.losses, rtol=1e-9)
    assert not np.allclose(first.losses, second.losses)


def uniform(key):
    return jax.random.uniform(key, (1,))


def test_a_constant_target_is_named():
    network = networks.mlp(1, 1, widths=(4,), key=jax.random.key(1))
    settings = {"optimizer": ADAM, "n_steps": 50, "batch_size": 8, "key": KEY}
    found = imitate(lambda x: 0 * x + 0.1, network, uniform, **settings)
    assert int(found.status) == TrainingStatus.CONSTANT
    assert "[CONSTANT]" in repr(found)
    lost = imitate(lambda x: x / 0.0 * 0.0, network, uniform, **settings)
    assert int(lost.status) == TrainingStatus.DIVERGED
    assert jax.tree.all(jax.tree.map(np.array_equal, lost.network.params, network.params))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"optimizer": None}, SettingError, "one of optax"),
        ({"batch_size": 0}, SettingError, "batch_size"),
        ({"n_directions": 0}, SettingError, "n_directions"),
        ({"jacobian_weight": -1.0}, SettingError, "not negative"),
        ({"inputs": jnp.ones((1, 2))}, ShapeError, "two at least"),
        ({"network": networks.mlp(2, 3, key=KEY)}, ShapeError, r"shape \(3,\)"),
    ],
)
def test_refuses(change, error, message):
    settings = {
        "function": target,
        "network": networks.mlp(2, 2, key=KEY),
        "inputs": square,
        "optimizer": ADAM,
        "n_steps": 2,
        "batch_size": 2,
        "key": KEY,
    } | change
    with pytest.raises(error, match=message):
        imitate(**settings)
