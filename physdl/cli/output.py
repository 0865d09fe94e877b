"""What the commands print, and the spinner while they work."""

import json
import math
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from physdl.errors import SettingError

__all__ = ["as_json", "memory", "progress", "set_precision"]

UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "t": 10**12,
    "ti": 2**40,
}
PATIENCE = 2.0


@contextmanager
def progress(stage: str) -> Iterator[Callable[[str], None]]:
    """Show the stage and the time since the start on standard error, after two seconds.

    Yields a function that names the next stage. Where standard error is no terminal nothing is
    ever written.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    shown = Progress(*columns, console=console, transient=True)
    task = shown.add_task(stage, total=None)
    timer = threading.Timer(PATIENCE, shown.start)
    timer.start()
    try:
        yield lambda stage: shown.update(task, description=stage)
    finally:
        timer.cancel()
        timer.join()
        shown.stop()


def as_json(values: dict[str, Any], indent: int | None = None) -> str:
    """One JSON object (RFC 8259), where no number is infinite: "inf", "-inf" and "nan" are strings.

    >>> as_json({"log_z": -math.inf})
    '{"log_z": "-inf"}'
    """
    return json.dumps(_named_infinities(values), allow_nan=False, indent=indent)


def _named_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _named_infinities(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_named_infinities(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def set_precision(precision: str) -> None:
    """Choose float64 or float32 for everything that follows in this process."""
    import jax

    jax.config.update("jax_enable_x64", precision == "float64")  # type: ignore[no-untyped-call]


def memory(text: str) -> int:
    """Bytes from a size such as 500MB, 4GiB or 1000000."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", text.lower())
    size = float(match[1]) * UNITS[match[2] or ""] if match else 0.0
    if not 1 <= size < math.inf:
        raise SettingError(
            f"a memory limit is a positive size such as 500MB or 4GiB, got {text!r}."
        )
    return int(size)
