"""``physdl sample``: observables with errors from a Markov chain."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np

from physdl import sampling
from physdl.cli.kernels import kernel as named_kernel
from physdl.cli.named import build
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.cli.parameters import parse
from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.report.observables import derived
from physdl.sampling import Run, Series
from physdl.sampling._chains import n_yielded

__all__ = ["run"]

KEPT = 1000


def run(
    *,
    kernel: str,
    setting: tuple[str, ...],
    sweeps: int,
    thin: int,
    chains: int,
    warmup: int | None,
    out: Path | None,
    checkpoint: Path | None,
    every: int | None,
    max_seconds: float | None,
    precision: str,
    seed: int,
    as_json: bool,
    evidence: str | None,
    **model: Any,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    if out is not None and (out.suffix != ".npz" or not out.absolute().parent.is_dir()):
        raise SettingError(f"--out {out} is not a .npz file in an existing folder: give another.")
    if out is not None and max_seconds is not None and checkpoint is None:
        raise SettingError(
            "--out with --max-seconds may have nothing to write in the end: add --checkpoint."
        )
    start = time.perf_counter()
    with progress("reading the model") as stage:
        h, title = build(**model, evidence=evidence, seed=seed)
        stage("choosing the kernel")
        tune_key, run_key = jax.random.split(jax.random.key(seed))
        move = named_kernel(kernel, h, parse(setting), key=tune_key)
        chains = _rounded(chains, n_yielded(move.kernel, h))
    result = sampling.run(
        move.kernel,
        h,
        key=run_key,
        n_sweeps=sweeps,
        thin=thin,
        n_chains=chains,
        n_warmup=warmup,
        n_kept=0 if out is None else max(1, min(sweeps // thin, KEPT // chains)),
        checkpoint=checkpoint,
        every=every,
        max_seconds=max_seconds,
        progress=sys.stderr.isatty(),
    )
    if out is not None and result.ensemble is not None:
        result.ensemble.save(out)
    values = _summary(title, move.title, h, result, chains, time.perf_counter() - start)
    click.echo(to_json(values) if as_json else _text(values, result))


def _rounded(chains: int, per_state: int) -> int:
    """The next number of chains that whole states of the kernel yield."""
    return -(-chains // per_state) * per_state


def _summary(
    title: str, kernel: str, h: Hamiltonian, result: Run, chains: int, seconds: float
) -> dict[str, Any]:
    numbers = {name: _row(series) for name, series in result.observables.items()}
    info = {name: np.asarray(s.mean.value).tolist() for name, s in result.info.items()}
    return {
        "model": title,
        "kernel": kernel,
        "n_sites": h.n_sites,
        "n_chains": chains,
        "n_sweeps": result.n_sweeps,
        "status": result.status.name,
        "observables": numbers,
        "derived": {
            name: {"value": float(m.value), "stderr": float(m.stderr)}
            for name, m in derived(result, h.n_sites).items()
        },
        "info": info,
        "seconds": round(seconds, 3),
    }


def _row(series: Series) -> dict[str, float]:
    mean = series.mean
    return {
        "value": float(mean.value),
        "stderr": float(mean.stderr),
        "tau": float(series.tau),
        "r_hat": float(series.r_hat),
        "ess": float(series.effective_sample_size),
    }


def _text(values: dict[str, Any], result: Run) -> str:
    lines = [
        values["model"],
        f"  {values['kernel']}: {values['n_chains']} chains of {values['n_sweeps']} sweeps, "
        f"{values['seconds']:.1f} s [{values['status']}]",
        f"  {'':16s}{'value':>16s}{'error':>10s}{'tau':>9s}{'R-hat':>8s}{'ESS':>9s}",
    ]
    for name, row in values["observables"].items():
        lines.append(
            f"  {name:16s}{row['value']:16.8g}{row['stderr']:10.2g}{row['tau']:9.3g}"
            f"{row['r_hat']:8.4f}{row['ess']:9.4g}"
        )
    for name, row in values["derived"].items():
        lines.append(f"  {name:16s}{row['value']:16.8g}{row['stderr']:10.2g}")
    for name, value in values["info"].items():
        if not isinstance(value, list) and math.isfinite(value):
            lines.append(f"  {name:16s}{value:16.8g}")
    if values["status"] != "OK":
        lines.append(f"  status  {result.status.message}")
    return "\n".join(lines)
