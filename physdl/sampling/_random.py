"""Random numbers that fuse with what uses them, and the three decisions of discrete moves.

The bits are those of ``jax.random.bits``: Threefry-2x32 with 20 rounds of the key and the counter
(J. K. Salmon et al., Proc. SC11, 16 (2011)), partitionable. JAX runs the rounds as a loop over
whole arrays on the CPU; here they are written out, so that XLA computes them in registers, inside
the update that consumes them: 10 to 14 times faster, bit for bit the same numbers.

Where hundreds of sites are drawn at once, even those 20 rounds for every site cost more than all
else. There ``hashed`` mixes the number of the site with both words of the key, which come from
Threefry, by a hash of 32 bits (``mixed``).

Every random decision of a move of single sites on discrete states is a ``bernoulli``, a
``categorical`` or an ``integers``. The tests replace these three by a script, and so compute
transition matrices exactly, from the code that runs.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32
from numpy.typing import NDArray

__all__ = [
    "GOLDEN",
    "bernoulli",
    "bits",
    "categorical",
    "chosen",
    "folded",
    "hashed",
    "integers",
    "logistic",
    "mixed",
    "normal",
    "split",
    "uniform",
]

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
GOLDEN = np.uint32(0x9E3779B9)
UNROLLED = 16


def _rotated(x: UInt32[Array, "..."], r: int) -> UInt32[Array, "..."]:
    return (x << np.uint32(r)) | (x >> np.uint32(32 - r))


def _threefry(
    key: Key[Array, ""], shape: tuple[int, ...]
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """The two words of Threefry-2x32 for every position of ``shape`` in C order."""
    size = math.prod(shape)
    assert size < 2**32, "more positions than one word counts"
    position = jax.lax.iota(jnp.uint32, size).reshape(shape)
    return _rounds(jax.random.key_data(key), jnp.zeros(shape, jnp.uint32), position)


def _rounds(
    key: UInt32[Array, " 2"], a: UInt32[Array, "..."], b: UInt32[Array, "..."]
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Threefry-2x32 of the counters (a, b)."""
    k0, k1 = key[0], key[-1]
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    a, b = a + k0, b + k1
    for i in range(5):
        for r in ROTATIONS[i % 2]:
            a = a + b
            b = _rotated(b, r) ^ a
        a = a + keys[(i + 1) % 3]
        b = b + keys[(i + 2) % 3] + np.uint32(i + 1)
    return a, b


def split(key: Key[Array, ""], n: int = 2) -> Key[Array, " n"]:
    """n independent keys, equal to ``jax.random.split(key, n)``."""
    return _key(_threefry(key, (n,)))


def folded(key: Key[Array, ""], number: Int[Array, ""]) -> Key[Array, ""]:
    """The key of a number, equal to ``jax.random.fold_in(key, number)``."""
    words = jax.random.key_data(key)
    counter = jnp.zeros((), jnp.uint32), jnp.asarray(number).astype(jnp.uint32)
    return _key(_rounds(words, *counter))


def _key(words: tuple[UInt32[Array, "..."], UInt32[Array, "..."]]) -> Key[Array, "..."]:
    a, b = words  # chosen between, not stacked: copies would keep the rounds from vectorising
    first = jax.lax.broadcasted_iota(jnp.uint32, (*a.shape, 2), a.ndim) == 0
    pair = jnp.where(first, a[..., None], b[..., None])
    key: Array = jax.random.wrap_key_data(pair, impl="threefry2x32")
    return key


def bits(key: Key[Array, ""], shape: tuple[int, ...] = ()) -> UInt32[Array, "..."]:
    """32 random bits per position, equal to ``jax.random.bits(key, shape, "uint32")``.

    >>> key = jax.random.key(7)
    >>> bool(jnp.all(bits(key, (3, 5)) == jax.random.bits(key, (3, 5), "uint32")))
    True
    """
    a, b = _threefry(key, shape)
    return a ^ b


def uniform(
    key: Key[Array, ""], shape: tuple[int, ...] = (), dtype: jnp.dtype | type = float
) -> Float[Array, "..."]:
    """Uniform numbers in [0, 1): multiples of 2^-23 in float32 and of 2^-52 in float64.

    Equal to ``jax.random.uniform(key, shape, dtype)``.
    """
    kind = jax.dtypes.canonicalize_dtype(dtype)
    if kind == jnp.float64:
        return _fraction_of_two(*_threefry(key, shape))
    return _fraction(bits(key, shape)).astype(kind)


def _fraction(word: UInt32[Array, "..."]) -> Float[Array, "..."]:
    ones = (word >> np.uint32(9)) | np.uint32(0x3F800000)
    return jax.lax.bitcast_convert_type(ones, jnp.float32) - np.float32(1.0)


def _fraction_of_two(a: UInt32[Array, "..."], b: UInt32[Array, "..."]) -> Float[Array, "..."]:
    wide = (a.astype(jnp.uint64) << np.uint64(32)) | b.astype(jnp.uint64)
    ones = (wide >> np.uint64(12)) | np.uint64(0x3FF0000000000000)
    return jax.lax.bitcast_convert_type(ones, jnp.float64) - 1.0


