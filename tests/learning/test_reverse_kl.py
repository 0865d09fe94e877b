import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import lattices, learning, models, networks
from physdl.errors import SettingError
from physdl.learning import ReverseKL, TrainingStatus, minimise_free_energy

KEY = jax.random.key(0)
H = models.ising(lattices.square(2, 2), 0.3, 0.2)


def configurations(h):
    return jnp.asarray(list(itertools.product((-1.0, 1.0), repeat=h.n_sites))).reshape(-1, *h.shape)


def shaken(q, spread=0.4):
    rng = np.random.default_rng(7)
    noisy = jax.tree.map(lambda a: a + jnp.asarray(spread * rng.normal(size=a.shape)), q.network)
    return q.with_parts(noisy, q.h)


def free_energy(network, q, h):
    """F_q as a sum over all configurations."""
    log_q = jax.vmap(q.with_parts(network, h).log_prob)(configurations(h))
    return jnp.sum(jnp.exp(log_q) * (log_q + jax.vmap(h)(configurations(h))))


def log_z(h):
    energy = np.asarray(jax.vmap(h)(configurations(h)))
    return float(np.log(np.sum(np.exp(-energy))))


MADE = shaken(networks.made(H, widths=(2,), key=KEY))
DISTRIBUTIONS = {
    "product": MADE,
    "without fields": shaken(networks.made(H, widths=(2,), informed=False, key=KEY)),
    "mixture": networks.mixture(MADE, permutations=lattices.square(2, 2).translations()),
}


@pytest.mark.parametrize("q", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_value_and_gradient_are_unbiased(q):
    """Means over many batches against derivatives of the sum over all configurations."""
    objective, n = ReverseKL(q, H, 4), 4000

    @jax.jit
    @jax.vmap
    def each(key):
        (value, _), slope = jax.value_and_grad(objective, has_aux=True)(q.network, 0.0, key)
        return value, jax.flatten_util.ravel_pytree(slope)[0]

    found = [np.asarray(a).reshape(n, -1) for a in each(jax.random.split(KEY, n))]
    value, slope = jax.value_and_grad(free_energy)(q.network, q, H)
    exact = [np.asarray(value)[None], np.asarray(jax.flatten_util.ravel_pytree(slope)[0])]
    for sample, truth in zip(found, exact, strict=True):
        error = sample.std(axis=0, ddof=1) / math.sqrt(n)
        seen = error > 1e-12
        z = (sample.mean(axis=0) - truth)[seen] / error[seen]
        assert np.all(np.abs(z) < 4.5), z
        np.testing.assert_allclose(truth[~seen], 0, atol=1e-12)
        assert np.max(np.abs(truth[seen]) / error[seen]) > 10


def test_what_is_past_would_only_add_noise():
    """The scatter of the gradient with R_i against that with the whole of log q + H."""
    objective = ReverseKL(MADE, H, 8)

    def plain(network, key):
        q = MADE.with_parts(network, H)
        x, _ = jax.vmap(jax.lax.stop_gradient(q).sample)(jax.random.split(key, 8))
        log_q = jax.vmap(q.log_prob)(x)
        whole = jax.lax.stop_gradient(log_q) + jax.vmap(H)(x)
        return jnp.sum(log_q * (whole - jnp.mean(whole))) / 7

    def scatter(gradient):
        slopes = jax.jit(jax.vmap(gradient))(jax.random.split(KEY, 1000))
        return sum(float(jnp.sum(jnp.var(a, axis=0))) for a in jax.tree.leaves(slopes))

    here = scatter(lambda key: jax.grad(objective, has_aux=True)(MADE.network, 0.0, key)[0])
    assert here < scatter(lambda key: jax.grad(plain)(MADE.network, key))


def test_noise_vanishes_at_the_optimum():
    """Fields alone are exact on an open chain: the gradient of every batch is zero."""
    h = models.ising(lattices.chain(5, periodic=False), 0.7, [0.0, 0.0, 0.0, 0.0, 0.3])
    q = networks.made(models.ising(lattices.chain(5, periodic=False), 0.7), key=KEY)
    objective = ReverseKL(q, q.h, 4)
    (value, _), slope = jax.value_and_grad(objective, has_aux=True)(q.network, 0.0, KEY)
    assert abs(float(value) + math.log(2) + 4 * math.log(2 * math.cosh(0.7))) < 1e-12
    assert all(float(jnp.max(jnp.abs(a))) < 1e-12 for a in jax.tree.leaves(slope))
    other = ReverseKL(q, h, 4)
    slope = jax.grad(other, has_aux=True)(q.network, 0.0, KEY)[0]
    assert any(float(jnp.max(jnp.abs(a))) > 1e-3 for a in jax.tree.leaves(slope))


@pytest.mark.parametrize("name", ["made", "pixel_cnn", "transformer"])
def test_training_finds_the_distribution(name):
    """KL(q || p) of a 2 x 3 torus by enumeration, before and after."""
    h = models.ising(lattices.square(2, 3), 0.4, 0.1)
    small = {"pixel_cnn": {"width": 6, "depth": 2, "reach": 2}, "transformer": {"width": 8}}
    q = getattr(networks, name)(h, **small.get(name, {}), key=KEY)
    rates = optax.cosine_decay_schedule(2e-2, 1000)
    found = minimise_free_energy(
        q, h, optimizer=optax.adam(rates), n_steps=1000, batch_size=64, key=jax.random.key(1)
    )
    before, after = (free_energy(p.network, p, h) + log_z(h) for p in (q, found.result))
    assert TrainingStatus(int(found.status)) is TrainingStatus.OK
    assert 0 <= after < 2e-3 < 0.1 < before


def test_annealing_scales_the_hamiltonian():
    cold = ReverseKL(MADE, H, 8, anneal=0.9)
    for t in (0.0, 4.0):
        plain = ReverseKL(MADE, (1 - 0.9 ** (t + 1)) * H, 8)
        value, after = cold(MADE.network, jnp.asarray(t), KEY)
        assert float(after) == t + 1
        assert abs(float(value) - float(plain(MADE.network, jnp.asarray(t), KEY)[0])) < 1e-12


def test_fit_takes_the_same_steps():
    adam = optax.adam(1e-2)
    found = minimise_free_energy(
        MADE, H, optimizer=adam, n_steps=10, batch_size=8, anneal=0.5, key=KEY
    )
    other = learning.fit(
        ReverseKL(MADE, H, 8, anneal=0.5),
        MADE.network,
        optimizer=adam,
        n_steps=10,
        key=KEY,
        state=0.0,
        surrogate=True,
    )
    np.testing.assert_allclose(found.losses, other.losses, rtol=1e-12)
    assert float(found.state) == 10


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"batch_size": 1}, "two draws"),
        ({"anneal": 1.0}, "between 0 and 1"),
        ({"h": models.ising(lattices.chain(4), 0.3)}, "of shape"),
        ({"n_steps": 0}, "n_steps"),
        ({"optimizer": 0.1}, "optax"),
    ],
)
def test_a_setting_out_of_range_is_named(settings, match):
    given = {"h": H, "optimizer": optax.adam(1e-2), "n_steps": 1, "key": KEY} | settings
    with pytest.raises(SettingError, match=match):
        minimise_free_energy(MADE, **given)
