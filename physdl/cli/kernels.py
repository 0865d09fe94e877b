"""The Markov kernels by their names on the command line, tuned where there is something to tune."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from physdl import sampling
from physdl.cli.parameters import fitted
from physdl.errors import SettingError, UnknownNameError
from physdl.hamiltonian import Hamiltonian
from physdl.sampling import Kernel
from physdl.spaces import Line

__all__ = ["KERNELS", "Move", "kernel", "listing"]

FIRST_STEP = 0.1
FIRST_LADDER = 8


@dataclass(frozen=True)
class Move:
    """A kernel that is ready to run.

    Attributes:
      kernel: the kernel.
      title: what it is, with the settings that were given or found.
    """

    kernel: Kernel
    title: str


Make = Callable[[Hamiltonian, dict[str, Any], Key[Array, ""]], Kernel]


def _plain(make: Callable[..., Kernel]) -> Make:
    return lambda h, given, key: make(**given)


def _stepping(make: Callable[..., Any], **defaults: Any) -> Make:
    """A kernel whose step size is tuned unless it is given."""

    def made(h: Hamiltonian, given: dict[str, Any], key: Key[Array, ""]) -> Kernel:
        if "step_size" in given:
            return make(**{**defaults, **given})  # type: ignore[no-any-return]
        first = make(**{"step_size": FIRST_STEP, **defaults, **given})
        tuned: Kernel = sampling.tune_step_size(first, h, key=key)[0]
        return tuned

    return made


def _nuts(h: Hamiltonian, given: dict[str, Any], key: Key[Array, ""]) -> Kernel:
    return sampling.NUTS(**given) if given else sampling.tune_nuts(h, key=key)[0]


def _suitable(h: Hamiltonian, given: dict[str, Any], key: Key[Array, ""]) -> Kernel:
    """Heat bath on finite spaces, with reflections on spheres, HMC on the line."""
    return sampling.HeatBath(**given) if given else sampling.suitable_kernel(h, key=key)


def _tempered(h: Hamiltonian, given: dict[str, Any], key: Key[Array, ""]) -> Kernel:
    inner = sampling.Metropolis() if isinstance(h.space, Line) else sampling.HeatBath()
    betas = np.linspace(0.0 if not isinstance(h.space, Line) else 0.2, 1.0, FIRST_LADDER)
    first = sampling.ParallelTempering(inner, given.pop("betas", betas), **given)
    return sampling.tune_ladder(first, h, key=key)[0]


KERNELS: dict[str, tuple[Callable[..., Any], Make]] = {
    "heat-bath": (sampling.HeatBath, _plain(sampling.HeatBath)),
    "metropolis": (sampling.Metropolis, _plain(sampling.Metropolis)),
    "packed": (sampling.PackedIsing, _plain(sampling.PackedIsing)),
    "packed-glass": (sampling.PackedGlass, _plain(sampling.PackedGlass)),
    "swendsen-wang": (sampling.SwendsenWang, _plain(sampling.SwendsenWang)),
    "wolff": (sampling.Wolff, _plain(sampling.Wolff)),
    "creutz": (sampling.Creutz, _plain(sampling.Creutz)),
    "gibbs-with-gradients": (sampling.GibbsWithGradients, _plain(sampling.GibbsWithGradients)),
    "discrete-langevin": (sampling.DiscreteLangevin, _stepping(sampling.DiscreteLangevin)),
    "hmc": (sampling.HMC, _stepping(sampling.HMC, n_leapfrogs=10, jitter=0.2)),
    "fourier-hmc": (
        sampling.FourierHMC,
        _stepping(sampling.FourierHMC, n_leapfrogs=10, jitter=0.2),
    ),
    "mala": (sampling.MALA, _stepping(sampling.MALA)),
    "nuts": (sampling.NUTS, _nuts),
    "parallel-tempering": (sampling.ParallelTempering, _tempered),
    "auto": (sampling.HeatBath, _suitable),
}


def kernel(name: str, h: Hamiltonian, settings: Mapping[str, Any], *, key: Key[Array, ""]) -> Move:
    """A kernel by its name, with the settings its constructor takes.

    Raises:
      UnknownNameError: there is no such kernel, or it has no such setting.
      PhysdlError: a setting or the model does not suit it (the named subclass says how).
    """
    if name not in KERNELS:
        raise UnknownNameError("kernel", name, KERNELS)
    constructor, make = KERNELS[name]
    given = fitted(constructor, settings, f"kernel {name}")
    if "kernel" in given or "reference" in given:
        raise SettingError(f"kernel {name!r} takes numbers only here, got {sorted(given)}.")
    made = make(h, given, key)
    found = {k: v for k, v in vars(made).items() if np.ndim(v) == 0 and not callable(v)}
    numbers = {k: v.item() if isinstance(v, jax.Array) else v for k, v in found.items()}
    shown = ", ".join(f"{k}={_short(v)}" for k, v in numbers.items() if _plainly(v))
    return Move(made, f"{type(made).__name__}({shown})")


def _plainly(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def listing() -> str:
    """The kernels with a line each."""
    lines = []
    for name, (constructor, make) in KERNELS.items():
        document = inspect.getdoc(make if name == "auto" else constructor) or ""
        lines.append(f"{name:22s}{document.splitlines()[0]}")
    return "\n".join(lines)
