"""Choosing the format from the name of the file."""

from pathlib import Path

from jax.typing import ArrayLike

from physdl.errors import FormatError, SettingError
from physdl.files._storage import PathLike
from physdl.files.edge_list import read_edge_list, write_edge_list
from physdl.files.native import read_npz, write_npz
from physdl.files.uai import read_uai, write_uai
from physdl.hamiltonian import Hamiltonian

__all__ = ["load", "save"]

EDGE_LISTS = (".rud", ".rudy", ".mc", ".sg", ".txt", ".edges")


def load(
    path: PathLike, *, beta: ArrayLike | None = None, problem: str | None = None
) -> Hamiltonian:
    """Read a Hamiltonian; the suffix says how.

    ``.uai`` is a graphical model, ``.npz`` the native format, and ``.rud``, ``.rudy``, ``.mc``,
    ``.sg``, ``.txt`` or ``.edges`` a weighted edge list, for which ``beta`` and ``problem`` may be
    given as in ``read_edge_list`` (the other formats store weights, not energies at a temperature).

    Raises:
      FormatError: another suffix, or a file that is not what its suffix says.
      SettingError: ``beta`` or ``problem`` for a format that has none.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "pair.rud"
    >>> _ = file.write_text("2 1\\n1 2 -1\\n")
    >>> float(load(file, beta=2.0)([1, 1]))
    2.0
    """
    suffix = _suffix(path)
    given = {k: v for k, v in (("beta", beta), ("problem", problem)) if v is not None}
    if suffix in EDGE_LISTS:
        return read_edge_list(
            path, 1.0 if beta is None else beta, "ising" if problem is None else problem
        )
    if given:
        raise SettingError(
            f"{' and '.join(given)} can be given for edge lists only, got {suffix}: leave it out, "
            f"or multiply the Hamiltonian."
        )
    return read_uai(path) if suffix == ".uai" else read_npz(path)


def save(path: PathLike, h: Hamiltonian) -> None:
    """Write a Hamiltonian; the suffix says how (see ``load``), edge lists with beta = 1.

    Raises:
      FormatError: another suffix, or the file cannot be written.
      PhysdlError: the format cannot hold this Hamiltonian (the named subclass says why).

    >>> import pathlib, tempfile
    >>> from physdl import lattices, models
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "model.npz"
    >>> save(file, models.ising(lattices.chain(4), 1.0))
    >>> load(file).shape
    (4,)
    """
    suffix = _suffix(path)
    if suffix in EDGE_LISTS:
        write_edge_list(path, h)
    elif suffix == ".uai":
        write_uai(path, h)
    else:
        write_npz(path, h)


def _suffix(path: PathLike) -> str:
    suffix = Path(path).suffix.lower()
    known = (".uai", ".npz", *EDGE_LISTS)
    if suffix not in known:
        raise FormatError(
            f"{Path(path)} has the suffix {suffix!r}: rename it to one of {', '.join(known)}, or "
            f"call the reader or writer of its format."
        )
    return suffix
