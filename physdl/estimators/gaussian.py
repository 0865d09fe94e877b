r"""Gaussian fields in closed form.

A polynomial of degree two on the line is H(x) = c - b . x + x^T A x / 2, and

    log Z = (N / 2) log 2 pi - (1 / 2) log det A + b^T A^-1 b / 2 - c.

A and b are read off the Hamiltonian by differentiation, so every kind of term is understood.
"""

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Key

from physdl.errors import SpaceError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, Status, exact
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.spaces import LINE

__all__ = ["Gaussian"]

MATRICES = 12


@module
class Gaussian:
    """Exact log Z of a field with a quadratic Hamiltonian; cost N^3.

    A quadratic form that is not positive definite gives ``inf`` and ``Status.DIVERGENT``; one that
    is singular within rounding, such as a massless periodic field, gives ``Status.PRECISION``.

    Attributes:
      max_memory: bytes the matrices may take.

    Raises:
      SpaceError: the space is not ``LINE``.
      StructureError: the degree is above two.
      TooLargeError: the matrices would exceed ``max_memory``.

    >>> from physdl import lattices, models
    >>> h = models.gaussian(lattices.chain(8), r=0.5)
    >>> eigenvalues = 2 * (0.5 + 2 - 2 * jnp.cos(2 * jnp.pi * jnp.arange(8.0) / 8))
    >>> expected = jnp.sum(jnp.log(2 * jnp.pi / eigenvalues)) / 2
    >>> bool(jnp.isclose(Gaussian()(h).log_z, expected, rtol=1e-12))
    True
    """

    max_memory: int = static(default=4 * 2**30)

    @jax.jit
    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        if h.space != LINE:
            raise SpaceError(f"a Gaussian integral needs the space LINE, got {h.space!r}.")
        if h.degree > 2:
            raise StructureError(
                f"a Gaussian integral needs degree at most 2, got degree {h.degree}: use "
                f"Quadrature or a sampled method."
            )
        n = h.n_sites
        needed = MATRICES * n**2 * h.dtype.itemsize
        if needed > self.max_memory:
            raise TooLargeError(
                f"a Gaussian integral over {n} sites takes {needed:.1e} bytes, above "
                f"max_memory={self.max_memory}: raise it or use a smaller lattice."
            )
        origin = jnp.zeros(h.shape, h.dtype)
        form = jax.hessian(h)(origin).reshape(n, n)
        source = -jax.grad(h)(origin).reshape(n)
        factor = jnp.linalg.cholesky(form)
        positive = jnp.all(jnp.isfinite(factor))
        factor = jnp.where(positive, factor, jnp.eye(n, dtype=h.dtype))
        rounding = n * float(np.finfo(h.dtype).eps) * jnp.max(jnp.diagonal(form), initial=0.0)
        precise = jnp.all(jnp.diagonal(factor) ** 2 > rounding)
        white = jsl.solve_triangular(factor, source, lower=True)
        log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
        log_z = 0.5 * (n * jnp.log(2 * jnp.pi) - log_det + jnp.sum(white**2)) - h(origin)
        value, method = jnp.where(positive, log_z, jnp.inf), f"Gaussian integral over {n} sites"
        out = exact(value, h, method, precise=precise)
        status = jnp.where(positive, out.status, Status.DIVERGENT).astype(jnp.int32)
        return Estimate(
            out.log_z, out.stderr, out.lower, out.upper, status, {}, method=out.method, n_sites=n
        )
