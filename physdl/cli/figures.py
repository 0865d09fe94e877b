"""Pictures of the commands: axes to draw on, and the file they are written to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from physdl.errors import FormatError, MissingDependencyError

__all__ = ["figure"]


@contextmanager
def figure(path: Path) -> Iterator[Any]:
    """Axes of a picture that is saved when the block ends."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "--plot") from error
    drawn, axes = plt.subplots(figsize=(6, 4.5))
    try:
        yield axes
        drawn.tight_layout()
        drawn.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be written: {error}.") from error
    finally:
        plt.close(drawn)
