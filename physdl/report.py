"""A report on a Hamiltonian: what it is, and log Z by every method that applies.

``study(h)`` runs each exact method within its limits, compares them, and derives what the value of
log Z alone gives: the free energy, the mean energy and the specific heat,

    <H> = - d log Z(beta H) / d beta,      C = d^2 log Z(beta H) / d beta^2      at beta = 1.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from physdl.errors import PhysdlError
from physdl.estimators import (
    Auto,
    Contraction,
    Enumeration,
    Estimate,
    Estimator,
    Gaussian,
    Planar,
    Quadrature,
    Status,
    TransferMatrix,
)
from physdl.hamiltonian import Hamiltonian

__all__ = ["Row", "Study", "study"]

ENUMERABLE = 2**30


@dataclass(frozen=True)
class Row:
    """One method's answer.

    Attributes:
      method: the method's name.
      estimate: its estimate, or ``None`` where it does not apply.
      note: what was done, or why it does not apply.
      seconds: the time it took, compilation included.
    """

    method: str
    estimate: Estimate | None
    note: str
    seconds: float


@dataclass(frozen=True)
class Study:
    """What is known about a Hamiltonian.

    Attributes:
      hamiltonian: the Hamiltonian.
      rows: one row per method, those that apply first.
      mean_energy: <H> in k_B T, ``None`` where no method is differentiable in time.
      specific_heat: the variance of H.
      disagreement: largest difference between two exact answers with ``Status.OK``, in nats.
    """

    hamiltonian: Hamiltonian
    rows: tuple[Row, ...]
    mean_energy: float | None
    specific_heat: float | None
    disagreement: float

    def to_dict(self) -> dict[str, Any]:
        """The report as plain numbers and words."""
        h = self.hamiltonian
        return {
            "n_sites": h.n_sites,
            "space": repr(h.space),
            "degree": h.degree,
            "n_parameters": h.n_parameters,
            "log_z": {
                r.method: {
                    "log_z": None if r.estimate is None else float(r.estimate.log_z),
                    "status": None if r.estimate is None else Status(int(r.estimate.status)).name,
                    "note": r.note,
                    "seconds": round(r.seconds, 3),
                }
                for r in self.rows
            },
            "mean_energy": self.mean_energy,
            "specific_heat": self.specific_heat,
            "disagreement": self.disagreement,
        }

    def __repr__(self) -> str:
        lines = [repr(self.hamiltonian), ""]
        for r in self.rows:
            shown = "does not apply" if r.estimate is None else repr(r.estimate)
            lines.append(f"  {r.method:16s}{shown:42s}{r.seconds:7.2f} s  {r.note}")
        lines += ["", f"  largest disagreement of exact methods: {self.disagreement:.1e} nats"]
        if self.mean_energy is not None and self.specific_heat is not None:
            n = max(self.hamiltonian.n_sites, 1)
            lines.append(f"  mean energy <H> / N:   {self.mean_energy / n:.10g}")
            lines.append(f"  specific heat C / N:   {self.specific_heat / n:.10g}")
        return "\n".join(lines)


def study(
    h: Hamiltonian,
    *,
    methods: Mapping[str, Estimator] | None = None,
    max_memory: int = 4 * 2**30,
    report: Callable[[str], None] = lambda _: None,
) -> Study:
    """Count ``h`` by every method that applies and compare.

    ``methods`` replaces the exact methods, which may take ``max_memory`` bytes each. ``report`` is
    called with the name of each method before it runs.

    >>> from physdl import lattices, models
    >>> result = study(models.ising(lattices.square(3, 3), 0.3))
    >>> result.disagreement < 1e-12
    True
    """
    rows = []
    for name, method in (methods or _default_methods(max_memory)).items():
        report(name)
        rows.append(_row(name, method, h))
    rows.sort(key=lambda r: r.estimate is None)
    trusted = [
        r.estimate for r in rows if r.estimate is not None and r.estimate.status == Status.OK
    ]
    values = [float(estimate.log_z) for estimate in trusted]
    report("energy and specific heat")
    energy, heat = _moments(h, max_memory)
    spread = max(values) - min(values) if values else 0.0
    return Study(h, tuple(rows), energy, heat, spread)


def _default_methods(max_memory: int) -> dict[str, Estimator]:
    return {
        "enumeration": Enumeration(max_states=ENUMERABLE),
        "transfer-matrix": TransferMatrix(max_memory=max_memory),
        "contraction": Contraction(max_memory=max_memory),
        "planar": Planar(max_memory=max_memory),
        "gaussian": Gaussian(max_memory=max_memory),
        "quadrature": Quadrature(estimator=Auto(max_memory=max_memory)),
    }


def _row(name: str, method: Estimator, h: Hamiltonian) -> Row:
    start = time.perf_counter()
    try:
        estimate = method(h)
        estimate.log_z.block_until_ready()
        return Row(name, estimate, estimate.method, time.perf_counter() - start)
    except PhysdlError as error:
        return Row(name, None, str(error), time.perf_counter() - start)


def _moments(h: Hamiltonian, max_memory: int) -> tuple[float | None, float | None]:
    """<H> and the specific heat, by forward derivatives: for one beta they are the cheapest.

    Estimators that compile themselves see known coefficients and leave their other path out.
    """
    auto = Auto(max_memory=max_memory)
    try:
        method, _ = auto.choose(h)
    except PhysdlError:
        return None, None

    def log_z(beta: jax.Array) -> jax.Array:
        return auto(beta * h).log_z

    def slope(beta: jax.Array) -> jax.Array:
        out: jax.Array = jax.jvp(log_z, (beta,), (one,))[1]
        return out

    def moments(beta: jax.Array) -> tuple[jax.Array, jax.Array]:
        energy, heat = jax.jvp(slope, (beta,), (one,))
        return energy, heat

    one = jnp.ones((), h.dtype)
    known = isinstance(method, Enumeration | TransferMatrix)
    energy, heat = (moments if known else jax.jit(moments))(one)
    return -float(energy), float(heat)
