"""The example of the README runs as it stands."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_example_runs(capsys):
    text = README.read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, str(README), "exec"), {})
    assert "log Z = " in capsys.readouterr().out


def test_two_setup_commands():
    commands = re.findall(r"```sh\n(.*?)\n```", README.read_text(), flags=re.DOTALL)
    assert len(commands) == 2
    assert commands[0].endswith("physdl study ising")
    assert commands[1].endswith("pytest")
