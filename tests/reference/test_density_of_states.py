"""Exact numbers of states against enumeration, a transfer matrix of polynomials, and Kaufman."""

import math

import numpy as np
import pytest

from physdl.errors import SettingError
from physdl.reference import kaufman_log_z
from physdl.reference.density_of_states import ising_density_of_states

SIZES = [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (4, 3), (4, 4), (1, 5), (3, 5), (5, 3)]


def counted(rows, cols):
    """E of all configurations, counted."""
    bits = (np.arange(2 ** (rows * cols))[:, None] >> np.arange(rows * cols)) & 1
    s = (1 - 2 * bits).reshape(-1, rows, cols)
    energy = -(s * np.roll(s, -1, axis=1) + s * np.roll(s, -1, axis=2)).sum((1, 2))
    levels, counts = np.unique(energy, return_counts=True)
    return dict(zip(levels.tolist(), counts.tolist(), strict=True))


def by_transfer_matrix(side):
    """Polynomials in y^2 with y = exp(-2K), one for each pair of first and last rows, python ints.

    Rows are states of ``side`` bits; unsatisfied bonds are counted within and between them.
    """
    n = 2**side
    bits = (np.arange(n)[:, None] >> np.arange(side)) & 1
    within = (bits != np.roll(bits, -1, axis=1)).sum(1)
    between = (bits[:, None] != bits[None]).sum(2)
    n_levels = 2 * side * side + 1
    # ways[first, last, k]: one row after the other; counts below 2^63 for side 4.
    ways = np.zeros((n, n, n_levels), dtype=object)
    ways[np.arange(n), np.arange(n), within] = 1
    for _ in range(side - 1):
        grown = np.zeros_like(ways)
        for last in range(n):
            for new in range(n):
                k = between[last, new] + within[new]
                grown[:, new, k:] += ways[:, last, : n_levels - k]
        ways = grown
    total = np.zeros(n_levels, dtype=object)
    for first in range(n):
        for last in range(n):
            k = between[first, last]
            total[k:] += ways[first, last, : n_levels - k]
    return total[::2].tolist()


@pytest.mark.parametrize(("rows", "cols"), SIZES)
def test_equals_enumeration(rows, cols):
    energies, states = ising_density_of_states(rows, cols)
    found = {int(e): n for e, n in zip(energies, states, strict=True) if n}
    assert found == counted(rows, cols)


def test_equals_a_transfer_matrix_of_polynomials():
    assert ising_density_of_states(4, 4)[1] == by_transfer_matrix(4)


@pytest.mark.parametrize(("rows", "cols"), [(8, 8), (16, 16), (6, 10), (7, 9), (5, 8), (31, 2)])
def test_partition_function_is_kaufmans(rows, cols):
    energies, states = ising_density_of_states(rows, cols)
    n = rows * cols
    assert sum(states) == 2**n and states[0] == 2 and min(states) >= 0
    log_g = np.array([math.log(s) if s else -math.inf for s in states])
    for k in (-0.3, 0.0, 0.2, 0.44, 1.0):
        exponents = log_g - k * energies
        top = exponents.max()
        log_z = top + math.log(np.exp(exponents - top).sum())
        assert math.isclose(log_z, float(kaufman_log_z(rows, cols, k)), rel_tol=1e-12)


def test_even_tori_are_symmetric_and_the_first_excitation_flips_one_spin():
    for rows, cols in [(8, 8), (16, 16), (6, 10)]:
        states = ising_density_of_states(rows, cols)[1]
        assert states == states[::-1]
        assert states[1:3] == [0, 2 * rows * cols]


def test_transposing_the_lattice_changes_nothing():
    assert ising_density_of_states(6, 9)[1] == ising_density_of_states(9, 6)[1]


def test_published_numbers_of_the_32_torus_begin_as_they_should():
    # Flipped in one of the two ground states: one spin (8 J above), 2 N pairs of neighbours (12 J);
    # 16 J above are N (N - 5) / 2 pairs apart, 6 N rows of three and corners, N squares of four.
    states = ising_density_of_states(32, 32)[1]
    n = 1024
    assert states[:5] == [2, 0, 2 * n, 4 * n, 2 * (n * (n - 5) // 2 + 6 * n + n)]
    assert sum(states) == 2**n


def test_refuses_what_is_no_lattice():
    with pytest.raises(SettingError, match="rows must be an integer of at least 1, got 0"):
        ising_density_of_states(0, 4)
