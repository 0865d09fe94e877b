r"""The tensor renormalization group (M. Levin and C. P. Nave, Phys. Rev. Lett. 99, 120601 (2007)).

Every tensor of a square lattice is cut along a diagonal, alternately one and the other,

    T = A_1 A_2 = B_1 B_2,        A_1 [l, u, a],  A_2 [a, r, d],  B_1 [u, r, b],  B_2 [b, d, l],

and the four halves around every second plaquette are summed to one tensor,

    T'[a, a', b', b] = sum_{pqst} A_2[a, p, s] B_2[b, t, p] A_1[q, t, a'] B_1[s, q, b'],

which halves the number of tensors and turns the lattice by 45 degrees. Its legs are named such that
two steps restore the directions. The factorisations take chi^5 operations (by subspace iteration),
the sum chi^6, which is less up to chi of a hundred.
"""

from typing import TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._base import TensorStep, frobenius, relative
from physdl.tensors._factors import Factors
from physdl.tensors._parity import Parity, check_parity, cut_in_two, placed, product
from physdl.tensors._torus import halvings, ring

__all__ = ["DIAGONALS", "TRG", "around_plaquette", "stepped"]

S = TypeVar("S")
DIAGONALS = ("lrud->lurd", "lrud->urdl")


@cites("levin2007", when="step")
@module
class TRG:
    """Coarse-graining of two-dimensional networks by factors sqrt(2) in length.

    Attributes:
      chi: the bond dimension.
      parity: 0 or 1 for every state of a bulk leg, where entries with an odd number of odd legs
        vanish, as (0, 1) for pairs of Ising spins without a field. Half of the states are then
        kept for each, in about half the time. ``cut`` tells a tensor that breaks the parity.

    Raises:
      SettingError: ``chi`` is less than 2, or odd where there is a parity.

    >>> TRG(chi=16).scale
    1.4142135623730951
    """

    chi: int = static(default=16)
    parity: Parity = static(default=None)

    def __post_init__(self) -> None:
        check_parity(self.chi, self.parity)

    @property
    def scale(self) -> float:
        """The length ratio, sqrt(2)."""
        return 2**0.5

    def start(self, tensor: Float[Array, "l r u d"]) -> Float[Array, "chi chi chi chi"]:
        """The bulk tensor with legs of length chi."""
        return placed(tensor, self.chi, self.parity)

    @full_precision
    def step(self, network: Float[Array, "chi chi chi chi"]) -> TensorStep[Array]:
        """The tensor of the coarser lattice."""
        t, n = network, self.chi
        by_a, by_b = (
            cut_in_two(jnp.einsum(pairs, t).reshape(n * n, n * n), n, parity=self.parity)
            for pairs in DIAGONALS
        )
        a1, a2, b1, b2 = (x.reshape(n, n, n) for x in (*by_a.halves, *by_b.halves))
        after = around_plaquette(a1, a2, b1, b2, self.parity)
        norm = frobenius(after)
        return stepped(after / norm, norm, by_a, by_b)

    def steps_to(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Two steps for every halving."""
        n, left = halvings(shape)
        return 2 * n, left

    def close(
        self, network: Float[Array, "chi chi chi chi"], shape: tuple[int, ...]
    ) -> Float[Array, ""]:
        """log Z of a ring of tensors."""
        return ring(network, shape)


def around_plaquette(
    a1: Float[Array, "n n n"],
    a2: Float[Array, "n n n"],
    b1: Float[Array, "n n n"],
    b2: Float[Array, "n n n"],
    parity: Parity = None,
) -> Float[Array, "n n n n"]:
    """The four halves around a plaquette, summed to one tensor."""
    n = len(a1)
    upper = jnp.einsum("aps,btp->abst", a2, b2).reshape(n * n, n * n)
    lower = jnp.einsum("qtc,sqd->stcd", a1, b1).reshape(n * n, n * n)
    whole = product(upper, lower, parity).reshape(n, n, n, n)
    return jnp.einsum("abcd->acdb", whole)


def stepped(network: S, norm: Float[Array, ""], by_a: Factors, by_b: Factors) -> TensorStep[S]:
    """The step to a network from which a norm was taken out, after both cuts."""
    return TensorStep(
        network,
        jnp.log(norm),
        relative(by_a.values),
        jnp.maximum(by_a.error, by_b.error),
        by_a.cut | by_b.cut,
    )
