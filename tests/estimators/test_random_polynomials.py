"""Two hundred random polynomial Hamiltonians against brute force over explicit monomials."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from polynomials import polynomials

from physdl import estimators


@given(polynomials())
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_energy_and_log_z(drawn):
    name, h, monomials = drawn
    states = brute_force.all_states(brute_force.POINTS[name], h.n_sites)
    expected = brute_force.energies(monomials, states)
    shaped = jnp.asarray(states.reshape(len(states), *h.state_shape))
    np.testing.assert_allclose(jax.vmap(h)(shaped), expected, rtol=1e-12, atol=1e-12)
    out = estimators.Contraction()(h)
    assert float(out.log_z) == pytest.approx(brute_force.log_z(expected), rel=1e-12, abs=1e-11)
