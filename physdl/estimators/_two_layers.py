r"""Walkers on two layers without couplings inside, of which one is summed exactly: RBMs.

Where every coupling joins a site v_i of one layer to a site h_j of the other,

    H(v, h) = A(v) + sum_j B_j(h_j) + sum_j F_j(v) . h_j,        F_j(v) = sum_i W_ij v_i,

the sites of one layer are independent given the other. So the h_j are summed, and the walker is v:

    log f(v) = log sum_h exp(-H(v, h)) = -A(v) + sum_j log sum_s exp(-B_j(s) - F_j(v) . s).

The factors of the weights and the draw of h given v share F(v), and v given h takes one more
product of matrices: two a step. As f is a sum over h, log w scatters less than that of walkers
(v, h), at the same cost (the Rao-Blackwell theorem).

Along a path A, B and W are linear in b. States that only its end forbids count at b = 0 on the way
up, as they do in log Z_0, and nowhere else. On the line a layer is integrated in closed form.

Source: R. Salakhutdinov and I. Murray, Proc. ICML 25, 872 (2008), section 4.
"""

import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from numpy.typing import NDArray

from physdl.estimators._bipartite import (
    Block,
    Couplings,
    Parts,
    biases,
    coupled,
    couplings,
    layout_of,
    space_of,
    transposed,
)
from physdl.estimators._start import Start
from physdl.hamiltonian import Potential
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._path import Path
from physdl.spaces import Finite, Line, Product

__all__ = ["Layer", "LineLayer", "TwoLayers", "two_layers"]

ALL = slice(None)
FACTORS = 8  # that share a logarithm: their product is below 64^8 < 2^49


