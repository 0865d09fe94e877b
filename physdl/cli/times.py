"""Times as people write them: 90, 60s, 2min, 1.5h."""

import re

import click

__all__ = ["duration"]

SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds.

    Raises:
      BadParameter: it is no time above zero.

    >>> [duration(text) for text in ("90", "60s", "1.5 h")]
    [90.0, 60.0, 5400.0]
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", text.lower())
    unit = SECONDS.get(match[2]) if match else None
    if match is None or unit is None or not float(match[1]) > 0:
        raise click.BadParameter(f"{text!r} is no time above zero such as 90, 60s, 2min or 1h.")
    return float(match[1]) * unit
