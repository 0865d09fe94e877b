"""``physdl audit``: block maps of small models."""

import json

import pytest
from click.testing import CliRunner

from physdl.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["audit", *arguments])


def test_decimation_of_a_chain_is_a_chain_again():
    arguments = ["ising", "--lattice", "chain", "--size", "8", "-p", "coupling=0.7", "--json"]
    kept, majority = (
        json.loads(run(*arguments, "--block", b).output) for b in ("decimation", "majority")
    )
    assert kept["renormalization"] and majority["renormalization"]
    assert abs(kept["range"]) < 1e-12 < abs(majority["range"])
    assert kept["information"] > majority["information"]


def test_report():
    out = run("ising", "--size", "4x4")
    assert "Coarse couplings: range" in out.output
    assert "blocks of 2: majority" in out.output


def test_a_file_has_no_coarse_lattice(tmp_path):
    file = tmp_path / "ring.txt"
    file.write_text("4 4\n1 2 1.0\n2 3 1.0\n3 4 1.0\n4 1 1.0\n")
    out = run(str(file))
    assert out.exit_code == 0, out.output
    assert "Coarse couplings" not in out.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ising", "--block", "maj"], "unknown block map"),
        (["ising", "--size", "6x6"], "2^24"),
        (["phi4"], "finite space"),
        (["ising", "--size", "4x4", "--scale", "3"], "divides"),
        (["ising", "--size", "4x4", "--scale", "4"], "fewer than two blocks"),
    ],
)
def test_refuses(arguments, message):
    out = run(*arguments)
    assert out.exit_code == 2
    assert message in out.output
