"""The table of outcomes as Markdown and as a page."""

from collections.abc import Sequence
from html import escape

from physdl._pages import page, table
from physdl.reproduce._outcomes import Outcome

__all__ = ["HEAD", "as_html", "as_markdown", "cells", "summary"]

HEAD = ("result", "published", "computed", "tolerance", "s", "")


def cells(outcome: Outcome) -> tuple[str, ...]:
    """Name, published, computed, tolerance, seconds and verdict of one result."""
    digits = f"{outcome.computed:.10g}"
    error = f" ± {outcome.stderr:.1g}" if outcome.stderr > 0 else ""
    return (
        outcome.name,
        f"{outcome.published:.10g}",
        outcome.error or digits + error,
        f"{outcome.tolerance:.1g}",
        f"{outcome.seconds:.1f}",
        "ok" if outcome.ok else "MISS",
    )


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many agree, in one line."""
    missed = [o.name for o in outcomes if not o.ok]
    total = sum(o.seconds for o in outcomes)
    said = f"{len(outcomes) - len(missed)} of {len(outcomes)} published results, {total:.0f} s"
    return f"{said}; missed: {', '.join(missed)}" if missed else said


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A table in Markdown, the citations below it."""
    rows = [
        "| " + " | ".join(text.replace("|", "\\|") for text in cells(o)) + " |" for o in outcomes
    ]
    head = "| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD)
    cited = [f"- **{o.name}**: {o.title}. {o.citation}." for o in outcomes]
    return "\n".join([head, *rows, "", summary(outcomes) + ".", "", *cited, ""])


def as_html(outcomes: Sequence[Outcome]) -> str:
    """One self-contained page."""
    rows = []
    for o in outcomes:
        name, *numbers, verdict = cells(o)
        told = f"{escape(name)}<small>{escape(f'{o.title}. {o.citation}.')}</small>"
        rows.append((told, *numbers, f'<span class="{"good" if o.ok else "bad"}">{verdict}</span>'))
    shown = table(HEAD, rows, numeric=(1, 2, 3, 4), markup=(0, 5), kind="big")
    return page(
        "Published results, computed again", f"<p>{escape(summary(outcomes))}.</p>\n{shown}"
    )
