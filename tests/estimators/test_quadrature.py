import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from physdl import lattices, models
from physdl.errors import SettingError, SpaceError, TooLargeError
from physdl.estimators import AIS, Auto, Enumeration, Gaussian, Quadrature, Status
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.spaces import LINE, SPIN, product


def polynomial(*coefficients):
    """Of one variable, from degree 1."""
    terms = {
        f"degree {d}": Sites(jnp.array([c]), np.zeros((1, d), int))
        for d, c in enumerate(coefficients, 1)
    }
    return Hamiltonian(terms, space=LINE, shape=(1,))


@pytest.mark.parametrize(
    "c",
    [(0.3, -0.5, 0.1, 0.25), (0.0, 1e4), (0.0, 1e-4), (0, 0, 0, 1e-3), (2.0, 0.5, 0, 0, 0, 0.1)],
)
def test_one_variable_is_scipys_integral(c):
    """Value and all moments."""
    h = polynomial(*map(float, c))
    weight = lambda x: np.exp(-sum(a * x**d for d, a in enumerate(c, 1)))
    width = 10.0 / c[-1] ** (1 / len(c))
    integrals = [
        scipy.integrate.quad(lambda x, d=d: x**d * weight(x), -width, width, epsrel=1e-12)
        for d in range(len(c) + 1)
    ]
    z = integrals[0][0]
    found = Quadrature()(h)
    assert int(found.status) == Status.OK
    assert float(found.log_z) == pytest.approx(np.log(z), abs=1e-11)
    slopes = jax.grad(lambda h: Quadrature()(h).log_z)(h)
    for d, (value, _) in enumerate(integrals[1:], 1):
        moment = -float(slopes.terms[f"degree {d}"].coefficient[0])
        assert moment == pytest.approx(value / z, rel=1e-9, abs=1e-10 * width**d)


def test_gaussian_fields():
    h = models.gaussian(lattices.chain(4), r=0.3)
    exact = Gaussian()(h).log_z
    assert float(Quadrature()(h).log_z) == pytest.approx(float(exact), rel=1e-12)


def test_phi4_on_four_sites_is_the_golden_number():
    """SCIENCE 5.11: L = 2, m^2 = -4, lambda = 6.975, by another quadrature."""
    found = Quadrature(48)(models.phi4(lattices.square(2, 2), r=-4.0, u=6.975))
    assert float(found.log_z) == pytest.approx(1.1731847107777, abs=1e-10)


def test_spins_among_real_sites():
    """Two spins and a real site: four Gaussian integrals by hand."""
    terms = {
        "square": Sites(0.7, [[2, 2]]),
        "bond": Sites(jnp.array([-0.4, 0.9, -0.3]), [[0, 2], [1, 2], [0, 1]]),
    }
    h = Hamiltonian(terms, space=product([SPIN, SPIN, LINE]), shape=(3,))
    z = 0.0
    for a, b in itertools.product([-1, 1], repeat=2):
        field = 0.4 * a - 0.9 * b
        z += np.exp(0.3 * a * b) * np.sqrt(np.pi / 0.7) * np.exp(field**2 / (4 * 0.7))
    assert float(Quadrature()(h).log_z) == pytest.approx(np.log(z), rel=1e-12)


def test_second_derivatives_and_compiled_batches():
    """Var(x^2) of a Gaussian is 2 sigma^4; vmap over couplings."""
    log_z = lambda r: Quadrature()(polynomial(0.0, r, 0.0, 0.0)).log_z
    variance = jax.grad(jax.grad(log_z))(0.5)
    assert float(variance) == pytest.approx(2.0, rel=1e-9)
    several = jax.jit(jax.vmap(log_z))(jnp.array([0.5, 2.0]))
    np.testing.assert_allclose(several, np.log(2 * np.pi / np.array([1.0, 4.0])) / 2, rtol=1e-12)


@pytest.mark.slow
def test_auto_takes_it_and_sampling_agrees():
    h = models.phi4(lattices.chain(4), r=-1.0, u=0.5)
    out = Auto()(h)
    assert "nodes" in out.method and int(out.status) == Status.OK
    sampled = AIS()(h, key=jax.random.key(0))
    assert abs(float(out.log_z - sampled.log_z)) < 4 * float(sampled.stderr)


def test_narrow_wells_far_apart_are_not_passed_over():
    """Wells of width 0.07 five apart need more nodes: said, and mended by them."""
    h = polynomial(0.0, -50.0, 0.0, 1.0)
    few, many = Quadrature()(h), Quadrature(400)(h)
    assert int(few.status) == Status.QUADRATURE and np.isnan(float(few.stderr))
    exact = scipy.integrate.quad(lambda x: np.exp(50 * x**2 - x**4 - 625), 3, 7, epsabs=1e-14)[0]
    assert int(many.status) == Status.OK
    assert float(many.log_z) == pytest.approx(625 + np.log(2 * exact), abs=1e-9)


def test_what_does_not_rise_diverges():
    for c in [(0.0, -1.0), (1.0,), (0.0, 1.0, 0.5), (0.0, 1.0, 0.0, -0.1)]:
        found = Quadrature()(polynomial(*c))
        assert int(found.status) == Status.DIVERGENT and float(found.log_z) == np.inf


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: Quadrature(4), SettingError, "8 nodes or more, got 4"),
        (lambda: Quadrature(radius=-1.0), SettingError, "positive, got -1.0"),
        (lambda: Quadrature(tolerance=0.0), SettingError, "positive"),
        (lambda: Quadrature()(models.ising(lattices.chain(3), 1.0)), SpaceError, "LINE.*SPIN"),
        (
            lambda: Auto()(models.phi4(lattices.square(8, 8), r=1.0, u=0.1)),
            TooLargeError,
            "64 sites",
        ),
        (
            lambda: Quadrature(estimator=Enumeration(10))(polynomial(0.0, 1.0)),
            TooLargeError,
            "max_states=10",
        ),
    ],
)
def test_bad_input(run, error, message):
    with pytest.raises(error, match=message):
        run()
