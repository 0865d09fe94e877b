"""``physdl rg`` with maps of tensors."""

import json

import pytest
from click.testing import CliRunner

from physdl import reference
from physdl.cli.main import main

CRITICAL = float(reference.square_critical_coupling())
MODEL = ["rg", "ising", "--size", "4x4", "-p", f"coupling={CRITICAL!r}"]


def run(*arguments):
    return CliRunner().invoke(main, [*MODEL, *arguments])


@pytest.mark.parametrize("name", ["trg", "btrg", "hotrg", "atrg", "loop-tnr"])
def test_log_z_per_site(name):
    out = run("--map", name, "--chi", "6", "--steps", "16", "--json")
    assert out.exit_code == 0, out.output
    values = json.loads(out.output)
    assert values["log_z_per_site"][-1] == pytest.approx(
        float(reference.onsager_log_z(CRITICAL)), rel=1e-3
    )
    assert len(values["spectrum"]) == len(values["error"]) == 16


@pytest.mark.parametrize(("name", "directions"), [("ctmrg", 2), ("vumps", 1)])
def test_surroundings(name, directions, tmp_path):
    arguments = ["rg", "ising", "--size", "4x4", "-p", "coupling=0.3", "--map", name]
    values = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    exact = float(reference.onsager_log_z(0.3))
    assert values["log_z_per_site"] == [pytest.approx(exact, rel=1e-10)]
    assert values["status"] == "OK"
    assert len(values["correlation_length"]) == directions
    picture = tmp_path / "spectrum.png"
    out = CliRunner().invoke(main, [*arguments, "--steps", "1", "--plot", str(picture)])
    assert "still changes" in out.output
    assert picture.stat().st_size > 10_000


def test_conformal_data_and_picture(tmp_path):
    picture = tmp_path / "spectrum.png"
    out = run("--map", "btrg", "--chi", "10", "--cft", "--plot", str(picture))
    assert out.exit_code == 0, out.output
    assert "central charge 0.5" in out.output
    assert picture.stat().st_size > 10_000


def test_sites_of_a_cell_are_counted():
    arguments = ["rg", "ising", "--lattice", "honeycomb", "--size", "4x4", "-p", "coupling=0.5"]
    out = CliRunner().invoke(
        main, [*arguments, "--map", "trg", "--chi", "8", "--steps", "30", "--json"]
    )
    values = json.loads(out.output)
    assert values["log_z_per_site"][-1] == pytest.approx(
        float(reference.honeycomb_log_z(0.5)), rel=1e-4
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--map", "trg", "--exponents"], "--exponents belongs to maps of couplings"),
        (["--map", "trg", "--scale", "2"], "--scale belongs to maps of couplings"),
        (["--map", "migdal-kadanoff", "--chi", "8"], "--chi belongs to maps of tensors"),
        (["--map", "trgg"], "trg"),
        (["--map", "vumps", "--cft"], "which vumps has not"),
    ],
)
def test_refuses(arguments, message):
    out = run(*arguments)
    assert out.exit_code != 0
    assert message in out.output + str(out.exception)
