"""The flow of a machine, against its transition matrix by summation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import networks
from physdl.errors import SettingError, ShapeError
from physdl.learning import reconstructions
from physdl.spaces import SPIN, potts

RNG = np.random.default_rng(0)
W, A, B = RNG.normal(0, 0.8, (3, 2)), RNG.normal(size=3), RNG.normal(size=2)
MACHINE = networks.RBM(W, A, B, visible=SPIN, hidden=SPIN)


def transition():
    """P(v' | v) = sum_h p(h | v) p(v' | h) from exp(a v + b h + v W h), and p(v)."""
    v = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    h = np.array(list(itertools.product((-1.0, 1.0), repeat=2)))
    joint = np.exp((v @ A)[:, None] + (h @ B)[None] + v @ W @ h.T)
    to_hidden = joint / joint.sum(axis=1, keepdims=True)
    to_visible = (joint / joint.sum(axis=0, keepdims=True)).T
    return v, to_hidden @ to_visible, joint.sum(axis=1) / joint.sum()


def test_steps_have_the_transition_probabilities():
    v, matrix, p = transition()
    n = 4000
    run = jax.vmap(lambda key: reconstructions(MACHINE, v[5], n_steps=3, key=key))
    flow = np.asarray(run(jax.random.split(jax.random.key(0), n)))
    assert flow.shape == (n, 4, 3) and np.all(flow[:, 0] == v[5])
    expected = np.eye(8)[5]
    for t in range(1, 4):
        expected = expected @ matrix
        mean = expected @ v
        error = np.sqrt((1 - mean**2) / n)
        assert np.all(np.abs(flow[:, t].mean(axis=0) - mean) < 4 * error)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-14)


def test_the_same_key_gives_the_same_flow():
    settings = {"n_steps": 5, "key": jax.random.key(1)}
    first, second = (reconstructions(MACHINE, jnp.ones(3), **settings) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    longer = reconstructions(MACHINE, jnp.ones(3), n_steps=1, key=jax.random.key(1))
    assert longer.shape == (2, 3)


def test_vector_units_flow_too():
    machine = networks.RBM(jnp.asarray(RNG.normal(size=(4, 3, 2))), visible=potts(3))
    start = jnp.eye(3)[jnp.array([0, 1, 2, 0])]
    flow = reconstructions(machine, start, n_steps=2, key=jax.random.key(2))
    assert flow.shape == (3, 4, 3)
    np.testing.assert_array_equal(jnp.sum(flow, axis=-1), 1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingError, match="n_steps"):
        reconstructions(MACHINE, jnp.ones(3), n_steps=0, key=jax.random.key(0))
    with pytest.raises(ShapeError, match="visible layer"):
        reconstructions(MACHINE, jnp.ones(4), n_steps=1, key=jax.random.key(0))
