r"""Which flips are accepted: from the digits of a count to a word of decisions.

A flip costs dH = 2 K m + 2 h f, with m = n_satisfied - n_unsatisfied and f = +-1 for a satisfied or
unsatisfied field. Of two opposite costs the positive one is decided by a chain, with probability
exp(-dH) (Metropolis) or 1 / (1 + exp(dH)) (heat bath); the negative one is certain, or the
complement of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from physdl.sampling import _packed_bits as bits
from physdl.sampling._packed_model import ALL, Model

__all__ = ["Case", "Rule"]

Words = UInt32[Array, "..."]


@dataclass(frozen=True)
class Case:
    """A cost 2 K m + 2 h, and the opposite one.

    Attributes:
      m: satisfied minus unsatisfied bonds.
      unsatisfied: n of them, ties included.
      opposite: n of them where m has the other sign.
      odd: whether the case is that of odd sites.
    """

    m: int
    unsatisfied: int
    opposite: int
    odd: bool


def cases(model: Model) -> list[Case]:
    """All costs up to sign: those with m >= 0, or with a field all m."""
    layout = model.layout
    kinds = (False, True) if layout.odd is not None else (False,)
    return [
        Case(most - 2 * n, n, most - n, odd)
        for odd, most in ((odd, layout.degree - odd) for odd in kinds)
        for n in range(most + 1)
        if model.field is not None or most - 2 * n >= 0
    ]


@dataclass(frozen=True)
class Rule:
    """The decisions of one Hamiltonian.

    Attributes:
      cases: what a flip may cost; without a field the case m = 0 needs no chain and comes last.
      steps: masks of the chains, [n_chains, n_bits].
      last: their final masks, [n_chains].
      positive: all ones where the cost is positive, [n_chains].
      heat_bath: whether the rule is the heat bath.
      degree: neighbours of a site.
      odd: whether some sites are odd.
      field: whether there is a field.
    """

    cases: tuple[Case, ...]
    steps: UInt32[Array, "n_chains n_bits"]
    last: UInt32[Array, " n_chains"]
    positive: UInt32[Array, " n_chains"]
    heat_bath: bool
    degree: int
    odd: bool
    field: bool

    @staticmethod
    def of(model: Model, rule: str, n_bits: int) -> "Rule":
        """The decisions of a model."""
        field, heat_bath = model.field is not None, rule == "heat_bath"
        decided = [c for c in cases(model) if field or c.m > 0]
        free = [c for c in cases(model) if not field and c.m == 0]
        k, f = model.strength()
        cost = 2 * k * jnp.asarray([c.m for c in decided], k.dtype) + 2 * f
        size = jnp.abs(cost)
        steps, last = bits.chains(jax.nn.sigmoid(-size) if heat_bath else jnp.exp(-size), n_bits)
        positive = jnp.where(cost > 0, ALL, np.uint32(0))
        odd = model.layout.odd is not None
        found = (*decided, *free)
        return Rule(found, steps, last, positive, heat_bath, model.layout.degree, odd, field)

    def flips(
        self, own: Words, near: Sequence[Words], masks: Sequence[Words], stream: Iterator[Words]
    ) -> Words:
        """Which spins are flipped, given the words of the neighbours and random ones."""
        digits = bits.added([own ^ x ^ m for x, m in zip(near, masks, strict=False)])
        against = own ^ masks[-1] if self.field else None
        odd = masks[self.degree] if self.odd else None
        decided, w = bits.decisions(self.steps, self.last, stream, own)
        flipped, costly = jnp.zeros_like(own), jnp.zeros_like(own)
        for i, case in enumerate(self.cases):
            here, there = bits.equals(digits, case.unsatisfied), bits.equals(digits, case.opposite)
            if odd is not None:
                here, there = (x & (odd if case.odd else ~odd) for x in (here, there))
            if against is not None:
                here, there = here & ~against, there & against
            if i >= len(decided):
                flipped = flipped | (here & ~w if self.heat_bath else here)
            elif self.field:
                yes, up = decided[i], self.positive[i]
                if self.heat_bath:
                    flipped = flipped | (here & (yes ^ ~up)) | (there & (yes ^ up))
                else:
                    flipped = flipped | (here & (yes | ~up)) | (there & (yes | up))
            elif self.heat_bath:
                flipped = flipped | (here & decided[i]) | (there & ~decided[i])
            else:
                flipped, costly = flipped | (here & decided[i]), costly | here
        return flipped if self.field or self.heat_bath else flipped | ~costly
