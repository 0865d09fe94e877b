"""Exact log Z of RBMs by one layer, with numpy as peer: pytest benchmarks/test_layer_sum.py

Machines of 64 visible units; the states of all hidden ones are summed, in float64. Peers: the same
sum in numpy, chunk by chunk (a product of matrices and ``logaddexp``), and the product of matrices
of states and weights alone, which bounds every way that forms the fields of all states. Add
--benchmark-timer=time.process_time for CPU time.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from physdl import estimators, networks

N_VISIBLE, CHUNK = 64, 2**12


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def machine(n_hidden):
    rng = np.random.default_rng(0)
    weights = 0.3 * rng.normal(size=(N_VISIBLE, n_hidden))
    return networks.RBM(weights, 0.3, -0.3)


def timed(benchmark, function, *arguments, rounds=5, **info):
    jax.block_until_ready(function(*arguments))
    benchmark.extra_info.update(info)
    benchmark.pedantic(
        lambda: jax.block_until_ready(function(*arguments)), rounds=rounds, iterations=1
    )


def chunks(n_hidden):
    """The states of all hidden units, some at a time."""
    for first in range(0, 2**n_hidden, CHUNK):
        number = np.arange(first, first + CHUNK)[:, None]
        yield ((number >> np.arange(n_hidden)) & 1).astype(float)


def enumerated(rbm):
    w, a, b = (np.asarray(x) for x in (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    parts = [logsumexp(h @ b + np.logaddexp(0, a + h @ w.T).sum(axis=1)) for h in chunks(len(b))]
    return logsumexp(parts)


@pytest.mark.parametrize("n_hidden", [16, 20, 24])
def test_layer_sum(benchmark, n_hidden):
    rbm = machine(n_hidden)
    timed(benchmark, lambda r: estimators.LayerSum()(r).log_z, rbm, states=2**n_hidden)


@pytest.mark.parametrize("n_hidden", [16, 20, 24])
def test_gradient(benchmark, n_hidden):
    rbm = machine(n_hidden)
    gradient = jax.jit(jax.grad(lambda r: estimators.LayerSum()(r).log_z))
    memory = gradient.lower(rbm).compile().memory_analysis().temp_size_in_bytes
    timed(benchmark, gradient, rbm, states=2**n_hidden, temporary_bytes=memory)


@pytest.mark.parametrize("n_hidden", [16, 20])
def test_peer_numpy(benchmark, n_hidden):
    rbm = machine(n_hidden)
    assert abs(enumerated(rbm) - float(estimators.LayerSum()(rbm).log_z)) < 1e-10
    timed(benchmark, enumerated, rbm, rounds=3, states=2**n_hidden)


@pytest.mark.parametrize("n_hidden", [20])
def test_bound_of_the_fields(benchmark, n_hidden):
    """The product of the states with the weights, and nothing else."""
    weights = jnp.asarray(machine(n_hidden).weights).T
    states = jnp.asarray(next(chunks(n_hidden)))

    @jax.jit
    def fields(states, weights):
        again = lambda k, total: total + (states + total[0, 0]) @ weights
        begin = jnp.zeros((CHUNK, N_VISIBLE))
        return jax.lax.fori_loop(0, 2**n_hidden // CHUNK, again, begin)

    timed(benchmark, fields, states, weights, states=2**n_hidden)
