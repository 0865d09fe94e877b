"""``physdl logz``: one number, what it is worth, and how it was got."""

import math
import time
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np

from physdl.cli.methods import method as named_method
from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import memory, progress, set_precision
from physdl.estimators import Estimate, Status, site_marginals

__all__ = ["run", "summary"]


def summary(estimate: Estimate, seconds: float) -> dict[str, Any]:
    """An estimate as plain numbers and words."""
    log_z = float(estimate.log_z)
    return {
        "log_z": log_z,
        "log10_z": log_z / math.log(10),
        "stderr": float(estimate.stderr),
        "lower": float(estimate.lower),
        "upper": float(estimate.upper),
        "status": Status(int(estimate.status)).name,
        "method": estimate.method,
        "n_sites": estimate.n_sites,
        "seconds": round(seconds, 3),
    }


def run(
    *,
    marginals: bool,
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
    estimator = named_method(method, memory(max_memory))
    start = time.perf_counter()
    with progress("counting"):
        h, title = build(**model, evidence=evidence, seed=seed)
        estimate = estimator(h, key=jax.random.key(seed))
        values = summary(estimate, 0.0)
        if marginals:
            values["marginals"] = np.asarray(site_marginals(h, estimator)).round(12).tolist()
    values["seconds"] = round(time.perf_counter() - start, 3)
    click.echo(to_json(values) if as_json else _text(title, estimate, values))


def _text(title: str, estimate: Estimate, values: dict[str, Any]) -> str:
    lines = [
        title,
        f"  {estimate!r}",
        f"  log10 Z   {values['log10_z']:.10g}",
        f"  per site  {float(estimate.per_site):.12g}",
        f"  method    {values['method']}",
        f"  time      {values['seconds']:.2f} s, {values['n_sites']} sites",
    ]
    if values["status"] != "OK":
        lines.append(f"  status    {Status[values['status']].message}")
    for site, row in enumerate(values.get("marginals", [])):
        lines.append(f"  site {site:5d}  " + "  ".join(f"{p:.6f}" for p in row))
    return "\n".join(lines)
