import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.errors import ShapeError
from physdl.hamiltonian import Dense, Hamiltonian, Sites
from physdl.networks import HamiltonianClassifier, compile_polynomial, mlp
from physdl.reference import kaufman_log_z
from physdl.spaces import LINE

rng = np.random.default_rng(2)


def gaussian(mean, covariance):
    """-log p(x) of a normal distribution, with its normalisation."""
    precision, n = np.linalg.inv(covariance), len(mean)
    constant = 0.5 * mean @ precision @ mean + 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    terms = {
        "square": Dense(precision),
        "linear": Sites(-precision @ mean, np.arange(n)[:, None]),
        "constant": Sites(constant, np.zeros((1, 0), int)),
    }
    return Hamiltonian(terms, space=LINE, shape=(n,))


def covariance():
    a = rng.normal(size=(3, 3))
    return a @ a.T + np.eye(3)


def test_two_gaussians_of_equal_covariance_are_told_apart_linearly():
    m1, m2, s, p = rng.normal(size=3), rng.normal(size=3), covariance(), np.array([0.3, 0.7])
    which = HamiltonianClassifier((gaussian(m1, s), gaussian(m2, s)), -np.log(p))
    w = np.linalg.solve(s, m1 - m2)
    b = -(m1 @ np.linalg.solve(s, m1) - m2 @ np.linalg.solve(s, m2)) / 2 + np.log(p[0] / p[1])
    for x in rng.normal(size=(5, 3)):
        logits = which.logits(x)
        assert float(logits[0] - logits[1]) == pytest.approx(w @ x + b, abs=1e-12)
        assert float(which(x)[0]) == pytest.approx(1 / (1 + np.exp(-w @ x - b)), abs=1e-12)
        assert float(which.surprisals(x)[0]) == pytest.approx(-np.log(which(x)[0]), abs=1e-12)
    second = jax.hessian(lambda x: which.logits(x)[0] - which.logits(x)[1])(jnp.zeros(3))
    np.testing.assert_allclose(second, 0, atol=1e-12)


def test_of_unequal_covariance_quadratically():
    s1, s2, mean = covariance(), covariance(), np.zeros(3)
    which = HamiltonianClassifier((gaussian(mean, s1), gaussian(mean, s2)), jnp.zeros(2))
    second = jax.hessian(lambda x: which.logits(x)[0] - which.logits(x)[1])(jnp.ones(3))
    np.testing.assert_allclose(second, np.linalg.inv(s2) - np.linalg.inv(s1), atol=1e-12)


def test_which_temperature():
    """The posterior over temperatures by Kaufman's log Z is that by counting all states."""
    lattice, grid = lattices.square(3, 3), np.array([0.2, 0.4, 0.6])
    tuple_of = tuple(models.ising(lattice, k) for k in grid)
    mu = jnp.stack([kaufman_log_z(3, 3, k) for k in grid])
    which = HamiltonianClassifier(tuple_of, mu)
    states = np.array(list(itertools.product([-1.0, 1.0], repeat=9))).reshape(-1, 3, 3)
    aligned = sum(states * np.roll(states, 1, axis) for axis in (1, 2)).sum(axis=(1, 2))
    weights = np.exp(grid[:, None] * aligned)
    likelihood = weights / weights.sum(axis=1, keepdims=True)
    posterior = likelihood / likelihood.sum(axis=0)
    np.testing.assert_allclose(jax.vmap(which)(jnp.asarray(states)), posterior.T, atol=1e-12)


def test_energies_may_be_networks():
    lattice = lattices.square(3, 3)
    exact = tuple(models.ising(lattice, k) for k in (0.2, 0.6))
    mu = jnp.stack([kaufman_log_z(3, 3, k) for k in (0.2, 0.6)])
    compiled = tuple(compile_polynomial(h, tolerance=1e-8)[0] for h in exact)
    x = jnp.asarray(rng.choice([-1.0, 1.0], size=(3, 3)))
    found = jax.jit(lambda c, x: c(x))(HamiltonianClassifier(compiled, mu), x)
    np.testing.assert_allclose(found, HamiltonianClassifier(exact, mu)(x), atol=1e-7)
    vector = mlp(3, 4, key=jax.random.key(0))
    probabilities = HamiltonianClassifier(vector, jnp.zeros(4))(jnp.ones(3))
    np.testing.assert_allclose(probabilities, jax.nn.softmax(-vector(jnp.ones(3))), atol=1e-15)


def test_it_is_differentiable_in_the_prior():
    which = HamiltonianClassifier((gaussian(np.zeros(1), np.eye(1)),) * 2, jnp.array([0.1, 0.3]))
    gradient = jax.grad(lambda c: c.surprisals(jnp.ones(1))[0])(which)
    np.testing.assert_allclose(gradient.mu, [1 - which(jnp.ones(1))[0], -which(jnp.ones(1))[1]])


@pytest.mark.parametrize("mu", [0.0, jnp.zeros(3), jnp.zeros((2, 1))])
def test_every_class_has_a_mu(mu):
    h = gaussian(np.zeros(1), np.eye(1))
    with pytest.raises(ShapeError, match=r"2 classes take mu of shape \(2,\)"):
        HamiltonianClassifier((h, h), mu)
