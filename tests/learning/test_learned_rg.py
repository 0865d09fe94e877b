"""Networks in the place of maps whose fixed points and exponents are known in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import networks, rg
from physdl.errors import SettingError, ShapeError
from physdl.learning import LearnedRG, TrainingStatus, learn_rg
from physdl.pytree import module
from physdl.rg import RGStatus, RGStep

K_BOND_MOVING, Y_BOND_MOVING = 0.304688931718, 0.747235718929
K_TRIANGLES, Y_T, Y_H = 0.335613511613, 0.882202645931, 1.36907024643


@functools.cache
def bond_moving():
    exact = rg.MigdalKadanoff(2, 2)
    return learn_rg(exact, jnp.array([0.1]), jnp.array([0.6]), key=jax.random.key(0))


@functools.cache
def triangles():
    exact = rg.Cumulant(1)
    lower, upper = jnp.array([0.2, -0.1]), jnp.array([0.45, 0.1])
    return learn_rg(exact, lower, upper, n_steps=3000, key=jax.random.key(1))


def test_bond_moving_to_a_thousandth():
    found = bond_moving()
    assert int(found.status) == TrainingStatus.OK
    fixed = rg.fixed_point(found.rg, jnp.array([0.3]))
    assert RGStatus(int(fixed.status)) is RGStatus.OK
    assert float(fixed[0]) == pytest.approx(K_BOND_MOVING, rel=1e-3)
    out = rg.exponents(found.rg, fixed)
    assert float(out.y[0]) == pytest.approx(Y_BOND_MOVING, rel=1e-3)


def test_its_critical_point_and_free_energy():
    found, exact = bond_moving().rg, rg.MigdalKadanoff(2, 2)
    critical = rg.critical_point(found, lambda t: t[None], 0.15, 0.55)
    assert RGStatus(int(critical.status)) is RGStatus.OK
    assert float(critical.parameter) == pytest.approx(K_BOND_MOVING, rel=1e-3)
    k = jnp.array([K_BOND_MOVING])
    assert float(rg.free_energy(found, k, 4)) == pytest.approx(
        float(rg.free_energy(exact, k, 4)), abs=1e-4
    )


@pytest.mark.slow
def test_two_couplings():
    found = triangles().rg
    fixed = rg.fixed_point(found, jnp.array([0.3, 0.02]))
    np.testing.assert_allclose(fixed.couplings, [K_TRIANGLES, 0.0], atol=1e-4)
    np.testing.assert_allclose(rg.exponents(found, fixed).y, [Y_H, Y_T], rtol=1e-3)
    assert float(found.scale) == pytest.approx(np.sqrt(3)) and float(found.dim) == 2


@pytest.mark.parametrize("name", ["bond_moving", "triangles"])
def test_it_is_a_map(name):
    found = {"bond_moving": bond_moving, "triangles": triangles}[name]().rg
    assert isinstance(found, rg.RGMap) and not isinstance(found, rg.RGFlow)
    k = (found.lower + 2 * found.upper) / 3
    batch = jnp.stack([k, 0.9 * k])
    flows = jax.jit(jax.vmap(lambda m, k: rg.flow(m, k, 2), (None, 0)))(found, batch)
    direct = found(found(k).couplings).couplings
    np.testing.assert_allclose(flows.couplings[0, 1], direct, rtol=1e-9, atol=1e-9)
    slope = jax.jacfwd(lambda k: found(k).couplings)(k)
    step = 1e-6 * np.eye(len(k))
    differences = [
        (found(k + d).couplings - found(k - d).couplings) / 2e-6 for d in jnp.asarray(step)
    ]
    np.testing.assert_allclose(slope, np.stack(differences, 1), rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_deviations_are_those_on_fresh_points():
    found, exact = triangles(), rg.Cumulant(1)
    box = found.rg.lower, found.rg.upper
    k = jax.random.uniform(jax.random.key(7), (4000, 2), minval=box[0][None], maxval=box[1][None])
    off = jax.vmap(lambda k: found.rg(k).couplings - exact(k).couplings)(k)
    rms = np.sqrt(np.mean(np.asarray(off) ** 2, axis=0))
    np.testing.assert_allclose(found.rg.deviation, rms, rtol=0.3)
    assert float(found.rg(k[0]).error) == pytest.approx(float(jnp.max(found.rg.deviation)))
    slopes = jax.vmap(
        lambda k: jax.jacrev(lambda k: found.rg(k).couplings - exact(k).couplings)(k)
    )(k)
    rms = np.sqrt(np.mean(np.asarray(slopes) ** 2, axis=0))
    np.testing.assert_allclose(found.jacobian_deviation, rms, rtol=0.3)


def test_beyond_the_box_it_is_held_and_says_so():
    found = bond_moving().rg
    far, edge = found(jnp.array([5.0])), found(jnp.array([0.6]))
    np.testing.assert_allclose(far.couplings, edge.couplings, rtol=1e-12)
    assert np.isposinf(far.error) and np.isfinite(edge.error)
    at = [jax.jacfwd(lambda k: found(k).couplings)(jnp.array([k])) for k in (0.6, 0.6 - 1e-9)]
    np.testing.assert_allclose(at[0], at[1], rtol=1e-6)  # the edge belongs to the box


@module
class Sheared:
    """A map of couplings in a dict, linear in one and curved in the other, without a weight."""

    scale: float = 2.0
    dim: float = 3.0

    def __call__(self, couplings):
        r, u = couplings["r"], couplings["u"]
        after = {"r": 4 * r + u[:1], "u": jnp.stack([2 * u[0] - u[0] ** 3, u[1] / 2])}
        return RGStep(after, jnp.full((), jnp.nan), jnp.zeros(()))


@pytest.mark.slow
def test_couplings_may_be_any_pytree_and_weights_may_be_unknown():
    corners = [{"r": jnp.full(1, s), "u": jnp.full(2, 1.5 * s)} for s in (-1.0, 1.0)]
    found = learn_rg(Sheared(), *corners, n_directions=3, key=jax.random.key(2)).rg
    k = {"r": jnp.array([0.3]), "u": jnp.array([0.8, -0.5])}
    after, exact = found(k), Sheared()(k)
    assert np.isnan(after.log_weight)
    for name in ("r", "u"):
        np.testing.assert_allclose(after.couplings[name], exact.couplings[name], atol=3e-3)
    guess = {"r": jnp.array([-0.2]), "u": jnp.array([0.9, 0.1])}
    fixed = rg.fixed_point(found, guess)
    np.testing.assert_allclose(fixed.couplings["u"], [1.0, 0.0], atol=3e-3)
    np.testing.assert_allclose(rg.exponents(found, fixed).y, [2.0, 0.0, -1.0], atol=0.05)
    with pytest.raises(ShapeError, match="structure"):
        found(jnp.array([0.3]))


@pytest.mark.slow
def test_where_the_parabola_is_exact_the_network_is_silent():
    """Cumulants: linear, so nothing is left, and the map is exact to rounding."""
    exact = rg.CentralLimit(order=3, scale=2)
    lower, upper = jnp.array([-0.2, 0.8, -0.5]), jnp.array([0.2, 1.2, 0.5])
    found = learn_rg(exact, lower, upper, n_steps=20, key=jax.random.key(3))
    assert int(found.status) == TrainingStatus.CONSTANT
    y = rg.exponents(found.rg, jnp.array([0.0, 1.0, 0.0])).y
    np.testing.assert_allclose(y, [0.5, 0.0, -0.5], atol=1e-9)


def test_a_network_of_ones_own_and_wrong_settings():
    exact, corners = rg.MigdalKadanoff(2, 2), (jnp.array([0.1]), jnp.array([0.6]))
    small = networks.mlp(1, 2, widths=(4,), key=jax.random.key(0))
    found = learn_rg(exact, *corners, network=small, n_steps=10, key=jax.random.key(0))
    assert isinstance(found.rg, LearnedRG) and "Jacobian" in repr(found)
    with pytest.raises(ShapeError, match="outputs"):
        wrong = networks.mlp(1, 1, widths=(4,), key=jax.random.key(0))
        learn_rg(exact, *corners, network=wrong, n_steps=10, key=jax.random.key(0))
    with pytest.raises(SettingError, match="below"):
        learn_rg(exact, *corners[::-1], key=jax.random.key(0))
    with pytest.raises(ShapeError, match="structure"):
        learn_rg(exact, corners[0], jnp.array([0.6, 0.7]), key=jax.random.key(0))
