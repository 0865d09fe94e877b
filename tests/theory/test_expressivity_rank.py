import itertools
import math

import mpmath
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.networks import EXP, LOGISTIC, SOFTPLUS, TANH, Activation, gates
from physdl.theory.expressivity import leading_error, shallow_rank, taylor_match

SQUARE = Activation("square", lambda u: u * u)
CUBE = Activation("cube", lambda u: u * u * u)
PRIME = 2**31 - 1


def signs(n):
    return np.array(list(itertools.product((1, -1), repeat=n)), float).T


def rank_modulo_prime(matrix):
    """Rank of an integer matrix over the field of a large prime, by elimination."""
    rows = [[int(v) % PRIME for v in row] for row in matrix]
    rank = 0
    for column in range(len(rows[0])):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        inverse = pow(rows[rank][column], -1, PRIME)
        for r in range(rank + 1, len(rows)):
            factor = rows[r][column] * inverse % PRIME
            if factor:
                new = zip(rows[r], rows[rank], strict=True)
                rows[r] = [(a - factor * b) % PRIME for a, b in new]
        rank += 1
    return rank


def subset_products(first_layer, exponents):
    below = itertools.product(*(range(r + 1) for r in exponents))
    columns = np.array(first_layer).T.astype(int).tolist()
    return [
        [math.prod(int(a) ** k for a, k in zip(col, ks, strict=True)) for col in columns]
        for ks in below
    ]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_sign_patterns_have_rank_two_to_the_n(n):
    first = signs(n)
    certificate = shallow_rank((1,) * n, first, EXP)
    assert certificate.rank == certificate.needed == certificate.n_neurons == 2**n
    assert rank_modulo_prime(subset_products(first, (1,) * n)) == 2**n
    assert certificate.applies and certificate.necessary and certificate.sufficient
    assert certificate.verdict == f"possible: rank {2**n} = {2**n}, and a second layer exists."


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_one_neuron_less_is_impossible(n):
    """Without any one sign pattern, and for every first layer that chance proposes."""
    rng = np.random.default_rng(n)
    for column in range(2**n):
        certificate = shallow_rank((1,) * n, np.delete(signs(n), column, axis=1), EXP)
        assert certificate.rank == 2**n - 1
        assert not certificate.necessary and not certificate.sufficient
        assert certificate.residual > 1e-3
    for _ in range(20):
        certificate = shallow_rank((1,) * n, rng.normal(size=(n, 2**n - 1)), EXP)
        assert certificate.verdict.startswith("impossible")
        assert not certificate.sufficient


@pytest.mark.parametrize("exponents", [(2,), (3, 1), (2, 2), (2, 1, 1), (5,), (1, 2, 3), (10,)])
def test_powers(exponents):
    m = math.prod(r + 1 for r in exponents)
    first = gates.monomial(EXP, exponents, bias=0.0, scale=1.0).grid
    certificate = shallow_rank(exponents, first, EXP)
    assert (certificate.needed, certificate.rank, certificate.n_neurons) == (m, m, m)
    assert rank_modulo_prime(subset_products(first, exponents)) == m
    assert certificate.sufficient
    fewer = shallow_rank(exponents, first[:, :-1], EXP)
    assert fewer.rank == m - 1 and not fewer.necessary and not fewer.sufficient


def test_a_constant_neuron_counts():
    """x^2 in the Taylor sense takes three neurons, one of them s(b) itself."""
    assert shallow_rank((2,), [[1.0, -1.0, 0.0]], SOFTPLUS).sufficient
    assert not shallow_rank((2,), [[1.0, -1.0]], SOFTPLUS).sufficient


@pytest.mark.parametrize("n", [2, 3])
def test_full_rank_is_necessary_and_not_sufficient(n):
    first = np.random.default_rng(3).normal(size=(n, 2**n))
    certificate = shallow_rank((1,) * n, first, EXP)
    assert certificate.necessary and not certificate.sufficient
    assert "no second layer fits" in certificate.verdict


@pytest.mark.parametrize("n", [2, 3])
def test_enough_random_neurons_suffice(n):
    """As many as there are monomials, C(2 n, n)."""
    first = np.random.default_rng(4).normal(size=(n, math.comb(2 * n, n)))
    assert shallow_rank((1,) * n, first, EXP).sufficient


