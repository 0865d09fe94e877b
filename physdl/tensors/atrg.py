r"""Anisotropic coarse-graining (D. Adachi, T. Okubo, S. Todo, Phys. Rev. B 102, 054432 (2020)).

The tensor is kept as a product of two halves, one with all plus legs and one with all minus legs,

    T = A[x+, y+, ..., k] B[k, x-, y-, ...],

each made an isometry times a positive weight. Two neighbours along an axis z share the bond between
B of the second and A of the first; that pair is factorised anew so that the plus legs of both
tensors meet, and the minus legs of both,

    B A = X[k', x_1+, m] Y[m, x_2-, k],        T T = (A X)(Y B),

and pairs of legs are projected as in HOTRG. In d dimensions that takes chi^(2 d + 1) operations,
chi^6 at least for the eigenvectors of pairs of legs, and chi^(d + 1) numbers to keep, where HOTRG
takes chi^(4 d - 1) and chi^(2 d), at an error somewhat larger for equal chi.
"""

import math
import string
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from physdl.bibliography import cites
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._base import TensorStep, check_chi, padded, relative
from physdl.tensors._factors import divided, factors, square_root
from physdl.tensors._torus import halvings, ring
from physdl.tensors.hotrg import join_pairs, leading_pairs

__all__ = ["ATRG"]

Halves: TypeAlias = tuple[Array, Array]


