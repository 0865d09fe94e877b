r"""Networks that stand for a Hamiltonian: its energy, compiled, and its distribution, trained.

    f(x) = H(x) by gates of a Flax network          (``networks.compile_polynomial``)
    q(x) with  -log Z <= E_q[log q + H]             (``learning.VariationalAutoregressive``)

The error of the first is measured at random configurations; that of the second is the gap between
its bound and log Z, where that is known, and importance sampling from q removes it.
"""

import time
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Key

from physdl import learning, networks
from physdl.errors import PhysdlError, SpaceError
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.networks import CostReport
from physdl.report.counting import Row
from physdl.spaces import Line

__all__ = ["Compiled", "compiled", "variational"]

RADIUS = 2.0
SECONDS_PER_PAIR = 4e-7
MOST_STEPS, FEWEST_STEPS = 1000, 200
WIDTH = 16
MOST_MONOMIALS = 2**15


@dataclass(frozen=True)
class Compiled:
    """The energy as a network of softplus units.

    Attributes:
      report: counts and errors, or ``None`` where it cannot be compiled.
      note: of what domain, or why not.
      seconds: the time it took.
    """

    report: CostReport | None
    note: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers and words."""
        names = ("neurons", "synapses", "depth", "largest_weight", "measured_error", "status")
        numbers = {} if self.report is None else {n: getattr(self.report, n) for n in names}
        return {**numbers, "note": self.note, "seconds": round(self.seconds, 3)}


def compiled(h: Hamiltonian) -> Compiled:
    """A Flax network that computes H(x), its size and its error; on lines for |x| <= 2."""
    start = time.perf_counter()
    kinds = getattr(h.space, "spaces", (h.space,))
    on_line = any(isinstance(kind, Line) for kind in kinds)
    if sum(leaf.size for leaf in jax.tree.leaves(h)) > MOST_MONOMIALS:
        return Compiled(None, f"more than {MOST_MONOMIALS} coefficients: see physdl compile.", 0.0)
    try:
        _, report = networks.compile_polynomial(h, radius=RADIUS if on_line else None)
    except PhysdlError as error:
        return Compiled(None, str(error), time.perf_counter() - start)
    note = f"softplus, |x| <= {RADIUS:g}" if on_line else "softplus, at all points of the space"
    return Compiled(report, note, time.perf_counter() - start)


def variational(h: Hamiltonian, *, seconds: float, key: Key[Array, ""]) -> Row:
    """log Z by an autoregressive network that is trained for about so many seconds."""
    start, name = time.perf_counter(), "variational"
    try:
        require_finite(h.space, "an autoregressive network")
    except SpaceError as error:
        return Row(name, None, str(error), 0.0)
    n_steps = min(MOST_STEPS, int(seconds / (SECONDS_PER_PAIR * max(h.n_sites, 1) ** 2)))
    if n_steps < FEWEST_STEPS:
        note = f"{h.n_sites} sites would take longer than is left: give a larger budget."
        return Row(name, None, note, 0.0)
    try:
        estimate = learning.VariationalAutoregressive(n_steps=n_steps, width=WIDTH)(h, key=key)
        estimate.log_z.block_until_ready()
        return Row(name, estimate, estimate.method, time.perf_counter() - start)
    except PhysdlError as error:
        return Row(name, None, str(error), time.perf_counter() - start)
