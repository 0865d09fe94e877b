import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, spaces
from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.networks import (
    GELU,
    LOGISTIC,
    SILU,
    SOFTPLUS,
    TANH,
    Network,
    compile_polynomial,
    gates,
)
from physdl.theory.expressivity import taylor_coefficients, taylor_match

LAYOUTS = ("tree", "grouped", "flat", "horner")
rng = np.random.default_rng(11)


def homogeneous(degree, n=3):
    rows = list(itertools.combinations_with_replacement(range(n), degree))
    return Hamiltonian(
        {"t": Sites(rng.normal(size=len(rows)), rows)}, space=spaces.LINE, shape=(n,)
    )


def test_coefficients_of_a_known_series():
    found = taylor_coefficients(lambda x: jnp.exp(2 * x[0]) * jnp.sin(x[1]), (2,), 6)
    assert len(found) == math.comb(8, 2)
    for (j, k), value in found.items():
        sine = 0.0 if k % 2 == 0 else (-1) ** (k // 2) / math.factorial(k)
        assert value == pytest.approx(2**j / math.factorial(j) * sine, abs=1e-14)


def test_coefficients_of_a_polynomial_are_its_own():
    h = homogeneous(2) + Hamiltonian(
        {"f": Sites(rng.normal(size=2), [[0, 1, 1], [2, 2, 2]])}, space=spaces.LINE, shape=(3,)
    )
    assert taylor_match(h, h, 5).deviation < 1e-14


@pytest.mark.parametrize(
    ("activation", "layout", "degree"),
    [(SOFTPLUS, layout, d) for layout in LAYOUTS for d in (1, 2, 3, 4)]
    + [(a, layout, 3) for a in (TANH, SILU, GELU, LOGISTIC) for layout in ("tree", "flat")],
)
def test_networks_of_homogeneous_polynomials_match(activation, layout, degree):
    """Proposition 3.3 read backwards: Taylor coefficients do not depend on the scale of gates."""
    h = homogeneous(degree)
    network, _ = compile_polynomial(h, activation, layout=layout, tolerance=1e3, radius=1.0)
    match = taylor_match(network, h, degree)
    assert match.deviation < 1e-10
    assert match.agrees_to() == degree


def test_the_ising_model_matches_through_three_orders_and_says_by_how_much_not_four():
    k, h = 0.4, models.ising(lattices.square(3, 3), 0.4)
    network, report = compile_polynomial(h, tolerance=0.1, bias="generic")
    match = taylor_match(network, h, 4)
    assert match.agrees_to() == 3
    ((_, bias, scale),) = report.scales
    s = SOFTPLUS.derivatives(bias, 4)
    assert match.deviations[4] == pytest.approx(k * abs(s[4] / (6 * s[2])) * scale**2, rel=1e-6)


def test_fourth_order_gates_match_through_five_orders():
    h = Hamiltonian({"t": Sites(0.7, [[0, 1]])}, space=spaces.SPIN, shape=(2,))
    network, _ = compile_polynomial(h, tolerance=0.1, bias="fourth_order")
    match = taylor_match(network, h, 6)
    assert match.agrees_to() == 5
    assert match.deviations[6] > 1e-9


def test_a_wrong_weight_is_found():
    h = homogeneous(2)
    network, _ = compile_polynomial(h, tolerance=1e3, radius=1.0)
    bent = Network(jax.tree.map(lambda v: v * (1 + 1e-6), network.params), network.graphdef)
    assert taylor_match(network, h, 2).agrees_to() == 2
    assert taylor_match(bent, h, 2).agrees_to() < 2


def test_closeness_does_not_bound_coefficients():
    """Why the uniform lower bounds are unsupported: eps tanh(x / eps^2) is within eps of zero."""
    eps = 1e-2
    match = taylor_match(lambda x: eps * jnp.tanh(x[0] / eps**2), {(1,): 0.0}, 1)
    assert match.deviation == pytest.approx(1 / eps)


def test_hamiltonians_mean_their_expansion():
    """On spins x^2 is 1, so a network of the constant matches."""
    h = Hamiltonian({"t": Sites([1.0], [[0, 0]])}, space=spaces.SPIN, shape=(1,))
    assert taylor_match(lambda x: 1.0 + 0.0 * x[0], h, 3).deviation == 0


def test_shapes_of_vector_spaces():
    h = models.heisenberg(lattices.chain(3), 0.3)
    network, _ = compile_polynomial(h, tolerance=1e3)
    assert taylor_match(network, h, 2).deviation < 1e-10


def test_gates_match_their_monomials():
    for exponents in [(1,), (2,), (1, 1), (2, 1), (1, 1, 1), (4,)]:
        gate = gates.monomial(LOGISTIC, exponents, bias=0.4, scale=1.0)
        n = sum(exponents)
        assert taylor_match(gate, {exponents: 1.0}, n + 2).agrees_to() == n + 1


def test_refusals():
    with pytest.raises(SettingError, match="degree is an integer"):
        taylor_coefficients(lambda x: x[0], (1,), -1)
    with pytest.raises(ShapeError, match="lengths"):
        taylor_match(lambda x: x[0], {(1,): 1.0, (1, 0): 1.0}, 1)
    with pytest.raises(ShapeError, match="one number"):
        taylor_coefficients(lambda x: x, (2,), 1)
    with pytest.raises(TooLargeError, match="lower degree"):
        taylor_coefficients(lambda x: x[0], (100,), 4)
