"""From the words of a command line to a Hamiltonian.

A named model is a function of ``physdl.models``; its parameters are the function's own, so the
signature is the only place where they are written down. ``EXAMPLES`` says what a model is when
nothing is said: a lattice, a size, and values for the parameters that have no default.
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from physdl import files, lattices, models
from physdl.cli.parameters import fitted, parse
from physdl.errors import FormatError, LatticeError, SettingError, UnknownNameError
from physdl.hamiltonian import Hamiltonian
from physdl.lattices import Lattice

__all__ = ["EXAMPLES", "Example", "build", "lattice_names", "lattice_of", "listing"]

CRITICAL = 0.5 * float(np.log1p(np.sqrt(2)))
LATTICE_ARGUMENTS = ("periodic", "seed", "lattice")
MOST_BONDS = 10**6


@dataclass(frozen=True)
class Example:
    """What a named model is by default.

    Attributes:
      parameters: values of the parameters without a default of their own.
      lattice: name and size, or ``None`` for a model without lattice.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    lattice: tuple[str, tuple[int, ...]] | None = ("square", (8, 8))


EXAMPLES = {
    "ising": Example({"coupling": CRITICAL}),
    "edwards_anderson": Example({"beta": 1.0}),
    "potts": Example({"q": 3, "coupling": float(np.log1p(np.sqrt(3)))}, ("square", (6, 6))),
    "clock": Example({"q": 4, "coupling": 2 * CRITICAL}, ("square", (6, 6))),
    "blume_capel": Example({"coupling": 1.0, "crystal_field": 1.0}, ("square", (6, 6))),
    "ashkin_teller": Example({"coupling": 0.3, "four_spin": 0.2}, ("square", (5, 5))),
    "xy": Example({"coupling": 1.0}, ("chain", (16,))),
    "heisenberg": Example({"coupling": 1.0}, ("chain", (8,))),
    "o_n": Example({"n": 2, "coupling": 1.0}, ("chain", (16,))),
    "phi4": Example({"r": -4.0, "u": 6.975}, ("square", (4, 4))),
    "gaussian": Example({"r": 0.5}, ("square", (16, 16))),
    "sherrington_kirkpatrick": Example({"n_sites": 20}, None),
    "p_spin": Example({"n_sites": 16, "p": 3}, None),
    "hopfield": Example({"patterns": [[1, -1] * 8, [1, 1, -1, -1] * 4]}, None),
    "rbm": Example({"weights": (0.5 * np.cos(np.arange(48.0) ** 2)).reshape(8, 6).tolist()}, None),
}


def build(
    model: str,
    *,
    lattice: str | None = None,
    size: str | None = None,
    boundary: str | None = None,
    param: Sequence[str] = (),
    evidence: str | None = None,
    seed: int = 0,
) -> tuple[Hamiltonian, str]:
    """The Hamiltonian that the options describe, and a line that says what it is."""
    values = parse(param)
    path = Path(model)
    if not model or evidence == "":
        what = "--evidence" if model else "MODEL"
        raise SettingError(f"{what} is an empty word: give the path of a file.")
    if model in EXAMPLES:
        h, title = _named(model, lattice, size, boundary, values, seed)
    elif path.is_dir():
        raise FormatError(f"{path} is a folder: give a file or the name of a model.")
    elif path.suffix or path.exists():
        if (lattice, size, boundary) != (None, None, None):
            raise SettingError(
                f"--lattice, --size and --boundary are for named models, but {model!r} is a file: "
                f"leave them out."
            )
        h = files.load(path, **fitted(files.load, values, f"file {path.name}"))
        title = path.name
    else:
        raise UnknownNameError("model or file", model, EXAMPLES)
    if evidence is not None:
        known = files.read_evidence(evidence, h)
        h, title = h.condition(known), f"{title} given {len(known)} observed values"
    return h, title


