"""The papers behind the methods, and which of them a session has used.

A method names its papers once, where it is defined: ``@cites("neal2001")`` sets ``__cites__`` and
notes the method when it is called. ``cite()`` prints BibTeX for what was noted, ``cite(AIS())`` for
the methods given; the package itself comes first, always. The entries are ``references.bib``.

The record of uses is the one state of a session. It is written on the host (under ``jit`` while
tracing), read by ``cite`` alone, and so can change no number.
"""

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from physdl.errors import UnknownNameError

__all__ = ["bibtex", "cite", "cites", "entries"]

T = TypeVar("T", bound=Callable[..., Any])

_PACKAGE = "physdl"


class Cited(Protocol):
    """What stands on papers."""

    __cites__: tuple[str, ...]


_used: dict[str, None] = {}


def cites(*keys: str, when: str = "__call__") -> Callable[[T], T]:
    """Say which papers a function or class stands on, and note its use.

    Args:
      *keys: entries of ``references.bib``.
      when: the method of a class whose call is its use; where it has none of that name, building
        an instance is.

    >>> from physdl import estimators
    >>> estimators.AIS.__cites__
    ('neal2001',)
    """

    def noting(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            _used.update(dict.fromkeys(keys))
            return function(*args, **kwargs)

        return noted

    def decorate(method: T) -> T:
        if not isinstance(method, type):
            wrapped: T = noting(method)
            cast(Cited, wrapped).__cites__ = keys
            return wrapped
        name = when if when in vars(method) else "__init__"
        setattr(method, name, noting(getattr(method, name)))
        cast(Cited, method).__cites__ = keys
        return method

    return decorate


@functools.cache
def entries() -> dict[str, str]:
    """All entries of the bibliography, by key, as they stand in ``references.bib``.

    >>> entries()["neal2001"].splitlines()[0]
    '@article{neal2001,'
    """
    text = Path(__file__).with_name("references.bib").read_text(encoding="utf-8")
    parts = re.split(r"^(?=@)", text, flags=re.MULTILINE)[1:]
    return {part[part.index("{") + 1 : part.index(",")]: part.strip() for part in parts}


def bibtex(*methods: object) -> str:
    """BibTeX of the papers behind methods, the package first.

    Args:
      *methods: instances, classes, functions, or names such as ``"estimators.AIS"`` or ``"AIS"``;
        without any, the methods used in this session. A method without a paper of its own adds
        nothing.

    Raises:
      UnknownNameError: no public method has a name given.

    >>> print(bibtex("AIS"))
    @software{physdl,
    ...
    @article{neal2001,
      author = {Neal, Radford M.},
      title = {{Annealed Importance Sampling}},
    ...
    """
    found = [_keys(m) for m in methods] if methods else [tuple(_used)]
    keys = dict.fromkeys([_PACKAGE, *(key for each in found for key in each)])
    return "\n\n".join(entries()[key] for key in keys)


def cite(*methods: object) -> None:
    """Print ``bibtex(*methods)``: without arguments, for all methods used in this session.

    Raises:
      UnknownNameError: no public method has a name given.

    >>> from physdl import rg
    >>> cite(rg.mcrg)
    @software{physdl,
    ...
    @article{swendsen1979,
    ...
    """
    print(bibtex(*methods))


def _keys(method: object) -> tuple[str, ...]:
    if isinstance(method, str):
        return _keys(_named(method))
    keys: tuple[str, ...] = getattr(method, "__cites__", ())
    return keys


def _named(name: str) -> object:
    """The public object of that name, in whichever module of the package has it."""
    *path, last = name.removeprefix("physdl.").split(".")
    root = importlib.import_module(_PACKAGE)
    public = [m.name for m in pkgutil.iter_modules(root.__path__) if not m.name.startswith("_")]
    known: set[str] = set()
    for home in [".".join(path)] if path else [m for m in public if m != "cli"]:
        if home not in public:
            raise UnknownNameError("module", home, public)
        members = vars(importlib.import_module(f"{_PACKAGE}.{home}"))
        if last in members:
            return members[last]
        known.update(n for n, member in members.items() if hasattr(member, "__cites__"))
    raise UnknownNameError("method", name, known)
