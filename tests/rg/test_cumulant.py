"""Cumulants against published first-order numbers and against brute-force averages of clusters."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from physdl import reference, rg
from physdl.errors import SettingError, ShapeError, UnknownNameError

NVL1 = {"K": 0.335613511613, "y_T": 0.882202645931, "y_H": 1.36907024643}  # SCIENCE 5.3

LATTICES = {
    "triangular": (
        [(0, 0), (1, 0), (0, 1)],
        [(1, 1), (2, -1)],
        lambda r: r[0] ** 2 + r[0] * r[1] + r[1] ** 2,
        (1, 3, 4),
    ),
    "square": (
        [(0, 0), (1, 0), (0, 1), (1, 1)],
        [(2, 0), (0, 2)],
        lambda r: r[0] ** 2 + r[1] ** 2,
        (1, 2, 4),
    ),
}


def test_first_order_is_the_published_fixed_point():
    first = rg.Cumulant(order=1)
    at = rg.fixed_point(first, jnp.array([0.3, 0.0]))
    found = rg.exponents(first, at)
    assert int(at.status) == int(found.status) == 0
    assert float(at.couplings[0]) == pytest.approx(NVL1["K"], abs=1e-9)
    assert float(found.y[0]) == pytest.approx(NVL1["y_H"], abs=1e-9)
    assert float(found.y[1]) == pytest.approx(NVL1["y_T"], abs=1e-9)


@pytest.mark.parametrize("k", [0.1, 0.5])
def test_first_order_is_the_closed_form(k):
    """K' = 2 K phi^2, h' = 3 h phi, phi = (e^3K + e^-K) / (e^3K + 3 e^-K) (SCIENCE 5.3)."""
    phi = (np.exp(3 * k) + np.exp(-k)) / (np.exp(3 * k) + 3 * np.exp(-k))
    step = rg.Cumulant(order=1)(jnp.array([k, 0.2]))
    np.testing.assert_allclose(step.couplings, [2 * k * phi**2, 0.6 * phi], rtol=1e-13)
    per_site = np.log(np.exp(3 * k) + 3 * np.exp(-k)) / 3
    assert float(step.log_weight) == pytest.approx(per_site, rel=1e-13)


def test_second_order_has_the_fixed_point_of_niemeijer_and_van_leeuwen():
    """(0.2789, -0.0142, -0.0152); y_T = 1.042 and y_H = 1.845, computed by this map alone."""
    second = rg.Cumulant(order=2)
    at = rg.fixed_point(second, jnp.array([0.28, -0.014, -0.015, 0.0]))
    found = rg.exponents(second, at)
    assert int(at.status) == int(found.status) == 0
    np.testing.assert_allclose(at.couplings[:3], [0.2789, -0.0142, -0.0152], atol=5e-5)
    np.testing.assert_allclose(found.y[:2], [1.8450, 1.0424], atol=5e-5)


def cluster(lattice, steps, couplings):
    """Coefficients of -H'(mu) of some cells: <V> and (<V^2> - <V>^2) / 2, state by state.

    V holds the bonds between cells of all classes in <V>, of the first in the square; both as
    arrays of the coefficients of the products of cell spins, by bits, the first cell lowest.
    """
    sites, vectors, square, classes = LATTICES[lattice]
    at = np.array([np.array(s) + n @ np.array(vectors) for n in np.array(steps) for s in sites])
    cell = np.repeat(np.arange(len(steps)), len(sites))
    k, h = couplings[:-1], couplings[-1]
    coupling = np.zeros((2, len(at), len(at)))
    inside = np.zeros((len(at), len(at)))
    for i, j in itertools.combinations(range(len(at)), 2):
        kind = square(at[i] - at[j])
        if kind in classes[: len(k)]:
            value = k[classes.index(kind)]
            if kind == 1 and cell[i] == cell[j]:
                inside[i, j] = value
            else:
                coupling[0, i, j] = value
                coupling[1, i, j] = value if kind == 1 else 0.0
    n = len(sites)
    one = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    share = np.heaviside(one.sum(axis=1), 0.5)
    weight = share * np.exp(np.einsum("si,ij,sj->s", one, inside[:n, :n], one))
    weight = weight[share > 0] / weight.sum()
    one = one[share > 0]
    picks = np.array(list(itertools.product(range(len(one)), repeat=len(steps))))
    p = np.prod(weight[picks], axis=1)
    first, second = [], []
    signs = list(itertools.product((1.0, -1.0), repeat=len(steps)))
    for mu in signs:
        s = (one[picks] * np.array(mu)[None, :, None]).reshape(len(picks), -1)
        v, near = (np.einsum("si,ij,sj->s", s, c, s) + h * s.sum(axis=1) for c in coupling)
        first.append(p @ v)
        second.append((p @ near**2 - (p @ near) ** 2) / 2)
    return np.array(signs), np.array(first), np.array(second)


def coefficient(signs, values, *cells):
    return float(np.mean(values * np.prod(signs[:, list(cells)], axis=1)))


def steps_of(lattice):
    """Steps to the first, second, third neighbour of a cell, with the cells that touch both."""
    _, vectors, square, _ = LATTICES[lattice]
    length = lambda n: square(np.array(n) @ np.array(vectors))
    every = [p for p in itertools.product(range(-3, 4), repeat=2) if p != (0, 0)]
    unit = min(map(length, every))
    touching = [p for p in every if length(p) == unit]
    for target in sorted(set(map(length, every)))[:3]:
        goal = next(p for p in every if length(p) == target)
        between = [p for p in touching if length(np.subtract(goal, p)) == unit]
        yield [(0, 0), goal, *between]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("lattice", ["triangular", "square"])
def test_couplings_are_those_of_clusters_summed_state_by_state(lattice, order):
    couplings = np.array([0.31, -0.04, 0.03, 0.0])
    after = rg.Cumulant(order, lattice, n_neighbours=3)(jnp.asarray(couplings)).couplings
    for number, cells in enumerate(steps_of(lattice)):
        signs, first, second = cluster(lattice, cells, couplings)
        expected = coefficient(signs, first, 0, 1)
        expected += coefficient(signs, second, 0, 1) if order == 2 else 0.0
        assert float(after[number]) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("lattice, n_touching", [("triangular", 6), ("square", 4)])
def test_field_and_constant_of_second_order(lattice, n_touching):
    """Cells that touch each add the same to a cell's field, and half their constant to its own."""
    k, h = 0.31, 0.2
    given = np.array([k, h])
    step = rg.Cumulant(2, lattice, n_neighbours=1)(jnp.asarray(given))
    first_order = rg.Cumulant(1, lattice)(jnp.asarray(given))
    goal = next(steps_of(lattice))[1]
    signs, _, alone = cluster(lattice, [(0, 0)], given)
    pair, _, both = cluster(lattice, [(0, 0), goal], given)
    field = n_touching * coefficient(pair, both, 0)
    assert float(step.couplings[-1] - first_order.couplings[-1]) == pytest.approx(field, rel=1e-12)
    own = coefficient(signs, alone)
    constant = own + n_touching / 2 * (coefficient(pair, both) - 2 * own)
    n_sites = len(LATTICES[lattice][0])
    added = n_sites * float(step.log_weight - first_order.log_weight)
    assert added == pytest.approx(constant, rel=1e-12)


