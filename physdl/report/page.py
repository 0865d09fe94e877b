"""The report as one HTML file: tables and pictures, no scripts, nothing fetched from anywhere.

Every picture is there twice, with dark and with light ink, and the reader's browser takes the one
that suits its scheme. Each has a text in its place for those who do not see it.
"""

import base64
import io
import math
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import numpy as np

from physdl import _pages
from physdl._pages import table
from physdl.estimators import Status
from physdl.plotting import configuration, estimates, flow, style
from physdl.plotting import new_axes as axes
from physdl.report._study import Study
from physdl.report.counting import Row
from physdl.report.observables import Measured

__all__ = ["page"]

Draw = Callable[[Any], object]

STYLE = """
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .7rem .9rem; }
.card span { display: block; color: var(--soft); font-size: .85rem; }
.card b { font-size: 1.05rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .9rem; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 1rem 2rem; align-items: start; }
"""

NAMES = {
    "abs_m": "order parameter, mean of |m|",
    "m2": "mean of m²",
    "m4": "mean of m⁴",
    "specific_heat": "specific heat per site, var(H) / N",
    "susceptibility": "susceptibility, N (⟨m²⟩ - ⟨|m|⟩²)",
    "binder": "Binder cumulant, 1 - ⟨m⁴⟩ / 3⟨m²⟩²",
    "energy per site": "energy per site",
}
DIGITS = 10


def page(study: Study, title: str = "") -> str:
    """One self-contained HTML file.

    Args:
      study: the report.
      title: what the model is called; the Hamiltonian itself by default.

    Raises:
      MissingDependencyError: matplotlib is not installed.

    >>> from physdl import lattices, models, report
    >>> h = models.ising(lattices.square(3, 3), 0.3)
    >>> text = page(report.study(h, budget=1.0, methods=("enumeration",)), "nine spins")
    >>> "<h1>nine spins</h1>" in text, "http" in text
    (True, False)
    """
    return _pages.page(
        title or repr(study.hamiltonian),
        "\n".join(_body(study)),
        footer=f"{study.seconds:.0f} s. Energies in k_B T, log Z in nats.",
        style=STYLE,
    )


def _body(study: Study) -> Iterator[str]:
    if not study.complete:
        yield '<p class="bad"><b>Interrupted: the report is not complete.</b></p>'
    yield _cards(study)
    if study.identity is not None:
        yield from _identity(study)
    if study.rows:
        yield from _counted(study)
    if study.measured is not None or study.mean_energy is not None:
        yield from _observables(study)
    if study.flows:
        yield from _flows(study)
    if study.network is not None:
        yield from _networks(study)


def _cards(study: Study) -> str:
    found = study.agreement
    cards = []
    if found is not None:
        best, n = found.estimate, max(study.hamiltonian.n_sites, 1)
        error = float(best.stderr)
        known = "exact" if error == 0 else f"± {error:.2g}" if math.isfinite(error) else "no error"
        cards.append(("log Z", f"{_number(float(best.log_z))} ({known})"))
        cards.append(("free energy per site, -log Z / N", _number(-float(best.log_z) / n)))
        far = study.disagreements
        said = (
            f'<span class="bad">{len(far)} pairs disagree</span>'
            if far
            else f"{study.n_agreeing} methods with an error agree"
        )
        cards.append(("agreement", said))
    if study.identity is not None:
        names = study.identity.symmetries
        cards.append(("symmetries found", str(len(names))))
        smallest = study.identity.counts[-1][1] if study.identity.counts else "-"
        cards.append(("free numbers in the end", str(smallest)))
    shown = "".join(f'<div class="card"><span>{k}</span><b>{v}</b></div>' for k, v in cards)
    return f'<div class="cards">{shown}</div>' if cards else ""


