"""The native format: any Hamiltonian in one ``.npz`` file, bit for bit, and never a pickle.

The file is a numpy archive (uncompressed zip). Its entry ``physdl`` is a string, a JSON object:

    {"format": 1, "shape": [4, 4], "space": {...}, "terms": [{"name": "bond", "kind": "Stencil"}]}

A space is ``{"kind": "Finite", "name": "SPIN", "points": [-1.0, 1.0]}`` (points of a vector space
are lists), ``{"kind": "Line"}``, ``{"kind": "Sphere", "n_components": 3}``, or
``{"kind": "Product", "spaces": [...], "of_site": [...]}`` with the
distinct spaces and the number of each site's. The arrays of term number i are these entries; what
is small stands in the JSON:

| kind | real array | int32 array | in the JSON |
|---|---|---|---|
| ``Sites`` | ``i.coefficient`` | ``i.table`` | |
| ``Stencil`` | ``i.coefficient`` | ``i.offsets`` | ``components``, list or null |
| ``Dense`` | ``i.coefficient`` | | ``blocks``, list or null |
| ``Potential`` | ``i.table`` | ``i.sites`` | |

Real arrays are float16, float32 or float64 and keep their type (where x64 is off, jax reads
float64 as float32). Any program that knows numpy archives can read the file; in Python the JSON is
``numpy.load(path)["physdl"].item()``.

Writing is deterministic. A file is written beside its place and moved there, so an interrupted
write leaves the old one. A file of a newer format is refused.
"""

import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from physdl.errors import FormatError, PhysdlError, SettingError
from physdl.files._archive import opened
from physdl.files._storage import PathLike, concrete, read_bytes, write_bytes
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.hamiltonian.factors import Term
from physdl.pytree import Table
from physdl.spaces import Finite, Line, Product, Space, Sphere, finite, sphere

__all__ = ["read_npz", "write_npz"]

FORMAT = 1
MOST_SITES = 2**31 - 1
MOST_FREE_SITES = 10**6

Json: TypeAlias = dict[str, Any]
Arrays: TypeAlias = dict[str, NDArray[Any]]
Read: TypeAlias = Callable[[str], NDArray[Any]]
T = TypeVar("T")


def write_npz(path: PathLike, h: Hamiltonian) -> None:
    """Write a Hamiltonian in the native format; ``read_npz`` gives an equal one.

    Raises:
      SettingError: the Hamiltonian is traced, or a coefficient is no float of 16, 32 or 64 bits.
      PhysdlError: a term does not fit the others, as in a batch (the named subclass says how).

    >>> import pathlib, tempfile
    >>> from physdl import lattices, models
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "ising.npz"
    >>> h = models.ising(lattices.square(4, 4), 0.44)
    >>> write_npz(file, h)
    >>> read_npz(file) == h
    True
    """
    write_archive(path, concrete(h, "write_npz"), {})


def write_archive(path: PathLike, h: Hamiltonian, more: Arrays) -> None:
    """A Hamiltonian with more arrays beside it, under names that are no term's."""
    header, arrays = _encoded(h)
    _decoded(header, arrays.__getitem__)
    buffer = io.BytesIO()
    entries = {"physdl": np.array(json.dumps(header)), **arrays, **more}
    np.savez(buffer, allow_pickle=False, **entries)
    write_bytes(path, buffer.getvalue())


def _encoded(h: Hamiltonian) -> tuple[Json, Arrays]:
    """The JSON object and the arrays of the file."""
    arrays: Arrays = {}
    terms = []
    for i, (name, term) in enumerate(h.terms.items()):
        entry: Json = {"name": name, "kind": type(term).__name__}
        match term:
            case Sites():
                arrays[f"{i}.coefficient"] = _real(name, term.coefficient)
                arrays[f"{i}.table"] = term.table.array
            case Stencil():
                arrays[f"{i}.coefficient"] = _real(name, term.coefficient)
                arrays[f"{i}.offsets"] = term.offsets.array
                rows = term.components
                entry["components"] = None if rows is None else rows.array.tolist()
            case Dense():
                arrays[f"{i}.coefficient"] = _real(name, term.coefficient)
                entry["blocks"] = term.blocks
            case Potential():
                arrays[f"{i}.table"] = _real(name, term.table)
                arrays[f"{i}.sites"] = term.sites.array
        terms.append(entry)
    header = {"format": FORMAT, "shape": h.shape, "space": _space_json(h.space), "terms": terms}
    return json.loads(json.dumps(header)), arrays


