import functools
import itertools
import math
import operator

import jax
import numpy as np
import pytest
import scipy.sparse as sp

from physdl.errors import SettingError, ShapeError
from physdl.theory.expressivity import (
    LinearFlattening,
    butterfly_fft,
    flatten_linear,
    low_rank,
    sparse_product,
    sparse_product_cost,
    strassen,
    strassen_synapses,
)

rng = np.random.default_rng(8)


def product(factors):
    return functools.reduce(operator.matmul, factors)


@pytest.mark.parametrize("n", [2, 4, 8, 64, 1024])
def test_butterflies_multiply_to_the_fourier_transform(n):
    factors = butterfly_fft(n)
    assert all(f.nnz == 2 * n for f in factors)
    place = np.arange(n)
    dft = np.exp(-2j * np.pi * (np.outer(place, place) % n) / n)
    assert np.abs(product(factors).toarray() - dft).max() < 1e-12
    x = rng.normal(size=n) + 1j * rng.normal(size=n)
    moved = functools.reduce(lambda v, f: f @ v, factors[::-1], x)
    assert np.abs(moved - np.fft.fft(x)).max() < 1e-12 * n


@pytest.mark.parametrize(
    ("n", "deep", "flat", "cost"), [(64, 768, 4096, 5.333), (1024, 20_480, 1_048_576, 51.2)]
)
def test_what_the_fourier_transform_saves(n, deep, flat, cost):
    counted = flatten_linear(butterfly_fft(n))
    assert counted == LinearFlattening(deep, flat)
    assert counted.cost == pytest.approx(cost, abs=5e-4)
    assert counted.cost == n / (2 * math.log2(n))


@pytest.mark.parametrize(("n", "rank"), [(10, 1), (100, 4), (64, 64), (300, 7)])
def test_low_rank(n, rank):
    factors = low_rank(n, rank, key=jax.random.key(n))
    assert flatten_linear(factors).cost == n / (2 * rank)
    assert np.linalg.matrix_rank(product(factors).toarray()) == rank


@pytest.mark.parametrize(
    ("n", "density", "formula"), [(200, 0.1, 4.3301), (500, 0.05, 7.1394), (1000, 0.05, 9.1817)]
)
def test_sparse_products_follow_equation_27(n, density, formula):
    assert sparse_product_cost(n, density) == pytest.approx(formula, abs=5e-5)
    keys = jax.random.split(jax.random.key(27), 8)
    costs = [flatten_linear(sparse_product(n, density, key=k)).cost for k in keys]
    stderr = np.std(costs, ddof=1) / math.sqrt(len(costs))
    assert abs(np.mean(costs) - formula) < 3 * stderr
    assert stderr < 0.01


def test_sparse_products_saturate():
    assert sparse_product_cost(10**6, 0.05) == pytest.approx(1 / (2 * 0.05))


def test_cancellations_are_zeros():
    one = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(3)
    assert flatten_linear([one, one]) == LinearFlattening(8, 2)
    a = 0.1 * np.array([[1.0, 2.0]])
    assert flatten_linear([a, np.array([[0.6], [-0.3]])]).flat == 0


def test_dense_and_sparse_factors_mix():
    w = rng.normal(size=(5, 5))
    assert flatten_linear([w]) == flatten_linear([sp.csr_array(w)]) == LinearFlattening(25, 25)
    assert flatten_linear([w, sp.eye_array(5)]).deep == 30


@pytest.mark.parametrize(
    ("n", "levels"), [(2, None), (4, None), (16, None), (4, 1), (6, 1), (12, 2), (16, 2)]
)
def test_strassen_multiplies(n, levels):
    a, x = rng.normal(size=(2, n, n))
    factors = strassen(a, levels=levels)
    moved = functools.reduce(lambda v, f: f @ v, factors[::-1], x.reshape(-1))
    assert np.abs(moved.reshape(n, n) - a @ x).max() < 1e-11
    assert flatten_linear(factors) == strassen_synapses(n, levels=levels)
    assert flatten_linear(factors).flat == n**3


def test_strassen_takes_seven_products():
    factors = strassen(rng.normal(size=(8, 8)))
    assert len(factors) == 7
    assert factors[3].shape == (343, 343)
    assert factors[3].nnz == 343


def test_strassen_has_his_exponent():
    """Measured between sizes; the constant is 9, the correction 8 n^2."""
    counts = [sum(f.nnz for f in strassen(rng.normal(size=(2**k, 2**k)))) for k in range(1, 6)]
    assert counts == [strassen_synapses(2**k).deep for k in range(1, 6)]
    exponents = [math.log2(b / a) for a, b in itertools.pairwise(counts)]
    errors = [e - math.log2(7) for e in exponents]
    assert all(0 < b < a for a, b in itertools.pairwise(errors))
    assert errors[-1] < 0.08
    large = [strassen_synapses(2**k).deep for k in (29, 30)]
    assert math.log2(large[1] / large[0]) == pytest.approx(math.log2(7), abs=1e-6)


def test_where_strassen_pays():
    full = [strassen_synapses(2**k).cost for k in range(1, 25)]
    assert next(k for k, c in enumerate(full, 1) if c > 1) == 17
    once = {n: strassen_synapses(n, levels=1).cost for n in range(2, 65, 2)}
    assert once[48] == 1
    assert min(n for n, c in once.items() if c > 1) == 50


def test_refusals():
    with pytest.raises(ShapeError, match="fit each other"):
        flatten_linear([np.eye(2), np.eye(3)])
    with pytest.raises(ShapeError, match="fit each other"):
        flatten_linear([])
    with pytest.raises(SettingError, match="zeros"):
        flatten_linear([np.zeros((2, 2))])
    with pytest.raises(SettingError, match="length 2, 4, 8"):
        butterfly_fft(12)
    with pytest.raises(SettingError, match="rank"):
        low_rank(4, 5, key=jax.random.key(0))
    with pytest.raises(SettingError, match="density"):
        sparse_product(4, 0.0, key=jax.random.key(0))
    with pytest.raises(ShapeError, match="cannot be halved to single numbers"):
        strassen(np.eye(6))
    with pytest.raises(ShapeError, match="halved 2 times"):
        strassen(np.eye(6), levels=2)
    with pytest.raises(ShapeError, match="square matrix"):
        strassen(np.ones((4, 2)))
    with pytest.raises(SettingError, match="at least one level"):
        strassen_synapses(4, levels=0)
