"""log Z of Ising models over coupling and field, learned from transfer matrices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from physdl import estimators, lattices, models, reference
from physdl.errors import SettingError, ShapeError
from physdl.estimators import CouplingBox, LearnedEstimator, Status
from physdl.estimators._base import exact
from physdl.learning import Evaluations, TrainingStatus, amortise, evaluate
from physdl.pytree import module

RING = lattices.chain(12)


@module
class ClosedForm:
    """log Z of the ring from its two eigenvalues, read off the coefficients."""

    def __call__(self, h, *, key=None):
        k, b = -h.terms["bond"].coefficient, -h.terms["site"].coefficient
        root = jnp.sqrt(jnp.sinh(b) ** 2 + jnp.exp(-4 * k))
        first, second = (jnp.exp(k) * (jnp.cosh(b) + sign * root) for sign in (1.0, -1.0))
        log_z = 12 * jnp.log(first) + jnp.log1p((second / first) ** 12)
        return exact(log_z, h, "two eigenvalues")


def torus_box(side):
    lattice = lattices.square(side, side)
    return CouplingBox(lambda k: models.ising(lattice, k[0], k[1]), [0.0, -0.5], [0.6, 0.5])


@functools.cache
def torus_answers(side, n):
    return evaluate(estimators.TransferMatrix(), torus_box(side), n, key=jax.random.key(0))


def part(answers, at):
    names = ("z", "log_z", "gradients", "stderr", "status")
    return dataclasses.replace(answers, **{n: getattr(answers, n)[at] for n in names})


@functools.cache
def learned(side, n, n_steps):
    """From the first half of the points, of which again the last half is held out."""
    return amortise(
        part(torus_answers(side, n), slice(n // 2)),
        n_held_out=n // 4,
        n_steps=n_steps,
        odd=(1,),
        key=jax.random.key(1),
    )


def test_answers_are_those_of_the_estimator():
    found = torus_answers(4, 2400)
    h = found.box(found.z[7])
    value, slope = jax.value_and_grad(lambda h: estimators.TransferMatrix()(h).log_z)(h)
    assert float(found.log_z[7]) == pytest.approx(float(value), rel=1e-12)
    moments = jnp.array([-slope.terms["bond"].coefficient, -slope.terms["site"].coefficient])
    np.testing.assert_allclose(found.gradients[7], moments * jnp.array([0.3, 0.5]), rtol=1e-9)
    assert np.all(found.stderr == 0) and np.all(found.status == Status.OK)


@pytest.mark.parametrize(
    ("side", "n", "n_steps"),
    [(4, 2400, 5000), pytest.param(8, 6000, 20_000, marks=pytest.mark.slow)],
)
def test_log_z_and_energy_on_fresh_points(side, n, n_steps):
    """The goals: log Z to 1e-4 and the energy to 1e-3 a site, an interval that holds 95 %."""
    found, fresh = learned(side, n, n_steps), part(torus_answers(side, n), slice(n // 2, None))
    assert int(found.status) == TrainingStatus.OK and int(found.n_failed) == 0
    estimator, box = found.estimator, fresh.box
    of = jax.jit(jax.vmap(jax.value_and_grad(lambda z: estimator(box(z)).log_z)))
    value, slope = of(fresh.z)
    off = np.abs(np.asarray(value - fresh.log_z))
    energy = np.abs(np.asarray(slope - fresh.gradients))[:, 0] / 0.3
    assert off.mean() / side**2 < 2e-5 and off.max() / side**2 < 1e-3
    assert energy.mean() / side**2 < 1e-3
    error = np.sqrt(0.95 * 0.05 * (4 / n + 2 / n))  # n / 4 calibrate, n / 2 are fresh
    assert abs(np.mean(off <= float(estimator.half_width)) - 0.95) < 3 * error
    rms = np.sqrt(np.mean(off**2))
    assert float(found.value_error) == pytest.approx(rms, rel=0.3)


@pytest.mark.slow
def test_kaufman_agrees():
    """Another exact method, without a field."""
    estimator = learned(4, 2400, 5000).estimator
    for k in np.linspace(0.05, 0.55, 6):
        found = estimator(models.ising(lattices.square(4, 4), k, field=jnp.asarray(0.0)))
        assert Status(int(found.status)) is Status.OK
        assert abs(float(found.log_z) - float(reference.kaufman_log_z(4, 4, k))) < 16 * 1e-4


def ring_box():
    return CouplingBox(lambda k: models.ising(RING, k[0], k[1]), [0.0, -0.5], [0.8, 0.5])


@functools.cache
def ring_answers(n=400, gradients=True):
    return evaluate(ClosedForm(), ring_box(), n, gradients=gradients, key=jax.random.key(2))


@pytest.mark.slow
def test_it_is_even_in_odd_couplings():
    found = amortise(ring_answers(), n_steps=500, odd=(1,), key=jax.random.key(3))
    at = [found.estimator(ring_box()(jnp.array([0.2, z]))).log_z for z in (0.7, -0.7)]
    assert float(at[0]) == pytest.approx(float(at[1]), abs=1e-13)


@pytest.mark.slow
def test_gradients_teach():
    """The same number of points: with moments the moments are better, and the values too."""
    settings = {"n_steps": 3000, "key": jax.random.key(3)}
    with_moments = amortise(ring_answers(60), **settings)
    without = amortise(ring_answers(60, gradients=False), **settings)
    assert np.isnan(without.gradient_error)
    fresh = ring_answers()

    def errors(found):
        f = found.estimator.function
        value, slope = jax.vmap(jax.value_and_grad(lambda z: f(z)[0]))(fresh.z)
        return [
            float(jnp.sqrt(jnp.mean((value - fresh.log_z) ** 2))),
            float(jnp.sqrt(jnp.mean((slope - fresh.gradients) ** 2))),
        ]

    better, worse = errors(with_moments), errors(without)
    assert better[0] < worse[0] / 2 and better[1] < worse[1] / 2


def test_noise_of_a_sampled_teacher_is_averaged_and_told():
    """Answers with a known noise: the network is nearer to the truth than they are."""
    clean = ring_answers(1200)
    noise = 0.2 * np.random.default_rng(0).normal(size=1200)
    noisy = Evaluations(
        clean.box, clean.z, clean.log_z + noise, None, jnp.full(1200, 0.2), clean.status
    )
    found = amortise(noisy, n_steps=1000, optimizer=optax.adam(1e-3), key=jax.random.key(3))
    value = jax.vmap(lambda z: found.estimator.function(z)[0])(clean.z)
    assert float(jnp.sqrt(jnp.mean((value - clean.log_z) ** 2))) < 0.1
    assert float(found.value_error) == pytest.approx(0.2, rel=0.15)
    assert float(found.estimator.half_width) == pytest.approx(1.96 * 0.2, rel=0.2)


@pytest.mark.slow
def test_a_sampled_estimator_teaches():
    box = CouplingBox(lambda k: models.ising(RING, k[0]), [0.0], [0.6])
    teacher = estimators.AIS(n_chains=256)
    answers = evaluate(teacher, box, 90, key=jax.random.key(5))
    found = amortise(answers, n_steps=1000, key=jax.random.key(6))
    k = 0.37
    true = 12 * np.log(2 * np.cosh(k)) + np.log1p(np.tanh(k) ** 12)
    learned_value = found.estimator(models.ising(RING, k))
    assert abs(float(learned_value.log_z) - true) < 4 * float(jnp.mean(answers.stderr))
    slope = jax.grad(lambda h: found.estimator(h).log_z)(models.ising(RING, k))
    t = np.tanh(k)
    bonds = 12 * t + 12 * t**11 * (1 - t**2) / (1 + t**12)
    assert float(-slope.terms["bond"].coefficient) == pytest.approx(bonds, abs=0.4)


def test_answers_that_are_no_numbers_are_left_out():
    clean = ring_answers()
    spoilt = Evaluations(
        clean.box,
        clean.z,
        clean.log_z.at[::40].set(jnp.nan),
        clean.gradients,
        clean.stderr,
        clean.status,
    )
    found = amortise(spoilt, n_steps=1000, n_held_out=100, key=jax.random.key(3))
    assert int(found.n_failed) == 10 and int(found.status) == TrainingStatus.OK
    assert float(found.value_error) < 0.05
    assert np.sum(np.isinf(found.estimator.errors)) == 2  # those of points 320 and 360
    whole = amortise(clean, n_steps=1000, n_held_out=100, key=jax.random.key(3))
    assert float(found.estimator.half_width) >= float(whole.estimator.half_width) / 3


def test_it_maps_and_repeats():
    settings = {"n_steps": 50, "key": jax.random.key(3)}
    first, second = (amortise(ring_answers(), **settings) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert "within" in repr(first)


def test_settings_are_checked():
    answers = ring_answers()
    with pytest.raises(SettingError, match="symmetric"):
        amortise(answers, odd=(0,), key=jax.random.key(0))
    with pytest.raises(SettingError, match="indices"):
        amortise(answers, odd=(2,), key=jax.random.key(0))
    with pytest.raises(ShapeError, match="held out"):
        amortise(answers, n_held_out=400, key=jax.random.key(0))
    with pytest.raises(SettingError, match="n_points"):
        evaluate(ClosedForm(), ring_box(), 0, key=jax.random.key(0))
    wrong = Evaluations(
        answers.box, answers.z[:, :1], answers.log_z, None, answers.stderr, answers.status
    )
    with pytest.raises(ShapeError, match="over 2 couplings"):
        amortise(wrong, key=jax.random.key(0))
    assert isinstance(
        amortise(answers, n_steps=2, key=jax.random.key(0)).estimator, LearnedEstimator
    )