def mixed(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """A bijection of words, each bit of which depends on all (C. Wellons' ``lowbias32``)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def hashed(
    key: Key[Array, ""], shape: tuple[int, ...] = (), dtype: jnp.dtype | type = float
) -> Float[Array, "..."]:
    """Uniform numbers in [0, 1) as ``uniform`` has, from a hash instead of Threefry.

    With the words k_0 and k_1 of the key, position i has the word

        mixed(mixed(g i ^ k_0) ^ k_1),        g = 0x9E3779B9 (odd: the golden ratio of 2^32),

    and in float64 a second one for the lower digits, with k_0 and k_1 exchanged. Over random keys
    each word is exactly uniform. The words of one key are all distinct, as 2^16 random ones or
    fewer mostly are: it is a generator for the sites of one configuration.

    >>> u = hashed(jax.random.key(7), (10_000,))
    >>> bool(abs(u.mean() - 0.5) < 4 * 12**-0.5 / 100), bool(u.min() >= 0), bool(u.max() < 1)
    (True, True, True)
    """
    size = math.prod(shape)
    assert size < 2**32, "more positions than one word counts"
    position = jax.lax.iota(jnp.uint32, size).reshape(shape) * GOLDEN
    words = jax.random.key_data(key)
    k0, k1 = words[0], words[-1]
    word = mixed(mixed(position ^ k0) ^ k1)
    kind = jax.dtypes.canonicalize_dtype(dtype)
    if kind == jnp.float64:
        return _fraction_of_two(word, mixed(mixed(position ^ k1) ^ k0))
    return _fraction(word).astype(kind)


def normal(
    key: Key[Array, ""], shape: tuple[int, ...] = (), dtype: jnp.dtype | type = float
) -> Float[Array, "..."]:
    """Standard normal numbers by the inverse error function."""
    u = uniform(key, shape, dtype)
    centred = 2 * u - (1 - float(np.finfo(u.dtype).eps))
    numbers: Array = math.sqrt(2) * jax.lax.erf_inv(centred)
    return numbers


def bernoulli(key: Key[Array, ""], p: Float[Array, "..."]) -> Bool[Array, "..."]:
    """True with probability p, elementwise."""
    return uniform(key, p.shape, p.dtype) < p


def logistic(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 / (1 + exp(-x)), from an exponential that vectorises where ``jax.nn.sigmoid`` does not."""
    return 1 / (1 + jnp.exp(-x))


def categorical(key: Key[Array, ""], log_p: Float[Array, "*n q"]) -> Int[Array, "*n"]:
    """An index along the last axis, with probability proportional to exp(log_p).

    ``-inf`` is never chosen where any entry is finite.
    """
    if log_p.shape[-1] == 2:
        return bernoulli(key, logistic(log_p[..., 1] - log_p[..., 0])).astype(jnp.int32)
    p = jnp.exp(log_p - jnp.max(log_p, axis=-1, keepdims=True))
    u = uniform(key, log_p.shape[:-1], log_p.dtype) * jnp.sum(p, axis=-1)
    if log_p.shape[-1] <= UNROLLED:
        below, chosen = jnp.zeros_like(u), jnp.zeros(u.shape, jnp.int32)
        last = chosen
        for k in range(log_p.shape[-1]):
            below = below + p[..., k]
            chosen = chosen + (below <= u).astype(jnp.int32)
            last = jnp.where(p[..., k] > 0, k, last)
        return jnp.minimum(chosen, last)
    chosen = jnp.sum(jnp.cumsum(p, axis=-1) <= u[..., None], axis=-1)
    last = log_p.shape[-1] - 1 - jnp.argmax(p[..., ::-1] > 0, axis=-1)
    return jnp.minimum(chosen, last).astype(jnp.int32)


def integers(key: Key[Array, ""], shape: tuple[int, ...], n: int) -> Int[Array, "..."]:
    """Integers 0, ..., n - 1, equally likely up to n / 2^32."""
    word, half = bits(key, shape), np.uint32(16)
    a, b = word >> half, word & np.uint32(0xFFFF)
    c, d = np.uint32(n >> 16), np.uint32(n & 0xFFFF)
    middle = a * d + ((b * d) >> half)
    carry = b * c + (middle & np.uint32(0xFFFF))
    return (a * c + (middle >> half) + (carry >> half)).astype(jnp.int32)


def chosen(
    points: NDArray[np.floating] | Float[Array, "*n q c"], label: Int[Array, "*n"]
) -> Float[Array, "*n c"]:
    """points[..., label, :] by comparisons, so that a random label fuses with what draws it.

    A gather whose address holds the rounds of Threefry takes the compiler of jaxlib 0.12 a time
    exponential in their number.
    """
    q, c = points.shape[-2:]
    if q > UNROLLED:
        here = label[..., None, None] == jnp.arange(q)[:, None]
        return jnp.sum(jnp.where(here, points, 0), axis=-2)
    rows = jnp.broadcast_to(points[..., 0, :], (*label.shape, c))
    for k in range(1, q):
        rows = jnp.where((label == k)[..., None], points[..., k, :], rows)
    return rows
