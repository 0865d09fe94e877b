r"""Walkers on two layers without couplings inside, of which one is summed exactly: RBMs.

Where every coupling joins a site v_i of one layer to a site h_j of the other,

    H(v, h) = A(v) + sum_j B_j(h_j) + sum_j F_j(v) . h_j,        F_j(v) = sum_i W_ij v_i,

the sites of one layer are independent given the other. So the h_j are summed, and the walker is v:

    log f(v) = log sum_h exp(-H(v, h)) = -A(v) + sum_j log sum_s exp(-B_j(s) - F_j(v) . s).

It carries v and F(v), from which the factors of the weights follow without a product of matrices;
a move draws h given v and v given h, with two. As f is a sum over h, log w scatters less than that
of walkers (v, h), at the same cost (the Rao-Blackwell theorem).

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
State: TypeAlias = tuple[Float[Array, "c n"], Float[Array, "c m"], Float[Array, "c m"] | None]

MOST_STATES = 64


@module
class Layer:
    """The sites of one layer, and the energies of their states at both ends of a path.

    Attributes:
      start: one-site energies at b = 0, [q, n]; ``+inf`` where the reference forbids.
      end: the same at b = 1.
      block: the first site and the number of sites.
      space: what the sites are.
    """

    start: Float[Array, "q n"]
    end: Float[Array, "q n"]
    block: Block = static()
    space: Finite | Product = static()

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
        ends = jnp.isposinf(self.end) & ~jnp.asarray(with_all)
        forbidden = jnp.isposinf(self.start) | ends | self.missing
        start, end = (jnp.where(jnp.isposinf(e), 0, e) for e in (self.start, self.end))
        return jnp.where(forbidden, jnp.inf, (1 - b) * start + b * end)

    def energies(self, own: Float[Array, "q n"], fields: Float[Array, "c n"]) -> list[Array]:
        """The energy of every state in fields, [n] each."""
        points = self.points(fields.dtype)
        return [
            functools.reduce(operator.add, map(operator.mul, points[:, k], fields), own[k])
            for k in range(len(own))
        ]

    def log_sum(self, own: Float[Array, "q n"], fields: Float[Array, "c n"]) -> Float[Array, " n"]:
        """log sum_s exp(-E(s)) of every site."""
        energies = self.energies(own, fields)
        least = functools.reduce(jnp.minimum, energies)
        least = jnp.where(jnp.isposinf(least), 0, least)
        return jnp.log(sum(jnp.exp(least - e) for e in energies)) - least

    def draw(
        self, own: Float[Array, "q n"], fields: Float[Array, "c n"], *, key: Key[Array, ""]
    ) -> Float[Array, "c n"]:
        """A state of every site, with probability proportional to exp(-E)."""
        energies, points = self.energies(own, fields), self.points(fields.dtype)
        if len(energies) == 2:
            second = random.bernoulli(key, random.logistic(energies[0] - energies[1]))
            return jnp.where(second[None], points[:, 1], points[:, 0])
        label = random.categorical(key, -jnp.stack(energies, axis=-1))
        chosen = jnp.broadcast_to(points[:, 0], fields.shape)
        for k in range(1, len(energies)):
            chosen = jnp.where((label == k)[None], points[:, k], chosen)
        return chosen

    def energy(self, own: Float[Array, "q n"], s: Float[Array, "c n"]) -> Float[Array, " n"]:
        """The one-site energy of every given state."""
        points, missing = self.points(s.dtype), self.missing
        total = jnp.zeros_like(own[0])
        for k in range(len(own)):
            here = functools.reduce(operator.and_, map(operator.eq, s, points[:, k]))
            total = jnp.where(here & ~missing[k], own[k], total)
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

    def state(self, x: Float[Array, "*state"]) -> State:
        """The kept layer and its fields on the summed one."""
        first, n = self.kept.block
        c = self.kept.space.n_components
        return self._carried(x.reshape(-1, c)[first : first + n].T)

    def log_factor(
        self, state: State, b: Float[Array, ""], to: Float[Array, ""]
    ) -> Float[Array, ""]:
        """log f_to - log f_b of the kept layer; ``-inf`` where the path forbids it."""
        v, _, _ = state
        before, after = self.kept.at(b, with_all=b == 0), self.kept.at(to, with_all=False)
        finite = jnp.where(jnp.isposinf(before), 0, before)
        change = jnp.sum(self.kept.energy(after - finite, v))
        before, after = self.summed.at(b, with_all=b == 0), self.summed.at(to, with_all=False)
        old = self.summed.log_sum(before, self._fields(state, b))
        new = self.summed.log_sum(after, self._fields(state, to))
        gain = jnp.where(jnp.isneginf(new), -jnp.inf, new - old)
        return jnp.sum(gain) - change

    def move(self, state: State, b: Float[Array, ""], *, key: Key[Array, ""]) -> State:
        """Sweeps under H_b: the summed layer given the kept one, and the reverse."""
        if self.n_sweeps == 1:
            return self._swept(state, b, key)
        sweep = lambda t, state: self._swept(state, b, random.folded(key, t))
        moved: State = jax.lax.fori_loop(0, self.n_sweeps, sweep, state)
        return moved

    def configuration(
        self, state: State, b: Float[Array, ""], *, key: Key[Array, ""]
    ) -> Float[Array, "*state"]:
        """The kept layer with a draw of the other."""
        h = self._drawn(state, b, key)
        layers = (state[0], h) if self.kept.block < self.summed.block else (h, state[0])
        return jnp.concatenate(layers, axis=1).T.reshape(self.shape)

    def _swept(self, state: State, b: Float[Array, ""], key: Key[Array, ""]) -> State:
        other_key, own_key = random.split(key)
        h = self._drawn(state, b, other_key)
        if self.start is None:
            fields = b * _product(h, self.end.T)
        else:
            fields = _product(h, ((1 - b) * self.start + b * self.end).T)
        own = self.kept.at(b, with_all=False)
        return self._carried(self.kept.draw(own, fields, key=own_key))

    def _drawn(self, state: State, b: Float[Array, ""], key: Key[Array, ""]) -> Array:
        own = self.summed.at(b, with_all=False)
        return self.summed.draw(own, self._fields(state, b), key=key)

    def _carried(self, v: Float[Array, "c n"]) -> State:
        first = None if self.start is None else _product(v, self.start)
        return v, _product(v, self.end), first

    def _fields(self, state: State, b: Float[Array, ""]) -> Float[Array, "c m"]:
        _, end, start = state
        return b * end if start is None else (1 - b) * start + b * end


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
    (first, n_first), (second, n_second) = layout = found.pop()
    whole = first == 0 and second == n_first and second + n_second == h.n_sites
    return layout if whole and not found and min(n_first, n_second) > 0 else None


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
    ends = (_one_site(h), jnp.zeros(()) if h0 is None else _one_site(h0))
    end, start = (jnp.broadcast_to(e.astype(h.dtype), ends[0].shape) for e in ends)
    layers = []
    for block in (kept, summed):
        space, sites = _part(h.space, block), slice(block[0], sum(block))
        q = space.padded(block[1]).shape[1]
        layers.append(Layer(start[:q, sites], end[:q, sites], block=block, space=space))
    coupling = _coupling(h, kept)
    assert coupling is not None
    first = None if h0 is None else _coupling(h0, kept)
    return TwoLayers(*layers, first, coupling, shape=h.state_shape, n_sweeps=n_sweeps)


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


def _product(s: Float[Array, "c n"], coupling: Float[Array, "n m"]) -> Float[Array, "c m"]:
    return jnp.stack([component @ coupling for component in s])
