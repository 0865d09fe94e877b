r"""Hamiltonians from and to networkx graphs, scipy sparse matrices and dimod models.

Signs and temperature. physdl's weight is exp(-H) with H = beta E: temperature is absorbed. The
packages differ in the sign of E, and the conversions keep each one's own convention:

| package | energy of the other side | H here |
|---|---|---|
| networkx | ferromagnet positive: E = - sum_(ij) w_ij s_i s_j - sum_i f_i s_i | beta E |
| scipy.sparse | the same: E = - 1/2 sum_ij J_ij s_i s_j - sum_i f_i s_i, J symmetric | beta E |
| dimod | no minus: E = sum_(ij) J_ij s_i s_j + sum_i h_i s_i + offset | beta E |

So a dimod model with J < 0 is a ferromagnet. Coefficients are J_ij and f_i in units of 1/beta: with
beta = 1 they are the reduced couplings themselves.

Sites. Site i is the i-th node, row, or variable: nodes in the order ``list(graph)``, variables of
a binary quadratic model in the order ``list(bqm.variables)``, and those of a binary polynomial,
which are a set, sorted (by value where they can be compared, else by ``repr``). What is written has
the labels 0, ..., n-1. A configuration's shape is not kept: it becomes ``(n_sites,)``.

The optional packages are imported when they are used.
"""

import importlib
from collections.abc import Hashable, Iterable, Mapping
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import MissingDependencyError, SettingError, ShapeError, SpaceError
from physdl.files._pairs import monomials, pairs_of
from physdl.files._storage import finite_number
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.hamiltonian.factors import Term
from physdl.pytree import IntArray, Table
from physdl.spaces import BINARY, SPIN

__all__ = [
    "from_dimod",
    "from_networkx",
    "from_scipy_sparse",
    "to_dimod",
    "to_networkx",
    "to_scipy_sparse",
]

NAMES = {0: "constant", 1: "site", 2: "bond"}


def from_networkx(
    graph: Any, *, beta: ArrayLike = 1.0, coupling: str = "weight", field: str = "field"
) -> Hamiltonian:
    """Ising model of a networkx graph: H = -beta (sum_(ij) w_ij s_i s_j + sum_i f_i s_i).

    Args:
      graph: undirected; parallel edges of a multigraph add up.
      beta: inverse temperature; may be traced.
      coupling: the edge attribute that holds w_ij; an edge without it has weight 1.
      field: the node attribute that holds f_i; a node without it has none, and where no node has
        it the term is left out.

    Raises:
      MissingDependencyError: networkx is not installed.
      SettingError: no undirected graph, an edge from a node to itself, or an attribute that is no
        finite number.

    >>> import networkx
    >>> graph = networkx.Graph()
    >>> graph.add_edge("a", "b", weight=0.5)
    >>> float(from_networkx(graph, beta=2.0)(jnp.array([1, 1])))
    -1.0
    """
    networkx = _imported("networkx", "from_networkx")
    if not isinstance(graph, networkx.Graph) or graph.is_directed():
        raise SettingError(
            f"from_networkx needs an undirected networkx graph, got {type(graph).__name__}: call "
            f"to_undirected() on a directed one."
        )
    site = {node: i for i, node in enumerate(graph)}
    found: dict[tuple[int, int], float] = {}
    for a, b, value in graph.edges(data=coupling, default=1.0):
        i, j = sorted((site[a], site[b]))
        if i == j:
            raise SettingError(f"node {a!r} has an edge to itself: remove it.")
        found[i, j] = found.get((i, j), 0.0) + _number(value, f"{coupling!r} of edge {a!r}, {b!r}")
    given = {a: value for a, value in graph.nodes(data=field) if value is not None}
    fields = np.zeros(len(site)) if given else None
    for a, value in given.items():
        assert fields is not None
        fields[site[a]] = _number(value, f"{field!r} of node {a!r}")
    pairs = np.array(list(found), dtype=np.int32).reshape(-1, 2)
    return _ising(len(site), pairs, np.array(list(found.values())), fields, beta)


def to_networkx(h: Hamiltonian, *, beta: float = 1.0) -> Any:
    """The ``networkx.Graph`` with edge attribute ``weight`` and node attribute ``field``.

    A constant in H is dropped, and so are bonds of weight 0; the attribute ``field`` is written
    where some site has one.

    Raises:
      MissingDependencyError: networkx is not installed.
      SpaceError: the space is not ``SPIN``.
      StructureError: a term of degree above 2.
      SettingError: ``beta`` is 0 or not finite, a coefficient is not finite, or ``h`` is traced.

    >>> from physdl import lattices, models
    >>> graph = to_networkx(models.ising(lattices.chain(3, periodic=False), 0.5))
    >>> list(graph.edges(data="weight"))
    [(0, 1, 0.5), (1, 2, 0.5)]
    """
    networkx = _imported("networkx", "to_networkx")
    scale, pairs = finite_number(beta, "beta"), pairs_of(h, "a networkx graph", fields=True)
    graph = networkx.Graph()
    graph.add_nodes_from(range(h.n_sites))
    if pairs.fields.any():
        for i, value in enumerate((pairs.fields / scale).tolist()):
            graph.nodes[i]["field"] = value
    used = pairs.couplings != 0
    weights = (pairs.couplings[used] / scale).tolist()
    rows = zip(pairs.edges[used].tolist(), weights, strict=True)
    graph.add_weighted_edges_from((i, j, w) for (i, j), w in rows)
    return graph


