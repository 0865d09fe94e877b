r"""Finite boxes row by row: a boundary of matrices, kept small.

Rows of a network are operators on the legs between rows. Applied one after the other to what is
outside the box they make a vector too long to write down, which is kept as a product of matrices
along the row,

    psi(s_1 ... s_N) = A_1[s_1] A_2[s_2] ... A_N[s_N],

with chi states between neighbours. A row multiplies that number by the length of its own bond; then
it is cut back to chi: with all tensors to the right as they are and all to the left already cut,

    Theta[left states and s_j, all to the right] = U S V^T,

and the chi leading columns of U are the new A_j. What they leave out is the sum of the other
squares of S, the smallest there can be for this cut (F. Verstraete and J. I. Cirac,
arXiv:cond-mat/0407066; U. Schollwoeck, Ann. Phys. 326, 96 (2011), section 4.5). All to the right
enters through a triangular root of its Gram matrix, so singular values down to rounding are right:
with fields the two vectors hardly overlap, and small ones count. Derivatives follow the subspace
that U spans, from Theta Theta^T (``_factors.leading``).

Two vectors, from below and from above, meet in the middle. Where the box is closed along the rows,
sites are taken in the order 1, N, 2, N - 1, ..., so that the ring is a chain whose bonds carry two.
Where it is closed across the rows, the vector has the legs of the lowest row as well: it is the
operator of half the rows, and the two halves are traced.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.numerics import full_precision, log_or_zero, rescale
from physdl.pytree import module
from physdl.tensors._factors import FRAME, leading

__all__ = ["Contracted", "contract_box", "is_exact"]


@module
class Contracted:
    """The sum over all legs of a box of tensors.

    Attributes:
      log_z: its logarithm.
      discarded: what each row lost, from below and from above, as part of the squared norm.
      overlap: the cosine of the angle between the two vectors that met.
    """

    log_z: Float[Array, ""]
    discarded: Float[Array, "2 n"]
    overlap: Float[Array, ""]


def contract_box(
    tensors: Float[Array, "n_0 n_1 a a b b"], periodic: tuple[bool, ...], chi: int
) -> Contracted:
    """log of the sum over all legs.

    Args:
      tensors: [n_0, n_1, 0-, 0+, 1-, 1+]; where the box is open, outer legs are zero but for the
        first state.
      periodic: the axes along which outer legs are joined.
      chi: the number of states kept.
    """
    rows, ring, closed = _rows(tensors, periodic)
    return _met(_chains(rows, ring=ring), chi, closed=closed)


def is_exact(shape: tuple[int, ...], periodic: tuple[bool, ...], chi: int) -> bool:
    """Whether nothing is cut, for tensors of that shape."""
    axis, ring, _ = _axes(shape, periodic)
    n_half = shape[axis] - shape[axis] // 2
    bond = shape[4 if axis == 0 else 2] ** (2 if ring and shape[1 - axis] > 1 else 1)
    return _n_free(bond, chi, n_half) == n_half


def _axes(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> tuple[int, bool, bool]:
    """The axis across the rows; whether rows are rings; whether the box is closed across them."""
    axis = periodic.index(False) if periodic[0] != periodic[1] else int(shape[1] < shape[0])
    return axis, periodic[1 - axis], periodic[axis]


def _rows(
    tensors: Float[Array, "n_0 n_1 a a b b"], periodic: tuple[bool, ...]
) -> tuple[Float[Array, "rows n w w d d"], bool, bool]:
    axis, ring, closed = _axes(tensors.shape, periodic)
    order = (0, 1, 4, 5, 2, 3) if axis == 0 else (1, 0, 2, 3, 4, 5)
    return jnp.transpose(tensors, order), ring, closed


def _chains(rows: Float[Array, "rows n w w d d"], *, ring: bool) -> Float[Array, "rows n v v d d"]:
    """Rows as open chains: a ring is folded, and every bond carries a bond from either side."""
    if not ring:
        return rows
    n, w, d = rows.shape[1], rows.shape[2], rows.shape[4]
    one = jnp.eye(w, dtype=rows.dtype)
    chain = []
    for place in range(n):
        site = place // 2 if place % 2 == 0 else n - 1 - place // 2
        t = rows[:, site]
        if n == 1:
            folded = jnp.einsum("rxxde->rde", t)[:, None, None]
        elif place == 0:
            folded = jnp.einsum("rmpde->rpmde", t).reshape(-1, 1, w * w, d, d)
        elif place == n - 1:
            folded = t.reshape(-1, w * w, 1, d, d)
        elif place % 2 == 0:
            folded = jnp.einsum("rmpde,xy->rmxpyde", t, one).reshape(-1, w * w, w * w, d, d)
        else:
            folded = jnp.einsum("rmpde,xy->rxpymde", t, one).reshape(-1, w * w, w * w, d, d)
        bond = w * w if n > 1 else 1
        lack = [(0, bond - length) for length in folded.shape[1:3]]
        chain.append(jnp.pad(folded, [(0, 0), *lack, (0, 0), (0, 0)]))
    return jnp.stack(chain, axis=1)


def _n_free(bond: int, chi: int, n_rows: int) -> int:
    """How many rows fit into chi states as they are."""
    n = 0
    while n < n_rows and bond ** (n + 1) <= chi:
        n += 1
    return n


@full_precision
def _met(rows: Float[Array, "rows n w w d d"], chi: int, *, closed: bool) -> Contracted:
    n_rows, n, w, _, d, _ = rows.shape
    n_upper = n_rows // 2
    n_lower = n_rows - n_upper
    none = jnp.zeros((n, w, w, d, d), rows.dtype).at[:, 0, 0].set(jnp.eye(d, dtype=rows.dtype))
    lower = rows[:n_lower]
    upper = jnp.swapaxes(rows[::-1][:n_upper], -1, -2)
    if n_upper < n_lower:
        upper = jnp.concatenate([none[None], upper])
    outer = jnp.eye(d, dtype=rows.dtype) if closed else jnp.eye(1, d, dtype=rows.dtype)
    start = jnp.broadcast_to(outer[None, :, :, None], (n, 1, *outer.shape, 1))
    state, log_scale, discarded = jax.vmap(lambda half: _applied(half, start, chi))(
        jnp.stack([lower, upper])
    )
    below, above = state
    log_z = _log_overlap(below, above)
    held = jax.lax.stop_gradient(state)
    norms = sum(_log_overlap(half, half) for half in held)
    cosine = jnp.exp(jax.lax.stop_gradient(log_z) - norms / 2)
    return Contracted(log_z + jnp.sum(log_scale), discarded, cosine)


def _applied(
    rows: Float[Array, "rows n w w d d"], start: Float[Array, "n k e d k"], chi: int
) -> tuple[Float[Array, "n k e d k"], Float[Array, ""], Float[Array, " rows"]]:
    """The vector after all rows, divided by a factor; the factor's logarithm; what was lost."""
    n_rows, bond = len(rows), rows.shape[2]
    n_free = _n_free(bond, chi, n_rows)
    state, log_scale = start, jnp.zeros((), rows.dtype)
    for row in rows[:n_free]:
        state, more = jax.vmap(rescale)(jax.vmap(_product)(state, row))
        log_scale = log_scale + jnp.sum(more)
    lost = jnp.zeros(n_free, rows.dtype)
    if n_free == n_rows:
        return state, log_scale, lost
    wide = chi - state.shape[1]
    state = jnp.pad(state, [(0, 0), (0, wide), (0, 0), (0, 0), (0, wide)])

    def step(state: Array, row: Array) -> tuple[Array, tuple[Array, Array]]:
        state, more, lost = _row(state, row)
        return state, (more, lost)

    keep = jax.checkpoint_policies.save_only_these_names(FRAME)
    state, (more, later) = jax.lax.scan(jax.checkpoint(step, policy=keep), state, rows[n_free:])
    return state, log_scale + jnp.sum(more), jnp.concatenate([lost, later])


