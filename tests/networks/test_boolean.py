import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.networks import compile_boolean
from physdl.spaces import BINARY

rng = np.random.default_rng(1)


def inputs(n):
    return np.array(list(itertools.product([0, 1], repeat=n)))


def evaluated(network, n):
    return np.asarray(jax.vmap(network)(jnp.asarray(inputs(n), float)))


@pytest.mark.parametrize("tolerance", [0.1, 1e-3, 1e-9])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_any_function_of_bits(n, tolerance):
    table = rng.normal(size=(2,) * n)
    network, report = compile_boolean(table, tolerance=tolerance)
    error = np.abs(evaluated(network, n) - table.reshape(-1)).max()
    assert error < tolerance
    assert report.ok
    assert report.neurons == 2**n - 1
    assert report.synapses == n * 2 ** (n - 1) + 2**n - 1
    assert report.depth == 1
    assert 0.5 < report.measured_error / report.predicted_error < 2


def test_without_a_tolerance_floating_point_sees_no_error():
    table = rng.normal(size=16)
    network, report = compile_boolean(table)
    assert report.measured_error <= report.precision_floor < 1e-13
    np.testing.assert_allclose(evaluated(network, 4), table, atol=1e-14)


def test_monomials_are_the_moebius_transform():
    """Parity of three bits: c_K = (-2)^(k - 1). The and: one monomial. Majority: four."""
    bits = inputs(3)
    parity, report = compile_boolean(bits.sum(axis=1) % 2, tolerance=1e-3)
    weights = np.asarray(parity.params["output"]["weight"][...])
    np.testing.assert_allclose(weights, [1, 1, 1, -2, -2, -2, 4], atol=1e-12)
    assert report.neurons == 7
    assert compile_boolean(bits.prod(axis=1))[1].neurons == 1
    assert compile_boolean(bits.sum(axis=1) >= 2)[1].neurons == 4


def test_steepness_is_that_of_the_decimals():
    """One monomial to D decimals needs beta = 2 D log 10, not D log 10 (SCIENCE.md 0.1)."""
    network, report = compile_boolean(inputs(3).prod(axis=1), tolerance=1e-3)
    ((_, _, beta),) = report.scales
    assert beta == pytest.approx(2 * math.log(10**3 - 1), rel=1e-12)
    assert beta == pytest.approx(2 * 3 * math.log(10), rel=1e-3)
    error = np.abs(evaluated(network, 3) - inputs(3).prod(axis=1)).max()
    assert error == pytest.approx(1e-3, rel=1e-9)


def test_hamiltonians_of_bits():
    table = np.array([[0, 1, 2], [2, 3, 4], [1, 4, 5]])
    h = Hamiltonian(
        {"t": Sites(rng.normal(size=3), table), "f": Sites(0.3, np.arange(6)[:, None])},
        space=BINARY,
        shape=(2, 3),
    )
    network, report = compile_boolean(h, tolerance=1e-6)
    assert report.neurons == 9
    x = jnp.asarray(inputs(6).reshape(-1, 2, 3), float)
    np.testing.assert_allclose(jax.vmap(network)(x), jax.vmap(h)(x), atol=1e-6)


def test_constants_have_no_neurons():
    network, report = compile_boolean([2.5, 2.5])
    assert (report.neurons, report.depth) == (0, 0)
    assert float(network(jnp.array([1]))) == 2.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: compile_boolean([1.0, 2.0, 3.0]), ShapeError, r"2\^n finite values"),
        (lambda: compile_boolean([1.0, np.nan]), ShapeError, r"2\^n finite values"),
        (lambda: compile_boolean([1.0, 2.0], tolerance=-1), SettingError, "> 0, got -1"),
        (
            lambda: compile_boolean(models.ising(lattices.chain(3), 1.0)),
            SpaceError,
            "use compile_polynomial",
        ),
        (
            lambda: jax.jit(lambda t: compile_boolean(t)[0](jnp.ones(1)))(jnp.ones(2)),
            StructureError,
            "outside of jit",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