def _named(
    model: str,
    lattice: str | None,
    size: str | None,
    boundary: str | None,
    values: dict[str, Any],
    seed: int,
) -> tuple[Hamiltonian, str]:
    function, example = getattr(models, model), EXAMPLES[model]
    given = fitted(function, {**example.parameters, **values}, f"model {model}")
    if "seed" in inspect.signature(function).parameters:
        given.setdefault("seed", seed)
    shown = ", ".join(f"{k}={_short(v)}" for k, v in given.items())
    if example.lattice is None:
        if (lattice, size, boundary) != (None, None, None):
            raise SettingError(
                f"model {model!r} has no lattice: leave out --lattice, --size and --boundary and "
                f"give its size as a parameter."
            )
        return function(**given), f"{model}({shown})"
    kind = example.lattice[0] if lattice is None else lattice
    grid = lattice_of(kind, size, boundary, default=example.lattice, seed=seed)
    where = "x".join(map(str, grid.shape))
    return function(grid, **given), f"{model} on {kind} {where} ({shown})"


def _short(value: Any) -> str:
    array = np.asarray(value)
    return str(value) if array.ndim == 0 else f"array{list(array.shape)}"


def lattice_of(
    kind: str,
    size: str | None,
    boundary: str | None,
    *,
    default: tuple[str, tuple[int, ...]],
    seed: int = 0,
) -> Lattice:
    """A lattice from its name, a size such as 16x16, and boundaries such as periodic,open."""
    if kind not in lattice_names():
        raise UnknownNameError("lattice", kind, lattice_names())
    function = getattr(lattices, kind)
    accepted = inspect.signature(function).parameters
    if size is None:
        if kind != default[0]:
            raise LatticeError(f"lattice {kind!r} needs a size: give --size, for example 8x8.")
        numbers = default[1]
    else:
        numbers = _sizes(size)
    options: dict[str, Any] = {}
    if boundary is not None:
        if "periodic" not in accepted:
            raise LatticeError(f"lattice {kind!r} has no boundaries: leave out --boundary.")
        options["periodic"] = _boundaries(boundary)
    if "seed" in accepted:
        options["seed"] = seed
    if kind == "hypercubic":
        _refuse_huge(kind, numbers, size)
        return lattices.hypercubic(numbers, **options)
    wanted = [n for n in accepted if n not in LATTICE_ARGUMENTS]
    needed = [n for n in wanted if accepted[n].default is inspect.Parameter.empty]
    if not len(needed) <= len(numbers) <= len(wanted):
        raise LatticeError(
            f"lattice {kind!r} takes the sizes {' x '.join(wanted)}, got --size {size}."
        )
    _refuse_huge(kind, numbers, size)
    made: Lattice = function(*numbers, **options)
    return made


def lattice_names() -> list[str]:
    """Functions of ``physdl.lattices`` that make a lattice from its size."""
    return [
        name
        for name in lattices.__all__
        if name[0].islower() and not name.startswith("from_") and name != "diluted"
    ]


def _refuse_huge(kind: str, numbers: tuple[int, ...], size: str | None) -> None:
    """Refuse what has more than ``MOST_BONDS`` bonds before any is built."""
    bonds = math.prod(numbers)
    if kind == "complete":
        bonds = numbers[0] * (numbers[0] - 1) // 2
    elif kind == "bethe":
        bonds = max(bonds, numbers[0] * (numbers[0] - 1) ** min(numbers[1] - 1, 64))
    if bonds > MOST_BONDS:
        raise LatticeError(
            f"lattice {kind!r} of --size {size} is too large for the command line, which takes "
            f"{MOST_BONDS} sites or bonds: choose smaller sizes."
        )


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 18 for part in parts):
        parts = ["0"]
    numbers = tuple(map(int, parts))
    if min(numbers) < 1:
        raise LatticeError(f"a size is positive integers joined by x, such as 16x16, got {text!r}.")
    return numbers


def _boundaries(text: str) -> bool | tuple[bool, ...]:
    words = text.split(",")
    for word in words:
        if word not in ("periodic", "open"):
            raise UnknownNameError("boundary", word, ("periodic", "open"))
    periodic = tuple(word == "periodic" for word in words)
    return periodic[0] if len(periodic) == 1 else periodic


def listing() -> str:
    """The named models with a line each."""
    lines = []
    for name, example in EXAMPLES.items():
        document = inspect.getdoc(getattr(models, name)) or ""
        shown = ", ".join(f"{k}={_short(v)}" for k, v in example.parameters.items())
        where = (
            ""
            if example.lattice is None
            else f" on {example.lattice[0]} " + "x".join(map(str, example.lattice[1]))
        )
        lines.append(f"{name}\n    {document.splitlines()[0]}\n    default: {shown}{where}")
    return "\n".join(lines)
