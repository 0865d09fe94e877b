"""What the commands print, and the spinner while they work."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from physdl.errors import SettingError

__all__ = ["as_json", "memory", "progress", "set_precision"]

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
PATIENCE = 2.0


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show a spinner on standard error after two seconds; nothing where it is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    status = console.status(text)
    timer = threading.Timer(PATIENCE, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


def as_json(values: dict[str, Any]) -> str:
    """One JSON object; infinities are written as Infinity and -Infinity."""
    return json.dumps(values, default=float)


def set_precision(precision: str) -> None:
    """Choose float64 or float32 for everything that follows in this process."""
    import jax

    jax.config.update("jax_enable_x64", precision == "float64")  # type: ignore[no-untyped-call]


def memory(text: str) -> int:
    """Bytes from a size such as 500MB, 4GiB or 1000000."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text.lower())
    if match is None or float(match[1]) == 0:
        raise SettingError(
            f"a memory limit is a positive size such as 500MB or 4GiB, got {text!r}."
        )
    return int(float(match[1]) * UNITS[match[2] or ""])
