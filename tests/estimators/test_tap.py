"""Mean field and its corrections against enumeration: orders, bounds, the Legendre transform."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from contract_models import MODELS

from physdl import estimators, lattices, models, spaces
from physdl.errors import PhysdlError
from physdl.estimators import TAP, Status
from physdl.hamiltonian import Hamiltonian, Potential, Sites

ORDERS = (1, 2, 3)


def glass(scale, n=7, seed=0):
    rng = np.random.default_rng(seed)
    lattice = lattices.complete(n)
    coupling = scale * rng.normal(size=lattice.n_bonds)
    return models.ising(lattice, jnp.asarray(coupling), jnp.asarray(rng.normal(size=n)))


def machine(scale, seed=1):
    rng = np.random.default_rng(seed)
    w, a, b = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    return models.rbm(jnp.asarray(scale * w), jnp.asarray(a), jnp.asarray(b))


def off(h, order):
    out = TAP(order)(h)
    assert Status(int(out.status)) is Status.OK
    return float(out.log_z - estimators.Enumeration()(h).log_z)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("model", [glass, machine])
def test_the_error_is_of_the_next_order(model, order):
    scale = 0.005 if order < 3 else 0.02
    small, large = (abs(off(model(s), order)) for s in (scale, 2 * scale))
    assert np.log2(large / small) == pytest.approx(order + 1, abs=0.25)


def legendre(coupling, m):
    """max over fields of -log Z(h) + h . m, exactly: minus the constrained free energy."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=len(m))))
    pair = np.einsum("si,ij,sj->s", x, coupling, x) / 2

    def objective(field):
        log_p = x @ field + pair
        log_z = scipy.special.logsumexp(log_p)
        return log_z - field @ m, np.exp(log_p - log_z) @ x - m

    found = scipy.optimize.minimize(
        objective, np.zeros(len(m)), jac=True, method="BFGS", options={"gtol": 1e-13}
    )
    return found.fun


@pytest.mark.parametrize("order", ORDERS)
def test_terms_are_those_of_the_legendre_transform(order):
    """Plefka's expansion at magnetisations that are given, with triangles."""
    rng = np.random.default_rng(3)
    m = rng.uniform(-0.8, 0.8, size=4)
    upper = np.triu(rng.normal(size=(4, 4)), 1)
    free = -np.sum((1 + m) / 2 * np.log((1 + m) / 2) + (1 - m) / 2 * np.log((1 - m) / 2))
    v = 1 - m**2

    def series(j):
        total = m @ j @ m / 2
        if order > 1:
            total += v @ j**2 @ v / 4
        if order > 2:
            total += (m * v) @ j**3 @ (m * v) / 3
            total += sum(
                j[a, b] * j[b, c] * j[a, c] * v[a] * v[b] * v[c]
                for a, b, c in itertools.combinations(range(4), 3)
            )
        return free + total

    errors = []
    for scale in (0.05, 0.1):
        j = scale * (upper + upper.T)
        errors.append(abs(legendre(j, m) - series(j)))
    assert np.log2(errors[1] / errors[0]) == pytest.approx(order + 1, abs=0.3)
    j = 0.1 * (upper + upper.T)
    rows = np.argwhere(np.triu(np.ones((4, 4)), 1) > 0)
    pairs = Sites(jnp.asarray([-j[a, b] for a, b in rows]), rows)
    slope = j @ m
    if order > 1:
        slope = slope - m * (j**2 @ v)
    if order > 2:
        cubic = (j**3 @ (m * v)) * (1 - 3 * m**2) * 2 / 3
        slope = slope + cubic - m * np.diag((j * v) @ (j * v) @ j)
    field = np.arctanh(m) - slope
    h = Hamiltonian(
        {"pair": pairs, "field": Sites(-jnp.asarray(field), np.arange(4)[:, None])},
        space=spaces.SPIN,
        shape=(4,),
    )
    out = TAP(order)(h)
    np.testing.assert_allclose(out.info["magnetisation"], m, atol=1e-8)
    assert float(out.log_z) == pytest.approx(series(j) + field @ m, rel=1e-10)


@pytest.mark.parametrize("model", ["ising torus", "rbm", "complete graph", "tree", "free spins"])
def test_the_first_order_is_a_bound(model):
    h = MODELS[model]
    out = TAP(1)(h)
    exact = float(estimators.Enumeration()(h).log_z)
    assert float(out.lower) == float(out.log_z) <= exact + 1e-12


def test_an_ordered_phase_is_found():
    h = models.ising(lattices.square(8, 8), 0.7)
    out = TAP(2)(h)
    assert abs(float(out.info["magnetisation"].mean())) == pytest.approx(0.99, abs=0.01)
    exact = float(estimators.TransferMatrix()(h).log_z)
    assert float(out.log_z) == pytest.approx(exact - np.log(2), rel=2e-3)


def test_bits_are_spins_in_other_variables():
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.normal(size=(3, 2, 2)) * 0.3)
    sites = [[0, 1], [1, 2], [2, 0]]
    spin, bit = (
        Hamiltonian({"pair": Potential(table, sites)}, space=s, shape=(3,))
        for s in (spaces.SPIN, spaces.BINARY)
    )
    assert float(TAP(3)(spin).log_z) == pytest.approx(float(TAP(3)(bit).log_z), rel=1e-12)


@pytest.mark.parametrize("order", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2)), 3])
def test_derivatives_to_second_order(order):
    def f(k):
        return TAP(order, tolerance=1e-9)(models.ising(lattices.square(3, 3), k, 0.3)).log_z

    k, step = jnp.asarray(0.2), 1e-4
    first, second = jax.grad(f)(k), jax.grad(jax.grad(f))(k)
    assert float(first) == pytest.approx(float(f(k + step) - f(k - step)) / (2 * step), rel=1e-6)
    slopes = [float(jax.grad(f)(k + s)) for s in (step, -step)]
    assert float(second) == pytest.approx((slopes[0] - slopes[1]) / (2 * step), rel=1e-6)
    ks = jnp.array([0.1, 0.2])
    np.testing.assert_allclose(jax.vmap(f)(ks), [f(k) for k in ks], rtol=1e-12)


def test_statuses_and_refusals():
    h = glass(0.5)
    assert Status(int(TAP(2, max_steps=1)(h).status)) is Status.UNCONVERGED
    assert Status(int(TAP(1)(jnp.nan * h).status)) is Status.NONFINITE
    for settings, message in (
        ({"order": 4}, "order"),
        ({"tolerance": 0.0}, "positive"),
        ({"max_steps": 0}, "positive"),
    ):
        with pytest.raises(PhysdlError, match=message):
            TAP(**settings)
    with pytest.raises(PhysdlError, match="two-state"):
        TAP()(models.potts(lattices.chain(4), 3, 0.5))
    with pytest.raises(PhysdlError, match="3 sites"):
        TAP()(models.p_spin(n_sites=5, p=3))
    with pytest.raises(PhysdlError, match="finite"):
        TAP()(models.phi4(lattices.chain(3), r=1.0, u=1.0))
