"""The table of outcomes as Markdown and as a page."""

from collections.abc import Sequence
from html import escape

from physdl.reproduce._outcomes import Outcome
from physdl.version import __version__

__all__ = ["HEAD", "as_html", "as_markdown", "cells", "summary"]

HEAD = ("result", "published", "computed", "tolerance", "s", "")

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1d2329; --soft: #59636e;
  --line: #d7dde3; --good: #17693a; --bad: #a32020; }
@media (prefers-color-scheme: dark) { :root { --ground: #121212; --ink: #e6e9ec; --soft: #a3adb8;
  --line: #343b43; --good: #6fcf97; --bad: #ff9c94; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 66rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; min-width: 44rem; }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; }
small { color: var(--soft); display: block; }
.ok { color: var(--good); } .miss { color: var(--bad); }
"""


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
    lines = []
    for o in outcomes:
        name, *rest, verdict = map(escape, cells(o))
        told = f"<td>{name}<small>{escape(o.title)}. {escape(o.citation)}.</small></td>"
        numbers = "".join(f"<td>{text}</td>" for text in rest)
        lines.append(
            f'<tr>{told}{numbers}<td class="{"ok" if o.ok else "miss"}">{verdict}</td></tr>'
        )
    head = "".join(f'<th scope="col">{text}</th>' for text in HEAD)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Published results by physdl</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>Published results, computed again</h1>\n<p>{escape(summary(outcomes))}.</p>\n"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + f"\n</tbody></table></div>\n</main>\n<footer><small>physdl {__version__}</small></footer>"
        "\n</body>\n</html>\n"
    )
