"""``physdl study``: the report on a model, in words and as a page."""

import sys
from pathlib import Path
from typing import Any

import click

from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import memory, progress, set_precision
from physdl.errors import SettingError
from physdl.report import Study, study
from physdl.report.page import page

__all__ = ["run"]

SUFFIXES = (".html", ".json")
INTERRUPTED = 130


def run(
    *,
    out: Path | None,
    method: str,
    budget: float,
    max_memory: str,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: str | None,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    limit = memory(max_memory)
    if out is not None:
        _check(out)
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        result = study(
            h,
            budget=budget,
            methods=None if method == "auto" else (method,),
            max_memory=limit,
            seed=seed,
            report=stage,
        )
    path = _free(Path(model["model"]).stem) if out is None else out
    _save(path, result, title)
    values = {"model": title, **result.to_dict(), "saved": str(path)}
    click.echo(to_json(values) if as_json else f"{title}\n{result!r}\n\n  saved as {path}")
    if not result.complete:
        sys.exit(INTERRUPTED)


def _check(out: Path) -> None:
    if out.suffix not in SUFFIXES:
        raise SettingError(f"--out {out} is neither .html nor .json: give another name.")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise SettingError(f"--out {out} is not a file in an existing folder: give another path.")


def _free(stem: str) -> Path:
    """study-STEM.html in the working folder, numbered where there is one already."""
    first = Path(f"study-{stem}.html")
    later = (Path(f"study-{stem}-{n}.html") for n in range(2, sys.maxsize))
    return first if not first.exists() else next(p for p in later if not p.exists())


def _save(path: Path, result: Study, title: str) -> None:
    values = {"model": title, **result.to_dict()}
    text = to_json(values, indent=2) if path.suffix == ".json" else page(result, title)
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise SettingError(
            f"{path} cannot be written ({error.strerror}): give another path by --out."
        ) from error
