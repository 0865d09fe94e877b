"""Multistate reweighting against closed forms, pymbar, finite differences and its symmetries."""

import os
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtri

from physdl.errors import SettingError, ShapeError
from physdl.estimators.multistate import bar, mbar, mbar_of_energies, wham

PLACES, STIFFNESS = np.arange(5.0), 2.0 ** np.arange(5)
N_DRAWS = np.array([50, 40, 0, 30, 20])

# What pymbar 4.0.3 says of the energies below (solver_protocol="robust", relative_tolerance=1e-14)
LOG_Z = [0, -0.346175291623699, -0.679884197770278, -1.03693998192994, -1.382650896077726]
STDERR = [0, 0.127253463209718, 0.301572333940714, 0.671422180551983, 0.980991628881193]
OVERLAP = [0.3978406793647732, 0.564142154331486, 0, 0.03784832844866319, 0.0001688378550777934]

PYMBAR = """
import sys, numpy as np, pymbar
data = np.load(sys.argv[1])
found = pymbar.MBAR(data["u"], data["n"], solver_protocol="robust", relative_tolerance=1e-14)
result = found.compute_free_energy_differences()
overlap = found.compute_overlap()["matrix"]
np.savez(sys.argv[2], log_z=-result["Delta_f"][0], stderr=result["dDelta_f"], overlap=overlap)
"""


def oscillators():
    """Quantiles of five normal distributions as samples, and their energies in all five states."""
    x = [
        o + ndtri((np.arange(n) + 0.5) / n) / np.sqrt(k)
        for o, k, n in zip(PLACES, STIFFNESS, N_DRAWS, strict=True)
    ]
    x = np.concatenate(x)
    return x, 0.5 * STIFFNESS[:, None] * (x - PLACES[:, None]) ** 2


def chain(n_states, n_draws, spacing, seed=0, shift=0.0):
    """Unit normal distributions in a row with arbitrary constants: exact log Z are these."""
    rng = np.random.default_rng(seed)
    centre = spacing * np.arange(n_states)
    constant = shift * rng.normal(size=n_states)
    x = (centre[:, None] + rng.normal(size=(n_states, n_draws))).reshape(-1)
    u = 0.5 * (x - centre[:, None]) ** 2 + constant[:, None]
    return u, constant[0] - constant


@pytest.mark.slow
def test_as_pymbar():
    found = mbar_of_energies(oscillators()[1], N_DRAWS)
    np.testing.assert_allclose(found.log_z, LOG_Z, atol=1e-12)
    np.testing.assert_allclose(found.stderr[0], STDERR, atol=1e-12)
    np.testing.assert_allclose(found.overlap[1], OVERLAP, atol=1e-12)
    np.testing.assert_allclose(jnp.sum(found.overlap, axis=1), 1, atol=1e-12)
    assert found.converged


