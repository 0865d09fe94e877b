r"""Uniform matrix product states as fixed points of a transfer matrix (VUMPS).

The row-to-row transfer matrix of an infinite lattice, T[l, r, u, d] in a row, has a leading
eigenvector of equal tensors A_L, ..., A_L, A_C, A_R, ..., A_R with A_C = A_L C = C A_R. With the
environments L and R of half a row between the state and itself,

    A_C -> L A_C T R,     C -> L C R,

have leading eigenvectors; the isometries nearest to both give A_L and A_R again
(V. Zauner-Stauber et al., Phys. Rev. B 97, 045145 (2018); M. T. Fishman et al., Phys. Rev. B 98,
235148 (2018)). The leading eigenvalues have the ratio Z per tensor. The state below a row is taken
to be the one above, as it is where the tensor is unchanged by y- <-> y+.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physdl.errors import SettingError
from physdl.numerics import full_precision, svd
from physdl.pytree import module, static
from physdl.tensors._base import check_chi, check_impurity, check_iteration, frobenius, padded

__all__ = ["VUMPS", "UniformMPS"]

Carry: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]

POWERS = 8
LEAST_TOLERANCE = 200


@module
class UniformMPS:
    """A uniform state between two half planes.

    Attributes:
      log_z_per_tensor: nats.
      tensor: the bulk tensor.
      centre: A_C [chi, leg, chi].
      bond: C.
      left: L [chi, leg, chi].
      right: R.
      spectrum: Schmidt values, largest first, their squares summing to one.
      residual: the norm of A_C - A_L C or A_C - C A_R, the larger.
      n_steps: how many steps were made.
      converged: whether the residual is within the tolerance and the tensor symmetric.
    """

    log_z_per_tensor: Float[Array, ""]
    tensor: Float[Array, "l r u d"]
    centre: Float[Array, "chi leg chi"]
    bond: Float[Array, "chi chi"]
    left: Float[Array, "chi leg chi"]
    right: Float[Array, "chi leg chi"]
    spectrum: Float[Array, " chi"]
    residual: Float[Array, ""]
    n_steps: Int[Array, ""]
    converged: Bool[Array, ""]

    @property
    def entropy(self) -> Float[Array, ""]:
        """Of entanglement across a bond, nats."""
        p = self.spectrum**2
        return -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0))

    def expectation(self, impurity: Float[Array, "l r u d"]) -> Float[Array, ""]:
        """Z with one tensor replaced by another, over Z; the scale of both tensors counts.

        Raises:
          ShapeError: the legs are not those of the bulk tensor.
        """
        check_impurity(impurity, self.tensor)
        around = _around(self.centre, self.left, self.right)
        return jnp.sum(around * impurity) / jnp.sum(around * _held(self.tensor))


@module
class VUMPS:
    """The leading eigenvector of a row of tensors unchanged by y- <-> y+.

    Attributes:
      chi: the bond dimension of the state.
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
        """Iterate until the state stands still.

        First derivatives of log Z are exact at the fixed point, which is stationary. The response
        of the state is not computed: every other derivative with respect to the bulk tensor is
        refused (log Z, ``expectation``) or zero (the state itself).

        Raises:
          SettingError: a second derivative of log Z, or one of an expectation, is taken.
          ShapeError: the tensor has no four legs, legs that do not match, or longer ones than chi.
        """
        tensor = jnp.asarray(tensor)
        padded(tensor, self.chi, (2,))
        found: UniformMPS = _state(self, tensor)
        return found


def _around(centre: Array, left: Array, right: Array) -> Float[Array, "l r u d"]:
    return jnp.einsum("alc,aub,bre,cde->lrud", left, centre, right, centre, optimize="optimal")


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


def _unit(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return x / frobenius(x)


def _polar(x: Float[Array, "m n"]) -> Float[Array, "m n"]:
    u, _, vt = svd(x, full_matrices=False)
    return u @ vt


@full_precision
@functools.partial(jax.jit, static_argnums=0)
def _state(settings: VUMPS, tensor: Array) -> UniformMPS:
    chi, d, n = settings.chi, tensor.shape[2], tensor.shape[0]
    tolerance = max(settings.tolerance, LEAST_TOLERANCE * float(np.finfo(tensor.dtype).eps))
    t = jax.lax.stop_gradient(tensor / frobenius(tensor))
    ein = functools.partial(jnp.einsum, optimize="optimal")

    def power(move: Callable[[Array], Array], x: Array) -> Array:
        found: Array = jax.lax.fori_loop(0, POWERS, lambda _, x: _unit(move(x)), x)
        return found

    def isometries(centre: Array, bond: Array) -> tuple[Array, Array]:
        turn = _polar(bond)
        a_left = _polar(centre.reshape(chi * d, chi)) @ turn.T
        a_right = turn.T @ _polar(centre.reshape(chi, d * chi))
        return a_left.reshape(chi, d, chi), a_right.reshape(chi, d, chi)

    def step(carry: Carry) -> Carry:
        centre, bond, left, right, count, _ = carry
        a, b = isometries(centre, bond)
        left = power(lambda x: ein("alb,auc,lrud,bde->cre", x, a, t, a), left)
        right = power(lambda x: ein("cre,auc,lrud,bde->alb", x, b, t, b), right)
        centre = power(lambda x: ein("alc,aub,lrud,bre->cde", left, x, t, right), centre)
        bond = power(lambda x: ein("alc,ab,ble->ce", left, x, right), bond)
        a, b = isometries(centre, bond)
        off = frobenius(centre - ein("aub,bc->auc", a, bond))
        other = frobenius(centre - ein("ab,buc->auc", bond, b))
        return centre, bond, left, right, count + 1, jnp.maximum(off, other)

    some = jnp.cos(jnp.arange(chi * d * chi, dtype=t.dtype) ** 2).reshape(chi, d, chi)
    eye = jnp.eye(chi, dtype=t.dtype)
    ends = jnp.broadcast_to(eye[:, None], (chi, n, chi))
    first = (_unit(some), _unit(eye), _unit(ends), _unit(ends), jnp.zeros((), jnp.int32))
    centre, bond, left, right, count, residual = jax.lax.while_loop(
        lambda c: (c[4] < settings.max_steps) & (c[5] > tolerance),
        step,
        (*first, jnp.ones((), t.dtype)),
    )
    between = ein("alc,ab,ble,ce->", left, bond, right, bond)
    same = jnp.max(jnp.abs(t - jnp.swapaxes(t, 2, 3))) <= tolerance if d == t.shape[3] else False
    return UniformMPS(
        _log_ratio(tensor, _around(centre, left, right), between),
        tensor,
        centre,
        bond,
        left,
        right,
        svd(bond)[1],
        residual,
        count,
        (residual <= tolerance) & same,
    )
