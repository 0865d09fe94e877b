"""physdl: differentiable statistical mechanics in JAX.

A Hamiltonian is a polynomial in the variables of many sites. You count it (log Z), coarsen it
(renormalization) and learn it (networks). Everything is a pure function of a pytree.

Importing the package imports nothing else: submodules and names load on first use, so that the
command line starts at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

from physdl.version import __version__ as __version__

if TYPE_CHECKING:
    from physdl import ensemble as ensemble
    from physdl import errors as errors
    from physdl import estimators as estimators
    from physdl import files as files
    from physdl import lattices as lattices
    from physdl import learning as learning
    from physdl import models as models
    from physdl import networks as networks
    from physdl import plotting as plotting
    from physdl import reference as reference
    from physdl import report as report
    from physdl import reproduce as reproduce
    from physdl import rg as rg
    from physdl import sampling as sampling
    from physdl import scaling as scaling
    from physdl import spaces as spaces
    from physdl import statistics as statistics
    from physdl import tensors as tensors
    from physdl import theory as theory
    from physdl.bibliography import cite as cite
    from physdl.hamiltonian import Dense as Dense
    from physdl.hamiltonian import Hamiltonian as Hamiltonian
    from physdl.hamiltonian import Potential as Potential
    from physdl.hamiltonian import Sites as Sites
    from physdl.hamiltonian import Stencil as Stencil
    from physdl.hamiltonian import conditional_energies as conditional_energies
    from physdl.report import study as study

_MODULES = (
    "ensemble",
    "errors",
    "estimators",
    "files",
    "lattices",
    "learning",
    "models",
    "networks",
    "plotting",
    "reference",
    "report",
    "reproduce",
    "rg",
    "sampling",
    "scaling",
    "spaces",
    "statistics",
    "tensors",
    "theory",
)
_HOME = {
    "Dense": "hamiltonian",
    "Hamiltonian": "hamiltonian",
    "Potential": "hamiltonian",
    "Sites": "hamiltonian",
    "Stencil": "hamiltonian",
    "cite": "bibliography",
    "conditional_energies": "hamiltonian",
    "study": "report",
}

__all__ = [*_MODULES, *_HOME]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"physdl.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"physdl.{_HOME[name]}"), name)
    raise AttributeError(f"module 'physdl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
