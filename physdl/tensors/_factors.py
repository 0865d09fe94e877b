r"""Truncated factorisations whose derivatives exist where singular values coincide or vanish.

What a coarse-graining needs of a singular value decomposition A = U S V^T is the projection on the
chi largest singular vectors, up to a rotation of the chi new states. That is a smooth function of A
as long as there is a gap between what is kept and what is discarded; only the single vectors are
not. With the decomposition of A itself as frame, B = U^T A V = diag(s) + U^T dA V, the bases of the
kept spaces are [1; X] and [1; Y] with

    B [1; Y] = [1; X] C,        B^T [1; X] = [1; Y] D,

which is solved by iterations with the linear part held: each of them makes one more derivative
exact (``ORDER`` of them). Square roots of the kept singular values are roots of a matrix in that
frame, found the same way. So no derivative of the decomposition is ever taken, degenerate spectra
need no care, and derivatives compose to second order. Singular values below ``zero_below`` are
taken for exact zeros, which they must then be for nearby A as well: where a rank changes (at
infinite temperature), that part of the derivative is lost.

Where memory is saved by computing a step again on the way back, the frame must be kept (its name is
``FRAME``): equal singular values come out in another rotation when rounding differs.

The split is in the balanced gauge, L^T L = R R^T = S: the tensors that follow know the new states
up to a rotation (the derivative of the split alone was described by H.-J. Liao et al., Phys. Rev. X
9, 031041 (2019), for spectra without degeneracy).
"""

import functools
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float

from physdl.numerics import eigh, full_precision, qr, svd
from physdl.pytree import module

__all__ = [
    "FRAME",
    "NEGLIGIBLE",
    "Factors",
    "divided",
    "factors",
    "isometry",
    "leading",
    "square_root",
    "zero_below",
]

Five: TypeAlias = tuple[Array, Array, Array, Array, Array]
Two: TypeAlias = tuple[Array, Array]

ORDER = 2
FRAME = "frame"
POWER_STEPS = 4
DENSE = 4
SMALLEST_SKETCH = 96
ROUNDING = 100
NEGLIGIBLE = 1e-8
FAINT = 0.05


@module
class Factors:
    """A = U H V^T on the kept states, H the positive matrix of their singular values.

    Attributes:
      scaled: U H, [m, chi].
      root: H^(1 / n), [chi, chi].
      inverse: H^(-1 / n) on the states with singular values above zero.
      right: V^T, [chi, n].
      values: the chi + 1 largest singular values, without derivative (0 where there are fewer).
      error: the discarded part of A, relative to A, in the Frobenius norm.
      cut: whether singular values that are equal were divided.
    """

    scaled: Float[Array, "m chi"]
    root: Float[Array, "chi chi"]
    inverse: Float[Array, "chi chi"]
    right: Float[Array, "chi n"]
    values: Float[Array, " chi_1"]
    error: Float[Array, ""]
    cut: Bool[Array, ""]

    @property
    def halves(self) -> tuple[Float[Array, "m chi"], Float[Array, "chi n"]]:
        """U H^(1 - 1/n) and H^(1/n) V^T: for n = 2 the split in the balanced gauge."""
        return self.scaled @ self.inverse, self.root @ self.right


def zero_below(dtype: jnp.dtype) -> float:
    """Relative size below which a singular value is a zero."""
    return float(np.finfo(dtype).eps ** (2 / 3))


def factors(a: Float[Array, "m n"], chi: int, root: int = 2) -> Factors:
    """The chi largest singular values and vectors; ``root`` is the n of H^(1 / n)."""
    scaled, power, inverse, right, values = _factors(a, chi, root)
    values = jax.lax.stop_gradient(values)
    whole = jax.lax.stop_gradient(jnp.sum(a**2))
    lost = 1 - jnp.sum(values[:chi] ** 2) / jnp.where(whole > 0, whole, 1)
    error = jnp.sqrt(jnp.maximum(lost, 0))
    return Factors(scaled, power, inverse, right, values, error, divided(values))


def divided(values: Float[Array, " chi_1"]) -> Bool[Array, ""]:
    """Whether the last two of chi + 1 values, the last kept and the first discarded, are equal."""
    last, first = values[-2], values[-1]
    return (last > NEGLIGIBLE * values[0]) & (last - first <= NEGLIGIBLE * last)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _factors(a: Array, chi: int, root: int) -> Five:
    u, s, vt = _leading(a, chi + 1)
    s, values = s[:chi], s
    alive = s > zero_below(a.dtype) * s[0]
    power = jnp.where(alive, s, 0) ** (1 / root)
    inverse = jnp.where(alive, 1 / jnp.where(alive, power, 1), 0)
    keep = alive.astype(a.dtype)
    return (
        u[:, :chi] * jnp.where(alive, s, 0)[None],
        jnp.diag(power),
        jnp.diag(inverse),
        keep[:, None] * vt[:chi],
        values,
    )


