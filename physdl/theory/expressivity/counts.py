r"""How many parameters a Hamiltonian has: the counts behind cheap learning.

A function of n sites with v values each has v^n values, so its Hamiltonian has v^n - 1 coefficients
besides the constant (Lin & Tegmark, arXiv:1608.08225, the "swindle"). Physics needs few of them:

| what is known of H | coefficients |
|---|---|
| degree at most d, real variables | C(n + d, d), the constant counted |
| pairs of spins only | n (n + 1) / 2 |
| neighbours on a square lattice only | 3 n |
| the same everywhere, and in all directions | 2 (a field and a coupling) |

Under a group G of site permutations the free coefficients are orbits of monomials, and Burnside's
lemma counts them without a list of them,

    n_orbits = (1 / abs(G)) sum_g #{monomials fixed by g}:

g fixes a monomial when the powers agree along every cycle of g, so a cycle of length l contributes
sum_a t^(l deg a) over the functions a of one site (1, x for spins; 1, x, x^2, ... for a field), and
the coefficients of the product in t are the fixed monomials of each degree.

Convention: the constant is no parameter, except in ``n_coefficients``. A doubled bond of a box of
length 2 is one monomial.
"""

import functools
import math
import operator
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from physdl.bibliography import cites
from physdl.errors import LatticeError, SettingError, ShapeError, SpaceError, TooLargeError
from physdl.hamiltonian import monomial_basis
from physdl.lattices import Lattice
from physdl.pytree import IntArray
from physdl.spaces import SPIN, Finite, Line, Space

__all__ = ["generated_group", "is_convolution", "n_coefficients", "n_generic", "n_parameters"]

MOST_ENTRIES = 2**23
Series = tuple[int, ...]
Numbers = NDArray[np.float64]


@cites("lin2017")
def n_coefficients(n_variables: int, degree: int) -> int:
    """C(n + d, d): coefficients of a polynomial of degree d in n real variables, constant included.

    arXiv:1608.08225, Sec. II C.

    Raises:
      SettingError: a number is negative.

    >>> n_coefficients(10, 4), n_coefficients(10**6, 2)
    (1001, 500001500001)
    """
    _natural(n_variables=n_variables, degree=degree)
    return math.comb(n_variables + degree, degree)


def n_generic(n_sites: int, n_values: int = 2) -> int:
    """v^n - 1: coefficients of any function of n sites with v values, the constant left out.

    Raises:
      SettingError: a number is negative.

    >>> n_generic(16)  # an Ising model on 4 x 4 sites
    65535
    """
    _natural(n_sites=n_sites, n_values=n_values)
    return int(n_values**n_sites - 1)


def n_parameters(
    sites: int | Lattice,
    degree: int,
    *,
    space: Space = SPIN,
    reach: int | None = None,
    group: ArrayLike | None = None,
    spin_flip: bool = False,
) -> int:
    """Free coefficients of a Hamiltonian of bounded degree, range and given symmetry.

    The number that ``Hamiltonian.symmetrise`` leaves of the full polynomial, by Burnside's lemma.

    Args:
      sites: their number, or a lattice.
      degree: the most factors of a monomial, powers counted.
      space: what a site may be; a finite space has no powers that its points do not tell apart.
      reach: sites of one monomial are at most so many bonds apart, any two of them; needs a
        lattice. With ``reach=1`` a monomial sits on mutual neighbours, which caps its degree.
      group: generators, int [n_generators, n_sites], as ``lattice.symmetries()``.
      spin_flip: whether H(-x) = H(x), which leaves the even degrees.

    Raises:
      SettingError: a number is negative, or there is a reach and no lattice, or a lattice whose
        bonds the group does not preserve.
      ShapeError: the group is no set of permutations of the sites.
      SpaceError: the space is a sphere or a product, or has no flip x -> -x.
      TooLargeError: the group has more than 2^23 entries.

    >>> from physdl.lattices import square
    >>> box = square(4, 4)
    >>> n_parameters(box, 16), n_parameters(box, 2), n_parameters(box, 2, reach=1)
    (65535, 136, 48)
    >>> n_parameters(box, 2, reach=1, group=box.symmetries())  # a field and a coupling
    2
    """
    _natural(degree=degree, reach=reach or 0)
    n = sites.n_sites if isinstance(sites, Lattice) else sites
    _natural(n_sites=n)
    functions = _functions_of_a_site(space, degree, spin_flip)
    elements = generated_group(np.arange(n)[None] if group is None else group)
    if elements.shape[1] != n:
        raise ShapeError(f"a group of {n} sites permutes {n} sites, got {elements.shape[1]}.")
    if reach is None:
        kinds = Counter(map(_cycle_lengths, elements))
        fixed = [(count, _anywhere(kind, functions, degree)) for kind, count in kinds.items()]
    else:
        near = _near(sites, reach)
        if not all(np.array_equal(near[np.ix_(g, g)], near) for g in elements):
            raise SettingError("the group does not preserve the bonds, so a reach has no orbits.")
        far = np.where(near, 0.0, 1.0)
        fixed = [(1, _nearby(g, far, functions, degree)) for g in elements]
    step = 2 if spin_flip else 1
    total = sum(count * sum(series[step::step]) for count, series in fixed)
    return total // len(elements)