def test_negative_control_a_pure_square_needs_two():
    certificate = shallow_rank((1, 1), [[1.0, 1.0], [1.0, -1.0]], SQUARE)
    assert not certificate.applies
    assert certificate.vanishing == (0, 1)
    assert certificate.sufficient and certificate.rank < certificate.needed
    assert certificate.verdict.startswith("the theorem does not apply")
    x, y = 0.3, -1.7
    assert ((x + y) ** 2 - (x - y) ** 2) / 4 == pytest.approx(x * y)


def test_negative_control_a_pure_cube_needs_four():
    """Waring rank 2^{n-1}: the sign patterns up to a common sign; three cubes never do."""
    first = signs(3)[:, :4]
    assert shallow_rank((1, 1, 1), first, CUBE).sufficient
    rng = np.random.default_rng(6)
    for _ in range(50):
        assert not shallow_rank((1, 1, 1), rng.normal(size=(3, 3)), CUBE).sufficient


def test_tanh_without_bias_is_outside_the_theorem():
    certificate = shallow_rank((1, 1), signs(2), TANH)
    assert certificate.vanishing == (0, 2)
    assert not certificate.sufficient
    assert shallow_rank((1, 1), signs(2), TANH, bias=0.5).sufficient


@pytest.mark.parametrize("activation", [EXP, SOFTPLUS, LOGISTIC], ids=repr)
def test_the_construction_has_the_taylor_coefficients(activation):
    """The certificate says yes, and the network exists: its coefficients by differentiation."""
    gate = gates.monomial(activation, (1, 1, 1), bias=0.7, scale=1.0)
    assert shallow_rank((1, 1, 1), gate.grid, activation, bias=0.7).sufficient
    assert taylor_match(gate, {(1, 1, 1): 1.0}, 4).deviation < 1e-12


def relative_error_of_signs(derivative_order, bias, x):
    """2^-n s_n^-1 sum_s (prod s) s(b + s . x) / prod x - 1 for the logistic function."""
    mpmath.mp.dps = 60
    logistic = lambda u: 1 / (1 + mpmath.exp(-u))
    v = [mpmath.mpf(t) for t in x]
    total = mpmath.mpf(0)
    for e in itertools.product((1, -1), repeat=len(v)):
        step = sum(s * t for s, t in zip(e, v, strict=True))
        total += math.prod(e) * logistic(mpmath.mpf(bias) + step)
    scale = 2 ** len(v) * mpmath.diff(logistic, mpmath.mpf(bias), derivative_order)
    return float(total / scale / mpmath.fprod(v) - 1)


def test_four_factors_by_the_logistic_function():
    x = ["0.01", "0.02", "0.03", "0.04"]
    exact = relative_error_of_signs(4, "0.7", x)
    assert exact == pytest.approx(-1.62234e-3, abs=5e-9)
    gate = gates.monomial(LOGISTIC, (1,) * 4, bias=0.7, scale=1.0)
    numbers = np.array(x, float)
    assert leading_error(gate, numbers) == pytest.approx(-1.62404e-3, abs=5e-9)
    assert gate.truncation(numbers) == pytest.approx(exact, rel=1e-7)
    assert float(gate(numbers)) / np.prod(numbers) - 1 == pytest.approx(exact, abs=1e-8)


def test_the_leading_error_leads():
    gate = gates.monomial(LOGISTIC, (1,) * 3, bias=0.7, scale=1.0)
    x = np.array([0.3, -0.5, 0.4])
    gaps = []
    for t in (0.1, 0.05):
        exact = relative_error_of_signs(3, "0.7", [str(t * v) for v in x])
        gaps.append(abs(exact - leading_error(gate, t * x)))
    assert math.log2(gaps[0] / gaps[1]) == pytest.approx(4, abs=0.05)


def test_refusals():
    with pytest.raises(SettingError, match="integers >= 1"):
        shallow_rank((1, 0), signs(2), EXP)
    with pytest.raises(ShapeError, match="first layer of 3 inputs"):
        shallow_rank((1, 1, 1), signs(2), EXP)
    with pytest.raises(TooLargeError, match="smaller monomial"):
        shallow_rank((1,) * 12, np.ones((12, 20)), EXP)
