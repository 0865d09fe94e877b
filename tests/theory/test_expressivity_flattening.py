import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import lattices, models, spaces
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.networks import compile_polynomial
from physdl.theory.expressivity import flattening_cost


def product_of(n):
    return Hamiltonian({"t": Sites(1.0, [list(range(n))])}, space=spaces.LINE, shape=(n,))


def corners(n, times):
    every = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
    return np.tile(every, (times, 1))


SETTINGS = {
    "optimizer": optax.adam(0.02),
    "n_steps": 600,
    "batch_size": 64,
    "n_starts": 3,
    "key": jax.random.key(5),
}


def test_a_flat_network_was_found_and_is_certified():
    h = product_of(3)
    _, deep = compile_polynomial(h, layout="tree", tolerance=1e-2, radius=1.0)
    x = jax.random.uniform(jax.random.key(1), (2000, 3), minval=-1.0)
    long = SETTINGS | {"optimizer": optax.adam(optax.cosine_decay_schedule(0.03, 3000))}
    cost = flattening_cost(
        h, deep, x, 1, tolerance=0.15, widths=[1, 16], **long | {"n_steps": 3000}
    )
    assert cost.found
    assert cost.widths[0] == 1 and cost.errors[0] > 0.5
    test = x[3::4]
    error = jnp.max(jnp.abs(jax.vmap(cost.network)(test)[:, 0] - jnp.prod(test, axis=1)))
    assert float(error) == pytest.approx(cost.errors[-1], rel=1e-9)
    assert float(error) <= 0.15
    width = cost.widths[-1]
    assert cost.neurons == width
    assert cost.synapses == 4 * width
    assert cost.neuron_cost == width / deep.neurons
    assert cost.synapse_cost == 4 * width / deep.synapses
    assert "C_n <=" in repr(cost)


def test_layers_are_counted():
    h = models.ising(lattices.chain(4), 0.3)
    _, deep = compile_polynomial(h, tolerance=1e-2)
    cost = flattening_cost(h, deep, corners(4, 8), 2, tolerance=10.0, widths=[5], **SETTINGS)
    assert cost.found
    assert (cost.neurons, cost.synapses) == (10, 4 * 5 + 5 * 5 + 5)


def test_not_found_claims_nothing_and_repeats():
    h = product_of(2)
    _, deep = compile_polynomial(h, tolerance=1e-2, radius=1.0)
    given = SETTINGS | {"n_steps": 50}
    costs = [
        flattening_cost(h, deep, corners(2, 8), 1, tolerance=1e-12, widths=[1, 2], **given)
        for _ in range(2)
    ]
    assert not costs[0].found
    assert costs[0].neuron_cost == costs[0].synapse_cost == float("inf")
    assert costs[0].widths == (1, 2)
    assert "found within" in repr(costs[0])
    assert costs[0].errors == costs[1].errors


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tolerance": 0.0}, SettingError),
        ({"widths": []}, SettingError),
        ({"widths": [0]}, SettingError),
        ({"n_starts": 0}, SettingError),
        ({"optimizer": "adam"}, SettingError),
        ({"inputs": np.ones((4, 2))}, ShapeError),
        ({"function": lambda x: x}, ShapeError),
    ],
)
def test_refusals(change, error):
    h = product_of(2)
    _, deep = compile_polynomial(h, tolerance=1e-2, radius=1.0)
    given = {
        "function": h,
        "deep": deep,
        "inputs": corners(2, 8),
        "n_layers": 1,
        "tolerance": 0.1,
        "widths": [2],
    }
    with pytest.raises(error):
        flattening_cost(**SETTINGS | given | change)
