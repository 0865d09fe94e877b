import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl.errors import SettingError
from physdl.theory.expressivity import product_trainability

QUICK = {
    "optimizer": optax.adam(1e-2),
    "n_steps": 400,
    "batch_size": 64,
    "n_networks": 4,
    "n_test": 4096,
}


def trained(*args, **kwargs):
    return product_trainability(*args, key=jax.random.key(3), **kwargs)


def test_the_map_has_its_shape_and_learns():
    found = trained(3, depths=[1, 2], widths=[1, 16], **QUICK)
    assert found.losses.shape == (2, 2, 4)
    assert found.mean.shape == found.stderr.shape == (2, 2)
    assert (found.depths, found.widths) == ((1, 2), (1, 16))
    assert np.all(found.mean[:, 1] + 4 * found.stderr[:, 1] < found.mean[:, 0])
    assert np.all(found.losses[:, 1] < 0.5 * found.trivial)


@pytest.mark.slow
def test_depth_trains():
    """Six factors, three layers against one of the same width."""
    steps = 3000
    found = trained(
        6,
        depths=[1, 3],
        widths=[64],
        **QUICK
        | {"n_steps": steps, "optimizer": optax.adam(optax.cosine_decay_schedule(3e-3, steps))},
    )
    (shallow,), (deep,) = found.mean
    assert deep + 4 * jnp.hypot(*found.stderr[:, 0]) < shallow


def test_the_trivial_loss_is_that_of_the_best_constant():
    few = {"depths": [1], "widths": [2]}
    found = trained(2, **few, **QUICK | {"n_steps": 1, "n_networks": 2})
    rng = np.random.default_rng(0)
    y = np.prod(rng.uniform(0, 2, size=(200_000, 2)), axis=1)
    losses = [np.mean(np.abs(y - c)) for c in np.linspace(0, 2, 201)]
    spread = np.std(np.abs(y - np.median(y))) / np.sqrt(4096)
    assert abs(float(found.trivial) - min(losses)) < 4 * spread


def test_same_key_same_map():
    few = QUICK | {"n_steps": 20, "n_networks": 2}
    one = trained(2, depths=[1], widths=[4], **few)
    two = trained(2, depths=[1], widths=[4], **few)
    assert jnp.array_equal(one.losses, two.losses)


@pytest.mark.parametrize(
    "change", [{"n_steps": 0}, {"depths": []}, {"widths": [0]}, {"optimizer": None}]
)
def test_refusals(change):
    with pytest.raises(SettingError):
        trained(2, **{"depths": [1], "widths": [2]} | QUICK | change)