def _identity(study: Study) -> Iterator[str]:
    seen = study.identity
    assert seen is not None
    yield "<h2>What it is</h2>"
    yield f'<p class="soft">{escape(repr(study.hamiltonian))}</p>'
    reach = "not determined" if seen.range is None else str(seen.range)
    rows = [
        ("sites", f"{seen.n_sites}, shape {seen.shape}"),
        ("states of a site", seen.space),
        ("degree of the polynomial", str(seen.degree)),
        ("range of a monomial along an axis", reach),
        ("coefficients as written", str(seen.n_parameters)),
        ("symmetries", "; ".join(seen.symmetries) or "none found"),
    ]
    rows += [
        (f"term {name}", f"{kind} of degree {degree}, {n} coefficients")
        for name, (kind, degree, n) in seen.terms.items()
    ]
    yield table(("", ""), rows)
    if seen.counts:
        yield "<h3>Numbers needed to write it down</h3>"
        yield "<p>What is known of a Hamiltonian cuts down its parameters.</p>"
        counts = [(known, f"{n:,}" if isinstance(n, int) else n) for known, n in seen.counts]
        yield table(("known", "free numbers"), counts, numeric=(1,))


def _counted(study: Study) -> Iterator[str]:
    yield "<h2>log Z</h2>"
    for a, b, pull in study.disagreements:
        yield (
            f'<p class="bad"><b>{escape(a)} and {escape(b)} are {abs(pull):.1f} standard errors '
            "apart.</b></p>"
        )
    exact = study.exact
    known = None if exact is None or exact.estimate is None else float(exact.estimate.log_z)
    drawn = {r.method: r.estimate for r in study.rows if r.estimate is not None and _claims(r)}
    if drawn:
        shown = ", ".join(f"{k} {_number(float(e.log_z))}" for k, e in drawn.items())
        yield _figure(
            lambda ax: estimates(drawn, exact=known, ax=ax),
            f"log Z by method: {shown}",
            "Bars are standard errors, brackets bounds, the line the exact value; hollow marks are "
            "not to be trusted. Methods that claim no error are in the table alone.",
            size=(6.4, 0.9 + 0.33 * len(drawn)),
        )
    rows = [_row(r, known) for r in study.rows if r.estimate is not None]
    head = ("method", "log Z", "error", "off exact", "bounds", "status", "s", "how")
    yield table(head, rows, numeric=(1, 2, 3, 4, 6), markup=(5,), kind="big")
    refused = [(r.method, r.note) for r in study.rows if r.estimate is None]
    if refused:
        yield "<h3>Not done</h3>"
        yield table(("method", "why"), refused)


def _claims(row: Row) -> bool:
    """Whether a number comes with an error; others would set the scale of the picture."""
    e = row.estimate
    return e is not None and math.isfinite(float(e.log_z)) and math.isfinite(float(e.stderr))


def _row(row: Row, exact: float | None) -> tuple[str, ...]:
    assert row.estimate is not None
    e = row.estimate
    value, error = float(e.log_z), float(e.stderr)
    lower, upper = float(e.lower), float(e.upper)
    bounds = "" if lower == upper == value else _interval(lower, upper)
    status = Status(int(e.status))
    kind = "good" if status is Status.OK else "bad"
    said = f'<span class="{kind}" title="{escape(status.message)}">{status.name}</span>'
    off = "" if exact is None or row.exact else f"{value - exact:+.2g}"
    error_shown = "exact" if error == 0 else f"{error:.2g}" if math.isfinite(error) else "no claim"
    return (
        row.method,
        _number(value),
        error_shown,
        off,
        bounds,
        said,
        f"{row.seconds:.1f}",
        row.note,
    )


def _interval(lower: float, upper: float) -> str:
    if not (math.isfinite(lower) or math.isfinite(upper)):
        return ""
    return f"[{lower:.6g}, {upper:.6g}]"


