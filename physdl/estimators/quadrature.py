r"""Real fields by Gauss's quadrature: every site on n points, and then any exact method.

    integral dx exp(-H(x)) = sum_k prod_i w_k(i) exp(-H(R t_k(1), R t_k(2), ...)),

with t_k and w_k the nodes and weights of Gauss and Legendre on [-R, R]. So a real site becomes one
of n states with the energy -log w_k, a monomial of degree d takes a factor R^d, and what is left is
a finite model, for which locality pays as for any other: a chain costs n^2 a site, a strip of width
L costs n^(L + 1).

R is where H has risen by 60 k_B T above its least value, along every axis, along the uniform
direction and along the eigenvectors of the second derivatives at zero. The integrand is analytic
and small at the ends, so the error falls exponentially with n; it is measured, by fewer nodes on a
wider interval.

Consequence: for few sites, for chains and narrow strips, log Z to rounding and all its derivatives.
The interval is centred at zero: shift a field whose distribution lies far away from it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError
from physdl.estimators._base import Estimate, Estimator, Status
from physdl.estimators.contraction import Contraction
from physdl.hamiltonian import Hamiltonian, Potential, Sites, Term
from physdl.pytree import module, static
from physdl.spaces import Finite, Line, Product, Space, finite, product

__all__ = ["Quadrature"]

RISE = 60.0
LEAST, MOST, N_TRIED = 1e-4, 1e6, 401
WIDER, FEWER = 1.15, 0.85
FEWEST = 8


@cites("golub1969")
@module
class Quadrature:
    """log Z of real fields, alone or mixed with finite sites, by Gauss-Legendre quadrature.

    ``info``: ``"radius"``, R; ``"change"``, by how much log Z differs with fewer nodes on a wider
    interval. Where that is above the tolerance the status is QUADRATURE and no error is claimed;
    where H does not rise, it is DIVERGENT.

    Attributes:
      n_nodes: points of every real site.
      radius: R; ``None`` finds it.
      tolerance: of ``change``, in nats.
      estimator: of the finite model; ``None`` is ``Contraction``.

    Raises:
      SettingError: a setting is out of range.
      SpaceError: no site is real.
      TooLargeError: the finite model is too large for the estimator.

    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.chain(1, periodic=False), r=0.5, u=0.0)
    >>> out = Quadrature()(h)
    >>> bool(abs(out.log_z - jnp.log(2 * jnp.pi) / 2) < 1e-12)
    True
    """

    n_nodes: int = static(default=64)
    radius: float | None = static(default=None)
    tolerance: float = static(default=1e-8)
    estimator: Estimator | None = static(default=None)

    def __post_init__(self) -> None:
        if self.n_nodes < FEWEST:
            raise SettingError(f"quadrature takes {FEWEST} nodes or more, got {self.n_nodes}.")
        if (self.radius is not None and not self.radius > 0) or not self.tolerance > 0:
            raise SettingError(
                f"radius and tolerance are positive, got {self.radius!r} and {self.tolerance!r}."
            )

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        if not self.applies(h):
            raise SpaceError(f"quadrature is for sites on LINE, got {h.space!r}: use Auto.")
        held = jax.lax.stop_gradient(h)
        radius = _radius(held) if self.radius is None else jnp.asarray(self.radius, h.dtype)
        fewer = max(FEWEST - 1, math.floor(FEWER * self.n_nodes))
        estimate = self._summed(h, radius, self.n_nodes)
        other = self._summed(held, WIDER * radius, fewer).log_z
        change = jnp.abs(jax.lax.stop_gradient(estimate.log_z) - other)
        confined, coarse = jnp.isfinite(radius), ~(change <= self.tolerance)
        log_z = jnp.where(confined, estimate.log_z, jnp.inf)
        status = jnp.where(coarse, Status.QUADRATURE.value, estimate.status)
        status = jnp.where(confined, status, Status.DIVERGENT.value).astype(jnp.int32)
        free = jnp.full_like(log_z, jnp.inf)
        return Estimate(
            log_z,
            jnp.where(coarse & confined, jnp.nan, jnp.zeros_like(log_z)),
            -free,
            free,
            status,
            {"radius": radius, "change": change},
            method=f"quadrature with {self.n_nodes} nodes a site: {estimate.method}",
            n_sites=h.n_sites,
        )

    def applies(self, h: Hamiltonian) -> bool:
        """Whether there is a real site to be summed over nodes."""
        return bool(_real_sites(h.space, h.n_sites).any())

    def _summed(self, h: Hamiltonian, radius: Float[Array, ""], n: int) -> Estimate:
        return (self.estimator or Contraction())(discretised(h, radius, n))


def discretised(h: Hamiltonian, radius: Float[Array, ""], n_nodes: int) -> Hamiltonian:
    """The finite model whose log Z is the quadrature's."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    line = finite(nodes.tolist(), name=f"{n_nodes} nodes")
    real = _real_sites(h.space, h.n_sites)
    space: Space = line
    if isinstance(h.space, Product):
        space = product([line if isinstance(s, Line) else s for s in h.space.spaces])
    scale = jnp.where(jnp.isfinite(radius), radius, 1).astype(h.dtype)
    terms = {name: _scaled(term, h, scale, real) for name, term in h.terms.items()}
    measure = -jnp.asarray(np.log(weights), h.dtype) - jnp.log(scale)
    terms[_free_name(terms)] = Potential(measure, np.flatnonzero(real)[:, None])
    return Hamiltonian(terms, space=space, shape=h.shape)