@module
class Layer:
    """The sites of one layer, and the energies of their states at both ends of a path.

    Attributes:
      ends: one-site energies at b = 0 and at b = 1, [2, q, n]; ``+inf`` where these forbid.
      block: the first site and the number of sites.
      space: what the sites are.
      hard: whether a state may be forbidden or missing.
    """

    ends: Float[Array, "2 q n"]
    block: Block = static()
    space: Finite | Product = static()
    hard: bool = static()

    @property
    def n_components(self) -> int:
        """The number of components of a state."""
        return self.space.n_components

    def points(self, dtype: jnp.dtype) -> NDArray[Any]:
        """The states, [c, q, n], or [c, q, 1] where all sites are alike; 0 where there is none."""
        points = self.space.padded(1 if isinstance(self.space, Finite) else self.block[1])
        return np.where(np.isinf(points), 0, points).T.astype(dtype)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which states a site does not have, [q, n]."""
        return np.isinf(self.space.padded(self.block[1])[..., 0]).T

    def at(self, b: Float[Array, ""], *, with_all: Bool[Array, ""] | bool) -> Float[Array, "q n"]:
        """The one-site energies at b, those that only the end forbids finite ``with_all``."""
        weights = jnp.stack([1 - b, b])  # a product: its result is kept, not fused anew per walker
        own = (weights @ _finite(self.ends).reshape(2, -1)).reshape(self.ends.shape[1:])
        if not self.hard:
            return own
        start, end = jnp.isposinf(self.ends)
        return jnp.where(start | (end & ~jnp.asarray(with_all)) | self.missing, jnp.inf, own)

    def energies(
        self, own: Float[Array, "q n"], fields: Parts, sites: slice = ALL
    ) -> list[Float[Array, " m"]]:
        """The energy of every state in fields, of some sites."""
        states = self._states(own.dtype, sites)
        fields = tuple(f[sites] for f in fields)
        return [_linear(p, fields, e) for p, e in zip(states, own[:, sites], strict=True)]

    def gap(
        self, own: Float[Array, "q n"], fields: Parts, sites: slice = ALL
    ) -> Float[Array, " m"]:
        """Of two states, the energy of the second minus that of the first, of some sites."""
        first, second = self._states(own.dtype, sites)
        fields = tuple(f[sites] for f in fields)
        return _linear(second - first, fields, own[1, sites] - own[0, sites])

    def _states(self, dtype: jnp.dtype, sites: slice) -> NDArray[Any]:
        states = self.points(dtype).swapaxes(0, 1)
        return states if states.shape[-1] == 1 else states[..., sites]

    def log_ratio(
        self, before: tuple[Float[Array, "q n"], Parts], after: tuple[Float[Array, "q n"], Parts]
    ) -> Float[Array, ""]:
        """log of prod_j sum_s exp(-E_j(s)) after over before; own energies and fields of each."""
        n = before[0].shape[1]
        m = n // FACTORS
        cuts = [slice(k * m, (k + 1) * m) for k in range(FACTORS)]
        return self._gain(before, after, cuts) + self._gain(before, after, [slice(FACTORS * m, n)])

    def _gain(
        self, before: tuple[Array, Parts], after: tuple[Array, Parts], cuts: list[slice]
    ) -> Float[Array, ""]:
        old, old_sums = zip(*(self.sums(*before, cut) for cut in cuts), strict=True)
        new, new_sums = zip(*(self.sums(*after, cut) for cut in cuts), strict=True)
        old_product = functools.reduce(operator.mul, old_sums)
        new_product = functools.reduce(operator.mul, new_sums)
        gain = functools.reduce(operator.add, map(operator.sub, old, new))
        gain = gain + jnp.log(new_product / old_product)
        if self.hard:
            gain = jnp.where(new_product == 0, -jnp.inf, gain)
        return jnp.sum(gain)

    def sums(
        self, own: Float[Array, "q n"], fields: Parts, sites: slice
    ) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """The least energy of every site, and sum_s exp(least - E(s))."""
        energies = self.energies(own, fields, sites)
        if len(energies) == 2 and not self.hard:
            gap = self.gap(own, fields, sites)
            return energies[0] + jnp.minimum(gap, 0), 1 + jnp.exp(-jnp.abs(gap))
        least = _finite(functools.reduce(jnp.minimum, energies))
        weights = (jnp.exp(least - energy) for energy in energies)
        return least, functools.reduce(operator.add, weights)

    def draw(self, own: Float[Array, "q n"], fields: Parts, *, key: Key[Array, ""]) -> Parts:
        """A state of every site, with probability proportional to exp(-E)."""
        points = self.points(own.dtype)
        if len(own) == 2:
            gap = self.gap(own, fields)
            second = random.hashed(key, gap.shape, gap.dtype) < random.logistic(-gap)
            return tuple(jnp.where(second, p[1], p[0]) for p in points)
        energies = self.energies(own, fields)
        label = random.categorical(key, -jnp.stack(energies, axis=-1))
        chosen = [jnp.broadcast_to(p[0], label.shape) for p in points]
        for k in range(1, len(energies)):
            chosen = [jnp.where(label == k, p[k], s) for p, s in zip(points, chosen, strict=True)]
        return tuple(chosen)

    def energy(self, own: Float[Array, "q n"], s: Parts) -> Float[Array, " n"]:
        """The one-site energy of every given state."""
        points, total = self.points(own.dtype), own[0]
        for k in range(1, len(own)):
            here = functools.reduce(operator.and_, map(operator.eq, s, points[:, k]))
            total = jnp.where(here & ~self.missing[k], own[k], total)
        return total


@module
class LineLayer:
    """The sites of a layer on the line, whose energies have powers up to the second.

    Attributes:
      ends: coefficients of 1, s and s^2 at b = 0 and at b = 1, [2, 3, n].
      block: the first site and the number of sites.
    """

    ends: Float[Array, "2 3 n"]
    block: Block = static()

    @property
    def n_components(self) -> int:
        """One component."""
        return 1

    def at(self, b: Float[Array, ""], *, with_all: Bool[Array, ""] | bool) -> Float[Array, "3 n"]:
        """The coefficients at b; on the line nothing is forbidden."""
        del with_all
        weights = jnp.stack([1 - b, b])
        return (weights @ self.ends.reshape(2, -1)).reshape(self.ends.shape[1:])

    def log_ratio(
        self, before: tuple[Float[Array, "3 n"], Parts], after: tuple[Float[Array, "3 n"], Parts]
    ) -> Float[Array, ""]:
        """log of prod_j int exp(-E_j(s)) ds after over before."""
        return jnp.sum(self._log_integral(*after) - self._log_integral(*before))

    def draw(self, own: Float[Array, "3 n"], fields: Parts, *, key: Key[Array, ""]) -> Parts:
        """A normal number for every site, with density proportional to exp(-E)."""
        _, linear, square = own
        noise = random.normal(key, linear.shape, own.dtype)
        return ((noise * jnp.sqrt(2 * square) - linear - fields[0]) / (2 * square),)

    def energy(self, own: Float[Array, "3 n"], s: Parts) -> Float[Array, " n"]:
        """The one-site energy of every given state."""
        constant, linear, square = own
        energy: Array = constant + s[0] * (linear + s[0] * square)
        return energy

    def _log_integral(self, own: Float[Array, "3 n"], fields: Parts) -> Float[Array, " n"]:
        constant, linear, square = own
        shifted = (linear + fields[0]) ** 2 / (4 * square)
        value: Array = shifted - constant + jnp.log(math.pi / square) / 2
        return value


@module
class TwoLayers:
    """A walker that is one layer, with the other summed.

    Attributes:
      kept: the layer that walks.
      summed: the layer that is summed.
      start: couplings at b = 0, from the kept to the summed layer; ``None`` for zero.
      end: couplings at b = 1.
      shape: of a configuration.
      n_sweeps: sweeps at every place.
    """

    kept: Layer | LineLayer
    summed: Layer | LineLayer
    start: Couplings | None
    end: Couplings
    shape: tuple[int, ...] = static()
    n_sweeps: int = static(default=1)

    def state(self, x: Float[Array, "*state"]) -> Parts:
        """The kept layer."""
        first, n = self.kept.block
        c = self.kept.n_components
        v = x.reshape(-1, c)[first : first + n]
        return tuple(v[:, a] for a in range(c))

    def log_factor(self, v: Parts, b: Float[Array, ""], to: Float[Array, ""]) -> Float[Array, ""]:
        """log f_to - log f_b of the kept layer; ``-inf`` where the path forbids it."""
        before, after = self.kept.at(b, with_all=b == 0), self.kept.at(to, with_all=False)
        change = self.kept.energy(after - _finite(before), v)
        before, after = self.summed.at(b, with_all=b == 0), self.summed.at(to, with_all=False)
        old, new = self._fields(v, b), self._fields(v, to)
        return self.summed.log_ratio((before, old), (after, new)) - jnp.sum(change)

    def move(self, v: Parts, b: Float[Array, ""], *, key: Key[Array, ""]) -> Parts:
        """Sweeps under H_b: the summed layer given the kept one, and the reverse.

        The fields of the first sweep are those of ``log_factor``, and XLA computes them once.
        """
        if self.n_sweeps == 1:
            return self._swept(v, b, key)
        first = self._swept(v, b, random.folded(key, jnp.asarray(0)))
        sweep = lambda t, v: self._swept(v, b, random.folded(key, t))
        moved: Parts = jax.lax.fori_loop(1, self.n_sweeps, sweep, first)
        return moved

    def configuration(
        self, v: Parts, b: Float[Array, ""], *, key: Key[Array, ""]
    ) -> Float[Array, "*state"]:
        """The kept layer with a draw of the other."""
        h = self._drawn(v, b, key)
        layers = (v, h) if self.kept.block < self.summed.block else (h, v)
        parts = [jnp.concatenate(both) for both in zip(*layers, strict=True)]
        return jnp.stack(parts, axis=-1).reshape(self.shape)

    def _swept(self, v: Parts, b: Float[Array, ""], key: Key[Array, ""]) -> Parts:
        other_key, own_key = random.split(key)
        h = self._drawn(v, b, other_key)
        n = self.kept.block[1]
        if self.start is None:
            fields = tuple(b * f for f in coupled(h, transposed(self.end), n))
        else:
            fields = coupled(h, transposed(_between(self.start, self.end, b)), n)
        own = self.kept.at(b, with_all=False)
        return self.kept.draw(own, fields, key=own_key)

    def _drawn(self, v: Parts, b: Float[Array, ""], key: Key[Array, ""]) -> Parts:
        own = self.summed.at(b, with_all=False)
        return self.summed.draw(own, self._fields(v, b), key=key)

    def _fields(self, v: Parts, b: Float[Array, ""]) -> Parts:
        n = self.summed.block[1]
        end = coupled(v, self.end, n)
        if self.start is None:
            return tuple(b * f for f in end)
        start = coupled(v, self.start, n)
        return tuple((1 - b) * f0 + b * f for f0, f in zip(start, end, strict=True))


def two_layers(start: Start, n_sweeps: int) -> TwoLayers | None:
    """The walker of a path with couplings between two layers alone; else ``None``.

    The couplings of the Hamiltonian and of the reference join the same two blocks, which hold all
    sites; every other term is a sum of functions of one site; a block is finite, or on the line
    with powers up to the second. The larger layer is summed.
    """
    h, reference = start.path.h, start.path.reference
    layout = layout_of(h)
    if not layout:
        return None
    if reference is not None and layout_of(reference) not in (layout, ()):
        return None
    larger_first = layout[0][1] > layout[1][1]
    built: TwoLayers = _built(start.path, layout, larger_first, n_sweeps)
    return built


@functools.partial(jax.jit, static_argnames=("layout", "larger_first", "n_sweeps"))
def _built(path: Path, layout: tuple[Block, Block], larger_first: bool, n_sweeps: int) -> TwoLayers:
    h, h0 = path.h, path.reference
    tables = [isinstance(t, Potential) for g in (h, h0) if g is not None for t in g.terms.values()]
    layers: list[Layer | LineLayer] = []
    for block in layout:
        space, end = space_of(h, block), biases(h, block)
        ends = jnp.stack([jnp.zeros_like(end) if h0 is None else biases(h0, block), end])
        if isinstance(space, Line):
            layers.append(LineLayer(ends, block))
            continue
        missing = bool(np.isinf(space.padded(block[1])).any())
        layers.append(Layer(ends, block, space, any(tables) or missing))
    both = couplings(h, layout), None if h0 is None else couplings(h0, layout) or None
    if larger_first:
        layers.reverse()
        both = transposed(both[0]), None if both[1] is None else transposed(both[1])
    kept, summed = layers
    return TwoLayers(kept, summed, both[1], both[0], shape=h.state_shape, n_sweeps=n_sweeps)


def _linear(s: NDArray[Any], fields: Parts, constant: Array) -> Array:
    """The constant plus s . fields, s [c, n]; components that are zero leave no work behind."""
    terms = [p * f for p, f in zip(s, fields, strict=True) if np.any(p)]
    return functools.reduce(operator.add, terms, constant)


def _finite(energies: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.where(jnp.isposinf(energies), 0, energies)


def _between(start: Couplings, end: Couplings, b: Float[Array, ""]) -> Couplings:
    """The couplings at b."""
    parts = {pair: (1 - b) * w for pair, w in start.items()}
    return {**parts, **{pair: parts.get(pair, 0) + b * w for pair, w in end.items()}}
