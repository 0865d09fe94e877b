"""A bar for what takes long: on standard error, from the host, between compiled calls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["progress_bar"]

T = TypeVar("T")


@contextmanager
def progress_bar(
    total: int | None, begin: str, told: Callable[[T], tuple[int, str]]
) -> Iterator[Callable[[T], None]]:
    """Yields a function that shows where something stands: how much is done, and in words.

    Silent for a total of ``None``, and then nothing is asked of ``told``.
    """
    if total is None:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(begin, total=total)

        def show(standing: T) -> None:
            done, text = told(standing)
            bar.update(task, completed=done, description=text)

        yield show