def _free_name(terms: dict[str, Term]) -> str:
    name = "measure"
    while name in terms:
        name += "'"
    return name


def _scaled(term: Term, h: Hamiltonian, scale: Float[Array, ""], real: np.ndarray) -> Term:
    """The term in units of R: each monomial times R to the number of its real factors."""
    if isinstance(term, Potential):
        return term
    if real.all() and not isinstance(term, Sites):
        return term.scaled(scale ** term.degree(h.space))
    rows: Sites = term if isinstance(term, Sites) else term.to_sites(h.shape, h.space)
    table = rows.table.array
    n, degree = len(table), table.shape[-1]
    summed = table.shape[1] if table.ndim == 3 else 1
    each = jnp.repeat(jnp.broadcast_to(rows.coefficient, (n,)), summed)
    monomials = table.reshape(n * summed, degree)
    factors = np.sum(real[monomials], axis=-1)
    return Sites(each * scale ** jnp.asarray(factors, h.dtype), monomials)


def _real_sites(space: Space, n_sites: int) -> np.ndarray:
    return np.array([isinstance(space.at(site), Line) for site in range(n_sites)])


def _radius(h: Hamiltonian) -> Float[Array, ""]:
    """Beyond which H lies above its least value by ``RISE`` along every direction tried."""
    real = _real_sites(h.space, h.n_sites)
    origin = np.array([0.0 if is_real else _first(h.space, i) for i, is_real in enumerate(real)])
    base = jnp.asarray(origin, h.dtype)

    def energy(z: Array) -> Array:
        return h((base + z).reshape(h.shape))

    curvature = jax.hessian(energy)(jnp.zeros_like(base))
    _, vectors = jnp.linalg.eigh(jnp.where(jnp.isfinite(curvature), curvature, 0))
    mask = jnp.asarray(real, h.dtype)
    axes = jnp.eye(len(base), dtype=h.dtype)[np.flatnonzero(real)]
    directions = jnp.concatenate([axes, mask[None], vectors.T * mask[None]])
    size = jnp.max(jnp.abs(directions), axis=1, keepdims=True)
    directions = directions / jnp.where(size > 0, size, 1)
    grid = jnp.asarray(np.geomspace(LEAST, MOST, N_TRIED), h.dtype)

    def reach(direction: Array) -> Array:
        both = jnp.stack([grid, -grid])
        energies = jax.vmap(jax.vmap(lambda t: energy(t * direction)))(both)
        least = jnp.minimum(jnp.min(energies), energy(jnp.zeros_like(base)))
        inside = jnp.any(~(energies - least > RISE), axis=0)
        last = N_TRIED - 1 - jnp.argmax(inside[::-1])
        bounded = ~inside[-1]
        beyond = grid[jnp.minimum(last + 1, N_TRIED - 1)]
        return jnp.where(jnp.any(inside), jnp.where(bounded, beyond, jnp.inf), grid[0])

    return jnp.max(jax.vmap(reach)(directions))


def _first(space: Space, site: int) -> float:
    kind = space.at(site)
    assert isinstance(kind, Finite)
    return float(kind.array[0, 0])
