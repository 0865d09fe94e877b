import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, networks
from physdl.errors import SettingError, ShapeError, StructureError
from physdl.estimators import CouplingBox, Estimator, LearnedEstimator, Status
from physdl.hamiltonian import Hamiltonian, Potential, Sites
from physdl.spaces import BINARY

LATTICE = lattices.square(3, 4)
GLASS = np.random.default_rng(0).normal(size=len(LATTICE.bonds.array))


def ising(k):
    return models.ising(LATTICE, k[0], k[1])


def glass(k):
    return models.ising(LATTICE, k[0] * jnp.asarray(GLASS), k[1])


FAMILIES = {"ising": ising, "glass": glass}


@pytest.mark.parametrize("name", FAMILIES)
def test_couplings_are_read_off_the_coefficients(name):
    box = CouplingBox(FAMILIES[name], [0.1, -0.5], [0.6, 0.3])
    for k in ([0.1, -0.5], [0.33, 0.1], [0.9, 2.0]):
        z, off = box.coordinates(FAMILIES[name](jnp.asarray(k)))
        np.testing.assert_allclose(box.couplings(z), k, atol=1e-12)
        assert float(off) < 1e-12
        again = box(z)
        for got, given in zip(
            jax.tree.leaves(again), jax.tree.leaves(FAMILIES[name](jnp.asarray(k))), strict=True
        ):
            np.testing.assert_allclose(got, given, atol=1e-12)


def test_a_hamiltonian_beside_the_family_is_seen():
    box = CouplingBox(glass, [0.1, -0.5], [0.6, 0.3])
    h = models.ising(LATTICE, jnp.asarray(0.3 * GLASS).at[0].add(0.01), jnp.asarray(0.1))
    assert float(box.coordinates(h)[1]) > 1e-3


def test_what_is_no_box_is_refused():
    with pytest.raises(SettingError, match="below"):
        CouplingBox(ising, [0.1, 0.2], [0.6, 0.1])
    with pytest.raises(ShapeError, match="one length"):
        CouplingBox(ising, [0.1, 0.2], [0.6])
    with pytest.raises(StructureError, match="affine"):
        CouplingBox(lambda k: models.ising(LATTICE, k[0] ** 2, k[1]), [0.1, 0.0], [0.6, 1.0])
    with pytest.raises(StructureError, match="alike"):
        CouplingBox(lambda k: models.ising(LATTICE, k[0] + k[1]), [0.1, 0.0], [0.6, 1.0])
    box = CouplingBox(ising, [0.1, -0.5], [0.6, 0.3])
    with pytest.raises(StructureError, match="structure"):
        box.coordinates(models.ising(LATTICE, 0.3))


def learned(n_errors=99, level=0.95):
    """A plane as the function: log Z = 10 + 2 z_0 - z_1."""
    box = CouplingBox(ising, [0.0, -0.5], [0.6, 0.5])
    plane = networks.Quadratic(jnp.array([10.0]), jnp.array([[2.0, -1.0]]), jnp.zeros((1, 2, 2)))
    return LearnedEstimator(plane, box, jnp.arange(1, n_errors + 1) / 100, level)


def test_it_is_an_estimator_with_an_interval():
    estimator = learned()
    assert isinstance(estimator, Estimator)
    found = estimator(ising(jnp.array([0.45, 0.1])))
    assert float(found.log_z) == pytest.approx(10 + 2 * 0.5 - 0.2)
    assert Status(int(found.status)) is Status.OK
    assert float(found.info["half_width"]) == pytest.approx(0.95)
    np.testing.assert_allclose(found.info["interval"], [9.85, 11.75])
    np.testing.assert_allclose(found.info["couplings"], [0.45, 0.1])
    assert float(found.stderr) == pytest.approx(0.95 / 1.959964, rel=1e-6)
    assert np.isneginf(found.lower) and np.isposinf(found.upper)
    batch = jax.vmap(lambda k: estimator(ising(k)))(jnp.array([[0.45, 0.1], [0.2, 0.0]]))
    assert float(batch.log_z[0]) == pytest.approx(float(found.log_z))


@pytest.mark.parametrize(("n", "level"), [(19, 0.95), (18, 0.95), (99, 0.9), (99, 0.99)])
def test_the_half_width_is_the_exact_quantile(n, level):
    """The smallest error that a fresh one does not exceed with the probability of the level."""
    rank = next((m for m in range(1, n + 1) if m >= level * (n + 1) - 1e-9), None)
    expected = math.inf if rank is None else rank / 100
    assert float(learned(n, level).half_width) == pytest.approx(expected)


@pytest.mark.parametrize("k", [[0.7, 0.0], [0.3, -0.6], [-0.01, 0.0]])
def test_outside_the_box_nothing_is_claimed(k):
    found = learned()(ising(jnp.asarray(k)))
    assert Status(int(found.status)) is Status.OUT_OF_RANGE
    assert np.isnan(found.stderr) and np.isposinf(found.info["half_width"])


def test_the_edge_belongs_to_the_box():
    found = learned()(ising(jnp.array([0.6, -0.5])))
    assert Status(int(found.status)) is Status.OK


def test_beside_the_family_nothing_is_claimed():
    box = CouplingBox(glass, [0.1, -0.5], [0.6, 0.3])
    plane = networks.Quadratic(jnp.zeros(1), jnp.zeros((1, 2)), jnp.zeros((1, 2, 2)))
    estimator = LearnedEstimator(plane, box, jnp.zeros(19))
    h = models.ising(LATTICE, jnp.asarray(0.3 * GLASS).at[0].add(0.01), jnp.asarray(0.1))
    assert Status(int(estimator(h).status)) is Status.OUT_OF_RANGE


def test_its_gradient_is_a_hamiltonian_of_moments():
    """d/dK and d/dh of the plane, 2 / 0.3 and -1 / 0.5, with K = -bond and h = -field."""
    slope = jax.grad(lambda h: learned()(h).log_z)(ising(jnp.array([0.3, 0.1])))
    assert float(slope.terms["bond"].coefficient) == pytest.approx(-2 / 0.3)
    assert float(slope.terms["site"].coefficient) == pytest.approx(1 / 0.5)


def test_a_level_is_a_probability():
    with pytest.raises(SettingError, match="between 0 and 1"):
        learned(level=1.0)


def test_hard_constraints_are_part_of_the_family():
    """An infinite table is compared, not subtracted."""
    table = np.array([[0.0, 0.0], [0.0, np.inf]])

    def gas(k):
        pairs = Potential(table, [[0, 1], [1, 2]])
        return Hamiltonian({"hard": pairs, "site": Sites(-k[0], [[0], [1], [2]])}, BINARY, (3,))

    box = CouplingBox(gas, [0.0], [1.0])
    z, off = box.coordinates(gas(jnp.array([0.75])))
    assert float(z[0]) == pytest.approx(0.5) and float(off) < 1e-12
    soft = {"hard": Potential(np.zeros((2, 2)), [[0, 1], [1, 2]]), "site": gas([0.5]).terms["site"]}
    assert np.isposinf(box.coordinates(Hamiltonian(soft, BINARY, (3,)))[1])
