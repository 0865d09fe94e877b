"""Partition functions as result files of the UAI inference competitions.

A ``.PR`` file holds the word ``PR`` and log10 Z. physdl works in nats, so the functions convert:
log Z = ln(10) log10 Z.
"""

import math

from physdl.errors import SettingError
from physdl.files._storage import PathLike, write_bytes
from physdl.files._tokens import read_tokens, shown

__all__ = ["read_pr", "write_pr"]


def read_pr(path: PathLike) -> float:
    """log Z in nats from a ``.PR`` file, which holds ``PR`` and log10 Z.

    The older form with the number of samples, 1, between the two is read too.

    Raises:
      FormatError: the file is not in this format.
    """
    tokens = read_tokens(path)
    if tokens.items[0] != b"PR":
        raise tokens.error(0, f"a result file begins with PR, found {shown(tokens.items[0])}")
    if len(tokens) == 1:
        raise tokens.truncated(1, "log10 Z")
    at = 2 if len(tokens) == 3 and tokens.items[1] == b"1" else 1
    if len(tokens) > at + 1:
        raise tokens.error(at + 1, "one value of log10 Z was expected: remove what follows it")
    value = float(tokens.floats(at, "log10 Z")[0])
    if math.isnan(value) or value == math.inf:
        found = shown(tokens.items[at])
        raise tokens.error(at, f"log10 Z is a finite number, or -inf for Z = 0, found {found}")
    return value * math.log(10)


def write_pr(path: PathLike, log_z: float) -> None:
    """Write log Z, given in nats, as a ``.PR`` file: ``PR`` and log10 Z.

    Raises:
      SettingError: log Z is NaN or ``+inf``.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "model.uai.PR"
    >>> write_pr(file, math.log(1000))
    >>> round(read_pr(file), 12) == round(math.log(1000), 12)
    True
    """
    value = float(log_z)
    if math.isnan(value) or value == math.inf:
        raise SettingError(f"log Z is a finite number, or -inf for Z = 0, got {log_z!r}.")
    write_bytes(path, f"PR\n{value / math.log(10)!r}\n".encode("ascii"))
