r"""Decimation: some sites are summed out exactly, the others stay as they are.

In one dimension it closes. With W(s, s') = exp(-E(s, s')) the weight of a bond, summing out b - 1
of b sites leaves a chain of bonds

    exp(-E'(s, s') - c) = (W^b)(s, s'),        w = -c / b,

for any finite space and any table E (K. G. Wilson, Rev. Mod. Phys. 47, 773 (1975); D. R. Nelson
and M. E. Fisher, Ann. Phys. 91, 226 (1975)). For the Ising chain tanh K' = tanh^b K without a
field. Matrix powers are taken in the log domain, so couplings may be as large as floats are.

On any other graph the sites that are summed out leave couplings between all their neighbours.
``decimate`` does that for the sites one names, and drops what is of too high a degree or reaches
too far; the dropped energy is the error.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.hamiltonian.factors import require_finite
from physdl.pytree import IntArray, Table, module, static
from physdl.rg._base import RGStep
from physdl.rg._matrix import log_power

__all__ = ["Decimation", "decimate"]


@cites("wilson1975", "nelson1975")
@module
class Decimation:
    """b - 1 of b sites of a chain are summed out, exactly.

    The couplings are the energies E(s, s') of a bond, a table [q, q] with ``+inf`` where two states
    may not be neighbours; or the vector [K, h] of the Ising chain, H = -sum(K s s' + h s).

    The energies out have their lowest at 0, so what is left after n steps counts at most
    b^(-n) log q for a symmetric table, however large the couplings are.

    Attributes:
      scale: b, an integer of 2 or more.

    Raises:
      SettingError: ``scale`` is not an integer, or less than 2.

    >>> from physdl import rg
    >>> step = rg.Decimation(scale=2)(jnp.array([0.7, 0.0]))
    >>> bool(jnp.isclose(jnp.tanh(step.couplings[0]), jnp.tanh(0.7) ** 2, rtol=1e-5))
    True
    >>> potts = -1.5 * jnp.eye(3)
    >>> f = rg.free_energy(rg.Decimation(scale=3), potts)
    >>> bool(jnp.isclose(f, -jnp.log(jnp.exp(1.5) + 2), rtol=1e-5))
    True
    """

    scale: int = static(default=2)

    def __post_init__(self) -> None:
        whole = isinstance(self.scale, int | np.integer) and not isinstance(self.scale, bool)
        if not whole or self.scale < 2:
            raise SettingError(f"decimation leaves one of b >= 2 sites, got scale={self.scale!r}.")

    @property
    def dim(self) -> int:
        """A chain."""
        return 1

    def __call__(self, couplings: Float[Array, "..."]) -> RGStep[Float[Array, "..."]]:
        """The couplings of the chain of every b-th site.

        Raises:
          ShapeError: the couplings are neither a square table nor the vector [K, h].
        """
        k = jnp.asarray(couplings)
        if k.shape == (2,):
            ising = jnp.array([[k[0] + k[1], -k[0]], [-k[0], k[0] - k[1]]])
            w = log_power(ising, self.scale)
            up, across, down = w[0, 0], (w[0, 1] + w[1, 0]) / 2, w[1, 1]
            after = jnp.stack([((up - across) + (down - across)) / 4, (up - down) / 2])
            constant = -(up / 2 + down / 2 + across) / 2
        elif k.ndim == 2 and k.shape[0] == k.shape[1] and k.size:
            energies = -log_power(-k, self.scale)
            constant = jnp.min(energies)
            after = energies - constant
        else:
            raise ShapeError(
                f"a chain is given by a table of energies [q, q] or by the Ising vector [K, h], "
                f"got shape {k.shape}."
            )
        return RGStep(after, -constant / self.scale, jnp.zeros((), k.dtype))


def decimate(
    h: Hamiltonian,
    sites: ArrayLike,
    *,
    degree: int | None = None,
    reach: float | None = None,
    distances: ArrayLike | None = None,
) -> RGStep[Hamiltonian]:
    """Sum out sites of any Hamiltonian on a finite space, and keep a polynomial of the rest.

    The polynomial has one term per degree, each monomial once, and no constant, which is
    ``log_weight``. Sites that are left are renumbered in ascending order.

    ``error`` is the sum of ``|c| max|monomial|`` over what is dropped, per site: log Z per site is
    off by no more than that, and every energy by no more than that times the number of sites.

    Args:
      h: weight exp(-h), tables finite.
      sites: the sites to sum out.
      degree: monomials of a higher degree are dropped; ``None`` keeps all.
      reach: monomials with two sites further apart are dropped; ``None`` keeps all.
      distances: [n_sites, n_sites] between the sites of ``h``; ``None`` counts the bonds between
        them, two sites being bonded where a term holds both.

    Raises:
      SpaceError: the space is not finite.
      SettingError: ``degree`` is less than 1 or ``reach`` negative.
      ShapeError: the distances do not fit the sites.
      SupportError: a site does not exist or is named twice.
      TooLargeError: a cluster of summed sites has too many neighbours for a table.

    >>> from physdl import lattices, models
    >>> square = models.ising(lattices.square(4, 4), 0.3)
    >>> odd = [i for i in range(16) if (i // 4 + i % 4) % 2]
    >>> exact, cut = decimate(square, odd), decimate(square, odd, degree=2)
    >>> exact.couplings.degree, float(exact.error), cut.couplings.degree, bool(cut.error > 0)
    (4, 0.0, 2, True)
    """
    if degree is not None and degree < 1:
        raise SettingError(f"a polynomial is kept to degree 1 or more, got degree={degree}.")
    if reach is not None and not reach >= 0:
        raise SettingError(f"a reach is a distance of 0 or more, got reach={reach}.")
    space = require_finite(h.space, "decimation")
    polynomial = h.marginalise(sites).expand()
    rest = np.setdiff1d(np.arange(h.n_sites), np.asarray(sites).reshape(-1))
    between = None if reach is None else _distances(h, distances)[np.ix_(rest, rest)]
    largest = np.abs(space.padded(h.n_sites)[rest]).reshape(-1)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    kept: dict[str, Sites] = {}
    constant = error = jnp.zeros((), h.dtype)
    for name, term in polynomial.terms.items():
        assert isinstance(term, Sites)
        rows = term.table.array
        if rows.shape[1] == 0:
            constant = jnp.sum(term.coefficient)
            continue
        near = _near(rows // space.n_components, degree, reach, between)
        bound = jnp.asarray(np.prod(largest[rows], axis=1), h.dtype)
        error = error + jnp.sum(jnp.abs(term.coefficient[~near]) * bound[~near])
        if near.any():
            kept[name] = Sites(term.coefficient[near], Table(rows[near]))
    after = Hamiltonian(dict(kept), space=polynomial.space, shape=polynomial.shape)
    return RGStep(after, -constant / h.n_sites, error / h.n_sites)


def _near(
    sites: IntArray, degree: int | None, reach: float | None, between: NDArray[np.float64] | None
) -> NDArray[np.bool_]:
    """Which monomials, rows of sites, are kept."""
    keep = np.full(len(sites), degree is None or sites.shape[1] <= degree)
    if between is not None:
        spans = between[sites[:, :, None], sites[:, None, :]].max(axis=(1, 2))
        keep &= spans <= reach
    return keep


def _distances(h: Hamiltonian, given: ArrayLike | None) -> NDArray[np.float64]:
    n = h.n_sites
    if given is not None:
        matrix = np.asarray(given, dtype=np.float64)
        if matrix.shape != (n, n):
            raise ShapeError(f"{n} sites have distances of shape {(n, n)}, got {matrix.shape}.")
        return matrix
    pairs = [
        scopes[:, [a, b]]
        for scopes in (p.sites.array for p in h.potentials())
        for a in range(scopes.shape[1])
        for b in range(a)
    ]
    first, second = np.concatenate(pairs).T if pairs else np.empty((2, 0), int)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(n, n)).tocsr()
    hops: NDArray[np.float64] = dijkstra(graph, directed=False, unweighted=True)
    return hops
