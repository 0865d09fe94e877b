"""Hamiltonians from samples, against an independent optimum, known couplings, and their errors."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

from physdl import estimators, lattices, learning, models, sampling, spaces
from physdl.errors import PhysdlError, SettingError
from physdl.hamiltonian import Hamiltonian, Sites, Stencil
from physdl.learning._possible import require_possible

TORUS = lattices.square(4, 4)


def drawn(h, n, seed=0):
    return np.asarray(sampling.exact_sample(h, n=n, key=jax.random.key(seed)).states[:, 0])


def flat(h):
    return np.asarray(jax.flatten_util.ravel_pytree(h)[0])


def status(found):
    return learning.InferenceStatus(int(found.status)).name


def features(x):
    """All fields, then all pairs in order: written without physdl."""
    n = x.shape[1]
    pairs = [x[:, i] * x[:, j] for i, j in itertools.combinations(range(n), 2)]
    return np.column_stack([x, *pairs])


def test_maximum_likelihood_is_that_of_an_independent_minimiser():
    x = drawn(models.sherrington_kirkpatrick(n_sites=6, seed=1), 500)
    every = np.array(list(itertools.product([-1.0, 1.0], repeat=6)))
    wanted, known = features(x).mean(0), features(every)

    def objective(theta):
        energy = known @ theta
        p = np.exp(-energy - scipy.special.logsumexp(-energy))
        return theta @ wanted + scipy.special.logsumexp(-energy), wanted - p @ known

    best = scipy.optimize.minimize(
        objective, np.zeros(len(wanted)), jac=True, method="BFGS", options={"gtol": 1e-11}
    )
    found = learning.maximum_likelihood(x)
    np.testing.assert_allclose(flat(found.hamiltonian), best.x, atol=1e-8)
    assert float(found.objective) == pytest.approx(best.fun, rel=1e-12)
    energy = known @ best.x
    p = np.exp(-energy - scipy.special.logsumexp(-energy))
    fisher = np.cov(known.T, aweights=p, ddof=0)
    errors = np.sqrt(np.diag(np.linalg.inv(fisher)) / len(x))
    np.testing.assert_allclose(flat(found.stderr), errors, rtol=1e-6)


def test_pseudolikelihood_is_that_of_an_independent_minimiser():
    x = drawn(models.ising(lattices.chain(5), 0.6, 0.3), 400)
    n = x.shape[1]
    pairs = list(itertools.combinations(range(n), 2))

    def objective(theta):
        field, couplings = theta[:n], np.zeros((n, n))
        for (i, j), value in zip(pairs, theta[n:], strict=True):
            couplings[i, j] = couplings[j, i] = value
        return np.mean(np.sum(np.log1p(np.exp(2 * x * (field + x @ couplings))), axis=1))

    start = np.zeros(n + len(pairs))
    best = scipy.optimize.minimize(objective, start, method="BFGS", options={"gtol": 1e-7})
    found = learning.pseudolikelihood(x)
    assert float(found.objective) == pytest.approx(best.fun, rel=1e-12)
    np.testing.assert_allclose(flat(found.hamiltonian), best.x, atol=1e-6)


@pytest.mark.parametrize("method", [learning.pseudolikelihood, learning.maximum_likelihood])
def test_errors_are_standard_errors(method):
    """Forty independent data sets: the squared deviation over the variance is one on average."""
    h = models.ising(lattices.chain(5), 0.4, 0.2)
    z = []
    for seed in range(40):
        found = method(drawn(h, 500, seed), h)
        assert status(found) == "OK"
        z.append((flat(found.hamiltonian) - flat(h)) / flat(found.stderr))
    z = np.array(z)
    assert np.all(np.abs(z.mean(0)) < 4 / np.sqrt(len(z)))
    assert abs(np.mean(z**2) - 1) < 4 * np.sqrt(2 / z.size)


@pytest.mark.parametrize(
    "h",
    [
        pytest.param(models.ising(TORUS, 0.3), marks=pytest.mark.slow),
        models.sherrington_kirkpatrick(n_sites=10, seed=3),
    ],
    ids=["ising", "glass"],
)
def test_the_error_falls_as_the_root_of_the_number(h):
    sizes = [1000, 4000, 16000]
    x = np.concatenate([drawn(h, max(sizes), seed) for seed in range(4)]).reshape(4, max(sizes), -1)
    truth = flat(learning.pseudolikelihood(x.reshape(-1, h.n_sites)).hamiltonian)
    exact = couplings_of(h)
    assert np.abs(truth - exact).max() < 0.05
    errors = [
        np.mean(
            [np.sum((flat(learning.pseudolikelihood(s[:m]).hamiltonian) - exact) ** 2) for s in x]
        )
        for m in sizes
    ]
    slope = np.polyfit(np.log(sizes), 0.5 * np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)


def couplings_of(h):
    """Coefficients in the order of all fields and all pairs."""
    n = h.n_sites
    vector = np.zeros(n + n * (n - 1) // 2)
    where = {pair: n + k for k, pair in enumerate(itertools.combinations(range(n), 2))}
    for term in h.expand().terms.values():
        if term.table.array.shape[1] == 2:
            for pair, value in zip(term.table.array.tolist(), term.coefficient, strict=True):
                vector[where[tuple(sorted(pair))]] += float(value)
    return vector


def test_a_sparse_minimum_satisfies_its_conditions():
    """Zero subgradient: |g| = l1 where a coupling is kept, |g| <= l1 where it is not."""
    x = drawn(models.ising(lattices.chain(8), 0.5), 2000)
    l1 = 0.12
    found = learning.pseudolikelihood(x, l1=l1)
    assert status(found) == "OK"
    n = 8
    pairs = list(itertools.combinations(range(n), 2))
    theta = flat(found.hamiltonian)
    couplings = np.zeros((n, n))
    for (i, j), value in zip(pairs, theta[n:], strict=True):
        couplings[i, j] = couplings[j, i] = value
    slack = 2 / (1 + np.exp(-2 * x * (theta[:n] + x @ couplings)))
    g_field = np.mean(x * slack, axis=0)
    g_pair = np.array([np.mean(x[:, i] * x[:, j] * (slack[:, i] + slack[:, j])) for i, j in pairs])
    kept = theta[n:] != 0
    np.testing.assert_allclose(g_field, 0, atol=1e-9)
    np.testing.assert_allclose(g_pair[kept], -l1 * np.sign(theta[n:][kept]), atol=1e-9)
    assert np.all(np.abs(g_pair[~kept]) <= l1)
    neighbours = {tuple(sorted(pair)) for pair in lattices.chain(8).bonds.array.tolist()}
    assert {p for p, k in zip(pairs, kept, strict=True) if k} == neighbours


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (spaces.BINARY, (5,)),
        pytest.param(spaces.spin(1), (4,), marks=pytest.mark.slow),
        (spaces.potts(3), (4,)),
        pytest.param(spaces.clock(4), (3,), marks=pytest.mark.slow),
        (spaces.product([spaces.SPIN, spaces.spin(1), spaces.levels(4)]), (3,)),
    ],
    ids=str,
)
def test_any_finite_space(space, shape):
    """Both methods come back to random couplings of all monomials, and none is redundant."""
    family = learning.polynomial(shape, space)
    rng = np.random.default_rng(0)
    h = jax.tree.map(lambda c: jnp.asarray(rng.normal(size=c.shape) * 0.4), family)
    x = drawn(h, 20_000)
    for method in (learning.pseudolikelihood, learning.maximum_likelihood):
        found = method(x, family)
        assert status(found) == "OK"
        z = (flat(found.hamiltonian) - flat(h)) / flat(found.stderr)
        assert np.max(np.abs(z)) < 4.5


def test_maximum_entropy_of_two_moments_is_gaussian_and_of_four_the_quartic():
    """One variable on the line, log Z by Gauss-Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(400)
    node, weight = jnp.asarray(12 * node), jnp.asarray(12 * weight)

    def quadrature(h, *, key=None):
        log_z = jax.scipy.special.logsumexp(-jax.vmap(h)(node[:, None]), b=weight)
        return estimators.Enumeration()(models.ising(lattices.chain(2), 0.0)).__class__(
            log_z, log_z, log_z, log_z, jnp.zeros((), jnp.int32), {}, "quadrature", 1
        )

    def line(*coefficients):
        terms = {
            f"degree {d}": Sites(jnp.array([c]), np.zeros((1, d), int))
            for d, c in enumerate(coefficients, 1)
        }
        return Hamiltonian(terms, space=spaces.LINE, shape=(1,))

    gauss = learning.maximum_entropy(line(0.7, 0.7**2 + 2.0), estimator=quadrature).hamiltonian
    np.testing.assert_allclose(flat(gauss), [-0.7 / 2.0, 1 / (2 * 2.0)], atol=1e-10)
    h = line(0.3, -0.5, 0.1, 0.25)
    moments = jax.tree.map(jnp.negative, jax.grad(lambda h: quadrature(h).log_z)(h))
    found = learning.maximum_entropy(moments, estimator=quadrature)
    back = jax.grad(lambda h: quadrature(h).log_z)(found.hamiltonian)
    np.testing.assert_allclose(-flat(back), flat(moments), atol=1e-10)
    np.testing.assert_allclose(flat(found.hamiltonian), flat(h), atol=1e-8)


