"""What every map must do. Add a row to MAPS; write no new test here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import rg, spaces
from physdl.rg import RGStatus

MAPS = {
    "migdal_kadanoff": (rg.MigdalKadanoff(2, 2), [0.4]),
    "migdal_kadanoff_real": (rg.MigdalKadanoff(1.7, 2.5), [0.4]),
    "migdal_kadanoff_clock": (rg.MigdalKadanoff(2, 3, rg.bond(spaces.clock(5))), [0.2, 0.05]),
    "migdal_kadanoff_limit": (rg.MigdalKadanoffFlow(2), [0.4]),
    "decimation": (rg.Decimation(2), [0.7, 0.1]),
    "decimation_of_a_table": (rg.Decimation(3), [[0.0, 1.0], [1.0, 0.3]]),
    "cumulant": (rg.Cumulant(1), [0.3, 0.1]),
    "cumulant_square": (rg.Cumulant(1, "square"), [0.3, 0.1]),
    "cumulant_second": (rg.Cumulant(2), [0.27, -0.01, -0.01, 0.1]),
    "kadanoff": (rg.Kadanoff(0.766), [0.28, 0.14, -0.007, 0.01, 0.0]),
    "gaussian": (rg.GaussianRG(scale=2.0, dim=3), [0.3, 1.0, 0.2]),
    "central_limit": (rg.CentralLimit(order=4, scale=2), [0.1, 1.0, 0.5, 0.2]),
    "epsilon": (rg.EpsilonExpansion(n=1, epsilon=0.1), [0.1, 0.1, 0.03]),
    "functional": (rg.FunctionalRG(potential=rg.AboutMinimum(3)), [1.5, 0.5, 0.1]),
}
FIXED = {
    "migdal_kadanoff": [0.3],
    "migdal_kadanoff_real": [0.3],
    "migdal_kadanoff_clock": [0.2, 0.0],
    "migdal_kadanoff_limit": [0.4],
    "cumulant": [0.3, 0.0],
    "cumulant_square": [0.5, 0.0],
    "cumulant_second": [0.28, -0.014, -0.015, 0.0],
    "kadanoff": [0.28, 0.14, -0.01, 0.0, 0.0],
    "epsilon": [0.0, 0.0, 0.03],
}
FLOWS = {"migdal_kadanoff_limit", "epsilon", "functional"}

each_map = pytest.mark.parametrize("name", MAPS)


def made(name, dtype=jnp.float64):
    map_, k = MAPS[name]
    return map_, jnp.asarray(k, dtype)


@each_map
def test_is_a_map(name):
    map_, k = made(name)
    assert isinstance(map_, rg.RGMap) and isinstance(map_, rg.RGFlow) == (name in FLOWS)
    assert float(map_.scale) > 1 and float(map_.dim) > 0
    out = map_(k)
    assert out.couplings.shape == k.shape and out.couplings.dtype == k.dtype
    assert bool(jnp.all(jnp.isfinite(out.couplings)))
    assert out.log_weight.shape == out.error.shape == ()


@each_map
def test_jit_vmap_and_scan_change_nothing(name):
    map_, k = made(name)
    direct = map_(map_(k).couplings).couplings
    batch = jnp.stack([k, 0.9 * k])
    flows = jax.jit(jax.vmap(lambda m, k: rg.flow(m, k, 2), (None, 0)))(map_, batch)
    np.testing.assert_allclose(flows.couplings[0, 1], direct, rtol=1e-9, atol=1e-9)


@each_map
def test_derivatives_agree_with_differences(name):
    map_, k = made(name)
    direction = jnp.asarray(np.random.default_rng(0).normal(size=k.shape))

    def along(t):
        return jnp.sum(map_(k + t * direction).couplings)

    along = jax.jit(along)
    forward = jax.jvp(along, (0.0,), (1.0,))[1]
    step = 1e-5
    assert float(forward) == pytest.approx(
        float(along(step) - along(-step)) / (2 * step), rel=1e-5, abs=1e-7
    )
    assert float(jax.grad(along)(0.0)) == pytest.approx(float(forward), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", FIXED)
def test_newton_finds_the_fixed_point(name):
    map_, _ = MAPS[name]
    found = rg.fixed_point(map_, jnp.asarray(FIXED[name]))
    assert RGStatus(int(found.status)) is RGStatus.OK
    at = found.couplings
    np.testing.assert_allclose(map_(at).couplings, at, atol=1e-7)
    out = rg.exponents(map_, found)
    assert RGStatus(int(out.status)) is RGStatus.OK
    np.testing.assert_allclose(out.left @ out.right, np.eye(at.size), atol=1e-8)
    assert list(out.y) == sorted(out.y, reverse=True)


@pytest.mark.parametrize("name", FIXED)
def test_a_scaling_field_grows_by_its_exponent(name):
    """Close to a fixed point by b^y in one step, be it integrated or not."""
    map_, _ = MAPS[name]
    found = rg.fixed_point(map_, jnp.asarray(FIXED[name]))
    out = rg.exponents(map_, found)
    field, small = jnp.real(out.left[0]), 1e-6
    moved = map_(found.couplings + small * jnp.real(out.right[:, 0])).couplings - found.couplings
    growth = float(field @ moved) / small
    assert abs(growth) == pytest.approx(float(map_.scale) ** float(out.y[0]), rel=1e-4)
