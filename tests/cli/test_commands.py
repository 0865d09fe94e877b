import io
import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from physdl.cli import main, output

UAI = "MARKOV\n2\n2 3\n2\n1 0\n2 0 1\n2\n 0.4 0.6\n6\n 1 2 3 4 5 0\n"


def run(*words):
    return CliRunner().invoke(main, [str(w) for w in words])


def answer(*words):
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return strict(result.stdout)


def strict(text):
    """JSON as RFC 8259 has it: no NaN, no Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_named_model_matches_kaufman():
    out = answer("logz", "ising", "--size", "6x6", "-p", "coupling=0.4406867935097715")
    assert out["log_z"] == pytest.approx(34.11154105498624869020489, rel=1e-12)
    assert out["log10_z"] == pytest.approx(out["log_z"] / np.log(10))
    assert out["status"] == "OK"
    assert out["stderr"] == 0
    assert out["n_sites"] == 36
    assert set(out) >= {"lower", "upper", "method", "seconds"}


@pytest.mark.parametrize("method", ["auto", "enumeration", "contraction", "transfer-matrix"])
def test_methods_agree(method):
    out = answer("logz", "ising", "--size", "3x4", "-p", "field=0.1", "--method", method)
    reference = answer("logz", "ising", "--size", "3x4", "-p", "field=0.1")
    assert out["log_z"] == pytest.approx(reference["log_z"], rel=1e-12)


def test_uai_file_evidence_and_marginals(tmp_path):
    model, evidence = tmp_path / "m.uai", tmp_path / "m.evid"
    model.write_text(UAI)
    evidence.write_text("1 0 1\n")
    z = 0.4 * (1 + 2 + 3) + 0.6 * (4 + 5 + 0)
    out = answer("logz", model, "--marginals")
    assert out["log_z"] == pytest.approx(np.log(z), rel=1e-13)
    np.testing.assert_allclose(out["marginals"][0][:2], [2.4 / z, 5.4 / z], rtol=1e-9)
    given = answer("logz", model, "--evidence", evidence)
    assert given["log_z"] == pytest.approx(np.log(5.4), rel=1e-13)


def test_impossible_evidence_is_zero_not_nan(tmp_path):
    model, evidence = tmp_path / "m.uai", tmp_path / "m.evid"
    model.write_text(UAI)
    evidence.write_text("2 0 1 1 2\n")
    out = answer("logz", model, "--evidence", evidence)
    assert [out[k] for k in ("log_z", "log10_z", "lower", "upper")] == ["-inf"] * 4
    assert float(out["log_z"]) == -math.inf
    assert out["status"] == "ZERO"


def test_numbers_that_json_lacks_are_words_and_have_a_status(tmp_path):
    zero = tmp_path / "zero.uai"
    zero.write_text("MARKOV\n1\n2\n1\n1 0\n2\n0 0\n")
    out = answer("logz", zero, "--marginals")
    assert (out["log_z"], out["status"], out["marginals"]) == ("-inf", "ZERO", None)
    assert "Z is exactly zero" in run("logz", zero, "--marginals").output
    out = answer("logz", "gaussian", "--size", "3x3", "-p", "r=-10")
    assert (out["log_z"], out["status"]) == ("inf", "DIVERGENT")
    for size in ("3x3", "16x16"):  # a singular form, where rounding decides the sign of a pivot
        massless = answer("logz", "gaussian", "--size", size, "-p", "r=0")
        assert massless["status"] in ("DIVERGENT", "PRECISION")
    out = answer(
        "logz", "ising", "--size", "3x3", "-p", "coupling=1e308", "--method", "contraction"
    )
    assert out["status"] == "NONFINITE"
    assert not math.isfinite(float(out["log_z"]))
    page = tmp_path / "zero.html"
    rows = answer("study", zero, "--budget", "12", "--method", "enumeration", "--out", page)
    assert rows["log_z"]["enumeration"]["log_z"] == "-inf"


def test_marginals_have_one_entry_per_state(tmp_path):
    model = tmp_path / "m.uai"
    model.write_text(UAI)
    rows = answer("logz", model, "--marginals")["marginals"]
    assert [len(row) for row in rows] == [2, 3]
    assert [sum(row) for row in rows] == pytest.approx([1, 1])


def test_report_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("study", "ising", "--size", "3x3", "--method", "enumeration")
    older = tmp_path / "study-ising.html"
    older.write_text("an older report")
    out = answer(*words, "--budget", "9s")
    assert (out["saved"], older.read_text()) == ("study-ising-2.html", "an older report")
    assert "<h1>ising on square 3x3" in (tmp_path / "study-ising-2.html").read_text()
    assert out["log_z"]["enumeration"]["status"] == "OK"
    path = tmp_path / "report.json"
    assert run(*words, "--budget", "0.001", "--out", path).exit_code == 0
    assert strict(path.read_text())["parameter_counts"]["any function of the sites"] == 511


def test_an_interrupted_report_is_saved_as_far_as_it_went(tmp_path, monkeypatch):
    def interrupted(h):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("physdl.report.approximations.compiled", interrupted)
    done = run("study", "ising", "--size", "3x3", "--method", "enumeration", "--budget", "20s")
    assert done.exit_code == 130 and "not complete" in done.output
    assert "not complete" in (tmp_path / "study-ising.html").read_text()


def test_without_words_the_help_is_shown():
    result = run()
    assert result.exit_code == 0
    assert "Examples" in result.output


def test_parameters_by_kind(tmp_path):
    np.save(tmp_path / "k.npy", np.full(18, 0.25))
    listed = "coupling=" + json.dumps([0.25] * 18)
    one = answer("logz", "ising", "--size", "3x3", "-p", "coupling=0.25")["log_z"]
    for word in (listed, f"coupling=@{tmp_path / 'k.npy'}", "coupling=[0.25,0.25]"):
        assert answer("logz", "ising", "--size", "3x3", "-p", word)["log_z"] == pytest.approx(one)
    spins = ("-p", "weights=[[1,2],[3,4]]", "-p", "visible=SPIN", "-p", "hidden=SPIN")
    weights = np.array([[1.0, 2], [3, 4]])
    signs = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)])
    z = np.exp(signs @ weights @ signs.T).sum()
    assert answer("logz", "rbm", *spins)["log_z"] == pytest.approx(np.log(z))
    powers = ("-p", "r=0.5", "-p", "u=0", "-p", 'higher={"6": 0}', "--size", "3x3")
    gaussian = answer("logz", "gaussian", "-p", "r=0.5", "--size", "3x3")["log_z"]
    assert answer("logz", "phi4", *powers)["log_z"] == pytest.approx(gaussian)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(monkeypatch, terminal):
    written = io.StringIO()
    monkeypatch.setattr(output, "PATIENCE", 0.0)
    monkeypatch.setattr(
        output, "Console", lambda stderr: Console(file=written, force_terminal=terminal)
    )
    with output.progress("first stage") as stage:
        time.sleep(0.3)
        stage("second stage")
        time.sleep(0.3)
    shown = written.getvalue()
    if terminal:
        assert "first stage" in shown
        assert "second stage" in shown
        assert "0:00:00" in shown
    else:
        assert shown == ""


def test_short_work_shows_no_progress(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(
        output, "Console", lambda stderr: Console(file=written, force_terminal=True)
    )
    with output.progress("nothing to wait for"):
        pass
    assert "nothing" not in written.getvalue()


def test_info_and_lists():
    out = answer("info", "potts", "--size", "3x3", "-p", "q=4")
    assert out["n_sites"] == 9
    assert out["space"] == "potts(4)"
    assert "ising" in run("models").output
    assert "contraction" in run("methods").output
    assert "Examples" in run("--help").output


def test_text_output_and_precision():
    result = run("logz", "ising", "--size", "3x3", "--precision", "float32")
    assert result.exit_code == 0
    assert "log Z" in result.output
    run("logz", "ising", "--size", "3x3")  # back to float64 for the tests that follow


def test_every_named_model_has_a_working_default():
    from physdl.cli.named import EXAMPLES, build

    for name in EXAMPLES:
        h, title = build(name)
        assert h.n_sites > 0
        assert name in title


BAD = [
    (["logz", "isng"], "did you mean 'ising'"),
    (["lgz", "ising"], "did you mean 'logz'"),
    (["logz", "ising", "-p", "coupling"], "NAME=VALUE"),
    (["logz", "ising", "-p", "copling=1"], "did you mean 'coupling'"),
    (["logz", "ising", "-p", "coupling=1", "-p", "coupling=2"], "twice"),
    (["logz", "ising", "-p", "coupling=nan"], "finite"),
    (["logz", "ising", "-p", "coupling=-inf"], "finite"),
    (["logz", "ising", "-p", "coupling=1e999"], "finite"),
    (["logz", "ising", "-p", "coupling=true"], "'coupling' is a real number"),
    (["logz", "ising", "-p", "coupling=[true,1]"], "'coupling' is a real number"),
    (["logz", "ising", "-p", "coupling=[1,null]"], "finite"),
    (["logz", "ising", "-p", "coupling=[[1],[2,3]]"], "rectangular"),
    (["logz", "ising", "-p", "coupling={}"], "'coupling' is a real number"),
    (["logz", "ising", "-p", "coupling=high"], "'high'"),
    (["logz", "ising", "-p", "coupling=" + "[" * 10_000], "'coupling'"),
    (["logz", "ising", "-p", "=3"], "NAME=VALUE"),
    (["logz", "ising", "-p", "coupling="], "NAME=VALUE"),
    (["logz", "ising", "-p", "lattice=3"], "'lattice'"),
    (["logz", "ising", "-p", "coupling=@"], ".npy"),
    (["logz", "ising", "-p", "field=[1,2,3]"], "field of this lattice has shape"),
    (["logz", "potts", "-p", "q=abc"], "'q' is an integer"),
    (["logz", "potts", "-p", "q=[1,2]"], "'q' is an integer"),
    (["logz", "potts", "-p", "q=1000000000"], "at most 128"),
    (["logz", "clock", "-p", "q=1"], "clock(q)"),
    (["logz", "blume_capel", "-p", "s=1e9"], "at most 64"),
    (["logz", "blume_capel", "-p", "s=0.3"], "spin(s)"),
    (["logz", "o_n", "-p", "n=1000000000"], "'n' is an integer of at most 128"),
    (["logz", "phi4", "-p", "higher=3"], "object of powers"),
    (["logz", "phi4", "-p", 'higher={"1000000000":1}'], "powers up to 64"),
    (["logz", "phi4", "-p", 'higher={"4":1}'], "got 4"),
    (["logz", "sherrington_kirkpatrick", "-p", "n_sites=1000000"], "at most 2048"),
    (["logz", "sherrington_kirkpatrick", "-p", "n_sites=100"], "100 sites"),
    (["logz", "p_spin", "-p", "n_sites=1000", "-p", "p=10"], "p=10 out of n=1000"),
    (["logz", "edwards_anderson", "-p", "disorder=gausian"], "'gausian'"),
    (["logz", "edwards_anderson", "-p", "disorder=3"], "'disorder' is a word"),
    (["logz", "edwards_anderson", "-p", "seed=-1"], ">= 0"),
    (["logz", "edwards_anderson", "--seed", "-1"], "'--seed'"),
    (["logz", "ising", "--seed", "9" * 30], "'--seed'"),
    (["logz", "ising", "--seed", "x"], "'--seed'"),
    (["logz", "hopfield", "-p", "patterns=[[]]"], "patterns"),
    (["logz", "rbm", "-p", "visible=LYNE"], "did you mean 'LINE'"),
    (["logz", "gaussian", "--size", "200x200"], "40000 sites"),
    (["logz", "gaussian", "--marginals"], "--marginals needs a finite space"),
    (["logz", "gaussian", "--method", "enumeration"], "finite space"),
    (["logz", "ising", "--method", "gaussian"], "LINE"),
    (["logz", "xy", "--json"], "finite space"),
    (["logz", "isng", "--json"], "did you mean 'ising'"),
    (["logz", "ising", "--nope"], "'--nope'"),
    (["logz", "ising", "--json", "--precision", "-3"], "'--precision'"),
    (["logz", "ising", "--precision"], "'--precision'"),
    (["logz", "ising", "extra"], "extra"),
    (["logz"], "'MODEL'"),
    (["--nope"], "physdl --help"),
    (["models", "extra"], "physdl models --help"),
    (["info", "ising", "--method", "auto"], "'--method'"),
    (["logz", ""], "MODEL is an empty word"),
    (["logz", "."], "is a folder"),
    (["logz", "ising", "--evidence", ""], "--evidence is an empty word"),
    (["logz", "ising", "--evidence", "."], "is a folder"),
    (["logz", "ising", "--evidence", "/dev/zero"], "is a device"),
    (["logz", "phi4", "--evidence", "x.evid"], "evidence needs a finite space"),
    (["study", "ising", "--out", "no/such/folder/x.json"], "--out"),
    (["study", "ising", "--out", "."], "--out"),
    (["study", "ising", "--out", "report.txt"], ".html"),
    (["study", "ising", "--budget", "soon"], "60s"),
    (["study", "ising", "--budget", "0"], "above zero"),
    (["study", "ising", "--method", "enumerate"], "did you mean 'enumeration'"),
    (["study", "ising", "--max-memory", "-1"], "memory"),
    (["logz", "ising", "-p", "coupling=1..2"], "'1..2'"),
    (["logz", "ising", "-p", "coupling=[1,2,3]"], "shape"),
    (["logz", "ising", "-p", "coupling=@missing.npy"], "missing.npy"),
    (["logz", "ising", "--lattice", "sqare"], "did you mean 'square'"),
    (["logz", "ising", "--size", "0x4"], "positive"),
    (["logz", "ising", "--size", "4y4"], "16x16"),
    (["logz", "ising", "--size", "16x"], "'16x'"),
    (["logz", "ising", "--size", ""], "16x16"),
    (["logz", "ising", "--size", "-4x4"], "'-4x4'"),
    (["logz", "ising", "--size", "1e9x1e9"], "'1e9x1e9'"),
    (["logz", "ising", "--size", "9" * 400], "16x16"),
    (["logz", "ising", "--size", "4"], "rows x cols"),
    (["logz", "ising", "--lattice", ""], "unknown lattice"),
    (["logz", "ising", "--lattice", "chain", "--size", "1000000000"], "too large"),
    (["logz", "ising", "--lattice", "complete", "--size", "50000"], "too large"),
    (["logz", "ising", "--lattice", "bethe", "--size", "3x100"], "too large"),
    (["logz", "ising", "--lattice", "random_regular", "--size", "10x11"], "degree < n"),
    (["logz", "ising", "--boundary", ""], "unknown boundary"),
    (["logz", "ising", "--size", "4x4x4"], "--size"),
    (["logz", "ising", "--lattice", "cubic"], "--size"),
    (["logz", "ising", "--size", "1x4"], "1"),
    (["logz", "ising", "--size", "100000x100000"], "sites"),
    (["logz", "ising", "--boundary", "opn"], "did you mean 'open'"),
    (["logz", "ising", "--boundary", "open,open,open"], "tuple of 2"),
    (["logz", "ising", "--lattice", "complete", "--size", "5", "--boundary", "open"], "boundar"),
    (["logz", "ising", "--method", "enumerate"], "did you mean 'enumeration'"),
    (["logz", "ising", "--max-memory", "-4GB"], "memory"),
    (["logz", "ising", "--max-memory", "0"], "memory"),
    (["logz", "ising", "--max-memory", "lots"], "memory"),
    (["logz", "ising", "--max-memory", "nan"], "memory"),
    (["logz", "ising", "--max-memory", "0.1"], "memory"),
    (["logz", "ising", "--max-memory", "9" * 400], "memory"),
    (["logz", "ising", "--method", "contraction", "--max-memory", "1"], "operations"),
    (["logz", "ising", "--method", "enumeration", "--size", "20x20"], "max_states"),
    (["logz", "phi4"], "no exact method can do 16 sites"),
    (["logz", "potts", "-p", "q=0"], "potts(q)"),
    (["logz", "potts", "-p", "q=2.5"], "integer"),
    (["logz", "p_spin", "-p", "p=99"], "p <= n_sites"),
    (["logz", "sherrington_kirkpatrick", "--size", "4x4"], "no lattice"),
    (["logz", "ising", "--evidence", "nothing.evid"], "nothing.evid"),
    (["logz", "missing.uai"], "missing.uai"),
    (["logz", "README.unknown"], "suffix"),
    (["logz", "missing.uai", "--size", "4x4"], "is a file"),
    (["info", "isng"], "did you mean 'ising'"),
    (["study", "isng"], "did you mean 'ising'"),
]


def refused(words, fragment):
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert fragment in result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("physdl: ")
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words, fragment", BAD, ids=[" ".join(w)[:60] for w, _ in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(words, fragment):
    refused(words, fragment)


HEAD = "MARKOV\n2\n2 3\n1\n2 0 1\n6\n"
BAD_FILES = {
    "empty": ("", "is empty"),
    "truncated": ("MARKOV\n2\n2 3\n2\n1 0\n2 0", "line 6, token 8"),
    "truncated table": (HEAD + "1 2 3", "6"),
    "negative weight": (HEAD + "1 2 3 -4 5 6", "token 13"),
    "weight nan": (HEAD + "1 2 nan 4 5 6", "token 12"),
    "weight inf": (HEAD + "1 2 inf 4 5 6", "token 12"),
    "weight as a word": (HEAD + "1 two 3 4 5 6", "token 11"),
    "wrong table size": ("MARKOV\n2\n2 3\n1\n2 0 1\n5\n1 2 3 4 5", "token 9"),
    "scope out of range": ("MARKOV\n2\n2 3\n1\n2 0 7\n6\n1 2 3 4 5 6", "token 8"),
    "cardinality 0": ("MARKOV\n2\n2 0\n1\n1 0\n2\n1 2", "token 4"),
    "huge cardinality": ("MARKOV\n2\n2 1000000000\n1\n1 0\n2\n1 2", "token 4"),
    "fractional cardinality": ("MARKOV\n2\n2 3.5\n1\n1 0\n2\n1 2", "token 4"),
    "a billion variables": ("MARKOV\n1000000000\n2 2 2", "1000000000"),
    "another word first": ("FACTOR\n1\n2\n0\n", "token 1"),
    "binary junk": (bytes(range(128, 256)), "byte 0"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_names_the_place(tmp_path, case):
    content, place = BAD_FILES[case]
    path = tmp_path / "bad.uai"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(["logz", path], place)
    refused(["info", path, "--json"], "bad.uai")


BAD_EVIDENCE = {
    "no such variable": ("1 7 0", "variable 7 does not exist"),
    "no such state": ("1 0 5", "variable 0 cannot be in state 5"),
    "contradiction": ("2 0 1\n0 0", "two different states"),
    "too few words": ("2 0 1", "token 1"),
    "a model": (UAI, "'MARKOV'"),
}


@pytest.mark.parametrize("case", BAD_EVIDENCE)
def test_bad_evidence_names_the_place(tmp_path, case):
    (tmp_path / "m.uai").write_text(UAI)
    content, place = BAD_EVIDENCE[case]
    (tmp_path / "bad.evid").write_text(content)
    refused(["logz", tmp_path / "m.uai", "--evidence", tmp_path / "bad.evid"], place)


GRAPH = "3 3\n1 2 1\n2 3 1\n1 3 1\n"
BAD_OTHER_FILES = {
    "archive that is text": ("m.npz", UAI, [], "zip"),
    "graph that is a model": ("m.txt", UAI, [], "line 1"),
    "vertex out of range": ("g.rud", "3 1\n1 4 1", [], "joins 1 and 4"),
    "no suffix": ("graph", GRAPH, [], "suffix"),
    "lattice for a file": ("g.txt", GRAPH, ["--lattice", "square"], "is a file"),
    "misspelt beta": ("g.txt", GRAPH, ["-p", "bta=2"], "did you mean 'beta'"),
    "beta as a word": ("g.txt", GRAPH, ["-p", "beta=cold"], "'cold'"),
    "beta as a list": ("g.txt", GRAPH, ["-p", "beta=[1,2]"], "beta is one number"),
    "unknown problem": ("g.txt", GRAPH, ["-p", "problem=maxct"], "did you mean 'maxcut'"),
    "beta for a model": ("m.uai", UAI, ["-p", "beta=2"], "beta can be given for edge lists"),
}


@pytest.mark.parametrize("case", BAD_OTHER_FILES)
def test_files_that_are_not_what_they_seem(tmp_path, case):
    name, content, options, place = BAD_OTHER_FILES[case]
    (tmp_path / name).write_text(content)
    refused(["logz", tmp_path / name, *options], place)


def huge_npy(path):
    """An .npy file of 80 bytes of data that declares 800 GB."""
    np.save(path, np.zeros(10))
    path.write_bytes(path.read_bytes().replace(b"(10,), }            ", b"(100000000000,), }  "))


@pytest.mark.parametrize("dtype", [bool, complex, "U1", object])
def test_array_files_of_another_type(tmp_path, dtype):
    np.save(tmp_path / "k.npy", np.zeros(32, dtype), allow_pickle=True)
    refused(["logz", "ising", "-p", f"coupling=@{tmp_path / 'k.npy'}"], "'coupling'")


def test_array_files_that_are_damaged(tmp_path):
    np.save(tmp_path / "nan.npy", np.full(128, np.nan))
    huge_npy(tmp_path / "huge.npy")
    np.savez(tmp_path / "archive.npz", np.zeros(3))
    (tmp_path / "text.npy").write_text("0.44")
    expected = {"nan.npy": "finite", "huge.npy": ".npy", "archive.npz": "archive", "text.npy": ""}
    for name, fragment in expected.items():
        refused(["logz", "ising", "-p", f"coupling=@{tmp_path / name}"], fragment)


def process(*words):
    return subprocess.run(
        [sys.executable, "-m", "physdl", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_imports_no_jax():
    code = (
        "import sys; from physdl.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print('jax' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stdout.endswith("False False\n")


def test_process_refuses_in_one_sentence():
    done = process("logz", "isng", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("physdl: unknown model or file 'isng': did you mean 'ising'?")
    assert done.stderr.count("\n") == 1


def test_process_prints_json_and_nothing_on_standard_error():
    done = process("logz", "ising", "--size", "3x3", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert strict(done.stdout)["status"] == "OK"


def test_a_sampled_method_reaches_the_error_that_is_asked_for():
    model = ("logz", "ising", "--size", "3x4", "-p", "coupling=0.3")
    exact = answer(*model)
    out = answer(*model, "--method", "ais", "--stderr", "0.02")
    assert 0 < out["stderr"] <= 0.02 and out["status"] == "OK"
    assert abs(out["log_z"] - exact["log_z"]) < 4 * out["stderr"]
    assert out["lower"] < exact["log_z"] and out["upper"] == "inf"


@pytest.mark.slow
def test_methods_are_compared():
    out = answer("logz", "ising", "--size", "3", "--lattice", "chain", "--method", "compare")
    assert set(out["estimates"]) == {
        "auto",
        "ais",
        "reverse-ais",
        "pa",
        "ti",
        "mbar",
        "wang-landau",
    }
    assert out["disagreements"] == [] and out["stderr"] == 0
    text = run("logz", "gaussian", "--size", "3x3", "--method", "compare", "--marginals")
    assert text.exit_code == 2 and "--marginals" in text.stderr


def test_a_budget_that_is_no_time_is_refused():
    for option in ("--budget", "--stderr"):
        out = run("logz", "ising", option, "0")
        assert out.exit_code == 2 and option in out.stderr