def moments_of_one(*values, space=spaces.LINE):
    terms = {
        f"degree {d}": Sites(jnp.array([v]), np.zeros((1, d), int)) for d, v in enumerate(values, 1)
    }
    return Hamiltonian(terms, space=space, shape=(1,))


def test_maximum_entropy_on_the_line_needs_no_estimator():
    """Two moments of a Gaussian; four of a uniform variable, matched by scipy's quadrature."""
    gauss = learning.maximum_entropy(moments_of_one(0.7, 0.7**2 + 2.0))
    np.testing.assert_allclose(flat(gauss.hamiltonian), [-0.7 / 2.0, 1 / (2 * 2.0)], atol=1e-10)
    assert float(gauss.objective) == pytest.approx(np.log(4 * np.pi * np.e) / 2, rel=1e-12)
    found = learning.maximum_entropy(moments_of_one(0.0, 1 / 3, 0.0, 1 / 5)).hamiltonian
    weight = lambda x: np.exp(-sum(c * x**d for d, c in enumerate(flat(found), 1)))
    z, second, fourth = (
        scipy.integrate.quad(lambda x, d=d: x**d * weight(x), -5, 5, epsabs=0, epsrel=1e-13)[0]
        for d in (0, 2, 4)
    )
    np.testing.assert_allclose([second / z, fourth / z], [1 / 3, 1 / 5], rtol=1e-10)


