import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError
from physdl.networks import (
    EXP,
    GELU,
    LOGISTIC,
    SILU,
    SOFTPLUS,
    TANH,
    Activation,
    fourth_order_bias,
    generic_bias,
)

ALL = [SOFTPLUS, TANH, SILU, GELU, LOGISTIC, EXP]

# SCIENCE.md 1.5, computed there with 30 digits: activation, bias, s2, s4, s4 / (6 s2)
TABLE = [
    (SOFTPLUS, 0.0, 0.25, -0.125, -0.0833333),
    (SILU, 0.0, 0.5, -0.5, -0.1666667),
    (GELU, 0.0, 0.79788456, -1.5957691, -0.3333333),
    (LOGISTIC, 1.0, -0.09085775, 0.12350686, -0.2265572),
    (LOGISTIC, float(np.log(2 + np.sqrt(3))), -0.09622504, 0.09622504, -0.1666667),
    (TANH, 0.5, -0.72686198, 3.9522196, -0.9062288),
    (EXP, 0.0, 1.0, 1.0, 0.1666667),
]
FOURTH = [
    (SOFTPLUS, 1.31695789692, 1 / 6),
    (TANH, 1.14621583478, -0.54433105),
    (SILU, 1.03195824178, 0.29252018),
    (GELU, 0.792286991393, 0.39998697),
]


@pytest.mark.parametrize("activation", ALL, ids=repr)
@pytest.mark.parametrize("bias", [0.0, -1.3])
def test_jets_are_nested_derivatives_of_the_function_itself(activation, bias):
    found, f = activation.derivatives(bias, 4), activation.function
    for order in range(5):
        assert found[order] == pytest.approx(float(f(bias)), rel=1e-11, abs=1e-12)
        f = jax.grad(f)


@pytest.mark.parametrize(("activation", "bias", "s2", "s4", "ratio"), TABLE)
def test_known_coefficients(activation, bias, s2, s4, ratio):
    s = activation.derivatives(bias, 4)
    assert s[2] == pytest.approx(s2, rel=1e-7)
    assert s[4] == pytest.approx(s4, rel=1e-7)
    assert s[4] / (6 * s[2]) == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize(("activation", "bias", "s2"), FOURTH)
def test_known_fourth_order_biases(activation, bias, s2):
    found = fourth_order_bias(activation)
    assert found == pytest.approx(bias, abs=1e-11)
    s = activation.derivatives(found, 4)
    assert s[2] == pytest.approx(s2, rel=1e-7)
    assert abs(s[4]) < 1e-12


@pytest.mark.parametrize("activation", ALL, ids=repr)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_fourth_order_biases_of_every_order(activation, order):
    bias = fourth_order_bias(activation, order)
    if activation is EXP:
        assert bias is None
        return
    s = activation.derivatives(bias, order + 2)
    assert abs(s[order + 2]) < 1e-10 * np.abs(s).max()
    assert abs(s[order]) > 1e-3


def test_generic_biases():
    assert [generic_bias(a) for a in (SOFTPLUS, SILU, GELU, EXP)] == [0.0] * 4
    assert generic_bias(LOGISTIC) == pytest.approx(np.log(2 + np.sqrt(3)), abs=1e-12)
    assert np.tanh(generic_bias(TANH)) ** 2 == pytest.approx(1 / 3, abs=1e-12)
    assert generic_bias(TANH, 3) == 0.0


def test_derivatives_are_those_of_float64_without_x64():
    with jax.enable_x64(False):
        assert SOFTPLUS.derivatives(0.0, 4)[4] == pytest.approx(-0.125, abs=1e-15)


def test_biases_may_be_an_array():
    biases = np.array([0.0, 1.0])
    both = GELU.derivatives(biases, 3)
    np.testing.assert_allclose(both[:, 1], GELU.derivatives(1.0, 3), rtol=1e-13)


def test_a_function_with_rules_of_its_own_needs_an_analytic_form():
    with pytest.raises(SettingError, match="analytic="):
        Activation("mine", jax.nn.softplus).derivatives(0.0, 3)


def test_a_piecewise_linear_function_makes_no_gate():
    with pytest.raises(SettingError, match=r"vanishes everywhere.*softplus"):
        generic_bias(Activation("relu", lambda x: jnp.maximum(x, 0.0)))
