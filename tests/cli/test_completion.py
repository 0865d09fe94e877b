"""What the shell completes, and BibTeX from the command line."""

import pytest
from click.testing import CliRunner

from physdl.cli import main


def completed(words):
    given = {
        "_PHYSDL_COMPLETE": "bash_complete",
        "COMP_WORDS": f"physdl {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    done = CliRunner(env=given).invoke(main, [])
    return [line.partition(",")[2] for line in done.output.split()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stu", ["study"]),
        ("logz isi", ["ising"]),
        ("logz ising --lattice tri", ["triangular"]),
        ("logz ising --method en", ["enumeration"]),
        ("sample ising --kernel swe", ["swendsen-wang"]),
        ("rg ising --map vum", ["vumps"]),
        ("reproduce wannier", ["wannier_residual_entropy"]),
    ],
)
def test_names_are_completed(words, expected):
    assert completed(words) == expected


def test_a_word_that_is_no_model_may_be_a_file():
    assert completed("logz ./some") == ["./some"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell):
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0 and "_PHYSDL_COMPLETE" in done.output


def test_papers_behind_methods():
    done = CliRunner().invoke(main, ["cite", "AIS", "rg.mcrg"])
    assert [key in done.output for key in ("{physdl,", "{neal2001,", "{swendsen1979,")] == [
        True
    ] * 3
    assert CliRunner().invoke(main, ["cite", "nothing"]).exit_code == 2
