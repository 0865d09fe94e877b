r"""Tensors that keep a parity, such as the number of odd legs modulo 2.

A leg of length n = 2 h has its even states first and its odd ones after them. Entries with an odd
number of odd legs vanish, so a tensor of four legs, as a matrix between two pairs of them, is two
blocks of half the size: pairs of equal parities, and pairs of different ones. A product then takes
a quarter of the operations, and a factorisation as well.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import SettingError, ShapeError
from physdl.pytree import IntArray
from physdl.tensors._base import check_chi, padded
from physdl.tensors._factors import NEGLIGIBLE, Factors, factors

__all__ = ["Parity", "check_parity", "cut_in_two", "placed", "product"]

Parity = tuple[int, ...] | None


def check_parity(chi: int, parity: Parity) -> None:
    """Refuse a bond dimension or parities that cannot be."""
    check_chi(chi)
    if parity is not None and (chi % 2 or not set(parity) <= {0, 1}):
        raise SettingError(
            f"parities are 0 or 1 for every state of a bulk leg and go with an even chi, got "
            f"parity={parity}, chi={chi}."
        )


def placed(
    tensor: Float[Array, "l r u d"], chi: int, parity: Parity
) -> Float[Array, "chi chi chi chi"]:
    """The bulk tensor with legs of length chi, their states ordered by parity if there is one.

    Raises:
      ShapeError: the legs do not fit.
    """
    if parity is None:
        return padded(tensor, chi, (2,))
    labels = np.asarray(parity, dtype=int)
    most = max(int(np.sum(labels == p)) for p in (0, 1))
    if np.shape(tensor) != (len(labels),) * 4 or most > chi // 2:
        raise ShapeError(
            f"parities of {len(labels)} states, {most} of them equal, need four such legs and "
            f"chi={2 * most} or more, got shape {np.shape(tensor)}, chi={chi}."
        )
    place = np.empty(len(labels), dtype=int)
    for p in (0, 1):
        place[labels == p] = p * (chi // 2) + np.arange(np.sum(labels == p))
    empty = jnp.zeros((chi,) * 4, tensor.dtype)
    return empty.at[np.ix_(*[place] * 4)].set(tensor)


def cut_in_two(
    matrix: Float[Array, "nn nn"], chi: int, root: int = 2, parity: Parity = None
) -> Factors:
    """``factors`` of a matrix between pairs of legs, half of the chi states for each parity."""
    if parity is None:
        return factors(matrix, chi, root)
    at, half = _pairs(matrix.shape[0]), chi // 2
    found = jax.vmap(lambda block: factors(block, half, root))(_blocks(matrix))
    states = np.arange(chi).reshape(2, half)
    rows, columns = at[:, :, None], states[:, None, :]
    square = jnp.zeros((chi, chi), matrix.dtype)
    inner = (states[:, :, None], states[:, None, :])
    kept = jnp.sort(found.values[:, :half].ravel())[::-1]
    values = jnp.append(kept, jnp.max(found.values[:, half]))
    whole = jax.lax.stop_gradient(jnp.sum(matrix**2))
    whole = jnp.where(whole > 0, whole, 1)
    even = jax.lax.stop_gradient(jnp.sum(_blocks(matrix) ** 2))
    lost = jnp.maximum(1 - jnp.sum(kept**2) / whole, 0)
    return Factors(
        jnp.zeros((len(matrix), chi), matrix.dtype).at[rows, columns].set(found.scaled),
        square.at[inner].set(found.root),
        square.at[inner].set(found.inverse),
        jnp.zeros((chi, len(matrix)), matrix.dtype)
        .at[states[:, :, None], at[:, None, :]]
        .set(found.right),
        values,
        jnp.sqrt(lost),
        jnp.any(found.cut) | (even < (1 - NEGLIGIBLE) * whole),
    )


def product(
    a: Float[Array, "nn nn"], b: Float[Array, "nn nn"], parity: Parity = None
) -> Float[Array, "nn nn"]:
    """The product of two matrices between pairs of legs."""
    if parity is None:
        return a @ b
    at = _pairs(len(a))
    return jnp.zeros_like(a).at[at[:, :, None], at[:, None, :]].set(_blocks(a) @ _blocks(b))


def _pairs(n_pairs: int) -> IntArray:
    """The pairs of equal parities, and those of different ones, [2, n_pairs / 2]."""
    n = round(n_pairs**0.5)
    odd = np.arange(n) >= n // 2
    differ = (odd[:, None] ^ odd[None, :]).ravel()
    return np.stack([np.flatnonzero(~differ), np.flatnonzero(differ)])


def _blocks(matrix: Float[Array, "nn nn"]) -> Float[Array, "2 n2 n2"]:
    at = _pairs(len(matrix))
    return matrix[at[:, :, None], at[:, None, :]]
