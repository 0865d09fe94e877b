r"""Walkers on two layers without couplings inside, of which one is summed exactly: RBMs.

Where every coupling joins a site v_i of one layer to a site h_j of the other,

    H(v, h) = A(v) + sum_j B_j(h_j) + sum_j F_j(v) . h_j,        F_j(v) = sum_i W_ij v_i,

the sites of one layer are independent given the other. So the h_j are summed, and the walker is v:

    log f(v) = log sum_h exp(-H(v, h)) = -A(v) + sum_j log sum_s exp(-B_j(s) - F_j(v) . s).

The factors of the weights and the draw of h given v share F(v), and v given h takes one more
product of matrices: two a step. As f is a sum over h, log w scatters less than that of walkers
(v, h), at the same cost (the Rao-Blackwell theorem).

Along a path A, B and W are linear in b. States that only its end forbids count at b = 0 on the way
up, as they do in log Z_0, and nowhere else.

Source: R. Salakhutdinov and I. Murray, Proc. ICML 25, 872 (2008), section 4.
"""

import functools
import operator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from numpy.typing import NDArray

from physdl.estimators._start import Start
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil, Term
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._path import Path
from physdl.spaces import Finite, Product, Space, product

__all__ = ["Layer", "TwoLayers", "two_layers"]

Block: TypeAlias = tuple[int, int]
Parts: TypeAlias = tuple[Float[Array, " n"], ...]  # the components of the states of a layer

MOST_STATES = 64
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
class TwoLayers:
    """A walker that is one layer, with the other summed.

    Attributes:
      kept: the layer that walks.
      summed: the layer that is summed.
      start: couplings at b = 0, [n_kept, n_summed]; ``None`` for zero.
      end: couplings at b = 1.
      shape: of a configuration.
      n_sweeps: sweeps at every place.
    """

    kept: Layer
    summed: Layer
    start: Float[Array, "n m"] | None
    end: Float[Array, "n m"]
    shape: tuple[int, ...] = static()
    n_sweeps: int = static(default=1)

    def state(self, x: Float[Array, "*state"]) -> Parts:
        """The kept layer."""
        first, n = self.kept.block
        c = self.kept.space.n_components
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
        if self.start is None:
            fields = tuple(b * f for f in _product(h, self.end.T))
        else:
            fields = _product(h, ((1 - b) * self.start + b * self.end).T)
        own = self.kept.at(b, with_all=False)
        return self.kept.draw(own, fields, key=own_key)

    def _drawn(self, v: Parts, b: Float[Array, ""], key: Key[Array, ""]) -> Parts:
        own = self.summed.at(b, with_all=False)
        return self.summed.draw(own, self._fields(v, b), key=key)

    def _fields(self, v: Parts, b: Float[Array, ""]) -> Parts:
        end = _product(v, self.end)
        if self.start is None:
            return tuple(b * f for f in end)
        start = _product(v, self.start)
        return tuple((1 - b) * f0 + b * f for f0, f in zip(start, end, strict=True))


def two_layers(start: Start, n_sweeps: int) -> TwoLayers | None:
    """The walker of a path with couplings between two layers alone; else ``None``.

    Every ``Dense`` term of the Hamiltonian and of the reference joins the same two blocks, which
    hold all sites; every other term is a sum of functions of one site; the space is finite. The
    larger layer is summed.
    """
    h, reference = start.path.h, start.path.reference
    layout = _layout_of(h)
    if layout is None or not isinstance(h.space, Finite | Product):
        return None
    if reference is not None and _layout_of(reference) not in (layout, ()):
        return None
    if layout == ():
        return None
    kept, summed = sorted(layout, key=lambda block: block[1])
    built: TwoLayers = _built(start.path, kept, summed, n_sweeps)
    return built


Layout: TypeAlias = tuple[Block, Block] | tuple[()] | None


def _layout_of(h: Hamiltonian) -> Layout:
    """The blocks that all couplings join, none where there are none, ``None`` for other models."""
    shapes = {n: t.coefficient.shape for n, t in h.terms.items() if isinstance(t, Dense)}
    return _layout(jax.tree.structure(h), tuple(shapes.items()))


