r"""Block maps as kernels: ln P(h | v) of every configuration.

A block spin is drawn from the sites of its block, independently of the other blocks,

    P(h | v) = prod_B P(h_B | v_B),

so its kernel satisfies the trace condition by construction: the step is exact, whatever the rule.
What sets rules apart is what they keep and what the coarse Hamiltonian looks like.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl.errors import ShapeError, SpaceError, StructureError
from physdl.hamiltonian.potential import state_counts
from physdl.numerics import log_or_zero
from physdl.rg import BlockDecimation, Majority
from physdl.rg._blocks import members_of
from physdl.spaces import SPIN, Finite, labels
from physdl.theory.audit.tables import check_entries, configuration

__all__ = ["block_kernel"]

Rule = Callable[[Array], Array]


def block_kernel(
    rule: Majority | BlockDecimation | Rule, shape: tuple[int, ...], *, space: Finite = SPIN
) -> Float[Array, "n_v n_h"]:
    """ln P(h | v) of a block map on a box, ``-inf`` where h does not follow from v.

    A majority splits a tie evenly among the states that tie, as the map's fair coin does.

    Args:
      rule: ``rg.Majority``, ``rg.BlockDecimation``, or a function that takes one configuration to
        the probabilities [n_blocks, q] of the states of every block.
      shape: of the box of v.
      space: of a site of v; of h as well for the maps of ``rg``.

    Raises:
      StructureError: the rule is another map, whose draws do not tell its probabilities.
      SpaceError: the map is of another space.
      ShapeError: blocks do not fit on the box, or probabilities have another shape.
      TooLargeError: the kernel has more than 2^24 entries.

    >>> from physdl import rg
    >>> jnp.exp(block_kernel(rg.Majority(2), (2,))).tolist()  # up and down tie
    [[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0]]
    """
    probabilities = _probabilities(rule, space)
    out = jax.eval_shape(probabilities, jnp.zeros((*shape, *space.event_shape), dtype=float))
    if out.ndim != 2:
        raise ShapeError(
            f"a rule gives probabilities of shape [n_blocks, q], got {list(out.shape)}."
        )
    n_v = math.prod(state_counts(space, math.prod(shape)).tolist())
    check_entries([n_v, *[out.shape[1]] * out.shape[0]], "a kernel")

    def row(number: Array) -> Array:
        factors = log_or_zero(probabilities(configuration(number, shape, space)))
        total = jnp.zeros((1,), factors.dtype)
        for factor in factors:
            total = (total[:, None] + factor[None, :]).reshape(-1)
        return total

    return jax.vmap(row)(jnp.arange(n_v, dtype=np.int32))


def _probabilities(rule: Majority | BlockDecimation | Rule, space: Finite) -> Rule:
    if isinstance(rule, Majority | BlockDecimation):
        if rule.space != space:
            raise SpaceError(f"the map is of {rule.space!r}, but a site is in {space!r}.")
        return lambda x: _of_members(rule, members_of(rule.blocks, x, space), space)
    if hasattr(rule, "blocks") or not callable(rule):
        raise StructureError(
            f"a kernel is made of Majority, BlockDecimation, or a function to the probabilities of "
            f"every block, got {type(rule).__name__}."
        )
    return rule


def _of_members(rule: Majority | BlockDecimation, members: Array, space: Finite) -> Array:
    """Probabilities [n_blocks, q] from the sites of every block, [m, *coarse, *event]."""
    flat = members.reshape(len(members), -1, space.n_components)
    label = jnp.stack([labels(space, x) for x in flat])
    chosen = jax.nn.one_hot(label, space.n_states, dtype=members.dtype)
    if isinstance(rule, BlockDecimation):
        if not 0 <= rule.site < len(members):
            raise ShapeError(f"a block of {len(members)} sites has no site {rule.site}.")
        return chosen[rule.site]
    count = jnp.sum(chosen, axis=0)
    best = (count == jnp.max(count, axis=1, keepdims=True)).astype(members.dtype)
    return best / jnp.sum(best, axis=1, keepdims=True)
