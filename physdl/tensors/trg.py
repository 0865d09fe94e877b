r"""The tensor renormalization group (M. Levin and C. P. Nave, Phys. Rev. Lett. 99, 120601 (2007)).

Every tensor of a square lattice is cut along a diagonal, alternately one and the other,

    T = A_1 A_2 = B_1 B_2,        A_1 [l, u, a],  A_2 [a, r, d],  B_1 [u, r, b],  B_2 [b, d, l],

and the four halves around every second plaquette are summed to one tensor,

    T'[a, a', b', b] = sum_{pqst} A_2[a, p, s] B_2[b, t, p] A_1[q, t, a'] B_1[s, q, b'],

which halves the number of tensors and turns the lattice by 45 degrees. Its legs are named such that
two steps restore the directions. The factorisations take chi^5 operations (by subspace iteration),
the sum chi^6.
"""

from typing import TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._base import TensorStep, check_chi, divided, frobenius, padded, relative
from physdl.tensors._factors import Factors, factors
from physdl.tensors._torus import halvings, ring

__all__ = ["TRG", "around_plaquette", "stepped"]

S = TypeVar("S")


@module
class TRG:
    """Coarse-graining of two-dimensional networks by factors sqrt(2) in length.

    Attributes:
      chi: the bond dimension.

    Raises:
      SettingError: ``chi`` is less than 2.

    >>> TRG(chi=16).scale
    1.4142135623730951
    """

    chi: int = static(default=16)

    def __post_init__(self) -> None:
        check_chi(self.chi)

    @property
    def scale(self) -> float:
        """The length ratio, sqrt(2)."""
        return 2**0.5

    def start(self, tensor: Float[Array, "l r u d"]) -> Float[Array, "chi chi chi chi"]:
        """The bulk tensor with legs of length chi."""
        return padded(tensor, self.chi, (2,))

    @full_precision
    def step(self, network: Float[Array, "chi chi chi chi"]) -> TensorStep[Array]:
        """The tensor of the coarser lattice."""
        t, n = network, self.chi
        by_a = factors(jnp.einsum("lrud->lurd", t).reshape(n * n, n * n), n)
        by_b = factors(jnp.einsum("lrud->urdl", t).reshape(n * n, n * n), n)
        a1, a2, b1, b2 = (x.reshape(n, n, n) for x in (*by_a.halves, *by_b.halves))
        after = around_plaquette(a1, a2, b1, b2)
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
) -> Float[Array, "n n n n"]:
    """The four halves around a plaquette, summed to one tensor."""
    upper = jnp.einsum("aps,btp->asbt", a2, b2)
    lower = jnp.einsum("qta,sqb->tsab", a1, b1)
    return jnp.einsum("asbt,tscd->acdb", upper, lower)


def stepped(network: S, norm: Float[Array, ""], by_a: Factors, by_b: Factors) -> TensorStep[S]:
    """The step to a network from which a norm was taken out, after both cuts."""
    return TensorStep(
        network,
        jnp.log(norm),
        relative(by_a.values),
        jnp.maximum(by_a.error, by_b.error),
        divided(by_a.values) | divided(by_b.values),
    )
