"""The examples of the README run as they stand."""

import pathlib
import re

from physdl import reference

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(example.splitlines()) == 15
    exec(compile(example, str(README), "exec"), {})
    printed = capsys.readouterr().out
    exact = f"log Z {float(reference.kaufman_log_z(4, 4, 0.3)):.6f}"
    for words in (exact, "energy -4.05", "y [0.747", "128 neurons", "136 coefficients"):
        assert words in printed, printed


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]*)\)", README.read_text()):
        assert (README.parent / target).exists(), target


def test_two_setup_commands():
    commands = re.findall(r"```sh\n(.*?)\n```", README.read_text(), flags=re.DOTALL)
    assert len(commands) == 2
    assert commands[0].endswith("physdl study ising")
    assert commands[1].endswith("pytest")
