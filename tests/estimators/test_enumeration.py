"""Enumeration in blocks, made so small that every path is taken, against brute force."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models, spaces
from physdl.estimators import Status, enumeration
from physdl.hamiltonian import Hamiltonian, Potential, Sites

RNG = np.random.default_rng(5)


@pytest.fixture
def small_blocks(monkeypatch):
    """Every sum is in blocks, and the chunks of A are walked through."""
    jax.clear_caches()
    monkeypatch.setattr(enumeration, "DIRECT", 1)
    monkeypatch.setattr(enumeration, "BLOCK", 8)
    monkeypatch.setattr(enumeration, "CHUNK", 4)
    yield
    jax.clear_caches()


def four_body_over_all_blocks():
    table = RNG.normal(size=(3, 2, 2, 2, 2))
    pairs = Sites(RNG.normal(size=8), [[i, i + 1] for i in range(8)])
    groups = [[0, 3, 5, 8], [0, 1, 2, 8], [0, 4, 5, 7]]
    terms = {"four": Potential(table, groups), "pairs": pairs}
    return Hamiltonian(terms, space=spaces.SPIN, shape=(9,))


def mixed():
    space = spaces.product([spaces.levels(q) for q in (2, 3, 2, 4, 3, 2)])
    tables = {
        "a": Potential(RNG.normal(size=(1, 2, 3)), [[0, 1]]),
        "b": Potential(RNG.normal(size=(1, 2, 4, 3)), [[2, 3, 4]]),
        "c": Potential(RNG.normal(size=(1, 2, 2)), [[5, 0]]),
        "d": Potential([[0.0, np.inf, 0.3, 0.1]] * 1, [[3]]),
    }
    return Hamiltonian(tables, space=space, shape=(6,))


def hard_squares():
    lattice = lattices.square(3, 3)
    exclusion = Potential([[0.0, 0.0], [0.0, np.inf]], lattice.bonds)
    activity = Sites(-0.7, np.arange(9)[:, None])
    terms = {"exclusion": exclusion, "activity": activity}
    return Hamiltonian(terms, space=spaces.BINARY, shape=lattice.shape)


MODELS = {
    "dense": lambda: models.sherrington_kirkpatrick(9, 1.0, 0.3),
    "frozen": lambda: models.sherrington_kirkpatrick(9, 4000.0, 0.3),
    "potts": lambda: models.potts(lattices.square(2, 3), 3, 0.9, [0.1, 0.0, -0.2]),
    "mixed": mixed,
    "four-body": four_body_over_all_blocks,
    "hard squares": hard_squares,
    "free": lambda: models.ising(lattices.chain(7), 0.0, 0.4),
}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


@each_model
def test_blocks_agree_with_brute_force(small_blocks, model):
    h = model()
    out = estimators.Enumeration()(h)
    assert Status(int(out.status)) is Status.OK
    assert float(out.log_z) == pytest.approx(brute_force.log_z_of(h), rel=1e-13, abs=1e-12)
    jitted = jax.jit(lambda h: estimators.Enumeration()(h).log_z)(h)
    assert float(jitted) == pytest.approx(float(out.log_z), rel=1e-13)


@pytest.mark.parametrize("model", ["dense", "frozen", "four-body", "hard squares"])
def test_derivatives_of_blocks_are_those_of_one_sum(small_blocks, monkeypatch, model):
    h = MODELS[model]()

    def derivatives():
        slope = jax.grad(lambda beta: estimators.Enumeration()(beta * h).log_z)
        return jax.jit(lambda beta: jax.jvp(slope, (beta,), (jnp.ones_like(beta),)))(1.1)

    first, second = derivatives()
    monkeypatch.setattr(enumeration, "DIRECT", 2**14)
    at_once = derivatives()
    np.testing.assert_allclose(first, at_once[0], rtol=1e-10, atol=1e-10)
    rounding = 1e-15 * float(first) ** 2
    np.testing.assert_allclose(second, at_once[1], rtol=1e-10, atol=1e-11 + rounding)


def test_undefined_coefficients_are_reported_by_every_path(small_blocks):
    for coupling in (np.nan, -np.inf):
        table = np.array([[0.0, coupling], [0.2, 0.0]])
        h = Hamiltonian(
            {"pair": Potential(table, [[0, 7], [3, 4]])}, space=spaces.BINARY, shape=(8,)
        )
        for out in (estimators.Enumeration()(h), jax.jit(estimators.Enumeration())(h)):
            assert Status(int(out.status)) is Status.NONFINITE


def test_batches_are_loops(small_blocks):
    h = models.sherrington_kirkpatrick(9, 1.0, 0.3)
    betas = jnp.asarray([0.3, 1.0, 5000.0])
    log_z = lambda beta: estimators.Enumeration()(beta * h).log_z
    np.testing.assert_allclose(jax.vmap(log_z)(betas), [log_z(b) for b in betas], rtol=1e-13)


def test_constraints_between_blocks_do_not_hide_underflow(small_blocks):
    """All sites are equal; each half of the fields is beaten by the other in the end."""
    n = 12
    pairs = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    equal = Potential([[0.0, np.inf], [np.inf, 0.0]], pairs)
    field = Potential([[0.0, 300.0]] * (n // 2) + [[300.1, 0.0]] * (n // 2), np.arange(n)[:, None])
    h = Hamiltonian({"equal": equal, "field": field}, space=spaces.BINARY, shape=(n,))
    exact = np.logaddexp(-300.1 * (n // 2), -300.0 * (n // 2))
    assert float(estimators.Enumeration()(h).log_z) == pytest.approx(exact, rel=1e-13)
