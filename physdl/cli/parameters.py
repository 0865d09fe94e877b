"""The values of ``-p NAME=VALUE``: parsed, then fitted to the parameters of a function.

What a parameter may be is read off the annotation of the function that takes it: an integer, a
number, a word, a space, powers with their coefficients, or else an array of real numbers. Integers
are bounded, because they size tables: a typing error must not take the memory of the machine.
"""

import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physdl import spaces
from physdl.errors import FormatError, SettingError, UnknownNameError
from physdl.spaces import Finite

__all__ = ["fitted", "parse"]

MOST = {"n_sites": 2048, "q": 128, "n": 128, "s": 64, "seed": 2**32 - 1}
MOST_POWER = 64
SPACES = ("BINARY", "LINE", "SPIN")
NOT_GIVEN = ("path", "lattice")


def parse(words: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE words; a value is a number, a list, an object, a word, or @file.npy."""
    out: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name or not text:
            raise SettingError(f"a parameter is written NAME=VALUE, got {word!r}.")
        if name in out:
            raise SettingError(f"parameter {name!r} is given twice: give it once.")
        out[name] = _file(name, text[1:]) if text.startswith("@") else _value(text)
    return out


def _value(text: str) -> Any:
    for read in (json.loads, float):
        try:
            return read(text)
        except (ValueError, RecursionError):
            pass
    return text


def _file(name: str, path: str) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(
            f"parameter {name!r}: {path!r} is no readable .npy file of numbers: check the path, "
            f"and write it with numpy.save."
        ) from error
    if not isinstance(array, np.ndarray):
        raise FormatError(f"parameter {name!r}: {path!r} is an archive: save one array as .npy.")
    return array


def fitted(function: Callable[..., Any], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values as ``function`` takes them.

    Raises:
      UnknownNameError: the function has no such parameter.
      SettingError: a value is of another kind than the parameter, or out of range.
    """
    known = {n: p for n, p in inspect.signature(function).parameters.items() if n not in NOT_GIVEN}
    for name in values:
        if name not in known:
            raise UnknownNameError(f"parameter of {what}", name, known)
    return {name: _fit(name, value, known[name].annotation) for name, value in values.items()}


def _fit(name: str, value: Any, annotation: Any) -> Any:
    kinds = typing.get_args(annotation) or (annotation,)
    if annotation is int or annotation is float:
        return _number(name, value, whole=annotation is int)
    if annotation is bool:
        return _flag(name, value)
    if str in kinds:
        return _word(name, value)
    if Finite in kinds:
        if value not in SPACES:
            raise UnknownNameError(f"space for parameter {name!r}:", str(value), SPACES)
        return getattr(spaces, value)
    if any(typing.get_origin(kind) is Mapping for kind in kinds):
        return _powers(name, value)
    return _array(name, value)


def _number(name: str, value: Any, *, whole: bool) -> float:
    kind, most = ("an integer" if whole else "a number"), MOST.get(name, np.inf)
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    number = float(value) if plain and abs(value) <= most else np.nan
    if not np.isfinite(number) or (whole and number != int(number)):
        limit = f" of at most {most}" if np.isfinite(most) else ""
        raise SettingError(f"parameter {name!r} is {kind}{limit}, got {_shown(value)}.")
    if name == "seed" and number < 0:
        raise SettingError(f"parameter 'seed' is an integer >= 0, got {_shown(value)}.")
    return int(number) if whole else number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SettingError(f"parameter {name!r} is true or false, got {_shown(value)}.")
    return value


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingError(f"parameter {name!r} is a word, got {_shown(value)}.")
    return value


def _powers(name: str, value: Any) -> dict[int, float | NDArray[np.float64]]:
    refusal = SettingError(
        f"parameter {name!r} is an object of powers up to {MOST_POWER} with their coefficients, "
        f'such as {{"6": 0.1}}, got {_shown(value)}.'
    )
    if not isinstance(value, dict):
        raise refusal
    if not all(power.isascii() and power.isdigit() and len(power) < 4 for power in value):
        raise refusal
    if any(int(power) > MOST_POWER for power in value):
        raise refusal
    return {int(power): _array(name, c) for power, c in value.items()}


def _array(name: str, value: Any) -> float | NDArray[np.float64]:
    """A Python number stays one: 0 means that a term is absent."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiuO" or _logical(value):
            raise TypeError
        out = array.astype(float)
    except (ValueError, TypeError, OverflowError):
        raise SettingError(
            f"parameter {name!r} is a real number or a rectangular list of them, got "
            f"{_shown(value)}."
        ) from None
    if not np.isfinite(out).all():
        raise SettingError(f"parameter {name!r} must be finite, got {_shown(value)}.")
    return float(out) if out.ndim == 0 else out


def _logical(value: Any) -> bool:
    return any(map(_logical, value)) if isinstance(value, list) else isinstance(value, bool)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
