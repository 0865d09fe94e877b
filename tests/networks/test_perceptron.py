import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError
from physdl.networks import SILU, deep_sets, mlp

KEY = jax.random.key(0)
rng = np.random.default_rng(0)


def test_an_mlp_is_its_layers():
    network = mlp(3, 2, widths=(5, 4), activation=SILU, key=KEY)
    x = np.array([0.3, -1.0, 0.8])
    layers = network.params["layers"]
    for i in range(3):
        x = x @ np.asarray(layers[i]["kernel"][...]) + np.asarray(layers[i]["bias"][...])
        if i < 2:
            x = x / (1 + np.exp(-x))
    np.testing.assert_allclose(network(jnp.array([0.3, -1.0, 0.8])), x, atol=1e-14)
    assert network.n_parameters == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2
    assert network(jnp.ones(3)).dtype == jnp.float64


def test_without_hidden_layers_it_is_affine():
    network = mlp(2, 1, widths=(), key=KEY)
    f = lambda v: float(network(jnp.asarray(v))[0])
    assert f([1.0, 0.0]) + f([0.0, 1.0]) - f([0.0, 0.0]) == pytest.approx(f([1.0, 1.0]))


def test_a_set_has_no_order_and_any_size():
    network = deep_sets(2, 3, key=KEY)
    x = jnp.asarray(rng.normal(size=(6, 2)))
    value = network(x)
    assert value.shape == (3,)
    for _ in range(3):
        np.testing.assert_allclose(network(rng.permutation(x)), value, atol=1e-13)
    assert not jnp.allclose(network(x[:5]), value)


def test_a_set_network_is_its_two_perceptrons():
    network = deep_sets(1, 1, n_latent=2, widths=(), key=KEY)
    phi, rho = (network.params[name]["layers"][0] for name in ("phi", "rho"))
    x = rng.normal(size=(4, 1))
    latent = (x @ np.asarray(phi["kernel"][...]) + np.asarray(phi["bias"][...])).sum(axis=0)
    expected = latent @ np.asarray(rho["kernel"][...]) + np.asarray(rho["bias"][...])
    np.testing.assert_allclose(network(jnp.asarray(x)), expected, atol=1e-14)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp(0, 1, key=KEY),
        lambda: mlp(1, 1, widths=(2.5,), key=KEY),
        lambda: deep_sets(1, 1, n_latent=0, key=KEY),
    ],
)
def test_refusals(make):
    with pytest.raises(SettingError, match="integer sizes >= 1"):
        make()
