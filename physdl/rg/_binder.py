"""Binder's ratio of the magnetization at every level of a cascade, and its derivative."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.ensemble import Ensemble
from physdl.rg._moments import BATCH
from physdl.rg.block_spin import BlockMap
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random

__all__ = ["binder_ratio", "magnetic_sums"]


@functools.partial(jax.jit, static_argnames=("coupling", "n_blocks"))
def magnetic_sums(
    ensemble: Ensemble,
    maps: tuple[BlockMap, ...],
    coupling: OperatorBasis,
    key: Key[Array, ""],
    *,
    n_blocks: int,
) -> Float[Array, "n_blocks n_levels 6"]:
    """Sums over blocks of draws of w, w D, w m^2, w m^4, w D m^2 and w D m^4.

    w are the weights of draws, m is the magnetization per site of a level, and D = S_K - <S_K> that
    of the operator of the coupling on the fine lattice.
    """
    kind = jnp.result_type(float)
    x = ensemble.states.reshape(-1, *ensemble.h.state_shape)
    weight = jnp.exp(ensemble.log_weights).reshape(-1).astype(kind) * len(x)

    def look(args: tuple[Array, Array]) -> tuple[Array, Array]:
        levels = [args[0]]
        for step, own in zip(maps, random.split(args[1], len(maps) + 1)[1:], strict=True):
            levels.append(step(levels[-1], key=own))
        squares = [jnp.mean(y.astype(kind)) ** 2 for y in levels]
        return coupling(levels[0])[0].astype(kind), jnp.stack(squares)

    keys = random.split(key, len(x))
    s, square = jax.lax.map(look, (x, keys), batch_size=min(BATCH, len(x)))
    d = jnp.broadcast_to((s - jnp.sum(weight * s) / jnp.sum(weight))[:, None], square.shape)
    columns = [jnp.ones_like(d), d, square, square**2, d * square, d * square**2]
    each = weight[:, None, None] * jnp.stack(columns, axis=-1)
    block = jnp.arange(len(x)) * n_blocks // len(x)
    sums: Array = jax.ops.segment_sum(each, block, n_blocks)
    return sums


def binder_ratio(
    sums: Float[Array, "n_levels 6"],
) -> tuple[Float[Array, " n_levels"], Float[Array, " n_levels"]]:
    """U = 1 - <m^4> / (3 <m^2>^2) and dU/dK at every level."""
    weight, *parts = sums.T
    d, m2, m4, d_m2, d_m4 = (part / weight for part in parts)
    share = m4 / m2**2 / 3
    return 1 - share, -share * ((d_m4 - d * m4) / m4 - 2 * (d_m2 - d * m2) / m2)
