"""What packed spins need of a Hamiltonian: a layout, one strength, and signs as bits of a word."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt, UInt32

from physdl.errors import SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Sites, Stencil
from physdl.pytree import IntArray, Table, is_traced
from physdl.sampling._barrier import settled
from physdl.sampling._packed_layout import Layout, layout_of_sites, layout_of_stencil
from physdl.spaces import SPIN

__all__ = ["Model", "Signs", "model_of", "signs_of"]

ALL = np.uint32(0xFFFFFFFF)
MOST_NEIGHBOURS = 16
ADVICE = "use HeatBath or Metropolis"


@dataclass(frozen=True)
class Model:
    """The parts of H = sum_b c_b s_i s_j + sum_i f_i s_i.

    Attributes:
      layout: where the words of a site and of its neighbours are.
      coupling: c of the bonds of the layout, [n_bonds], or one number.
      field: f of the sites, [n_sites], one number, or None.
    """

    layout: Layout
    coupling: Float[Array, "..."]
    field: Float[Array, "..."] | None

    def check(self) -> None:
        """Raise where known values differ in absolute value."""
        for name, c in (("couplings", self.coupling), ("fields", self.field)):
            if c is None or is_traced(c):
                continue
            size = np.abs(np.asarray(c, dtype=np.float64))
            if size.size and not size.max() * (1 - 1e-6) <= size.min() < np.inf:
                raise StructureError(
                    f"packed spins need finite {name} of one absolute value, got values from "
                    f"{size.min():.6g} to {size.max():.6g}: {ADVICE}."
                )

    def strength(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """K and h, the largest absolute values."""
        k = jnp.max(jnp.abs(self.coupling), initial=0.0)
        return k, jnp.zeros_like(k) if self.field is None else jnp.max(jnp.abs(self.field))

    def unequal(self) -> Float[Array, ""]:
        """The fraction of couplings and fields whose absolute value is another one."""
        k, f = self.strength()
        off = [~(jnp.abs(self.coupling) >= k * (1 - 1e-6))]
        if self.field is not None:
            off.append(~(jnp.abs(self.field) >= f * (1 - 1e-6)))
        return jnp.mean(jnp.concatenate([o.reshape(-1) for o in off]).astype(k.dtype))


def model_of(h: Hamiltonian) -> Model:
    """The model of a Hamiltonian.

    Raises:
      SpaceError: its space is not ``SPIN``.
      StructureError: its terms are others.
    """
    if h.space != SPIN:
        raise SpaceError(f"packed spins need the space SPIN, got {h.space!r}: {ADVICE}.")
    plain = [t for t in h.terms.values() if isinstance(t, Sites | Stencil)]
    pairs = [t for t in plain if t.degree(SPIN) == 2]
    fields = [t for t in plain if t.degree(SPIN) == 1]
    if len(pairs) != 1 or len(fields) > 1 or len(h.terms) != len(pairs) + len(fields):
        kinds = ", ".join(
            f"{n!r}: {type(t).__name__} of degree {t.degree(SPIN)}" for n, t in h.terms.items()
        )
        raise StructureError(
            f"packed spins need one Sites or Stencil term of pairs and at most one of single "
            f"sites, got ({kinds}): {ADVICE}."
        )
    layout, coupling = _pairs(pairs[0], h)
    if layout.degree > MOST_NEIGHBOURS:
        raise StructureError(
            f"packed spins need sites of at most {MOST_NEIGHBOURS} neighbours, got "
            f"{layout.degree}: {ADVICE}."
        )
    return Model(layout, coupling, _field(fields[0], h) if fields else None)


def _pairs(term: Sites | Stencil, h: Hamiltonian) -> tuple[Layout, Float[Array, "..."]]:
    if isinstance(term, Stencil) and term.components is None:
        c = term.coefficient
        c = jnp.repeat(c, h.n_sites) if c.ndim == 1 and c.size > 1 else c.reshape(-1)
        return layout_of_stencil(term.offsets, h.shape), c.reshape(()) if c.size == 1 else c
    sites = term.to_sites(h.shape, SPIN)
    sites = sites if sites.table.array.ndim == 2 else sites.flattened()
    return layout_of_sites(sites.table, h.n_sites), sites.coefficient


def _field(term: Sites | Stencil, h: Hamiltonian) -> Float[Array, "..."]:
    if isinstance(term, Stencil) and term.offsets.array.shape[:2] == (1, 1):
        c, offset = term.coefficient, term.offsets.array[0, 0]
        if c.ndim < 2:
            return c.reshape(())
        return jnp.roll(c[0], offset.tolist(), range(len(offset))).reshape(-1)
    sites = term.to_sites(h.shape, SPIN)
    order = _order(sites.table, h.n_sites)
    return sites.coefficient if sites.coefficient.ndim == 0 else sites.coefficient[order]


@functools.lru_cache(maxsize=64)
def _order(table: Table, n_sites: int) -> IntArray:
    """The row of every site in a table of single sites."""
    site = table.array.reshape(-1)
    if len(site) != n_sites or len(np.unique(site)) != n_sites:
        raise StructureError(
            f"packed spins need a field on each of the {n_sites} sites, got {len(site)} on "
            f"{len(np.unique(site))} sites: {ADVICE}."
        )
    return np.argsort(site)


@dataclass(frozen=True)
class Signs:
    """Masks that tell unsatisfied from satisfied, and odd sites from even ones.

    Attributes:
      shared: per column (neighbours, then odd, then the field) one mask for all sites, or None
        where the sites differ and the next bit of ``flags`` says which.
      flags: the bits of every site by colour, or None where sites do not differ.
    """

    shared: tuple[UInt32[Array, ""] | None, ...]
    flags: tuple[UInt[Array, "..."], ...] | None

    def masks(self, colour: int) -> list[UInt32[Array, "..."]]:
        """Per column a mask, 0 or all ones in every word."""
        return list(self._masks(colour))

    def _masks(self, colour: int) -> Iterator[UInt32[Array, "..."]]:
        bit = 0
        word = None if self.flags is None else self.flags[colour].astype(jnp.uint32)
        for mask in self.shared:
            if mask is not None:
                yield mask
                continue
            assert word is not None
            signed = jax.lax.bitcast_convert_type(word << np.uint32(31 - bit), jnp.int32)
            yield jax.lax.bitcast_convert_type(
                jax.lax.shift_right_arithmetic(signed, jnp.full_like(signed, 31)), jnp.uint32
            )
            bit += 1


def signs_of(model: Model, w: int) -> Signs:
    """The masks of a model with w words per site.

    A bond is satisfied where s_i s_j c < 0, so equal spins are unsatisfied where c > 0; spins up
    are unsatisfied where f > 0.
    """
    layout = model.layout
    columns: list[Bool[Array, ...]] = _bonds(model)
    if layout.odd is not None:
        columns.append(jnp.asarray(layout.odd))
    if model.field is not None:
        columns.append(~(model.field > 0))
    shared = tuple(jnp.where(c, ALL, np.uint32(0)) if c.ndim == 0 else None for c in columns)
    own = [c for c in columns if c.ndim]
    if not own:
        return Signs(shared, None)
    dtype = jnp.uint8 if len(own) <= 8 else jnp.uint16 if len(own) <= 16 else jnp.uint32
    packed = sum(
        (c.astype(dtype) << np.array(k, dtype) for k, c in enumerate(own)),
        start=jnp.zeros_like(own[0], dtype),
    )
    split = layout.split(settled(packed)[:, None])
    return Signs(shared, tuple(jnp.repeat(p, w, axis=-1) for p in split))


def _bonds(model: Model) -> list[Bool[Array, "..."]]:
    layout, positive = model.layout, model.coupling > 0
    ties = layout.ties
    if ties is None:
        return [positive] * layout.degree if positive.ndim == 0 else layout.bond_signs(positive)
    if positive.ndim == 0:
        positive = jnp.broadcast_to(positive, (max(layout.n_bonds, 1),))
    missing, inverted = ties
    return [
        jnp.where(missing[:, k], inverted[:, k], column)
        for k, column in enumerate(layout.bond_signs(positive))
    ]
