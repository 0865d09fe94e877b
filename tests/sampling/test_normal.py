"""The normal quantile function against scipy, over all uniform numbers that can occur."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from physdl.sampling import _random as random
from physdl.sampling._normal import quantile


@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float32, 5e-7), (jnp.float64, 1e-14)])
def test_quantile(dtype, rtol):
    eps = float(np.finfo(dtype).eps)
    tail = np.round(np.exp(np.linspace(np.log(eps), np.log(0.5), 2000)) / eps) * eps
    u = np.concatenate([[0.0], tail, 1 - tail, np.arange(0, 1, 2**-12)])
    found = np.asarray(quantile(jnp.asarray(u, dtype)), np.float64)
    exact = special.ndtri(u + eps / 2)
    upper = u > 0.5  # there ndtri loses digits of 1 - u
    exact[upper] = -special.ndtri(1 - u[upper] - eps / 2)
    np.testing.assert_allclose(found, exact, rtol=rtol)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_moments(dtype):
    z = quantile(random.uniform(jax.random.key(2), (1_000_000,), dtype)).astype(jnp.float64)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(jnp.mean(z**power)) - moment) < 4e-3 * np.sqrt(variance)
