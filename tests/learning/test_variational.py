import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import optimize, stats

from physdl import lattices, models, rg, sampling
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.learning import variational_mcrg
from physdl.learning._biased import Biased, Joint, classes_of
from physdl.spaces import SPIN, spin

KEY = jax.random.key(0)
CRITICAL = float(np.log(1 + np.sqrt(2)) / 2)


def every_state(n):
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


def majorities(x, b):
    """All block spins of all configurations and their probabilities, [2^n, 2^(n / b)]."""
    total = x.reshape(len(x), -1, b).sum(axis=2)
    mu = every_state(total.shape[1])
    agree = np.where(total[:, None] == 0, 0.5, total[:, None] * mu[None] > 0)
    return mu, agree.prod(axis=2)


def ring(x, *offsets):
    """sum_i x_i x_(i + o) ... of all configurations."""
    return np.prod([np.roll(x, -o, axis=1) for o in offsets], axis=0).sum(axis=1)


def even_operators(x):
    return np.stack([ring(x, 0, 1), ring(x, 0, 2), ring(x, 0, 1, 2, 3)], axis=1)


def close(found, exact):
    """Within four standard errors, which are small."""
    value, error = np.asarray(found.value), np.asarray(found.stderr)
    assert np.all(np.abs(value - exact) < 4 * error), (value, error, exact)
    assert np.all(error < 0.01), error


def test_all_couplings_of_a_chain_after_majority():
    """Blocks of three of 12 spins: log p(x') by enumeration is a sum of three operators."""
    x = every_state(12)
    mu, p = majorities(x, 3)
    design = np.concatenate([even_operators(mu), np.ones((16, 1))], axis=1)

    def exact(k):
        log_p = np.log(np.exp(even_operators(x) @ k) @ p)
        solved, *_ = np.linalg.lstsq(design, log_p, rcond=None)
        np.testing.assert_allclose(design @ solved, log_p, atol=1e-10)
        return solved[:3]

    k = np.array([0.5, 0.15, 0.05])
    steps = 1e-5 * np.eye(3)
    jacobian = np.stack([(exact(k + s) - exact(k - s)) / 2e-5 for s in steps], axis=1)
    basis = rg.operator_basis(lattices.chain(12), 4, {2: 2, 4: 3})
    found = variational_mcrg(
        basis.hamiltonian(k, (12,)), rg.Majority(3), basis, key=KEY, n_sweeps=4000
    )
    assert int(found.couplings.status) == rg.RGStatus.OK
    close(found.couplings, exact(k))
    value, error = found.jacobian.value, found.jacobian.stderr
    assert np.all(np.abs(value - jacobian) < 4 * error), (value, error, jacobian)
    y = np.log(np.abs(np.linalg.eigvals(jacobian)).max()) / np.log(3)
    leading = found.y()
    assert abs(leading.value - y) < 4 * leading.stderr
    assert np.all(np.abs(found.correlations) < 0.1)


@pytest.mark.slow
def test_ties_and_few_operators():
    """Blocks of two of 10 spins in a field: the minimum of Omega within two operators."""
    lattice = lattices.chain(10)
    x = every_state(10)
    mu, p = majorities(x, 2)
    log_p = np.log(np.exp(0.7 * ring(x, 0, 1) + 0.1 * ring(x, 0)) @ p)
    s = np.stack([ring(mu, 0), ring(mu, 0, 1)], axis=1)

    def correlations(j):
        w = np.exp(log_p - s @ j)
        return w @ s / w.sum()

    exact = optimize.root(correlations, np.zeros(2), tol=1e-12).x
    odd = rg.operator_basis(lattice, 1, parity="odd")
    basis = rg.OperatorBasis((*odd, *rg.operator_basis(lattice, 2, 1)))
    h = models.ising(lattice, 0.7, 0.1)
    run = functools.partial(variational_mcrg, h, rg.Majority(2), basis, key=KEY)
    found = run(n_sweeps=2000)
    close(found.couplings, exact)
    assert int(found.couplings.status) == rg.RGStatus.OK
    assert found == run(n_sweeps=2000)
    assert int(run(n_updates=2, n_sweeps=2000).couplings.status) == rg.RGStatus.UNCONVERGED


def test_decimation_of_a_chain():
    """tanh K' = (tanh K)^3, and its derivative."""
    k, lattice = 0.9, lattices.chain(12)
    found = variational_mcrg(
        models.ising(lattice, k),
        rg.BlockDecimation(3, site=1),
        rg.operator_basis(lattice, 2, 1),
        key=KEY,
        n_sweeps=2000,
        optimiser=optax.sgd(0.1, momentum=0.5),
    )
    t = np.tanh(k)
    close(found.couplings, [np.arctanh(t**3)])
    close(found.jacobian, [[3 * t**2 * (1 - t**2) / (1 - t**6)]])


