import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import compiled
from scipy import special

from physdl.numerics import eigh, full_precision, log_or_zero, logsumexp, qr, rescale, svd

INF = np.inf
VALUES = np.random.default_rng(0).normal(size=(3, 4, 5))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), [1, 2], (0, 1, 2)])
def test_logsumexp(axis):
    expected = special.logsumexp(VALUES, axis=tuple(axis) if isinstance(axis, list) else axis)
    np.testing.assert_allclose(logsumexp(jnp.asarray(VALUES), axis=axis), expected, rtol=1e-15)


@pytest.mark.parametrize("shift", [-1e4, 1e4, 1e300])
def test_logsumexp_does_not_overflow(shift):
    expected = shift + np.log(2) if abs(shift) < 1e5 else shift
    assert float(logsumexp(jnp.array([shift, shift]))) == pytest.approx(expected, rel=1e-15)


def test_logsumexp_without_terms_or_weight():
    assert logsumexp(jnp.zeros(0)) == -INF
    assert logsumexp(jnp.array([-INF, -INF])) == -INF
    assert logsumexp(jnp.array([[-INF, -INF], [0.0, -INF]]), axis=1).tolist() == [-INF, 0.0]
    assert logsumexp(jnp.array([INF, 0.0])) == INF
    assert np.isnan(logsumexp(jnp.array([np.nan, 0.0])))


def test_derivatives_of_logsumexp():
    a = jnp.array([0.3, -INF, 1.2])
    p = special.softmax([0.3, -INF, 1.2])
    np.testing.assert_allclose(jax.grad(logsumexp)(a), p, rtol=1e-15)
    hessian = compiled(jax.hessian(logsumexp))(a)
    np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), atol=1e-15)
    forward = jax.jacfwd(logsumexp)(a)
    np.testing.assert_allclose(forward, p, rtol=1e-15)


def test_derivatives_without_weight_are_zero():
    nothing = jnp.array([-INF, -INF])
    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        assert not np.any(np.asarray(compiled(derivative(logsumexp))(nothing)))


def test_log_or_zero():
    x = jnp.array([0.0, 1.0, 4.0])
    assert log_or_zero(x).tolist() == [-INF, 0.0, float(np.log(4.0))]
    slope = jax.vmap(jax.grad(log_or_zero))(x)
    assert slope.tolist() == [0.0, 1.0, 0.25]
    assert jax.grad(jax.grad(log_or_zero))(0.0) == 0.0
    assert np.isnan(log_or_zero(jnp.nan))


def test_rescale():
    x = jnp.array([[1.0, -4.0], [2.0, 0.0]])
    scaled, log_scale = rescale(x)
    assert float(log_scale) == float(np.log(4.0))
    assert scaled.tolist() == [[0.25, -1.0], [0.5, 0.0]]


def test_rescale_of_nothing():
    for x in (jnp.zeros(3), jnp.zeros((0, 2))):
        scaled, log_scale = rescale(x)
        assert scaled.tolist() == x.tolist()
        assert log_scale == 0.0


def test_rescale_cancels_in_the_derivative_of_a_homogeneous_function():
    def log_norm(x):
        scaled, log_scale = rescale(x)
        return jnp.log(jnp.sum(scaled)) + log_scale

    x = jnp.array([1.0, 2.0, 5.0])
    assert float(log_norm(1e300 * x)) == pytest.approx(np.log(8) + 300 * np.log(10))
    np.testing.assert_allclose(jax.grad(log_norm)(x), np.ones(3) / 8, rtol=1e-15)


def test_single_precision():
    with jax.enable_x64(False):
        out = logsumexp(jnp.array([100.0, 100.0]))
        assert out.dtype == jnp.float32
        assert float(out) == pytest.approx(100 + np.log(2), rel=1e-6)
        assert rescale(jnp.ones(2))[1].dtype == jnp.float32


def test_batches_of_decompositions_do_not_wait_for_each_other():
    """Several batches at a time, larger than what a thread does alone: they end."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 160, 120)))

    @jax.jit
    def all_of_them(x):
        squares = x.mT @ x
        return [
            (jax.vmap(svd)(x[i]), jax.vmap(qr)(x[i]), jax.vmap(eigh)(squares[i])) for i in range(3)
        ]

    for i, ((u, s, vt), (q, r), (values, vectors)) in enumerate(all_of_them(x)):
        np.testing.assert_allclose((u[..., :120] * s[:, None]) @ vt, x[i], atol=1e-12)
        np.testing.assert_allclose(q @ r, x[i], atol=1e-12)
        np.testing.assert_allclose(values[:, ::-1], s**2, rtol=1e-10)
        np.testing.assert_allclose(
            (vectors * values[:, None]) @ vectors.mT, x[i].mT @ x[i], atol=1e-10
        )


def test_full_precision_reaches_derivatives():
    def f(x):
        return jnp.sum(x @ jnp.sin(x @ x))

    x = jnp.eye(2)
    for function in (f, jax.grad(f)):
        assert "HIGHEST" not in str(jax.make_jaxpr(function)(x))
        asking = full_precision(f) if function is f else jax.grad(full_precision(f))
        written = str(jax.make_jaxpr(asking)(x))
        assert written.count("HIGHEST, Precision.HIGHEST") == written.count("dot_general") > 0
