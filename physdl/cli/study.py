"""``physdl study``: the report on a model."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from physdl.cli.methods import method as named_method
from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import memory, set_precision
from physdl.study import study

__all__ = ["run"]


def run(
    *,
    out: Path | None,
    method: str,
    max_memory: str,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: Path | None,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    chosen = None if method == "auto" else {method: named_method(method, memory(max_memory))}
    console = Console(stderr=True)

    def report(step: str) -> None:
        if console.is_terminal:
            console.print(f"[dim]{step} ...[/dim]")

    h, title = build(**model, evidence=evidence, seed=seed)
    result = study(h, methods=chosen, report=report)
    values = {"model": title, **result.to_dict()}
    if out is not None:
        out.write_text(json.dumps(values, indent=2) + "\n")
    click.echo(to_json(values) if as_json else f"{title}\n{result!r}")
