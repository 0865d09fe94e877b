"""The report itself: one part after another within a time, each kept as soon as it is there."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from physdl.errors import PhysdlError, SettingError, UnknownNameError
from physdl.estimators import Agreement, Status
from physdl.hamiltonian import Hamiltonian
from physdl.report import approximations, counting
from physdl.report._text import text
from physdl.report.approximations import Compiled
from physdl.report.counting import APPROXIMATE, EXACT, SAMPLED, Clock, Row
from physdl.report.flows import fixed_point_of, flow_of
from physdl.report.identity import Identity, identify
from physdl.report.maps import MAPS
from physdl.report.methods import METHODS
from physdl.report.observables import Measured, measure

__all__ = ["Study", "study"]

BUDGET = 60.0
N_STEPS = 6
# bond moving in the limit of small steps is left out: its integration takes minutes
FLOWS = tuple(name for name in MAPS if name != "migdal-kadanoff-limit")
# what two derivatives of log Z take, in times of its value
DERIVATIVES = 6
# where a part ends at the latest, in shares of what the structure leaves of the budget, so that
# none takes the time of another
UNTIL_COUNTED, UNTIL_SAMPLED, UNTIL_TRAINED, UNTIL_RENORMALIZED = 0.35, 0.45, 0.6, 0.8


@dataclass(frozen=True)
class Study:
    """What is known about a Hamiltonian; parts that were not reached are empty.

    Attributes:
      hamiltonian: the Hamiltonian.
      identity: its structure, symmetries and numbers of parameters.
      rows: one row per method for log Z, those that gave an estimate first.
      mean_energy: <H> in k_B T from an exact log Z, ``None`` where there is none.
      specific_heat: the variance of H, likewise.
      measured: observables from a Markov chain, or why there are none.
      flows: map -> flow, critical point, fixed point and exponents, for maps that have the model.
      network: the energy as a network.
      complete: whether all parts were reached.
      seconds: the time of the whole report.
    """

    hamiltonian: Hamiltonian
    identity: Identity | None = None
    rows: tuple[Row, ...] = ()
    mean_energy: float | None = None
    specific_heat: float | None = None
    measured: Measured | str | None = None
    flows: dict[str, dict[str, Any]] = field(default_factory=dict)
    network: Compiled | None = None
    complete: bool = False
    seconds: float = 0.0

    @property
    def agreement(self) -> Agreement | None:
        """The estimates side by side: pulls, what they say jointly; ``None`` without any."""
        estimates = {r.method: r.estimate for r in self.rows if r.estimate is not None}
        refused = tuple((r.method, r.note) for r in self.rows if r.estimate is None)
        return Agreement(estimates, refused) if estimates else None

    @property
    def exact(self) -> Row | None:
        """The first exact answer that can be trusted."""
        return next((r for r in self.rows if r.exact), None)

    @property
    def disagreement(self) -> float:
        """Largest difference between two exact answers with ``Status.OK``, in nats."""
        values = [float(r.estimate.log_z) for r in self.rows if r.exact and r.estimate is not None]
        return max(values) - min(values) if values else 0.0

    @property
    def n_agreeing(self) -> int:
        """How many answers claim an error, or none at all, and can be trusted."""
        found = self.agreement
        return 0 if found is None else int(np.sum(np.asarray(found.trusted)))

    @property
    def disagreements(self) -> list[tuple[str, str, float]]:
        """(method, method, pull) of trusted answers further apart than four standard errors."""
        found = self.agreement
        trusted = {r.method for r in self.rows if r.trusted}
        pairs = [] if found is None else found.disagreements
        return [(a, b, pull) for a, b, pull in pairs if {a, b} <= trusted]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain numbers and words."""
        joined = self.agreement and self.agreement.estimate
        return {
            **({} if self.identity is None else self.identity.to_dict()),
            "log_z": {r.method: r.to_dict() for r in self.rows},
            "best": joined
            and {
                "log_z": float(joined.log_z),
                "stderr": float(joined.stderr),
                "status": Status(int(joined.status)).name,
            },
            "disagreement": self.disagreement,
            "disagreements": [list(pair) for pair in self.disagreements],
            "mean_energy": self.mean_energy,
            "specific_heat": self.specific_heat,
            "measured": self.measured.to_dict()
            if isinstance(self.measured, Measured)
            else self.measured,
            "flows": self.flows,
            "network": self.network and self.network.to_dict(),
            "complete": self.complete,
            "seconds": round(self.seconds, 1),
        }

    def __repr__(self) -> str:
        return text(self)