def generated_group(generators: ArrayLike) -> IntArray:
    """All permutations that the rows generate, [n_group, n_sites], the identity first.

    A permutation p sends site i to site p[i]. Cosets are added one generator after another (Dimino,
    as in Butler, Fundamental Algorithms for Permutation Groups, Springer 1991, Sec. 3).

    Raises:
      ShapeError: the rows are no permutations.
      TooLargeError: the table would have more than 2^23 entries.

    >>> generated_group([[1, 0, 2, 3], [1, 2, 3, 0]]).shape
    (24, 4)
    """
    rows = np.asarray(generators)
    if rows.ndim != 2 or not np.array_equal(
        np.sort(rows, axis=1), np.broadcast_to(np.arange(rows.shape[-1]), rows.shape)
    ):
        raise ShapeError(
            f"a group is given as permutations of the sites, int [n_generators, n_sites]; got an "
            f"array of shape {rows.shape}."
        )
    rows = rows.astype(np.int64)
    n_sites = rows.shape[1]
    group = np.arange(n_sites)[None]
    known = {group[0].tobytes()}
    used: list[IntArray] = []
    for generator in rows:
        if generator.tobytes() in known:
            continue
        used.append(generator)
        subgroup, parts, waiting = group, [group], [generator]
        while waiting:
            representative = waiting.pop()
            if representative.tobytes() in known:
                continue
            coset = subgroup[:, representative]
            known.update(element.tobytes() for element in coset)
            if len(known) * n_sites > MOST_ENTRIES:
                raise TooLargeError(
                    f"the group has more than {MOST_ENTRIES // n_sites} elements: count orbits "
                    f"under a subgroup, which bounds the number from above."
                )
            parts.append(coset)
            waiting += [representative[g] for g in used]
        group = np.concatenate(parts)
    return group


def is_convolution(matrix: ArrayLike, lattice: Lattice, *, tolerance: float = 1e-12) -> bool:
    """Whether a linear map commutes with the translations of a box: F W F^-1 is diagonal.

    F is the Fourier transform along the periodic axes; sites of one cell, and places along open
    axes, may mix. A deviation is relative to the largest entry of F W F^-1.

    Raises:
      ShapeError: the matrix is not [n_sites, n_sites].
      LatticeError: the lattice has no periodic axis.

    >>> from physdl.lattices import chain
    >>> ring = np.roll(np.eye(5), 1, axis=0)
    >>> is_convolution(2 * ring + np.eye(5), chain(5)), is_convolution(np.diag(range(5)), chain(5))
    (True, False)
    """
    n, w = lattice.n_sites, np.asarray(matrix)
    if w.shape != (n, n):
        raise ShapeError(f"a linear map of {n} sites has shape ({n}, {n}), got {w.shape}.")
    axes = tuple(np.flatnonzero(lattice.periodic).tolist())
    if not axes:
        raise LatticeError("a convolution needs translations: give a box with a periodic axis.")
    d = len(lattice.shape)
    spectrum = np.fft.fftn(w.reshape(lattice.shape * 2), axes=axes)
    spectrum = np.abs(np.fft.ifftn(spectrum, axes=tuple(d + axis for axis in axes)))
    place = np.indices(spectrum.shape, sparse=True)
    elsewhere = functools.reduce(operator.or_, (place[a] != place[d + a] for a in axes))
    return bool(np.max(spectrum * elsewhere) <= tolerance * np.max(spectrum))


