r"""Graphical models in the format of the UAI inference competitions.

A ``.uai`` file lists n variables by their numbers of states and factors by their scopes and
tables; its weight is the product of the factors, so the energy is a sum of tables,

    p(x) = (1/Z) prod_f psi_f(x_f),        H(x) = - sum_f log psi_f(x_f),        psi_f >= 0,

and a table entry 0 is an energy ``+inf``, a forbidden configuration. The words of a file are, with
any whitespace between them: ``MARKOV`` or ``BAYES``; n; the n numbers of states; the number of
factors; for each its number of variables and these (from 0); then, for each again, the number of
entries of its table and the entries, the last variable of the scope fastest. In a ``BAYES`` file
the tables are conditional probabilities of their last variable, so Z = 1 without evidence; they
are read like any others and not checked for being normalised.

A variable of q states has the space ``levels(q)``, values 0, ..., q-1 (``BINARY`` for q = 2). All
factors whose tables have the same shape are one ``Potential`` term, so a model of a thousand
factors has a handful of terms. Evidence fixes variables: ``h.condition(read_evidence(path))``.

Weights are stored as doubles, which end near exp(709): a table with larger energies is written as
m equal factors, each its m-th root, so that nothing overflows and no state becomes forbidden.

Source: the file formats of the UAI 2014 inference competition (V. Gogate).
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from physdl.errors import SettingError, TooLargeError
from physdl.files._storage import PathLike, concrete, write_bytes
from physdl.files._tokens import Tokens, read_tokens, shown
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import Term, require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import Table
from physdl.spaces import BINARY, levels, product

__all__ = ["read_uai", "write_uai"]

LARGEST_ENERGY = 700.0
MOST_ENTRIES = 10**7
MOST_VARIABLES = 32
FREE_STATES = 1024

Scopes = list[list[int]]


def read_uai(path: PathLike) -> Hamiltonian:
    """The Hamiltonian of a ``.uai`` file, of shape ``(n_variables,)``.

    Terms are named ``factor[2,3]`` by the shape of their tables (``factor[]`` holds constants);
    energies are in k_B T and log Z is the natural logarithm of the competition's Z.

    Raises:
      FormatError: the file is not in this format; the message names the line and the token.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "two.uai"
    >>> _ = file.write_text("MARKOV 2 2 2 1 2 0 1 4 1.0 2.0 3.0 0.0")
    >>> h = read_uai(file)
    >>> h
    Hamiltonian(factor[2,2]: Potential; BINARY, shape (2,); weight exp(-H))
    >>> [round(math.exp(-h([a, b])), 6) for a in (0, 1) for b in (0, 1)]
    [1.0, 2.0, 3.0, 0.0]
    """
    tokens = read_tokens(path)
    if tokens.items[0] not in (b"MARKOV", b"BAYES"):
        found = shown(tokens.items[0])
        raise tokens.error(0, f"a UAI file begins with MARKOV or BAYES, found {found}")
    n = tokens.listed(1, "the number of variables")
    n_states = _cardinalities(tokens, n)
    scopes, start = _scopes(tokens, 2 + n, n)
    shapes = [tuple(n_states[v] for v in scope) for scope in scopes]
    starts = _tables(tokens, start, shapes)
    weights = _weights(tokens, start, starts)
    members: dict[tuple[int, ...], list[int]] = {}
    for factor, shape in enumerate(shapes):
        members.setdefault(shape, []).append(factor)
    terms: dict[str, Term] = {}
    for shape, group in members.items():
        first = np.array([starts[f] - start for f in group])
        with np.errstate(divide="ignore"):
            energies = 0.0 - np.log(weights[first[:, None] + np.arange(math.prod(shape))])
        sites = np.array([scopes[f] for f in group], dtype=np.int32).reshape(len(group), len(shape))
        name = f"factor[{','.join(map(str, shape))}]"
        terms[name] = Potential(energies.reshape(-1, *shape), Table(sites))
    kinds = {q: levels(q) for q in set(n_states)}
    space = product([kinds[q] for q in n_states]) if n else BINARY
    return Hamiltonian(terms, space=space, shape=(n,))


def _cardinalities(tokens: Tokens, n: int) -> list[int]:
    n_states = tokens.counts(2, 2 + n, "a number of states")
    most = max(len(tokens) - n, FREE_STATES)
    for variable, q in enumerate(n_states):
        if not 1 <= q <= most:
            raise tokens.error(
                2 + variable,
                f"variable {variable} has {q} states: a number of states is 1 or more, and a "
                f"file of {len(tokens)} tokens can use at most {most}",
            )
    return n_states


def _scopes(tokens: Tokens, at: int, n: int) -> tuple[Scopes, int]:
    """The scope of every factor, and where the tables begin."""
    n_factors = tokens.listed(at, "the number of factors")
    scopes: Scopes = []
    at += 1
    for factor in range(n_factors):
        k = tokens.listed(at, f"the number of variables of factor {factor}")
        if k > MOST_VARIABLES:
            raise tokens.error(
                at,
                f"factor {factor} has {k} variables, and at most {MOST_VARIABLES} can be read: "
                f"check the number",
            )
        scope = tokens.counts(at + 1, at + 1 + k, f"a variable of factor {factor}")
        for position, variable in enumerate(scope):
            if variable >= n:
                problem = f"does not exist: there are {n} variables, numbered from 0"
            elif variable in scope[:position]:
                problem = "stands there twice: write the diagonal of its table instead"
            else:
                continue
            raise tokens.error(
                at + 1 + position, f"variable {variable} in the scope of factor {factor} {problem}"
            )
        scopes.append(scope)
        at += 1 + k
    return scopes, at


def _tables(tokens: Tokens, at: int, shapes: list[tuple[int, ...]]) -> list[int]:
    """Where the entries of every factor's table begin."""
    starts = []
    for factor, shape in enumerate(shapes):
        what = f"the number of table entries of factor {factor}"
        size, expected = tokens.count(at, what), math.prod(shape)
        if size != expected:
            scope = " x ".join(map(str, shape)) or "no variables"
            raise tokens.error(
                at, f"{what} is {size}, but its scope ({scope}) needs {expected}: correct one"
            )
        tokens.listed(at, what)
        starts.append(at + 1)
        at += 1 + size
    if at < len(tokens):
        found = shown(tokens.items[at])
        raise tokens.error(
            at, f"the model is complete, but {found} follows: remove it or correct the counts"
        )
    return starts


