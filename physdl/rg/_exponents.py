r"""Exponents: the eigenvalues of a map at its fixed point, by automatic differentiation.

    lambda_a = b^(y_a),        y_a = log |lambda_a| / log b,

with lambda the eigenvalues of the Jacobian dk'/dk (F. J. Wegner, Phys. Rev. B 5, 4529 (1972)); of a
continuous group the y are the eigenvalues of d beta / d k themselves. y > 0 is relevant: the
scaling field of that direction grows under coarsening, and must be tuned to reach criticality.

The right eigenvectors are the directions in coupling space, the left ones the scaling fields
u_a = l_a . (k - k*), and the observables that scale.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from physdl.pytree import module
from physdl.rg._base import RGFlow, RGMap, RGStatus, flat_map
from physdl.rg._fixed_point import couplings_of

__all__ = ["Exponents", "exponents", "exponents_of_matrix"]

MARGINAL = 1e-8
COMPLEX = 1e-8


@module
class Exponents:
    """Scaling dimensions of a fixed point, sorted from the most relevant on.

    Attributes:
      y: the exponents, descending; ``-inf`` where an eigenvalue is zero.
      eigenvalues: of the linearised map, or of the derivative of ``beta``, in that order.
      right: column a is the direction of the a-th scaling field in the space of couplings.
      left: row a is the a-th scaling field; ``left @ right`` is the identity.
      status: an ``RGStatus``; UNCONVERGED where the couplings are no fixed point, COMPLEX where a
        relevant eigenvalue or the leading irrelevant one is complex.
    """

    y: Float[Array, " n"]
    eigenvalues: Complex[Array, " n"]
    right: Complex[Array, "n n"]
    left: Complex[Array, "n n"]
    status: Int[Array, ""]

    def kinds(self, tolerance: float = MARGINAL) -> tuple[str, ...]:
        """``"relevant"``, ``"marginal"`` or ``"irrelevant"`` for every exponent."""
        names = ("irrelevant", "marginal", "relevant")
        return tuple(names[1 + (y > tolerance) - (y < -tolerance)] for y in self.y.tolist())


def exponents(rg: RGMap, at: Any) -> Exponents:
    """The exponents of a map at a fixed point, given as ``FixedPoint`` or as couplings.

    Differentiable once in the parameters of the map, through the fixed point as well.

    >>> from physdl import rg
    >>> mk = rg.MigdalKadanoff(scale=2, dim=2)
    >>> found = rg.exponents(mk, rg.fixed_point(mk, jnp.array([0.3])))
    >>> bool(jnp.isclose(found.y[0], 0.747236, atol=1e-5)), found.kinds()
    (True, ('relevant',))
    """
    found: Exponents = _exponents(rg, couplings_of(at))
    return found


@jax.jit
def _exponents(rg: RGMap, at: Any) -> Exponents:
    moved, flat, _ = flat_map(rg, at)
    jacobian = jax.jacfwd(moved)(flat)
    continuous = isinstance(rg, RGFlow)
    matrix = jacobian if continuous else jacobian + jnp.eye(len(flat), dtype=flat.dtype)
    found = exponents_of_matrix(matrix, None if continuous else rg.scale)
    there = jnp.max(jnp.abs(moved(flat)), initial=0.0)
    tolerance = float(np.finfo(flat.dtype).eps) ** 0.5 * (1 + jnp.max(jnp.abs(flat), initial=0.0))
    status = jnp.where(there <= tolerance, found.status, RGStatus.UNCONVERGED.value)
    return Exponents(found.y, found.eigenvalues, found.right, found.left, status.astype(jnp.int32))


def exponents_of_matrix(matrix: Float[Array, "n n"], scale: Any = None) -> Exponents:
    """The exponents of a linearised map of length ratio ``scale``; of d beta / d k without one.

    >>> found = exponents_of_matrix(jnp.array([[0.5, 0.0], [0.0, 2.0]]), scale=2)
    >>> found.y.tolist()
    [1.0, -1.0]
    """
    held = jax.lax.stop_gradient(matrix)
    finite = jnp.all(jnp.isfinite(held))

    def order_of(v: Array) -> Array:
        return jnp.argsort(-(jnp.real(v) if scale is None else jnp.abs(v)), stable=True)

    with_vectors, vectors = jnp.linalg.eig(jnp.where(finite, held, 0))
    right = vectors[:, order_of(with_vectors)]
    values = jnp.linalg.eigvals(jnp.where(finite, matrix, 0))
    values = values[order_of(values)]
    if scale is None:
        y = jnp.real(values)
    else:
        square = jnp.real(values) ** 2 + jnp.imag(values) ** 2
        zero = square == 0
        y = jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1, square)) / 2) / jnp.log(scale)
    largest = jnp.max(jnp.abs(values), initial=0.0)
    leading = jnp.arange(len(y)) <= jnp.sum(y > 0)
    spiral = jnp.any(leading & (jnp.abs(jnp.imag(values)) > COMPLEX * largest))
    status = jnp.select(
        [~finite, spiral], [RGStatus.LEFT.value, RGStatus.COMPLEX.value], RGStatus.OK.value
    )
    y = jnp.where(finite, y, jnp.nan)
    left = jnp.linalg.pinv(right)
    return Exponents(y, values, right, left, status.astype(jnp.int32))
