"""The table of published results: its rule, formats and completeness, and one of each subject."""

import json
import sys
import textwrap

import pytest
from click.testing import CliRunner

from physdl import reproduce
from physdl.cli import main
from physdl.errors import UnknownNameError
from physdl.reproduce import Outcome, _outcomes

QUICKEST = {
    "exact": "ising_ring",
    "sampling": "harmonic_wells",
    "mean field": "curie_weiss_exponent",
    "renormalization": "niemeijer_van_leeuwen_fixed_point",
    "tensors": "lieb_square_ice",
    "theory": "lin_tegmark_multiplication",
    "learning": "bethe_inversion",
}
SUBJECTS = set(QUICKEST)


def outcome(computed, stderr=0.0, error=""):
    return Outcome("x", "exact", "X", "A. Author, J. 1, 1", 1.0, 0.01, computed, stderr, 0.1, error)


def run(*words):
    return CliRunner().invoke(main, ["reproduce", *map(str, words)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one right and one wrong result, and one that fails."""
    bodies = {"right": "1.5", "wrong": "1.6", "broken": "1 / 0"}
    for name, body in bodies.items():
        text = f'''
        """The number {name}."""
        SUBJECT = "exact"
        CITATION = "B. Bee, J. 2, 3"
        PUBLISHED = 1.5
        TOLERANCE = 0.05
        QUICK = {name != "broken"}
        def compute():
            return {body}
        '''
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.setattr(_outcomes, "FOLDER", tmp_path)
    monkeypatch.setattr("physdl.reproduce.__path__", [str(tmp_path)])
    yield tmp_path
    for name in bodies:
        sys.modules.pop(f"physdl.reproduce.{name}", None)


def test_a_number_agrees_within_tolerance_and_error_and_only_if_it_is_sharp():
    assert outcome(1.009).ok and not outcome(1.011).ok
    assert outcome(1.009, 0.005).ok and not outcome(1.011, 0.005).ok
    assert not outcome(1.0, 0.006).ok  # right, but too vague to say anything
    assert not outcome(float("nan")).ok and not outcome(1.0, error="ValueError: no").ok


def test_adding_a_file_is_enough_and_a_failure_does_not_end_the_table(folder):
    assert reproduce.names() == ("broken", "right", "wrong")
    found = {o.name: o for o in reproduce.run()}
    assert [found[n].ok for n in ("broken", "right", "wrong")] == [False, True, False]
    assert found["broken"].error.startswith("ZeroDivisionError")
    assert [o.name for o in reproduce.run(quick=True)] == ["right", "wrong"]


def test_exit_codes_and_formats(folder, tmp_path):
    assert run("right").exit_code == 0
    page = tmp_path / "t.html"
    missed = run("--out", page)
    assert missed.exit_code == 1 and "missed: broken, wrong" in missed.output
    assert page.read_text().count('class="bad"') == 2 and "<script" not in page.read_text()
    table = tmp_path / "t.md"
    run("right", "wrong", "--out", table)
    assert "| right | 1.5 | 1.5 | 0.05 |" in table.read_text() and "B. Bee" in table.read_text()
    values = tmp_path / "t.json"
    printed = json.loads(run("right", "broken", "--out", values, "--json").output)
    assert printed == json.loads(values.read_text())
    assert [r["ok"] for r in printed["results"]] == [False, True] or not printed["ok"]
    assert printed["results"][1]["computed"] == "nan"


def test_refusals(folder):
    for words, told in [
        (("rigth",), "did you mean 'right'"),
        (("--subject", "exakt"), "did you mean 'exact'"),
        (("--out", "t.txt"), ".md, .html or .json"),
    ]:
        done = run(*words)
        assert done.exit_code == 2 and told in done.stderr, words
    with pytest.raises(UnknownNameError):
        reproduce.published("nothing")


def test_an_interruption_leaves_the_table_so_far(folder, monkeypatch):
    text = (folder / "wrong.py").read_text().replace("return 1.6", "raise KeyboardInterrupt")
    (folder / "wrong.py").write_text(text)
    done = run("right", "wrong")
    assert done.exit_code == 130 and "1 of 1 published results" in done.output


def test_every_result_says_what_it_is():
    found = [reproduce.published(name) for name in reproduce.names()]
    assert len(found) >= 40
    assert {p.subject for p in found} == SUBJECTS
    for p in found:
        assert p.title and len(p.citation) > 10 and p.tolerance > 0, p.name
    listed = run("--list").output
    assert all(name in listed for name in reproduce.names())


@pytest.mark.parametrize("subject", sorted(SUBJECTS))
def test_one_of_each_subject(subject):
    assert reproduce.published(QUICKEST[subject]).subject == subject
    (found,) = reproduce.run([QUICKEST[subject]])
    assert found.ok, found


@pytest.mark.slow
@pytest.mark.parametrize("name", reproduce.names())
def test_it_is_reproduced(name):
    (found,) = reproduce.run([name])
    assert found.ok, found
