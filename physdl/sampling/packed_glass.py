r"""Multi-spin coding of +-1 spins with any weights: 32 replicas in the bits of a word.

    H(x) = sum_m c_m prod_{k in m} s_k,        s_k = -1, +1,

any coefficients on any sparse graph: pairs, fields, and products of more spins. The heat bath

    p(s_i = +1 | rest) = 1 / (1 + exp(2 F_i)),        F_i = dH / ds_i,

depends on the z neighbours of the site alone: 2^z numbers, found once per call. The less likely of
the two values has the probability T / 2^n, T an integer of n binary digits, and each digit, like
the bit that says which value that is, is a polynomial over GF(2) in the bits x_k of the neighbours,

    t(x) = XOR_S  a_S  AND_{k in S} x_k,        a_S = XOR_{R within S} t(R).

So 32 replicas find their own thresholds in 2^z steps of two or three instructions per digit, and
compare them with n words of random bits, the least significant first (see ``_packed_bits``):

    r' = majority(w, r, t),  r = 0 before,        r = 1 at the end exactly where u < T,

with u the number of the digits 1 ^ w. Where H is even (no field), all s -> -s maps F to -F, and the
last neighbour is used to turn the others over: 2^(z - 1) numbers do.

Convention: the probability of the less likely value is rounded to a multiple of 2^-n_bits; a value
whose probability is below 2^-(n_bits + 1) is never taken (``info["frozen"]`` counts these cases).

Consequence: on a graph of three neighbours one core draws about three spins per nanosecond. Cost
and compilation grow as 2^z. Up to 16 thresholds (z = 4, or 5 without a field) the arithmetic of a
site stays in registers; beyond, it is some twenty times slower, and z is at most 6.

Source: G. Bhanot, D. Duke, R. Salvador, J. Stat. Phys. 44, 985 (1986) (decisions bit by bit); the
polynomial is the Reed-Muller form (D. E. Muller, IRE Trans. Electron. Comput. 3, 6 (1954)).
"""

import functools
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Sites, Stencil
from physdl.pytree import IntArray, module, static
from physdl.sampling import _packed_bits as bits
from physdl.sampling import _random as random
from physdl.sampling._barrier import settled
from physdl.sampling._kernel import Info
from physdl.sampling._structure import Plan, plan_of
from physdl.spaces import SPIN

__all__ = ["PackedGlass"]

State: TypeAlias = tuple[UInt32[Array, "w m"], ...]
MOST_NEIGHBOURS = 6
SIGN = 31
FILLED = 128  # loops of other lengths are not vectorised


