"""The report in words, as the terminal shows it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from physdl.report.observables import Measured

if TYPE_CHECKING:
    from physdl.report._study import Study

__all__ = ["text"]

SHOWN = 4


def text(study: "Study") -> str:
    """All parts of a report that are there."""
    return "\n".join(_lines(study))


def _lines(study: "Study") -> Iterator[str]:
    yield repr(study.hamiltonian)
    if study.identity is not None:
        seen = study.identity
        reach = "" if seen.range is None else f", range {seen.range}"
        yield f"  degree {seen.degree}{reach}, {seen.n_parameters} parameters as written"
        yield "  symmetries: " + ("; ".join(seen.symmetries) or "none found")
        for known, n in seen.counts:
            yield f"  {known:56s}{n:>14}"
    if study.rows:
        yield ""
        for row in study.rows:
            shown = "-" if row.estimate is None else repr(row.estimate)
            yield f"  {row.method:16s}{shown:42s}{row.seconds:7.2f} s  {row.note}"
        yield ""
        yield f"  largest disagreement of exact methods: {study.disagreement:.1e} nats"
        for a, b, pull in study.disagreements:
            yield f"  DISAGREEMENT: {a} and {b} are {abs(pull):.1f} standard errors apart"
    n = max(study.hamiltonian.n_sites, 1)
    if study.mean_energy is not None and study.specific_heat is not None:
        yield f"  mean energy <H> / N:   {study.mean_energy / n:.10g}"
        yield f"  specific heat C / N:   {study.specific_heat / n:.10g}"
    if isinstance(study.measured, Measured):
        yield ""
        yield f"  {study.measured.kernel}, {study.measured.run.n_sweeps} sweeps" + (
            f" of each chain [{study.measured.run.status.name}]"
        )
        for name, value, error in study.measured.rows():
            yield f"  {name:18s}{value:14.6g} +/- {error:.2g}"
    for name, flow in study.flows.items():
        yield from _flow(name, flow)
    if study.network is not None and study.network.report is not None:
        cost = study.network.report
        yield ""
        yield f"  energy as a network: {cost.neurons} neurons, depth {cost.depth}, error " + (
            f"{cost.measured_error:.1e} k_B T ({study.network.note})"
        )
    if not study.complete:
        yield "  (interrupted: the report is not complete)"


def _flow(name: str, flow: dict[str, Any]) -> Iterator[str]:
    yield ""
    if "flow" in flow:
        first, last = flow["flow"][0], flow["flow"][-1]
        steps = len(flow["flow"]) - 1
        yield f"  {name}: {_numbers(first)} -> {_numbers(last)} in {steps} steps"
    else:
        yield f"  {name}"
    if "critical_scale" in flow:
        yield f"    critical at {flow['critical_scale']:.8g} times these couplings"
    if "y" in flow:
        kinds = zip(flow["y"], flow["kinds"], strict=True)
        shown = ", ".join(f"{y:.6g} ({kind})" for y, kind in list(kinds)[:SHOWN])
        yield f"    fixed point {_numbers(flow['fixed_point'])}: y = {shown}"
    if "message" in flow:
        yield f"    {flow['message']}"


def _numbers(values: list[float]) -> str:
    more = ", ..." if len(values) > SHOWN else ""
    return "(" + ", ".join(f"{v:.6g}" for v in values[:SHOWN]) + more + ")"
