"""Bytes to and from the disk: a read that explains itself, a write that is whole or not at all."""

import os
import secrets
from pathlib import Path
from typing import TypeAlias

import numpy as np

from physdl.errors import FormatError, SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced

__all__ = ["PathLike", "concrete", "finite_number", "read_bytes", "write_bytes"]

PathLike: TypeAlias = str | os.PathLike[str]


def read_bytes(path: PathLike) -> bytes:
    """The content of a file.

    Raises:
      FormatError: there is no such file, it is a folder or a device, is empty, or unreadable.
    """
    file = Path(path)
    if file.is_dir() or file.is_char_device() or file.is_block_device():
        kind = "folder" if file.is_dir() else "device"
        raise FormatError(f"{file} is a {kind}: give the path of a file.")
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise FormatError(f"{file} does not exist: check the path.") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{str(file)!r} cannot be read ({error}): check the path.") from error
    if not data.strip():
        raise FormatError(f"{file} is empty: check that it was written completely.")
    return data


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write a file beside its place and move it there, so that no reader meets half a file.

    Raises:
      FormatError: the file cannot be written there; what stood there before is untouched.
    """
    file = Path(path)
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            partial.write_bytes(data)
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FormatError(
            f"{file} cannot be written ({error.strerror}): check that the folder exists."
        ) from error


def concrete(h: Hamiltonian, what: str) -> Hamiltonian:
    """The Hamiltonian, if its coefficients have values; else ``SettingError``."""
    if is_traced(h):
        raise SettingError(
            f"{what} needs coefficients that have values, got tracers: call it outside jit, grad "
            f"and vmap."
        )
    return h


def finite_number(value: float, what: str) -> float:
    """``value`` as a finite nonzero float; else ``SettingError``."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or number == 0:
        raise SettingError(f"{what} is a finite number other than 0, got {value!r}.")
    return number
