import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, networks, sampling
from physdl.errors import SettingError

KEY = jax.random.key(0)
H = models.ising(lattices.square(2, 2), 0.2, 0.3)
STATES = np.array(list(itertools.product([-1.0, 1.0], repeat=4))).reshape(-1, 2, 2)


def proposals():
    """A network with other fields than the model: a third of what it proposes is refused."""
    other = models.ising(lattices.square(2, 2), 0.1, -0.4)
    q = networks.made(other, widths=(2,), key=KEY)
    return {"product": q, "mixture": networks.mixture(q, permutations=[[0, 1, 2, 3], [3, 2, 1, 0]])}


@pytest.mark.parametrize("name", ["product", "mixture"])
def test_every_move_has_its_probability(name):
    """P(x -> x') = q(x') min(1, w(x') / w(x)), energies and q from tables."""
    q, n = proposals()[name], 20_000
    kernel = networks.IndependenceSampler(q)
    log_q = np.array([float(q.log_prob(jnp.asarray(x))) for x in STATES])
    energy = np.array([float(H(jnp.asarray(x))) for x in STATES])
    w = np.exp(-energy - log_q)
    keys = jax.random.split(jax.random.key(1), n)
    for start in (0, 6):
        move = jax.jit(jax.vmap(lambda key, x=STATES[start]: kernel(H, jnp.asarray(x), key=key)[0]))
        after = np.asarray(move(keys)).reshape(n, -1)
        exact = np.exp(log_q) * np.minimum(1, w / w[start])
        exact[start] = 0
        exact[start] = 1 - exact.sum()
        seen = np.array([np.mean(np.all(after == x.reshape(-1), axis=1)) for x in STATES])
        assert np.all(np.abs(seen - exact) < 4.5 * np.sqrt(exact * (1 - exact) / n))


def test_a_run_has_the_moments_of_the_model():
    out = sampling.run(
        networks.IndependenceSampler(proposals()["product"]), H, key=KEY, n_sweeps=16_000
    )
    p = np.exp(-np.array([float(H(jnp.asarray(x))) for x in STATES]))
    energy = np.array([float(H(jnp.asarray(x))) for x in STATES])
    exact, found = float(energy @ p / p.sum()), out["energy"].mean
    assert abs(float(found.value) - exact) < 4 * float(found.stderr)
    assert float(found.stderr) < 0.05


def test_what_fits_is_always_accepted():
    """Fields alone are exact on an open chain."""
    h = models.ising(lattices.chain(5, periodic=False), 0.7)
    kernel = networks.IndependenceSampler(networks.made(h, key=KEY))
    _, info = kernel(h, jnp.ones(5), key=KEY)
    assert float(info["acceptance"]) == pytest.approx(1, abs=1e-12)


def test_another_model_is_refused():
    kernel = networks.IndependenceSampler(proposals()["product"])
    with pytest.raises(SettingError, match=r"of shape \(2, 2\), and h is of .*\(5,\)"):
        kernel(models.ising(lattices.chain(5), 0.1), jnp.ones(5), key=KEY)