def _product(
    site: Float[Array, "k e d k"], cell: Float[Array, "w w d d"]
) -> Float[Array, "kw e d kw"]:
    """A tensor of the vector with that of the row: [left, outer leg, inner leg, right]."""
    k, e, d, _ = site.shape
    w = cell.shape[0]
    both = jnp.einsum("aedb,wvdf->awefbv", site, cell, optimize=True)
    return both.reshape(k * w, e, d, k * w)


def _row(
    state: Float[Array, "n chi e d chi"], row: Float[Array, "n w w d d"]
) -> tuple[Float[Array, "n chi e d chi"], Float[Array, ""], Float[Array, ""]]:
    """A row applied, and cut to chi states from left to right."""
    _, chi, e, d, _ = state.shape
    w = row.shape[1]
    square, root = _rights(state, row)

    def rightwards(
        left: Array, at: tuple[Array, Array, Array, Array]
    ) -> tuple[Array, tuple[Array, Array, Array]]:
        site, cell, square, root = at
        whole = jnp.einsum("kaw,aedb,wvdf->kefbv", left, site, cell, optimize=True)
        flat = whole.reshape(chi * e * d, chi * w)
        theta = jax.lax.stop_gradient(flat) @ root.reshape(chi * w, chi * w)
        gram = flat @ square.reshape(chi * w, chi * w) @ flat.T
        norm = jax.lax.stop_gradient(jnp.trace(gram))
        u, values = leading(theta / _or_one(jnp.linalg.norm(theta)), gram / _or_one(norm), chi)
        left, more = rescale(u.T @ flat)
        return left.reshape(chi, chi, w), (u.reshape(chi, e, d, chi), more, jnp.sum(values[chi:]))

    edge = jnp.zeros((chi, chi, w), state.dtype).at[0, 0, 0].set(1)
    left, (cut, more, lost) = jax.lax.scan(
        rightwards, edge, (state[:-1], row[:-1], square[:-1], root[:-1])
    )
    last = jnp.einsum("kaw,aed,wdf->kef", left, state[-1, ..., 0], row[-1, :, 0], optimize=True)
    last, log_norm = rescale(last)
    final = jnp.zeros((1, chi, e, d, chi), state.dtype).at[0, ..., 0].set(last)
    return jnp.concatenate([cut, final]), jnp.sum(more) + log_norm, jnp.sum(lost)


