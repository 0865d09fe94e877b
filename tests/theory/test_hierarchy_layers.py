"""Layers of a reader: known answers at the input, and what training changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl.errors import SettingError, StructureError
from physdl.networks import mlp
from physdl.pytree import Table
from physdl.theory import hierarchy
from physdl.theory.hierarchy import Grammar

N = 1024
PROBE = optax.adam(0.03)


@pytest.fixture(scope="module")
def grammar():
    return hierarchy.random_grammar(4, 4, 2, 2, key=jax.random.key(0))


@pytest.fixture(scope="module")
def reader(grammar):
    return hierarchy.train_reader(
        grammar, optimizer=optax.adam(5e-3), n_steps=1000, widths=(48, 48), key=jax.random.key(1)
    )


def table_of(grammar, network, key=2):
    return hierarchy.layers_against_levels(
        grammar, network, optimizer=PROBE, n_steps=200, n_strings=N, key=jax.random.key(key)
    )


@pytest.fixture(scope="module")
def trained(grammar, reader):
    return table_of(grammar, reader.result)


def test_activations_are_the_network():
    network = mlp(5, 3, widths=(7, 4), key=jax.random.key(0))
    x = jnp.linspace(-1.0, 1.0, 5)
    found = hierarchy.activations(network, x)
    np.testing.assert_allclose(found[-1], network(x), rtol=1e-14)
    assert [len(a) for a in found] == [5, 7, 4, 3]
    with pytest.raises(StructureError, match="4 inputs"):
        hierarchy.activations(network, x[:4])


def test_the_input_layer_is_known(grammar, trained):
    """Leaves are read off the input; the variance each level fixes, by enumeration."""
    chain, strings = grammar.hierarchy()
    x = np.eye(4)[np.asarray(strings[-1])].reshape(len(strings[-1]), -1)
    p = np.asarray(chain.marginal(2))
    squares = np.sum((x[:, None] - x[None]) ** 2, axis=-1)
    everything = np.outer(p, p)
    for level in range(3):
        below = np.asarray(chain.transition(level, 2))
        pair = (below * np.asarray(chain.marginal(level))) @ below.T
        share = 1 - np.sum(pair * squares) / np.sum(everything * squares)
        error = 0.0
        for joint in (pair, everything):
            mean = np.sum(joint * squares)
            if mean > 0:
                error += (np.sum(joint * squares**2) / mean**2 - 1) / N
        found = float(trained.explained[0, level])
        assert abs(found - share) <= 5 * (1 - share) * np.sqrt(error) + 1e-12
    assert trained.accuracy[0, 2] == 1.0
    assert trained.accuracy[0, 0] < 0.7


def test_a_trained_reader_reads(reader, trained):
    """The class is all the output knows; leaves are forgotten on the way."""
    assert reader.losses[-1] < 0.02
    assert trained.accuracy[-1, 0] > 0.99
    assert trained.information[-1, 0] > 0.95 * np.log(4)
    assert np.all(np.diff(trained.explained[:, 0]) > 0) and trained.explained[-1, 0] > 0.75
    assert np.all(np.diff(trained.explained[:, 1]) > 0)
    assert trained.information[-1, 2] < 0.6 * trained.information[0, 2]
    assert trained.accuracy[1, 1] > 0.99 > trained.accuracy[0, 1]


def test_an_untrained_one_does_not(grammar, trained):
    random = mlp(16, 4, widths=(48, 48), key=jax.random.key(9))
    found = table_of(grammar, random)
    assert found.accuracy[-1, 0] < 0.5 and found.information[-1, 0] < 0.2
    assert np.all(found.explained[:, 0] < 0.15)
    np.testing.assert_allclose(found.explained[:, 2], 1.0)
    np.testing.assert_allclose(found.chance, trained.chance)
    assert np.all(np.abs(found.chance - 0.25) < 0.05)


def test_a_parity_cannot_be_read_by_a_linear_map():
    """Its best linear map is none: zero information, up to parameters / (2 n)."""
    xor = Grammar((Table([[[0, 0], [1, 1]], [[0, 1], [1, 0]]]),))
    found = table_of(xor, mlp(4, 2, widths=(8,), key=jax.random.key(0)))
    assert abs(found.information[0, 0]) < 10 / N
    assert float(found.information[0, 1]) == pytest.approx(np.log(2), abs=0.02)
    assert abs(found.explained[0, 0]) < 5 * 2 / np.sqrt(N)


def test_refusals(grammar):
    twice = Grammar((Table([[[0, 0], [1, 1]], [[0, 0], [1, 0]]]),))
    with pytest.raises(StructureError, match="ambiguous"):
        table_of(twice, mlp(4, 2, key=jax.random.key(0)))
    with pytest.raises(SettingError, match="batch"):
        hierarchy.train_reader(
            grammar, optimizer=PROBE, n_steps=1, batch_size=0, key=jax.random.key(0)
        )
