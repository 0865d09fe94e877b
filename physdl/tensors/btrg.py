r"""Bond-weighted coarse-graining (D. Adachi, T. Okubo, S. Todo, Phys. Rev. B 105, L060402 (2022)).

As in the tensor renormalization group every tensor is cut along a diagonal, T = U S V^T, but powers
of the singular values stay on the new bonds,

    A_1 = U S^((1 - k) / 2),      E = S^k,      A_2 = S^((1 - k) / 2) V^T,

and the weights of the old bonds enter the sum over the loop of four halves. The plain scheme is
k = 0. At k = -1/2 a scale-invariant tensor stays one, and errors at a critical point are smaller by
an order of magnitude at the same cost.
"""

from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._base import TensorStep, frobenius
from physdl.tensors._factors import Factors
from physdl.tensors._parity import Parity, check_parity, cut_in_two, placed
from physdl.tensors._torus import halvings, ring
from physdl.tensors.trg import DIAGONALS, around_plaquette, stepped

__all__ = ["BTRG"]

Weighted: TypeAlias = tuple[Array, Array, Array]
QUARTER = 4


@cites("adachi2022", when="step")
@module
class BTRG:
    """Coarse-graining of two-dimensional networks with weights on the bonds, k = -1/2.

    What is renormalized is (T [l, r, u, d], weights of the bonds along x, weights along y), the
    weights as matrices.

    Attributes:
      chi: the bond dimension.
      parity: as for ``TRG``.

    Raises:
      SettingError: ``chi`` is less than 2, or odd where there is a parity.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), 0.4))
    >>> found = tensors.log_z_per_tensor(BTRG(chi=8), bulk)
    >>> bool(jnp.isclose(found, reference.onsager_log_z(0.4), rtol=2e-6))
    True
    """

    chi: int = static(default=16)
    parity: Parity = static(default=None)

    def __post_init__(self) -> None:
        check_parity(self.chi, self.parity)

    @property
    def scale(self) -> float:
        """The length ratio, sqrt(2)."""
        return 2**0.5

    def start(self, tensor: Float[Array, "l r u d"]) -> Weighted:
        """The bulk tensor with legs of length chi, and bonds of weight one."""
        t = placed(tensor, self.chi, self.parity)
        one = jnp.eye(self.chi, dtype=t.dtype)
        return t, one, one

    @full_precision
    def step(self, network: Weighted) -> TensorStep[Weighted]:
        """The tensor and the weights of the coarser lattice."""
        t, along_x, along_y = network
        n = self.chi
        by_a, by_b = (
            cut_in_two(jnp.einsum(pairs, t).reshape(n * n, n * n), n, QUARTER, self.parity)
            for pairs in DIAGONALS
        )
        (a1, e_a, a2), (b1, e_b, b2) = (_weighted(f, n) for f in (by_a, by_b))
        a2 = jnp.einsum("aps,pP,sS->aPS", a2, along_x, along_y)
        a1 = jnp.einsum("qta,Qq,Tt->QTa", a1, along_x, along_y)
        after = around_plaquette(a1, a2, b1, b2, self.parity)
        norm = frobenius(after)
        return stepped((after / norm, e_a, e_b), norm, by_a, by_b)

    def steps_to(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Two steps for every halving."""
        n, left = halvings(shape)
        return 2 * n, left

    def close(self, network: Weighted, shape: tuple[int, ...]) -> Float[Array, ""]:
        """log Z of a ring of tensors with their weights."""
        t, along_x, along_y = network
        return ring(jnp.einsum("lrud,rR,dD->lRuD", t, along_x, along_y), shape)


def _weighted(cut: Factors, n: int) -> tuple[Array, Array, Array]:
    """U S^(3/4), S^(-1/2) and S^(3/4) V^T."""
    first, last = cut.halves
    last = cut.root @ cut.root @ last
    return first.reshape(n, n, n), cut.inverse @ cut.inverse, last.reshape(n, n, n)
