import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError
from physdl.networks import EXP, GELU, LOGISTIC, SILU, SOFTPLUS, TANH, fourth_order_bias, gates

ALL = [SOFTPLUS, TANH, SILU, GELU, LOGISTIC, EXP]
SOFT = [SOFTPLUS, TANH, SILU, GELU, LOGISTIC]
rng = np.random.default_rng(0)
POINTS = rng.uniform(-1, 1, size=(2000, 4))


def evaluated(gate, x):
    return np.asarray(jax.jit(jax.vmap(gate))(jnp.asarray(x)))


def relative_error(activation, bias, scale):
    gate = gates.product(activation, bias=bias, scale=scale)
    u, v = 0.8, -0.5
    return abs(float(gate(jnp.array([u, v]))) / (u * v) - 1)


@pytest.mark.parametrize("activation", ALL, ids=repr)
def test_product_is_the_formula_of_the_paper(activation):
    gate = gates.product(activation, bias="generic", scale=0.1)
    u, v = 0.03, 0.05
    s = lambda z: float(activation(jnp.asarray(gate.bias + z)))
    four = s(u + v) + s(-u - v) - s(u - v) - s(v - u)
    expected = four / (4 * activation.derivatives(gate.bias, 2)[2] * 0.1**2)
    assert float(gate(jnp.array([0.3, 0.5]))) == pytest.approx(expected, rel=1e-10)
    assert gate.n_neurons == 4
    assert len(np.unique(np.abs(gate.outer))) == 1
    assert set(np.abs(gate.grid).ravel()) == {1.0}


@pytest.mark.parametrize("activation", ALL, ids=repr)
def test_generic_bias_is_second_order(activation):
    coarse, fine = (relative_error(activation, "generic", s) for s in (0.02, 0.01))
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("activation", SOFT, ids=repr)
def test_special_bias_is_fourth_order(activation):
    coarse, fine = (relative_error(activation, "fourth_order", s) for s in (0.1, 0.05))
    assert np.log2(coarse / fine) == pytest.approx(4, abs=0.05)


def test_known_error_of_softplus():
    gate = gates.product(SOFTPLUS, bias="generic", scale=0.1)
    found = float(gate(jnp.array([0.7, -0.4]))) / (0.7 * -0.4) - 1
    assert found == pytest.approx(-5.4122788e-4, rel=1e-7)


def test_known_error_of_four_factors():
    gate = gates.monomial(LOGISTIC, (1, 1, 1, 1), bias=0.7, scale=0.01)
    x = np.arange(1.0, 5.0)
    assert gate.n_neurons == 16
    assert float(gate(jnp.asarray(x))) / np.prod(x) - 1 == pytest.approx(-1.62234e-3, abs=2e-7)
    assert gate.truncation(x) == pytest.approx(-1.62234e-3, rel=1e-4)


@pytest.mark.parametrize(
    ("exponents", "n"),
    [((1,), 2), ((2,), 3), ((3,), 4), ((1, 1), 4), ((2, 1), 6), ((1, 1, 1), 8), ((2, 3), 12)],
)
@pytest.mark.parametrize("bias", ["generic", "fourth_order"])
def test_monomials_count_their_neurons_and_know_their_error(exponents, n, bias):
    """Counts are m_1 of Rolnick & Tegmark; the error is that of the running gate."""
    scale = 0.08 if sum(exponents) < 4 else 0.05
    gate = gates.monomial(TANH, exponents, bias=bias, scale=scale)
    assert gate.n_neurons == n == len(gate.outer)
    x = POINTS[:, : len(exponents)]
    exact = np.prod(x ** np.array(exponents), axis=1)
    error = evaluated(gate, x) - exact
    predicted = exact * gate.truncation(x)
    assert np.abs(error - predicted).max() < 0.02 * np.abs(error).max()
    assert np.abs(error).max() <= 1.01 * gate.largest_truncation


