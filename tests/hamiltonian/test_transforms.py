import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import hadamard

from physdl.hamiltonian import coefficients_of, monomial_basis, table_of
from physdl.spaces import BINARY, SPIN, clock, finite, levels, potts, spin

SPACES = [SPIN, BINARY, spin(1), spin(1.5), levels(1), levels(4), potts(3), clock(4), clock(5)]
RNG = np.random.default_rng(8)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_walsh_hadamard_in_both_directions(n):
    """Point b has spins -(-1)^bit, so each factor of a monomial brings a sign to Hadamard's."""
    table = RNG.normal(size=(2,) * n)
    sign = (-1.0) ** np.array([bin(a).count("1") for a in range(2**n)])
    coefficients = sign * (hadamard(2**n) @ table.reshape(-1)) / 2**n
    given = coefficients_of(jnp.asarray(table), (SPIN,) * n)
    np.testing.assert_allclose(given.reshape(-1), coefficients, atol=1e-15)
    back = hadamard(2**n) @ (sign * coefficients)
    np.testing.assert_allclose(table_of(given, (SPIN,) * n).reshape(-1), back, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_moebius_in_both_directions(n):
    """c_S = sum over subsets T of S of (-1)^(|S| - |T|) f(T), and f(S) = sum of c_T."""
    table = RNG.normal(size=(2,) * n)
    given = np.asarray(coefficients_of(jnp.asarray(table), (BINARY,) * n))
    back = np.asarray(table_of(jnp.asarray(given), (BINARY,) * n))
    for s in itertools.product((0, 1), repeat=n):
        subsets = list(itertools.product(*(range(v + 1) for v in s)))
        moebius = sum((-1) ** (sum(s) - sum(t)) * table[t] for t in subsets)
        assert given[s] == pytest.approx(moebius, abs=1e-14)
        assert back[s] == pytest.approx(sum(given[t] for t in subsets), abs=1e-14)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_basis_monomials_on_the_points(space):
    basis = monomial_basis(space)
    assert len(set(basis.monomials)) == len(basis.monomials) == space.n_states
    for point, row in zip(space.points, basis.values, strict=True):
        expected = [np.prod([point[a] for a in m]) for m in basis.monomials]
        np.testing.assert_allclose(row, expected, atol=1e-15)
    assert np.linalg.matrix_rank(basis.matrix) == space.n_states
    np.testing.assert_allclose(basis.inverse @ basis.matrix, np.eye(space.n_states), atol=1e-12)


def test_basis_is_of_the_lowest_degree():
    known = {
        SPIN: ((), (0,)),
        BINARY: ((), (0,)),
        spin(1): ((), (0,), (0, 0)),
        potts(3): ((), (0,), (1,)),
        clock(4): ((), (0,), (1,), (0, 0)),
        levels(1): ((),),
    }
    assert {space: monomial_basis(space).monomials for space in known} == known
    assert {space: monomial_basis(space).degree for space in known} == {
        space: max(map(len, monomials)) for space, monomials in known.items()
    }


def test_mixed_spaces_and_a_leading_axis():
    spaces = (SPIN, potts(3), finite([0.0, 0.5, 2.0, -1.0]))
    table = RNG.normal(size=(5, 2, 3, 4))
    coefficients = coefficients_of(jnp.asarray(table), spaces)
    assert coefficients.shape == table.shape
    np.testing.assert_allclose(table_of(coefficients, spaces), table, atol=1e-13)
    bases = [monomial_basis(s) for s in spaces]
    value = sum(
        float(coefficients[(2, *index)])
        * np.prod(
            [
                space.points[point][a]
                for space, basis, i, point in zip(spaces, bases, index, (1, 2, 3), strict=True)
                for a in basis.monomials[i]
            ]
        )
        for index in np.ndindex(2, 3, 4)
    )
    assert value == pytest.approx(table[2, 1, 2, 3], abs=1e-13)