@pytest.mark.slow
@pytest.mark.parametrize("case", ["uneven", "weak overlap", "large constants"])
def test_as_pymbar_run_now(case, tmp_path):
    python = os.environ.get("PHYSDL_PYMBAR")
    if python is None:
        pytest.skip("PHYSDL_PYMBAR names no Python that has pymbar")
    u, n = oscillators()[1], N_DRAWS
    if case != "uneven":
        u = chain(8, 60, 3.0)[0] if case == "weak overlap" else chain(8, 60, 1.0, shift=1e3)[0]
        n = np.full(8, 60)
    np.savez(tmp_path / "in.npz", u=u, n=n)
    arguments = [python, "-c", PYMBAR, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run(arguments, check=True, capture_output=True)
    peer, found = np.load(tmp_path / "out.npz"), mbar_of_energies(u, n)
    np.testing.assert_allclose(found.log_z, peer["log_z"], atol=1e-8, rtol=1e-10)
    np.testing.assert_allclose(found.stderr, peer["stderr"], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.overlap, peer["overlap"], atol=1e-8)


def test_harmonic_oscillators():
    rng = np.random.default_rng(1)
    n = np.array([2000, 1500, 1000, 1500, 2000])
    x = np.concatenate(
        [rng.normal(o, k**-0.5, m) for o, k, m in zip(PLACES, STIFFNESS, n, strict=True)]
    )
    found = mbar_of_energies(0.5 * STIFFNESS[:, None] * (x - PLACES[:, None]) ** 2, n)
    error = np.asarray(found.log_z) + 0.5 * np.log(STIFFNESS)
    assert np.all(np.abs(error[1:]) < 4 * np.asarray(found.stderr)[0, 1:])
    for k, (o, stiff) in enumerate(zip(PLACES, STIFFNESS, strict=True)):
        weights = np.exp(np.asarray(found.log_weights(np.eye(5)[k])))
        assert abs(weights @ x - o) < 0.1
        assert abs(weights @ x**2 - o**2 - 1 / stiff) < 0.25


def test_quadratic_features_are_the_same_energies():
    x, u = oscillators()
    features = np.stack([x**2, x, np.ones_like(x)], axis=1)
    parameters = np.stack([STIFFNESS / 2, -STIFFNESS * PLACES, STIFFNESS * PLACES**2 / 2], axis=1)
    direct, linear = mbar_of_energies(u, N_DRAWS), mbar(parameters, features, N_DRAWS)
    np.testing.assert_allclose(linear.log_z, direct.log_z, atol=1e-12)
    np.testing.assert_allclose(linear.stderr, direct.stderr, atol=1e-12)
    target = linear.log_z_of(parameters[2])
    np.testing.assert_allclose(target, linear.log_z[2], atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 100, 1000])
def test_chunks_order_and_counts_do_not_matter(chunk):
    _, u = oscillators()
    order = np.random.default_rng(0).permutation(u.shape[1])
    counts = np.ones(u.shape[1])
    whole = mbar_of_energies(u, N_DRAWS)
    pieces = mbar_of_energies(u[:, order], N_DRAWS, chunk=chunk)
    doubled = mbar_of_energies(u, 2 * N_DRAWS, counts=2 * counts)
    np.testing.assert_allclose(pieces.log_z, whole.log_z, atol=1e-11)
    np.testing.assert_allclose(pieces.covariance, whole.covariance, atol=1e-11)
    np.testing.assert_allclose(doubled.log_z, whole.log_z, atol=1e-11)
    np.testing.assert_allclose(doubled.stderr, whole.stderr / np.sqrt(2), atol=1e-11)


@pytest.mark.parametrize(
    "n_states, n_draws, spacing, shift",
    [(20, 100, 1.5, 1e3), (20, 100, 4.0, 0.0), (12, 60, 5.0, 1e4), (2, 50, 1.0, 1e5)],
)
def test_far_states(n_states, n_draws, spacing, shift):
    u, exact = chain(n_states, n_draws, spacing, shift=shift)
    found = mbar_of_energies(u, [n_draws] * n_states)
    assert found.converged
    assert np.all(np.abs(found.log_z - exact)[1:] < 4.5 * np.asarray(found.stderr)[0, 1:])


def test_without_overlap_the_error_is_infinite():
    rng = np.random.default_rng(2)
    centre = np.array([0.0, 0.5, 1000.0, 1000.5])
    x = (centre[:, None] + rng.normal(size=(4, 50))).reshape(-1)
    found = mbar_of_energies(0.5 * (x - centre[:, None]) ** 2, [50] * 4)
    tied = np.kron(np.eye(2), np.ones((2, 2))).astype(bool)
    assert np.array_equal(np.isfinite(found.stderr), tied)
    assert abs(found.log_z[1]) < 4 * found.stderr[0, 1]
    assert np.all(np.isfinite(found.log_z))


def test_forbidden_samples():
    """A box, its left half and its left quarter: counting is all there is."""
    x = (np.arange(40) + 0.5) / 40
    u = np.stack([np.zeros(40), np.where(x < 0.5, 0, np.inf), np.where(x < 0.25, 0, np.inf)])
    found = mbar_of_energies(u, [40, 0, 0])
    np.testing.assert_allclose(jnp.exp(found.log_z), [1, 0.5, 0.25], atol=1e-12)
    np.testing.assert_allclose(found.stderr[0, 1], np.sqrt((1 / 0.5 - 1) / 40), rtol=1e-10)
    weights = jnp.exp(found.log_weights(np.eye(3)[2]))
    np.testing.assert_allclose(weights, np.where(x < 0.25, 0.1, 0), atol=1e-12)


