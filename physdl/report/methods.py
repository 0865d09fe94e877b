"""The methods for log Z by their names, as ``physdl logz --method`` has them."""

import inspect
from collections.abc import Callable
from typing import Any

from physdl import estimators, learning
from physdl.errors import UnknownNameError
from physdl.estimators import Estimator

__all__ = ["COMPARE", "METHODS", "comparison", "listing", "method"]

METHODS: dict[str, Callable[..., Any]] = {
    "auto": estimators.Auto,
    "enumeration": estimators.Enumeration,
    "transfer-matrix": estimators.TransferMatrix,
    "contraction": estimators.Contraction,
    "planar": estimators.Planar,
    "tensor": estimators.TensorRG,
    "boundary-mps": estimators.BoundaryMPS,
    "layer-sum": estimators.LayerSum,
    "gaussian": estimators.Gaussian,
    "quadrature": estimators.Quadrature,
    "tap": estimators.TAP,
    "ais": estimators.AIS,
    "reverse-ais": estimators.ReverseAIS,
    "pa": estimators.PopulationAnnealing,
    "ti": estimators.ThermodynamicIntegration,
    "mbar": estimators.MBAR,
    "histogram-reweighting": estimators.HistogramReweighting,
    "wang-landau": estimators.WangLandau,
    "multicanonical": estimators.Multicanonical,
    "perturbation": estimators.Zwanzig,
    "variational": learning.VariationalAutoregressive,
}
COMPARE = "compare"
COMPARED = ("auto", "ais", "reverse-ais", "pa", "ti", "mbar", "wang-landau")


def method(
    name: str, max_memory: int, *, budget: float | None = None, stderr: float | None = None
) -> Estimator:
    """An estimator by its name, within a memory limit where it has one.

    With a budget in seconds, or a wanted error, it is repeated and grows until that is reached.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, [*METHODS, COMPARE])
    make = METHODS[name]
    limited = "max_memory" in inspect.signature(make).parameters
    made: Estimator = make(max_memory=max_memory) if limited else make()
    if budget is None and stderr is None:
        return made
    return estimators.Refined(made, stderr=stderr, seconds=budget)


def comparison(
    max_memory: int, *, budget: float | None = None, stderr: float | None = None
) -> estimators.Compare:
    """The methods that can do most models, side by side, each with its share of the budget."""
    share = None if budget is None else budget / len(COMPARED)
    return estimators.Compare(
        {name: method(name, max_memory, budget=share, stderr=stderr) for name in COMPARED}
    )


def listing() -> str:
    """The methods with a line each."""
    lines = []
    for name, make in METHODS.items():
        first = (inspect.getdoc(make) or "").splitlines()[0]
        lines.append(f"{name:22s}{first}")
    lines.append(f"{COMPARE:22s}{', '.join(COMPARED)}: do they agree?")
    return "\n".join(lines)