def exact_couplings_of_the_square(coupling):
    """Blocks of 2 x 2 of 4 x 4 spins, whose four block spins have three even operators."""
    x = every_state(16).reshape(-1, 4, 4)
    pairs = x * np.roll(x, 1, axis=1) + x * np.roll(x, 1, axis=2)
    cut = x.reshape(-1, 2, 2, 2, 2).swapaxes(2, 3).reshape(-1, 16)
    mu, p = majorities(cut, 4)
    a, b, c, d = mu.T
    ones = np.ones(16)
    design = np.stack(
        [2 * (a * b + c * d + a * c + b * d), 4 * (a * d + b * c), 4 * a * b * c * d, ones], axis=1
    )
    log_p = np.log(np.exp(coupling * pairs.sum(axis=(1, 2))) @ p)
    exact, *_ = np.linalg.lstsq(design, log_p, rcond=None)
    np.testing.assert_allclose(design @ exact, log_p, atol=1e-10)
    return exact[:3]


def test_square_lattice_with_ties():
    lattice, coupling = lattices.square(4, 4), 0.3
    basis = rg.operator_basis(lattice, 4, 1.5)
    found = variational_mcrg(models.ising(lattice, coupling), rg.Majority(2), basis, key=KEY)
    close(found.couplings, exact_couplings_of_the_square(coupling))


def small_square(coupling):
    """T of ``rg.mcrg`` [n, n] and K'(K) of Omega, within the first n operators of 4 x 4 spins."""
    x = every_state(16)
    cut = x.reshape(-1, 2, 2, 2, 2).swapaxes(2, 3).reshape(-1, 16)
    mu, p = majorities(cut, 4)
    basis = rg.operator_basis(lattices.square(4, 4), 4, 1.5)
    s, s_mu = (
        np.asarray(jax.vmap(basis)(jnp.asarray(y)))
        for y in (x.reshape(-1, 4, 4), mu.reshape(-1, 2, 2))
    )
    joint = np.exp(coupling * s[:, 0])[:, None] * p
    joint /= joint.sum()
    weight = joint.sum(axis=0)
    centred = s_mu - weight @ s_mu

    def swendsen(n):
        a, b = centred.T @ joint.T @ s, (centred * weight[:, None]).T @ centred
        return np.linalg.solve(b[:n, :n], a[:n, :n])

    def minimiser(n, k):
        log_p = np.log(np.exp(s @ k) @ p)

        def correlations(j):
            w = np.exp(log_p - s_mu[:, :n] @ j)
            return w @ s_mu[:, :n] / w.sum()

        return optimize.root(correlations, np.zeros(n), tol=1e-13).x

    def wu_car(n):
        k, steps = np.array([coupling, 0, 0]), 1e-5 * np.eye(3)[:n]
        moved = [(minimiser(n, k + e) - minimiser(n, k - e)) / 2e-5 for e in steps]
        return np.stack(moved, axis=1)

    return swendsen, wu_car


def exponent(matrix, b=2):
    return np.log(np.abs(np.linalg.eigvals(matrix)).max()) / np.log(b)


def test_few_operators_are_a_block_of_the_complete_matrix():
    """And not the T of mcrg, which is another matrix until operators suffice."""
    swendsen, wu_car = small_square(CRITICAL)
    complete = swendsen(3)
    np.testing.assert_allclose(wu_car(3), complete, atol=1e-8)
    for n in (1, 2):
        np.testing.assert_allclose(wu_car(n), complete[:n, :n], atol=1e-8)
    y = [(exponent(swendsen(n)), exponent(wu_car(n))) for n in (1, 2, 3)]
    np.testing.assert_allclose(
        y, [(0.86987, 0.41202), (0.98268, 0.99451), (0.98542, 0.98542)], atol=1e-5
    )
    lattice = lattices.square(4, 4)
    for n in (1, 2):
        found = variational_mcrg(
            models.ising(lattice, CRITICAL),
            rg.Majority(2),
            rg.operator_basis(lattice, 4, 1.5).take(n),
            key=KEY,
            n_sweeps=4000,
        )
        assert abs(found.y().value - y[n - 1][1]) < 4 * found.y().stderr
        apart = np.abs(np.asarray(found.jacobian.value) - swendsen(n)) / found.jacobian.stderr
        assert np.max(apart) > 10


@pytest.mark.slow
def test_errors_are_those_of_many_minimisations():
    """z of K' and dK'/dK of 32 keys against enumeration: Student's t of 8 runs each."""
    swendsen, _ = small_square(CRITICAL)
    lattice = lattices.square(4, 4)
    h, basis = models.ising(lattice, CRITICAL), rg.operator_basis(lattice, 4, 1.5)
    keys = jax.random.split(KEY, 32)
    found = [variational_mcrg(h, rg.Majority(2), basis, key=k, n_sweeps=2000) for k in keys]
    matrix = np.array([(f.jacobian.value - swendsen(3)) / f.jacobian.stderr for f in found])
    exact = exact_couplings_of_the_square(CRITICAL)
    k = np.array([(f.couplings.value - exact) / f.couplings.stderr for f in found])
    z = np.concatenate([k, matrix.reshape(len(found), -1)], axis=1)
    t = stats.t(7)
    assert np.all(np.abs(z.mean(axis=0)) < 4 * t.std() / np.sqrt(len(z)))
    assert min(stats.kstest(column, t.cdf).pvalue for column in z.T) > 1e-3