def test_broken_energies_are_not_converged():
    _, u = oscillators()
    u[0, 0] = np.nan
    assert not mbar_of_energies(u, N_DRAWS).converged


@pytest.mark.parametrize("state", [1, 2, 4])
def test_influence_gives_the_error_of_independent_samples(state):
    rng = np.random.default_rng(3)
    n = np.array([4000, 3000, 0, 3000, 3000])
    stiff = np.array([1.0, 1.5, 2.0, 2.5, 3.0])
    x = np.concatenate([rng.normal(size=m) * k**-0.5 for k, m in zip(stiff, n, strict=True)])
    found = mbar(stiff[:, None] / 2, x[:, None] ** 2, n)
    phi = np.split(np.asarray(found.influence(state, 0)), np.cumsum(n)[:-1])
    variance = sum(len(own) * np.var(own) for own in phi if len(own))
    np.testing.assert_allclose(np.sqrt(variance), found.stderr[state, 0], rtol=0.03)


def test_influence_is_the_effect_of_a_sample():
    x, _ = oscillators()
    parameters, features = STIFFNESS[:, None] / 2, x[:, None] ** 2
    counts, step = np.ones(len(x)), 1e-5
    found = mbar(parameters, features, N_DRAWS, counts=counts)
    for n in (3, 100):
        more = counts.copy()
        more[n] += step
        log_z = jax.jit(lambda c: mbar(parameters, features, N_DRAWS, counts=c).log_z)
        # the shares of the draws are kept: what moves is the sample alone
        moved = (log_z(more) - log_z(counts))[jnp.array([2, 4])] / step
        own = np.array([found.influence(2, 0)[n], found.influence(4, 0)[n]])
        np.testing.assert_allclose(moved, own, rtol=1e-3, atol=1e-6)


def test_two_states_are_bennett():
    rng = np.random.default_rng(4)
    forward, reverse = rng.normal(1.5, 1, 300), rng.normal(-0.5, 1, 200)
    found = bar(forward, reverse)
    shift = np.log(300 / 200)
    f = -float(found.log_z[1])
    left = np.sum(1 / (1 + np.exp(shift + forward - f)))
    right = np.sum(1 / (1 + np.exp(-shift + reverse + f)))
    assert abs(left - right) < 1e-9
    # Bennett's variance, from the same Fermi functions
    total = np.concatenate([forward, -reverse]) + shift - f
    fermi = np.sum(1 / (2 + 2 * np.cosh(total)))
    variance = 1 / fermi - 1 / 300 - 1 / 200
    np.testing.assert_allclose(found.stderr[0, 1], np.sqrt(variance), rtol=1e-10)


@pytest.mark.slow
def test_errors_are_calibrated():
    def z(key):
        forward, reverse = jax.random.normal(key, (2, 400))
        found = bar(1.0 + forward, reverse)
        return (found.log_z[1] + 0.5) / found.stderr[0, 1]

    scores = jax.jit(jax.vmap(z))(jax.random.split(jax.random.key(5), 400))
    assert abs(jnp.mean(scores)) < 0.2 and 0.88 < jnp.std(scores) < 1.12


def test_histograms_are_their_samples():
    rng = np.random.default_rng(6)
    levels, betas = np.arange(6.0), np.array([0.0, 0.5, 1.0])
    p = np.exp(-betas[:, None] * levels)
    drawn = np.stack([rng.choice(6, 500, p=own / own.sum()) for own in p])
    histogram = np.stack([np.bincount(own, minlength=6) for own in drawn])
    whole = mbar(betas[:, None], levels[drawn.reshape(-1)][:, None], [500] * 3)
    binned = wham(levels, betas, histogram)
    np.testing.assert_allclose(binned.log_z, whole.log_z, atol=1e-12)
    np.testing.assert_allclose(binned.stderr, whole.stderr, atol=1e-12)
    density = np.exp(np.asarray(binned.log_weights(np.zeros(1))))
    np.testing.assert_allclose(density, 1 / 6, rtol=0.3)


