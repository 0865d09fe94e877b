r"""Hamiltonians of few sites as tables of numbers: one energy for each configuration.

An audit is exact, so everything is a table: H(v) a vector [n_v], a joint E(v, h) a matrix
[n_v, n_h], a kernel T(v, h) the same. Configurations are numbered in C order of the sites, the
first site slowest, and of the points of their spaces: the order of the axes of a ``Potential``.

Consequence: the size is bounded by memory. Tables have at most 2^24 entries; beyond, what remains
is sampling (``sampled_jensen_gap``).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import ShapeError, SupportError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.spaces import SPIN, Finite, Product

__all__ = ["check_entries", "configuration", "energy_table", "hamiltonian_of", "joint_table"]

MOST_ENTRIES = 2**24
BATCH = 2**12


def energy_table(h: Hamiltonian | ArrayLike) -> Float[Array, " n_states"]:
    """H(v) of every configuration, in k_B T, shape [n_states]; a vector is passed on.

    Raises:
      SpaceError: the space is not finite.
      ShapeError: what is given is neither a Hamiltonian nor a vector.
      TooLargeError: there are more than 2^24 configurations.

    >>> from physdl import lattices, models
    >>> energy_table(models.ising(lattices.chain(2, periodic=False), 0.5)).tolist()
    [-0.5, 0.5, 0.5, -0.5]
    """
    if isinstance(h, Hamiltonian):
        space = require_finite(h.space, "a table of energies")
        sizes = state_counts(space, h.n_sites).tolist()
        check_entries(sizes, f"the energies of {h.n_sites} sites")
        out: Array = _energies(h)
        return out
    table = jnp.asarray(h, dtype=float)
    if table.ndim != 1:
        raise ShapeError(
            f"energies are a Hamiltonian or a vector of one number a configuration, got shape "
            f"{table.shape}."
        )
    return table


def joint_table(e: Hamiltonian, visible: NumpyArrayLike) -> Float[Array, "n_v n_h"]:
    """E(v, h) as a matrix, from a Hamiltonian of visible and hidden sites.

    Args:
      e: over all sites.
      visible: the sites of v; all others are h, in ascending order.

    Raises:
      SupportError: a visible site does not exist or is named twice.
      TooLargeError: there are more than 2^24 configurations.

    >>> from physdl import models
    >>> rbm = models.rbm(jnp.array([[0.3], [-0.2]]), jnp.zeros(2), jnp.zeros(1))
    >>> joint_table(rbm, [0, 1]).shape
    (4, 2)
    """
    sites = np.asarray(visible).reshape(-1)
    if len(np.unique(sites)) != len(sites) or not np.all(np.isin(sites, np.arange(e.n_sites))):
        raise SupportError(
            f"visible sites are distinct numbers from 0 to {e.n_sites - 1}, got {sites.tolist()}."
        )
    table = energy_table(e)
    space = require_finite(e.space, "a table of energies")
    sizes = state_counts(space, e.n_sites).tolist()
    hidden = np.setdiff1d(np.arange(e.n_sites), sites)
    axes = [*sites.astype(int).tolist(), *hidden.tolist()]
    n_v = math.prod(sizes[i] for i in sites.astype(int).tolist())
    return jnp.transpose(table.reshape(sizes), axes).reshape(n_v, -1)


def hamiltonian_of(
    energies: ArrayLike, shape: tuple[int, ...], *, space: Finite | Product = SPIN
) -> Hamiltonian:
    """The Hamiltonian with these energies: one ``Potential`` of all sites.

    Raises:
      ShapeError: there is not one energy for each configuration.

    >>> h = hamiltonian_of([0.0, 1.0, 1.0, 0.5], (2,)).expand()
    >>> h.terms["degree_2"].coefficient.tolist()
    [-0.375]
    """
    table = energy_table(jnp.asarray(energies, dtype=float))
    sizes = state_counts(space, math.prod(shape)).tolist()
    if table.shape != (math.prod(sizes),):
        raise ShapeError(
            f"{len(sizes)} sites have {math.prod(sizes)} configurations, got {len(table)} energies."
        )
    sites = np.arange(len(sizes))[None]
    return Hamiltonian({"all": Potential(table.reshape(sizes), sites)}, space=space, shape=shape)


def configuration(
    number: Int[Array, ""], shape: tuple[int, ...], space: Finite | Product
) -> Float[Array, "*state"]:
    """The configuration of a number in C order."""
    n_sites = math.prod(shape)
    sizes = state_counts(space, n_sites)
    strides = np.cumprod([1, *sizes[:0:-1]])[::-1].astype(np.int32)
    labels = (number.astype(np.int32) // strides) % sizes.astype(np.int32)
    points = np.nan_to_num(space.padded(n_sites), posinf=0.0)
    x = jnp.asarray(points, float)[np.arange(n_sites), labels]
    return x.reshape(*shape, *space.event_shape)


def check_entries(sizes: list[int], what: str) -> None:
    """Raise when the product of sizes is beyond what a table may have."""
    log2 = sum(math.log2(n) for n in sizes)
    if log2 > math.log2(MOST_ENTRIES) + 1e-9:
        raise TooLargeError(
            f"{what} would need a table of 2^{log2:.1f} entries, more than 2^24: audit a smaller "
            f"system, or sample (sampled_jensen_gap)."
        )


@jax.jit
def _energies(h: Hamiltonian) -> Float[Array, " n_states"]:
    space = require_finite(h.space, "a table of energies")
    n = math.prod(state_counts(space, h.n_sites).tolist())

    def energy(number: Int[Array, ""]) -> Float[Array, ""]:
        return h(configuration(number, h.shape, space))

    out: Array = jax.lax.map(energy, jnp.arange(n, dtype=np.int32), batch_size=min(n, BATCH))
    return out
