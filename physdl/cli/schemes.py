"""``physdl rg --map trg`` and its kind: the coarse-graining of a model's tensors."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array

from physdl import tensors
from physdl.cli.figures import figure
from physdl.hamiltonian import Hamiltonian
from physdl.tensors import Scheme
from physdl.tensors.bulk_tensors import dimension, scaled_bulk

__all__ = ["CHI", "INFINITE", "NAMES", "SCHEMES", "draw", "listing", "renormalized", "text"]

CHI = 16
ZERO = 1e-12
SHOWN = 8

SCHEMES: dict[str, tuple[Callable[..., Scheme], str]] = {
    "trg": (tensors.TRG, "tensors cut along diagonals; two dimensions"),
    "btrg": (tensors.BTRG, "the same with weights on the bonds; two dimensions"),
    "hotrg": (tensors.HOTRG, "pairs of legs projected; one to three dimensions"),
    "atrg": (tensors.ATRG, "the same on halves of tensors; two and three dimensions"),
    "loop-tnr": (tensors.LoopTNR, "loops of entanglement filtered out; two dimensions"),
}
INFINITE: dict[str, tuple[Callable[..., Any], str]] = {
    "ctmrg": (tensors.CTMRG, "corners and edges around a tensor; two dimensions"),
    "vumps": (tensors.VUMPS, "the half planes above and below a row; two dimensions"),
}
NAMES = (*SCHEMES, *INFINITE)


def listing() -> str:
    """The schemes, one line each."""
    rows = {**SCHEMES, **INFINITE}.items()
    return "\n".join(f"  {name:22s} {what}" for name, (_, what) in rows)


def renormalized(
    h: Hamiltonian, name: str, chi: int, steps: int, *, cft: bool = False
) -> dict[str, Any]:
    """log Z per site of the infinite lattice step by step, spectra and discarded parts.

    With ``cft`` also the central charge and scaling dimensions of what is left.
    """
    dim = dimension(h)
    bulk, log_scale = scaled_bulk(h, dim)
    if name in INFINITE:
        return _infinite(h, name, bulk, float(log_scale), chi, steps)
    scheme = SCHEMES[name][0](chi=chi)
    history = tensors.coarsen(scheme, bulk, steps)
    per_tensor = float(log_scale) + np.cumsum(np.asarray(history.log_norm / history.n_tensors))
    sites = h.n_sites / math.prod(h.shape[:dim])
    values = {
        "map": name,
        "chi": chi,
        "log_z_per_site": (per_tensor / sites).tolist(),
        "free_energy": -float(per_tensor[-1]) / sites,
        "sites_per_tensor": (np.asarray(history.n_tensors) * sites).tolist(),
        "error": np.asarray(history.error).tolist(),
        "spectrum": np.asarray(history.spectrum).tolist(),
        "status": "TRUNCATED" if bool(np.any(history.cut)) else "OK",
    }
    if cft:
        found = tensors.conformal_data(history.network)
        values["central_charge"] = float(found.central_charge)
        values["dimensions"] = np.asarray(found.dimensions).tolist()
        values["phases"] = float(tensors.gu_wen_ratio(history.network))
    return values


def _infinite(
    h: Hamiltonian, name: str, bulk: Array, log_scale: float, chi: int, steps: int
) -> dict[str, Any]:
    """What surrounds a tensor once it stands still, at the latest after 2^steps steps."""
    around = INFINITE[name][0](chi=chi, max_steps=2**steps)(bulk)
    sites = h.n_sites / math.prod(h.shape[: bulk.ndim // 2])
    per_site = (float(around.log_z_per_tensor) + log_scale) / sites
    return {
        "map": name,
        "chi": chi,
        "log_z_per_site": [per_site],
        "free_energy": -per_site,
        "steps": int(around.n_steps),
        "residual": float(around.residual),
        "spectrum": [np.asarray(around.spectrum).tolist()],
        "correlation_length": np.atleast_1d(np.asarray(around.correlation_length)).tolist(),
        "status": "OK" if bool(around.converged) else "UNCONVERGED",
    }


def text(title: str, values: dict[str, Any]) -> str:
    """The history as a table."""
    lines = [title, f"  map            {values['map']}, bond dimension {values['chi']}"]
    lines += _surroundings(values) if values["map"] in INFINITE else _history(values)
    lines.append(f"  -log Z / site  {values['free_energy']:.12g}")
    if "central_charge" in values:
        dimensions = "  ".join(f"{x:.4f}" for x in values["dimensions"] if math.isfinite(x))
        lines.append(f"  central charge {values['central_charge']:.5g}")
        lines.append(f"  dimensions     {dimensions}")
        lines.append(f"  Gu-Wen ratio   {values['phases']:.5g}")
    if values["status"] == "UNCONVERGED":
        lines.append("  status         The environment still changes: more --steps or --chi.")
    elif values["status"] != "OK":
        lines.append("  status         A truncation divided equal singular values: vary --chi.")
    return "\n".join(lines)


def _history(values: dict[str, Any]) -> list[str]:
    lines = ["  step  sites of a tensor   log Z / site        discarded   next values"]
    rows = zip(
        values["sites_per_tensor"],
        values["log_z_per_site"],
        values["error"],
        values["spectrum"],
        strict=True,
    )
    for n, (sites, log_z, error, spectrum) in enumerate(rows, 1):
        shown = "  ".join(f"{v:.4f}" for v in spectrum[1:4])
        lines.append(f"  {n:4d}  {sites:<18.6g}  {log_z:<18.12g}  {error:<10.2e}  {shown}")
    return lines


def _surroundings(values: dict[str, Any]) -> list[str]:
    spectrum = "  ".join(f"{v:.3g}" for v in values["spectrum"][0][:SHOWN])
    lengths = "  ".join(f"{v:.6g}" for v in values["correlation_length"])
    return [
        f"  steps          {values['steps']}, residual {values['residual']:.2g}",
        f"  spectrum       {spectrum}",
        f"  correlation    {lengths}  (length, tensors)",
    ]


def draw(values: dict[str, Any], path: Path) -> None:
    """The kept singular values, against the size of a tensor where it grows."""
    with figure(path) as axes:
        if values["map"] in INFINITE:
            axes.semilogy(np.asarray(values["spectrum"][0]), "o-")
            axes.set(xlabel="number", ylabel="singular value")
            return
        spectrum = np.asarray(values["spectrum"])[:, 1:SHOWN]
        sites = np.asarray(values["sites_per_tensor"])
        axes.loglog(sites, np.where(spectrum > ZERO, spectrum, np.nan), ".-")
        axes.set(xlabel="sites of a tensor", ylabel="singular values, relative to the largest")