@module
class PackedGlass:
    """Heat bath of +-1 spins with any weights on a sparse graph, 32 replicas in a word.

    A state is one array of words [n_words, m] per class of sites that are updated together, m the
    number of its sites filled up to a multiple of 128. Coefficients are data, and may be traced.

    Attributes:
      n_words: words of a site; there are 32 n_words replicas.
      n_bits: random bits of a decision, 1 to 31: probabilities are multiples of 2^-n_bits.
      n_sweeps: sweeps of one call. The thresholds are found once in a call, at the cost of about
        one sweep, so that a call should make many.

    Raises:
      SettingError: a setting outside its range.
      SpaceError: the space is not ``SPIN``.
      StructureError: a term is not ``Sites`` or ``Stencil``; a site has more than 6 neighbours.

    >>> import jax.numpy as jnp
    >>> from physdl import lattices, models
    >>> h = models.edwards_anderson(lattices.random_regular(64, 3), 0.5, disorder="gaussian")
    >>> kernel = PackedGlass(n_sweeps=20)
    >>> state = kernel.init(h, jnp.ones((32, 64)))
    >>> state, info = jax.jit(kernel)(h, state, key=jax.random.key(0))
    >>> kernel.configurations(h, state).shape, float(info["frozen"])
    ((32, 64), 0.0)
    """

    n_words: int = static(default=1)
    n_bits: int = static(default=24)
    n_sweeps: int = static(default=1)

    def __post_init__(self) -> None:
        for name, most in (("n_words", 2**20), ("n_bits", SIGN), ("n_sweeps", 2**20)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise SettingError(f"{name} is an integer from 1 to {most}, got {value!r}.")

    @property
    def n_replicas(self) -> int:
        """Replicas of a state: 32 in a word."""
        return bits.N_LANES * self.n_words

    def check(self, h: Hamiltonian) -> None:
        """Raise when ``h`` is not of this kind."""
        _structure_of(h)

    def init(
        self, h: Hamiltonian, x: Float[Array, "n ..."], *, key: Key[Array, ""] | None = None
    ) -> State:
        """The words of ``n_replicas`` configurations; ``key`` is not used."""
        del key
        structure = _structure_of(h)
        if x.shape != (self.n_replicas, *h.state_shape):
            raise ShapeError(
                f"{self.n_words} words hold {self.n_replicas} configurations of shape "
                f"{h.state_shape}, got an array of shape {x.shape}."
            )
        words = bits.pack(x.reshape(self.n_replicas, -1)).T
        empty = jnp.zeros((self.n_words, structure.bounds[-1]), jnp.uint32)
        filled = empty.at[:, structure.place].set(words)
        return tuple(jnp.split(filled, structure.bounds[1:-1], axis=1))

    def configurations(self, h: Hamiltonian, state: State) -> Float[Array, "n ..."]:
        """The spins of every replica, [n_replicas, *h.state_shape]."""
        words = jnp.concatenate(state, axis=1)[:, _structure_of(h).place]
        return bits.unpack(words.T, h.dtype).reshape(self.n_replicas, *h.state_shape)

    def __call__(self, h: Hamiltonian, state: State, *, key: Key[Array, ""]) -> tuple[State, Info]:
        """``n_sweeps`` sweeps through all classes; ``"frozen"`` is the fraction of thresholds 0."""
        classes = _structure_of(h).classes
        found = [_thresholds(h, near, self.n_bits) for near in classes]
        digits = [_polynomial(t) for t in found]
        seeds = random.bits(key, (self.n_sweeps, len(classes), 4))

        def sweep(i: Array | int, state: State) -> State:
            # the thresholds enter with the state, or XLA takes all their digits out of the loop
            held, parts = settled((digits, list(state)))
            for c, near in enumerate(classes):
                pool = jnp.concatenate(parts, axis=1)
                # a loop, or XLA gathers inside the arithmetic, which is then not vectorised
                read = functools.partial(_gathered, pool)
                around = jax.lax.map(read, jnp.asarray(near.neighbours))
                stream = list(bits.words(seeds[i, c], parts[c].shape, self.n_bits))
                parts[c] = _drawn(held[c], list(around), near.even, stream)
            return tuple(parts)

        state = jax.lax.fori_loop(0, self.n_sweeps, sweep, state)
        zero = [jnp.sum((t << np.uint32(1)) == 0, dtype=jnp.int32) for t in found]
        n_zero = jnp.sum(jnp.stack(zero)).astype(h.dtype)
        return state, {"frozen": n_zero / sum(near.n_sites * near.n_patterns for near in classes)}


@dataclass(frozen=True, eq=False)
class Near:
    """What the sites of a class feel; columns of tables past their number belong to no site.

    Attributes:
      n_sites: the number of sites.
      neighbours: places of the neighbours, int [z, m]; any place where one has fewer.
      columns: (set of neighbours as bits of a number, term, which coefficients of it multiply the
        product of these neighbours: int [most, m], -1 where a site has fewer).
      even: whether the field changes its sign with all neighbours.
    """

    n_sites: int
    neighbours: IntArray
    columns: tuple[tuple[int, str, IntArray], ...]
    even: bool

    @property
    def n_patterns(self) -> int:
        """The number of thresholds of a site."""
        z = len(self.neighbours)
        return int(2 ** (z - 1 if self.even and z else z))


@dataclass(frozen=True, eq=False)
class Structure:
    """Where the words of a site are.

    Attributes:
      place: of every site, in the classes one after the other.
      bounds: class k has the places ``bounds[k]`` to ``bounds[k + 1]``.
      classes: what their sites feel.
    """

    place: IntArray
    bounds: tuple[int, ...]
    classes: tuple[Near, ...]


def _structure_of(h: Hamiltonian) -> Structure:
    if h.space != SPIN:
        raise SpaceError(f"packed spins need the space SPIN, got {h.space!r}: use HeatBath.")
    other = [n for n, t in h.terms.items() if not isinstance(t, Sites | Stencil)]
    if other:
        raise StructureError(
            f"packed spins need Sites and Stencil terms, got {other[0]!r} of type "
            f"{type(h.terms[other[0]]).__name__}: use HeatBath."
        )
    return _structure(plan_of(h))


@functools.lru_cache(maxsize=32)
def _structure(plan: Plan) -> Structure:
    starts = np.array(plan.bounds)
    sizes = starts[1:] - starts[:-1]
    bounds: IntArray = np.append(0, np.cumsum(-(-sizes // FILLED) * FILLED))
    place: IntArray = np.arange(len(plan.order)) + np.repeat(bounds[:-1] - starts[:-1], sizes)
    classes = tuple(_near(plan, k, place) for k in range(plan.n_classes))
    return Structure(place[plan.position], tuple(bounds.tolist()), classes)


def _near(plan: Plan, k: int, place: IntArray) -> Near:
    """The neighbours of a class, and its monomials as sets of them."""
    n_sites, n = plan.bounds[k + 1] - plan.bounds[k], len(plan.order)
    m = -(-n_sites // FILLED) * FILLED
    odd = [g for g in plan.monomials[k] if len(g.pattern) % 2]  # s^2 = 1
    entries = []
    for group in odd:
        own, slot = np.nonzero(group.row >= 0)
        others = group.others[own, slot].astype(np.int64)
        same = others[:, :, None] == others[:, None, :]
        first = ~np.any(np.tril(same, -1), axis=2)
        entries.append((group, own, group.row[own, slot], others, first & (same.sum(2) % 2 == 1)))
    links = [own[:, None] * n + others for _, own, _, others, _ in entries]
    kept = [link[keep] for link, (*_, keep) in zip(links, entries, strict=True)]
    edges = np.unique(np.concatenate([np.empty(0, np.int64), *kept]))
    rank = _ranks(edges // n)
    z = int(rank.max(initial=-1)) + 1
    if z > MOST_NEIGHBOURS:
        raise StructureError(
            f"packed spins with any weights need sites of at most {MOST_NEIGHBOURS} neighbours, "
            f"got {z}: use HeatBath, or PackedIsing where all couplings have one strength."
        )
    neighbours = np.zeros((z, m), dtype=np.int32)
    neighbours[rank, edges // n] = place[edges % n]
    columns: list[tuple[int, str, IntArray]] = []
    for link, (group, own, row, _, keep) in zip(links, entries, strict=True):
        found = np.where(keep, np.searchsorted(edges, link), 0)
        power = 2 ** rank[found] if len(edges) else np.zeros(found.shape, int)
        subset = np.sum(np.where(keep, power, 0), axis=1)
        columns += [
            (s, group.term, _rows(own[subset == s], row[subset == s], m))
            for s in np.unique(subset).tolist()
        ]
    even = all(s.bit_count() % 2 for s, _, _ in columns)
    return Near(n_sites, neighbours, tuple(columns), even)


def _ranks(ordered: IntArray) -> IntArray:
    """0, 1, 2, ... within each run of equal numbers."""
    ranks: IntArray = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return ranks


def _rows(own: IntArray, row: IntArray, m: int) -> IntArray:
    """The rows of every site, [most, m], padded with -1."""
    order = np.argsort(own, kind="stable")
    rank = _ranks(own[order])
    table = np.full((int(rank.max(initial=0)) + 1, m), -1, dtype=np.int32)
    table[rank, own[order]] = row[order]
    return table


def _thresholds(h: Hamiltonian, near: Near, n_bits: int) -> UInt32[Array, "p m"]:
    """For every pattern of the neighbours T of the less likely value; bit 31 where that is -1.

    Bit k of a pattern is 1 where neighbour k is +1; of an even class the last neighbour is -1.
    """
    pattern = np.arange(near.n_patterns)
    m = near.neighbours.shape[1]
    fields = jnp.zeros((near.n_patterns, m), h.dtype)
    for subset, name, rows in near.columns:
        n_down = np.bitwise_count(subset & ~pattern)
        sign = np.where(n_down % 2 == 1, -1.0, 1.0).astype(h.dtype)
        fields = fields + jnp.asarray(sign)[:, None] * _column(h, name, rows)[None]
    p = 1 / (1 + jnp.exp(2 * jnp.abs(fields)))
    t = jnp.where(p >= 0, jnp.round(p * 2.0**n_bits), 0).astype(jnp.uint32)
    return t | jnp.where(fields < 0, np.uint32(1 << SIGN), np.uint32(0))


def _column(h: Hamiltonian, name: str, rows: IntArray) -> Float[Array, " m"]:
    """The sum of the coefficients of the given rows."""
    term = h.terms[name]
    assert isinstance(term, Sites | Stencil)
    c = term.to_sites(h.shape, h.space).coefficient
    if c.ndim:
        c = c.at[np.maximum(rows, 0)].get(mode="promise_in_bounds")
    return jnp.sum(jnp.where(jnp.asarray(rows >= 0), c, 0), axis=0)


def _polynomial(t: UInt32[Array, "p m"]) -> list[UInt32[Array, "1 m"]]:
    """The coefficients a_S, bit by bit, of the polynomials with values t."""
    a = list(t)
    for k in range(len(a).bit_length() - 1):
        a = [x ^ a[s ^ (1 << k)] if s >> k & 1 else x for s, x in enumerate(a)]
    return [x[None] for x in a]


def _gathered(pool: UInt32[Array, "w n"], positions: Array) -> UInt32[Array, "w m"]:
    return pool.at[:, positions].get(mode="promise_in_bounds")


def _drawn(
    digits: list[UInt32[Array, "1 m"]],
    around: list[UInt32[Array, "w m"]],
    even: bool,
    stream: list[UInt32[Array, "w m"]],
) -> UInt32[Array, "w m"]:
    """New spins: the less likely value where the random number is below its threshold."""
    turned = around[-1] if even and around else None
    free = around if turned is None else [x ^ turned for x in around[:-1]]
    products = [None, *free[:1]]
    for x in free[1:]:
        products = [*products, x, *(x & y for y in products[1:] if y is not None)]
    r = jnp.zeros_like(stream[0])
    for j, w in enumerate(stream):
        t = _evaluated(digits, products, j)
        r = (w & r) | (t & (w | r))
    r = r ^ _evaluated(digits, products, SIGN)
    return r if turned is None else r ^ turned


def _evaluated(
    digits: list[UInt32[Array, "1 m"]], products: list[UInt32[Array, "w m"] | None], j: int
) -> UInt32[Array, "w m"]:
    """The polynomial of digit j."""
    total: Array | None = None
    for a, product in zip(digits, products, strict=True):
        top = jax.lax.bitcast_convert_type(a << np.uint32(31 - j), jnp.int32)
        spread = jax.lax.shift_right_arithmetic(top, jnp.full_like(top, 31))
        mask = jax.lax.bitcast_convert_type(spread, jnp.uint32)
        mask = mask if product is None else mask & product
        total = mask if total is None else total ^ mask
    assert total is not None
    return total