def _real(name: str, leaf: Any) -> NDArray[Any]:
    array = np.asarray(leaf)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise SettingError(
            f"write_npz stores float16, float32 and float64, but term {name!r} has the type "
            f"{array.dtype}: convert it."
        )
    return array.astype(array.dtype.newbyteorder("<"), order="C")


def _space_json(space: Space) -> Json:
    match space:
        case Finite():
            points = [p[0] for p in space.points] if space.scalar else space.points
            return {"kind": "Finite", "name": space.name, "points": points}
        case Line():
            return {"kind": "Line"}
        case Sphere():
            return {"kind": "Sphere", "n_components": space.n_components}
        case Product():
            number = {s: i for i, s in enumerate(dict.fromkeys(space.spaces))}
            return {
                "kind": "Product",
                "spaces": [_space_json(s) for s in number],
                "of_site": [number[s] for s in space.spaces],
            }


def read_npz(path: PathLike) -> Hamiltonian:
    """The Hamiltonian of a file in the native format.

    Raises:
      FormatError: the file is no such archive, is damaged, or was written by a newer physdl; the
        message names the entry.
    """
    return read_archive(path, ())[0]


def read_archive(path: PathLike, names: Sequence[str]) -> tuple[Hamiltonian, Arrays]:
    """The Hamiltonian of a file, and the named arrays beside it.

    Raises:
      FormatError: as ``read_npz``, or one of the arrays is missing.
    """
    data = read_bytes(path)
    try:
        archive = opened(data)
        text = archive.array("physdl")
        if text.shape != () or text.dtype.kind != "U":
            raise FormatError("the entry 'physdl' must be a string: write it with write_npz.")
        try:
            header = json.loads(text.item())
        except (ValueError, RecursionError) as error:
            raise FormatError(
                f"the entry 'physdl' is no JSON ({error}): fetch it again."
            ) from error
        h = _decoded(header, archive.array, most_free=MOST_FREE_SITES + len(data))
        return h, {name: archive.array(name) for name in names}
    except PhysdlError as error:
        raise FormatError(f"{Path(path)} is no readable physdl file: {error}") from error


def _decoded(header: Any, read: Read, most_free: int = MOST_SITES) -> Hamiltonian:
    """The Hamiltonian of a JSON object and the arrays that ``read`` gives."""
    if not isinstance(header, dict):
        raise FormatError("the entry 'physdl' must hold a JSON object: write it with write_npz.")
    version = _field(header, "format", int)
    if version != FORMAT:
        remedy = "update physdl" if version > FORMAT else "correct it"
        raise FormatError(f"it has format {version}, and this physdl reads {FORMAT}: {remedy}.")
    shape = _integers(header, "shape")
    n_sites = math.prod(shape)
    space = _space(_field(header, "space", dict))
    terms: dict[str, Term] = {}
    for i, entry in enumerate(_field(header, "terms", list)):
        if not isinstance(entry, dict):
            raise FormatError(f"term number {i} must be a JSON object, found {_short(entry)}.")
        name = _field(entry, "name", str)
        if name in terms:
            raise FormatError(f"two terms are named {name!r}: rename one.")
        terms[name] = _term(i, entry, read)
    tables = any(isinstance(term, Potential) for term in terms.values())
    if max((n_sites, *shape)) > (most_free if tables else MOST_SITES):
        raise FormatError(f"the shape {_short(shape)} has more sites than the file can describe.")
    return Hamiltonian(terms, space=space, shape=tuple(shape))