@_factors.defjvp
@full_precision
def _factors_jvp(
    chi: int, root: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Five, Five]:
    out: tuple[Five, Five] = jax.jvp(
        functools.partial(_expanded, chi=chi, root=root), primals, tangents
    )
    return out


def _as_frame(arrays: Any) -> tuple[Array, ...]:
    named: tuple[Array, ...] = checkpoint_name(tuple(arrays), FRAME)  # type: ignore[no-untyped-call]
    return named


def _leading(a: Array, k: int) -> tuple[Array, Array, Array]:
    """k leading singular triplets, padded by zeros; by subspace iteration where cheaper."""
    m, n = a.shape
    width = 2 * k
    if min(m, n) <= max(DENSE * width, SMALLEST_SKETCH):
        u, s, vt = svd(a, full_matrices=False)
    else:
        start = np.random.default_rng(0).normal(size=(n, width))
        q = a @ jnp.asarray(start, a.dtype)
        for _ in range(POWER_STEPS):
            q = a @ (a.T @ qr(q)[0])
        q = qr(q)[0]
        inner, s, vt = svd(q.T @ a, full_matrices=False)
        u = q @ inner
    lack = max(k - len(s), 0)
    return (
        jnp.pad(u[:, :k], ((0, 0), (0, lack))),
        jnp.pad(s[:k], (0, lack)),
        jnp.pad(vt[:k], ((0, lack), (0, 0))),
    )


def _expanded(a: Array, *, chi: int, root: int) -> Five:
    """The same as an explicit function of a near its held value, exact to ``ORDER`` derivatives."""
    m, n = a.shape
    most = max(m, n, chi + 1)
    held = jax.lax.stop_gradient(a)
    u, s, vt = _as_frame(svd(held, full_matrices=True))
    s = jnp.pad(s, (0, most - len(s)))
    u, vt = jnp.pad(u, ((0, 0), (0, most - m))), jnp.pad(vt, ((0, most - n), (0, 0)))
    b = jnp.diag(s) + u.T @ (a - held) @ vt.T
    kept = s[:chi]
    alive = kept > zero_below(a.dtype) * s[0]
    basis = jnp.eye(most, chi, dtype=a.dtype) * alive[None].astype(a.dtype)
    rest = 1 - jnp.sum(basis, axis=1)[:, None]
    gap = kept[None] ** 2 - s[:, None] ** 2
    inverse_gap = jnp.where(alive[None], rest * _inverse(gap, kept[None] ** 2), 0)
    x = y = jnp.zeros_like(basis)
    for _ in range(ORDER):
        bx, by = b.T @ (basis + x), b @ (basis + y)
        f, g = by - (basis + x) @ by[:chi], bx - (basis + y) @ bx[:chi]
        x, y = (
            x + inverse_gap * (kept[None] * f + s[:, None] * g),
            y + inverse_gap * (s[:, None] * f + kept[None] * g),
        )
    right = _orthonormal(basis, y)
    scaled = b @ right
    power, inverse = _root(scaled.T @ scaled, jnp.where(alive, kept, 0), root)
    return u @ scaled, power, inverse, right.T @ vt, s[: chi + 1]


def _root(square: Array, s: Array, root: int) -> tuple[Array, Array]:
    """H^(1/n) and its inverse from H^2, which is diag(s^2) but for its derivatives."""
    alive = s > 0
    r = jnp.where(alive, s, 0) ** (1 / root)
    degree = 2 * root
    slope = sum(r[:, None] ** k * r[None] ** (degree - 1 - k) for k in range(degree))
    both = alive[:, None] & alive[None]
    inverse_slope = jnp.where(both, 1 / jnp.where(both, slope, 1), 0)
    power = jnp.diag(r)
    for _ in range(ORDER):
        power = power + inverse_slope * (square - jnp.linalg.matrix_power(power, degree))
    inverse = jnp.diag(jnp.where(alive, 1 / jnp.where(alive, r, 1), 0))
    for _ in range(ORDER):
        inverse = 2 * inverse - inverse @ power @ inverse
    return power, inverse


def _orthonormal(basis: Array, y: Array) -> Array:
    """(basis + y) (1 + y^T y)^(-1/2), with the root to third order in y."""
    whole = basis + y
    return whole - whole @ (y.T @ y) / 2


def _inverse(gap: Array, scale: Array) -> Array:
    """1 / gap, and 0 where the gap vanishes beside the scale."""
    width = (zero_below(gap.dtype) * scale) ** 2
    whole = gap**2 + width
    return jnp.where(whole > 0, gap / jnp.where(whole > 0, whole, 1), 0)