@functools.lru_cache(maxsize=32)
def _layout(structure: Any, shapes: tuple[tuple[str, tuple[int, int]], ...]) -> Layout:
    h: Hamiltonian = jax.tree.unflatten(structure, [None] * structure.num_leaves)
    kinds = h.space.spaces if isinstance(h.space, Product) else (h.space,)
    if not all(isinstance(kind, Finite) and kind.n_states <= MOST_STATES for kind in kinds):
        return None
    if not all(isinstance(t, Dense) or _of_one_site(t, h) for t in h.terms.values()):
        return None
    found: set[tuple[Block, Block]] = set()
    for name, (rows, columns) in shapes:
        term = h.terms[name]
        assert isinstance(term, Dense)
        if term.blocks is None:
            return None
        first, second = sorted(((term.blocks[0], rows), (term.blocks[1], columns)))
        found.add((first, second))
    if not found:
        return ()
    first, second = layout = found.pop()
    whole = first[0] == 0 and second[0] == first[1] and sum(second) == h.n_sites
    return layout if whole and not found and min(first[1], second[1]) > 0 else None


def _of_one_site(term: Term, h: Hamiltonian) -> bool:
    if isinstance(term, Potential):
        return bool(term.sites.array.shape[1] == 1)
    if isinstance(term, Stencil):
        term = Stencil(0.0, term.offsets, term.components).to_sites(h.shape, h.space)
    assert isinstance(term, Sites)
    site = term.table.array // h.space.n_components
    return bool(np.all(site == site[..., :1]))


@functools.partial(jax.jit, static_argnames=("kept", "summed", "n_sweeps"))
def _built(path: Path, kept: Block, summed: Block, n_sweeps: int) -> TwoLayers:
    h, h0 = path.h, path.reference
    end = _one_site(h)
    ends = jnp.stack([jnp.zeros_like(end) if h0 is None else _one_site(h0), end])
    tables = [isinstance(t, Potential) for g in (h, h0) if g is not None for t in g.terms.values()]
    layers = []
    for block in (kept, summed):
        space = _part(h.space, block)
        points = space.padded(block[1])
        own = ends[:, : points.shape[1], block[0] : sum(block)]
        layers.append(Layer(own, block, space, any(tables) or bool(np.isinf(points).any())))
    coupling = _coupling(h, kept)
    assert coupling is not None
    first = None if h0 is None else _coupling(h0, kept)
    walking, other = layers
    return TwoLayers(walking, other, first, coupling, shape=h.state_shape, n_sweeps=n_sweeps)


def _part(space: Space, block: Block) -> Finite | Product:
    part = space
    if isinstance(space, Product):
        part = product(space.spaces[block[0] : sum(block)])
    assert isinstance(part, Finite | Product)
    return part


def _coupling(h: Hamiltonian, kept: Block) -> Float[Array, "n m"] | None:
    matrices = [
        t.coefficient if t.blocks and t.blocks[0] == kept[0] else t.coefficient.T
        for t in h.terms.values()
        if isinstance(t, Dense)
    ]
    return functools.reduce(operator.add, matrices).astype(h.dtype) if matrices else None


def _one_site(h: Hamiltonian) -> Float[Array, "q n_sites"]:
    """The energy of every state of every site from the terms of one site; constants at site 0."""
    assert isinstance(h.space, Finite | Product)
    padded, c = h.space.padded(h.n_sites), h.space.n_components
    points = np.where(np.isinf(padded), 0, padded)
    total = jnp.zeros(points.shape[:2], h.dtype)
    for term in h.terms.values():
        if isinstance(term, Dense):
            continue
        if isinstance(term, Potential):
            site, table = term.sites.array[:, 0], term.batched.astype(h.dtype)
            energies = jnp.pad(table, ((0, 0), (0, points.shape[1] - table.shape[1])))
        else:
            monomials = term.to_sites(h.shape, h.space).flattened()
            variables = monomials.table.array
            site = variables[:, 0] // c if variables.shape[1] else np.zeros(len(variables), int)
            factors = [points[site, :, (v - site * c)] for v in variables.T]
            value = functools.reduce(operator.mul, factors, np.ones((len(site), points.shape[1])))
            energies = monomials.coefficient[:, None].astype(h.dtype) * value.astype(h.dtype)
        total = total.at[site].add(energies)
    return total.T


def _linear(s: NDArray[Any], fields: Parts, constant: Array) -> Array:
    """The constant plus s . fields, s [c, n]; components that are zero leave no work behind."""
    terms = [p * f for p, f in zip(s, fields, strict=True) if np.any(p)]
    return functools.reduce(operator.add, terms, constant)


def _finite(energies: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.where(jnp.isposinf(energies), 0, energies)


def _product(s: Parts, coupling: Float[Array, "n m"]) -> Parts:
    return tuple(component @ coupling for component in s)