def _natural(**numbers: int) -> None:
    for name, value in numbers.items():
        if int(value) != value or value < 0:
            raise SettingError(f"{name} is an integer >= 0, got {value!r}.")


def _functions_of_a_site(space: Space, degree: int, spin_flip: bool) -> Series:
    """How many functions of one site have degree 1, 2, ..., ``degree``, after the constant."""
    if isinstance(space, Line):
        return (1,) * (degree + 1)
    if not isinstance(space, Finite):
        raise SpaceError(
            f"monomials are counted on a line or a finite space, got {space!r}: a sphere has "
            f"relations between components, and symmetry does not permute different spaces."
        )
    points = {tuple(np.round(p, 12) + 0.0) for p in space.array}
    if spin_flip and points != {tuple(np.round(-p, 12) + 0.0) for p in space.array}:
        raise SpaceError(f"a spin flip needs a space with x -> -x, got {space!r}.")
    degrees = Counter(len(monomial) for monomial in monomial_basis(space).monomials)
    return tuple(degrees[k] for k in range(degree + 1))


def _cycles(permutation: IntArray) -> Iterator[list[int]]:
    seen = np.zeros(len(permutation), bool)
    images = permutation.tolist()
    for start in range(len(images)):
        if not seen[start]:
            cycle = [start]
            while (site := images[cycle[-1]]) != start:
                cycle.append(site)
            seen[cycle] = True
            yield cycle


def _cycle_lengths(permutation: IntArray) -> Series:
    return tuple(sorted(map(len, _cycles(permutation))))


def _anywhere(lengths: Series, functions: Series, degree: int) -> Series:
    """Fixed monomials of each degree, whatever their range."""
    total = (1,) + (0,) * degree
    for length, times in Counter(lengths).items():
        factor = _stretched(functions, length, degree)
        while times:
            if times % 2:
                total = _times(total, factor, degree)
            factor, times = _times(factor, factor, degree), times // 2
    return total


def _nearby(g: IntArray, far: Numbers, functions: Series, degree: int) -> Series:
    """Fixed monomials of each degree whose sites are near each other: sets of mutual cycles."""
    cycles = [c for c in _cycles(g) if len(c) <= degree and not far[c[0], c].any()]
    cycles = [c for c in cycles if not far[np.ix_(c, c)].any()]
    member = np.zeros((len(cycles), len(g)))
    for row, cycle in zip(member, cycles, strict=True):
        row[cycle] = 1
    joined = member @ (far @ member.T) == 0
    inside = [(0, *_stretched(functions, len(c), degree)[1:]) for c in cycles]
    total = [1] + [0] * degree

    def extend(series: Series, candidates: Sequence[int]) -> None:
        for position, k in enumerate(candidates):
            product = _times(series, inside[k], degree)
            if any(product):
                for power, count in enumerate(product):
                    total[power] += count
                extend(product, [e for e in candidates[position + 1 :] if joined[k, e]])

    extend((1,) + (0,) * degree, range(len(cycles)))
    return tuple(total)


def _near(sites: int | Lattice, reach: int) -> NDArray[np.bool_]:
    if not isinstance(sites, Lattice):
        raise SettingError("a reach is a number of bonds: give a lattice instead of a number.")
    near: NDArray[np.bool_] = sites.distances <= reach
    return near


def _stretched(functions: Series, length: int, degree: int) -> Series:
    """sum_a t^(length deg a) up to ``degree``."""
    return tuple(
        functions[power // length] if power % length == 0 else 0 for power in range(degree + 1)
    )


def _times(a: Series, b: Series, degree: int) -> Series:
    """The product of two polynomials in t, up to ``degree``."""
    return tuple(sum(a[k] * b[m - k] for k in range(m + 1)) for m in range(degree + 1))
