r"""Arithmetic on 32 replicas at once: words of random bits, decisions, and counts.

**Random words.** Each (colour, sweep) draws four 32-bit words from the key by Threefry. A word of
the lattice at position i mixes i with each of them (C. Wellons' ``lowbias32``) into four words
w_0, ..., w_3, and the rest follow by a linear recurrence in registers,

    w_n = rot(w_{n-4}, 3) ^ rot(w_{n-3}, 23) ^ rot(w_{n-2}, 6),

where ``rot`` rotates to the left. Bit b of w_0, ..., w_{n-1} is the number that replica b draws.
As functions of the four seed words the numbers of any three replicas are linearly independent over
GF(2) for n <= 32: with uniform seeds each is exactly uniform, and any three are exactly
independent. (Larger groups are not all: four replicas b, b - 3, b - 23, b - 6 obey the recurrence.)

**Decisions.** A probability p is rounded to T / 2^n, T an integer with bits t_0, ..., t_{n-1}, the
least significant first. The chain

    r_{j+1} = w_j | r_j  where t_j = 1,        r_{j+1} = w_j & r_j  where t_j = 0,        r_0 = 0,

ends with r_n = 1 exactly where u < T, for the number u with the binary digits u_j = 1 ^ w_j. Both
cases are one instruction, R' = (R ^ x_j) & w_j, for R_j = r_j ^ t_{j-1} and x_j = t_j ^ t_{j-1}, if
w_j may be replaced by w_j ^ t_j, which is as random:

    r_n = 1   exactly where   u < T,   u_j = 1 ^ w_j ^ t_j.

**Counts** are bit-sliced: a number per replica is a list of words, one per binary digit.
"""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from physdl.sampling._barrier import settled
from physdl.sampling._random import GOLDEN, mixed

__all__ = ["N_LANES", "chains", "column_sums", "decisions", "equals", "pack", "unpack", "words"]

N_LANES = 32
ALL = np.uint32(0xFFFFFFFF)
ROTATIONS = (3, 23, 6)
Words = UInt32[Array, "..."]


def _rotated(x: Words, r: int) -> Words:
    return (x << np.uint32(r)) | (x >> np.uint32(32 - r))


def words(seed: UInt32[Array, "4"], shape: tuple[int, ...], n: int) -> Iterator[Words]:
    """n words of random bits at every position of ``shape``, from four random words."""
    size = int(np.prod(shape))
    assert size < 2**32, "more positions than one word counts"
    position = jax.lax.iota(jnp.uint32, size).reshape(shape) * GOLDEN
    last = [mixed(position ^ seed[j]) for j in range(4)]
    for _ in range(n):
        yield last[0]
        a, b, c = (_rotated(w, r) for w, r in zip(last, ROTATIONS, strict=False))
        last = [*last[1:], a ^ b ^ c]


def thresholds(p: Float[Array, " n_chains"], n_bits: int) -> Float[Array, " n_chains"]:
    """Integers T, 0 <= T <= 2^n_bits, with T / 2^n_bits nearest to p."""
    return jnp.round(jnp.clip(p, 0.0, 1.0) * 2.0**n_bits)


def chains(
    p: Float[Array, " n_chains"], n_bits: int
) -> tuple[UInt32[Array, "n_chains n_bits"], UInt32[Array, " n_chains"]]:
    """The masks x_j of the decisions with probabilities p, and the final mask t_{n-1}.

    The start r_0 = 1 of p = 1 is folded into x_0 and makes all t_j equal 1.
    """
    t = thresholds(p, n_bits)[:, None]
    halved = jnp.floor(t * jnp.asarray(2.0 ** -np.arange(n_bits), p.dtype)[None])
    digit = (halved - 2 * jnp.floor(halved / 2) > 0) | (t == 2.0**n_bits)
    mask = jnp.where(digit, ALL, np.uint32(0))
    first = jnp.where(t == 2.0**n_bits, ALL, np.uint32(0))
    return mask ^ jnp.concatenate([first, mask[:, :-1]], axis=1), mask[:, -1]


def decisions(
    steps: UInt32[Array, "n_chains n_bits"],
    last: UInt32[Array, " n_chains"],
    random_words: Iterator[Words],
    like: Words,
) -> tuple[list[Words], Words]:
    """One word per chain, 1 with its probability in every bit; and the last random word.

    The chains share the random words: only one of them may decide about a spin.
    """
    r, w = [jnp.zeros_like(like)] * len(last), like
    for j, w in enumerate(random_words):
        r = [(chain ^ steps[c, j]) & w for c, chain in enumerate(r)]
    return [chain ^ last[c] for c, chain in enumerate(r)], w


def added(addends: Sequence[Words]) -> list[Words]:
    """The number of ones among the words, in every bit: binary digits, least significant first."""
    digits, column = [], list(addends)
    while column:
        carries = []
        while len(column) > 1:
            a, b = column.pop(), column.pop()
            half = a ^ b
            if column:
                c = column.pop()
                carries.append((a & b) | (c & half))
                half = half ^ c
            else:
                carries.append(a & b)
            column.insert(0, half)
        digits.append(column[0])
        column = carries
    return digits


def equals(digits: Sequence[Words], number: int) -> Words:
    """1 where the bit-sliced number has the given value."""
    out = jnp.full_like(digits[0], ALL if number < 2 ** len(digits) else np.uint32(0))
    for k, digit in enumerate(digits):
        out = out & (digit if number >> k & 1 else ~digit)
    return out


def column_sums(digits: Sequence[Words], w: int) -> Int[Array, " replicas"]:
    """Bit-sliced numbers of n sites of w words summed over the sites: one integer per replica."""
    lanes = np.arange(N_LANES, dtype=np.uint32)[None, None]
    numbers = jnp.zeros((1, 1, 1), jnp.uint32)
    for k, digit in enumerate(settled(list(digits))):
        bit = (digit.reshape(-1, w, 1) >> lanes) & np.uint32(1)
        numbers = numbers + (bit << np.uint32(k))
    return jnp.sum(numbers.astype(jnp.int32), axis=0, dtype=jnp.int32).reshape(-1)


def pack(x: Float[Array, "replicas n"]) -> UInt32[Array, "n w"]:
    """Words of 32 replicas: bit b of word w is 1 where x of replica 32 w + b is positive."""
    up = (x > 0).reshape(-1, N_LANES, x.shape[1]).astype(jnp.uint32)
    lanes = np.arange(N_LANES, dtype=np.uint32)[None, :, None]
    return jnp.sum(up << lanes, axis=1, dtype=jnp.uint32).T


def unpack(packed: UInt32[Array, "n w"], dtype: jnp.dtype) -> Float[Array, "replicas n"]:
    """The spins -1 and +1 of every replica."""
    lanes = np.arange(N_LANES, dtype=np.uint32)[None, :, None]
    up = (packed.T[:, None, :] >> lanes) & np.uint32(1)
    return 2 * up.reshape(-1, packed.shape[0]).astype(dtype) - 1