@pytest.mark.parametrize("k", [0.1, 0.25, 0.4])
def test_first_order_bounds_the_free_energy_from_above(k):
    for lattice, exact in [
        ("triangular", reference.triangular_log_z(k)),
        ("square", reference.onsager_log_z(k)),
    ]:
        f = rg.free_energy(rg.Cumulant(1, lattice), jnp.array([k, 0.0]))
        assert float(f) >= -float(exact)
        second = rg.free_energy(rg.Cumulant(2, lattice), jnp.array([k, 0.0, 0.0, 0.0]))
        assert abs(float(second + exact)) < abs(float(f + exact))


def test_square_blocks_at_first_order():
    """K' = 2 K m^2 with m = <s> of a 2 x 2 block of spin +1, ties shared: enumerated here."""
    k = 0.37
    states = np.array(list(itertools.product((1, -1), repeat=4)))
    ring = sum(states[:, a] * states[:, b] for a, b in [(0, 1), (1, 3), (3, 2), (2, 0)])
    weight = np.exp(k * ring) * np.heaviside(states.sum(axis=1), 0.5)
    m = weight @ states[:, 0] / weight.sum()
    after = rg.Cumulant(1, "square")(jnp.array([k, 0.1])).couplings
    np.testing.assert_allclose(after, [2 * k * m**2, 0.4 * m], rtol=1e-13)


def test_refusals():
    with pytest.raises(SettingError, match="order 1 or 2"):
        rg.Cumulant(order=3)
    with pytest.raises(SettingError, match="1 to 3"):
        rg.Cumulant(n_neighbours=4)
    with pytest.raises(UnknownNameError, match="did you mean 'square'"):
        rg.Cumulant(lattice="sqare")
    with pytest.raises(ShapeError, match="K_1 to K_3"):
        rg.Cumulant(order=2)(jnp.ones(2))
