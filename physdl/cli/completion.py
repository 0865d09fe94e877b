"""Names that the shell completes: models, lattices, methods, kernels and maps.

The tables that know the names are imported when a name is asked for, and not for the help.
"""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

__all__ = ["kernels", "lattices", "maps", "methods", "models", "published", "script"]

VARIABLE = "_PHYSDL_COMPLETE"

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def script(command: click.Command, shell: str) -> str:
    """What a shell runs at its start."""
    made = get_completion_class(shell)
    assert made is not None, shell
    return made(command, {}, "physdl", VARIABLE).source()


def _completes(names: Callable[[], Iterable[str]], *, files: bool = False) -> Complete:
    """Names that begin as the word does; where files may stand too and none does, files."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return found or ([CompletionItem(incomplete, type="file")] if files else [])

    return complete


def _models() -> Iterable[str]:
    from physdl.cli.named import EXAMPLES

    return EXAMPLES


def _lattices() -> Iterable[str]:
    from physdl.cli.named import lattice_names

    return lattice_names()


def _methods() -> Iterable[str]:
    from physdl.report.methods import COMPARE, METHODS

    return [*METHODS, COMPARE]


def _kernels() -> Iterable[str]:
    from physdl.cli.kernels import KERNELS

    return KERNELS


def _maps() -> Iterable[str]:
    from physdl.cli.schemes import NAMES
    from physdl.report.maps import MAPS

    return [*MAPS, *NAMES]


def _published() -> Iterable[str]:
    from physdl.reproduce import names

    return names()


models = _completes(_models, files=True)
lattices = _completes(_lattices)
methods = _completes(_methods)
kernels = _completes(_kernels)
maps = _completes(_maps)
published = _completes(_published)
