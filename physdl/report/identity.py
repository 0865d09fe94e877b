r"""What a Hamiltonian is, before anything is counted: structure, symmetries, numbers of parameters.

Why cheap learning works, told of one model (Lin, Tegmark & Rolnick, arXiv:1608.08225, Sec. II D):

| what is known | free numbers |
|---|---|
| nothing: any function of n sites of q states | q^n - 1 |
| a polynomial of degree d | as many as monomials of degree d |
| local | the monomials that H has |
| symmetric | their orbits under the permutations of sites that leave H |

Symmetries are found by trial: a transformation counts when it leaves the energies of random
configurations as they are, to rounding. Candidates are those that act on all sites alike (flips,
relabellings, rotations) and those that move the sites of the box ``h.shape``.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import PhysdlError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.pytree import IntArray, Table
from physdl.sampling._kernel import random_configuration
from physdl.spaces import Finite, Line, Product, Sphere, labels
from physdl.theory.expressivity import n_parameters

__all__ = ["Identity", "identify"]

TRIED = 16
ROUNDING = 1e-12
MOST_EXPANDED = 2**17
MOST_LISTED = 9

States = Float[Array, " n *state"]


@dataclass(frozen=True)
class Identity:
    """The structure of a Hamiltonian in words and numbers.

    Attributes:
      n_sites: number of sites.
      shape: of a configuration.
      space: what a site may be.
      degree: of the polynomial.
      n_parameters: coefficients as written.
      terms: name -> (kind, degree, number of coefficients).
      range: largest distance along an axis of the box, wrapped, between two sites of one monomial;
        ``None`` where monomials are too many to look at, or tables are infinite.
      symmetries: names of the symmetries that were found.
      counts: (what is known, free numbers), from nothing to everything; a count that would be too
        long is a power of ten in words.
    """

    n_sites: int
    shape: tuple[int, ...]
    space: str
    degree: int
    n_parameters: int
    terms: dict[str, tuple[str, int, int]]
    range: int | None
    symmetries: tuple[str, ...]
    counts: tuple[tuple[str, int | str], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers and words."""
        return {
            "n_sites": self.n_sites,
            "shape": list(self.shape),
            "space": self.space,
            "degree": self.degree,
            "n_parameters": self.n_parameters,
            "terms": {
                name: {"kind": kind, "degree": degree, "n_parameters": n}
                for name, (kind, degree, n) in self.terms.items()
            },
            "range": self.range,
            "symmetries": list(self.symmetries),
            "parameter_counts": dict(self.counts),
        }


def identify(h: Hamiltonian) -> Identity:
    """Look at a Hamiltonian.

    >>> from physdl import lattices, models
    >>> seen = identify(models.ising(lattices.square(4, 4), 0.4))
    >>> seen.range, seen.symmetries[:2]
    (1, ('spin flip: both states exchanged at all sites', 'translation along axis 0'))
    >>> [count for _, count in seen.counts]
    [65535, 136, 32, 1]
    """
    symmetries, moves = _symmetries(h)
    monomials = _monomials(h)
    return Identity(
        n_sites=h.n_sites,
        shape=h.shape,
        space=repr(h.space),
        degree=h.degree,
        n_parameters=h.n_parameters,
        terms={
            name: (type(term).__name__, term.degree(h.space), _n_leaves(term))
            for name, term in h.terms.items()
        },
        range=None if monomials is None else _range(h, monomials),
        symmetries=symmetries,
        counts=tuple(_counts(h, monomials, moves)),
    )


def _n_leaves(term: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(term))


def _monomials(h: Hamiltonian) -> Hamiltonian | None:
    """The canonical polynomial, where it is one and not too long."""
    entries = sum(_n_written(term, h) for term in h.terms.values())
    if entries > MOST_EXPANDED:
        return None
    try:
        terms = {name: _kept(term) for name, term in h.expand().terms.items()}
    except PhysdlError:
        return None
    if not all(np.all(np.isfinite(term.coefficient)) for term in terms.values()):
        return None
    return Hamiltonian(dict(terms), space=h.space, shape=h.shape)


def _kept(term: Any) -> Sites:
    """The monomials whose coefficients are more than rounding."""
    sizes = np.abs(np.asarray(term.coefficient))
    kept = sizes > ROUNDING * sizes.max(initial=0.0)
    return Sites(term.coefficient[kept], Table(term.table.array[kept]))


def _n_written(term: Any, h: Hamiltonian) -> int:
    return max(_n_leaves(term), h.n_sites)


