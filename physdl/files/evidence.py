"""Observed variables of a graphical model, in the format of the UAI inference competitions.

A ``.uai.evid`` file holds ``count variable state variable state ...``, variables and states
numbered from 0. Conditioning a model on it, ``h.condition(read_evidence(path, h))``, leaves the
other variables, renumbered in ascending order; Z is then the probability of the evidence for a
``BAYES`` model, and the sum over the remaining configurations in general.
"""

import itertools
from collections.abc import Mapping

import numpy as np

from physdl.errors import SettingError, SpaceError
from physdl.files._storage import PathLike, write_bytes
from physdl.files._tokens import Tokens, read_tokens
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import finite_spaces
from physdl.spaces import Finite

__all__ = ["read_evidence", "write_evidence"]


def read_evidence(path: PathLike, h: Hamiltonian | None = None) -> dict[int, float]:
    """The observed variables of a ``.uai.evid`` file, for ``h.condition``: {variable: value}.

    The file holds ``count variable state variable state ...``. The older form with the number of
    samples, 1, on a line of its own in front is read too, unless there is no observation: then
    it could be a truncated new file, and is refused. A state is returned as its number; with ``h``
    the file is checked against it and a state is returned as the point of the site's space.

    Raises:
      FormatError: the file is not in this format, contradicts itself, or does not fit ``h``.
      SpaceError: the space of ``h`` is not finite or its states are vectors.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "two.uai.evid"
    >>> _ = file.write_text("2 0 1 5 0")
    >>> read_evidence(file)
    {0: 1.0, 5: 0.0}
    """
    spaces = None if h is None else _site_spaces(h)
    tokens = read_tokens(path)
    found: dict[int, float] = {}
    for at in range(_first_pair(tokens), len(tokens), 2):
        variable, label = tokens.counts(at, at + 2, "a variable or its state")
        value = float(label) if spaces is None else _point(tokens, at, variable, label, spaces)
        if found.setdefault(variable, value) != value:
            raise tokens.error(
                at + 1, f"variable {variable} is given two different states: keep one"
            )
    return found


def _site_spaces(h: Hamiltonian) -> tuple[Finite, ...]:
    space = require_finite(h.space, "evidence")
    if space.event_shape:
        raise SpaceError(f"evidence is about states that are numbers, but {space!r} has vectors.")
    return finite_spaces(space, np.arange(h.n_sites))


def _point(tokens: Tokens, at: int, variable: int, label: int, spaces: tuple[Finite, ...]) -> float:
    if variable >= len(spaces):
        raise tokens.error(
            at,
            f"variable {variable} does not exist: the model has {len(spaces)} variables, numbered "
            f"from 0",
        )
    points = spaces[variable].points
    if label >= len(points):
        raise tokens.error(
            at + 1,
            f"variable {variable} cannot be in state {label}: it has {len(points)} states, "
            f"numbered from 0",
        )
    return points[label][0]


def _first_pair(tokens: Tokens) -> int:
    """Where the pairs begin, after the count or after '1' on its own line and the count."""
    count, n = tokens.count(0, "the number of observed variables"), len(tokens)
    if n == 1 + 2 * count:
        return 1
    own_line = tokens.data.lstrip().partition(b"\n")[0].strip() == tokens.items[0]
    if count == 1 and n > 2 and own_line and n == 2 + 2 * tokens.count(1, "the number of pairs"):
        return 2
    raise tokens.error(
        0,
        f"{count} observed variables need {1 + 2 * count} tokens, found {n}: the file is "
        f"'count variable state ...', and '0' where nothing is observed",
    )


def write_evidence(path: PathLike, evidence: Mapping[int, float]) -> None:
    """Write {variable: number of its state} as a ``.uai.evid`` file.

    Raises:
      SettingError: a variable or a state is not an integer >= 0.
    """
    for number in itertools.chain.from_iterable(evidence.items()):
        if not (number >= 0 and float(number).is_integer()):
            raise SettingError(
                f"evidence is {{variable: number of its state}} with integers >= 0, got {number!r}."
            )
    pairs = (f" {int(variable)} {int(state)}" for variable, state in evidence.items())
    write_bytes(path, f"{len(evidence)}{''.join(pairs)}\n".encode("ascii"))