@cites("adachi2020", when="step")
@module
class ATRG:
    """Coarse-graining of networks in two or three dimensions by factors 2 in length.

    What is renormalized is the pair of halves, A [x+, y+, ..., k] and B [k, x-, y-, ...].

    Attributes:
      chi: the bond dimension.

    Raises:
      SettingError: ``chi`` is less than 2.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), 0.3))
    >>> found = tensors.log_z_per_tensor(ATRG(chi=8), bulk)
    >>> bool(jnp.isclose(found, reference.onsager_log_z(0.3), rtol=1e-5))
    True
    """

    chi: int = static(default=16)

    def __post_init__(self) -> None:
        check_chi(self.chi)

    @property
    def scale(self) -> float:
        """The length ratio, 2."""
        return 2.0

    @full_precision
    def start(self, tensor: Float[Array, "..."]) -> Halves:
        """The halves of the bulk tensor, with legs of length chi."""
        chi, dim = self.chi, jnp.ndim(tensor) // 2
        padded(tensor, chi, (2, 3), legs=2 * dim)
        legs = [*range(1, 2 * dim, 2), *range(0, 2 * dim, 2)]
        matrix = jnp.transpose(tensor, legs)
        shape = matrix.shape[:dim]
        cut = factors(matrix.reshape(math.prod(shape), -1), chi)
        grow = [(0, chi - n) for n in shape]
        plus, minus = cut.halves
        plus, minus = plus.reshape(*shape, chi), minus.reshape(chi, *shape)
        return jnp.pad(plus, [*grow, (0, 0)]), jnp.pad(minus, [(0, 0), *grow])

    @full_precision
    def step(self, network: Halves) -> TensorStep[Halves]:
        """The halves of the lattice coarser along every axis."""
        dim = network[0].ndim - 1
        log_norm = error = jnp.zeros((), network[0].dtype)
        cut, values = jnp.asarray(False), jnp.ones(self.chi + 1, network[0].dtype)
        for axis in range(dim):
            network, norm, values, lost, split = self._joined(network, axis)
            log_norm = 2 * log_norm + jnp.log(norm)
            error, cut = jnp.maximum(error, lost), cut | split
        return TensorStep(network, log_norm, relative(values), error, cut)

    def _joined(
        self, network: Halves, axis: int
    ) -> tuple[Halves, Array, Array, Array, Bool[Array, ""]]:
        """The halves of two neighbours along an axis, their norm, and what the cut of legs lost."""
        chi = self.chi
        plus, minus = jnp.moveaxis(network[0], axis, 0), jnp.moveaxis(network[1], axis + 1, 1)
        shape = plus.shape[1:-1]
        outer_plus, inner_plus = _halved(plus.reshape(-1, chi), minus.reshape(chi, -1))
        outer_minus, inner_minus = _halved(minus.reshape(chi, -1).T, plus.reshape(-1, chi).T)
        c, a = outer_plus.reshape(plus.shape), inner_minus.T.reshape(plus.shape)
        b, d = outer_minus.T.reshape(minus.shape), inner_plus.reshape(minus.shape)
        others = string.ascii_lowercase[: len(shape)]
        upper = others.upper()
        pair = jnp.einsum(f"Kz{upper},z{others}k->K{others}{upper}k", d, a)
        rows = chi * math.prod(shape)
        swap = factors(pair.reshape(rows, rows), chi)
        x, y = (half.reshape(chi, *shape, chi) for half in swap.halves)
        error, cut, values = swap.error, swap.cut, swap.values
        projections = []
        for i in range(len(shape)):
            u, values, lost = _projection(c, x, b, y, i, chi)
            projections.append(u)
            error, cut = jnp.maximum(error, lost), cut | divided(values)
        new = "rst"[: len(shape)]
        pairs = ",".join(f"{o}{u}{n}" for o, u, n in zip(others, upper, new, strict=True))
        plus = jnp.einsum(
            f"z{upper}K,K{others}m,{pairs}->z{new}m", c, x, *projections, optimize="optimal"
        )
        minus = jnp.einsum(
            f"m{upper}k,kz{others},{pairs}->mz{new}", y, b, *projections, optimize="optimal"
        )
        norm = _norm(plus, minus)
        root = jnp.sqrt(norm)
        after = (jnp.moveaxis(plus / root, 0, axis), jnp.moveaxis(minus / root, 1, axis + 1))
        return after, norm, values, error, cut

    def steps_to(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """One step for every halving."""
        return halvings(shape)

    def close(self, network: Halves, shape: tuple[int, ...]) -> Float[Array, ""]:
        """log Z of a ring of tensors."""
        plus, minus = network
        dim = len(shape)
        whole = jnp.tensordot(plus, minus, 1)
        legs = [dim * (1 - leg % 2) + leg // 2 for leg in range(2 * dim)]
        return ring(jnp.transpose(whole, legs), shape)


def _halved(
    outer: Float[Array, "n k"], inner: Float[Array, "k m"]
) -> tuple[Float[Array, "n k"], Float[Array, "k m"]]:
    """outer inner as an isometry and the rest."""
    root, inverse = square_root(outer.T @ outer)
    return outer @ inverse, root @ inner


def _projection(
    c: Array, x: Array, b: Array, y: Array, i: int, chi: int
) -> tuple[Float[Array, "n n chi"], Float[Array, " chi_1"], Float[Array, ""]]:
    """The isometry for pairs of legs, number i across the axis, of C X Y B."""
    inner_minus = jnp.einsum("k...,l...->kl", b, b)
    inner_plus = jnp.einsum("...k,...l->kl", c, c)
    below = jnp.einsum("m...k,kl,n...l->mn", y, inner_minus, y)
    above = jnp.einsum("k...m,kl,l...n->mn", x, inner_plus, x)
    plus = (_pairs(jnp.tensordot(x, below, 1), x, i + 1, 0), _pairs(c, c, i + 1, -1))
    minus = (_pairs(b, b, i + 2, 0), _pairs(jnp.tensordot(above, y, 1), y, i + 1, -1))
    n = c.shape[i + 1]
    return leading_pairs([join_pairs(*halves) for halves in (plus, minus)], n, chi)


def _pairs(
    half: Float[Array, "..."], other: Float[Array, "..."], leg: int, bond: int
) -> Float[Array, "n n k k"]:
    """half[leg, bond] other[leg', bond'] summed over all others: [leg, leg', bond, bond']."""

    def flat(x: Array) -> Array:
        moved = jnp.moveaxis(jnp.moveaxis(x, (leg, bond), (0, -1)), -1, 1)
        return moved.reshape(moved.shape[0] * moved.shape[1], -1)

    n, k = half.shape[leg], half.shape[bond]
    return (flat(half) @ flat(other).T).reshape(n, k, n, k).transpose(0, 2, 1, 3)


def _norm(plus: Float[Array, "... k"], minus: Float[Array, "k ..."]) -> Float[Array, ""]:
    """|A B|, without their product; 1 where that is zero."""
    chi = plus.shape[-1]
    a, b = plus.reshape(-1, chi), minus.reshape(chi, -1)
    square = jnp.sum((a.T @ a) * (b @ b.T))
    return jnp.sqrt(jnp.where(square > 0, square, 1))
