r"""Coarse-graining by higher-order singular values.

The source is Z. Y. Xie et al., Phys. Rev. B 86, 045139 (2012).

Two neighbours along an axis are joined, and every pair of legs across it is projected on chi
states,

    T'[X, X', y, y'] = sum U[x_1 x_2, X] T[x_1, x_1', y, i] T[x_2, x_2', i, y'] U[x_1' x_2', X'],

with U the leading eigenvectors of M M^T, M[x_1 x_2, ...] the joined tensor with all other legs
together: its minus legs or its plus legs, whichever lose less. The axes take turns, so one step
makes one tensor of 2^d. Operations grow as chi^(4 d - 1): chi^7 in two dimensions, chi^11 in three.
"""

import string

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.tensors._base import TensorStep, check_chi, frobenius, padded, relative
from physdl.tensors._factors import divided, isometry
from physdl.tensors._torus import halvings, ring

__all__ = ["HOTRG"]


@cites("xie2012", when="step")
@module
class HOTRG:
    """Coarse-graining of networks in one, two or three dimensions by factors 2 in length.

    Attributes:
      chi: the bond dimension.

    Raises:
      SettingError: ``chi`` is less than 2.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), 0.3))
    >>> found = tensors.log_z_per_tensor(HOTRG(chi=8), bulk)
    >>> bool(jnp.isclose(found, reference.onsager_log_z(0.3), rtol=1e-6))
    True
    """

    chi: int = static(default=16)

    def __post_init__(self) -> None:
        check_chi(self.chi)

    @property
    def scale(self) -> float:
        """The length ratio, 2."""
        return 2.0

    def start(self, tensor: Float[Array, "..."]) -> Float[Array, "..."]:
        """The bulk tensor with legs of length chi."""
        return padded(tensor, self.chi, (1, 2, 3), legs=max(3 * jnp.ndim(tensor) // 2 - 1, 2))

    @full_precision
    def step(self, network: Float[Array, "..."]) -> TensorStep[Array]:
        """The tensor of the lattice coarser along every axis."""
        dim, chi = network.ndim // 2, self.chi
        log_norm, after = jnp.zeros((), network.dtype), network
        error, cut = jnp.zeros((), network.dtype), jnp.asarray(False)
        values = jnp.ones(chi + 1, network.dtype)
        for axis in range(dim):
            across = [b for b in range(dim) if b != axis]
            projections = []
            for b in across:
                u, values, lost = _projection(after, axis, b, chi)
                error, cut = jnp.maximum(error, lost), cut | divided(values)
                projections.append(u)
            after = joined(after, after, axis, projections)
            norm = frobenius(after)
            after, log_norm = after / norm, 2 * log_norm + jnp.log(norm)
        return TensorStep(after, log_norm, relative(values), error, cut)

    def steps_to(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """One step for every halving."""
        return halvings(shape)

    def close(self, network: Float[Array, "..."], shape: tuple[int, ...]) -> Float[Array, ""]:
        """log Z of a ring of tensors."""
        return ring(network, shape)


def joined(
    first: Float[Array, "..."],
    second: Float[Array, "..."],
    axis: int,
    projections: list[Float[Array, "n m chi"]],
) -> Float[Array, "..."]:
    """Two tensors joined along an axis, the legs across it projected in pairs."""
    letters = iter(string.ascii_letters)
    legs_1, legs_2, legs = [], [], []
    operands, subscripts = [], []
    across = iter(projections)
    for b in range(first.ndim // 2):
        if b == axis:
            low, middle, high = (next(letters) for _ in range(3))
            legs_1 += [low, middle]
            legs_2 += [middle, high]
            legs += [low, high]
            continue
        u = next(across)
        for _ in range(2):
            x_1, x_2, x = (next(letters) for _ in range(3))
            legs_1.append(x_1)
            legs_2.append(x_2)
            legs.append(x)
            operands.append(u)
            subscripts.append(x_1 + x_2 + x)
    terms = ["".join(legs_1), "".join(legs_2), *subscripts]
    path = ",".join(terms) + "->" + "".join(legs)
    return jnp.einsum(path, first, second, *operands, optimize="optimal")


def _projection(
    tensor: Float[Array, "..."], axis: int, across: int, chi: int
) -> tuple[Float[Array, "chi chi chi"], Float[Array, " chi_1"], Float[Array, ""]]:
    """The isometry for pairs of legs, the chi + 1 largest singular values, and the part lost."""
    grams = [
        join_pairs(*(_gram(tensor, leg, 2 * axis + side) for side in (1, 0)))
        for leg in (2 * across, 2 * across + 1)
    ]
    return leading_pairs(grams, tensor.shape[2 * across], chi)


def join_pairs(
    first: Float[Array, "n n k k"], second: Float[Array, "n n k k"]
) -> Float[Array, "nn nn"]:
    """The Gram matrix of the pair of legs of two tensors that share a bond, from those of each."""
    n = first.shape[0]
    gram = jnp.einsum("abmn,cdmn->acbd", first, second)
    return gram.reshape(n * n, n * n)


def leading_pairs(
    grams: list[Float[Array, "nn nn"]], n: int, chi: int
) -> tuple[Float[Array, "n n chi"], Float[Array, " chi_1"], Float[Array, ""]]:
    """The isometry of whichever of two Gram matrices loses less, its singular values, the loss."""
    found = []
    for gram in grams:
        u, values = isometry(gram, chi)
        whole = jnp.sum(jnp.maximum(values, 0))
        lost = jnp.sum(jnp.maximum(values[chi:], 0)) / jnp.where(whole > 0, whole, 1)
        found.append((u, values, lost))
    (u_0, values_0, lost_0), (u_1, values_1, lost_1) = found
    plus = lost_1 < lost_0
    u, values = jnp.where(plus, u_1, u_0), jnp.where(plus, values_1, values_0)
    values = jnp.pad(jnp.sqrt(jnp.maximum(values, 0)), (0, max(chi + 1 - len(values), 0)))
    return u.reshape(n, n, chi), values[: chi + 1], jnp.sqrt(jnp.minimum(lost_0, lost_1))


def _gram(tensor: Float[Array, "..."], leg: int, bond: int) -> Float[Array, "n n m m"]:
    """sum over all other legs of T[leg, bond] T[leg', bond'], as [leg, leg', bond, bond']."""
    matrix = jnp.moveaxis(tensor, (leg, bond), (0, 1))
    n, m = matrix.shape[:2]
    flat = matrix.reshape(n * m, -1)
    square = flat @ flat.T
    return square.reshape(n, m, n, m).transpose(0, 2, 1, 3)