@pytest.mark.slow
def test_square_lattice_against_pseudolikelihood_and_mcrg():
    lattice = lattices.square(15, 15)
    h = models.ising(lattice, 0.35)
    basis = rg.operator_basis(lattice, 4, {2: 2, 4: 1.5})
    blocks = rg.Majority(3)
    found = variational_mcrg(h, blocks, basis, key=KEY, n_sweeps=10_000)
    kernel = sampling.SwendsenWang()
    run = sampling.run(kernel, h, key=KEY, n_chains=32, n_sweeps=4000, n_kept=2000)
    fit = rg.pseudolikelihood(rg.blocked(run.ensemble, blocks, key=KEY), basis, n_blocks=64)
    error = np.hypot(found.couplings.stderr, fit.stderr)
    assert np.all(np.abs(found.couplings.value - fit.value) < 4 * error)
    assert np.all(error < 0.003)
    y = rg.mcrg(run.ensemble, blocks, even=basis, n_steps=1, key=KEY).even.y(1)
    assert abs(found.y().value - y.value) < 4 * np.hypot(found.y().stderr, y.stderr)


def test_sweep_leaves_the_joint_distribution():
    """Sites two blocks apart are coupled, bonds are disordered, ties are drawn."""
    n, b = 8, 2
    bonds = np.random.default_rng(0).normal(size=(2, n)) * 0.6
    terms = {"bonds": Stencil(bonds, [[[0], [1]], [[0], [4]]]), "site": Stencil(0.2, [[[0]]])}
    h = Hamiltonian(terms, space=SPIN, shape=(n,))
    basis = rg.operator_basis(lattices.chain(n), 2, 1)
    x = every_state(n)
    mu, p = majorities(x, b)
    energy = (bonds[0] * x * np.roll(x, -1, axis=1) + bonds[1] * x * np.roll(x, -4, axis=1)).sum(1)
    log_w = -(energy + 0.2 * x.sum(axis=1))[:, None] - 0.5 * ring(mu, 0, 1)[None]
    exact = np.exp(log_w) * p
    exact /= exact.sum()
    n_draws = 60_000
    drawn = np.random.default_rng(1).choice(exact.size, size=n_draws, p=exact.reshape(-1))
    at = np.unravel_index(drawn, exact.shape)
    sampler = Biased(h, rg.Majority(b), basis, classes_of(h, basis, b, (n // b,)))
    sweep = jax.jit(jax.vmap(sampler.sweep, (0, None, 0)))
    start = Joint(jnp.asarray(x[at[0]]), jnp.asarray(mu[at[1]]))
    after = sweep(start, jnp.array([0.5]), jax.random.split(KEY, n_draws))
    assert 0.05 < float(jnp.mean(after.x != start.x)) < 0.95
    label = lambda y: ((np.asarray(y) > 0) @ 2 ** np.arange(y.shape[1])[::-1]).astype(int)
    counts = np.zeros(exact.shape)
    np.add.at(counts, (label(after.x), label(after.coarse)), 1)
    assert np.all(counts[exact == 0] == 0)
    often = exact * n_draws > 5
    observed = np.append(counts[often], counts[~often].sum())
    expected = np.append(exact[often], exact[~often].sum()) * n_draws
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_refusals():
    lattice = lattices.chain(12)
    h, basis = models.ising(lattice, 0.3), rg.operator_basis(lattice, 2, 1)
    run = functools.partial(variational_mcrg, key=KEY)
    with pytest.raises(StructureError, match="own b x"):
        run(h, rg.LinearFilter(jnp.ones(4), scale=2), basis)
    with pytest.raises(StructureError, match="own b x"):
        run(models.ising(lattices.triangular(6, 6), 0.1), rg.Majority(rg.Triangles()), basis)
    with pytest.raises(StructureError, match="Stencil"):
        run(models.ising(lattices.chain(12, periodic=False), 0.3), rg.Majority(3), basis)
    with pytest.raises(SpaceError, match="spin"):
        run(basis.hamiltonian([0.3], (12,), space=spin(1)), rg.Majority(3), basis)
    with pytest.raises(SettingError, match="operators"):
        run(h, rg.Majority(3), rg.OperatorBasis(()))
    with pytest.raises(SettingError, match="n_runs"):
        run(h, rg.Majority(3), basis, n_runs=1)
    with pytest.raises(SettingError, match="optax"):
        run(h, rg.Majority(3), basis, optimiser=0.1)
    with pytest.raises(ShapeError, match="are the same"):
        run(h, rg.Majority(4), rg.operator_basis(lattice, 2, 2))
    with pytest.raises(ShapeError, match="divides"):
        run(h, rg.Majority(5), basis)
