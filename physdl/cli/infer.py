"""``physdl infer``: the Hamiltonian that drew a file of samples."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from physdl import ensemble, files, learning, spaces
from physdl.cli.named import build, lattice_of
from physdl.cli.output import as_json as to_json
from physdl.cli.output import progress, set_precision
from physdl.errors import FormatError, LatticeError, SettingError, UnknownNameError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.learning import InferenceStatus, Inferred
from physdl.learning._samples import checked
from physdl.learning.mean_field_inversion import MeanField
from physdl.spaces import LINE, Space

__all__ = ["METHODS", "run"]

CONVEX: dict[str, Callable[..., Inferred]] = {
    "pseudolikelihood": learning.pseudolikelihood,
    "maximum-likelihood": learning.maximum_likelihood,
    "score-matching": learning.score_matching,
}
METHODS = (*CONVEX, *get_args(MeanField))
SHOWN = 10
SPACES = ("SPIN", "BINARY", "LINE")
MAKERS: dict[str, Callable[[Any], Space]] = {
    "spin": spaces.spin,
    "levels": spaces.levels,
    "potts": spaces.potts,
    "clock": spaces.clock,
}


def run(
    *,
    samples: Path,
    method: str,
    space: str | None,
    family: str | None,
    lattice: str | None,
    size: str | None,
    boundary: str | None,
    degree: int,
    reach: int,
    l1: float,
    l2: float,
    out: Path | None,
    precision: str,
    as_json: bool,
) -> None:
    """Carry out the command."""
    set_precision(precision)
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    with progress("reading the samples") as stage:
        states, known = _read(samples)
        if space is not None:
            known = _space(space)
        elif method == "score-matching":
            known = LINE
        graph = {"lattice": lattice, "size": size, "boundary": boundary}
        candidates = _family(states, known, family, graph, degree, reach)
        stage("inferring")
        if method in CONVEX:
            more = {} if method == "score-matching" else {"space": known}
            found = CONVEX[method](states, candidates, degree=degree, l1=l1, l2=l2, **more)
            h, stderr = found.hamiltonian, found.stderr
            status = InferenceStatus(int(found.status))
            values = {"objective": float(found.objective), "status": status.name}
        else:
            _refuse({"--family": family, "--lattice": lattice, "--l1": l1, "--l2": l2}, method)
            h = learning.mean_field(states, method)  # type: ignore[arg-type]
            stderr = jax.tree.map(lambda c: jnp.full_like(c, jnp.nan), h)
            status = _finite(h)
            values = {"status": status.name}
        if out is not None:
            files.save(out, h)
    values = {"method": method, "n_samples": len(states), "n_sites": h.n_sites, **values}
    values["terms"] = {name: _listed(h, stderr, name) for name in h.terms}
    click.echo(to_json(values) if as_json else _text(samples.name, values, status.message))


def _refuse(given: dict[str, Any], method: str) -> None:
    for option, value in given.items():
        if value:
            raise SettingError(
                f"{option} is for {', '.join(CONVEX)}, and --method {method} takes every pair."
            )


def _finite(h: Hamiltonian) -> InferenceStatus:
    finite = all(bool(jnp.all(jnp.isfinite(c))) for c in jax.tree.leaves(h))
    return InferenceStatus.OK if finite else InferenceStatus.UNBOUNDED


def _read(path: Path) -> tuple[NDArray[Any], Space | None]:
    """Configurations, [n_samples, ...], and their space where the file tells."""
    if path.suffix == ".npz":
        drawn = ensemble.load(path)
        states = np.asarray(drawn.states)
        if np.ptp(np.asarray(drawn.log_weights)) > 0:
            raise SettingError(f"{path.name} holds weighted configurations: resample them first.")
        return states.reshape(-1, *states.shape[2:]), drawn.h.space
    readers: dict[str, Callable[[Path], NDArray[Any]]] = {
        ".npy": np.load,
        ".csv": functools.partial(np.loadtxt, delimiter=",", ndmin=2),
        ".txt": functools.partial(np.loadtxt, ndmin=2),
    }
    if path.suffix not in readers:
        raise FormatError(
            f"{path.name} is no file of samples: give .npy, .npz of physdl sample, .csv or .txt, a "
            f"configuration a row."
        )
    try:
        return readers[path.suffix](path), None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path.name} cannot be read: {error}.") from error


def _family(
    states: NDArray[Any],
    space: Space | None,
    family: str | None,
    graph: dict[str, str | None],
    degree: int,
    reach: int,
) -> Hamiltonian | None:
    """The candidates: a model's own terms, the monomials near on a lattice, or ``None`` for all."""
    if family is not None:
        return build(family, **graph)[0]  # type: ignore[arg-type]
    kind, size, boundary = graph["lattice"], graph["size"], graph["boundary"]
    if kind is not None:
        known = checked(states, None, space, 1)[1]
        grid = lattice_of(kind, size, boundary, default=(kind, known.shape))
        return learning.polynomial(
            grid.shape, known.space, degree=degree, lattice=grid, reach=reach
        )
    if (size, boundary) != (None, None):
        raise LatticeError("--size and --boundary are those of a --lattice or a --family.")
    return None


def _space(word: str) -> Space:
    """A space from a word such as SPIN or potts:3."""
    name, _, number = word.partition(":")
    if name in SPACES and not number:
        space: Space = getattr(spaces, name)
        return space
    if name not in MAKERS:
        raise UnknownNameError("space", word, [*SPACES, *(f"{m}:q" for m in MAKERS)])
    try:
        return MAKERS[name](float(number))
    except ValueError:
        raise SettingError(f"a space such as {name}:3 has a number, got {word!r}.") from None


def _listed(h: Hamiltonian, stderr: Hamiltonian, name: str) -> list[dict[str, Any]]:
    """Every coefficient of a term, with its error, and its variables where it has some."""
    term = h.terms[name]
    (value,), (error,) = (np.asarray(jax.tree.leaves(g.terms[name])).tolist() for g in (h, stderr))
    values, errors = np.ravel(value), np.ravel(error)
    rows: list[Any] = [None] * len(values)
    if isinstance(term, Sites) and values.size == len(term.table.array):
        rows = term.table.array.tolist()
    listed = []
    for row, v, e in zip(rows, values.tolist(), errors.tolist(), strict=True):
        known = {"coefficient": v, "stderr": e}
        listed.append(known if row is None else {"variables": row, **known})
    return listed


def _text(title: str, values: dict[str, Any], message: str) -> str:
    lines = [f"{values['n_samples']} samples of {values['n_sites']} sites from {title}"]
    lines.append(f"  method     {values['method']}")
    if "objective" in values:
        lines.append(f"  objective  {values['objective']:.6g} nats per sample")
    for name, listed in values["terms"].items():
        count = "" if len(listed) == 1 else f", the largest of {len(listed)}"
        lines.append(f"  {name}{count}")
        largest = sorted(listed, key=lambda known: -abs(known["coefficient"]))[:SHOWN]
        for known in largest:
            where = " ".join(map(str, known.get("variables", [])))
            error = "" if np.isnan(known["stderr"]) else f" +/- {known['stderr']:.2g}"
            lines.append(f"    {where:12s} {known['coefficient']:+.6f}{error}")
    if values["status"] != "OK":
        lines.append(f"  status     {message}")
    return "\n".join(lines)