def _counts(
    h: Hamiltonian, monomials: Hamiltonian | None, moves: list[IntArray]
) -> Iterator[tuple[str, int | str]]:
    n, space = h.n_sites, h.space
    if isinstance(space, Finite):
        digits = n * math.log10(space.n_states)
        any_function = space.n_states**n - 1 if digits < MOST_LISTED else f"10^{digits:.1f}"
        yield "any function of the sites", any_function
    if isinstance(space, Finite | Line):
        yield f"degree at most {h.degree}", n_parameters(n, h.degree, space=space)
    if monomials is None:
        return
    constants = {name: t for name, t in monomials.terms.items() if t.degree(space) > 0}
    free = Hamiltonian(constants, space=space, shape=h.shape)
    yield "the monomials of H, each its own coefficient", free.n_parameters
    if moves:
        yield (
            "one coefficient an orbit under moves of the sites",
            free.symmetrise(np.stack(moves)).n_parameters,
        )


def _range(h: Hamiltonian, monomials: Hamiltonian) -> int:
    place = np.indices(h.shape).reshape(len(h.shape), -1).T
    box = np.array(h.shape)
    longest = 0
    for term in monomials.terms.values():
        assert isinstance(term, Sites)
        at = place[term.table.array // h.space.n_components]
        apart = np.abs(at[..., :, None, :] - at[..., None, :, :])
        longest = max(longest, int(np.minimum(apart, box - apart).max(initial=0)))
    return longest


def _symmetries(h: Hamiltonian) -> tuple[tuple[str, ...], list[IntArray]]:
    """Names of the symmetries of h, and the permutations of sites among them."""
    if h.n_sites == 0:
        return (), []
    keys = jax.random.split(jax.random.key(0), TRIED)
    x = jax.vmap(lambda key: random_configuration(h, key=key))(keys)
    energies = jax.jit(jax.vmap(h))
    before = np.asarray(energies(x))
    known = np.isfinite(before)
    if not known.any():
        return (), []

    def kept(moved: States) -> bool:
        after = np.asarray(energies(moved))
        if not np.array_equal(np.isfinite(after), known):
            return False
        scale = 1 + np.max(np.abs(before[known]))
        rounding = np.sqrt(np.finfo(before.dtype).eps)
        return bool(np.all(np.abs(after[known] - before[known]) <= rounding * scale))

    names = [name for name, move in _global_moves(h) if kept(move(x))]
    found = [(name, p) for name, p in _site_moves(h) if kept(_moved(h, x, p))]
    return (*names, *(name for name, _ in found)), [p for _, p in found]


def _moved(h: Hamiltonian, x: States, permutation: IntArray) -> States:
    by_site = x.reshape(TRIED, h.n_sites, *h.space.event_shape)
    return by_site[:, permutation].reshape(x.shape)


def _global_moves(h: Hamiltonian) -> Iterator[tuple[str, Callable[[States], States]]]:
    """Transformations of what a site may be, the same at all sites."""
    space = h.space
    if isinstance(space, Finite):
        q, points = space.n_states, jnp.asarray(space.array, h.dtype)

        def relabelled(order: IntArray) -> Callable[[States], States]:
            def move(x: States) -> States:
                label = labels(space, x.reshape(-1, space.n_components))
                return points[jnp.asarray(order)[label]].reshape(x.shape)

            return move

        if q == 2:
            yield "spin flip: both states exchanged at all sites", relabelled(np.array([1, 0]))
            return
        yield f"all {q} states of a site moved on by one", relabelled(np.roll(np.arange(q), -1))
        yield "the order of the states reversed", relabelled(np.arange(q)[::-1])
        yield "two states exchanged", relabelled(np.array([1, 0, *range(2, q)]))
    elif isinstance(space, Sphere):
        n = space.n_components
        turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0], h.dtype)
        yield f"all spins turned alike, O({n})", lambda x: x @ turn
    if isinstance(space, Line | Product):
        yield "x to -x", lambda x: -x
    if isinstance(space, Line):
        yield "a constant added to all sites", lambda x: x + jnp.ones((), x.dtype)


def _site_moves(h: Hamiltonian) -> Iterator[tuple[str, IntArray]]:
    """Permutations of the sites of the box."""
    sites = np.arange(h.n_sites).reshape(h.shape)
    if h.n_sites < 2 or isinstance(h.space, Product):
        return
    for axis, length in enumerate(h.shape):
        if length > 1:
            yield f"translation along axis {axis}", np.roll(sites, -1, axis).reshape(-1)
            yield f"reflection of axis {axis}", np.flip(sites, axis).reshape(-1)
    for a in range(len(h.shape)):
        for b in range(a + 1, len(h.shape)):
            if h.shape[a] == h.shape[b] > 1:
                yield f"axes {a} and {b} exchanged", np.swapaxes(sites, a, b).reshape(-1)
