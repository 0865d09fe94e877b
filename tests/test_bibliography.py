"""The bibliography is valid BibTeX, used to the last entry, and changes nothing that it marks."""

import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import physdl
from physdl import estimators, reference, rg, sampling
from physdl.bibliography import bibtex, cite, cites, entries
from physdl.errors import UnknownNameError

ROOT = Path(__file__).parents[1]
FIELD = re.compile(r"^  (\w+) = \{(.*)\},$")


def cited():
    """Public names by the entry that they cite, of all modules of the package."""
    found: dict[str, set[str]] = {}
    for info in pkgutil.walk_packages(physdl.__path__, "physdl."):
        if info.name.startswith("physdl.cli") or info.name == "physdl.__main__":
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            home = getattr(value, "__module__", "") or ""
            if "__cites__" in getattr(value, "__dict__", {}) and home == info.name:
                for key in value.__cites__:
                    found.setdefault(key, set()).add(f"{home.split('.')[1]}.{name}")
    return found


def fields(entry):
    return dict(FIELD.match(line).groups() for line in entry.splitlines()[1:-1])


def row(key, names):
    """A row of docs/bibliography.md; the test prints the rows that the page lacks."""
    of = fields(entries()[key])
    authors = [a.partition(",")[0].strip("{}") for a in of["author"].split(" and ")]
    who = f"{authors[0]} et al." if len(authors) > 2 else " and ".join(authors)
    who = who.replace("others", "et al.").replace("and et al.", "et al.")
    where = f"{of['journal']} {of['volume']}, {of['pages']}" if "journal" in of else "arXiv"
    where += f", arXiv:{of['eprint']}" if "eprint" in of else ""
    listed = ", ".join(f"`{n}`" for n in sorted(names))
    return f"| `{key}` | {who}, {where} ({of['year']}) | {listed} |"


def test_entries_are_bibtex():
    text = (ROOT / "physdl" / "references.bib").read_text()
    assert text.count("@") == len(entries())  # so no key is there twice
    for key, entry in entries().items():
        assert re.match(r"@(article|misc|software)\{[a-z0-9]+,\n", entry), key
        depth = 0
        for letter in entry:
            depth += {"{": 1, "}": -1}.get(letter, 0)
            assert depth >= 0
        assert depth == 0
        assert all(FIELD.match(line) for line in entry.splitlines()[1:-1]), key
        of = fields(entry)
        assert {"author", "title", "year"} <= set(of)
        if entry.startswith("@article"):
            assert {"journal", "volume", "pages"} <= set(of)
        if entry.startswith("@misc"):
            assert "eprint" in of


def test_dois_say_volume_and_page():
    for key, entry in entries().items():
        of = fields(entry)
        if "doi" in of:
            assert of["doi"].endswith(f".{of['volume']}.{of['pages']}"), key


def test_every_entry_is_cited_and_every_key_is_there():
    assert set(cited()) | {"physdl"} == set(entries())


def test_the_package_is_its_citation_file():
    text = (ROOT / "CITATION.cff").read_text()
    of = fields(entries()["physdl"])
    assert of["title"].strip("{}") in text
    assert of["author"].strip("{}") in text
    assert f"version: {of['version']}" in text
    assert f"date-released: {of['year']}" in text


def test_the_page_lists_who_cites_what():
    page = (ROOT / "docs" / "bibliography.md").read_text()
    expected = [row(key, names) for key, names in sorted(cited().items())]
    missing = [line for line in expected if line not in page]
    assert not missing, "\n".join(missing)
    assert page.count("\n| `") == len(expected)


def test_names_instances_and_functions():
    by_name = bibtex("estimators.AIS", "rg.mcrg")
    assert by_name == bibtex(estimators.AIS(), rg.mcrg) == bibtex("AIS", "mcrg")
    assert by_name.index("@software{physdl") == 0
    assert "@article{neal2001," in by_name
    assert "@article{swendsen1979," in by_name


def test_a_method_without_a_paper_adds_nothing():
    assert bibtex(estimators.Enumeration()) == entries()["physdl"]


@pytest.mark.parametrize(
    "name, hint",
    [
        ("AISS", "method 'AISS': did you mean 'AIS'"),
        ("rg.mcg", "did you mean 'mcrg'"),
        ("estimator.AIS", "module 'estimator': did you mean 'estimators'"),
        ("Nobody", "'Nobody'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        bibtex(name)


def test_a_session_knows_what_it_used(capsys):
    code = """
import importlib, pkgutil, physdl
for info in pkgutil.iter_modules(physdl.__path__):
    if info.name not in ("__main__", "cli"):
        importlib.import_module(f"physdl.{info.name}")
from physdl.bibliography import bibtex
print(bibtex().count("@"))
physdl.estimators.AIS()
print(bibtex().count("@"))
physdl.reference.onsager_log_z(0.3)
print(bibtex())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, built, *after = run.stdout.splitlines()
    assert before == built == "1"  # importing and building are no uses
    assert "@article{onsager1944," in after
    cite()
    assert capsys.readouterr().out.startswith("@software{physdl,")


def test_marks_leave_functions_as_they_are():
    n_traces = 0

    @cites("neal2001")
    def twice(x: float, *, by: int = 2) -> float:
        """Doc."""
        nonlocal n_traces
        n_traces += 1
        return x * by

    assert str(inspect.signature(twice)) == "(x: float, *, by: int = 2) -> float"
    assert twice.__doc__ == "Doc."
    for _ in range(3):
        assert jax.jit(twice, static_argnames="by")(3.0) == 6.0
    assert n_traces == 1
    assert jax.grad(twice)(3.0) == 2.0
    assert pickle.loads(pickle.dumps(reference.onsager_log_z)) is reference.onsager_log_z


def test_marks_leave_classes_as_they_are():
    method = estimators.AIS()
    assert method == pickle.loads(pickle.dumps(method))
    assert hash(sampling.SwendsenWang()) == hash(sampling.SwendsenWang())
    assert next(iter(inspect.signature(estimators.AIS).parameters)) != "args"
    assert "h" in inspect.signature(method.__call__).parameters
