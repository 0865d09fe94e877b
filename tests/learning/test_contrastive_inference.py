"""Hamiltonians inferred by chains, against exact maximum likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, learning, models, sampling
from physdl.errors import PhysdlError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.spaces import LINE

LADDER = sampling.ParallelTempering(sampling.HeatBath(), jnp.linspace(0, 1, 4))
METHODS = {
    "ladder": learning.PCD(n_chains=200, kernel=LADDER),
    "chains": learning.PCD(n_chains=200, k=5),
    "data": learning.CD(5),
}


def flat(h):
    return np.asarray(jax.flatten_util.ravel_pytree(h)[0])


@pytest.fixture(scope="module")
def torus():
    h = models.ising(lattices.square(4, 4), 0.3, 0.1)
    x = np.asarray(sampling.exact_sample(h, n=4000, key=jax.random.key(0)).states[:, 0])
    return h, x, learning.maximum_likelihood(x, h)


@pytest.mark.parametrize(
    "method", [pytest.param("ladder", marks=pytest.mark.slow), "chains", "data"]
)
def test_chains_find_the_maximum_of_the_likelihood(torus, method):
    """Within the errors of the data, which the chains' own are well below."""
    h, x, exact = torus
    found = learning.contrastive_divergence(x, h, method=METHODS[method], key=jax.random.key(1))
    error = flat(exact.stderr)
    assert learning.InferenceStatus(int(found.status)).name == "OK"
    np.testing.assert_array_less(np.abs(flat(found.hamiltonian) - flat(exact.hamiltonian)), error)
    np.testing.assert_allclose(flat(found.stderr), error, rtol=0.15)
    assert float(found.objective) == pytest.approx(float(exact.objective), abs=0.05)
    assert float(found.complexity) == pytest.approx(2, rel=0.15)


@pytest.mark.slow
def test_a_field_on_the_line():
    """Gaussian samples: the maximum of the likelihood is known."""
    sites = np.arange(3)[:, None]
    family = Hamiltonian(
        {
            "square": Sites(jnp.full(3, 0.5), np.repeat(sites, 2, 1)),
            "linear": Sites(jnp.zeros(3), sites),
        },
        space=LINE,
        shape=(3,),
    )
    x = np.random.default_rng(0).normal(0.5, [0.8, 1.0, 1.3], (4000, 3))
    found = learning.contrastive_divergence(x, family, key=jax.random.key(0))
    exact = learning.score_matching(x, family)
    np.testing.assert_array_less(
        np.abs(flat(found.hamiltonian) - flat(exact.hamiltonian)), 2 * flat(exact.stderr)
    )


def test_steps_that_are_too_few_are_told(torus):
    h, x, _ = torus
    found = learning.contrastive_divergence(x, h, n_steps=3, key=jax.random.key(1))
    assert learning.InferenceStatus(int(found.status)).name == "UNCONVERGED"


def test_what_is_refused(torus):
    h, x, _ = torus
    for samples, settings in (
        (np.ones((10, 4, 4)), {}),
        (x[:10], {"l2": -1.0}),
        (x[:10], {"method": learning.Tempered()}),
        (x[:10], {"method": learning.MeanField()}),
        (x[:10], {"batch_size": 11}),
    ):
        with pytest.raises(PhysdlError):
            learning.contrastive_divergence(samples, h, key=jax.random.key(0), **settings)