def test_maximum_likelihood_of_real_fields_is_the_inverse_covariance():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3))
    found = learning.maximum_likelihood(x, space=spaces.LINE)
    again = learning.score_matching(x)
    assert status(found) == "OK"
    np.testing.assert_allclose(flat(found.hamiltonian), flat(again.hamiltonian), atol=1e-7)


def pairs_of_three(means, correlations, space=spaces.SPIN):
    terms = {
        "degree 1": Sites(jnp.array(means), [[0], [1], [2]]),
        "degree 2": Sites(jnp.array(correlations), [[0, 1], [0, 2], [1, 2]]),
    }
    return Hamiltonian(terms, space=space, shape=(3,))


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        (moments_of_one(1.0, 0.5), "combination of x0 would have the negative mean"),
        (moments_of_one(0.0, 1.0, 0.0, 0.5), "x0 x0 .*negative mean"),
        (moments_of_one(0.0, -1.0), "<x0 x0> = -1: it lies between 0 and inf"),
        (moments_of_one(np.nan, 1.0), "finite numbers"),
        (pairs_of_three([0.0] * 3, [-0.9] * 3), "negative mean -0.8"),
        (pairs_of_three([0.0, 0.0, 1.2], [0.0] * 3), "<x2> = 1.2: it lies between -1 and 1"),
        (pairs_of_three([0.5] * 3, [0.9, 0.1, 0.1], spaces.BINARY), "negative mean"),
        (
            Hamiltonian({"bond": Stencil(20.0, [[[0], [1]]])}, space=spaces.SPIN, shape=(6,)),
            "<x0 x1> = 3.3",
        ),
    ],
)
def test_moments_that_no_distribution_has(moments, message):
    with pytest.raises(SettingError, match=message):
        learning.maximum_entropy(moments)


def test_moments_of_random_distributions_pass():
    """Of 2^4 random weights: whatever is a moment of something is not refused."""
    states = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    family = learning.polynomial((4,), degree=3)
    for seed in range(20):
        p = np.random.default_rng(seed).exponential(size=16) ** 3
        mean = lambda h, p=p: jnp.sum(jnp.asarray(p / p.sum()) * jax.vmap(h)(jnp.asarray(states)))
        require_possible(jax.grad(mean)(family))


def test_score_matching_of_quadratic_families_is_the_inverse_covariance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=4)
    found = learning.score_matching(x)
    assert status(found) == "OK"
    precision = np.linalg.inv(np.cov(x.T, ddof=0))
    expected = [
        0.5 * precision[i, i] if i == j else precision[i, j]
        for i, j in found.hamiltonian.terms["degree 2"].table.array.tolist()
    ]
    np.testing.assert_allclose(
        found.hamiltonian.terms["degree 2"].coefficient, expected, rtol=1e-7, atol=1e-8
    )
    np.testing.assert_allclose(
        found.hamiltonian.terms["degree 1"].coefficient,
        -precision @ x.mean(0),
        rtol=1e-7,
        atol=1e-7,
    )


