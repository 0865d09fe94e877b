import json

import numpy as np
import pytest
from click.testing import CliRunner

from physdl.cli import main

UAI = "MARKOV\n2\n2 3\n2\n1 0\n2 0 1\n2\n 0.4 0.6\n6\n 1 2 3 4 5 0\n"


def run(*words):
    return CliRunner().invoke(main, [str(w) for w in words])


def answer(*words):
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


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
    assert out["log_z"] == -np.inf
    assert out["status"] == "ZERO"


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
    (["logz", "ising", "-p", "coupling=1..2"], "no number"),
    (["logz", "ising", "-p", "coupling=[1,2,3]"], "shape"),
    (["logz", "ising", "-p", "coupling=@missing.npy"], "missing.npy"),
    (["logz", "ising", "--lattice", "sqare"], "did you mean 'square'"),
    (["logz", "ising", "--size", "0x4"], "positive"),
    (["logz", "ising", "--size", "4y4"], "16x16"),
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
    (["logz", "ising", "--method", "enumeration", "--size", "20x20"], "max_states"),
    (["logz", "phi4"], "finite space"),
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


@pytest.mark.parametrize("words, fragment", BAD, ids=[" ".join(w) for w, _ in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(words, fragment):
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert fragment in result.output
    assert "Traceback" not in result.output
    assert result.output.count("\n") == 1
