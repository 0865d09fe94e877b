"""Mean-field inversions against exact correlations: trees, pairs, and orders of the error."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import learning
from physdl.errors import PhysdlError

METHODS = ("naive", "tap", "pairs", "bethe", "sessak-monasson")


def moments(field, coupling):
    """Means and connected correlations by enumeration."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=len(field))))
    log_p = x @ field + np.einsum("si,ij,sj->s", x, coupling, x) / 2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    m = p @ x
    return m, (x * p[:, None]).T @ x - np.outer(m, m)


def glass(n, scale, seed=0):
    rng = np.random.default_rng(seed)
    j = np.triu(rng.normal(size=(n, n)), 1) * scale
    return rng.normal(size=n) * 0.5, j + j.T


def test_bethe_is_exact_on_a_tree():
    field, dense = glass(8, 0.7)
    coupling = np.zeros((8, 8))
    for child, parent in enumerate((0, 0, 1, 1, 2, 2, 5), start=1):
        coupling[child, parent] = coupling[parent, child] = dense[child, parent]
    h, j = learning.mean_field_couplings(*moments(field, coupling), "bethe")
    np.testing.assert_allclose(j, coupling, atol=1e-9)
    np.testing.assert_allclose(h, field, atol=1e-9)


@pytest.mark.parametrize("method", ["pairs", "bethe", "sessak-monasson"])
def test_two_spins_are_exact(method):
    field, coupling = glass(2, 0.8)
    _, j = learning.mean_field_couplings(*moments(field, coupling), method)
    np.testing.assert_allclose(j, coupling, atol=1e-12)


@pytest.mark.parametrize(("method", "order"), [("naive", 2), ("pairs", 2), ("tap", 3)])
def test_order_of_the_error(method, order):
    errors = []
    for scale in (0.01, 0.02):
        field, coupling = glass(6, scale)
        _, j = learning.mean_field_couplings(*moments(field, coupling), method)
        errors.append(np.abs(j - coupling).max())
    assert np.log2(errors[1] / errors[0]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_fields_satisfy_their_equation_of_weak_couplings(method):
    field, coupling = glass(6, 0.02)
    h, _ = learning.mean_field_couplings(*moments(field, coupling), method)
    np.testing.assert_allclose(h, field, atol=3e-3)


def test_from_samples_and_by_derivatives():
    rng = np.random.default_rng(1)
    x = rng.choice([-1.0, 1.0], size=(4000, 5), p=[0.4, 0.6])
    for method in METHODS:
        found = learning.mean_field(x, method)
        assert np.abs(found.terms["degree 2"].coefficient).max() < 5 / np.sqrt(4000)
        np.testing.assert_allclose(found.terms["degree 1"].coefficient, -np.arctanh(0.2), atol=0.1)
        m, c = moments(*glass(4, 0.1))
        slope = jax.jacfwd(lambda c, m=m, k=method: learning.mean_field_couplings(m, c, k)[1])(
            jnp.asarray(c)
        )
        assert np.all(np.isfinite(slope))


def test_refuses():
    with pytest.raises(PhysdlError, match="did you mean 'naive'"):
        learning.mean_field_couplings([0.0], [[1.0]], "naiv")
    with pytest.raises(PhysdlError, match="go with"):
        learning.mean_field_couplings([0.0, 0.0], [[1.0]])
    with pytest.raises(PhysdlError, match="between"):
        learning.mean_field_couplings([1.0], [[0.0]])
    with pytest.raises(PhysdlError, match="one value"):
        learning.mean_field(np.ones((5, 2)))
    with pytest.raises(PhysdlError, match="none of the values"):
        learning.mean_field(np.zeros((5, 2)))
