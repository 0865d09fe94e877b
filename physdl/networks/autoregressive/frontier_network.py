r"""A network that looks at the frontier: the fixed sites that still interact with free ones.

Given its frontier, a site and all later ones do not depend on other sites before it. On a strip of
width L the frontier has L sites, on a torus 2 L with those of the first row, and each site has a
perceptron on these few numbers,

    f_i = V s(... s(sum_{j in frontier(i)} U_{ij} x_j + a_i)) + sum_j A_{ij} x_j + b_i.

Convention: where h is made of translated monomials with equal coefficients, U and A depend on the
displacement from i to j alone, and deeper weights are shared; else every site has weights of its
own. Biases always are its own, so that sites near the last ones may differ.

Consequence: every distribution of h is in reach, at a cost of the size of the frontier instead of
that of the system.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.networks.activations import TANH, Activation
from physdl.networks.autoregressive._fields import frontier_of
from physdl.networks.autoregressive.autoregressive_network import (
    AutoregressiveNetwork,
    assembled,
    n_codes,
)
from physdl.networks.perceptron import sizes_of
from physdl.pytree import IntArray, Table

__all__ = ["frontier"]


class FrontierNetwork(nnx.Module):
    """One perceptron a site, on the codes of its frontier."""

    def __init__(
        self,
        sites: IntArray,
        slots: IntArray,
        widths: Sequence[int],
        d: int,
        q: int,
        activation: Activation,
        *,
        shared: bool,
        cyclic: bool,
        rngs: nnx.Rngs,
    ):
        dtype, n = jnp.result_type(float), len(sites)
        n_slots, own = int(slots.max(initial=0)) + 1, () if shared else (n,)
        self.sites, self.slots, self.activation = Table(sites), Table(slots), activation
        self.shared, self.cyclic = shared, cyclic

        def normal(shape: tuple[int, ...], n_in: int) -> nnx.Param[Array]:
            return nnx.Param(rngs.params.normal(shape, dtype) / np.sqrt(max(n_in, 1)))

        seen = sites.shape[1] * d
        self.first = normal((n_slots, d, widths[0]), seen)
        self.linear = nnx.Param(jnp.zeros((n_slots, d, q), dtype))
        self.kernels = nnx.List(normal((*own, a, b), a) for a, b in itertools.pairwise(widths))
        self.last = nnx.Param(jnp.zeros((*own, widths[-1], q), dtype))
        self.biases = nnx.List(nnx.Param(jnp.zeros((n, w), dtype)) for w in (*widths, q))

    def __call__(self, codes: Float[Array, "n d"]) -> Float[Array, "n q"]:
        """The outputs of all sites."""
        sites, slots = self.sites.array, self.slots.array
        seen, nearest = self._seen(self._padded(codes)[sites])
        weights = [self.first[...][slots], self.linear[...][slots]]
        hidden, direct = (_each("ifd,ifdw->iw", seen, w) for w in weights)
        biases = [bias[...] for bias in self.biases]
        hidden = self.activation(hidden + biases[0])
        product = "ia,ab->ib" if self.shared else "ia,iab->ib"
        for kernel, bias in zip(self.kernels, biases[1:-1], strict=True):
            hidden = self.activation(_each(product, hidden, kernel[...]) + bias)
        return self._told(_each(product, hidden, self.last[...]) + direct + biases[-1], nearest)

    def start(self) -> tuple[Array, Array]:
        """The weights of all sites, so that they are gathered once."""
        slots = self.slots.array
        return self.first[...][slots], self.linear[...][slots]

    def step(
        self, kept: tuple[Array, Array], site: Int[Array, ""], codes: Float[Array, "n d"]
    ) -> tuple[Float[Array, " q"], tuple[Array, Array]]:
        """The output of one site."""
        first, linear = kept
        seen, nearest = self._seen(self._padded(codes)[jnp.asarray(self.sites.array)[site]])
        biases = [bias[...][site] for bias in self.biases]
        hidden = self.activation(_each("fd,fdw->w", seen, first[site]) + biases[0])
        for kernel, bias in zip(self.kernels, biases[1:-1], strict=True):
            hidden = self.activation(_each("a,ab->b", hidden, self._own(kernel, site)) + bias)
        out = _each("a,ab->b", hidden, self._own(self.last, site))
        out = out + _each("fd,fdw->w", seen, linear[site]) + biases[-1]
        return self._told(out, nearest), kept

    def _seen(self, codes: Float[Array, "*n f d"]) -> tuple[Array, Float[Array, "*n d"]]:
        """Codes of the frontier, of a cyclic network relative to the site drawn last, and its."""
        nearest = codes[..., 0, :]
        if not self.cyclic:
            return codes, nearest
        if codes.shape[-1] == 1:
            return codes * nearest[..., None, :], nearest
        return _turned(codes, nearest[..., None, :], 1), nearest

    def _told(self, out: Float[Array, "*n q"], nearest: Float[Array, "*n d"]) -> Array:
        """The outputs for labels, not for those relative to the site drawn last."""
        if not self.cyclic:
            return out
        codes = jnp.concatenate([-nearest, nearest], -1) if nearest.shape[-1] == 1 else nearest
        known = jnp.any(codes != 0, axis=-1, keepdims=True)
        return jnp.where(known, _turned(out, codes, -1), 0)

    def _own(self, kernel: nnx.Param[Array], site: Int[Array, ""]) -> Array:
        return kernel[...] if self.shared else kernel[...][site]

    @staticmethod
    def _padded(codes: Float[Array, "n d"]) -> Float[Array, "n_and_one d"]:
        return jnp.concatenate([codes, jnp.zeros_like(codes[:1])])


def _turned(x: Float[Array, "*n q"], codes: Float[Array, "*n q"], sign: int) -> Array:
    """x[(k + sign * label) % q] at k, for the label that the code tells."""
    q = x.shape[-1]
    label = jnp.argmax(codes, axis=-1, keepdims=True).astype(jnp.int32)
    place = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    index = (place + sign * jnp.broadcast_to(label, x.shape)) % q
    return jnp.take_along_axis(x, index, axis=-1)


def frontier(
    h: Hamiltonian,
    *,
    widths: Sequence[int] = (32,),
    activation: Activation = TANH,
    informed: bool = True,
    cyclic: bool = False,
    key: Key[Array, ""],
) -> AutoregressiveNetwork:
    """An autoregressive network of perceptrons on frontiers: the fast one for local interactions.

    Sites are drawn in their order. ``widths`` are those of the hidden layers. Labels of a
    ``cyclic`` network are told relative to that of the site of the frontier that was drawn last,
    not to that of the first, so that it knows both signs of an ordered phase when it knows one.

    Raises:
      SpaceError: the space of h is not finite.
      SettingError: a width is below 1, or ``cyclic`` on sites that differ.

    >>> import jax
    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.chain(5, periodic=False), 0.7)
    >>> q = frontier(h, key=jax.random.key(0))  # a frontier of one site: exact from the start
    >>> x, log_q = q.sample(jax.random.key(1))
    >>> bool(jnp.isclose(-h(x) - log_q, jnp.log(2.0) + 4 * jnp.log(2 * jnp.cosh(0.7))))
    True
    """
    d, q = n_codes(h)
    sizes = sizes_of(*widths)
    shared = _is_uniform(h)
    sites, slots = _slots(h, shared=shared)

    def make(rngs: nnx.Rngs) -> FrontierNetwork:
        return FrontierNetwork(
            sites, slots, sizes, d, q, activation, shared=shared, cyclic=cyclic, rngs=rngs
        )

    made = assembled(h, make, informed=informed, cyclic=cyclic, key=key)
    return dataclasses.replace(made, cyclic=False)


def _is_uniform(h: Hamiltonian) -> bool:
    return all(isinstance(t, Stencil) and t.coefficient.ndim <= 1 for t in h.terms.values())


def _slots(h: Hamiltonian, *, shared: bool) -> tuple[IntArray, IntArray]:
    """Sites of every frontier, [n, most], and the number of the weight of each.

    The site drawn last comes first; places beyond are padded with n.
    """
    frontiers, n = frontier_of(h), h.n_sites
    most = max(1, max(map(len, frontiers)))
    sites = np.full((n, most), n)
    for i, own in enumerate(frontiers):
        sites[i, : len(own)] = own[::-1]
    used = sites < n
    if shared:
        place = np.stack(np.unravel_index(np.arange(n), h.shape), axis=-1)
        moved = (place[np.where(used, sites, 0)] - place[:, None]) % np.array(h.shape)
        number = np.ravel_multi_index(tuple(np.moveaxis(moved, -1, 0)), h.shape)
    else:
        number = np.arange(n * most).reshape(n, most)
    slots = np.zeros((n, most), dtype=int)
    slots[used] = np.unique(number[used], return_inverse=True)[1]
    return sites, slots


def _each(subscripts: str, a: Array, b: Array) -> Array:
    product: Array = jnp.einsum(subscripts, a, b, precision="highest")
    return product
