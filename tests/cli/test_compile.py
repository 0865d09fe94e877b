"""``physdl compile``: the bill of a compiled Hamiltonian."""

import json

import pytest
from click.testing import CliRunner

from physdl.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["compile", *arguments])


@pytest.mark.parametrize("layout", ["tree", "flat"])
def test_every_pair_of_a_glass_takes_four_neurons(layout):
    out = run("sherrington_kirkpatrick", "-p", "n_sites=8", "--layout", layout, "--json")
    values = json.loads(out.output)
    assert values["neurons"] == 4 * 8 * 7 // 2
    assert values["depth"] == 1
    assert values["status"] == "OK"
    assert values["measured_error"] <= values["precision_floor"]


def test_report_and_activation():
    out = run("phi4", "--size", "2x2", "--radius", "1", "--activation", "gelu")
    assert "tree of gelu" in out.output
    assert "precision floor" in out.output


def test_a_tolerance_below_the_floor_is_said():
    out = run("ising", "--size", "3x3", "--tolerance", "1e-15")
    assert out.exit_code == 0
    assert "is below" in out.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ising", "--activation", "relu"], "unknown activation"),
        (["ising", "--layout", "deep"], "unknown layout"),
        (["phi4"], "radius"),
    ],
)
def test_refuses(arguments, message):
    out = run(*arguments)
    assert out.exit_code == 2
    assert message in out.output
