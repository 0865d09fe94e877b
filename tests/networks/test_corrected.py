import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import networks


def test_the_fit_is_that_of_numpy():
    rng = np.random.default_rng(0)
    z, y = rng.uniform(-1, 1, (40, 2)), rng.normal(size=(40, 3))
    found = networks.quadratic_fit(z, y)
    design = np.stack(
        [np.ones(40), z[:, 0], z[:, 1], z[:, 0] ** 2, z[:, 0] * z[:, 1], z[:, 1] ** 2], 1
    )
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(jax.vmap(found)(jnp.asarray(z)), expected, atol=1e-12)
    np.testing.assert_allclose(found.curvature, np.swapaxes(found.curvature, 1, 2))


def test_values_of_weight_zero_may_be_anything():
    z = np.linspace(-1, 1, 20)[:, None]
    y = 1 + 2 * z - z**2
    spoilt, weights = y.copy(), np.ones(20)
    spoilt[3], weights[3] = np.nan, 0
    found = networks.quadratic_fit(z, spoilt, weights)
    np.testing.assert_allclose(jax.vmap(found)(jnp.asarray(z)), y, atol=1e-12)


@pytest.mark.parametrize(("n_points", "degree"), [(1, 0), (5, 0), (6, 1), (11, 1), (12, 2)])
def test_few_points_leave_a_plane_or_a_constant(n_points, degree):
    z = np.random.default_rng(1).uniform(-1, 1, (n_points, 2))
    found = networks.quadratic_fit(z, np.cos(3 * z[:, :1]) + z[:, 1:] * z[:, :1])
    used = [bool(np.any(v)) for v in (found.slope, found.curvature)]
    assert used == [degree >= 1, degree >= 2]


def test_a_mirror_makes_it_even_whatever_the_network():
    network = networks.mlp(3, 2, widths=(5,), key=jax.random.key(0))
    trend = networks.quadratic_fit(np.eye(3), np.ones((3, 2)))
    f = networks.Corrected(trend, jnp.array([1.0, 2.0]), network, (1, -1, -1))
    z = jnp.array([0.3, -0.7, 0.2])
    np.testing.assert_allclose(f(z), f(z * jnp.array([1.0, -1.0, -1.0])), atol=1e-15)
    plain = networks.Corrected(trend, jnp.array([1.0, 2.0]), network)
    assert not np.allclose(plain(z), plain(z * jnp.array([1.0, -1.0, -1.0])))
    by_hand = trend(z) + jnp.array([1.0, 2.0]) * network(z)
    np.testing.assert_allclose(plain(z), by_hand)
