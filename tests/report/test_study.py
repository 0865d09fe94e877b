"""The report: every part, its agreement with brute force, what a short budget and Ctrl-C leave."""

import brute_force
import numpy as np
import pytest

import physdl
from physdl import lattices, models, report, spaces, study
from physdl.errors import SettingError, UnknownNameError
from physdl.estimators import Status
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.report.counting import EXACT

NAMES = ("enumeration", "transfer-matrix", "contraction", "planar")


def by_name(result):
    return {r.method: r for r in result.rows}


@pytest.fixture(scope="module")
def triangle():
    h = models.ising(lattices.triangular(3, 3), 0.3, 0.2)
    return h, study(h, methods=(*NAMES, "ais"), budget=60.0)


def test_energy_and_specific_heat_are_moments(triangle):
    h, result = triangle
    energy = np.array([float(h(x)) for x in brute_force.all_states([(-1.0,), (1.0,)], 9)[..., 0]
                       .reshape(-1, 3, 3)])  # fmt: skip
    p = np.exp(-energy - brute_force.log_z(energy))
    assert result.mean_energy == pytest.approx(p @ energy, rel=1e-12)
    assert result.specific_heat == pytest.approx(p @ energy**2 - (p @ energy) ** 2, rel=1e-11)
    assert result.disagreement < 1e-12 and result.complete
    applied = {name for name, row in by_name(result).items() if row.estimate is not None}
    assert applied == {"enumeration", "transfer-matrix", "contraction", "ais"}
    assert result.exact.estimate.log_z == pytest.approx(brute_force.log_z(energy), rel=1e-13)


def test_sampled_parts_hold_within_their_errors(triangle):
    _, result = triangle
    rows = {name: (value, error) for name, value, error in result.measured.rows()}
    value, error = rows["energy per site"]
    assert abs(value - result.mean_energy / 9) < 4 * error
    value, error = rows["specific_heat"]
    assert abs(value - result.specific_heat / 9) < 4 * error
    assert result.disagreements == [] and result.n_agreeing == 4


def test_what_differs_is_flagged(triangle):
    _, result = triangle
    exact = by_name(result)["enumeration"]
    wrong = report.Row("wrong", physdl.estimators.Estimate(
        exact.estimate.log_z + 1, exact.estimate.stderr, exact.estimate.lower,
        exact.estimate.upper, exact.estimate.status, {}, method="wrong", n_sites=9,
    ), "", 0.0)  # fmt: skip
    told = report.Study(result.hamiltonian, rows=(exact, wrong))
    assert [pair[:2] for pair in told.disagreements] == [("enumeration", "wrong")]
    assert told.disagreement == pytest.approx(1.0)
    assert "DISAGREEMENT" in repr(told)
    assert told.to_dict()["disagreements"][0][:2] == ["enumeration", "wrong"]


def test_the_flow_has_the_exponent_of_bond_moving(triangle):
    result = study(models.ising(lattices.square(3, 3), 0.3), methods=("enumeration",), budget=60)
    flow = result.flows["migdal-kadanoff"]
    assert flow["y"] == [pytest.approx(0.747, abs=5e-4)]  # SCIENCE 5.3
    assert flow["critical_scale"] * 0.3 == pytest.approx(0.30469, abs=1e-5)
    assert result.network.report.neurons == 4 * 18
    assert "critical at" in repr(result) and "72 neurons" in repr(result)


def test_an_answer_that_lost_its_digits_does_not_count_as_disagreement():
    h = models.edwards_anderson(lattices.square(4, 4, periodic=False), 30.0, seed=1)
    result = study(h, methods=NAMES, budget=60.0)
    assert Status(int(by_name(result)["planar"].estimate.status)) is Status.PRECISION
    assert result.disagreement < 1e-9


def test_tables_without_a_field():
    """Known tables go to the Kac-Ward determinant, their derivatives to another method."""
    lattice = lattices.square(5, 5, periodic=False)
    tables = [[[-k, k], [k, -k]] for k in np.random.default_rng(0).normal(size=lattice.n_bonds)]
    h = Hamiltonian({"t": Potential(tables, lattice.bonds)}, space=spaces.levels(2), shape=(25,))
    result = study(h, methods=("planar",), budget=60.0)
    assert by_name(result)["planar"].estimate is not None
    assert result.specific_heat > 0


def test_a_field_theory_beyond_degree_two_is_summed_over_nodes():
    result = study(models.phi4(lattices.chain(3), r=1.0, u=1.0), methods=EXACT, budget=60.0)
    done = [row.method for row in result.rows if row.estimate is not None]
    assert done == ["quadrature"] and result.mean_energy > 0


def test_a_large_field_theory_has_no_exact_method():
    h = models.phi4(lattices.square(4, 4), r=1.0, u=1.0)
    result = study(h, methods=(*EXACT[:6], "variational"), budget=60.0)
    assert all(r.estimate is None for r in result.rows)
    assert result.mean_energy is None and result.exact is None and result.agreement is None
    assert result.to_dict()["log_z"]["planar"]["log_z"] is None
    assert "needs a finite space" in by_name(result)["variational"].note


def test_forbidden_configurations_and_no_sites():
    table = np.array([[0.0, np.inf], [np.inf, 0.0]])
    locked = Hamiltonian({"t": Potential(table[None], [[0, 1]])}, space=spaces.SPIN, shape=(2,))
    result = study(locked, methods=("enumeration",), budget=60.0)
    assert result.exact.estimate.log_z == pytest.approx(np.log(2))
    assert isinstance(result.measured, str) and result.network.report is None
    nothing = locked.condition({0: 1, 1: 1})
    assert study(nothing, methods=("enumeration",), budget=60.0).n_agreeing == 1


def test_a_short_budget_says_what_was_left_out():
    h = models.ising(lattices.square(6, 6), 0.4)
    result = study(h, methods=("enumeration", "planar", "mbar"), budget=1e-3)
    assert all(r.estimate is None for r in result.rows)
    assert "larger budget" in by_name(result)["mbar"].note
    assert result.complete and not result.flows


def test_an_interruption_leaves_what_was_done():
    def stop(stage):
        if stage.startswith("observables"):
            raise KeyboardInterrupt

    h = models.ising(lattices.square(3, 3), 0.4)
    result = study(h, methods=("enumeration",), budget=60.0, report=stop)
    assert not result.complete and result.measured is None
    assert result.exact is not None and "interrupted" in repr(result)


def test_refusals():
    h = models.ising(lattices.square(3, 3), 0.4)
    with pytest.raises(UnknownNameError, match="did you mean 'planar'"):
        study(h, methods=("planer",))
    with pytest.raises(SettingError, match="budget"):
        study(h, budget=0.0)


def test_the_function_is_found_again_and_again():
    assert physdl.study is physdl.study is study is report.study
