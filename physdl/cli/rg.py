"""``physdl rg``: the flow of a model's couplings, its fixed point, exponents and critical point."""

from pathlib import Path
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np

from physdl import plotting, rg
from physdl.cli import schemes
from physdl.cli.figures import figure
from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.cli.schemes import INFINITE, NAMES
from physdl.errors import SettingError, UnknownNameError
from physdl.report import maps
from physdl.report.flows import fixed_point_of, flow_of
from physdl.report.maps import MAPS, Renormalized
from physdl.rg import RGStatus

__all__ = ["listing", "run"]

SHOWN = 8


def run(
    *,
    name: str,
    scale: float | None,
    steps: int,
    chi: int | None,
    cft: bool,
    fixed_point: bool,
    exponents: bool,
    plot: Path | None,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: str | None,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    if name not in MAPS and name not in NAMES:
        raise UnknownNameError("map", name, [*MAPS, *NAMES])
    if name in NAMES:
        _refuse({"--scale": scale, "--fixed-point": fixed_point, "--exponents": exponents}, name)
        if cft and name in INFINITE:
            raise SettingError(f"--cft reads a coarse tensor, which {name} has not: use btrg.")
        with progress("reading the model") as stage:
            h, title = build(**model, evidence=evidence, seed=seed)
            stage("coarse-graining")
            values = schemes.renormalized(h, name, chi or schemes.CHI, steps, cft=cft)
            if plot:
                stage("drawing")
                schemes.draw(values, plot)
        click.echo(to_json(values) if as_json else schemes.text(title, values))
        return
    _refuse({"--chi": chi, "--cft": cft}, name)
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        start = MAPS[name][0](h, scale)
        stage("renormalizing")
        values = {"map": name, "couplings": list(start.names)}
        values |= flow_of(start, steps)
        if fixed_point or exponents or start.couplings is None:
            values |= fixed_point_of(start, exponents=exponents)
        if plot:
            stage("drawing")
            _draw(start, values, plot)
    click.echo(to_json(values) if as_json else _text(title, values))


def _refuse(given: dict[str, Any], name: str) -> None:
    """An option that a map has no use for is an error, not ignored."""
    for option, value in given.items():
        if value:
            kind = "of couplings" if name in NAMES else "of tensors"
            raise SettingError(f"{option} belongs to maps {kind}, and --map {name} is none.")


def listing() -> str:
    """All maps, one line each."""
    return f"{maps.listing()}\n{schemes.listing()}"


def _text(title: str, values: dict[str, Any]) -> str:
    lines = [title, f"  map            {values['map']}"]
    if "flow" in values:
        lines.append("  step  " + "".join(f"{name:>16s}" for name in values["couplings"]))
        for n, row in enumerate(values["flow"]):
            lines.append(f"  {n:4d}  " + "".join(f"{k:16.9g}" for k in row))
    if "free_energy" in values:
        lines.append(f"  -log Z / site  {values['free_energy']:.12g}")
    if "critical_scale" in values:
        lines.append(f"  critical at    {values['critical_scale']:.12g} times these couplings")
    if "fixed_point" in values:
        point = values["fixed_point"]
        more = "  ..." if len(point) > SHOWN else ""
        lines.append("  fixed point    " + "  ".join(f"{k:.12g}" for k in point[:SHOWN]) + more)
    shown = list(zip(values.get("y", ()), values.get("kinds", ()), strict=True))
    lines += [f"  y              {y:.10g}  ({kind})" for y, kind in shown[:SHOWN]]
    if len(shown) > SHOWN:
        lines.append(f"                 and {len(shown) - SHOWN} more")
    for name, sums in values.get("series", {}).items():
        lines.append(
            f"  {name:14s} " + "  ".join(f"{v:.6g}" for v in sums) + "  (series, by order)"
        )
    status = values.get("status", "OK")
    if status != "OK":
        lines.append("  status         " + (values.get("message") or RGStatus[status].message))
    return "\n".join(lines)


def _draw(start: Renormalized, values: dict[str, Any], path: Path) -> None:
    """The flow: R(k) over k for one coupling, arrows for two, else couplings by step."""
    with figure(path) as axes:
        if len(start.names) == 1:
            _cobweb(axes, start, values)
        elif len(start.names) == 2:
            _arrows(axes, start, values)
        elif "flow" in values:
            plotting.flow(np.array(values["flow"]), start.names, ax=axes)
        else:
            axes.stem(values.get("y", []))
            axes.set(xlabel="scaling field", ylabel="y")


def _cobweb(axes: Any, start: Renormalized, values: dict[str, Any]) -> None:
    seen = [abs(row[0]) for row in values.get("flow", [])[:2]]
    centre = abs(values.get("fixed_point", [0.5])[0])
    k = jnp.linspace(0, 2.2 * max(centre, *seen, 1e-3), 200)[1:]
    after = jax.vmap(lambda k: start.map(k[None]).couplings[0])(k)
    axes.plot(k, after, label="R(k)")
    axes.plot(k, k, "0.6", lw=1, label="k")
    path = np.array(values["flow"])[:, 0]
    corners = np.repeat(path, 2)
    axes.plot(corners[:-1], corners[1:], "C3", lw=1, label="flow")
    if "fixed_point" in values:
        axes.plot(*values["fixed_point"] * 2, "ko", label="fixed point")
    axes.set(xlim=(0, float(k[-1])), ylim=(0, float(k[-1])))
    axes.set(xlabel=f"k of {start.names[0]}", ylabel="R(k)")
    axes.legend(frameon=False)


def _arrows(axes: Any, start: Renormalized, values: dict[str, Any]) -> None:
    points = np.array([*values["flow"][:2], values.get("fixed_point", values["flow"][0])])
    size = np.maximum(1.5 * np.abs(points).max(0), 0.1)
    low = np.where(points.min(0) < 0, -size, 0.0)
    x, y = (np.linspace(low[i], size[i], 15) for i in range(2))
    plotting.flow_field(rg.flow_field(start.map, x, y), start.names, ax=axes)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(*np.array(values["flow"]).T, "k.-", lw=1, label="flow")
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4)
