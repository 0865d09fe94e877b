"""``physdl audit``: a block map of a small model, and whether it renormalizes."""

import math
from typing import Any

import click
import jax.numpy as jnp
import numpy as np

from physdl.cli.named import EXAMPLES, build, lattice_of
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.errors import ShapeError, SpaceError, UnknownNameError
from physdl.hamiltonian.factors import require_finite
from physdl.lattices import Lattice
from physdl.rg import BlockDecimation, Majority
from physdl.spaces import Finite
from physdl.theory.audit import Audit, audit, block_kernel

__all__ = ["BLOCKS", "run"]

BLOCKS = {"majority": Majority, "decimation": BlockDecimation}


def run(
    *,
    block: str,
    scale: int,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: str | None,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    if block not in BLOCKS:
        raise UnknownNameError("block map", block, BLOCKS)
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        space = require_finite(h.space, "an audit")
        if not isinstance(space, Finite):
            raise SpaceError(f"block spins need one space for all sites, got {space!r}.")
        stage("auditing")
        kernel = block_kernel(BLOCKS[block](scale, space=space), h.shape, space=space)
        report = audit(kernel, h, lattice=_coarse(model, h.shape, scale), space=space)
    if as_json:
        click.echo(to_json(_values(report) | {"block": block, "scale": scale}))
    else:
        steps = report.verdict.replace(". ", ".\n  ")
        click.echo(f"{title}\n  blocks of {scale}: {block}\n  {steps}")


def _coarse(model: dict[str, Any], shape: tuple[int, ...], scale: int) -> Lattice | None:
    """The lattice of the block spins of a named model of one site per cell."""
    example = EXAMPLES.get(model["model"])
    if example is None or example.lattice is None:
        return None
    kind = model["lattice"] or example.lattice[0]
    size = "x".join(str(n // scale) for n in shape)
    if min(shape) < 2 * scale:
        raise ShapeError(f"a box of {shape} has fewer than two blocks of {scale} along an axis.")
    coarse = lattice_of(kind, size, model["boundary"], default=example.lattice)
    return coarse if coarse.n_sites == math.prod(n // scale for n in shape) else None


def _values(report: Audit) -> dict[str, Any]:
    values = {
        "renormalization": report.is_renormalization,
        "residual": float(report.residual),
        "free_energy_difference": float(report.free_energy_difference),
        "jensen_gap": float(report.jensen_gap),
        "information": float(report.information),
    }
    if report.locality is not None:
        values["range"] = float(report.locality.rangeness)
        values["m_bodyness"] = float(report.locality.m_bodyness)
        values["by_bodies"] = np.asarray(jnp.nan_to_num(report.locality.by_bodies)).tolist()
    return values
