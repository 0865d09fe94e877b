"""``physdl infer``: from files of samples to Hamiltonians."""

import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from physdl import files, lattices, learning, models, sampling
from physdl.cli import main

CHAIN = models.ising(lattices.chain(6), 0.4, 0.1)


def run(*arguments):
    return CliRunner().invoke(main, ["infer", *map(str, arguments)])


def found(*arguments):
    out = run(*arguments, "--json")
    assert out.exit_code == 0, out.output
    return json.loads(out.output)


@pytest.fixture(scope="module")
def x():
    return np.asarray(sampling.exact_sample(CHAIN, n=2000, key=jax.random.key(0)).states[:, 0])


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".txt"])
def test_files_of_rows(tmp_path, x, suffix):
    file = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(file, x)
    else:
        np.savetxt(file, x, delimiter="," if suffix == ".csv" else " ")
    values = found(file, "--method", "maximum-likelihood")
    h = learning.maximum_likelihood(x).hamiltonian
    pairs = values["terms"]["degree 2"]
    np.testing.assert_allclose(
        [pair["coefficient"] for pair in pairs], h.terms["degree 2"].coefficient, rtol=1e-9
    )
    assert [pair["variables"] for pair in pairs] == h.terms["degree 2"].table.array.tolist()
    assert values["status"] == "OK" and values["n_samples"] == 2000


def test_what_sample_keeps_is_inferred_and_counted(tmp_path):
    """sample, infer and logz in a row: log Z of the model found is near that of the true one."""
    runner, drawn, model = CliRunner(), tmp_path / "x.npz", tmp_path / "found.npz"
    ring = ["ising", "--lattice", "chain", "--size", "6", "-p", "coupling=0.4"]
    arguments = ["sample", *ring, "--sweeps", "2000", "--out", str(drawn)]
    assert runner.invoke(main, arguments).exit_code == 0
    assert run(drawn, "--family", "ising", "--lattice", "chain", "--size", "6", "--out", model)
    guessed, true = (
        json.loads(runner.invoke(main, ["logz", *what, "--json"]).output)["log_z"]
        for what in ([str(model)], ring)
    )
    coupling = -float(files.load(model).terms["bond"].coefficient)
    slope = 6 * (np.tanh(0.4) + np.tanh(0.4) ** 5) / (1 + np.tanh(0.4) ** 6)  # d log Z / d K
    assert guessed - true == pytest.approx(slope * (coupling - 0.4), abs=0.02)
    assert abs(coupling - 0.4) < 0.1


def test_monomials_near_on_a_lattice(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    values = found(tmp_path / "x.npy", "--lattice", "chain", "--size", "6", "--reach", "2")
    assert len(values["terms"]["degree 2"]) == 12
    assert len(found(tmp_path / "x.npy", "--lattice", "chain")["terms"]["degree 2"]) == 6


def test_states_by_number(tmp_path):
    h = models.potts(lattices.chain(4), q=3, coupling=0.7)
    states = sampling.exact_sample(h, n=3000, key=jax.random.key(0)).states[:, 0]
    np.save(tmp_path / "x.npy", np.argmax(np.asarray(states), axis=-1))
    values = found(tmp_path / "x.npy", "--space", "potts:3", "--l2", "1e-3")
    assert values["n_sites"] == 4 and values["status"] == "OK"


def test_mean_field_and_real_fields(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    values = found(tmp_path / "x.npy", "--method", "bethe")
    h = learning.mean_field(x, "bethe")
    np.testing.assert_allclose(
        [pair["coefficient"] for pair in values["terms"]["degree 2"]],
        h.terms["degree 2"].coefficient,
        rtol=1e-9,
    )
    np.savetxt(tmp_path / "y.txt", np.random.default_rng(0).normal(size=(500, 2)) / 2)
    values = found(tmp_path / "y.txt", "--method", "score-matching")
    assert abs(values["terms"]["degree 2"][0]["coefficient"] - 2) < 0.5


def test_text(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    out = run(tmp_path / "x.npy").output
    assert "2000 samples of 6 sites from x.npy" in out and "+/-" in out
    assert "degree 2, the largest of 15" in out


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("x.npy", np.ones((5, 2)), ["--method", "bete"], "did you mean 'bethe'"),
        ("x.npy", np.ones((5, 2)), [], "one value in all samples"),
        ("x.npy", np.full((5, 2), 0.3), [], "0.3"),
        ("x.npy", np.full((5, 2), np.nan), [], "not finite"),
        ("x.npy", np.eye(4), ["--space", "pots:3"], "did you mean 'potts:q'"),
        ("x.npy", np.eye(4), ["--space", "potts:x"], "got 'potts:x'"),
        ("x.npy", np.eye(4), ["--size", "4"], "--lattice"),
        ("x.npy", np.eye(4), ["--method", "tap", "--l1", "1"], "--l1 is for pseudolikelihood"),
        ("x.dat", "1 2", [], ".npy, .npz of physdl sample, .csv or .txt"),
        ("x.csv", "1,2\n1,a\n", [], "cannot be read"),
        ("x.csv", None, [], "cannot be read"),
    ],
)
def test_refusals(tmp_path, name, content, arguments, message):
    if isinstance(content, str):
        (tmp_path / name).write_text(content)
    elif content is not None:
        np.save(tmp_path / name, content)
    out = run(tmp_path / name, *arguments)
    assert out.exit_code == 2 and out.stdout == ""
    assert message in out.stderr