def study(
    h: Hamiltonian,
    *,
    budget: float = BUDGET,
    methods: tuple[str, ...] | None = None,
    max_memory: int = 4 * 2**30,
    seed: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> Study:
    """All that is easily known about a Hamiltonian, within about ``budget`` seconds.

    What it is, log Z by every method that applies and whether they agree, observables, its flow
    under every renormalization map that has it, and networks that stand for it. Ctrl-C ends it, and
    what is there is returned, with ``complete`` false.

    Args:
      h: the Hamiltonian.
      budget: seconds for all parts; the last step may exceed it by its compilation.
      methods: names of the methods for log Z (``physdl methods``); all by default.
      max_memory: bytes an exact method may take.
      seed: of everything that is drawn.
      report: called with the name of each step before it runs.

    Raises:
      UnknownNameError: there is no such method.
      SettingError: the budget is not positive.

    >>> from physdl import lattices, models
    >>> result = study(models.ising(lattices.square(3, 3), 0.3), methods=("enumeration", "planar"))
    >>> result.disagreement < 1e-12, result.complete, list(result.flows)[:2]
    (True, True, ['migdal-kadanoff', 'cumulant'])
    """
    for name in methods or ():
        if name not in METHODS:
            raise UnknownNameError("method", name, METHODS)
    if not budget > 0:
        raise SettingError(f"a budget is a positive number of seconds, got {budget!r}.")
    start, found = time.monotonic(), Study(h)
    try:
        for stage, seen in _parts(found, budget, methods, max_memory, seed):
            found = seen
            report(stage)
        found = replace(found, complete=True)
    except KeyboardInterrupt:
        pass
    rows = tuple(sorted(found.rows, key=lambda r: r.estimate is None))
    return replace(found, rows=rows, seconds=time.monotonic() - start)


def _parts(
    found: Study, budget: float, methods: tuple[str, ...] | None, max_memory: int, seed: int
) -> Iterator[tuple[str, Study]]:
    """(what comes next, what is there) before every step."""
    h, wanted = found.hamiltonian, methods or (*EXACT, *APPROXIMATE, *SAMPLED, "variational")
    count_key, chain_key, network_key = jax.random.split(jax.random.key(seed), 3)
    clock, slow = Clock(budget), 0.0

    def counted(names: tuple[str, ...], until: float) -> Iterator[tuple[str, Study]]:
        nonlocal found
        chosen = tuple(name for name in names if name in wanted)
        for name, row in counting.count(
            h,
            chosen,
            clock.until(until),
            max_memory=max_memory,
            seconds_per_sweep=slow,
            key=count_key,
        ):
            if row is not None:
                found = replace(found, rows=(*found.rows, row))
            yield name, found

    yield "structure and symmetries", found
    found = replace(found, identity=identify(h))
    clock = Clock(clock.left)
    others = tuple(n for n in wanted if n not in (*EXACT, *SAMPLED, "variational"))
    yield from counted(EXACT, UNTIL_COUNTED)
    yield "energy and specific heat", found
    fastest = sorted((row.seconds, row.method) for row in found.rows if row.exact)
    for seconds, name in fastest + [(seconds, "auto") for seconds, _ in fastest[-1:]]:
        if DERIVATIVES * seconds > clock.left:
            break
        try:
            energy, heat = counting.moments(h, name, max_memory=max_memory)
        except PhysdlError:
            continue
        found = replace(found, mean_energy=energy, specific_heat=heat)
        break
    yield "observables from a chain", found
    measured, slow = measure(h, seconds=clock.until(UNTIL_SAMPLED).left, key=chain_key)
    found = replace(found, measured=measured)
    if "variational" in wanted:
        yield "variational", found
        seconds = clock.until(UNTIL_TRAINED).left
        row = approximations.variational(h, seconds=seconds, key=network_key)
        found = replace(found, rows=(*found.rows, row))
    yield "a network that computes the energy", found
    found = replace(found, network=approximations.compiled(h))
    for name in FLOWS:
        if clock.until(UNTIL_RENORMALIZED).left <= 0:
            break
        yield f"renormalization: {name}", found
        try:
            at = MAPS[name][0](h, None)
            flow = {"couplings": list(at.names)} | flow_of(at, N_STEPS) | fixed_point_of(at)
        except PhysdlError:
            continue
        found = replace(found, flows={**found.flows, name: flow})
    yield from counted((*others, *SAMPLED), 1.0)
    yield "the report", found
