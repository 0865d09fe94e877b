"""One self-contained HTML page: no scripts, nothing fetched, light or dark as the browser is.

``page`` is the frame and its look, ``table`` a table that scrolls where the window is narrow.
"""

from collections.abc import Sequence
from html import escape

from physdl.version import __version__

__all__ = ["page", "table"]

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1d2329; --soft: #59636e;
  --line: #d7dde3; --card: #f5f7f9; --good: #17693a; --bad: #a32020; }
@media (prefers-color-scheme: dark) { :root { --ground: #121212; --ink: #e6e9ec; --soft: #a3adb8;
  --line: #343b43; --card: #1c1f23; --good: #6fcf97; --bad: #ff9c94; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 62rem; background: var(--ground);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: .4rem 0; max-width: 46rem; }
small { color: var(--soft); display: block; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; } .big table { min-width: 46rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
"""


def page(title: str, body: str, *, footer: str = "", style: str = "") -> str:
    """A page with a heading, a body of HTML, and a line below it.

    Args:
      title: plain text.
      body: HTML.
      footer: plain text, after the version of the package.
      style: CSS beside that of all pages.

    >>> "<h1>a &lt; b</h1>" in page("a < b", "<p>text</p>")
    True
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}, by physdl</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n"
        f"<footer>physdl {__version__}. {escape(footer)}</footer>\n</body>\n</html>\n"
    )


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: Sequence[int] = (),
    markup: Sequence[int] = (),
    kind: str = "",
) -> str:
    """A table of plain text.

    Args:
      head: names of the columns; all empty for none.
      rows: the cells.
      numeric: columns that are aligned digit by digit.
      markup: columns whose cells are HTML already.
      kind: ``"big"`` keeps a wide table wide and lets it scroll.

    >>> table(("x",), [("1 < 2",)]).count("1 &lt; 2")
    1
    """

    def cell(column: int, text: str) -> str:
        figures = ' class="n"' if column in numeric else ""
        return f"<td{figures}>{text if column in markup else escape(text)}</td>"

    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    lines = "".join(
        "<tr>" + "".join(cell(i, text) for i, text in enumerate(row)) + "</tr>\n" for row in rows
    )
    shown = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="wide {kind}"><table>{shown}<tbody>{lines}</tbody></table></div>'
