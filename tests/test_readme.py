"""The examples of the README run as they stand."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_examples_run(capsys):
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    for example, printed in zip(
        examples, ("log Z = ", "R-hat", "bounds: ", "0.747", "128 136 coefficients"), strict=True
    ):
        exec(compile(example, str(README), "exec"), {})
        assert printed in capsys.readouterr().out


def test_two_setup_commands():
    commands = re.findall(r"```sh\n(.*?)\n```", README.read_text(), flags=re.DOTALL)
    assert len(commands) == 2
    assert commands[0].endswith("physdl study ising")
    assert commands[1].endswith("pytest")
