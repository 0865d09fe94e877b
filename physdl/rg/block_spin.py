r"""Block spins: maps from a configuration to a coarser one.

The lattice is cut into blocks of m sites, and a block becomes one site, in a state drawn from the
states of its sites (L. P. Kadanoff, Physics 2, 263 (1966)):

    x'_B ~ P(x'_B | x_B),            b = m^(1/d),

the length ratio of the step. ``Majority`` takes the state that most sites have and lets chance
decide among equals, ``BlockDecimation`` the state of one site, ``BlockAverage`` and
``LinearFilter`` a weighted sum of real fields.

Blocks are b x ... x b sites of a box, for a whole number b, or the three corners of every third
upward triangle of the triangular lattice, with b = sqrt 3 (``Triangles``; Th. Niemeijer and J. M.
J. van Leeuwen, Phys. Rev. Lett. 31, 1411 (1973)). The latter turns the lattice by 30 degrees, so
the box of the blocks, [rows / 3, cols], has sheared axes; a second step,
``Triangles(sheared=True)``, turns it back, to the ordinary triangular box [rows / 3, cols / 3].

Convention: a block map is any ``(x, *, key) -> x'`` of one configuration. It need not know its
lattice, and works on any box that its blocks divide; a network is one as it stands. The ones here
also give the lattice of their blocks, ``blocks.lattice(lattice)``.

Consequence: a block map keeps the distribution of long wavelengths and forgets the rest. Of the
couplings it says nothing: they are measured (``rg.mcrg``, ``rg.pseudolikelihood``).
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import ShapeError, SpaceError
from physdl.lattices import Lattice
from physdl.pytree import module, static
from physdl.rg._blocks import Blocks, Triangles, checked, lattice_of, members_of, scale_of
from physdl.sampling import _random as random
from physdl.spaces import LINE, SPIN, Finite, Space, labels

__all__ = [
    "BlockAverage",
    "BlockDecimation",
    "BlockMap",
    "Blocks",
    "LinearFilter",
    "Majority",
    "Triangles",
]


@runtime_checkable
class BlockMap(Protocol):
    """A coarse-graining of configurations: settings as fields, one pure call."""

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        """The configuration of the blocks of one configuration."""
        ...


@cites("kadanoff1966", "niemeijer1973")
@module
class Majority:
    """The state that most sites of a block have; chance decides among equals.

    On ``SPIN`` x' = sign(sum of x), on any other finite space the plurality.

    Attributes:
      blocks: b, for blocks of b x ... x b sites, or ``Triangles()``.
      space: what each site may be, ``SPIN`` or another finite space.

    Raises:
      SettingError: b is not a whole number above 1.
      SpaceError: the space is not finite.

    >>> x = jnp.ones((4, 4)).at[0].set(-1).at[1, 0].set(-1)
    >>> Majority(2)(x, key=jax.random.key(0))[:, 0].tolist()
    [-1.0, 1.0]
    """

    blocks: Blocks = static(default=2)
    space: Space = static(default=SPIN)

    def __post_init__(self) -> None:
        checked(self.blocks)
        if not isinstance(self.space, Finite):
            raise SpaceError(
                f"a majority is of finitely many states, got {self.space!r}: use BlockAverage."
            )

    @property
    def scale(self) -> float:
        """The length ratio b."""
        return scale_of(self.blocks)

    def lattice(self, lattice: Lattice) -> Lattice:
        """The lattice of the blocks.

        Raises:
          LatticeError: the lattice has no such blocks.
        """
        return lattice_of(self.blocks, lattice)

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        """The configuration of the blocks."""
        sites = members_of(self.blocks, x, self.space)
        rule = _majority if self.space == SPIN else _plurality
        return rule(sites, self.space, key)


def _majority(sites: Array, space: Space, key: Key[Array, ""]) -> Array:
    """The sign of the sum over the first axis, a fair coin where it is zero."""
    wide = jnp.int32 if jnp.issubdtype(sites.dtype, jnp.integer) and len(sites) > 127 else None
    total = jnp.sum(sites, axis=0, dtype=wide or sites.dtype)
    sign = jnp.sign(total).astype(sites.dtype)
    if len(sites) % 2:
        return sign
    heads = random.bits(key, total.shape) >= np.uint32(2**31)
    return jnp.where(total == 0, jnp.where(heads, 1, -1).astype(sites.dtype), sign)


def _plurality(sites: Array, space: Space, key: Key[Array, ""]) -> Array:
    """The most frequent state along the first axis, a fair choice among equals."""
    coarse = sites.shape[1 : sites.ndim - len(space.event_shape)]
    flat = sites.reshape(len(sites), -1, space.n_components)
    label = jax.vmap(lambda x: labels(space, x))(flat)  # type: ignore[arg-type]
    assert isinstance(space, Finite)
    count = jnp.sum(jax.nn.one_hot(label, space.n_states, dtype=jnp.float32), axis=0)
    best = jnp.argmax(count + 0.5 * random.uniform(key, count.shape, jnp.float32), axis=-1)
    states = jnp.asarray(space.array, sites.dtype)[best]
    return states.reshape(*coarse, *space.event_shape)


@module
class BlockDecimation:
    """The state of one site of a block.

    Attributes:
      blocks: b, for blocks of b x ... x b sites, or ``Triangles()``.
      site: which of the sites, in C order within the block.
      space: what each site may be.

    Raises:
      SettingError: b is not a whole number above 1.
      ShapeError: when called, the block has no such site.

    >>> BlockDecimation(2)(jnp.arange(6.0), key=jax.random.key(0)).tolist()
    [0.0, 2.0, 4.0]
    """

    blocks: Blocks = static(default=2)
    site: int = static(default=0)
    space: Space = static(default=SPIN)

    def __post_init__(self) -> None:
        checked(self.blocks)

    @property
    def scale(self) -> float:
        """The length ratio b."""
        return scale_of(self.blocks)

    def lattice(self, lattice: Lattice) -> Lattice:
        """The lattice of the blocks.

        Raises:
          LatticeError: the lattice has no such blocks.
        """
        return lattice_of(self.blocks, lattice)

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        """The configuration of the chosen sites; ``key`` is not used."""
        del key
        sites = members_of(self.blocks, x, self.space)
        if not 0 <= self.site < len(sites):
            raise ShapeError(f"a block of {len(sites)} sites has no site {self.site}.")
        return sites[self.site]


@module
class BlockAverage:
    """The mean over a block times a factor, for real fields.

    b^(d - y_H) = b^((d - 2 + eta) / 2) is the factor that keeps a critical field at its size, b^(d
    / 2) one that keeps the variance of independent sites.

    Attributes:
      blocks: b, for blocks of b x ... x b sites, or ``Triangles()``.
      factor: what the mean is multiplied by.
      space: what each site may be; the result is in its R^c.

    Raises:
      SettingError: b is not a whole number above 1.

    >>> BlockAverage(2)(jnp.arange(6.0), key=jax.random.key(0)).tolist()
    [0.5, 2.5, 4.5]
    """

    blocks: Blocks = static(default=2)
    factor: ArrayLike = 1.0
    space: Space = static(default=LINE)

    def __post_init__(self) -> None:
        checked(self.blocks)

    @property
    def scale(self) -> float:
        """The length ratio b."""
        return scale_of(self.blocks)

    def lattice(self, lattice: Lattice) -> Lattice:
        """The lattice of the blocks.

        Raises:
          LatticeError: the lattice has no such blocks.
        """
        return lattice_of(self.blocks, lattice)

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        """The configuration of the blocks; ``key`` is not used."""
        del key
        return jnp.asarray(self.factor, x.dtype) * jnp.mean(
            members_of(self.blocks, x, self.space), 0
        )


@module
class LinearFilter:
    """A weighted sum over a window around each block of a periodic box, for scalar fields.

    x'_B = sum_o w_o x_(b B + o + s), with o in the window of the weights and s = -(w - b) // 2 (to
    the lower side where it cannot be even), so that the windows are centred on the blocks. Equal
    weights in a window of size b are ``BlockAverage``.

    Attributes:
      weights: [w, ..., w], one axis for each of the box; data, to be differentiated or learned.
      scale: b, the distance between windows.

    Raises:
      SettingError: b is not a whole number above 1.

    >>> x = jnp.arange(8.0)
    >>> LinearFilter(jnp.array([0.25, 0.25, 0.25, 0.25]))(x, key=jax.random.key(0)).tolist()
    [2.5, 2.5, 4.5, 4.5]
    """

    weights: Float[Array, "..."]
    scale: int = static(default=2)

    def __post_init__(self) -> None:
        checked(self.scale)

    def lattice(self, lattice: Lattice) -> Lattice:
        """The lattice of the blocks.

        Raises:
          LatticeError: the lattice has no such blocks.
        """
        return lattice_of(self.scale, lattice)

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        """The configuration of the blocks; ``key`` is not used."""
        del key
        if x.ndim != self.weights.ndim or any(n % self.scale for n in x.shape):
            raise ShapeError(
                f"a filter of {self.weights.ndim} axes and scale {self.scale} takes a box of as "
                f"many lengths that {self.scale} divides, got {x.shape}."
            )
        cut = tuple(slice(None, None, self.scale) for _ in x.shape)
        total = jnp.zeros_like(x[cut])
        for at in np.ndindex(*self.weights.shape):
            sizes = zip(at, self.weights.shape, strict=True)
            back = tuple((w - self.scale + 1) // 2 - o for o, w in sizes)
            moved = jnp.roll(x, back, tuple(range(x.ndim)))
            total = total + self.weights[at].astype(x.dtype) * moved[cut]
        return total
