"""Every exception physdl raises on purpose.

Each says in one sentence what was wrong, what was given, and what to do. They are raised at build
or trace time from shapes, types, settings and files, never from traced values: a failure that
depends on values is reported by ``Estimate.status``. All derive from ``PhysdlError``, which is a
``ValueError``.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "FormatError",
    "LatticeError",
    "MissingDependencyError",
    "PhysdlError",
    "SettingError",
    "ShapeError",
    "SpaceError",
    "StructureError",
    "SupportError",
    "TooLargeError",
    "UnknownNameError",
]


class PhysdlError(ValueError):
    """Base class: ``except PhysdlError`` catches every refusal of an input."""


class SettingError(PhysdlError):
    """A setting or argument has a value outside its range."""


class ShapeError(PhysdlError):
    """An array has another shape than the place it was given to needs."""


class SupportError(PhysdlError):
    """A term or argument names a site, component or value that does not exist."""


class SpaceError(PhysdlError):
    """A method was given a state space it is not defined for."""


class LatticeError(PhysdlError):
    """A lattice was asked for with a size, boundary or degree it cannot have."""


class StructureError(PhysdlError):
    """A method was given a Hamiltonian whose structure it cannot treat."""


class TooLargeError(PhysdlError):
    """An exact method would need more states, memory or time than its limit allows."""


class FormatError(PhysdlError):
    """A file is not what its format says; the message names the file and the place."""


class CheckpointError(PhysdlError):
    """A folder of checkpoints belongs to another run, or is none."""


class MissingDependencyError(PhysdlError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, purpose: str):
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: "
            f"run pip install {package}."
        )


class UnknownNameError(PhysdlError):
    """A name is not among those that exist; the message suggests the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known: {', '.join(names)}.")