@pytest.mark.parametrize("activation", ALL, ids=repr)
@pytest.mark.parametrize("bias", ["generic", "fourth_order"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_predicted(activation, bias, dtype):
    """At the best scale the measured error is below the bound and not far below."""
    if bias == "fourth_order" and fourth_order_bias(activation) is None:
        pytest.skip("exp has no fourth-order bias")
    scale = gates.optimal_scale(dtype, activation, bias=bias)
    gate = gates.product(activation, bias=bias, scale=scale)
    with jax.enable_x64(dtype == np.float64):
        x = np.asarray(POINTS[:, :2], dtype)
        found = evaluated(gate, x)
    assert found.dtype == dtype
    x = x.astype(np.float64)
    exact = np.prod(x, axis=1)
    error = found - exact
    rounding = np.std(error - exact * gate.truncation(x))
    assert 0.25 < rounding / gate.rounding(dtype) < 1.5
    assert np.abs(error).max() < gate.largest_truncation + 4 * gate.rounding(dtype)


@pytest.mark.parametrize(("dtype", "floor"), [(np.float32, 3.6e-4), (np.float64, 1.5e-8)])
def test_known_floors_of_softplus(dtype, floor):
    """SCIENCE.md 0.8: the least of the largest error on the square, over all scales."""
    gate = gates.product(SOFTPLUS, bias="generic", scale=gates.optimal_scale(dtype))
    with jax.enable_x64(dtype == np.float64):
        x = np.asarray(POINTS[:, :2], dtype)
        error = evaluated(gate, x) - np.prod(x.astype(np.float64), axis=1)
    assert floor / 1.5 < np.abs(error).max() < 1.5 * floor


def test_optimal_scales():
    assert gates.optimal_scale(np.float32) == pytest.approx(0.03, rel=0.3)
    assert gates.optimal_scale(np.float64) == pytest.approx(1.8e-4, rel=0.3)
    ratio = gates.optimal_scale(np.float32) / gates.optimal_scale(np.float64)
    assert np.log2(ratio) == pytest.approx(29 / 4, abs=0.2)
    special = [gates.optimal_scale(d, bias="fourth_order") for d in (np.float32, np.float64)]
    assert np.log2(special[0] / special[1]) == pytest.approx(29 / 6, abs=0.2)


def test_derivative_of_a_gate_is_that_of_the_product():
    gate = gates.product(SOFTPLUS)
    found = np.asarray(jax.grad(gate)(jnp.array([0.3, -0.8])))
    np.testing.assert_allclose(found, [-0.8, 0.3], atol=1e-9)


@pytest.mark.parametrize(("beta", "error"), [(10.0, 6.6929e-3), (20.0, 4.5398e-5)])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_bit_gate_has_the_known_error(k, beta, error):
    gate = gates.BitGate(k, beta)
    bits = np.array(list(itertools.product([0, 1], repeat=k)))
    worst = np.abs(evaluated(gate, bits) - np.prod(bits, axis=1)).max()
    assert worst == pytest.approx(error, rel=1e-4)
    assert worst == pytest.approx(gate.largest_error, rel=1e-12)


def test_bit_gate_needs_twice_the_steepness_of_the_paper():
    assert gates.bit_product(3, decimals=3).largest_error == pytest.approx(1.0e-3, rel=0.01)
    short = gates.BitGate(3, 3 * np.log(10))
    assert short.largest_error == pytest.approx(3.07e-2, rel=1e-2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gates.product(TANH, bias=0.0), r"order 2 of tanh vanishes.*bias=0\.6584789"),
        (lambda: gates.product(LOGISTIC, bias=0.0), r"vanishes.*bias=1\.316958"),
        (lambda: gates.monomial(SOFTPLUS, (1, 1, 1), bias=0.0), "order 3 of softplus vanishes"),
        (
            lambda: gates.product(EXP, bias="fourth_order"),
            r"order 4 vanishes.*'generic' \(0\)",
        ),
        (lambda: gates.product(TANH, bias="best"), "'fourth_order', got 'best'"),
        (lambda: gates.product(TANH, scale=0.0), "> 0, got 0.0"),
        (lambda: gates.monomial(TANH, ()), "integers >= 1"),
        (lambda: gates.monomial(TANH, (1, 0)), "integers >= 1"),
        (lambda: gates.bit_product(0, decimals=3), "at least one factor"),
        (lambda: gates.bit_product(2, decimals=0), "> 0, got 0"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_square_and_identity():
    x = jnp.array([0.6])
    square, identity = gates.square(SILU), gates.identity(TANH)
    assert (square.n_neurons, identity.n_neurons) == (3, 2)
    assert float(square(x)) == pytest.approx(0.36, abs=1e-9)
    assert float(identity(x)) == pytest.approx(0.6, abs=1e-11)
