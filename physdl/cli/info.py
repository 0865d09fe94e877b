"""``physdl info``: what a model is, before anything is counted."""

import time
from typing import Any

import click
import jax
import numpy as np

from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.errors import PhysdlError
from physdl.estimators import Auto, Contraction
from physdl.hamiltonian import Hamiltonian

__all__ = ["describe", "run"]


def describe(h: Hamiltonian) -> dict[str, Any]:
    """The structure of a Hamiltonian in plain words and numbers."""
    out: dict[str, Any] = {
        "n_sites": h.n_sites,
        "shape": list(h.shape),
        "space": repr(h.space),
        "degree": h.degree,
        "n_parameters": h.n_parameters,
        "terms": {
            name: {
                "kind": type(term).__name__,
                "degree": term.degree(h.space),
                "n_parameters": sum(leaf.size for leaf in jax.tree.leaves(term)),
            }
            for name, term in h.terms.items()
        },
    }
    try:
        network, plan = Contraction(search_seconds=1.0).plan(h)
        sites = [len(scope) for scope in network.scopes]
        out["n_tables"], out["largest_table_sites"] = len(sites), max(sites, default=0)
        out["log10_configurations"] = round(float(np.sum(np.log10(network.sizes))), 3)
        out["contraction_width"] = round(plan.width, 2)
        out["contraction_log10_operations"] = round(float(np.log10(plan.operations + 1)), 2)
    except PhysdlError as error:
        out["contraction"] = str(error)
    try:
        method, reason = Auto(search_seconds=1.0).choose(h)
        out["exact_method"] = f"{type(method).__name__} ({reason})"
    except PhysdlError as error:
        out["exact_method"] = f"none: {error}"
    return out


def run(*, precision: str, seed: int, as_json: bool, evidence: str | None, **model: Any) -> None:
    """Carry out the command."""
    set_precision(precision)
    start = time.perf_counter()
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        stage("looking for a method")
        values = describe(h)
    values["seconds"] = round(time.perf_counter() - start, 3)
    if as_json:
        click.echo(to_json(values))
        return
    terms = values.pop("terms")
    lines = [title, *(f"  {k.replace('_', ' '):30s}{v}" for k, v in values.items())]
    for name, t in terms.items():
        what = f"{t['kind']} of degree {t['degree']}, {t['n_parameters']} parameters"
        lines.append(f"  term {name:25s}{what}")
    click.echo("\n".join(lines))
