"""The report: every method that applies, their agreement, energy and specific heat."""

import brute_force
import numpy as np
import pytest

import physdl
from physdl import lattices, models, spaces, study
from physdl.estimators import Status
from physdl.hamiltonian import Hamiltonian, Potential


def by_name(result):
    return {r.method: r for r in result.rows}


def test_energy_and_specific_heat_are_moments():
    h = models.ising(lattices.triangular(3, 3), 0.3, 0.2)
    result = study(h)
    energy = np.array([float(h(x)) for x in brute_force.all_states([(-1.0,), (1.0,)], 9)[..., 0]
                       .reshape(-1, 3, 3)])  # fmt: skip
    p = np.exp(-energy - brute_force.log_z(energy))
    assert result.mean_energy == pytest.approx(p @ energy, rel=1e-12)
    assert result.specific_heat == pytest.approx(p @ energy**2 - (p @ energy) ** 2, rel=1e-11)
    assert result.disagreement < 1e-12
    applied = {name for name, row in by_name(result).items() if row.estimate is not None}
    assert applied == {"enumeration", "transfer-matrix", "contraction"}


def test_an_answer_that_lost_its_digits_does_not_count_as_disagreement():
    h = models.edwards_anderson(lattices.square(4, 4, periodic=False), 30.0, seed=1)
    result = study(h)
    assert Status(int(by_name(result)["planar"].estimate.status)) is Status.PRECISION
    assert result.disagreement < 1e-9


def test_tables_without_a_field():
    """Known tables go to the Kac-Ward determinant, their derivatives to another method."""
    lattice = lattices.square(5, 5, periodic=False)
    tables = [[[-k, k], [k, -k]] for k in np.random.default_rng(0).normal(size=lattice.n_bonds)]
    h = Hamiltonian({"t": Potential(tables, lattice.bonds)}, space=spaces.levels(2), shape=(25,))
    result = study(h)
    assert by_name(result)["planar"].estimate is not None
    assert result.specific_heat > 0


def test_a_field_theory_beyond_degree_two_is_summed_over_nodes():
    result = study(models.phi4(lattices.chain(3), r=1.0, u=1.0))
    done = [row.method for row in result.rows if row.estimate is not None]
    assert done == ["quadrature"] and result.mean_energy > 0


def test_a_large_field_theory_has_no_exact_method():
    result = study(models.phi4(lattices.square(4, 4), r=1.0, u=1.0))
    assert all(r.estimate is None for r in result.rows)
    assert result.mean_energy is None
    assert "does not apply" in repr(result)
    assert result.to_dict()["log_z"]["planar"]["log_z"] is None


def test_the_function_is_found_again_and_again():
    assert physdl.study is physdl.study is study
