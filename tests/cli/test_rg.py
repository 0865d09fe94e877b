"""``physdl rg``: flows, fixed points, pictures and refusals."""

import json

import jax.numpy as jnp
import pytest
from click.testing import CliRunner

from physdl import reference, rg
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
    assert 1 / out["y"][0] == pytest.approx(0.708211, abs=1e-4)  # SCIENCE 5.5: LPA, N = 2


TRIANGULAR = ("--lattice", "triangular", "--size", "6x6")


def test_first_cumulant():
    out = answer("ising", *TRIANGULAR, "-p", "coupling=0.3", "--map", "cumulant", "--exponents")
    assert out["couplings"] == ["K_1", "h"] and out["flow"][0] == [0.3, 0.0]
    assert 0.3 * out["critical_scale"] == pytest.approx(0.335613511613, abs=1e-9)  # SCIENCE 5.3
    assert out["fixed_point"] == pytest.approx([0.335613511613, 0], abs=1e-9)
    assert out["y"] == pytest.approx([1.36907024643, 0.882202645931], abs=1e-9)


def test_second_cumulant_on_both_lattices():
    words = ("--map", "cumulant-second", "--exponents")
    out = answer("ising", *TRIANGULAR, *words)
    assert out["fixed_point"] == pytest.approx([0.278869, -0.014248, -0.015231, 0], abs=1e-6)
    square = answer("ising", "--size", "6x6", "-p", "field=0.1", *words[:2], "--steps", 1)
    second = rg.Cumulant(2, "square")(jnp.array([float(jnp.log1p(2**0.5)) / 2, 0, 0, 0.1]))
    assert square["flow"][1] == pytest.approx(second.couplings.tolist(), rel=1e-12)


def test_kadanoff_shows_the_best_bound_and_where_bonds_flow():
    out = answer("ising", "-p", "coupling=0.3", "--map", "kadanoff", "--exponents")
    exact = -float(reference.onsager_log_z(0.3))
    assert exact - 0.02 < out["free_energy"] < exact
    assert out["y"][1] == pytest.approx(1.0175, abs=1e-4) and "error" not in out


def test_epsilon_expansion_reads_n_and_d_off_the_model():
    words = ("--lattice", "cubic", "--size", "4x4x4", "--map", "epsilon", "--exponents")
    out = answer("o_n", "-p", "n=3", *words)
    assert out["y"] == pytest.approx([2.5, 2 - 5 / 11, -1], abs=1e-9)  # one loop, N = 3
    assert out["series"]["eta"][3] == pytest.approx(0.039060, abs=1e-6)  # SCIENCE 5.6
    assert 1 / out["series"]["y_t"][2] == pytest.approx(0.719654, abs=1e-6)
    four = answer("phi4", "--lattice", "hypercubic", "--size", "2x2x2x2", *words[4:])
    assert four["y"] == pytest.approx([3, 2, 0]) and four["status"] == "DEGENERATE"
    assert "eta" in run("o_n", *words).stdout


def test_pictures(tmp_path):
    for model, extra in (
        ("ising", ()),
        ("clock", ("-p", "q=5")),
        ("blume_capel", ()),
        ("ising", ("--map", "cumulant-second")),
        ("ising", ("--map", "cumulant")),
        ("ising", ("--map", "epsilon", "--exponents")),
    ):
        path = tmp_path / f"{'-'.join((model, *extra))}.png"
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
        (("ising", "--map", "cumulant", "--scale", "3"), "leave it out"),
        (("ising", "--lattice", "honeycomb", "--size", "4x4", "--map", "cumulant"), "ising on a"),
        (("ising", "--lattice", "cubic", "--size", "4x4x4", "--map", "cumulant"), "bonds along"),
        (("ising", "-p", "coupling=[0.3,0.4]", "--map", "cumulant"), "one coupling"),
        (("edwards_anderson", "--map", "kadanoff"), "one coupling"),
        (("potts", "--map", "cumulant"), "Ising spins"),
        (("ising", *TRIANGULAR, "--map", "kadanoff"), "square lattice"),
        (("potts", "--map", "epsilon"), "O(n)"),
        (("ising", "--lattice", "chain", "--size", "8", "--map", "epsilon"), "2 or more"),
        (("xy", "--lattice", "square", "--size", "4x4", "--map", "epsilon"), "3 or more"),
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
