r"""The surroundings of one tensor of an infinite square lattice: four corners and four edges.

    C_0  E_0  C_1
    E_3   T   E_1        C_k [c, c'],   E_k [c, leg, c'],   clockwise: edge k follows corner k
    C_3  E_2  C_2

stand for the whole plane. Any product of them is a ratio of partition functions, so per tensor

    log Z = log( Z(C E C; E T E; C E C) Z(C C; C C) / (Z(C E C; C E C) Z(C C; E E; C C)) ),

and an expectation value is the plane with one other tensor in the middle, over the plane.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physdl.pytree import module
from physdl.tensors._base import check_impurity

__all__ = ["Environment", "decay", "log_ratio", "site"]

KRYLOV = 96


@module
class Environment:
    """What a contraction of the infinite lattice leaves.

    Attributes:
      log_z_per_tensor: nats.
      tensor: the bulk tensor.
      corners: C_0 to C_3.
      edges: E_0 to E_3.
      spectrum: singular values of half the plane cut along a line, largest first, relative to the
        largest: their squares are the weights of the states on the cut.
      error: what the cut to chi discards there, in the Frobenius norm, relative.
      residual: by how much the last step changed corners and weighted edges.
      n_steps: how many tensors the boundary is away.
      n_kept: how many of the chi states are used; multiplets are not divided.
      cut: whether one had to be, since the singular values have no gap.
      converged: whether the residual is within the tolerance.
    """

    log_z_per_tensor: Float[Array, ""]
    tensor: Float[Array, "l r u d"]
    corners: Float[Array, "4 chi chi"]
    edges: Float[Array, "4 chi leg chi"]
    spectrum: Float[Array, " chi"]
    error: Float[Array, ""]
    residual: Float[Array, ""]
    n_steps: Int[Array, ""]
    n_kept: Int[Array, ""]
    cut: Bool[Array, ""]
    converged: Bool[Array, ""]

    def expectation(self, impurity: Float[Array, "l r u d"]) -> Float[Array, ""]:
        """Z with one tensor replaced by another, over Z; the scale of both tensors counts.

        Raises:
          ShapeError: the legs are not those of the bulk tensor.
        """
        check_impurity(impurity, self.tensor)
        found: Float[Array, ""] = _expectation(self, impurity)
        return found

    @property
    def correlation_length(self) -> Float[Array, "2"]:
        """Along x and y, in tensors: 1 / log(t_0 / |t_1|) for the two leading eigenvalues t of the
        transfer matrix between opposite edges; infinite where they coincide."""
        found: Array = _correlation_length(self.corners, self.edges)
        return found


@jax.jit
def _expectation(environment: Environment, impurity: Array) -> Float[Array, ""]:
    c, e = environment.corners, environment.edges
    return site(c, e, impurity) / site(c, e, environment.tensor)


def site(
    c: Float[Array, "4 chi chi"], e: Float[Array, "4 chi leg chi"], t: Float[Array, "l r u d"]
) -> Float[Array, ""]:
    """Z of nine blocks, a tensor in the middle."""
    upper, lower = _cap(c, e, 0), _cap(c, e, 2)
    with_left = jnp.einsum("xly,yuz->xluz", e[3], upper)
    with_tensor = jnp.einsum("xluz,lrud->xdzr", with_left, t)
    return jnp.einsum("xdzr,zrw,wdx->", with_tensor, e[1], lower)


def _cap(c: Array, e: Array, k: int) -> Float[Array, "chi leg chi"]:
    """Corner, edge, corner."""
    return jnp.einsum("ab,bsc,cd->asd", c[k], e[k], c[(k + 1) % 4])


def log_ratio(
    c: Float[Array, "4 chi chi"], e: Float[Array, "4 chi leg chi"], t: Float[Array, "l r u d"]
) -> Float[Array, ""]:
    """log Z per tensor."""
    four = jnp.trace(c[0] @ c[1] @ c[2] @ c[3])
    rows = jnp.einsum("asd,dsa->", _cap(c, e, 0), _cap(c, e, 2))
    columns = jnp.einsum("asd,dsa->", _cap(c, e, 1), _cap(c, e, 3))
    return jnp.log(site(c, e, t) * four / (rows * columns))


@jax.jit
def _correlation_length(c: Array, e: Array) -> Float[Array, "2"]:
    return jnp.stack([_length(c, e, 0), _length(c, e, 1)])


def _length(c: Array, e: Array, k: int) -> Float[Array, ""]:
    return decay(e[k], e[(k + 2) % 4], c[(k + 1) % 4] @ c[(k + 2) % 4])


def decay(
    one: Float[Array, "chi leg chi"],
    other: Float[Array, "chi leg chi"],
    near: Float[Array, "chi chi"],
) -> Float[Array, ""]:
    """The length 1 / log(t_0 / |t_1|) of the transfer matrix v -> one v other, summed over legs.

    By Arnoldi's method, from a vector that ``near`` and a fixed direction make.
    """
    n = one.shape[0]

    def move(v: Array) -> Array:
        return jnp.einsum("asb,bc,csd->ad", one, v, other)

    m = min(n * n, KRYLOV)
    tilt = jnp.cos(jnp.arange(n * n, dtype=one.dtype)).reshape(n, n)
    first = near / jnp.linalg.norm(near) + tilt / jnp.linalg.norm(tilt)
    basis = jnp.zeros((m + 1, n * n), one.dtype).at[0].set(first.ravel() / jnp.linalg.norm(first))

    def grow(basis: Array, j: Array) -> tuple[Array, Array]:
        w = move(basis[j].reshape(n, n)).ravel()
        h = basis @ w
        w = w - h @ basis
        again = basis @ w
        w = w - again @ basis
        size = jnp.linalg.norm(w)
        alive = size > 1e2 * float(np.finfo(one.dtype).eps) * jnp.linalg.norm(h)
        w = jnp.where(alive, w / jnp.where(alive, size, 1), 0)
        h = (h + again).at[j + 1].set(jnp.where(alive, size, 0))
        return basis.at[j + 1].set(w), h

    _, columns = jax.lax.scan(grow, basis, jnp.arange(m))
    values = jnp.sort(jnp.abs(jnp.linalg.eigvals(columns[:, :m].T)))[::-1]
    return 1 / jnp.log(values[0] / values[1])
