"""What the constructors check: whole sizes, one flag per axis, a number of sites that fits."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from physdl.errors import LatticeError

MOST = 10**9


def whole(value: Any, least: int, what: str) -> int:
    """``value`` as an int, refused unless it is an integer >= ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool | np.bool_) or number < least:
        raise LatticeError(f"{what} must be an integer >= {least}, got {value!r}.")
    return number


def probability(value: Any, what: str) -> float:
    """``value`` as a float, refused unless it is a number in [0, 1]."""
    if not isinstance(value, float | int | np.floating) or not 0 <= value <= 1:
        raise LatticeError(f"{what} must be a probability between 0 and 1, got {value!r}.")
    return float(value)


def flags(periodic: bool | Sequence[bool], n_axes: int) -> tuple[bool, ...]:
    """One flag per axis from one flag for all or one each."""
    given = (periodic,) * n_axes if isinstance(periodic, bool | np.bool_) else periodic
    if (
        not isinstance(given, tuple | list)
        or len(given) != n_axes
        or not all(isinstance(flag, bool | np.bool_) for flag in given)
    ):
        raise LatticeError(
            f"periodic must be True, False or a tuple of {n_axes} of them, got {periodic!r}."
        )
    return tuple(bool(flag) for flag in given)


def refuse_above(number: int, what: str) -> None:
    """Refuse a lattice that would have more than ``MOST`` of something."""
    if number > MOST:
        raise LatticeError(
            f"a lattice of {number:.3g} {what} was asked for and the limit is {MOST:.0e}: "
            f"choose smaller sizes."
        )
