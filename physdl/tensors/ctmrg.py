r"""Corner transfer matrices (T. Nishino and K. Okunishi, J. Phys. Soc. Jpn. 65, 891 (1996)).

The plane around a tensor is four corners and four edges (``environment``). A step absorbs a frame
of tensors, which makes of every corner

    Q_k [c d, c' r] = sum_{a b l u} E_(k-1)[c, l, a] C_k[a, b] E_k[b, u, c'] T[l, r, u, d]

(legs as corner 0 sees them), and cuts its legs of length chi D back to chi on each of the four
lines between corners, by projectors from the corners on both sides,

    Q_(k-1) Q_k = U S V^T,     P_k = Q_k V S^(-1/2),     P~_k = S^(-1/2) U^T Q_(k-1),

    C_k' = P~_k Q_k P_(k+1),     E_k' = P~_(k+1) (E_k T) P_(k+1),

after P. Corboz, T. M. Rice, M. Troyer, Phys. Rev. Lett. 113, 046402 (2014). Where the tensor has
all symmetries of a square, one corner and one edge do. A step takes chi^3 D^3 operations.

Where equal or nearly equal singular values would be divided, fewer than chi states are kept.
Derivatives are those of the fixed point by the implicit function theorem, to second order, in a
gauge in which a step moves the environment to itself; up to that gauge an environment is determined
(A. Francuz, N. Schuch, B. Vanhecke, arXiv:2311.11894). They exist where singular values coincide.

Where a symmetry is spontaneously broken the environment of a symmetric start is the sum of those of
all phases: log Z and its derivatives in symmetric directions are right; a derivative in the
direction of the field, which would be infinite, means nothing. Legs that carry the states of sites
themselves (plaquettes) let the default start bind its ends all round: the value is right, with half
of the states, but the environment is not unique and ``converged`` is false; a ``boundary`` with a
field that is not small avoids both.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from physdl.bibliography import cites
from physdl.numerics import full_precision, svd
from physdl.pytree import module, static
from physdl.tensors._base import check_chi, check_iteration, frobenius, padded
from physdl.tensors._projectors import Projectors, moving, projectors
from physdl.tensors.environment import Environment, log_ratio

__all__ = ["CTMRG"]

Blocks: TypeAlias = tuple[Float[Array, "k chi chi"], Float[Array, "k chi leg chi"]]
Carry: TypeAlias = tuple[Blocks, Projectors, Array, Array, Array]
Pairs: TypeAlias = Callable[[Array, Array, int], Projectors]

QUARTER_TURN = (2, 3, 1, 0)
SQUARINGS = 20
BELIEFS = 3
FORGOTTEN = 0.1
LEAST_TOLERANCE = 200
SOLVED = 10
RESTART, MOST_RESTARTS = 40, 20


@cites("nishino1996", "corboz2014")
@module
class CTMRG:
    """The environment of a tensor of the infinite square lattice.

    In float32 values are good to some 1e-6 and the tolerance is at least 200 roundings.

    Attributes:
      chi: the bond dimension of the environment.
      tolerance: by how much a step may still change normalised corners and weighted edges. What is
        left in log Z is of second order in it.
      max_steps: after how many steps to give up; ``converged`` says so.
      symmetric: whether the tensor is taken to be unchanged by the reflections x- <-> x+, y- <-> y+
        and x <-> y; ``converged`` is false where it is not.

    Raises:
      SettingError: ``chi`` is less than 2, or another setting is out of range.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), [0.3, 0.4]))
    >>> around = CTMRG(chi=16)(bulk)
    >>> bool(around.converged), bool(
    ...     jnp.isclose(around.log_z_per_tensor, reference.onsager_log_z(0.3, 0.4), rtol=1e-6)
    ... )
    (True, True)
    """

    chi: int = static(default=24)
    tolerance: float = static(default=1e-9)
    max_steps: int = static(default=2000)
    symmetric: bool = static(default=False)

    def __post_init__(self) -> None:
        check_chi(self.chi)
        check_iteration(self.tolerance, self.max_steps)

    def __call__(
        self, tensor: Float[Array, "l r u d"], boundary: Float[Array, "l r u d"] | None = None
    ) -> Environment:
        """Grow the environment until it stands still.

        Args:
          tensor: the bulk tensor [x-, x+, y-, y+].
          boundary: the tensor of the places from which the environment starts; a field there
            breaks a symmetry. The bulk by default, with ends that keep all its symmetries.

        Raises:
          ShapeError: a tensor has no four legs, legs that do not match, or longer ones than chi.
        """
        tensor = jnp.asarray(tensor)
        boundary = tensor if boundary is None else jnp.asarray(boundary, tensor.dtype)
        longest = max(jnp.shape(tensor), default=0)
        tensor, boundary = (padded(t, longest, (2,)) for t in (tensor, boundary))
        padded(tensor, self.chi, (2,))
        found: Environment = _environment(self, tensor, boundary)
        return found


@full_precision
@functools.partial(jax.jit, static_argnums=0)
def _environment(settings: CTMRG, tensor: Array, boundary: Array) -> Environment:
    chi, n_turns = settings.chi, 1 if settings.symmetric else 4
    eps = float(np.finfo(tensor.dtype).eps)
    tolerance = max(settings.tolerance, LEAST_TOLERANCE * eps)
    norm = frobenius(tensor)
    bulk = _turned(tensor / norm, n_turns)
    held, begin = jax.lax.stop_gradient((bulk, _turned(boundary, n_turns)))

    def unfinished(carry: Carry) -> Bool[Array, ""]:
        *_, n, residual = carry
        return (n < settings.max_steps) & (residual > tolerance)

    def grow(carry: Carry) -> Carry:
        blocks, _, frames, n, _ = carry
        after, pairs, frames = _step(blocks, frames, held, chi, projectors)
        return after, pairs, frames, n + 1, _change(blocks, after)

    blocks = _start(begin, chi)
    some = jnp.eye(chi * bulk.shape[-1], chi, dtype=tensor.dtype)
    frames = jnp.broadcast_to(some[None], (n_turns, *some.shape))
    after, pairs, frames = _step(blocks, frames, held, chi, projectors)
    first = (after, pairs, frames, jnp.ones((), jnp.int32), _change(blocks, after))
    blocks, pairs, _, n, residual = jax.lax.while_loop(unfinished, grow, first)

    def displacement(blocks: Blocks) -> Blocks:
        after, *_ = _step(blocks, pairs.into, bulk, chi, moving)
        return after[0] - blocks[0], after[1] - blocks[1]

    solve = functools.partial(_solve, tolerance=SOLVED * eps)
    corners, edges = jax.lax.custom_root(displacement, blocks, lambda _, x: x, solve)
    if settings.symmetric:
        corners, edges = (jnp.broadcast_to(x, (4, *x.shape[1:])) for x in (corners, edges))
        residual = jnp.maximum(residual, _asymmetry(held[0]))
    values = pairs.values[0]
    return Environment(
        log_ratio(corners, edges, bulk[0]) + jnp.log(norm),
        tensor,
        corners,
        edges,
        values / jnp.where(values[0] > 0, values[0], 1),
        jnp.max(pairs.error),
        residual,
        n,
        jnp.min(pairs.n_kept),
        jnp.any(pairs.cut),
        residual <= tolerance,
    )


def _solve(f: Callable[[Any], Any], y: Any, tolerance: float) -> Any:
    """f(x) = y for a linear f, by GMRES for f and for its transpose."""

    def krylov(f: Callable[[Any], Any], y: Any) -> Any:
        x, _ = jax.scipy.sparse.linalg.gmres(  # type: ignore[no-untyped-call]
            f, y, tol=tolerance, restart=RESTART, maxiter=MOST_RESTARTS, solve_method="incremental"
        )
        return x

    return jax.lax.custom_linear_solve(f, y, krylov, krylov)


def _turned(tensor: Array, n_turns: int) -> Float[Array, "k l r u d"]:
    """The tensor as every corner sees it."""
    turned = [tensor]
    for _ in range(n_turns - 1):
        turned.append(jnp.transpose(turned[-1], QUARTER_TURN))
    return jnp.stack(turned)


def _asymmetry(t: Float[Array, "l r u d"]) -> Float[Array, ""]:
    turns = [(1, 0, 2, 3), (0, 1, 3, 2), (2, 3, 0, 1)]
    return jnp.max(jnp.stack([jnp.max(jnp.abs(t - jnp.transpose(t, turn))) for turn in turns]))


def _start(bulk: Float[Array, "k l r u d"], chi: int) -> Blocks:
    """Single tensors with vectors for ends.

    The ends are those of a line of tensors closed on themselves across it, as a few turns of belief
    propagation change them: that has every symmetry of the tensor, and binds no end to the next.
    """
    line = jnp.einsum("klruu->klr", bulk)
    for _ in range(SQUARINGS):
        size = jnp.sqrt(jnp.sum(line**2, axis=(1, 2), keepdims=True))
        line = line / jnp.where(size > 0, size, 1)
        line = line @ line
    best = jnp.argmax(jnp.sum(line**2, axis=2), axis=1)
    along = jnp.einsum("klr,kr->kl", line, jnp.take_along_axis(line, best[:, None, None], 1)[:, 0])
    left = jnp.einsum("kl,klr->kr", jnp.where(along < 0, -1, 1).astype(line.dtype), line)
    for _ in range(BELIEFS):
        up, down = jnp.roll(left, -1, 0), jnp.roll(left, -3, 0)
        left = _unit(jnp.einsum("klrud,kl,ku,kd->kr", bulk, left, up, down, optimize="optimal"))
    edges = jnp.einsum("klrud,ku->kldr", bulk, jnp.roll(left, -1, 0))
    corners = jnp.einsum("kldr,kl->kdr", edges, left)
    none, more = (0, 0), (0, chi - bulk.shape[-1])
    return _unit(jnp.pad(corners, (none, more, more))), _unit(
        jnp.pad(edges, (none, more, none, more))
    )


def _step(
    blocks: Blocks,
    frames: Float[Array, "k n chi"],
    bulk: Float[Array, "k l r u d"],
    chi: int,
    pairs: Pairs,
) -> tuple[Blocks, Projectors, Array]:
    """Absorb a frame of tensors; the new states are those nearest to ``frames``.

    Frames to come are the projectors of this step times what the nearest rotation left out. Without
    that, rotations of the environment may follow one another for ever; with it, this is the power
    method for the rotation that relates one environment to the next.
    """
    corners, edges = blocks
    n_turns, legs = bulk.shape[:2]
    grown = jnp.einsum("kpla,kab->kplb", jnp.roll(edges, 1, 0), corners)
    grown = jnp.einsum("kplb,kbuc->kpluc", grown, edges)
    grown = jnp.einsum("kpluc,klrud->kpdcr", grown, bulk)
    grown = grown.reshape(n_turns, chi * legs, chi * legs)
    behind = jnp.roll(grown, 1, 0)
    found = jax.vmap(lambda q, r: pairs(q, r, chi))(behind, grown)
    turn, stretch = jax.lax.stop_gradient(_polar(found.out @ frames))
    into, out = found.into @ turn, jnp.swapaxes(turn, 1, 2) @ found.out
    next_into, next_out = jnp.roll(into, -1, 0), jnp.roll(out, -1, 0)
    new_corners = out @ grown @ next_into
    wide = jnp.einsum("kmbl,kbuc->kmluc", next_out.reshape(n_turns, chi, chi, legs), edges)
    wide = jnp.einsum("kmluc,klrud->kmdcr", wide, bulk)
    new_edges = jnp.einsum("kmdcr,kcrn->kmdn", wide, next_into.reshape(n_turns, chi, legs, chi))
    sign = _signs(corners, new_corners)[:, None, None]
    into, out, new_corners = sign * into, sign * out, sign * new_corners * jnp.roll(sign, -1, 0)
    held = Projectors(into, out, found.values, found.error, found.n_kept, found.cut)
    shape = (n_turns, chi, legs, chi)
    frames = jnp.einsum("kab,kblc->kalc", stretch, into.reshape(shape)).reshape(into.shape)
    return (_unit(new_corners), _unit(new_edges)), *jax.lax.stop_gradient((held, frames))


def _unit(x: Float[Array, "k ..."]) -> Float[Array, "k ..."]:
    square = jnp.sum(x**2, tuple(range(1, x.ndim)), keepdims=True)
    return x / jnp.sqrt(jnp.where(square > 0, square, 1))


def _signs(old: Float[Array, "k chi chi"], new: Float[Array, "k chi chi"]) -> Float[Array, " k"]:
    """Signs of the projectors, which edges do not know, such that no corner changes its own."""
    along = jnp.where(jnp.sum(old * new, axis=(1, 2)) < 0, -1, 1)
    return jnp.roll(jnp.cumprod(along), 1).at[0].set(1).astype(new.dtype)


def _polar(
    x: Float[Array, "k chi chi"],
) -> tuple[Float[Array, "k chi chi"], Float[Array, "k chi chi"]]:
    """The nearest rotation, and what x is beyond it, relative to its largest singular value.

    What is left out is not let vanish: a start without overlap would be lost for ever.
    """
    u, s, vt = jax.vmap(svd)(x)
    s = jnp.maximum(s / jnp.where(s[:, :1] > 0, s[:, :1], 1), FORGOTTEN)
    return u @ vt, jnp.einsum("kia,ki,kib->kab", vt, s, vt)


def _change(old: Blocks, new: Blocks) -> Float[Array, ""]:
    """The largest change of a corner, or of an edge with its corners: states weigh what they do."""
    corners = jnp.max(jnp.abs(new[0] - old[0]))
    return jnp.maximum(corners, jnp.max(jnp.abs(_weighted(new) - _weighted(old))))


def _weighted(blocks: Blocks) -> Float[Array, "k chi leg chi"]:
    corners, edges = blocks
    return jnp.einsum("kab,kbsc,kcd->kasd", corners, edges, jnp.roll(corners, -1, 0))
