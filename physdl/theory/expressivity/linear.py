r"""Flattening linear networks: the one case where depth can be proved to pay.

A product of sparse matrices, W = W_k ... W_1, is a deep linear network with as many synapses as the
factors have nonzero entries. Flat it has those of W, and nothing can be saved, since W is what it
is. The synaptic flattening cost (Lin, Tegmark & Rolnick, arXiv:1608.08225, Sec. III G; zero error,
no biases) is

    C_s = nnz(W) / sum_i nnz(W_i).

| map | deep | C_s |
|---|---|---|
| discrete Fourier transform of n = 2^m | butterflies, 2 n log2 n | n / (2 log2 n) |
| rank k | two factors, 2 n k | n / (2 k) |
| product of two random 0/1 matrices of density p | 2 p n^2 | (1 - (1 - p^2)^n) / (2 p) (Eq. 27) |
| multiplication by a fixed n x n matrix | Strassen, about 9 n^{log2 7} | about n^{3 - log2 7} / 9 |

Convention: factors are listed as they are multiplied on paper, the one that acts first last. An
entry of W counts as zero where it is below 1e-12 of the sum of absolute values it was made of.

Consequence: Strassen's exponent is real, and so is his constant. Recursion to single numbers has
9 n^{log2 7} - 8 n^2 synapses and the flat map n^3, so that depth pays only from n = 2^17; one
level above dense blocks pays from n = 50 (``strassen_synapses``). The bound C_s >= n^0.627 of the
paper refers to algorithms of exponent 2.373.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Key
from numpy.typing import ArrayLike

from physdl.errors import SettingError, ShapeError
from physdl.pytree import IntArray, module, static

__all__ = [
    "LinearFlattening",
    "butterfly_fft",
    "flatten_linear",
    "low_rank",
    "sparse_product",
    "sparse_product_cost",
    "strassen",
    "strassen_synapses",
]

Sparse: TypeAlias = Any
Factors: TypeAlias = tuple[Sparse, ...]

ROUNDING = 1e-12
ENCODE_LEFT = (
    (1, 0, 0, 1),
    (0, 0, 1, 1),
    (1, 0, 0, 0),
    (0, 0, 0, 1),
    (1, 1, 0, 0),
    (-1, 0, 1, 0),
    (0, 1, 0, -1),
)
ENCODE_RIGHT = (
    (1, 0, 0, 1),
    (1, 0, 0, 0),
    (0, 1, 0, -1),
    (-1, 0, 1, 0),
    (0, 0, 0, 1),
    (1, 1, 0, 0),
    (0, 0, 1, 1),
)
DECODE = (
    (1, 0, 0, 1, -1, 0, 1),
    (0, 0, 1, 0, 1, 0, 0),
    (0, 1, 0, 1, 0, 0, 0),
    (1, -1, 1, 0, 0, 1, 0),
)


@module
class LinearFlattening:
    """Synapses of a linear map, deep and flat.

    Attributes:
      deep: nonzero entries of all factors.
      flat: nonzero entries of their product.
    """

    deep: int = static()
    flat: int = static()

    @property
    def cost(self) -> float:
        """C_s = flat / deep; below 1 the factors are no gain."""
        return self.flat / self.deep


def flatten_linear(factors: Sequence[ArrayLike | Sparse]) -> LinearFlattening:
    """Count the synapses of a product of matrices, dense or of scipy.sparse.

    Raises:
      ShapeError: there is no factor, or neighbours do not fit.
      SettingError: every factor is zero.

    >>> flatten_linear(butterfly_fft(64))
    LinearFlattening(deep=768, flat=4096)
    >>> round(flatten_linear(butterfly_fft(64)).cost, 3)
    5.333
    """
    matrices = [sp.csr_array(f) for f in factors]
    shapes = [m.shape for m in matrices]
    if not matrices or any(a[1] != b[0] for a, b in itertools.pairwise(shapes)):
        raise ShapeError(f"matrices to be multiplied fit each other, got shapes {shapes}.")
    deep = sum(int(np.count_nonzero(m.data)) for m in matrices)
    if not deep:
        raise SettingError("a map of zeros has no synapses, deep or flat.")
    product = functools.reduce(lambda a, b: a @ b, matrices).tocsr()
    size = functools.reduce(lambda a, b: a @ b, map(abs, matrices)).tocsr()
    flat = int((abs(product) > ROUNDING * size).nnz)
    return LinearFlattening(deep, flat)


def butterfly_fft(n: int) -> Factors:
    """Radix-2 factors of the discrete Fourier transform, 2 n nonzeros each, log2 n of them.

    Their product is F_jk = exp(-2 pi i j k / n). The permutation to bit-reversed order is part of
    the factor that acts first. (Cooley & Tukey, Math. Comp. 19 (1965) 297.)

    Raises:
      SettingError: n is no power of 2 above 1.

    >>> product = functools.reduce(lambda a, b: a @ b, butterfly_fft(8)).toarray()
    >>> bool(np.allclose(product, np.fft.fft(np.eye(8)), atol=1e-14))
    True
    """
    levels = n.bit_length() - 1
    if n < 2 or n != 2**levels:
        raise SettingError(f"a radix-2 transform has a length 2, 4, 8, ..., got {n!r}.")
    factors = []
    for level in range(levels):
        size = n >> level
        half = size // 2
        twiddle = sp.diags_array(np.exp(-2j * np.pi * np.arange(half) / size))
        one = sp.eye_array(half)
        block = sp.block_array([[one, twiddle], [one, -twiddle]])
        factors.append(_without_zeros(sp.kron(sp.eye_array(n // size), block)))
    order = np.arange(n)
    reverse = sum(((order >> k) & 1) << (levels - 1 - k) for k in range(levels))
    return (*factors[:-1], factors[-1][:, reverse])


def low_rank(n: int, rank: int, *, key: Key[Array, ""]) -> Factors:
    """Normal random factors of an n x n map of given rank: C_s = n / (2 rank).

    Raises:
      SettingError: the rank is not in 1 ... n.

    >>> flatten_linear(low_rank(40, 4, key=jax.random.key(0))).cost
    5.0
    """
    if not 1 <= rank <= n:
        raise SettingError(f"the rank of an {n} x {n} map is 1 ... {n}, got {rank!r}.")
    left, right = jax.random.normal(key, (2, n, rank))
    return sp.csr_array(np.asarray(left)), sp.csr_array(np.asarray(right).T)


def sparse_product(n: int, density: float, *, key: Key[Array, ""]) -> Factors:
    """Two random n x n matrices of zeros and ones, each entry 1 with probability p.

    Raises:
      SettingError: the density is not in (0, 1].

    >>> cost = flatten_linear(sparse_product(200, 0.1, key=jax.random.key(0))).cost
    >>> abs(cost - sparse_product_cost(200, 0.1)) < 0.2
    True
    """
    _density(n, density)
    pair = np.asarray(jax.random.bernoulli(key, density, (2, n, n)))
    return sp.csr_array(pair[0].astype(float)), sp.csr_array(pair[1].astype(float))


def sparse_product_cost(n: int, density: float) -> float:
    """(1 - (1 - p^2)^n) / (2 p): C_s of ``sparse_product`` from expected counts.

    1 / (2 p) for n >> 1 / p^2 (arXiv:1608.08225, Eq. 27).

    Raises:
      SettingError: the density is not in (0, 1].

    >>> [round(sparse_product_cost(n, p), 4) for n, p in ((200, 0.1), (500, 0.05), (1000, 0.05))]
    [4.3301, 7.1394, 9.1817]
    """
    _density(n, density)
    return (1 - (1 - density**2) ** n) / (2 * density)


def strassen(matrix: ArrayLike, *, levels: int | None = None) -> Factors:
    """X -> A X for a fixed n x n matrix A by Strassen's recursion, as sparse factors.

    The factors act on vec X, the n^2 entries in C order, and their product is kron(A, 1). With l
    levels and b = n / 2^l they are l decoders, 7^l blocks that multiply b x b matrices by a
    combination of blocks of A, and l encoders (Strassen, Numer. Math. 13 (1969) 354). The default
    recurses to single numbers.

    Raises:
      ShapeError: the matrix is not square, or its size is no multiple of 2^levels, or without
        levels no power of 2 above 1.
      SettingError: levels is below 1.

    >>> a = np.arange(16.0).reshape(4, 4)
    >>> product = functools.reduce(lambda a, b: a @ b, strassen(a)).toarray()
    >>> bool(np.allclose(product, np.kron(a, np.eye(4))))
    True
    """
    a = np.asarray(matrix)
    n = len(a) if a.ndim else 0
    depth = _levels(n, levels)
    if a.shape != (n, n):
        raise ShapeError(f"a product is encoded for a square matrix, got shape {a.shape}.")
    b = n >> depth
    blocks = _block_order(n, depth)
    encode_left = _encoders(ENCODE_LEFT, depth, b * b)
    left = functools.reduce(lambda v, m: m @ v, encode_left, a.reshape(-1)[blocks])
    one = sp.eye_array(b)
    multiply = sp.block_diag([sp.kron(m, one) for m in left.reshape(-1, b, b)], format="csr")
    encode = _encoders(ENCODE_RIGHT, depth, b * b)
    decode = [m.T for m in _encoders(np.transpose(DECODE), depth, b * b)]
    place = np.argsort(blocks)
    encode[0], decode[0] = encode[0][:, place], decode[0][place]
    return (*decode, _without_zeros(multiply), *encode[::-1])


def strassen_synapses(n: int, *, levels: int | None = None) -> LinearFlattening:
    """What ``strassen`` counts for a matrix without zeros, in closed form.

    Deep 7^l b^3 + 8 b^2 (7^l - 4^l) with b = n / 2^l, as encoder and decoder have 12 nonzeros each;
    flat n^3.

    Raises:
      ShapeError, SettingError: as ``strassen``.

    >>> strassen_synapses(2)
    LinearFlattening(deep=31, flat=8)
    >>> strassen_synapses(64, levels=1).cost > 1 > strassen_synapses(64).cost
    True
    """
    depth = _levels(n, levels)
    b = n >> depth
    return LinearFlattening(7**depth * b**3 + 8 * b**2 * (7**depth - 4**depth), n**3)


def _density(n: int, density: float) -> None:
    if n < 1 or not 0 < density <= 1:
        raise SettingError(f"matrices have n >= 1 and a density in (0, 1], got {n!r}, {density!r}.")


def _levels(n: int, levels: int | None) -> int:
    depth = n.bit_length() - 1 if levels is None else levels
    if levels is not None and levels < 1:
        raise SettingError(f"the recursion has at least one level, got {levels!r}.")
    if n < 2 or n % 2**depth or (levels is None and n != 2**depth):
        raise ShapeError(
            f"the recursion halves a square as often as it has levels: a size {n!r} cannot be "
            f"halved {'to single numbers' if levels is None else f'{levels} times'}."
        )
    return depth


def _block_order(n: int, levels: int) -> IntArray:
    """The entries of an n x n matrix in C order, by blocks, blocks of blocks, and so on."""
    axes = [axis for k in range(levels + 1) for axis in (k, levels + 1 + k)]
    halves = (*(2,) * levels, n >> levels)
    return np.arange(n * n).reshape(halves * 2).transpose(axes).reshape(-1)


def _encoders(seven_by_four: ArrayLike, levels: int, block: int) -> list[Sparse]:
    """Factors that take 4^l blocks of a matrix to 7^l combinations, first acting first."""
    small = sp.csr_array(np.asarray(seven_by_four, np.float64))
    return [
        _without_zeros(
            sp.kron(sp.kron(sp.eye_array(7**k), small), sp.eye_array(4 ** (levels - 1 - k) * block))
        )
        for k in range(levels)
    ]


def _without_zeros(matrix: Sparse) -> Sparse:
    rows = sp.csr_array(matrix)
    rows.eliminate_zeros()
    return rows
