"""The methods for log Z by their names on the command line."""

import inspect
from collections.abc import Callable
from typing import Any

from physdl import estimators
from physdl.errors import UnknownNameError
from physdl.estimators import Estimator

__all__ = ["METHODS", "listing", "method"]

METHODS: dict[str, Callable[..., Any]] = {
    "auto": estimators.Auto,
    "enumeration": estimators.Enumeration,
    "transfer-matrix": estimators.TransferMatrix,
    "contraction": estimators.Contraction,
    "planar": estimators.Planar,
    "gaussian": estimators.Gaussian,
}


def method(name: str, max_memory: int) -> Estimator:
    """An estimator by its name, within a memory limit where it has one."""
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    make = METHODS[name]
    limited = "max_memory" in inspect.signature(make).parameters
    made: Estimator = make(max_memory=max_memory) if limited else make()
    return made


def listing() -> str:
    """The methods with a line each."""
    lines = []
    for name, make in METHODS.items():
        first = (inspect.getdoc(make) or "").splitlines()[0]
        lines.append(f"{name:18s}{first}")
    return "\n".join(lines)
