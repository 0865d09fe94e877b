r"""Weighted graphs as lists of edges: the rudy or G-set format of MaxCut and spin-glass instances.

The first line is ``n m``; then follow m lines ``i j w``, an edge between the vertices i and j
(numbered from 1) of weight w, 1 where it is left out. Lines that begin with ``#``, ``%`` or the
word ``c`` are comments. An edge is listed once; a second listing, also as ``j i``, is refused,
since it is as often a mistake (a full symmetric matrix) as a sum.

Over ``SPIN`` the file means one of two Hamiltonians, and they differ in sign:

    problem="ising" (the default):   H = - beta sum_(ij) w_ij s_i s_j
    problem="maxcut":                H = - beta cut(s),   cut(s) = sum_(ij) w_ij (1 - s_i s_j) / 2

Positive weights are ferromagnetic bonds in the first; in the second they are edges one wants to
cut, so antiferromagnetic, and the ground state energy at beta = 1 is minus the largest cut.

Source: the generator ``rudy`` (G. Rinaldi, 1996), used for the G-set of C. Helmberg and F. Rendl,
SIAM J. Optim. 10, 673 (2000).
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import FormatError, ShapeError, StructureError, UnknownNameError
from physdl.files._pairs import Pairs, pairs_of
from physdl.files._storage import PathLike, finite_number, read_bytes, write_bytes
from physdl.files._tokens import is_count, numbers, shown
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.hamiltonian.factors import Term
from physdl.pytree import IntArray, Table
from physdl.spaces import SPIN

__all__ = ["read_edge_list", "write_edge_list"]

MOST_ISOLATED = 10**6
PROBLEMS = ("ising", "maxcut")

Line = tuple[int, list[bytes]]


def read_edge_list(path: PathLike, beta: ArrayLike = 1.0, problem: str = "ising") -> Hamiltonian:
    """The Hamiltonian of a weighted graph at inverse temperature ``beta``, of shape ``(n,)``.

    Args:
      path: the file.
      beta: inverse temperature in units of 1 / (k_B T) per unit of weight; may be traced.
      problem: ``"ising"`` for H = -beta sum w s s, ``"maxcut"`` for H = -beta cut (its constant
        included).

    Raises:
      FormatError: the file is not in this format; the message names the line.
      ShapeError: ``beta`` is not one number.
      UnknownNameError: another problem.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "triangle.rud"
    >>> _ = file.write_text("3 3\\n1 2 1\\n2 3 1\\n1 3 -2\\n")
    >>> up = jnp.array([1, 1, -1])
    >>> float(read_edge_list(file)(up)), float(read_edge_list(file, problem="maxcut")(up))
    (-2.0, 1.0)
    """
    _check_problem(problem)
    n, edges, weights = _parse(Path(path), read_bytes(path))
    b, w = jnp.asarray(beta, dtype=float), jnp.asarray(weights, dtype=float)
    if b.ndim:
        raise ShapeError(f"beta is one number, got an array of shape {b.shape}.")
    if problem == "ising":
        return Hamiltonian({"bond": Sites(-b * w, Table(edges))}, space=SPIN, shape=(n,))
    terms: dict[str, Term] = {
        "bond": Sites(0.5 * b * w, Table(edges)),
        "constant": Sites(-0.5 * b * jnp.sum(w), np.empty((1, 0), dtype=int)),
    }
    return Hamiltonian(terms, space=SPIN, shape=(n,))


def _check_problem(problem: str) -> None:
    if problem not in PROBLEMS:
        raise UnknownNameError("problem", str(problem), PROBLEMS)


def _parse(file: Path, data: bytes) -> tuple[int, IntArray, NDArray[np.float64]]:
    """Number of vertices, edges (from 0) and weights."""
    lines = _lines(data)
    if not lines:
        raise FormatError(f"{file} holds only comments: the first line is 'n m'.")
    (first, header), *rows = lines
    if len(header) != 2 or not all(map(is_count, header)):
        found = shown(b" ".join(header[:4]))
        raise _error(
            file, first, f"the first line is 'n m', two integers >= 0, found {found}: add it"
        )
    n, m = int(header[0]), int(header[1])
    if m != len(rows):
        raise _error(
            file,
            first,
            f"{m} edges are declared, but {len(rows)} lines follow: the file is truncated or "
            f"the number is wrong",
        )
    if n > 2 * m + MOST_ISOLATED:
        raise _error(
            file,
            first,
            f"{n} vertices are declared for {m} edges, so more than {MOST_ISOLATED} have none: "
            f"correct the number",
        )
    for line, words in rows:
        if not 2 <= len(words) <= 3 or not is_count(words[0]) or not is_count(words[1]):
            found = shown(b" ".join(words[:5]))
            raise _error(file, line, f"an edge is 'i j' or 'i j weight', found {found}: correct it")
    ends = [(int(words[0]), int(words[1])) for _, words in rows]
    edges = np.array(ends, dtype=np.int64).reshape(-1, 2)
    _check_edges(file, n, edges, [line for line, _ in rows])
    return n, edges - 1, _weights(file, rows)


def _lines(data: bytes) -> list[Line]:
    """The lines that are no comments, as words, with their numbers."""
    split = enumerate((line.split() for line in data.split(b"\n")), start=1)
    return [
        (number, words)
        for number, words in split
        if words and words[0] != b"c" and words[0][:1] not in (b"#", b"%")
    ]


def _check_edges(file: Path, n: int, edges: IntArray, lines: list[int]) -> None:
    outside = np.flatnonzero(np.any((edges < 1) | (edges > n), axis=1))
    if len(outside):
        i, j = edges[outside[0]]
        raise _error(
            file,
            lines[outside[0]],
            f"an edge joins {i} and {j}, but the vertices are 1 to {n}: correct it",
        )
    loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
    if len(loops):
        raise _error(
            file,
            lines[loops[0]],
            f"an edge joins vertex {edges[loops[0], 0]} to itself: remove it",
        )
    ordered = np.sort(edges, axis=1)
    key = ordered[:, 0] * (n + 1) + ordered[:, 1]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[inverse] != np.arange(len(key)))
    if len(repeated):
        again = int(repeated[0])
        i, j = edges[again]
        raise _error(
            file,
            lines[again],
            f"the edge {i} {j} stands already in line {lines[first[inverse[again]]]}: list it "
            f"once, with the sum of the weights if both count",
        )


def _weights(file: Path, rows: list[Line]) -> NDArray[np.float64]:
    words = [row[2] if len(row) == 3 else b"1" for _, row in rows]
    try:
        values = numbers(words)
    except ValueError:
        values = np.array([_number_or_nan(word) for word in words])
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        at = int(wrong[0])
        raise _error(
            file, rows[at][0], f"a weight must be a finite number, found {shown(words[at])}"
        )
    return values


def _number_or_nan(word: bytes) -> float:
    try:
        return float(numbers([word])[0])
    except ValueError:
        return float("nan")


def _error(file: Path, line: int, message: str) -> FormatError:
    return FormatError(f"{file}, line {line}: {message}.")


def write_edge_list(
    path: PathLike, h: Hamiltonian, beta: float = 1.0, problem: str = "ising"
) -> None:
    """Write a Hamiltonian of spins and pairs, so that reading with the same arguments gives it.

    Edges of weight 0 are left out. A configuration's shape is not stored: it reads back as
    ``(n_sites,)``.

    Raises:
      SpaceError: the space is not ``SPIN``.
      StructureError: a field, a term of degree above 2, or a constant the problem does not have.
      SettingError: ``beta`` is 0 or not finite, a coefficient is not finite, or ``h`` is traced.

    >>> import pathlib, tempfile
    >>> from physdl import lattices, models
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "chain.rud"
    >>> write_edge_list(file, models.ising(lattices.chain(3, periodic=False), 0.5), beta=0.5)
    >>> file.read_text()
    '3 2\\n1 2 1.0\\n2 3 1.0\\n'
    """
    _check_problem(problem)
    scale = finite_number(beta, "beta")
    pairs = pairs_of(h, "an edge list", fields=False)
    couplings = pairs.couplings if problem == "ising" else -2.0 * pairs.couplings
    _check_constant(pairs, problem, float(np.finfo(h.dtype).eps))
    used = couplings != 0
    weights, edges = couplings[used] / scale, pairs.edges[used] + 1
    rows = zip(edges.tolist(), weights.tolist(), strict=True)
    lines = [f"{h.n_sites} {len(edges)}", *(f"{i} {j} {w!r}" for (i, j), w in rows), ""]
    write_bytes(path, "\n".join(lines).encode("ascii"))


def _check_constant(pairs: Pairs, problem: str, rounding: float) -> None:
    expected = 0.0 if problem == "ising" else float(np.sum(pairs.couplings))
    size = float(np.sum(np.abs(pairs.couplings)))
    if abs(pairs.constant - expected) > 8 * rounding * size:
        raise StructureError(
            f"an edge list for problem {problem!r} has the constant {expected:g} in H, got "
            f"{pairs.constant:g}: write it as .npz, or remove the constant."
        )
