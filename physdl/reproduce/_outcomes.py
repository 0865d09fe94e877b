"""What a result is, and what became of it when it was computed again.

A number x with standard error s agrees with the published p, known to t, where

    |x - p| <= t        and        2 s <= t,

so a sampled result is held to the tolerance like any other, and cannot pass by chance: with an
error above half the tolerance it misses, wherever it lies. Keys are fixed. A published number that
sampling cannot reach is compared to as many digits as it can.
"""

import ast
import importlib
import math
import pkgutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from physdl.errors import UnknownNameError

__all__ = ["Computed", "Outcome", "Published", "names", "published", "run"]

FOLDER = Path(__file__).parent
CONSTANTS = ("SUBJECT", "CITATION", "PUBLISHED", "TOLERANCE", "QUICK")
N_SIGMA = 2.0


@dataclass(frozen=True)
class Computed:
    """A number with a standard error.

    Attributes:
      value: the number.
      stderr: its standard error; 0 for what is deterministic.
    """

    value: float
    stderr: float = 0.0


@dataclass(frozen=True)
class Published:
    """A published number and how to compute it.

    Attributes:
      name: of the file.
      subject: the part of physics.
      title: the first line of the file.
      citation: paper and place.
      value: the number as printed.
      tolerance: how far a computed one may be off.
      quick: whether it takes less than ten seconds.
    """

    name: str
    subject: str
    title: str
    citation: str
    value: float
    tolerance: float
    quick: bool

    def compute(self) -> Computed:
        """Import the file, and compute the number."""
        found = importlib.import_module(f"physdl.reproduce.{self.name}").compute()
        return found if isinstance(found, Computed) else Computed(float(found))


@dataclass(frozen=True)
class Outcome:
    """What became of a published number.

    Attributes:
      name: of the result.
      subject: the part of physics.
      title: what it is.
      citation: paper and place.
      published: the number as printed.
      tolerance: how far a computed one may be off.
      computed: the number found; NaN where it ended with an error.
      stderr: its standard error.
      seconds: the time it took, compilation included.
      error: how it failed, else empty.
    """

    name: str
    subject: str
    title: str
    citation: str
    published: float
    tolerance: float
    computed: float
    stderr: float
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the numbers agree, by the rule of this module."""
        off = abs(self.computed - self.published)
        return not self.error and max(off, N_SIGMA * self.stderr) <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers and words."""
        return {**asdict(self), "ok": self.ok}


def names() -> tuple[str, ...]:
    """The results there are, by the files of the folder.

    >>> "wannier_residual_entropy" in names()
    True
    """
    found = pkgutil.iter_modules([str(FOLDER)])
    return tuple(sorted(m.name for m in found if not m.name.startswith("_")))


def published(name: str) -> Published:
    """One result, not computed yet: its file is read, not imported.

    Raises:
      UnknownNameError: there is no file of this name.

    >>> found = published("wannier_residual_entropy")
    >>> found.subject, found.value
    ('exact', 0.3230659472)
    """
    if name not in names():
        raise UnknownNameError("published result", name, names())
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    said = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in CONSTANTS
    }
    title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    return Published(
        name=name,
        subject=said["SUBJECT"],
        title=title,
        citation=said["CITATION"],
        value=said["PUBLISHED"],
        tolerance=said["TOLERANCE"],
        quick=said["QUICK"],
    )


def run(
    chosen: Iterable[str] | None = None,
    *,
    quick: bool = False,
    subject: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Compute results one after another; each is yielded as soon as it is there.

    Args:
      chosen: names; all by default.
      quick: leave out those that take ten seconds or more.
      subject: only those of this subject.
      report: called with the name of each before it is computed.

    Raises:
      UnknownNameError: there is no such result, or no such subject.

    >>> (outcome,) = run(["wannier_residual_entropy"])
    >>> outcome.ok
    True
    """
    found = [published(name) for name in (names() if chosen is None else chosen)]
    subjects = {p.subject for p in found}
    if subject is not None and subject not in subjects:
        raise UnknownNameError("subject", subject, sorted(subjects))
    wanted = [
        p for p in found if (p.quick or not quick) and (subject is None or p.subject == subject)
    ]
    return _computed(wanted, report)


def _computed(wanted: list[Published], report: Callable[[str], None]) -> Iterator[Outcome]:
    for p in wanted:
        report(p.name)
        start, error = time.perf_counter(), ""
        try:
            out = p.compute()
        except Exception as failure:  # the table goes on, and says what happened
            error, out = f"{type(failure).__name__}: {failure}", Computed(math.nan, math.nan)
        yield Outcome(
            p.name,
            p.subject,
            p.title,
            p.citation,
            p.value,
            p.tolerance,
            float(out.value),
            float(out.stderr),
            time.perf_counter() - start,
            error,
        )
