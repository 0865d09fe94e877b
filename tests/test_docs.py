"""Every example of the pages in docs/ runs as it stands and gives what is printed there.

A block is ``pycon`` (a Python session, one namespace per page), ``console`` (physdl commands with
what they print) or, for setting up alone, ``sh``.
"""

import doctest
import importlib
import importlib.util
import inspect
import json
import pathlib
import pkgutil
import re
import shlex

import pytest
from click.testing import CliRunner

import physdl
from physdl.cli import main

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
AUTOMODULE = re.compile(r"automodule:: (\S+)\n((?:   :.*\n)*)")
AUTONAME = re.compile(r"auto(?:function|class):: (\S+)\.(\w+)\n")
NO_LIBRARY = {"physdl.cli", "physdl.version", "physdl.__main__"}
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


def public_names(module, *, imported=True):
    """Names a module offers: its ``__all__``, or what of the package it defines or passes on."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    home = "physdl" if imported else module.__name__
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and (getattr(value, "__module__", None) or "").startswith(home)
    ]


def public_modules(package):
    """The modules of the package and, below them, packages: what a user imports from."""
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        below = package is not physdl
        if "._" in info.name or info.name in NO_LIBRARY or (below and not info.ispkg):
            continue
        module = importlib.import_module(info.name)
        yield module
        if info.ispkg:
            yield from public_modules(module)


def documented():
    """The objects that pages of docs/api describe."""
    found = set()
    for page in sorted(DOCS.joinpath("api").glob("*.md")):
        text = page.read_text()
        found |= {id(getattr(importlib.import_module(m), n)) for m, n in AUTONAME.findall(text)}
        for name, options in AUTOMODULE.findall(text):
            module = importlib.import_module(name)
            if ":no-members:" not in options:
                names = public_names(module, imported=":imported-members:" in options)
                found |= {id(getattr(module, n)) for n in names}
    return found


def test_every_public_name_has_a_page():
    there = documented()
    lacking = [
        f"{module.__name__}.{name}"
        for module in public_modules(physdl)
        for name in public_names(module)
        if id(getattr(module, name)) not in there
    ]
    assert not lacking


def test_every_public_name_has_a_docstring():
    lacking = [
        f"{module.__name__}.{name}"
        for module in public_modules(physdl)
        for name in public_names(module)
        if callable(value := getattr(module, name))
        and getattr(value, "__module__", "").startswith("physdl")
        and not value.__doc__
    ]
    assert not lacking


@pytest.mark.parametrize("index, folder", [("index", "."), ("api", "api")])
def test_every_page_is_listed(index, folder):
    (tree,) = [blocks(DOCS / f"{index}.md", "{toctree}")]
    listed = {line for body in tree for line in body.splitlines() if line and line[0] != ":"}
    there = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.glob(f"{folder}/*.md")}
    if index == "index":
        notebooks = DOCS.parent.joinpath("notebooks").glob("[0-9]*.py")
        there = (there - {"index"}) | {f"notebooks/{p.stem}" for p in notebooks}
    assert there == listed


def test_the_page_of_choices_is_what_was_measured():
    path = DOCS.parent / "benchmarks" / "choosing.py"
    spec = importlib.util.spec_from_file_location("choosing", path)
    choosing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(choosing)
    _, mark, tables = choosing.PAGE.read_text().partition(choosing.MARK)
    assert mark
    assert tables == choosing.measured(json.loads(choosing.RESULTS.read_text()))