def _observables(study: Study) -> Iterator[str]:
    yield "<h2>Observables</h2>"
    n = max(study.hamiltonian.n_sites, 1)
    rows: list[tuple[str, str, str]] = []
    if study.mean_energy is not None and study.specific_heat is not None:
        rows.append(("energy per site, from log Z", _number(study.mean_energy / n), "exact"))
        rows.append(
            ("specific heat per site, from log Z", _number(study.specific_heat / n), "exact")
        )
    if isinstance(study.measured, Measured):
        seen = study.measured
        rows += [(NAMES[k], f"{v:.6g}", f"± {e:.2g}") for k, v, e in seen.rows()]
        status = seen.run.status
        yield (
            f"<p>{escape(seen.kernel)}, {seen.run.n_sweeps} sweeps of each chain: "
            f"{escape(status.message)}</p>"
        )
        yield '<div class="side">'
        yield table(("", "value", "error"), rows, numeric=(1, 2))
        yield _figure(
            lambda ax: configuration(study.hamiltonian, seen.state, ax=ax),
            "one configuration drawn by the chain",
            "One configuration of the chain.",
            size=(4.0, 3.6),
        )
        yield "</div>"
        return
    if rows:
        yield table(("", "value", "error"), rows, numeric=(1, 2))
    if study.measured is not None:
        yield f'<p class="soft">No chain: {escape(study.measured)}</p>'


def _flows(study: Study) -> Iterator[str]:
    yield "<h2>Renormalization</h2>"
    head = ("map", "critical at", "fixed point", "exponents y", "remark")
    rows = []
    for name, found in study.flows.items():
        scale = found.get("critical_scale")
        kinds = zip(found.get("y", ()), found.get("kinds", ()), strict=True)
        shown = ", ".join(f"{y:.5g} ({kind})" for y, kind in list(kinds)[:4])
        point = ", ".join(f"{k:.5g}" for k in found.get("fixed_point", ())[:4])
        at = "" if scale is None else f"{scale:.6g} times these couplings"
        rows.append((name, at, point, shown, found.get("message", "")))
    yield table(head, rows)
    yield '<div class="side">'
    for name, found in study.flows.items():
        if "flow" in found:
            yield _flow_of(name, found)
    yield "</div>"


def _flow_of(name: str, found: dict[str, Any]) -> str:
    rows = np.asarray(found["flow"])
    return _figure(
        lambda ax: flow(rows, found["couplings"], ax=ax),
        f"flow of the couplings under {name}, from {rows[0].tolist()} to {rows[-1].tolist()}",
        f"{name}: couplings against the step.",
        size=(4.6, 3.2),
    )


def _networks(study: Study) -> Iterator[str]:
    yield "<h2>Networks that stand for it</h2>"
    made = study.network
    assert made is not None
    if made.report is None:
        yield f'<p class="soft">The energy was not compiled: {escape(made.note)}</p>'
    else:
        cost = made.report
        rows = [
            ("neurons", str(cost.neurons)),
            ("synapses", str(cost.synapses)),
            ("depth", str(cost.depth)),
            ("largest error, k_B T", f"{cost.measured_error:.1e}"),
            ("domain", made.note),
        ]
        yield "<h3>The energy, compiled</h3>"
        yield table(("", ""), rows, numeric=(1,))
    trained = next((r for r in study.rows if r.method == "variational"), None)
    if trained is None:
        return
    yield "<h3>The distribution, trained</h3>"
    if trained.estimate is None:
        yield f'<p class="soft">{escape(trained.note)}</p>'
        return
    e = trained.estimate
    rows = [
        ("what", trained.note),
        ("log Z by importance sampling", f"{float(e.log_z):.8g} ± {float(e.stderr):.2g}"),
        ("variational bound of log Z, E[log w]", f"{float(e.info['bound']):.8g}"),
    ]
    exact = study.exact
    if exact is not None and exact.estimate is not None:
        gap = float(exact.estimate.log_z) - float(e.info["bound"])
        rows.append(("gap of the bound to the exact value, nats", f"{gap:.3g}"))
    yield table(("", ""), rows, numeric=(1,))


def _figure(draw: Draw, instead: str, caption: str, *, size: tuple[float, float]) -> str:
    light, dark = (_picture(draw, size, dark=scheme) for scheme in (False, True))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(instead)}"></picture>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _picture(draw: Draw, size: tuple[float, float], *, dark: bool) -> str:
    out = io.BytesIO()
    with style(dark=dark):
        ax = axes(figsize=size)
        draw(ax)
        ax.figure.canvas.print_figure(out, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode()


def _number(value: float) -> str:
    return f"{value:.{DIGITS}g}"