SMALL = np.array([[0.5, 0.0], [1.0, -0.5], [2.0, 0.3]])


def difference(parameters, features):
    return mbar(parameters, features, np.array([20, 0, 20])).log_z[1]


@pytest.mark.slow
def test_derivatives_to_second_order():
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(size=20), 0.5 * rng.normal(size=20)])
    at = (jnp.asarray(SMALL), jnp.asarray(np.stack([x**2, x], axis=1)))
    along = tuple(jnp.asarray(rng.normal(size=a.shape)) for a in at)
    step = 1e-4
    moved = lambda s: tuple(a + s * d for a, d in zip(at, along, strict=True))
    value = jax.jit(lambda s: difference(*moved(s)))
    slope = jax.jit(jax.grad(lambda s: difference(*moved(s))))
    curvature = jax.jit(jax.grad(jax.grad(lambda s: difference(*moved(s)))))
    forward = jax.jit(jax.jacfwd(jax.grad(lambda s: difference(*moved(s)))))
    numeric = (value(step) - value(-step)) / (2 * step)
    np.testing.assert_allclose(slope(0.0), numeric, rtol=1e-6)
    numeric = (slope(step) - slope(-step)) / (2 * step)
    np.testing.assert_allclose(curvature(0.0), numeric, rtol=1e-6)
    np.testing.assert_allclose(forward(0.0), numeric, rtol=1e-6)


def test_single_precision():
    u, _ = chain(20, 300, 1.5)
    double = mbar_of_energies(u, [300] * 20)
    single = mbar_of_energies(u.astype(np.float32), [300] * 20)
    assert single.log_z.dtype == jnp.float32 and single.converged
    np.testing.assert_allclose(np.asarray(single.log_z, float), double.log_z, atol=1e-4)
    np.testing.assert_allclose(np.asarray(single.stderr, float), double.stderr, rtol=1e-3)


def test_batches():
    u = np.stack([chain(4, 50, 1.0, seed)[0] for seed in range(3)])
    batch = jax.jit(jax.vmap(lambda u: mbar_of_energies(u, np.full(4, 50))))(u)
    for own, log_z, stderr in zip(u, batch.log_z, batch.stderr, strict=True):
        alone = mbar_of_energies(own, np.full(4, 50))
        np.testing.assert_allclose(log_z, alone.log_z, atol=1e-10)
        np.testing.assert_allclose(stderr, alone.stderr, atol=1e-10)


@pytest.mark.slow
def test_memory_does_not_hold_all_energies():
    """Value and gradient need less than a quarter of the K x N matrix."""
    k, n = 64, 40_000
    rows, features = jax.ShapeDtypeStruct((k, 2), float), jax.ShapeDtypeStruct((n, 2), float)
    total = lambda rows, features: jnp.sum(
        mbar(rows, features, np.full(k, n // k), chunk=512).log_z
    )
    compiled = jax.jit(jax.value_and_grad(total)).lower(rows, features).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < k * n * 8 / 4


def test_refusals():
    rows, data = np.zeros((2, 1)), np.zeros((6, 1))
    with pytest.raises(ShapeError, match=r"\[K, p\]"):
        mbar(rows, np.zeros((6, 2)), [3, 3])
    with pytest.raises(ShapeError, match="n_draws and counts"):
        mbar(rows, data, [3, 2, 1])
    with pytest.raises(SettingError, match="adds up to 5"):
        mbar(rows, data, [3, 2])
    with pytest.raises(SettingError, match="chunk=0"):
        mbar(rows, data, [3, 3], chunk=0)
    with pytest.raises(ShapeError, match=r"\[K, N\]"):
        mbar_of_energies(np.zeros(3), [3])
    with pytest.raises(ShapeError, match="list of numbers"):
        bar(np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(ShapeError, match="histogram"):
        wham(np.zeros(3), np.zeros(2), np.zeros((3, 2)))