def _term(i: int, entry: Json, read: Read) -> Term:
    """Term number i: validated by its constructor, with the stored type of its numbers."""
    kind = _field(entry, "kind", str)
    term: Term
    match kind:
        case "Sites":
            leaf = _reals(f"{i}.coefficient", read)
            term = Sites(leaf, _table(f"{i}.table", read))
        case "Stencil":
            rows = entry.get("components")
            if rows is not None:
                rows = _nested(entry, "components")
            leaf = _reals(f"{i}.coefficient", read)
            term = Stencil(leaf, _table(f"{i}.offsets", read), rows)
        case "Dense":
            pair = None if entry.get("blocks") is None else _integers(entry, "blocks")
            if pair is not None and len(pair) != 2:
                raise FormatError(f"'blocks' must be two integers, found {_short(pair)}.")
            leaf = _reals(f"{i}.coefficient", read)
            term = Dense(leaf, None if pair is None else (pair[0], pair[1]))
        case "Potential":
            leaf = _reals(f"{i}.table", read)
            term = Potential(leaf, _table(f"{i}.sites", read))
        case _:
            raise FormatError(
                f"term number {i} has the kind {_short(kind)}: it is one of Sites, Stencil, Dense "
                f"and Potential."
            )
    restored: Term = jax.tree.unflatten(jax.tree.structure(term), [jnp.asarray(leaf)])
    return restored


def _space(entry: Json) -> Space:
    kind = _field(entry, "kind", str)
    match kind:
        case "Finite":
            return finite(_field(entry, "points", list), name=_field(entry, "name", str))
        case "Line":
            return Line()
        case "Sphere":
            return sphere(_field(entry, "n_components", int))
        case "Product":
            spaces = [_factor(s) for s in _field(entry, "spaces", list)]
            numbers = _integers(entry, "of_site")
            if numbers and max(numbers) >= len(spaces):
                raise FormatError(f"'of_site' names space {max(numbers)} of {len(spaces)}.")
            of_site = tuple(spaces[i] for i in numbers)
            if len({s.event_shape for s in of_site}) > 1:
                raise FormatError("a product has numbers on some sites and vectors on others.")
            return Product(of_site)
    raise FormatError(
        f"a space has the kind {_short(kind)}: it is one of Finite, Line, Sphere and Product."
    )


def _factor(entry: Any) -> Finite | Line:
    space = _space(entry) if isinstance(entry, dict) else None
    if not isinstance(space, Finite | Line):
        raise FormatError(f"a product is made of finite or scalar spaces, found {_short(entry)}.")
    return space


def _field(entry: Json, key: str, kind: type[T]) -> T:
    value = entry.get(key)
    if type(value) is not kind:
        raise FormatError(f"{key!r} must be of type {kind.__name__}, found {_short(value)}.")
    return value


def _integers(entry: Json, key: str) -> list[int]:
    """A list of integers >= 0."""
    values = _field(entry, key, list)
    if not all(type(v) is int and v >= 0 for v in values):
        raise FormatError(f"{key!r} must be integers >= 0, found {_short(values)}.")
    return values


def _nested(entry: Json, key: str) -> Table:
    """A table of integers >= 0."""
    rows = _field(entry, key, list)
    try:
        array = np.array(rows)
    except ValueError:
        array = np.empty(0)
    if array.ndim != 2 or array.dtype.kind != "i" or not 0 <= array.min() <= array.max() < 2**31:
        raise FormatError(f"{key!r} must be rows of integers >= 0, found {_short(rows)}.")
    return Table(array)


def _reals(name: str, read: Read) -> NDArray[Any]:
    array = read(name)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise FormatError(f"the entry {name!r} must hold real numbers, found {array.dtype}.")
    return array


def _table(name: str, read: Read) -> Table:
    array = read(name)
    if array.dtype != np.int32:
        raise FormatError(f"the entry {name!r} must hold 32-bit integers, found {array.dtype}.")
    return Table(array)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
