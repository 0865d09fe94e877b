"""``physdl logz``: one number, what it is worth, and how it was got."""

import math
import time
from typing import Any

import click
import jax
import numpy as np

from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import memory, progress, set_precision
from physdl.errors import SettingError
from physdl.estimators import Agreement, Estimate, Estimator, Status, site_marginals
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.report.methods import COMPARE, comparison
from physdl.report.methods import method as named_method

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
    budget: float | None,
    stderr: float | None,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: str | None,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    limit = memory(max_memory)
    start = time.perf_counter()
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        if marginals:
            require_finite(h.space, "--marginals")
        stage(f"log Z of {h.n_sites} sites")
        key = jax.random.key(seed)
        if method == COMPARE:
            if marginals:
                raise SettingError("--marginals takes one method, not compare: try auto.")
            agreement = comparison(limit, budget=budget, stderr=stderr)(h, key=key)
            values = _compared(agreement)
        else:
            estimator = named_method(method, limit, budget=budget, stderr=stderr)
            estimate = estimator(h, key=key)
            values = summary(estimate, 0.0)
        if marginals:
            stage(f"marginals of {h.n_sites} sites")
            values["marginals"] = _marginals(h, named_method(method, limit), estimate)
    values["seconds"] = round(time.perf_counter() - start, 3)
    if as_json:
        click.echo(to_json(values))
    elif method == COMPARE:
        click.echo(f"{title}\n{agreement!r}\ntime {values['seconds']:.2f} s")
    else:
        click.echo(_text(title, estimate, values))


def _compared(agreement: Agreement) -> dict[str, Any]:
    """An agreement as plain numbers and words."""
    return {
        **summary(agreement.estimate, 0.0),
        "estimates": {n: summary(e, 0.0) for n, e in agreement.estimates.items()},
        "refused": dict(agreement.refused),
        "disagreements": [
            {"methods": [a, b], "standard_errors": pull} for a, b, pull in agreement.disagreements
        ],
    }


def _marginals(h: Hamiltonian, estimator: Estimator, estimate: Estimate) -> list[Any] | None:
    """A list of probabilities per site, or ``None`` where Z does not define them."""
    if Status(int(estimate.status)) in (Status.ZERO, Status.NONFINITE):
        return None
    sizes = state_counts(require_finite(h.space, "--marginals"), h.n_sites)
    table = np.asarray(site_marginals(h, estimator)).round(12) + 0.0  # no minus zero
    return [row[:n].tolist() for row, n in zip(table, sizes, strict=True)]


def _text(title: str, estimate: Estimate, values: dict[str, Any]) -> str:
    lines = [
        title,
        f"  {estimate!r}",
        f"  log10 Z   {values['log10_z']:.10g}",
        f"  per site  {float(estimate.per_site):.12g}",
        f"  method    {values['method']}",
        f"  time      {values['seconds']:.2f} s, {values['n_sites']} sites",
    ]
    bounded = math.isfinite(values["lower"]) or math.isfinite(values["upper"])
    if bounded and values["stderr"] != 0:
        lines.append(f"  bounds    {values['lower']:.10g} <= log Z <= {values['upper']:.10g}")
    if values["status"] != "OK":
        lines.append(f"  status    {Status[values['status']].message}")
    if "gap" in estimate.info and values["status"] == "GAP":
        k, betas = int(estimate.info["gap"]), estimate.info["betas"]
        lines.append(f"  gap       between b = {float(betas[k]):.4g} and {float(betas[k + 1]):.4g}")
    for site, row in enumerate(values.get("marginals") or []):
        lines.append(f"  site {site:5d}  " + "  ".join(f"{p:.6f}" for p in row))
    return "\n".join(lines)