def from_scipy_sparse(
    matrix: Any, field: ArrayLike | None = None, *, beta: ArrayLike = 1.0
) -> Hamiltonian:
    """Ising model of a symmetric coupling matrix.

    H = -beta (1/2 sum_ij J_ij s_i s_j + sum_i f_i s_i); each pair i < j has the coupling J_ij.

    Raises:
      SettingError: not a scipy sparse matrix, not symmetric, a nonzero diagonal, or not finite.
      ShapeError: the matrix is not square, or the field has another length.

    >>> import scipy.sparse
    >>> j = scipy.sparse.csr_array([[0.0, 0.5], [0.5, 0.0]])
    >>> float(from_scipy_sparse(j, [1.0, 0.0])(jnp.array([1, 1])))
    -1.5
    """
    from scipy import sparse

    if not sparse.issparse(matrix):
        raise SettingError(
            f"from_scipy_sparse needs a scipy sparse matrix, got {type(matrix).__name__}: wrap it "
            f"in scipy.sparse.csr_array."
        )
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"a coupling matrix is square, got the shape {matrix.shape}.")
    n = int(matrix.shape[0])
    full = sparse.csr_array(matrix).astype(np.float64)
    full.sum_duplicates()
    if not np.isfinite(full.data).all():
        raise SettingError("couplings are finite numbers, got a matrix with NaN or infinity.")
    if (full != full.T).nnz:
        raise SettingError("a coupling matrix must be symmetric: pass (matrix + matrix.T) / 2.")
    if full.diagonal().any():
        raise SettingError("a coupling matrix has a zero diagonal: s_i^2 = 1 is a constant.")
    upper = sparse.triu(full, k=1).tocoo()
    order = np.lexsort((upper.col, upper.row))
    pairs = np.stack([upper.row, upper.col], axis=1)[order]
    fields = None if field is None else np.asarray(field, dtype=np.float64)
    if fields is not None and fields.shape != (n,):
        raise ShapeError(f"a field of {n} sites has shape ({n},), got {fields.shape}.")
    if fields is not None and not np.isfinite(fields).all():
        raise SettingError("fields are finite numbers, got NaN or infinity.")
    return _ising(n, pairs, upper.data[order], fields, beta)


def to_scipy_sparse(h: Hamiltonian, *, beta: float = 1.0) -> tuple[Any, NDArray[np.float64]]:
    """The symmetric coupling matrix as a ``csr_array``, and the fields, shape [n_sites].

    A constant in H is dropped.

    Raises:
      SpaceError: the space is not ``SPIN``.
      StructureError: a term of degree above 2.
      SettingError: ``beta`` is 0 or not finite, a coefficient is not finite, or ``h`` is traced.

    >>> from physdl import lattices, models
    >>> j, fields = to_scipy_sparse(models.ising(lattices.chain(2, periodic=False), 0.5, 0.25))
    >>> j.toarray().tolist(), fields.tolist()
    ([[0.0, 0.5], [0.5, 0.0]], [0.25, 0.25])
    """
    from scipy import sparse

    scale, pairs = finite_number(beta, "beta"), pairs_of(h, "a coupling matrix", fields=True)
    (i, j), w = pairs.edges.T, pairs.couplings / scale
    entries = (np.concatenate([w, w]), (np.concatenate([i, j]), np.concatenate([j, i])))
    matrix = sparse.csr_array(entries, shape=(h.n_sites, h.n_sites))
    matrix.eliminate_zeros()
    return matrix, pairs.fields / scale


