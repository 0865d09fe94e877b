r"""log Z by every method that applies within a time: exact ones first, samplers with the rest.

A method is asked what it would cost before it runs, and left out where that is more than the time;
a sampled one is repeated and grows in its share of the time, or until its error is a hundredth of a
nat (``estimators.Refined``), so it always ends with an error bar and a status.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from physdl.errors import PhysdlError
from physdl.estimators import (
    BoundaryMPS,
    Contraction,
    Enumeration,
    Estimate,
    Estimator,
    Planar,
    Quadrature,
    Refined,
    Status,
    TransferMatrix,
)
from physdl.estimators.quadrature import discretised
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.potential import state_counts
from physdl.report.methods import method
from physdl.spaces import Finite, Product

__all__ = ["APPROXIMATE", "EXACT", "SAMPLED", "Clock", "Row", "count", "moments"]

EXACT = (
    "enumeration",
    "transfer-matrix",
    "contraction",
    "planar",
    "layer-sum",
    "gaussian",
    "quadrature",
)
APPROXIMATE = ("tensor", "tap", "boundary-mps")
SAMPLED = ("reverse-ais", "mbar", "pa", "ti", "wang-landau", "ais")
PER_SECOND = 1e9
ENUMERATED_PER_SECOND = 5e9
# seconds for each cell and chi^3: 5.0 s on a torus of 32 x 32, chi = 32; open boxes take a quarter
PER_BOUNDARY_CELL = 1.5e-7
ENOUGH = 0.01
SWEEPS = 3e5  # of one chain, which a method with draws takes at its defaults


@dataclass(frozen=True)
class Clock:
    """Seconds that are left of a budget.

    Attributes:
      seconds: the budget.
      start: when it began, by ``time.monotonic``.
    """

    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds to the end; negative after it."""
        return self.start + self.seconds - time.monotonic()

    def until(self, share: float) -> "Clock":
        """The clock of a part that ends at this share of the budget."""
        return Clock(share * self.seconds, self.start)


@dataclass(frozen=True)
class Row:
    """One method's answer.

    Attributes:
      method: the method's name.
      estimate: its estimate, or ``None`` where it does not apply.
      note: what was done, or why it was not.
      seconds: the time it took, compilation included.
    """

    method: str
    estimate: Estimate | None
    note: str
    seconds: float

    @property
    def trusted(self) -> bool:
        """Whether there is an estimate that calls itself OK."""
        return self.estimate is not None and int(self.estimate.status) == Status.OK

    @property
    def exact(self) -> bool:
        """Whether it is trusted and has no error."""
        return self.trusted and self.estimate is not None and float(self.estimate.stderr) == 0

    def to_dict(self) -> dict[str, Any]:
        """The row as plain numbers and words."""
        numbers: dict[str, Any] = dict.fromkeys(("log_z", "stderr", "lower", "upper", "status"))
        if self.estimate is not None:
            numbers = {name: float(getattr(self.estimate, name)) for name in list(numbers)[:4]}
            numbers["status"] = Status(int(self.estimate.status)).name
        return {**numbers, "note": self.note, "seconds": round(self.seconds, 3)}


def count(
    h: Hamiltonian,
    names: tuple[str, ...],
    clock: Clock,
    *,
    max_memory: int,
    seconds_per_sweep: float = 0.0,
    key: Key[Array, ""],
) -> Iterator[tuple[str, Row | None]]:
    """(name, None) before each method runs, and (name, row) after; time is shared out equally."""
    keys = [jax.random.fold_in(key, number) for number in range(len(names))]
    for number, (name, own) in enumerate(zip(names, keys, strict=True)):
        yield name, None
        share = clock.left / (len(names) - number) if name in SAMPLED else clock.left
        yield name, _row(h, name, share, max_memory, seconds_per_sweep, own)


def _row(
    h: Hamiltonian,
    name: str,
    share: float,
    max_memory: int,
    seconds_per_sweep: float,
    key: Key[Array, ""],
) -> Row:
    if share <= 0:
        return Row(name, None, "no time was left: give a larger budget.", 0.0)
    start = time.perf_counter()
    made: Estimator = method(name, max_memory)
    drawn = name in SAMPLED
    try:
        seconds = SWEEPS * seconds_per_sweep if drawn else _seconds(made, h)
        if seconds > share:
            note = f"it would take about {seconds:.2g} s: give a larger budget."
            return Row(name, None, note, time.perf_counter() - start)
        if drawn:
            made = Refined(made, stderr=ENOUGH, seconds=share)
        estimate = made(h, key=key)
        estimate.log_z.block_until_ready()
        return Row(name, estimate, estimate.method, time.perf_counter() - start)
    except PhysdlError as error:
        return Row(name, None, str(error), time.perf_counter() - start)


def _seconds(made: Estimator, h: Hamiltonian) -> float:
    """About how long a method without draws would run, from what it counts beforehand.

    Raises:
      PhysdlError: the method does not apply.
    """
    if isinstance(made, Enumeration) and isinstance(h.space, Finite | Product):
        states = float(np.sum(np.log2(state_counts(h.space, h.n_sites))))
        return float(2.0 ** min(states, 1000.0)) / ENUMERATED_PER_SECOND
    if isinstance(made, TransferMatrix):
        return float(jax.eval_shape(made.layers, h).operations) / PER_SECOND
    if isinstance(made, Planar):
        return float(made.blocks(h).operations) / PER_SECOND
    if isinstance(made, Contraction):
        return float(made.plan(h)[1].operations) / PER_SECOND
    if isinstance(made, BoundaryMPS):
        return PER_BOUNDARY_CELL * h.n_sites * made.chi**3
    if isinstance(made, Quadrature) and made.applies(h):
        nodes = discretised(h, jnp.ones((), h.dtype), made.n_nodes)
        return _seconds(made.estimator or Contraction(), nodes)
    return 0.0


def moments(h: Hamiltonian, name: str, *, max_memory: int) -> tuple[float, float]:
    r"""<H> = -d log Z(beta H) / d beta and its variance at beta = 1, by the exact method so called.

    Forward derivatives: for one beta they are the cheapest. Estimators that compile themselves see
    known coefficients and leave their other path out.

    Raises:
      PhysdlError: the method needs coefficients whose zeros are known.
    """
    exact = method(name, max_memory)

    def log_z(beta: jax.Array) -> jax.Array:
        return exact(beta * h).log_z

    def slope(beta: jax.Array) -> jax.Array:
        out: jax.Array = jax.jvp(log_z, (beta,), (one,))[1]
        return out

    def both(beta: jax.Array) -> tuple[jax.Array, jax.Array]:
        energy, heat = jax.jvp(slope, (beta,), (one,))
        return energy, heat

    one = jnp.ones((), h.dtype)
    known = isinstance(exact, Enumeration | TransferMatrix)
    energy, heat = (both if known else jax.jit(both))(one)
    return -float(energy), float(heat)
