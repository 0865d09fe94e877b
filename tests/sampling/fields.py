"""Chains of continuous fields, and what exact quadrature says of small phi4 boxes."""

import jax
import jax.numpy as jnp
import numpy as np

from physdl import statistics

# <phi^2> and <phi^4> of the square phi4 torus with m^2 = -4, lambda = 6.975, by transfer matrices
# with Gauss quadrature (physdl.reference.phi4 gives log Z, and these as its derivatives)
PHI4_MOMENTS = {
    2: (0.1956262101, 0.0711283841),
    3: (0.1761579088, 0.0603500321),
    4: (0.1673917691, 0.0557089904),
}


def chains(kernel, h, observable, *, seed=0, n_chains=64, n_warm=100, n_draws=400, width=0.4):
    """Observables [n_chains, n_draws, ...] and the mean acceptance; starts are normal."""
    move = jax.vmap(lambda x, k: kernel(h, x, key=k))

    @jax.jit
    def run(key):
        key_start, key_run = jax.random.split(key)

        def sweep(x, key):
            x, info = move(x, jax.random.split(key, n_chains))
            return x, (jax.vmap(observable)(x), info["acceptance"])

        x = width * jax.random.normal(key_start, (n_chains, *h.shape), h.dtype)
        keys = jax.random.split(key_run, n_warm + n_draws)
        _, (values, acceptance) = jax.lax.scan(sweep, x, keys)
        return jnp.swapaxes(values[n_warm:], 0, 1), jnp.mean(acceptance[n_warm:])

    values, acceptance = run(jax.random.key(seed))
    return np.asarray(values), float(acceptance)


def assert_means(values, exact, n_sigma=4.0):
    """Every mean of [n_chains, n_draws, k] lies within ``n_sigma`` standard errors of ``exact``."""
    wanted = np.asarray(exact).reshape(-1)
    found = jax.jit(jax.vmap(statistics.mean, in_axes=-1))(jnp.asarray(values))
    distance = (np.asarray(found.value) - wanted) / np.asarray(found.stderr)
    assert np.all(np.abs(distance) < n_sigma), f"standard errors from exact: {distance.round(1)}"


def moments(x):
    """Mean square and mean fourth power of a field."""
    return jnp.stack([jnp.mean(x**2), jnp.mean(x**4)])


def covariance_of(h):
    """Mean and covariance of a Gaussian field, from its quadratic form."""
    n = h.n_sites
    zero = jnp.zeros(h.shape, h.dtype)
    form = np.asarray(jax.hessian(h)(zero), np.float64).reshape(n, n)
    source = -np.asarray(jax.grad(h)(zero), np.float64).reshape(n)
    covariance = np.linalg.inv(form)
    return covariance @ source, covariance
