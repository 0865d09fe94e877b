"""Sphinx: the pages of this folder, the docstrings of the package, the notebooks beside them."""

import pathlib
import re
import shutil

from physdl import __version__ as release

HERE = pathlib.Path(__file__).parent

project = "physdl"
author = copyright = "The physdl developers"
version = release
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "conf.py", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"physdl {release}"
html_copy_source = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True

autodoc_typehints = "none"
autodoc_member_order = "groupwise"
autodoc_default_options = {"members": True, "special-members": "__call__"}
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False


def _rst(lines: list[str]) -> list[str]:
    """Formulas stand indented and tables in Markdown; this is what they are in reStructuredText."""
    out: list[str] = []
    literal, above = False, ""
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else ""
        if line.startswith("|") and line.rstrip().endswith("|"):
            out += _row(line, first=not before.startswith("|"))
            continue
        indented = line.startswith("  ")
        if indented and not before.strip() and not above.startswith("  "):
            out += ["::", ""]
            literal = True
        literal = literal and (indented or not line.strip())
        plain = literal or "``" in line or line.startswith(">>>")
        out.append(line if plain else re.sub(r"\||(?<![\w*])\*(?=\w)(?!.*\w\*)", r"\\\g<0>", line))
        above = line if line.strip() else above
    return out


def _row(line: str, *, first: bool) -> list[str]:
    """A row of a Markdown table as an item of a list-table."""
    head = [".. list-table::", "   :header-rows: 1", ""] if first else []
    cells = [c.strip() for c in line.strip()[1:-1].split("|")]
    if set("".join(cells)) <= {"-", ":"}:
        return head
    return [*head, f"   * - {cells[0]}", *(f"     - {c}" for c in cells[1:])]


def _docstring(app, what, name, obj, options, lines):
    lines[:] = _rst(lines)


def setup(app):
    """Bring the notebooks here, and read docstrings as they are written."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for path in HERE.parent.joinpath("notebooks").glob("[0-9]*.py"):
        shutil.copyfile(path, target / path.name)
    app.connect("autodoc-process-docstring", _docstring, priority=100)
