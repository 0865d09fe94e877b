"""Decimation against transfer matrices in long arithmetic, and against enumeration."""

import brute_force
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from physdl import lattices, models, rg, spaces
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian, Sites

ISING = [(0.7, 0.0), (-0.9, 0.3), (1e-3, 1e-4), (40.0, 0.2), (700.0, -0.5), (-300.0, 2.0)]


def largest_eigenvalue(energies):
    """log of the largest eigenvalue of exp(-E) with 60 digits, by the power method."""
    with mpmath.workdps(60):
        t = mpmath.matrix([[mpmath.exp(-mpmath.mpf(float(e))) for e in row] for row in energies])
        return float(mpmath.log(max(abs(v) for v in mpmath.eig(t, left=False, right=False))))


@pytest.mark.parametrize("k, h", ISING)
@pytest.mark.parametrize("scale", [2, 3])
def test_ising_free_energy_is_exact(k, h, scale):
    f = rg.free_energy(rg.Decimation(scale=scale), jnp.array([k, h]))
    exact = largest_eigenvalue([[-k - h, k], [k, -k + h]])
    assert float(-f) == pytest.approx(exact, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("q, k", [(2, 0.4), (3, 1.5), (5, -2.0), (4, 30.0), (3, 500.0)])
def test_potts_free_energy_and_flow_are_exact(q, k):
    """lambda = e^K + q - 1, and t' = t^b for t = (e^K - 1) / (e^K + q - 1)."""
    steps = rg.flow(rg.Decimation(scale=3), -k * jnp.eye(q), 2)
    f = rg.free_energy(rg.Decimation(scale=3), -k * jnp.eye(q))
    with mpmath.workdps(300):
        weight = mpmath.exp(mpmath.mpf(k))
        assert float(-f) == pytest.approx(float(mpmath.log(weight + q - 1)), rel=1e-12)
        t = ((weight - 1) / (weight + q - 1)) ** 9
        after = float(mpmath.log((1 + (q - 1) * t) / (1 - t)))
    e = np.asarray(steps.couplings[-1])
    assert e[0, 1] - e[0, 0] == pytest.approx(after, rel=1e-12, abs=1e-12)
    assert e.min() == 0


@pytest.mark.parametrize("k", [0.3, 2.0, -1.1])
@pytest.mark.parametrize("scale", [2, 5])
def test_ising_flow_is_tanh_to_the_b(k, scale):
    after = rg.Decimation(scale=scale)(jnp.array([k, 0.0])).couplings
    assert float(after[0]) == pytest.approx(np.arctanh(np.tanh(k) ** scale), rel=1e-12)
    assert float(after[1]) == 0


def test_ising_flow_in_a_field_by_hand():
    """b = 2 (D. R. Nelson and M. E. Fisher 1975, in the variables of any textbook)."""
    k, h = 0.6, 0.4
    up, middle, down = (2 * np.cosh(a) for a in (2 * k + h, h, -2 * k + h))
    expected = [np.log(up * down / middle**2) / 4, h + np.log(up / down) / 2]
    after = rg.Decimation()(jnp.array([k, h])).couplings
    np.testing.assert_allclose(after, expected, rtol=1e-13)


def test_any_table_keeps_the_ring():
    """A ring of 8 sites with an asymmetric table is one of 4 sites after a step, by enumeration."""
    table = np.random.default_rng(0).normal(size=(3, 3))
    step = rg.Decimation(scale=2)(jnp.asarray(table))
    trace = lambda e, n: np.log(np.trace(np.linalg.matrix_power(np.exp(-np.asarray(e)), n)))
    rest = trace(step.couplings, 4)
    assert trace(table, 8) == pytest.approx(8 * float(step.log_weight) + rest, rel=1e-13)
    f = rg.free_energy(rg.Decimation(scale=4), jnp.asarray(table))
    assert float(-f) == pytest.approx(largest_eigenvalue(table), rel=1e-12)


def test_hard_constraints_and_separate_phases():
    hard = jnp.array([[0.0, 0.0], [0.0, jnp.inf]])  # the golden ratio counts hard squares in a row
    f = rg.free_energy(rg.Decimation(), hard)
    assert float(-f) == pytest.approx(np.log((1 + np.sqrt(5)) / 2), rel=1e-12)
    apart = jnp.array([[-1.0, jnp.inf], [jnp.inf, 0.0]])
    assert float(rg.free_energy(rg.Decimation(), apart)) == pytest.approx(-1.0, rel=1e-12)


def test_derivatives_are_the_moments():
    k = jnp.array([0.8, 0.15])
    f = lambda k: -rg.free_energy(rg.Decimation(), k)
    exact = lambda k: (
        k[0] + jnp.log(jnp.cosh(k[1]) + jnp.sqrt(jnp.sinh(k[1]) ** 2 + jnp.exp(-4 * k[0])))
    )
    np.testing.assert_allclose(jax.grad(f)(k), jax.grad(exact)(k), rtol=1e-11)


def test_zero_temperature_exponent_of_the_field():
    """At large K the field of a block is b h: y_h = 1, the discontinuity fixed point."""
    jacobian = jax.jacfwd(lambda k: rg.Decimation(scale=3)(k).couplings)(jnp.array([20.0, 0.0]))
    assert float(jnp.log(jacobian[1, 1]) / jnp.log(3)) == pytest.approx(1.0, abs=1e-12)
    assert float(jacobian[0, 0]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("scale", [1, 2.0, True])
def test_refuses_scales(scale):
    with pytest.raises(SettingError, match="b >= 2"):
        rg.Decimation(scale=scale)


def test_refuses_shapes():
    with pytest.raises(ShapeError, match="table of energies"):
        rg.Decimation()(jnp.ones((2, 3)))


def checkerboard():
    """A 3 x 4 Ising lattice, open, in a field, and the sites of one colour."""
    lattice = lattices.square(3, 4, periodic=False)
    return models.ising(lattice, 0.5, 0.2), [i for i in range(12) if (i // 4 + i % 4) % 2]


def all_energies(h):
    states = brute_force.all_states(brute_force.POINTS["SPIN"], h.n_sites)[:, :, 0]
    return np.asarray(jax.vmap(h)(jnp.asarray(states.reshape(-1, *h.shape))))


@pytest.fixture(scope="module")
def summed():
    """All exact couplings of the checkerboard, and its log Z."""
    h, odd = checkerboard()
    return jax.jit(lambda h: rg.decimate(h, odd))(h), brute_force.log_z(all_energies(h))


def test_decimation_of_a_graph_keeps_log_z(summed):
    step, exact = summed
    rest = brute_force.log_z(all_energies(step.couplings))
    assert rest + 12 * float(step.log_weight) == pytest.approx(exact, rel=1e-13)
    assert float(step.error) == 0 and step.couplings.degree == 4
    assert all(t.table.array.shape[1] > 0 for t in step.couplings.terms.values())


@pytest.mark.parametrize("settings", [{"degree": 2}, {"degree": 1}, {"reach": 2}, {"degree": 3}])
def test_what_is_dropped_is_bounded_by_the_error(settings, summed):
    h, odd = checkerboard()
    exact, truth = summed
    cut = jax.jit(lambda h: rg.decimate(h, odd, **settings))(h)
    difference = all_energies(exact.couplings) - all_energies(cut.couplings)
    bound = 12 * float(cut.error)
    assert np.abs(difference).max() <= bound * (1 + 1e-12)
    assert (settings == {"reach": 2}) == (bound == 0)  # all neighbours of a site are 2 apart
    rest = brute_force.log_z(all_energies(cut.couplings))
    assert abs(rest + 12 * float(cut.log_weight) - truth) <= bound + 1e-12


def test_reach_takes_given_distances():
    """Straight-line distances keep diagonal neighbours and drop those two steps away."""
    h, odd = checkerboard()
    at = np.array([(i // 4, i % 4) for i in range(12)])
    distances = np.linalg.norm(at[:, None] - at[None], axis=-1)
    cut = rg.decimate(h, odd, degree=2, reach=1.5, distances=distances).couplings
    rest = np.setdiff1d(np.arange(12), odd)
    pairs = cut.terms["degree_2"].table.array
    spans = {float(np.round(distances[rest[a], rest[b]], 6)) for a, b in pairs}
    assert spans == {1.414214}


def test_three_states_by_enumeration():
    bonds = [[0, 1], [1, 2], [2, 3], [3, 0]]
    h = Hamiltonian(
        {"pair": Sites(-0.6, bonds), "square": Sites(0.4, [[i, i] for i in range(4)])},
        space=spaces.spin(1),
        shape=(4,),
    )
    step = rg.decimate(h, [1, 3])
    rest = brute_force.log_z_of(step.couplings) + 4 * float(step.log_weight)
    assert rest == pytest.approx(brute_force.log_z_of(h), rel=1e-13)


def test_gradients_pass_through_a_graph():
    lattice = lattices.chain(4)

    @jax.jit
    def weight(k):
        return rg.decimate(models.ising(lattice, k), [1, 3]).log_weight

    assert float(jax.grad(weight)(0.3)) == pytest.approx(float(np.tanh(0.6)) / 2, rel=1e-12)


def test_refuses_to_decimate():
    h, odd = checkerboard()
    with pytest.raises(SettingError, match="degree=0"):
        rg.decimate(h, odd, degree=0)
    with pytest.raises(SettingError, match="reach=-1"):
        rg.decimate(h, odd, reach=-1)
    with pytest.raises(ShapeError, match="12 sites"):
        rg.decimate(h, odd, reach=1, distances=np.zeros((3, 3)))
    with pytest.raises(SpaceError, match="finite"):
        rg.decimate(models.gaussian(lattices.chain(4), r=0.5), [0])
