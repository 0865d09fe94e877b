"""Pictures of the commands: axes to draw on, and the file they are written to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from physdl import plotting
from physdl.errors import FormatError

__all__ = ["figure"]


@contextmanager
def figure(path: Path) -> Iterator[Any]:
    """Axes of a picture that is saved when the block ends."""
    with plotting.style():
        axes: Any = plotting.new_axes(figsize=(6.0, 4.5))
        yield axes
        try:
            axes.figure.savefig(path, dpi=130)
        except (OSError, ValueError) as error:
            raise FormatError(f"{path} cannot be written: {error}.") from error
