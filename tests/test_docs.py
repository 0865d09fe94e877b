"""Every example of the pages in docs/ runs as it stands and gives what is printed there.

A block is ``pycon`` (a Python session, one namespace per page), ``console`` (physdl commands with
what they print) or, for setting up alone, ``sh``.
"""

import doctest
import pathlib
import re
import shlex

import pytest
from click.testing import CliRunner

from physdl.cli import main

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page, kind):
    return [body for name, body in FENCE.findall(page.read_text()) if name == kind]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_sessions(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = "\n".join(blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, page.name, str(page), 0)
    report = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_commands(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for body in blocks(page, "console"):
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            program, *words = shlex.split(line)
            assert program == "physdl"
            result = CliRunner().invoke(main, words)
            same = doctest.OutputChecker().check_output(expected, result.output, FLAGS)
            assert same, f"{line}\n{result.output}"


def test_there_are_no_blocks_that_nothing_runs():
    kinds = {name for page in PAGES for name, _ in FENCE.findall(page.read_text())}
    assert kinds - {"{toctree}"} == {"pycon", "console", "sh"}
    (setting_up,) = [body for page in PAGES for body in blocks(page, "sh")]
    assert all("pip install" in line or "-m venv" in line for line in setting_up.splitlines())
