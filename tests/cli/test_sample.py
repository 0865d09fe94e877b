"""``physdl sample``: what it prints, keeps and refuses."""

import json

import jax
import pytest
from click.testing import CliRunner

from physdl import ensemble, reference
from physdl.cli import main
from physdl.cli.kernels import KERNELS

SMALL = ("ising", "--size", "6x6", "-p", "coupling=0.3")


def run(*words):
    return CliRunner().invoke(main, ["sample", *map(str, words)])


def answer(*words):
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["auto", "wolff", "packed"])
def test_energy_against_kaufman(kernel):
    out = answer(*SMALL, "--sweeps", 1000, "--kernel", kernel)
    assert set(out["observables"]) == {"energy", "abs_m", "m2", "m4"}
    energy = out["observables"]["energy"]
    exact = 0.3 * float(reference.kaufman_energy(6, 6, 0.3))
    assert abs(energy["value"] - exact) < 4 * energy["stderr"]
    assert energy["r_hat"] < 1.05 and energy["ess"] > 100 and 0.2 < energy["tau"] < 20
    heat = out["derived"]["specific_heat"]
    exact = float(reference.kaufman_specific_heat(6, 6, 0.3)) / 36
    assert abs(heat["value"] - exact) < 4 * heat["stderr"]
    assert out["n_chains"] == (32 if kernel == "packed" else 4) and out["status"] == "OK"


def test_a_field_is_sampled_by_tuned_trajectories():
    out = answer("phi4", "--size", "4x4", "--sweeps", 800)
    assert "HMC(step_size=" in out["kernel"] and 0.6 < out["info"]["acceptance"] < 0.95
    m2 = out["observables"]["m2"]
    assert m2["stderr"] < 0.01 and out["status"] == "OK"


def test_text_names_what_it_is():
    result = run(*SMALL, "--sweeps", 100, "-k", "constrained=true", "--kernel", "metropolis")
    assert result.exit_code == 0, result.output
    for word in ("Metropolis(step_size=1)", "R-hat", "energy", "binder", "acceptance"):
        assert word in result.output


def test_configurations_are_kept_and_a_run_goes_on(tmp_path):
    words = (*SMALL, "--sweeps", 300, "--chains", 2, "--out", tmp_path / "x.npz",
             "--checkpoint", tmp_path / "c")  # fmt: skip
    stopped = answer(*words, "--max-seconds", 0)
    assert stopped["status"] in ("STOPPED", "NONFINITE") and not (tmp_path / "x.npz").exists()
    done, whole = answer(*words), answer(*SMALL, "--sweeps", 300, "--chains", 2)
    assert done["observables"] == whole["observables"]
    kept = ensemble.load(tmp_path / "x.npz")
    assert kept.states.shape == (2, 300, 6, 6)
    assert float(jax.numpy.abs(kept.states).min()) == 1
    refused = run(*words, "--kernel", "metropolis")
    assert refused.exit_code == 2 and "of another run" in refused.output


@pytest.mark.parametrize(
    "words, message",
    [
        (("--kernel", "wolf"), "unknown kernel 'wolf': did you mean 'wolff'?"),
        (("-k", "nothing=1"), "unknown parameter of kernel auto 'nothing'"),
        (("--kernel", "metropolis", "-k", "constrained=7"), "'constrained' is true or false"),
        (("--kernel", "hmc"), "SPIN"),
        (("--kernel", "packed", "-k", "n_bits=99"), "n_bits"),
        (("--sweeps", "0"), "0 is not in the range x>=1"),
        (("--chains", "0"), "0 is not in the range x>=1"),
        (("--out", "nowhere/x.npz"), "not a .npz file in an existing folder"),
        (("--out", "x.txt"), "not a .npz file"),
        (("--sweeps", "10", "--thin", "11"), "give 0 measurements"),
    ],
)
def test_refusals_are_one_sentence(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*SMALL, *words)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.startswith("physdl: ") and result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_every_kernel_is_listed():
    result = CliRunner().invoke(main, ["kernels"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(KERNELS)
