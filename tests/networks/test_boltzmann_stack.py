import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.networks import RBM, BoltzmannStack, participation
from physdl.spaces import BINARY, SPIN, potts

KEY = jax.random.key(0)


def stack(*sizes, hidden=BINARY, scale=1.0):
    rng, kinds = np.random.default_rng(0), [SPIN, *[hidden] * (len(sizes) - 2)]
    return BoltzmannStack(
        tuple(
            RBM(
                scale * rng.normal(size=(n, m)),
                rng.normal(size=n),
                rng.normal(size=m),
                kind,
                hidden,
            )
            for (n, m), kind in zip(itertools.pairwise(sizes), kinds, strict=True)
        )
    )


def conditional(machine, v):
    """p(h | v) of every h, from energies alone."""
    states = list(itertools.product(machine.hidden.array[:, 0], repeat=machine.n_hidden))
    w = np.array([np.exp(-float(machine.energy(jnp.asarray(v), jnp.array(h)))) for h in states])
    return states, w / w.sum()


@pytest.mark.parametrize("hidden", [BINARY, SPIN])
def test_draws_have_the_probabilities_of_the_levels(hidden):
    """p(h2 | v) = sum_h1 p(h2 | h1) p(h1 | v), with energies summed by hand."""
    both, v, n = stack(4, 3, 2, hidden=hidden), np.array([1.0, -1.0, -1.0, 1.0]), 20_000
    firsts, p = conditional(both.machines[0], v)
    exact = sum(
        q * conditional(both.machines[1], first)[1] for first, q in zip(firsts, p, strict=True)
    )
    seconds, _ = conditional(both.machines[1], firsts[0])
    x = jax.vmap(lambda key: both(jnp.asarray(v).reshape(2, 2), key=key))(jax.random.split(KEY, n))
    for state, q in zip(seconds, exact, strict=True):
        share = np.mean(np.all(np.asarray(x) == np.array(state), axis=1))
        assert abs(share - q) < 4 * np.sqrt(q * (1 - q) / n)


def test_levels_end_where_the_call_does():
    both, v = stack(4, 3, 2), jnp.ones(4)
    levels = both.levels(v, key=KEY)
    assert [level.shape for level in levels] == [(3,), (2,)]
    np.testing.assert_array_equal(levels[-1], both(v, key=KEY))
    assert both.compression == 2


def test_reconstruction_is_drawn_downward():
    """Deep weights make it certain: each unit copies one below."""
    copies = [
        RBM(jnp.asarray(100 * np.eye(4)[:, :2]), 0.0, 0.0, SPIN, SPIN),
        RBM(jnp.asarray(100 * np.eye(2)), 0.0, 0.0, SPIN, SPIN),
    ]
    v = BoltzmannStack(tuple(copies)).reconstruct(jnp.array([1.0, -1.0]), key=KEY)
    assert v[:2].tolist() == [1.0, -1.0]


def test_receptive_fields_are_products_of_weights():
    first, second = stack(4, 3, 2).machines
    fields = BoltzmannStack((first, second)).receptive_fields
    np.testing.assert_array_equal(fields[0], first.weights)
    by_hand = np.einsum("ij,jk->ik", np.asarray(first.weights), np.asarray(second.weights))
    np.testing.assert_allclose(fields[1], by_hand, rtol=1e-12)


def test_participation_counts_sites():
    fields = np.zeros((10, 3))
    fields[4, 0], fields[2:5, 1], fields[:, 2] = -2.0, 0.7, 1.0
    np.testing.assert_allclose(participation(jnp.asarray(fields)), [1, 3, 10], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BoltzmannStack(()), SettingError, "one machine or more"),
        (
            lambda: BoltzmannStack((RBM(jnp.ones((4, 3))), RBM(jnp.ones((2, 2))))),
            ShapeError,
            "machine 1 has 3 hidden units.*got 2",
        ),
        (
            lambda: BoltzmannStack((RBM(jnp.ones((4, 3))), RBM(jnp.ones((3, 2)), visible=SPIN))),
            SpaceError,
            "machine 1 are BINARY",
        ),
        (
            lambda: BoltzmannStack((RBM(jnp.ones((4, 3, 2)), visible=potts(3)),)),
            SpaceError,
            "are numbers",
        ),
        (lambda: stack(4, 3, 2)(jnp.ones((5, 1)), key=KEY), ShapeError, r"4 sites.*\(5, 1\)"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
