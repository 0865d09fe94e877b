"""Renormalization maps by their names: for each, where a model lies among its couplings.

A row of ``MAPS`` reads the couplings off a Hamiltonian, or refuses a model that the map does not
have. Maps of field theories have no couplings of a lattice model; of these a model gives the number
of components and the dimension, and a guess says where Newton's method finds the fixed point.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl import rg
from physdl.errors import LatticeError, SettingError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.rg import RGMap
from physdl.spaces import SPIN, Line, Sphere

__all__ = ["MAPS", "Renormalized", "listing"]

NEIGHBOURS = {
    "square": {(0, 1), (1, 0)},
    "triangular": {(0, 1), (1, 0), (1, -1)},
}
KADANOFF = (0.32, 0.11, -0.01, 0.0, 0.0)
UPPER_CRITICAL = 4


@dataclass(frozen=True)
class Renormalized:
    """A map, what its couplings are called, and where a model lies among them.

    Attributes:
      map: the map.
      names: of the couplings.
      couplings: those of the model; ``None`` where the map has none of a microscopic model.
      guess: where Newton's method starts; ``None`` searches along the couplings of the model.
      series: exponents known as series, their partial sums from order 0 on.
      bound: the map whose free energy is the best at these couplings, where it is another.
    """

    map: RGMap
    names: tuple[str, ...]
    couplings: Float[Array, " n"] | None
    guess: Float[Array, " n"] | None = None
    series: dict[str, list[float]] = field(default_factory=dict)
    bound: RGMap | None = None


def _migdal_kadanoff(h: Hamiltonian, scale: float | None) -> Renormalized:
    basis, k = rg.bond_of(h)
    return Renormalized(rg.MigdalKadanoff(_whole(scale or 2), len(h.shape), basis), basis.names, k)


def _limit(h: Hamiltonian, scale: float | None) -> Renormalized:
    basis, k = rg.bond_of(h)
    limit = rg.MigdalKadanoffFlow(len(h.shape), basis, scale or 2.0)
    return Renormalized(limit, basis.names, k)


def _decimation(h: Hamiltonian, scale: float | None) -> Renormalized:
    """Bond moving in one dimension, where nothing is moved."""
    if len(h.shape) != 1:
        raise StructureError(
            f"decimation is exact on a chain, got a lattice of shape {h.shape}: "
            "use --map migdal-kadanoff."
        )
    return _migdal_kadanoff(h, scale)


def _cumulant(h: Hamiltonian, scale: float | None, order: int = 1) -> Renormalized:
    lattice, k, b = _ising_of(h)
    expansion = rg.Cumulant(order, lattice)
    n = expansion.n_neighbours
    names = (*(f"K_{i + 1}" for i in range(n)), "h")
    return _of_blocks(expansion, names, jnp.zeros(n + 1).at[0].set(k).at[n].set(b), scale)


def _second_cumulant(h: Hamiltonian, scale: float | None) -> Renormalized:
    return _cumulant(h, scale, 2)


def _kadanoff(h: Hamiltonian, scale: float | None) -> Renormalized:
    """With the parameter that is best where critical nearest-neighbour models flow."""
    lattice, k, b = _ising_of(h)
    if lattice != "square":
        raise LatticeError("this bound is of the square lattice, got a triangular one.")
    best = jax.jit(rg.best_kadanoff)(jnp.array(KADANOFF))
    names = ("K_1", "K_2", "K_4", "h", "K_3")
    start = _of_blocks(best, names, jnp.zeros(5).at[0].set(k).at[3].set(b), scale)
    return dataclasses.replace(start, bound=jax.jit(rg.tightest_kadanoff)(start.couplings))


def _of_blocks(
    map_: RGMap, names: tuple[str, ...], k: Float[Array, " n"], scale: float | None
) -> Renormalized:
    if scale is not None and not np.isclose(scale, map_.scale):
        raise SettingError(
            f"the blocks of this map have the length ratio {map_.scale:.6g}, got --scale "
            f"{scale:g}: leave it out."
        )
    return Renormalized(map_, names, k)


def _functional(h: Hamiltonian, scale: float | None) -> Renormalized:
    frg = rg.FunctionalRG(_n_components(h), len(h.shape), scale=scale or 2.0)
    guess = frg.guess()
    return Renormalized(frg, tuple(f"lambda_{i}" for i in range(guess.size)), None, guess)


def _epsilon(h: Hamiltonian, scale: float | None) -> Renormalized:
    """One loop, whose functions have a fixed point at any epsilon; higher orders as series."""
    n, dim = _n_components(h), len(h.shape)
    if dim < 2 or (dim == 2 and n > 1):
        raise LatticeError(
            f"a model of {n} components has no ordered phase in {dim} dimensions: the expansion "
            f"about four dimensions takes {2 if n == 1 else 3} or more."
        )
    eps = max(UPPER_CRITICAL - dim, 0)
    flow = rg.EpsilonExpansion(n, UPPER_CRITICAL - dim, loops=1, scale=scale or 2.0)
    found = rg.epsilon_series(n)
    powers = float(eps) ** np.arange(len(found.y_t))
    series = {
        name: np.cumsum(np.asarray(getattr(found, name)) * powers).tolist()
        for name in ("y_t", "eta", "omega")
    }
    guess = jnp.array([0.0, 0.0, float(found.u[1]) * eps])
    return Renormalized(flow, ("h", "r", "u"), None, guess, series)


MAPS: dict[str, tuple[Callable[[Hamiltonian, float | None], Renormalized], str]] = {
    "migdal-kadanoff": (_migdal_kadanoff, "bond moving; nearest-neighbour models of finite spaces"),
    "migdal-kadanoff-limit": (_limit, "bond moving in the limit of small steps"),
    "decimation": (_decimation, "summing out sites of a chain, exact"),
    "cumulant": (_cumulant, "majority blocks, first order; Ising, square and triangular"),
    "cumulant-second": (_second_cumulant, "the same to second order, with three couplings"),
    "kadanoff": (_kadanoff, "potential moving, a lower bound; Ising on the square lattice"),
    "functional": (_functional, "Wetterich's equation of O(n) models, local potential"),
    "epsilon": (_epsilon, "O(n) models in 4 - epsilon dimensions, one loop and series"),
}


def listing() -> str:
    """The maps, one line each."""
    return "\n".join(f"  {name:22s} {what}" for name, (_, what) in MAPS.items())


def _whole(scale: float) -> float:
    return int(scale) if float(scale).is_integer() else scale


def _n_components(h: Hamiltonian) -> int:
    """n of an O(n) model."""
    if h.space == SPIN or isinstance(h.space, Line):
        return 1
    if isinstance(h.space, Sphere):
        return h.space.n_components
    raise SpaceError(f"this map is for O(n) models, got {h.space!r}: use ising or o_n.")


def _ising_of(h: Hamiltonian) -> tuple[str, Array, Array]:
    """The lattice, K and h of an Ising model with one coupling and one field."""
    if h.space != SPIN:
        raise SpaceError(f"this map is for Ising spins, got {h.space!r}: use ising.")
    near: dict[tuple[int, ...], Array] = {}
    b = jnp.zeros((), h.dtype)
    for name, term in h.terms.items():
        if (
            not isinstance(term, Stencil)
            or term.coefficient.ndim
            or term.offsets.array.shape[1] > 2
        ):
            raise StructureError(
                f"this map needs one coupling and one field for all places, but the term {name!r} "
                f"is another: use ising on a periodic square or triangular lattice."
            )
        for monomial in term.offsets.array:
            apart = monomial[-1] - monomial[0]
            if len(monomial) == 1:
                b = b - term.coefficient
                continue
            bond = max(tuple(apart.tolist()), tuple((-apart).tolist()))
            near[bond] = near.get(bond, 0) - term.coefficient
    for lattice, bonds in NEIGHBOURS.items():
        if set(near) == bonds and len({float(k) for k in near.values()}) == 1:
            return lattice, next(iter(near.values())), b
    raise LatticeError(
        f"this map is for the nearest neighbours of the square or the triangular lattice with one "
        f"coupling, got bonds along {sorted(near)} on a lattice of shape {h.shape}."
    )
