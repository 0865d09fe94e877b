r"""Ising models on planar graphs and tori without a field, exactly, in polynomial time.

On two-state sites with pair couplings, H = c - sum_e K_e s_i s_j, the partition function is a sum
over closed subgraphs C (an even number of their edges at every vertex), with t_e = tanh K_e:

    Z = exp(-c) 2^N prod_e cosh K_e  sum_C prod_{e in C} t_e,

and on a planar graph the sum is the square root of the determinant of an antisymmetric matrix with
a row for each half-edge h (the end of an edge e at a vertex):

    A_{h h'} = +-1, if h' is the other end of the edge (Kasteleyn's signs of a planar drawing),
    A_{h h'} = +-t_h t_h' around the same vertex, + if h' comes later in the drawing than h,

where t_h = t_e at one end of each edge and 1 at the other. This is the determinant of M. Kac and
J. C. Ward, Phys. Rev. 88, 1332 (1952), as a Pfaffian (P. W. Kasteleyn, J. Math. Phys. 4, 287
(1963); M. E. Fisher, J. Math. Phys. 7, 1776 (1966)). On a torus four Pfaffians with signs add up.

The determinant is a scan over dense blocks: L^4 operations and L^2 memory for an L x L lattice (L^3
with derivatives).

A field couples every site to one more spin. Where the graph with that spin is still planar (a field
on the sites of one face, a ladder in a field) it is counted too.

Consequence: thousands of disordered spins are exact. At low temperature frustration makes the sum
small beside its terms, and digits are lost. How many is seen by probing the inverses of the pivots,
which are antisymmetric but for rounding; ``Status.PRECISION`` says when too few are left.
"""

import dataclasses
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, Status, exact
from physdl.estimators._kac_ward import Blocks, find_blocks, log_z
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import Term, require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import Table, is_traced, module, static
from physdl.spaces import SPIN

__all__ = ["Planar"]

NEGLIGIBLE = 1e-14
MOST_OPERATIONS = 1e14


@cites("kac1952", "kasteleyn1963", "fisher1966")
@module
class Planar:
    """Exact log Z of Ising models without a field on planar graphs and tori: Kac-Ward determinants.

    A torus is known by the shape of the Hamiltonian: its first two axes are the periods of the box,
    a third one counts the sites of a cell.

    Attributes:
      max_memory: bytes the blocks of the matrix may take.

    Raises:
      SettingError: the memory limit is not positive.
      SpaceError: a site has not two states.
      StructureError: an interaction joins more than two sites or is a hard constraint, or bonds
        (with the field's extra spin) cross in the plane and on the torus.
      TooLargeError: the blocks exceed the memory limit, or take more than 1e14 operations.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(100, 100, periodic=False), 0.44)
    >>> Planar()(h)
    log Z = 9251.968176 (exact) [OK]
    """

    max_memory: int = static(default=4 * 2**30)

    def __post_init__(self) -> None:
        if not self.max_memory > 0:
            raise SettingError(f"max_memory is a positive number of bytes, got {self.max_memory}.")

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        ising = _ising(h)
        blocks = self._blocks(h, ising)
        value, error = log_z(ising.coupling, blocks)
        method = f"Kac-Ward determinant, {len(blocks.inside)} blocks of {blocks.width}"
        out = exact((value - ising.constant).astype(h.dtype), h, method, info={"rounding": error})
        lost = jnp.all(jnp.isfinite(ising.coupling)) & ~(error < np.sqrt(np.finfo(h.dtype).eps))
        status = jnp.where(lost, Status.PRECISION, out.status).astype(jnp.int32)
        return dataclasses.replace(out, status=status)

    def blocks(self, h: Hamiltonian) -> Blocks:
        """The block structure that would be used."""
        return self._blocks(h, _ising(h))

    def _blocks(self, h: Hamiltonian, ising: "_Ising") -> Blocks:
        blocks = find_blocks(ising.n_vertices, ising.edges, h.shape)
        needed = 6 * blocks.width**2 * h.dtype.itemsize
        if needed > self.max_memory:
            raise TooLargeError(
                f"the Kac-Ward matrix has blocks of {blocks.width} half-edges, which take "
                f"{needed:.1e} bytes, above max_memory={self.max_memory}: raise it, or use a "
                f"sampled method."
            )
        if blocks.operations > MOST_OPERATIONS:
            raise TooLargeError(
                f"the Kac-Ward determinants of {len(blocks.inside)} blocks of {blocks.width} "
                f"half-edges take {blocks.operations:.1e} operations, above {MOST_OPERATIONS:.0e}: "
                f"use a smaller lattice or a sampled method."
            )
        return blocks


@jax.jit
def _expanded(h: Hamiltonian) -> Hamiltonian:
    return h.expand()


@dataclass(frozen=True)
class _Ising:
    """Pair couplings over distinct edges of vertices 0, ..., n_vertices - 1.

    A field is the coupling to one more vertex, whose spin doubles Z; ``constant`` contains that.
    """

    n_vertices: int
    edges: Table
    coupling: Float[Array, " n_edges"]
    constant: Float[Array, ""]


def _ising(h: Hamiltonian) -> _Ising:
    sizes = state_counts(require_finite(h.space, "the Kac-Ward determinant"), h.n_sites)
    if np.any(sizes != 2):
        site = int(np.flatnonzero(sizes != 2)[0])
        raise SpaceError(
            f"the Kac-Ward determinant needs two states a site, site {site} has {sizes[site]}: use "
            f"TransferMatrix or Contraction."
        )
    for name, term in h.terms.items():
        table = term.table if isinstance(term, Potential) else jnp.zeros(())
        if not is_traced(table) and np.any(np.isposinf(table)):
            raise StructureError(
                f"the Kac-Ward determinant needs finite energies, term {name!r} forbids states: "
                f"use TransferMatrix or Contraction."
            )
    if h.space != SPIN:
        tables: dict[str, Term] = {str(n): p for n, p in enumerate(h.potentials())}
        h = Hamiltonian(tables, space=SPIN, shape=h.shape)
    constant, pairs, couplings = jnp.zeros((), h.dtype), [np.empty((0, 2), int)], []
    for term in _expanded(h).terms.values():
        sites, c = term.table.array, term.coefficient
        if not is_traced(c):
            used = ~(np.abs(np.asarray(c)) <= NEGLIGIBLE * np.abs(np.asarray(c)).max(initial=0.0))
            sites, c = sites[used], c[used]
        if sites.shape[1] == 0:
            constant = constant + jnp.sum(c)
            continue
        if sites.shape[1] > 2 and len(sites):
            raise StructureError(
                f"the Kac-Ward determinant needs interactions of pairs, sites {sites[0].tolist()} "
                f"interact together: use TransferMatrix, Contraction or a sampled method."
            )
        extra = np.full((len(sites), 2 - sites.shape[1]), h.n_sites)
        pairs.append(np.concatenate([sites, extra], axis=1))
        couplings.append(-c)
    edges = np.concatenate(pairs)
    n_vertices = h.n_sites + int(np.any(edges == h.n_sites))
    constant = constant + (n_vertices - h.n_sites) * math.log(2)
    coupling = jnp.concatenate([jnp.zeros(0, h.dtype), *couplings])
    return _Ising(n_vertices, Table(edges), coupling, constant)