def test_score_matching_finds_a_quartic_within_its_errors():
    """Draws from exp(-H) of one variable by inverting its distribution function."""
    grid = np.linspace(-5, 5, 20001)
    truth = np.array([0.3, -0.8, 0.1, 0.3])
    density = np.exp(-sum(c * grid**d for d, c in enumerate(truth, 1)))
    below = np.cumsum(density) / np.sum(density)
    z = []
    for seed in range(40):
        u = np.random.default_rng(seed).uniform(size=(2000, 1))
        found = learning.score_matching(np.interp(u, below, grid), degree=4)
        z.append((flat(found.hamiltonian) - truth) / flat(found.stderr))
    z = np.array(z)
    assert np.all(np.abs(z.mean(0)) < 4 / np.sqrt(len(z)))
    independent = len(z)  # the four coefficients are strongly correlated
    assert abs(np.mean(z**2) - 1) < 4 * np.sqrt(2 / independent)


def test_score_matching_refuses_spins():
    with pytest.raises(PhysdlError, match="real variables"):
        learning.score_matching([[1.0, -1.0], [-1.0, 1.0]], learning.polynomial((2,)))


def test_samples_may_be_flat_and_states_numbered():
    h = models.potts(lattices.square(2, 3), 3, 0.4)
    x = drawn(h, 500)
    numbers = np.argmax(x, axis=-1)
    expected = flat(learning.pseudolikelihood(x, h).hamiltonian)
    for samples in (numbers, numbers.reshape(500, -1), x.reshape(500, 6, 3)):
        found = learning.pseudolikelihood(samples, h)
        np.testing.assert_array_equal(flat(found.hamiltonian), expected)
    every = learning.pseudolikelihood(numbers.reshape(500, -1), space=spaces.potts(3), l2=0.01)
    assert every.hamiltonian.shape == (6,)
    three = numbers.reshape(-1, 3)  # as many sites as components
    assert learning.pseudolikelihood(three, space=spaces.potts(3)).hamiltonian.shape == (3,)
    with pytest.raises(PhysdlError, match="numbered 0 to 2"):
        learning.pseudolikelihood(numbers + 1, h)


def test_what_data_leave_free_is_said():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(500, 3))
    x[:, 2] = x[:, 1]
    assert status(learning.pseudolikelihood(x)) != "OK"
    assert status(learning.pseudolikelihood(x, l2=0.1)) == "OK"


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (np.ones((5, 3)), {}, "one value in all samples"),
        (np.array([[1.0, np.nan]]), {}, "not finite"),
        (np.array([[0.5, 1.0]]), {}, "give space"),
        (np.array([[3.0, 1.0]]), {"space": spaces.SPIN}, "none of the values"),
        (np.zeros((0, 3)), {}, "n_samples"),
        (np.ones(3), {}, "n_samples"),
        (np.ones((4, 3)), {"family": learning.polynomial((4,))}, "no configurations"),
        (np.ones((4, 3)), {"l1": -1.0}, "not negative"),
        (np.ones((4, 3)), {"degree": 0}, "at least 1"),
    ],
)
def test_refuses(samples, options, message):
    with pytest.raises(PhysdlError, match=message):
        learning.pseudolikelihood(samples, **options)


def test_families():
    assert learning.polynomial((6,), degree=3).n_parameters == 6 + 15 + 20
    assert learning.polynomial((4,), spaces.potts(3)).n_parameters == 4 * 2 + 6 * 4
    assert learning.polynomial((3,), spaces.LINE, degree=4).n_parameters == 34
    assert learning.polynomial((3,), spaces.spin(1), degree=4).n_parameters == 6 + 12 + 4
    near = learning.polynomial((4, 4), lattice=TORUS, reach=2)
    assert near.n_parameters == 16 + 16 * 10 // 2
    with pytest.raises(PhysdlError, match="sphere"):
        learning.polynomial((3,), spaces.sphere(3))
    with pytest.raises(PhysdlError, match="does not fit"):
        learning.polynomial((5,), lattice=TORUS)
    with pytest.raises(PhysdlError, match="monomials"):
        learning.polynomial((3000,))
