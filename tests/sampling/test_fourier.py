"""Fourier-accelerated HMC: the spectrum it uses, exactness, and what it gains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sampling.fields import PHI4_MOMENTS, assert_means, chains, moments

from physdl import lattices, models, statistics
from physdl.errors import SettingError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.sampling.fourier import FourierHMC, quadratic_spectrum
from physdl.sampling.hmc import HMC, tune_step_size
from physdl.spaces import LINE

pytestmark = pytest.mark.slow

PHI4 = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
CUBIC_FORM = Stencil([0.3, -0.2, 0.1], [[[0, 0], [1, 2]], [[1, 0], [1, 0]], [[0, -1], [3, 1]]])
BOXES = {
    "chain": models.gaussian(lattices.chain(7), r=0.3),
    "square": models.phi4(lattices.square(4, 6), r=-1.0, u=2.0, gradient=[0.5, 2.0]),
    "double bonds": models.gaussian(lattices.square(2, 3), r=0.3),
    "triangular": models.gaussian(lattices.triangular(4, 5), r=0.3),
    "cubic": models.gaussian(lattices.cubic(3, 4, 2), r=0.3),
    "four dimensions": models.gaussian(lattices.hypercubic((2, 3, 2, 4)), r=0.3),
    "far neighbours": Hamiltonian({"a": CUBIC_FORM}, space=LINE, shape=(4, 5)),
    "no square": Hamiltonian({"u": Stencil(1.0, np.zeros((1, 4, 1), int))}, space=LINE, shape=(4,)),
}


@pytest.mark.parametrize("h", BOXES.values(), ids=BOXES)
def test_spectrum_is_that_of_the_quadratic_form(h):
    form = jax.hessian(h)(jnp.zeros(h.shape)).reshape(*h.shape, -1)[..., 0]
    exact = np.fft.fftn(np.asarray(form))
    np.testing.assert_allclose(exact.imag, 0, atol=1e-12)
    half = exact.real[..., : h.shape[-1] // 2 + 1]
    np.testing.assert_allclose(quadratic_spectrum(h), half, atol=1e-12)


def power(x):
    """Mean |x(k)|^2 / N at the modes of a square."""
    return (jnp.abs(jnp.fft.rfftn(x)) ** 2 / x.size).reshape(-1)


@pytest.mark.parametrize("shape", [(4, 6), (2, 2, 3, 3)], ids=str)
def test_free_field_keeps_its_spectrum(shape):
    h = models.gaussian(lattices.hypercubic(shape), r=0.05)
    stiffness = quadratic_spectrum(h)
    exact = np.asarray(1 / stiffness).reshape(-1)
    kernel = FourierHMC(0.7, 2, mass=0.1, jitter=0.2)
    values, acceptance = chains(kernel, h, power, n_draws=500, width=1.0)
    assert 0.5 < acceptance < 0.99
    assert_means(values, exact, n_sigma=4.5)


def test_free_field_is_drawn_anew_by_a_quarter_of_a_period():
    h = models.gaussian(lattices.square(8, 8), r=0.001)
    kernel = FourierHMC(np.pi / 64, 32, mass=0.002)
    mean_square = lambda x: jnp.mean(x) ** 2 * jnp.ones(1)
    values, acceptance = chains(kernel, h, mean_square, n_chains=16, n_draws=500, width=1.0)
    assert acceptance > 0.97
    tau = statistics.autocorrelation_time(jnp.asarray(values[..., 0]))
    assert float(tau.value) < 0.6


def test_slowest_mode_against_plain_trajectories(capsys):
    """Ten gradients a trajectory for both, near the massless field."""
    h = models.gaussian(lattices.square(16, 16), r=0.005)
    mean = lambda x: jnp.mean(x)[None]
    tau = {}
    for kernel in (HMC(0.2, 10), FourierHMC(0.16, 10, mass=0.01)):
        values, acceptance = chains(kernel, h, mean, n_chains=16, n_draws=3000, n_warm=500)
        assert acceptance > 0.5
        found = statistics.autocorrelation_time(jnp.asarray(values[..., 0]))
        tau[type(kernel).__name__] = float(found.value)
    with capsys.disabled():
        print(f"\nautocorrelation time of the mean, in trajectories: {tau}")
    assert tau["HMC"] > 10 * tau["FourierHMC"]


@pytest.mark.parametrize("length", [2, 4])
def test_phi4_torus(length):
    h = models.phi4(lattices.square(length, length), r=-4.0, u=6.975)
    values, acceptance = chains(FourierHMC(0.6, 3, mass=6.0), h, moments, n_draws=1000)
    assert 0.4 < acceptance < 0.95
    assert_means(values, PHI4_MOMENTS[length])


@pytest.mark.parametrize(
    "kernel",
    [FourierHMC(0.9, 2, mass=6.0, integrator="omelyan"), FourierHMC(0.5, 3, mass=3.0, jitter=0.5)],
    ids=["omelyan", "jitter"],
)
def test_options(kernel):
    values, acceptance = chains(kernel, PHI4, moments, n_draws=1000)
    assert 0.3 < acceptance < 0.95
    assert_means(values, PHI4_MOMENTS[4])


def test_single_precision():
    h = jax.tree.map(lambda c: c.astype(jnp.float32), PHI4)
    values, _ = chains(FourierHMC(0.6, 3, mass=6.0), h, moments, n_draws=1000)
    assert values.dtype == np.float32
    assert_means(values.astype(np.float64), PHI4_MOMENTS[4])


def test_disorder_in_other_degrees_is_allowed():
    rng = np.random.default_rng(2)
    field = rng.normal(size=(1, 3, 4))
    h = models.gaussian(lattices.square(3, 4), r=0.5)
    h = h + Hamiltonian({"b": Stencil(field, [[[0, 0]]])}, space=LINE, shape=(3, 4))
    exact = -np.linalg.solve(
        np.asarray(jax.hessian(h)(jnp.zeros((3, 4)))).reshape(12, 12), field.reshape(12)
    )
    kernel = FourierHMC(0.5, 3, mass=1.0)
    values, _ = chains(kernel, h, lambda x: x.reshape(-1), n_draws=500)
    assert_means(values, exact, n_sigma=4.5)


def test_tuning():
    kernel = FourierHMC(1.0, 5, mass=6.0)
    tune = jax.jit(lambda key: tune_step_size(kernel, PHI4, key=key))
    tuned, _ = tune(jax.random.key(3))
    _, acceptance = chains(tuned, PHI4, moments, n_draws=100)
    assert 0.75 < acceptance < 0.92


def test_divergent_trajectories_are_rejected():
    x = 0.3 * jnp.ones((4, 4))
    move = jax.jit(lambda x, k: FourierHMC(500.0, 20)(PHI4, x, key=k))
    y, info = move(x, jax.random.key(0))
    assert bool(info["divergent"]) and float(info["acceptance"]) == 0.0
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("h", "error", "message"),
    [
        (
            models.gaussian(lattices.square(4, 4, periodic=False), r=1.0),
            StructureError,
            "term 'gradient' is of type Sites: use HMC",
        ),
        (
            models.gaussian(lattices.square(4, 4), r=np.ones(16)),
            StructureError,
            "term 'phi2' is disordered: use HMC",
        ),
        (models.ising(lattices.chain(4), 1.0), SpaceError, "needs the space LINE, got SPIN"),
    ],
    ids=["open", "disordered", "spins"],
)
def test_what_it_refuses(h, error, message):
    with pytest.raises(error, match=message):
        FourierHMC(0.1, 5)(h, jnp.zeros(h.state_shape), key=jax.random.key(0))


def test_bad_settings():
    with pytest.raises(SettingError, match="mass is finite and positive, got 0"):
        FourierHMC(0.1, 5, mass=0)
    with pytest.raises(SettingError, match="n_leapfrogs is an integer of at least 1, got 0"):
        FourierHMC(0.1, 0)