def from_dimod(model: Any, *, beta: ArrayLike = 1.0) -> Hamiltonian:
    """The Hamiltonian H = beta E of a dimod ``BinaryQuadraticModel`` or ``BinaryPolynomial``.

    The space is ``SPIN`` or ``BINARY`` as the model's ``vartype`` says. Terms are ``bond``,
    ``site`` (left out where all biases are 0), ``constant`` (the offset, left out where it is 0)
    and ``degree_k`` for k > 2.

    Raises:
      MissingDependencyError: dimod is not installed.
      SettingError: another object, or a bias that is no finite number.

    >>> import dimod
    >>> bqm = dimod.BinaryQuadraticModel({"a": 0.5}, {("a", "b"): -1.0}, 2.0, "SPIN")
    >>> float(from_dimod(bqm)(jnp.array([1, 1])))  # 0.5 - 1 + 2
    1.5
    """
    dimod = _imported("dimod", "from_dimod")
    entries: Iterable[tuple[tuple[Hashable, ...], float]]
    if isinstance(model, dimod.BinaryPolynomial):
        variables = _ordered(model.variables)
        entries = [(tuple(term), bias) for term, bias in model.items()]
    elif isinstance(model, dimod.BinaryQuadraticModel):
        variables = list(model.variables)
        linear = [((v,), bias) for v, bias in model.linear.items()]
        entries = [*linear, *model.quadratic.items(), ((), model.offset)]
    else:
        raise SettingError(
            f"from_dimod needs a BinaryQuadraticModel or a BinaryPolynomial, got "
            f"{type(model).__name__}: convert it."
        )
    site = {v: i for i, v in enumerate(variables)}
    found: dict[int, dict[tuple[int, ...], float]] = {}
    for term, bias in entries:
        value = _number(bias, f"the bias of {term!r}")
        found.setdefault(len(term), {})[tuple(sorted(site[v] for v in term))] = value
    space = SPIN if model.vartype is dimod.SPIN else BINARY
    return Hamiltonian(_by_degree(found, beta), space=space, shape=(len(site),))


def _by_degree(
    found: Mapping[int, Mapping[tuple[int, ...], float]], beta: ArrayLike
) -> dict[str, Term]:
    terms: dict[str, Term] = {}
    for degree, rows in sorted(found.items()):
        values = jnp.asarray(list(rows.values()), dtype=float)
        if degree < 2 and not values.any():
            continue
        table = np.array(list(rows), dtype=np.int32).reshape(len(rows), degree)
        name = NAMES.get(degree, f"degree_{degree}")
        terms[name] = Sites(jnp.asarray(beta, dtype=float) * values, Table(table))
    return terms


def to_dimod(h: Hamiltonian, *, beta: float = 1.0) -> Any:
    """The dimod model of energy E = H / beta, with variables 0, ..., n_sites - 1.

    A ``BinaryQuadraticModel`` where the degree is at most 2, else a ``BinaryPolynomial`` (which has
    no variables that do not interact).

    Raises:
      MissingDependencyError: dimod is not installed.
      SpaceError: the space is neither ``SPIN`` nor ``BINARY``.
      SettingError: ``beta`` is 0 or not finite, a coefficient is not finite, or ``h`` is traced.

    >>> from physdl import lattices, models
    >>> bqm = to_dimod(models.ising(lattices.chain(2, periodic=False), 0.5))
    >>> float(bqm.energy({0: 1, 1: 1}))
    -0.5
    """
    dimod = _imported("dimod", "to_dimod")
    if h.space not in (SPIN, BINARY):
        raise SpaceError(f"a dimod model is about SPIN or BINARY variables, got {h.space!r}.")
    scale, found = finite_number(beta, "beta"), monomials(h, "a dimod model")
    vartype = dimod.SPIN if h.space == SPIN else dimod.BINARY
    biases = {
        degree: zip(map(tuple, table.tolist()), (coefficient / scale).tolist(), strict=True)
        for degree, (coefficient, table) in found.items()
    }
    if max(found, default=0) > 2:
        return dimod.BinaryPolynomial({t: b for rows in biases.values() for t, b in rows}, vartype)
    bqm = dimod.BinaryQuadraticModel(vartype)
    bqm.add_linear_from((i, 0.0) for i in range(h.n_sites))
    bqm.add_linear_from((i, bias) for (i,), bias in biases.get(1, ()))
    bqm.add_quadratic_from((i, j, bias) for (i, j), bias in biases.get(2, ()))
    bqm.offset += sum(bias for _, bias in biases.get(0, ()))
    return bqm


def _ising(
    n: int,
    pairs: IntArray,
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64] | None,
    beta: ArrayLike,
) -> Hamiltonian:
    b = -jnp.asarray(beta, dtype=float)
    terms: dict[str, Term] = {"bond": Sites(b * jnp.asarray(couplings, dtype=float), Table(pairs))}
    if fields is not None:
        sites = np.arange(n, dtype=np.int32)[:, None]
        terms["site"] = Sites(b * jnp.asarray(fields, dtype=float), Table(sites))
    return Hamiltonian(terms, space=SPIN, shape=(n,))


def _ordered(variables: Iterable[Any]) -> list[Any]:
    names = list(variables)
    try:
        return sorted(names)
    except TypeError:
        return sorted(names, key=repr)


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise SettingError(f"{what} must be a finite number, got {value!r}.")
    return number


def _imported(package: str, purpose: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(package, purpose) from error
