"""Moments of operators at every level of a cascade of block maps, in constant memory.

A configuration x_0 is coarsened to x_1 = R(x_0), x_2, ...; at every level l the operators have the
values S_a(x_l). What is kept are sums over blocks of draws of S, of S S^T at one level, of
S(x_l) S(x_(l-1))^T between neighbours and of S(x_l) S(x_0)^T with the first. All are relative to a
fixed reference value, so that they stay small and float32 keeps what it can. Every covariance
follows from them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl import statistics
from physdl.ensemble import Ensemble
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.rg.block_spin import BlockDecimation, BlockMap, Majority
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random
from physdl.sampling._kernel import Kernel, configurations
from physdl.spaces import SPIN, Space
from physdl.statistics import Mean

__all__ = ["Sums", "as_modules", "jackknife", "narrow", "of_ensemble", "streamed"]

BATCH = 64


@module
class Sums:
    """Sums over blocks of draws of weights w and of deviations D_l of the operators at level l.

    Attributes:
      weight: sum of w, [n_blocks].
      first: sum of w D_l, [n_blocks, n_levels, n].
      own: sum of w D_l D_l^T, [n_blocks, n_levels, n, n].
      cross: sum of w D_l D_(l-1)^T for l >= 1, [n_blocks, n_levels - 1, n, n].
      start: sum of w D_l D_0^T, [n_blocks, n_levels, n, n].
    """

    weight: Float[Array, "*blocks"]
    first: Float[Array, "*blocks n_levels n"]
    own: Float[Array, "*blocks n_levels n n"]
    cross: Float[Array, "*blocks n_steps n n"]
    start: Float[Array, "*blocks n_levels n n"]

    def total(self) -> "Sums":
        """The sums over all blocks."""
        out: Sums = jax.tree.map(lambda v: jnp.sum(v, axis=0), self)
        return out

    def covariances(self) -> tuple[Array, Array, Array]:
        """cov(S_l, S_l), cov(S_l, S_(l-1)) and cov(S_l, S_0) of one block."""
        mean = self.first / self.weight
        own = self.own / self.weight - mean[:, :, None] * mean[:, None, :]
        cross = self.cross / self.weight - mean[1:, :, None] * mean[:-1, None, :]
        return own, cross, self.start / self.weight - mean[:, :, None] * mean[:1, None, :]


def jackknife(f: Callable[[Sums], Array], sums: Sums) -> Mean:
    """A function of the sums of all blocks, by jackknife over blocks."""
    leaves, structure = jax.tree.flatten(sums)
    flat = jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    sizes = np.cumsum([leaf[0].size for leaf in leaves])[:-1]

    def of_blocks(blocks: Array) -> Array:
        parts = jnp.split(jnp.mean(blocks, axis=0), sizes)
        shaped = [p.reshape(leaf.shape[1:]) for p, leaf in zip(parts, leaves, strict=True)]
        return f(jax.tree.unflatten(structure, shaped))

    return statistics.jackknife(of_blocks, flat, n_blocks=len(flat))


@module
class _Function:
    """A plain function as a module, so that it may be an argument of compiled code."""

    f: Callable[..., Array] = static()

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        return self.f(x, key=key)


def as_modules(maps: Sequence[BlockMap]) -> tuple[BlockMap, ...]:
    """The maps, plain functions wrapped."""
    return tuple(_Function(m) if jax.tree_util.all_leaves([m]) else m for m in maps)


def narrow(space: Space, maps: Sequence[BlockMap]) -> bool:
    """Whether all levels are +1 and -1, which fit in a byte."""
    return space == SPIN and all(isinstance(m, Majority | BlockDecimation) for m in maps)


Bases = tuple[OperatorBasis, ...]


def observed(
    maps: tuple[BlockMap, ...], bases: Bases, x: Array, key: Key[Array, ""]
) -> tuple[Float[Array, "n_levels n"], ...]:
    """The operators of each basis at every level of one configuration."""
    levels = [x]
    for step, own in zip(maps, random.split(key, len(maps)), strict=True):
        levels.append(step(levels[-1], key=own))
    kind = jnp.result_type(float)
    return tuple(jnp.stack([basis(y).astype(kind) for y in levels]) for basis in bases)


def _sums(weight: Float[Array, ""], deviation: Float[Array, "n_levels n"]) -> Sums:
    d = deviation
    own, cross = d[:, :, None] * d[:, None, :], d[1:, :, None] * d[:-1, None, :]
    start = d[:, :, None] * d[:1, None, :]
    return Sums(weight, weight * d, weight * own, weight * cross, weight * start)


@functools.partial(jax.jit, static_argnames=("n_blocks", "small"))
def of_ensemble(
    ensemble: Ensemble,
    maps: tuple[BlockMap, ...],
    bases: Bases,
    key: Key[Array, ""],
    *,
    n_blocks: int,
    small: bool,
) -> tuple[tuple[Sums, ...], tuple[Array, ...]]:
    """The sums of an ensemble, its draws in order cut into blocks, and the means they are about."""
    x = ensemble.states.reshape(-1, *ensemble.h.state_shape)
    x = x.astype(jnp.int8) if small else x
    weight = jnp.exp(ensemble.log_weights).reshape(-1) * len(x)
    look = lambda args: observed(maps, bases, *args)
    values = jax.lax.map(look, (x, random.split(key, len(x))), batch_size=min(BATCH, len(x)))
    block = jnp.arange(len(x)) * n_blocks // len(x)

    def total(s: Array, centre: Array) -> Sums:
        each = jax.vmap(_sums)(weight.astype(s.dtype), s - centre[None])
        out: Sums = jax.tree.map(lambda v: jax.ops.segment_sum(v, block, n_blocks), each)
        return out

    centres = tuple(jnp.tensordot(weight.astype(s.dtype), s, 1) / jnp.sum(weight) for s in values)
    return tuple(total(s, c) for s, c in zip(values, centres, strict=True)), centres


@functools.partial(jax.jit, static_argnames="small", donate_argnames="states")
def streamed(
    kernel: Kernel,
    h: Hamiltonian,
    states: Any,
    maps: tuple[BlockMap, ...],
    bases: Bases,
    keys: Key[Array, " n_states"],
    reference: tuple[Array, ...],
    first: Array,
    n_draws: Array,
    thin: Array,
    *,
    small: bool,
) -> tuple[Any, tuple[Sums, ...]]:
    """``n_draws`` draws, ``thin`` sweeps apart, of every state; a block of sums for each chain."""

    def step(states: Any, t: Array) -> Any:
        own = jax.vmap(random.folded, in_axes=(0, None))(keys, t)
        return jax.vmap(lambda state, key: kernel(h, state, key=key)[0])(states, own)

    def look(state: Any, key: Key[Array, ""]) -> tuple[Sums, ...]:
        x = configurations(kernel, h, state)
        x = x.astype(jnp.int8) if small else x
        values = jax.vmap(functools.partial(observed, maps, bases))(x, random.split(key, len(x)))
        one = jnp.ones(len(x), jnp.result_type(float))
        return tuple(
            jax.vmap(_sums)(one, v - r[None]) for v, r in zip(values, reference, strict=True)
        )

    def draw(i: Array, carry: tuple[Any, tuple[Sums, ...]]) -> tuple[Any, tuple[Sums, ...]]:
        states, sums = carry
        t = first + i * thin
        states = jax.lax.fori_loop(0, thin, lambda j, s: step(s, t + j), states)
        own = jax.vmap(lambda k: random.split(random.folded(k, t))[1])(keys)
        found = jax.vmap(look)(states, own)
        return states, jax.tree.map(jnp.add, sums, found)

    shapes = jax.eval_shape(jax.vmap(look), states, keys)
    begin = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), shapes)
    states, sums = jax.lax.fori_loop(0, n_draws, draw, (states, begin))
    return states, jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:]), sums)
