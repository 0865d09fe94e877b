"""``physdl rg``: flows, fixed points, pictures and refusals."""

import json

import pytest
from click.testing import CliRunner

from physdl.cli import main
from physdl.cli.rg import MAPS


def run(*words):
    return CliRunner().invoke(main, ["rg", *map(str, words)])


def answer(*words):
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_ising():
    out = answer("ising", "--size", "8x8", "-p", "coupling=0.25", "--exponents", "--steps", 3)
    assert out["critical_scale"] * 0.25 == pytest.approx(0.304688931718, abs=1e-9)
    assert out["fixed_point"] == pytest.approx([0.304688931718], abs=1e-9)
    assert out["y"] == pytest.approx([0.747235718929], abs=1e-9)
    assert len(out["flow"]) == 4 and out["status"] == "OK"


def test_a_chain_has_no_fixed_point():
    out = answer("ising", "--lattice", "chain", "--size", 8, "--map", "decimation", "--fixed-point")
    assert out["status"] == "NONE" and "fixed_point" not in out


def test_a_fixed_point_at_infinity_is_told():
    out = answer("blume_capel", "--size", "6x6", "-p", "crystal_field=0.2", "--fixed-point")
    assert out["status"] == "NONE" and "infinite" in out["message"]


def test_the_functional_map_reads_n_and_d_off_the_model():
    words = ("xy", "--lattice", "cubic", "--size", "4x4x4", "--map", "functional", "--exponents")
    out = answer(*words)
    assert 1 / out["y"][0] == pytest.approx(0.708210, abs=1e-4)  # SCIENCE 5.5: LPA, N = 2


def test_pictures(tmp_path):
    for model, extra in (("ising", ()), ("clock", ("-p", "q=5")), ("blume_capel", ())):
        path = tmp_path / f"{model}.png"
        result = run(model, "--size", "4x4", *extra, "--plot", path)
        assert result.exit_code == 0, result.output
        assert path.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "words, said",
    [
        (("ising", "--map", "migdal"), "did you mean 'migdal-kadanoff'"),
        (("ising", "--lattice", "triangular", "--size", "4x4"), "hypercubic"),
        (("ising", "--map", "decimation"), "on a chain"),
        (("phi4",), "finite space"),
        (("potts", "--map", "functional"), "O(n)"),
        (("ising", "--scale", "1"), "--scale"),
        (("ising", "--plot", "/nowhere/x.png"), "cannot be written"),
    ],
)
def test_what_is_refused_is_one_sentence(words, said):
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr and result.stderr.count("\n") == 1


def test_every_map_is_listed():
    listed = CliRunner().invoke(main, ["maps"]).output
    assert all(name in listed for name in MAPS)
