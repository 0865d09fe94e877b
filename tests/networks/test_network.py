import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from physdl.errors import StructureError
from physdl.networks import build, freeze, mlp


def linear(rngs):
    return nnx.Linear(3, 2, param_dtype=jnp.result_type(float), rngs=rngs)


def test_a_network_is_the_module_it_was_made_from():
    module = linear(nnx.Rngs(jax.random.key(1)))
    x = jnp.array([0.1, -2.0, 0.7])
    expected = x @ module.kernel[...] + module.bias[...]
    for network in (freeze(module), build(linear, key=jax.random.key(1))):
        assert jnp.allclose(network(x), expected, atol=1e-15)
        assert jnp.allclose(jax.jit(jax.vmap(network))(x[None])[0], expected, atol=1e-15)
        assert network.n_parameters == 8


def test_parameters_are_data_and_structure_is_shared():
    networks = [build(linear, key=jax.random.key(seed)) for seed in range(3)]
    traces = []

    @jax.jit
    def value(network):
        traces.append(1)
        return jnp.sum(network(jnp.ones(3)) ** 2)

    values = [float(value(n)) for n in networks]
    assert len(traces) == 1
    assert len(set(values)) == 3
    gradient = jax.grad(value)(networks[0])
    assert jax.tree.structure(gradient) == jax.tree.structure(networks[0])


def test_vmap_over_keys_is_an_ensemble():
    keys = jax.random.split(jax.random.key(0), 4)
    ensemble = jax.vmap(lambda key: build(linear, key=key))(keys)
    outputs = jax.vmap(lambda network: network(jnp.ones(3)))(ensemble)
    assert outputs.shape == (4, 2)
    assert jnp.allclose(outputs[2], build(linear, key=keys[2])(jnp.ones(3)), atol=1e-15)


def test_same_key_same_network():
    a, b = (mlp(2, 1, key=jax.random.key(5)) for _ in range(2))
    assert a == b
    assert a != mlp(2, 1, key=jax.random.key(6))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rngs: nnx.BatchNorm(3, rngs=rngs), "BatchStat"),
        (lambda rngs: 3.0, "an nnx.Module, got float"),
    ],
)
def test_modules_with_other_state_are_refused(make, message):
    with pytest.raises(StructureError, match=message):
        build(make, key=jax.random.key(0))
