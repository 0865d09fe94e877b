"""``physdl compile``: a model's Hamiltonian as a network, and what it costs."""

import dataclasses
import time
from typing import Any

import click

from physdl import networks
from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.errors import UnknownNameError
from physdl.networks import Activation

__all__ = ["ACTIVATIONS", "run"]

ACTIVATIONS: dict[str, Activation] = {
    a.name.lower(): a
    for a in (
        networks.SOFTPLUS,
        networks.TANH,
        networks.SILU,
        networks.GELU,
        networks.LOGISTIC,
        networks.EXP,
    )
}


def run(
    *,
    activation: str,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: str | None,
    layout: Any,
    tolerance: float | None,
    radius: float | None,
    depth: int,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    if activation not in ACTIVATIONS:
        raise UnknownNameError("activation", activation, ACTIVATIONS)
    start = time.perf_counter()
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        stage("compiling")
        _, report = networks.compile_polynomial(
            h,
            ACTIVATIONS[activation],
            layout=layout,
            tolerance=tolerance,
            radius=radius,
            depth=depth,
        )
    if as_json:
        counts = {
            f.name: getattr(report, f.name)
            for f in dataclasses.fields(report)
            if f.name != "scales"
        }
        values = {"activation": activation, "layout": layout, **counts}
        click.echo(to_json(values | {"seconds": round(time.perf_counter() - start, 3)}))
        return
    rows = [line for line in str(report).splitlines() if not line.startswith("scales")]
    click.echo("\n".join([title, f"  {layout} of {activation}", *(f"  {row}" for row in rows)]))