def _rights(
    state: Float[Array, "n chi e d chi"], row: Float[Array, "n w w d d"]
) -> tuple[Float[Array, "n chi w chi w"], Float[Array, "n chi w chi w"]]:
    """R R^T of all that is to the right of each site, and R as the triangle of a QR factorisation.

    Each up to a factor. R has the digits that R R^T lacks; it carries no derivative.
    """
    chi, w = state.shape[1], row.shape[1]
    start = jnp.zeros((chi, w, chi, w), state.dtype).at[0, 0, 0, 0].set(1)

    def extended(right: Array, at: tuple[Array, Array]) -> Array:
        site, cell = at
        return jnp.einsum("aedb,wvdf,bvcx->awefcx", site, cell, right, optimize=True)

    def squares(right: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        found = jnp.einsum("awefcx,gehc,yxhf->awgy", extended(right, at), *at, optimize=True)
        return rescale(found)[0], right

    def roots(right: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        flat = extended(right, at).reshape(chi * w, -1)
        triangle = jnp.linalg.qr(flat.T, mode="r").T
        return rescale(triangle.reshape(start.shape))[0], right

    _, square = jax.lax.scan(squares, start, (state, row), reverse=True)
    held = jax.lax.stop_gradient((state, row))
    _, root = jax.lax.scan(roots, start, held, reverse=True)
    return square, root


def _or_one(x: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(x > 0, x, 1)


def _log_overlap(
    below: Float[Array, "n k e d k"], above: Float[Array, "n k e d k"]
) -> Float[Array, ""]:
    k, m = below.shape[1], above.shape[1]
    corner = jnp.zeros((k, m), below.dtype).at[0, 0].set(1)

    def along(left: Array, sites: tuple[Array, Array]) -> tuple[Array, Array]:
        found = jnp.einsum("ab,aedc,bedf->cf", left, *sites, optimize=True)
        return rescale(found)

    end, log_scale = jax.lax.scan(along, corner, (below, above))
    return log_or_zero(end[0, 0]) + jnp.sum(log_scale)
