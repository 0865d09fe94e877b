"""``physdl study``: the report on a model."""

from pathlib import Path
from typing import Any

import click

from physdl.cli.methods import method as named_method
from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import memory, progress, set_precision
from physdl.errors import SettingError
from physdl.report import study

__all__ = ["run"]


def run(
    *,
    out: Path | None,
    method: str,
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
    chosen = None if method == "auto" else {method: named_method(method, limit)}
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise SettingError(f"--out {out} is not a file in an existing folder: give another path.")
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        result = study(h, methods=chosen, max_memory=limit, report=stage)
    values = {"model": title, **result.to_dict()}
    if out is not None:
        _save(out, to_json(values, indent=2))
    click.echo(to_json(values) if as_json else f"{title}\n{result!r}")


def _save(out: Path, text: str) -> None:
    try:
        out.write_text(f"{text}\n")
    except OSError as error:
        raise SettingError(
            f"--out {out} cannot be written ({error.strerror}): give another path."
        ) from error
