r"""Uniform matrix product states as fixed points of a transfer matrix (VUMPS).

The row-to-row transfer matrix of an infinite lattice, T[l, r, u, d] in a row, has a leading
eigenvector of equal tensors A_L, ..., A_L, A_C, A_R, ..., A_R with A_C = A_L C = C A_R. With the
environments L and R of half a row between the state and itself,

    A_C -> L A_C T R,     C -> L C R,

have leading eigenvectors; the isometries nearest to both give A_L and A_R again
(V. Zauner-Stauber et al., Phys. Rev. B 97, 045145 (2018); M. T. Fishman et al., Phys. Rev. B 98,
235148 (2018)). The half plane below a row is such a state too, of T with y+ and y- exchanged, and
the same one where that leaves T unchanged. Between the two,

    Z per tensor = lambda(A_L T B_L) / lambda(A_L B_L),

A above, B below, lambda the leading eigenvalues of transfer matrices along the row; errors of
either state enter in second order only.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.numerics import full_precision, svd
from physdl.pytree import module, static
from physdl.tensors._base import check_chi, check_impurity, check_iteration, frobenius, padded
from physdl.tensors.environment import decay

__all__ = ["VUMPS", "HalfPlane", "UniformMPS"]

Carry: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]

POWERS = 8
LEAST_TOLERANCE = 200

_sum = functools.partial(jnp.einsum, optimize="optimal")


@module
class HalfPlane:
    """The uniform state that half a plane leaves on its boundary.

    Attributes:
      centre: A_C [chi, leg, chi].
      bond: C.
    """

    centre: Float[Array, "chi leg chi"]
    bond: Float[Array, "chi chi"]

    @property
    def isometries(self) -> tuple[Float[Array, "chi leg chi"], Float[Array, "chi leg chi"]]:
        """A_L and A_R: the nearest to A_C = A_L C = C A_R, by polar decompositions."""
        chi, d, _ = self.centre.shape
        turn = _polar(self.bond)
        left = _polar(self.centre.reshape(chi * d, chi)) @ turn.T
        right = turn.T @ _polar(self.centre.reshape(chi, d * chi))
        return left.reshape(chi, d, chi), right.reshape(chi, d, chi)

    @property
    def spectrum(self) -> Float[Array, " chi"]:
        """Schmidt values, largest first, their squares summing to one."""
        return svd(self.bond)[1]


@module
class UniformMPS:
    """A row of tensors between two half planes.

    Attributes:
      log_z_per_tensor: nats.
      tensor: the bulk tensor.
      above: the state of the half plane above.
      below: of that below, its legs those of the row.
      left: L [chi, leg, chi], half a row between both.
      right: R.
      residual: the norm of A_C - A_L C or A_C - C A_R, the largest.
      n_steps: how many steps the slower of both took.
      converged: whether the residual is within the tolerance.
    """

    log_z_per_tensor: Float[Array, ""]
    tensor: Float[Array, "l r u d"]
    above: HalfPlane
    below: HalfPlane
    left: Float[Array, "chi leg chi"]
    right: Float[Array, "chi leg chi"]
    residual: Float[Array, ""]
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]

    @property
    def spectrum(self) -> Float[Array, " chi"]:
        """Schmidt values of the state above, largest first, their squares summing to one."""
        return self.above.spectrum

    @property
    def entropy(self) -> Float[Array, ""]:
        """Of entanglement across a bond of the state above, nats."""
        p = self.spectrum**2
        return -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0))

    @property
    def correlation_length(self) -> Float[Array, ""]:
        """Along the row, in tensors: 1 / log(t_0 / |t_1|) for the two leading eigenvalues t of the
        transfer matrix A_L B_L; infinite where they coincide.

        At a critical point it is finite, and grows with chi: the entropy is c/6 of its logarithm
        (F. Pollmann et al., Phys. Rev. Lett. 102, 255701 (2009)).
        """
        found: Float[Array, ""] = _correlation_length(self.above, self.below)
        return found

    def expectation(self, impurity: Float[Array, "l r u d"]) -> Float[Array, ""]:
        """Z with one tensor replaced by another, over Z; the scale of both tensors counts.

        Raises:
          ShapeError: the legs are not those of the bulk tensor.
        """
        check_impurity(impurity, self.tensor)
        around = _around(self.left, self.above, self.right, self.below)
        return jnp.sum(around * impurity) / jnp.sum(around * _held(self.tensor))


@cites("zauner2018", "fishman2018")
@module
class VUMPS:
    """The leading eigenvectors of a row of tensors, from above and from below.

    Attributes:
      chi: the bond dimension of the states.
      tolerance: of the residual; what is left in log Z is of second order in it.
      max_steps: after how many steps to give up; ``converged`` says so.

    Raises:
      SettingError: ``chi`` is less than 2, or another setting is out of range.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), 0.3))
    >>> found = VUMPS(chi=8)(bulk)
    >>> bool(jnp.isclose(found.log_z_per_tensor, reference.onsager_log_z(0.3), rtol=1e-6))
    True
    """

    chi: int = static(default=24)
    tolerance: float = static(default=1e-9)
    max_steps: int = static(default=500)

    def __post_init__(self) -> None:
        check_chi(self.chi)
        check_iteration(self.tolerance, self.max_steps)

    def __call__(self, tensor: Float[Array, "l r u d"]) -> UniformMPS:
        """Iterate until the states stand still.

        An order of a longer period than one tensor has no uniform state, and does not converge:
        use ``CTMRG``, or a tensor of more sites. First derivatives of log Z are exact at the fixed
        point, which is stationary. The response of the state is not computed: every other
        derivative with respect to the bulk tensor is refused (log Z, ``expectation``) or zero (the
        state itself).

        Raises:
          SettingError: a second derivative of log Z, or one of an expectation, is taken.
          ShapeError: the tensor has no four legs, legs that do not match, or longer ones than chi.
        """
        tensor = jnp.asarray(tensor)
        padded(tensor, self.chi, (2,))
        found: UniformMPS = _solved(self, tensor)
        return found


def _around(left: Array, above: HalfPlane, right: Array, below: HalfPlane) -> Array:
    """The plane without one tensor, T[l, r, u, d]."""
    return _sum("alc,aub,bre,cde->lrud", left, above.centre, right, below.centre)


@jax.custom_jvp
def _log_ratio(tensor: Array, around: Array, between: Array) -> Float[Array, ""]:
    return jnp.log(jnp.abs(jnp.sum(around * tensor) / between))


@_log_ratio.defjvp
def _log_ratio_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    tensor, around, between = primals
    slope = around / jnp.sum(around * _held(tensor))
    return _log_ratio(tensor, around, between), jnp.sum(slope * tangents[0])


@jax.custom_jvp
def _held(tensor: Array) -> Array:
    return tensor


@_held.defjvp
def _held_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    raise SettingError(
        "VUMPS has the first derivative of log Z only: use CTMRG for a second derivative, or for "
        "one of an expectation."
    )


@jax.jit
def _correlation_length(above: HalfPlane, below: HalfPlane) -> Float[Array, ""]:
    one, other = above.isometries[0], below.isometries[0]
    return decay(one, jnp.swapaxes(other, 0, 2), above.bond @ below.bond.T)


def _unit(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return x / frobenius(x)


def _polar(x: Float[Array, "m n"]) -> Float[Array, "m n"]:
    u, _, vt = svd(x, full_matrices=False)
    return u @ vt


def _power(move: Callable[[Array], Array], x: Array) -> Array:
    found: Array = jax.lax.fori_loop(0, POWERS, lambda _, x: _unit(move(x)), x)
    return found


def _from_left(x: Array, above: Array, t: Array, below: Array) -> Array:
    return _sum("alb,auc,lrud,bde->cre", x, above, t, below)


def _from_right(x: Array, above: Array, t: Array, below: Array) -> Array:
    return _sum("cre,auc,lrud,bde->alb", x, above, t, below)


def _half_plane(
    settings: VUMPS, tolerance: float, t: Array, start: HalfPlane
) -> tuple[HalfPlane, Array, Array, Array, Array]:
    """The state above a row, its environments with itself, how many steps, the residual."""

    def step(carry: Carry) -> Carry:
        centre, bond, left, right, count, _ = carry
        a, b = HalfPlane(centre, bond).isometries
        left = _power(lambda x: _from_left(x, a, t, a), left)
        right = _power(lambda x: _from_right(x, b, t, b), right)
        centre = _power(lambda x: _sum("alc,aub,lrud,bre->cde", left, x, t, right), centre)
        bond = _power(lambda x: _sum("alc,ab,ble->ce", left, x, right), bond)
        a, b = HalfPlane(centre, bond).isometries
        off = frobenius(centre - _sum("aub,bc->auc", a, bond))
        other = frobenius(centre - _sum("ab,buc->auc", bond, b))
        return centre, bond, left, right, count + 1, jnp.maximum(off, other)

    ends = _ends(t, settings.chi)
    first = (start.centre, start.bond, ends, ends, jnp.zeros((), jnp.int32), jnp.ones((), t.dtype))
    centre, bond, left, right, count, residual = jax.lax.while_loop(
        lambda c: (c[4] < settings.max_steps) & (c[5] > tolerance), step, first
    )
    return HalfPlane(centre, bond), left, right, count, residual


def _ends(t: Array, chi: int) -> Array:
    eye = jnp.eye(chi, dtype=t.dtype)
    return _unit(jnp.broadcast_to(eye[:, None], (chi, t.shape[0], chi)))


def _leading(
    settings: VUMPS, tolerance: float, move: Callable[[Array], Array], x: Array
) -> tuple[Array, Array, Array]:
    """The eigenvector of the largest eigenvalue, that eigenvalue, and by how much it is missed."""

    def more(carry: tuple[Array, Array, Array, Array]) -> Array:
        return (carry[2] > tolerance) & (carry[3] < settings.max_steps)

    def step(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        x = _power(move, carry[0])
        moved = move(x)
        value = jnp.sum(x * moved)
        return x, value, frobenius(moved / value - x), carry[3] + 1

    one = jnp.ones((), x.dtype)
    x, value, residual, _ = jax.lax.while_loop(more, step, (x, one, one, jnp.zeros((), jnp.int32)))
    return x, value, residual


@full_precision
@functools.partial(jax.jit, static_argnums=0)
def _solved(settings: VUMPS, tensor: Array) -> UniformMPS:
    chi, d = settings.chi, tensor.shape[2]
    tolerance = max(settings.tolerance, LEAST_TOLERANCE * float(np.finfo(tensor.dtype).eps))
    t = jax.lax.stop_gradient(tensor / frobenius(tensor))
    reflected = jnp.swapaxes(t, 2, 3)
    some = jnp.cos(jnp.arange(chi * d * chi, dtype=t.dtype) ** 2).reshape(chi, d, chi)
    start = HalfPlane(_unit(some), _unit(jnp.eye(chi, dtype=t.dtype)))
    above, left, right, count, residual = _half_plane(settings, tolerance, t, start)

    def itself() -> tuple[HalfPlane, Array, Array, Array, Array, Array]:
        return above, left, right, jnp.ones((), t.dtype), count, residual

    def other() -> tuple[HalfPlane, Array, Array, Array, Array, Array]:
        below, *_, n, off = _half_plane(settings, tolerance, reflected, above)
        (a, b), (c, e) = above.isometries, below.isometries
        solve = functools.partial(_leading, settings, tolerance)
        ends = _ends(t, chi)
        x, _, left_off = solve(lambda x: _from_left(x, a, t, c), ends)
        y, _, right_off = solve(lambda x: _from_right(x, b, t, e), ends)
        overlap = solve(lambda x: _sum("ab,auc,bud->cd", x, a, c), start.bond)
        worst = functools.reduce(jnp.maximum, (residual, off, left_off, right_off, overlap[2]))
        return below, x, y, overlap[1], jnp.maximum(count, n), worst

    same = jnp.max(jnp.abs(t - reflected)) <= tolerance
    below, left, right, overlap, count, residual = jax.lax.cond(same, itself, other)
    between = _sum("alc,ab,ble,ce->", left, above.bond, right, below.bond)
    return UniformMPS(
        _log_ratio(tensor, _around(left, above, right, below), between * overlap),
        tensor,
        above,
        below,
        left,
        right,
        residual,
        count,
        residual <= tolerance,
    )
