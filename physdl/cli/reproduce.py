"""``physdl reproduce``: published numbers, computed again, as a table."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from physdl import reproduce
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.errors import SettingError
from physdl.reproduce import Outcome
from physdl.reproduce._tables import HEAD, cells, summary

__all__ = ["run"]

INTERRUPTED = 130


def run(
    names: tuple[str, ...],
    *,
    quick: bool,
    subject: str | None,
    out: Path | None,
    listed: bool,
    as_json: bool,
) -> None:
    """Carry out the command."""
    if out is not None and (out.suffix not in WRITERS or not out.absolute().parent.is_dir()):
        raise SettingError(
            f"--out {out} is no .md, .html or .json in an existing folder: give another path."
        )
    if listed:
        click.echo(_listing())
        return
    set_precision("float64")
    outcomes: list[Outcome] = []
    complete = True
    with progress("published results") as stage:
        try:
            outcomes.extend(
                reproduce.run(names or None, quick=quick, subject=subject, report=stage)
            )
        except KeyboardInterrupt:
            complete = False
    if out is not None:
        out.write_text(f"{WRITERS[out.suffix](outcomes)}\n", encoding="utf-8")
    if as_json:
        click.echo(to_json(_values(outcomes)))
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(_table(outcomes))
        click.echo(summary(outcomes))
    if not complete:
        sys.exit(INTERRUPTED)
    if not all(outcome.ok for outcome in outcomes):
        sys.exit(1)


def _as_json(outcomes: list[Outcome]) -> str:
    return to_json(_values(outcomes), indent=2)


def _values(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "results": [outcome.to_dict() for outcome in outcomes],
        "ok": all(outcome.ok for outcome in outcomes),
    }


WRITERS = {".md": reproduce.as_markdown, ".html": reproduce.as_html, ".json": _as_json}


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(*HEAD, box=None, pad_edge=False)
    for outcome in outcomes:
        name, *rest = cells(outcome)
        table.add_row(name, *rest, style="" if outcome.ok else "bold red")
    return table


def _listing() -> str:
    """Every result with its subject, one line each."""
    found = [reproduce.published(name) for name in reproduce.names()]
    name, subject = (max(len(getattr(p, a)) for p in found) for a in ("name", "subject"))
    return "\n".join(f"{p.name:{name}}  {p.subject:{subject}}  {p.title}" for p in found)