def isometry(gram: Float[Array, "n n"], chi: int) -> tuple[Float[Array, "n chi"], Array]:
    """The chi leading eigenvectors of a positive symmetric matrix, and all eigenvalues, descending.

    Where the matrix has fewer than chi columns the rest are zero. Eigenvalues carry no derivative.
    """
    u, values = _isometry(gram, chi)
    return u, jax.lax.stop_gradient(values)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _isometry(gram: Array, chi: int) -> tuple[Array, Array]:
    values, vectors = eigh(gram)
    lack = max(chi - len(values), 0)
    return jnp.pad(vectors[:, ::-1][:, :chi], ((0, 0), (0, lack))), values[::-1]


@_isometry.defjvp
@full_precision
def _isometry_jvp(chi: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Two, Two]:
    out: tuple[Two, Two] = jax.jvp(
        functools.partial(_expanded_isometry, chi=chi), primals, tangents
    )
    return out


def _expanded_isometry(gram: Array, *, chi: int) -> tuple[Array, Array]:
    values, vectors = _as_frame(eigh(jax.lax.stop_gradient(gram)))
    return _in_frame(gram, values[::-1], vectors[:, ::-1], chi, ROUNDING)


def _in_frame(
    gram: Array, values: Array, vectors: Array, chi: int, floor: float
) -> tuple[Array, Array]:
    """The leading eigenvectors near an eigensystem; those below ``floor`` roundings are held."""
    held = jax.lax.stop_gradient(gram)
    n = len(values)
    kept = min(chi, n)
    b = jnp.diag(values) + vectors.T @ (gram - held) @ vectors
    basis = jnp.eye(n, kept, dtype=gram.dtype)
    rest = (jnp.arange(n) >= kept)[:, None]
    alive = _above_rounding(values, floor)[:kept]
    gap = values[None, :kept] - values[:, None]
    inverse_gap = jnp.where(rest & alive[None], _inverse(gap, values[None, :kept]), 0)
    y = jnp.zeros_like(basis)
    for _ in range(ORDER):
        by = b @ (basis + y)
        y = y + inverse_gap * (by - (basis + y) @ by[:kept])
    return vectors @ jnp.pad(_orthonormal(basis, y), ((0, 0), (0, chi - kept))), values


def leading(
    theta: Float[Array, "n m"], gram: Float[Array, "n n"], chi: int
) -> tuple[Float[Array, "n chi"], Float[Array, " n"]]:
    """The chi leading left singular vectors of Theta, and all squares of singular values.

    Small ones are found to more digits than from Theta Theta^T, which gives the derivative alone:
    ``gram`` is that product. Squares of singular values carry no derivative. The vectors are kept
    where memory is saved: the smallest would come out otherwise when rounding differs.
    """
    u, values = _as_frame(_leading_vectors(jax.lax.stop_gradient(theta), gram, chi))
    return u, jax.lax.stop_gradient(values)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _leading_vectors(theta: Array, gram: Array, chi: int) -> tuple[Array, Array]:
    del gram
    u, values = _left_singular(theta)
    return u[:, :chi], values


@_leading_vectors.defjvp
@full_precision
def _leading_vectors_jvp(
    chi: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Two, Two]:
    theta, gram = primals

    def near(gram: Array) -> tuple[Array, Array]:
        u, values = _as_frame(_left_singular(jax.lax.stop_gradient(theta)))
        return _in_frame(gram, values, u, chi, FAINT)

    out: tuple[Two, Two] = jax.jvp(near, (gram,), (tangents[1],))
    return out


def _left_singular(theta: Array) -> tuple[Array, Array]:
    u, s, _ = svd(theta, full_matrices=theta.shape[0] > theta.shape[1])
    return u, jnp.pad(s**2, (0, max(theta.shape[0] - len(s), 0)))


@jax.custom_jvp
def square_root(gram: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """G^(1/2) of a positive symmetric matrix, and its inverse on what is above rounding."""
    values, vectors = eigh(gram)
    s = jnp.sqrt(jnp.where(_above_rounding(values), values, 0))
    inverse = jnp.where(s > 0, 1 / jnp.where(s > 0, s, 1), 0)
    return (vectors * s[None]) @ vectors.T, (vectors * inverse[None]) @ vectors.T


@square_root.defjvp
@full_precision
def _square_root_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Two, Two]:
    out: tuple[Two, Two] = jax.jvp(_expanded_root, primals, tangents)
    return out


def _expanded_root(gram: Array) -> tuple[Array, Array]:
    held = jax.lax.stop_gradient(gram)
    values, vectors = _as_frame(eigh(held))
    s = jnp.sqrt(jnp.where(_above_rounding(values), values, 0))
    b = jnp.diag(s**2) + vectors.T @ (gram - held) @ vectors
    root, inverse = _root(b, s, 1)
    return vectors @ root @ vectors.T, vectors @ inverse @ vectors.T


def _above_rounding(values: Array, floor: float = ROUNDING) -> Array:
    """Which eigenvalues of a Gram matrix are more than rounding."""
    return values > floor * float(np.finfo(values.dtype).eps) * jnp.max(values)