def _weights(tokens: Tokens, start: int, starts: list[int]) -> NDArray[np.float64]:
    """All numbers from the first table on, its number of entries included."""
    values = tokens.floats(start, "a table entry")
    wrong = np.flatnonzero(~((values >= 0) & (values < np.inf)))
    if len(wrong):
        at = start + int(wrong[0])
        factor = int(np.searchsorted(starts, at, side="right")) - 1
        raise tokens.error(
            at,
            f"an entry of factor {factor} is {shown(tokens.items[at])}: weights are finite "
            f"numbers >= 0",
        )
    return values


def write_uai(path: PathLike, h: Hamiltonian) -> None:
    """Write a Hamiltonian of a finite space as a ``MARKOV`` file.

    Factors are the tables of ``h.potentials()``, weights exp(-E) with all their digits. The file
    knows numbers of states and not their values, so it reads back over ``levels(q)``: state number
    b of a site takes the place of its b-th point, and log Z is the same.

    Raises:
      SpaceError: the space is not finite.
      SettingError: an energy is NaN or ``-inf``, or the Hamiltonian is traced.
      TooLargeError: energies so large that their roots would fill more than 10^7 numbers.

    >>> import pathlib, tempfile
    >>> from physdl import lattices, models
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "chain.uai"
    >>> write_uai(file, models.ising(lattices.chain(2, periodic=False), 1.0))
    >>> file.read_text().split()[:8]
    ['MARKOV', '2', '2', '2', '1', '2', '0', '1']
    """
    space = require_finite(concrete(h, "write_uai").space, "a UAI file")
    scopes, tables = [], []
    for scope, weights, copies in _factors(h):
        scopes += [" ".join(map(str, (len(scope), *scope)))] * copies
        tables += [f"{len(weights)}\n {' '.join(map(repr, weights))}"] * copies
    n_states = " ".join(map(str, state_counts(space, h.n_sites)))
    lines = ["MARKOV", str(h.n_sites), n_states, str(len(scopes)), *scopes, "", *tables, ""]
    write_bytes(path, "\n".join(lines).encode("ascii"))


def _factors(h: Hamiltonian) -> Iterator[tuple[list[int], list[float], int]]:
    """Scope, weights, and how many times the factor is written."""
    n_entries = 0
    for potential in h.potentials():
        scopes = potential.sites.array
        energies = np.asarray(potential.table, dtype=np.float64).reshape(len(scopes), -1)
        if np.isnan(energies).any() or np.isneginf(energies).any():
            raise SettingError(
                "write_uai needs energies that are numbers or +inf, got a table that holds NaN or "
                "-inf: correct the coefficients."
            )
        largest = np.abs(np.where(np.isinf(energies), 0.0, energies)).max(axis=1, initial=0.0)
        copies = np.maximum(np.ceil(largest / LARGEST_ENERGY), 1.0)
        n_entries += int(min(copies.sum(), MOST_ENTRIES)) * energies.shape[1]
        if copies.max(initial=1.0) > 1 and n_entries > MOST_ENTRIES:
            raise TooLargeError(
                f"an energy of {largest.max():.3g} k_B T does not fit the weights of a UAI file "
                f"in {MOST_ENTRIES} numbers: save as .npz, which stores energies."
            )
        weights = np.exp(-energies / copies[:, None])
        yield from zip(scopes.tolist(), weights.tolist(), copies.astype(int).tolist(), strict=True)
