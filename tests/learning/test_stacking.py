import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import lattices, learning, models, sampling
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.spaces import BINARY, SPIN

KEY = jax.random.key(0)
SGD = optax.sgd(0.05, momentum=0.5)
SETTINGS = {"optimizer": SGD, "n_steps": 50, "batch_size": 100, "key": KEY}


def chain(n=2000, coupling=0.8):
    h = models.ising(lattices.chain(8), coupling)
    return h, sampling.exact_sample(h, n=n, key=KEY).states[:, 0]


def test_every_machine_learns_the_level_below():
    """Both likelihoods, exact by enumeration, rise far above those of independent units."""
    _, x = chain()
    more = {"n_steps": 400, "method": learning.Exact(), "optimizer": optax.adam(0.03)}
    found = learning.train_stack(x, (6, 3), **SETTINGS | more)
    below = x
    for machine, training in zip(found.stack.machines, found.trainings, strict=True):
        p = np.mean(np.asarray(below.reshape(len(below), -1)), axis=0)
        points = machine.visible.array[:, 0]
        q = (p - points[0]) / (points[1] - points[0])
        independent = np.sum(q * np.log(q) + (1 - q) * np.log(1 - q))
        assert float(learning.log_likelihood(machine, below)) > independent + 0.05
        assert int(training.status) == learning.TrainingStatus.OK
        keys = jax.random.split(jax.random.key(1), len(below))
        below = jax.vmap(lambda v, key, m=machine: m.sample_hidden(v, key=key))(
            below.reshape(len(below), -1), keys
        )


def test_shapes_and_spaces():
    _, x = chain(200)
    found = learning.train_stack(x, (4, 2), hidden=SPIN, method=learning.CD(1), **SETTINGS)
    assert [m.weights.shape for m in found.stack.machines] == [(8, 4), (4, 2)]
    assert [(m.visible, m.hidden) for m in found.stack.machines] == [(SPIN, SPIN)] * 2
    assert repr(found).startswith("machine 1: ")


@pytest.mark.slow
def test_taken_up_again_from_checkpoints(tmp_path):
    _, x = chain(200)
    first = learning.train_stack(x, (4, 2), checkpoint=tmp_path, **SETTINGS)
    again = learning.train_stack(x, (4, 2), checkpoint=tmp_path, **SETTINGS)
    for a, b in zip(jax.tree.leaves(first.stack), jax.tree.leaves(again.stack), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["machine-1", "machine-2"]


@pytest.mark.parametrize(
    ("x", "change", "error", "message"),
    [
        (jnp.ones((200, 8)), {"n_hidden": ()}, SettingError, "one machine or more"),
        (jnp.ones(8), {}, ShapeError, r"\[n_samples, \*shape\].*\(8,\)"),
        (jnp.ones((200, 8)).at[3, 2].set(0.5), {}, SpaceError, "0.5"),
        (jnp.ones((200, 8)).at[3, 2].set(-1), {"visible": BINARY}, SpaceError, "-1"),
        (jnp.ones((50, 8)), {}, SettingError, "batch"),
    ],
)
def test_bad_input(x, change, error, message):
    with pytest.raises(error, match=message):
        learning.train_stack(x, **{"n_hidden": (4, 2)} | change, **SETTINGS)
