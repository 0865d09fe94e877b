r"""Conformal data from coarse-grained tensors.

The source is Z.-C. Gu and X.-G. Wen, Phys. Rev. B 80, 155131 (2009). At criticality a tensor is a
piece of a conformal field theory after some steps. On a cylinder of L tensors the eigenvalues of a
row, put on by one tensor further than the row before, are

    lambda_n = exp(L f + (2 pi / L) (c / 12 - x_n) + 2 pi i s_n / L),

with the central charge c, scaling dimensions x_n and spins s_n, and f log Z of one tensor in bulk.
The ratios give x_n and s_n (modulo L). Around the diagonal of one square, two tensors make a step,
lambda_0 = exp(2 f + pi c / 6), and between the two f drops out:

    c = (log lambda_0(L) - (L / 2) log lambda_0(diagonal)) / ((pi / 6) (1 / L - L / 2)).

All that takes lattices that look the same along both axes. Away from criticality tensors flow to
fixed points without correlations, and the same matrices M count the phases there,

    X = (tr M)^2 / tr M^2,

which is 1 where there is one, q where a symmetry of q states is broken.
"""

import functools
import string
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.numerics import full_precision, log_or_zero
from physdl.pytree import module

__all__ = ["ConformalData", "conformal_data", "gu_wen_ratio"]

Network: TypeAlias = Array | tuple[Array, Array, Array]
LARGEST = 4096


@module
class ConformalData:
    """What the spectrum of a cylinder says of a conformal field theory.

    Attributes:
      central_charge: c.
      dimensions: scaling dimensions, smallest first; the first is that of the identity, 0.
      spins: their spins, modulo the width of the cylinder and between plus and minus half of it.
    """

    central_charge: Float[Array, ""]
    dimensions: Float[Array, " n"]
    spins: Float[Array, " n"]


@cites("gu2009")
def conformal_data(network: Network, *, width: int = 2, n: int = 8) -> ConformalData:
    """Central charge, scaling dimensions and spins from what a two-dimensional scheme left.

    Args:
      network: ``Coarsening.network`` of any scheme for two dimensions: a tensor, one for each of
        two sublattices, or a tensor and weights on bonds.
      width: tensors around the cylinder, an even number on two sublattices.
      n: the number of dimensions; ``inf`` for eigenvalues that vanish.

    Takes the eigenvalues of matrices with chi^width and chi^2 rows, which jax finds on CPUs only.

    Raises:
      SettingError: ``width`` or ``n`` is less than one, too large or odd on two sublattices.
      ShapeError: that is no network of two dimensions.
      TooLargeError: the matrix has more than 4096 rows.

    >>> from physdl import lattices, models, reference, tensors
    >>> critical = models.ising(lattices.square(2, 2), reference.square_critical_coupling())
    >>> history = tensors.coarsen(tensors.TRG(chi=12), tensors.bulk(critical), 8)
    >>> found = conformal_data(history.network, n=2)
    >>> [round(float(x), 2) for x in (found.central_charge, found.dimensions[1])]
    [0.51, 0.13]
    """
    a, b = _sublattices(network)
    if width < 1 or (width % 2 and a is not b):
        raise SettingError(
            f"a cylinder is one or more tensors wide, and an even number on two sublattices, got "
            f"width={width}."
        )
    rows = len(a) ** width
    if max(rows, len(a) ** 2) > LARGEST:
        raise TooLargeError(
            f"matrices of {rows} and {len(a) ** 2} rows are needed for width={width} and "
            f"chi={len(a)}, more than {LARGEST}: use a smaller width or chi."
        )
    if not 1 <= n <= rows:
        raise SettingError(f"a cylinder of {rows} states has 1 to {rows} dimensions, got n={n}.")
    found: ConformalData = _conformal_data(a, b, width, n)
    return found


@full_precision
@functools.partial(jax.jit, static_argnames=("width", "n"))
def _conformal_data(a: Array, b: Array, width: int, n: int) -> ConformalData:
    values = _descending(_row(a, b, width))[:n]
    largest = _descending(_diagonal(b) @ _diagonal(a))[0]
    log_row, log_diagonal = jnp.log(jnp.abs(values[0])), jnp.log(jnp.abs(largest))
    charge = (log_row - width / 2 * log_diagonal) / (jnp.pi / 6 * (1 / width - width / 2))
    ratios = values / values[0]
    dimensions = -width / (2 * jnp.pi) * log_or_zero(jnp.abs(ratios))
    return ConformalData(charge, dimensions, width / (2 * jnp.pi) * jnp.angle(ratios))


def gu_wen_ratio(network: Network) -> Float[Array, ""]:
    """X, the number of phases that coexist, from what a two-dimensional scheme left.

    At a critical point it is a number in between.

    Raises:
      ShapeError: that is no network of two dimensions.

    >>> from physdl import lattices, models, tensors
    >>> cold = models.potts(lattices.square(2, 2), 3, 1.2)
    >>> history = tensors.coarsen(tensors.TRG(chi=9), tensors.bulk(cold), 12)
    >>> round(float(gu_wen_ratio(history.network)), 6)
    3.0
    """
    a, b = _sublattices(network)
    matrix = jnp.einsum("llud->ud", a) if a is b else _diagonal(b) @ _diagonal(a)
    return jnp.trace(matrix) ** 2 / jnp.sum(matrix * matrix.T)


def _sublattices(network: Network) -> tuple[Array, Array]:
    """The tensors [x-, x+, y-, y+] of the two sublattices."""
    if isinstance(network, tuple) and [jnp.ndim(x) for x in network] == [4, 2, 2]:
        tensor = jnp.einsum("lrud,rs,dt->lsut", *network)
        return tensor, tensor
    if isinstance(network, tuple) or jnp.ndim(network) not in {4, 5}:
        raise ShapeError(
            f"a network of two dimensions is a tensor of four legs, two of them or one with the "
            f"weights of its bonds, got {jax.tree.map(jnp.shape, network)}."
        )
    return (network, network) if jnp.ndim(network) == 4 else (network[0], network[1])


def _row(a: Array, b: Array, width: int) -> Array:
    """A row of tensors A B A B ..., its upper legs one place beside its lower ones."""
    letters = iter(string.ascii_letters)
    across, below, above = ([next(letters) for _ in range(width)] for _ in range(3))
    terms = [across[i] + across[(i + 1) % width] + below[i] + above[i] for i in range(width)]
    shifted = above[1:] + above[:1]
    path = ",".join(terms) + "->" + "".join(below + shifted)
    rows = len(a) ** width
    operands = [(a, b)[i % 2] for i in range(width)]
    return jnp.einsum(path, *operands).reshape(rows, rows)


def _diagonal(tensor: Array) -> Array:
    """A tensor as the matrix [(x+, y-), (x-, y+)]."""
    matrix = tensor.transpose(1, 2, 0, 3)
    return matrix.reshape(matrix.shape[0] * matrix.shape[1], -1)


def _descending(matrix: Array) -> Array:
    values = jnp.linalg.eigvals(matrix)
    found: Array = values[jnp.argsort(-jnp.abs(values))]
    return found
