r"""Spins and their block spins together, under a bias on the block spins.

The joint distribution of a configuration x and its block spins x' is

    p(x, x') ~ exp(-H(x)) P(x' | x) exp(-V(x')),         P(x' | x) = prod_B P(x'_B | x_B).

A move flips one site of a block and draws x'_B anew from P(. | x_B), ties and all. It is accepted
with probability 1 / (1 + exp(dH + dV)): what the move was proposed with cancels the change of P, so
a block map that leaves ties to chance needs neither its probabilities nor tie-breaking fields that
are held fixed. x' is part of the state, and its marginal distribution is the biased one exactly.

A sweep takes every site once, class of blocks by class, place in the block by place. Blocks of one
class share no monomial of V, and their sites at the same place none of H, so they move together.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from physdl.hamiltonian import Hamiltonian, Stencil, Term
from physdl.pytree import IntArray, Table, module, static
from physdl.rg.block_spin import BlockDecimation, Majority
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random
from physdl.sampling._structure import plan_of
from physdl.spaces import SPIN

__all__ = ["Biased", "BlockSpin", "Joint", "classes_of"]

BlockSpin = Majority | BlockDecimation


class Joint(NamedTuple):
    """A configuration and its block spins."""

    x: Float[Array, "*box"]
    coarse: Float[Array, "*coarse"]


def classes_of(h: Hamiltonian, operators: OperatorBasis, b: int, coarse: tuple[int, ...]) -> Table:
    """The blocks of every class, [n_classes, most], filled up with the number of blocks."""
    bias = operators.hamiltonian(np.zeros(len(operators)), coarse)
    apart = set()
    for term in h.terms.values():
        assert isinstance(term, Stencil)
        for monomial in term.offsets.array:
            steps = (monomial[:, None] - monomial[None]).reshape(-1, len(coarse)) % np.array(
                h.shape
            )
            whole = steps[np.all(steps % b == 0, axis=1)] // b
            apart |= {tuple(s) for s in whole.tolist() if any(s)}
    pairs: dict[str, Term] = {
        f"pair {s}": Stencil(0.0, [[[0] * len(coarse), s]]) for s in sorted(apart)
    }
    plan = plan_of(Hamiltonian({**bias.terms, **pairs}, space=SPIN, shape=coarse))
    parts = np.split(plan.order, plan.bounds[1:-1])
    most = max(len(part) for part in parts)
    return Table(
        [np.pad(p, (0, most - len(p)), constant_values=len(plan.order)).tolist() for p in parts]
    )


@module
class Biased:
    """The sampler of exp(-H(x)) P(x' | x) exp(-V(x')) with V = sum_a J_a S_a.

    Attributes:
      h: the Hamiltonian, of spins with ``Stencil`` terms alone.
      blocks: a block map of spins on blocks of b x ... x b sites.
      operators: the S_a.
      classes: of the blocks, see ``classes_of``.
    """

    h: Hamiltonian
    blocks: BlockSpin
    operators: OperatorBasis = static()
    classes: Table = static()

    def start(self, key: Key[Array, ""]) -> Joint:
        """Independent spins and their block spins."""
        x_key, block_key = random.split(key)
        up = random.bits(x_key, self.h.shape) < np.uint32(2**31)
        x = jnp.where(up, 1, -1).astype(self.h.dtype)
        return Joint(x, self.blocks(x, key=block_key))

    def sweep(self, state: Joint, bias: Float[Array, " n"], key: Key[Array, ""]) -> Joint:
        """Every site once."""
        n, n_blocks = state.x.size, state.coarse.size
        table = _members(state.x.shape, int(self.blocks.scale))
        places = np.insert(table, n_blocks, n, axis=1)[:, self.classes.array].swapaxes(0, 1)
        v = self.operators.hamiltonian(-bias, state.coarse.shape)
        keys = random.split(key, len(places) * len(table)).reshape(places.shape[:2])
        order = (
            jnp.asarray(self.classes.array),
            jnp.asarray(places, jnp.int32),
            _rows(v, np.minimum(self.classes.array, n_blocks - 1)),
            _rows(self.h, np.minimum(places, n - 1)),
            keys,
        )
        start = (state.x.reshape(-1), state.coarse.reshape(-1))
        (x, coarse), _ = jax.lax.scan(self._class, start, order)
        return Joint(x.reshape(state.x.shape), coarse.reshape(state.coarse.shape))

    def _class(self, carry: tuple[Array, Array], of: Any) -> tuple[tuple[Array, Array], None]:
        """Every site of the blocks of one class."""
        (x, coarse), (blocks, places, above, fine, keys) = carry, of
        g = _field(above, coarse)

        def move(carry: tuple[Array, Array, Array], of: Any) -> tuple[Any, None]:
            (x, own, block), (place, sites, rows, key) = carry, of
            block_key, accept_key = random.split(key)
            here = (jnp.arange(len(places), dtype=jnp.int32) == place)[:, None]
            flipped = jnp.where(here, -own, own)
            proposed = self._block_spins(flipped, block_key)
            gained = 2 * flipped[place] * _field(rows, x) + (proposed - block) * g
            taken = random.bernoulli(accept_key, random.logistic(-gained))
            own = jnp.where(taken[None], flipped, own)
            x = x.at[sites].set(own[place], mode="drop")
            return (x, own, jnp.where(taken, proposed, block)), None

        own = x.at[places].get(mode="clip")
        block = coarse.at[blocks].get(mode="clip")
        order = (jnp.arange(len(places), dtype=jnp.int32), places, fine, keys)
        (x, _, block), _ = jax.lax.scan(move, (x, own, block), order)
        return (x, coarse.at[blocks].set(block, mode="drop")), None

    def _block_spins(self, own: Float[Array, "m n"], key: Key[Array, ""]) -> Float[Array, " n"]:
        """The block spins of blocks that lie side by side along the last axis of a box."""
        b, n = int(self.blocks.scale), own.shape[1]
        sides = (b,) * round(math.log(len(own), b))
        box = jnp.moveaxis(own.reshape(*sides, n), -1, -2).reshape(*sides[:-1], n * b)
        return self.blocks(box, key=key).reshape(n)


def _members(box: tuple[int, ...], b: int) -> IntArray:
    """The sites of every block, [m, n_blocks]."""
    place = np.indices((b,) * len(box)).reshape(len(box), -1, 1)
    block = np.indices([n // b for n in box]).reshape(len(box), 1, -1)
    sites: IntArray = np.ravel_multi_index(tuple(b * block + place), box)
    return sites


class Rows(NamedTuple):
    """The monomials at some sites: the other sites of each [..., most, r], and its coefficient."""

    others: Int[Array, "*at most r"]
    coefficient: Float[Array, "*at most"]


def _rows(h: Hamiltonian, sites: IntArray) -> tuple[Rows, ...]:
    """What sites of a box of spins feel, by the number of other sites; even powers are 1."""
    cells = np.stack(np.unravel_index(sites, h.shape), axis=-1)
    found: dict[int, list[tuple[IntArray, Array]]] = {}
    for term in h.terms.values():
        assert isinstance(term, Stencil)
        for m, monomial in enumerate(term.offsets.array):
            kept, times = np.unique(monomial % np.array(h.shape), axis=0, return_counts=True)
            kept = kept[times % 2 == 1]
            for k, here in enumerate(kept):
                moved = cells[..., None, :] + np.delete(kept, k, axis=0) - here
                others = np.ravel_multi_index(tuple(np.moveaxis(moved, -1, 0)), h.shape, "wrap")
                c = term.coefficient if term.coefficient.ndim == 0 else term.coefficient[m]
                if c.ndim:
                    from_cell = tuple(np.moveaxis((cells - here) % np.array(h.shape), -1, 0))
                    c = c[from_cell]
                found.setdefault(len(kept) - 1, []).append(
                    (others, jnp.broadcast_to(c, sites.shape))
                )
    return tuple(
        Rows(
            jnp.asarray(np.stack([o for o, _ in group], axis=-2), jnp.int32),
            jnp.stack([c for _, c in group], axis=-1),
        )
        for group in found.values()
    )


def _field(rows: tuple[Rows, ...], x: Float[Array, " n_sites"]) -> Float[Array, " n"]:
    """g with H = g_i x_i + (what does not depend on x_i), for the sites of the rows."""
    total = jnp.zeros((), x.dtype)
    for others, coefficient in rows:
        values = coefficient
        for k in range(others.shape[-1]):
            values = values * x.at[others[..., k]].get(mode="promise_in_bounds")
        total = total + jnp.sum(values, axis=-1)
    return total
