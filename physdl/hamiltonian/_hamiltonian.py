r"""Hamiltonians as polynomials in the site variables.

    H(x) = sum of terms,        p(x) = exp(-H(x)) / Z,        Z = sum_x exp(-H(x))

H is the *reduced* Hamiltonian: dimensionless, with 1 / (k_B T) absorbed in the coefficients, which
are its data; which sites interact is its structure. So ``jax.grad`` of any function of a
Hamiltonian is again a Hamiltonian, and the gradient of log Z is minus the expected monomials.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import PhysdlError, ShapeError, SpaceError, SupportError
from physdl.hamiltonian import factors, polynomial
from physdl.hamiltonian.condition import condition
from physdl.hamiltonian.factors import Term, require_finite
from physdl.hamiltonian.marginalise import marginalise
from physdl.hamiltonian.potential import Potential
from physdl.pytree import IntArray, is_traced, module, static
from physdl.spaces import Finite, Line, Product, Space, Sphere, without

__all__ = ["Hamiltonian", "conditional_energies"]


@module
class Hamiltonian:
    """A sum of named terms over the sites of one system.

    Attributes:
      terms: name -> ``Sites``, ``Stencil``, ``Dense`` or ``Potential``.
      space: what each site may be.
      shape: shape of a configuration; its product is the number of sites.

    Raises:
      PhysdlError: a term does not fit the space or the shape (the named subclass says how).

    >>> from physdl.hamiltonian import Sites
    >>> from physdl.spaces import SPIN
    >>> ring = Hamiltonian({"bond": Sites(-1.0, [[0, 1], [1, 2], [2, 0]])}, space=SPIN, shape=(3,))
    >>> float(ring(jnp.ones(3))), ring.degree, ring.n_parameters
    (-3.0, 2, 1)
    """

    terms: dict[str, Term]
    space: Space = static()
    shape: tuple[int, ...] = static()

    def __post_init__(self) -> None:
        if not isinstance(self.space, Finite | Line | Sphere | Product):
            raise SpaceError(f"a space is one of physdl.spaces, got {self.space!r}.")
        try:
            shape = tuple(int(n) for n in self.shape)
            exact = shape == tuple(self.shape) and min(shape, default=0) >= 0
        except (TypeError, ValueError):
            exact = False
        if not exact:
            raise ShapeError(
                f"the shape of a configuration is a tuple of integers, got {self.shape!r}."
            )
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "terms", dict(self.terms))
        if isinstance(self.space, Product) and len(self.space.spaces) != self.n_sites:
            raise ShapeError(
                f"a product of {len(self.space.spaces)} spaces does not fit {self.n_sites} sites."
            )
        for name, term in self.terms.items():
            if not isinstance(term, Term):
                raise PhysdlError(
                    f"term {name!r} must be Sites, Stencil, Dense or Potential, "
                    f"got {type(term).__name__}."
                )
            term.check(name, shape, self.space)

    @property
    def n_sites(self) -> int:
        """The number of sites."""
        return int(np.prod(self.shape))

    @property
    def degree(self) -> int:
        """The degree of the polynomial."""
        return max((t.degree(self.space) for t in self.terms.values()), default=0)

    @property
    def n_parameters(self) -> int:
        """The number of independent coefficients."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.terms))

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of a configuration, component axis included."""
        return (*self.shape, *self.space.event_shape)

    @property
    def dtype(self) -> jnp.dtype:
        """Floating type of the coefficients."""
        return jnp.result_type(*jax.tree.leaves(self.terms) or [float])

    def __call__(self, x: ArrayLike) -> Float[Array, ""]:
        """Reduced energy H(x) of one configuration, in k_B T; ``jax.vmap`` for many.

        Raises:
          ShapeError: x has another shape than ``state_shape``.
        """
        state = self._state(x)
        return sum(
            (t.energy(state, self.space) for t in self.terms.values()),
            start=jnp.zeros((), self.dtype),
        )

    def _state(self, x: ArrayLike) -> Float[Array, "*shape c"]:
        x = jnp.asarray(x)
        if x.shape != self.state_shape:
            raise ShapeError(
                f"the energy takes one configuration of shape {self.state_shape}, got {x.shape}: "
                f"for a batch use jax.vmap(h)(batch)."
            )
        return x.astype(self.dtype).reshape(*self.shape, self.space.n_components)

    def __add__(self, other: "Hamiltonian") -> "Hamiltonian":
        """The sum: equal terms add their coefficients, others stand side by side."""
        if not isinstance(other, Hamiltonian):
            return NotImplemented
        if (self.space, self.shape) != (other.space, other.shape):
            raise PhysdlError(
                f"Hamiltonians add on the same sites: got {self.space!r} of shape {self.shape} and "
                f"{other.space!r} of shape {other.shape}."
            )
        terms = dict(self.terms)
        for name, term in other.terms.items():
            while name in terms and not _alike(terms[name], term):
                name += "'"
            terms[name] = jax.tree.map(jnp.add, terms[name], term) if name in terms else term
        return Hamiltonian(terms, space=self.space, shape=self.shape)

    def __mul__(self, beta: ArrayLike) -> "Hamiltonian":
        """Every coefficient times a number; hard constraints stay hard."""
        if isinstance(beta, Hamiltonian) or jnp.ndim(beta) != 0:
            return NotImplemented
        number = jnp.asarray(beta, self.dtype)
        terms = {name: term.scaled(number) for name, term in self.terms.items()}
        return Hamiltonian(terms, space=self.space, shape=self.shape)

    __rmul__ = __mul__
    __array_ufunc__ = None

    def __truediv__(self, temperature: ArrayLike) -> "Hamiltonian":
        """Every coefficient divided by a number."""
        return self * (1.0 / jnp.asarray(temperature, self.dtype))

    def __neg__(self) -> "Hamiltonian":
        """Minus the Hamiltonian."""
        return self * -1.0

    def __sub__(self, other: "Hamiltonian") -> "Hamiltonian":
        """The difference."""
        return self + -other

    def __repr__(self) -> str:
        terms = ", ".join(f"{k}: {type(t).__name__}" for k, t in self.terms.items())
        return f"Hamiltonian({terms}; {self.space!r}, shape {self.shape}; weight exp(-H))"

    def potentials(self) -> tuple[Potential, ...]:
        """The same function as energy tables over distinct groups of sites (finite spaces)."""
        return factors.potentials(self.terms, self.space, self.shape)

    def expand(self) -> "Hamiltonian":
        """The canonical polynomial: one ``Sites`` term per degree, each monomial once.

        On finite spaces the monomials are those of ``monomial_basis`` (x^2 = 1 for ``SPIN``,
        x^2 = x for ``BINARY``), so equal functions have equal expansions. Tables must be finite.
        """
        terms = polynomial.expand(self.terms, self.space, self.shape)
        return Hamiltonian(dict(terms), space=self.space, shape=self.shape)

    def symmetrise(self, permutations: ArrayLike) -> "Hamiltonian":
        """The average over the group generated by site permutations, one coefficient per orbit.

        ``permutations`` is int [n_permutations, n_sites], e.g. ``lattice.symmetries()``;
        ``n_parameters`` of the result counts what symmetry leaves free.
        """
        averaged = polynomial.symmetrise(
            polynomial.expand(self.terms, self.space, self.shape),
            np.asarray(permutations),
            self.n_sites,
            self.space.n_components,
        )
        return Hamiltonian(dict(averaged), space=self.space, shape=self.shape)

    def condition(self, values: Mapping[int, ArrayLike]) -> "Hamiltonian":
        """The Hamiltonian of the other sites when some are fixed: {site: value}.

        A value is a state of the site's space (+1, a unit vector, a level). The remaining sites
        are renumbered in ascending order and the shape becomes (n_remaining,).

        Raises:
          SupportError: a site does not exist, or a value is not in its space.

        >>> from physdl import lattices, models
        >>> h = models.ising(lattices.chain(3), 1.0)
        >>> float(h.condition({0: 1})(jnp.array([1, -1])))  # -(1 - 1 - 1)
        1.0
        """
        sites = self._sites(list(values))
        c = self.space.n_components
        given = [jnp.asarray(v, self.dtype) for v in values.values()]
        for site, value in zip(sites, given, strict=True):
            self._check_value(int(site), value)
        stacked = jnp.stack(given).reshape(-1, c) if given else jnp.zeros((0, c), self.dtype)
        terms = condition(self.terms, self.space, self.shape, sites, stacked)
        return self._on_rest(terms, sites)

    def marginalise(self, sites: ArrayLike) -> "Hamiltonian":
        """Sum out sites exactly: exp(-H'(y)) = sum_z exp(-H(y, z)) (finite spaces).

        The remaining sites are renumbered in ascending order and the shape becomes (n_remaining,).

        Raises:
          SupportError: a site does not exist or is named twice.
          TooLargeError: a cluster of summed sites has too many neighbours for a table.

        >>> from physdl import lattices, models
        >>> h = models.ising(lattices.chain(4), 0.5).marginalise([1, 3])  # decimation
        >>> bond = jnp.log(jnp.cosh(2 * 0.5))  # two bonds of K' = log(cosh 2K) / 2
        >>> bool(jnp.isclose(h(jnp.array([1, -1])) - h(jnp.array([1, 1])), 2 * bond))
        True
        """
        index = self._sites(sites)
        return self._on_rest(marginalise(self.terms, self.space, self.shape, index), index)

    def gauge(self, signs: ArrayLike) -> "Hamiltonian":
        """The Hamiltonian after x_i -> signs_i x_i, signs of +1 and -1: H'(x) = H(signs x).

        Raises:
          SpaceError: the space is not symmetric under x -> -x.
        """
        epsilon = np.asarray(signs).reshape(-1)
        if epsilon.shape != (self.n_sites,) or not np.all(np.abs(epsilon) == 1):
            raise ShapeError(
                f"a gauge transformation takes {self.n_sites} signs of +1 or -1, "
                f"got an array of shape {np.shape(signs)}."
            )
        for space in set(self.space.spaces) if isinstance(self.space, Product) else {self.space}:
            if isinstance(space, Finite) and not _is_even(space):
                raise SpaceError(
                    f"a gauge transformation needs a space with x -> -x, got {space!r}."
                )
        flips = epsilon.astype(int)
        terms = {n: t.gauged(flips, self.shape, self.space) for n, t in self.terms.items()}
        return Hamiltonian(terms, space=self.space, shape=self.shape)

    def _on_rest(self, terms: dict[str, Term], removed: IntArray) -> "Hamiltonian":
        rest = (self.n_sites - len(removed),)
        return Hamiltonian(terms, space=without(self.space, removed), shape=rest)

    def _sites(self, sites: ArrayLike | list[int]) -> IntArray:
        given = np.asarray(sites)
        index = given.reshape(-1).astype(int)
        if given.size and (
            given.dtype.kind not in "iu" or not np.array_equal(index, given.ravel())
        ):
            raise SupportError(f"sites are integers, got {sites!r}.")
        outside = index[(index < 0) | (index >= self.n_sites)]
        if len(outside):
            raise SupportError(
                f"site {outside[0]} does not exist: there are {self.n_sites} sites "
                f"(0 to {self.n_sites - 1})."
            )
        if len(np.unique(index)) != len(index):
            raise SupportError(f"each site may be named once, got {index.tolist()}.")
        return index

    def _check_value(self, site: int, value: Float[Array, "..."]) -> None:
        if value.shape != self.space.event_shape:
            raise ShapeError(
                f"a value of site {site} has shape {self.space.event_shape}, got {value.shape}."
            )
        space = self.space.at(site)
        if isinstance(space, Finite) and not is_traced(value):
            distance = np.abs(space.array - np.asarray(value).reshape(-1)).max(axis=1)
            if not distance.min() < 1e-6:
                raise SupportError(
                    f"site {site} cannot have the value {np.asarray(value).tolist()}: "
                    f"the states of {space!r} are {space.array.squeeze().tolist()}."
                )


def _alike(a: Term, b: Term) -> bool:
    shapes = [[leaf.shape for leaf in jax.tree.leaves(t)] for t in (a, b)]
    structures: list[object] = [jax.tree.structure(t) for t in (a, b)]
    return structures[0] == structures[1] and shapes[0] == shapes[1]


def _is_even(space: Finite) -> bool:
    points = {tuple(np.round(p, 12) + 0.0) for p in space.array}
    return points == {tuple(np.round(-p, 12) + 0.0) for p in space.array}


def conditional_energies(
    h: Hamiltonian, x: ArrayLike, sites: ArrayLike
) -> Float[Array, "*sites q"]:
    """Energies of every state of a site, all others as in ``x``: softmax(-E) is p(x_i | rest).

    Only the terms that contain the site are counted, since the others cancel. ``sites`` is one
    site or an array of sites (it may be traced); each is treated on its own. Where sites have
    different numbers of states, the missing ones have energy ``+inf``.

    Raises:
      SpaceError: the space is not finite.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.chain(4), 1.0)
    >>> conditional_energies(h, jnp.array([1, 1, 1, -1]), 1).tolist()  # neighbours +1, +1
    [2.0, -2.0]
    """
    space = require_finite(h.space, "conditional energies")
    padded = space.padded(h.n_sites)
    missing = jnp.asarray(np.isinf(padded[..., 0]))
    points = jnp.asarray(np.where(np.isinf(padded), 0.0, padded), h.dtype)
    state, index = h._state(x), jnp.asarray(sites).astype(jnp.int32)
    flat = index.reshape(-1)
    total = jnp.zeros((flat.shape[0], padded.shape[1]), h.dtype)
    for term in h.terms.values():
        total = total + term.conditional(state, flat, points)
    total = jnp.where(missing[flat], jnp.inf, total)
    return total.reshape(*index.shape, padded.shape[1])
