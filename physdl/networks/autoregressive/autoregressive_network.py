r"""Distributions that are drawn site by site, each with a probability known exactly.

    q(x) = prod_i q_i(x_i | x_1, ..., x_{i-1}),      q_i = softmax_s(f_i(s; x_<i) - E_i(s; x_<i)),

where f is a network in which site i sees only those before it, and E_i is the energy of site i in
the field of those before it, H = c + sum_i E_i. All probabilities of one configuration take one
pass through the network, in parallel; a draw takes the work of one pass as well, since what the
network computed for one site is kept for the next. Networks begin at f = 0: what they learn is how
the sites that are not yet drawn act back.

Where H does not change when all labels are shifted together (the flip of all spins, the colours of
Potts), a ``cyclic`` network is told labels relative to that of the first site, so that q has the
symmetry exactly, without a cost, and cannot lose the states of the other sign. (In an ordered phase
it must still learn that the first spin may be the one that stands against all others.)

Sources: D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122, 080602 (2019) (arXiv:1809.10606).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import require_finite
from physdl.networks.autoregressive._fields import (
    ending_tables,
    energies_of_site,
    energies_of_sites,
)
from physdl.networks.autoregressive._labelled import (
    allowed_labels,
    code_table,
    labels_of,
    states_of,
)
from physdl.networks.network import Network, build
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.spaces import Product

__all__ = ["AutoregressiveNetwork", "Causal", "assembled", "n_codes"]


class Causal(Protocol):
    """A module whose output at site i depends on inputs at sites before i alone."""

    def __call__(self, codes: Float[Array, "n d"]) -> Float[Array, "n q"]:
        """The outputs of all sites."""
        ...

    def start(self) -> Any:
        """What is kept from site to site, before the first."""
        ...

    def step(
        self, kept: Any, site: Int[Array, ""], codes: Float[Array, "n d"]
    ) -> tuple[Float[Array, " q"], Any]:
        """The output of one site, given the inputs before it (the others are 0), and what to keep.

        Sites come in their order.
        """
        ...


@module
class AutoregressiveNetwork:
    """A distribution over the configurations of a Hamiltonian on a finite space.

    Attributes:
      network: the frozen module; it is what is trained.
      h: names sites and space, and gives the fields E_i, by which it is known apart from what the
        network adds; held fixed in every derivative.
      informed: whether E_i is added.
      cyclic: whether labels are told relative to that of site 0.
    """

    network: Network
    h: Hamiltonian
    informed: bool = static(default=True)
    cyclic: bool = static(default=False)

    @property
    def n_states(self) -> int:
        """The most states a site has."""
        return int(allowed_labels(self.h).shape[1])

    def site_terms(
        self, x: ArrayLike
    ) -> tuple[Float[Array, "n q"], Float[Array, "n q"], Int[Array, " n"]]:
        """log q_i and E_i of all states of all sites, and the labels of the configuration.

        Raises:
          ShapeError: x is no configuration of ``h``.
        """
        label = labels_of(self.h, x)
        model, q = _merged(self.network), self.n_states
        frame = (label - label[0]) % q if self.cyclic else label
        added: Array = model(_codes(q)[frame])
        if self.cyclic:
            added = _turned(added, label[0]).at[0].set(0.0)
        energies = energies_of_sites(_tables(self.h), label, q).astype(added.dtype)
        logits = added - energies if self.informed else added
        return _normalised(logits, jnp.asarray(allowed_labels(self.h))), energies, label

    def log_conditionals(self, x: ArrayLike) -> Float[Array, "n q"]:
        """log q_i(s | x_<i) of every state s of every site; ``-inf`` where there is none."""
        return self.site_terms(x)[0]

    def log_prob(self, x: ArrayLike) -> Float[Array, ""]:
        """log q of one configuration; ``jax.vmap`` for many."""
        log_q, _, label = self.site_terms(x)
        return jnp.sum(jnp.take_along_axis(log_q, label[:, None], axis=1))

    def with_parts(self, network: Network, h: Hamiltonian) -> "AutoregressiveNetwork":
        """The same distribution with another network and other fields."""
        return AutoregressiveNetwork(network, h, informed=self.informed, cyclic=self.cyclic)

    @jax.jit
    def sample(self, key: Key[Array, ""]) -> tuple[Float[Array, " *state"], Float[Array, ""]]:
        """A configuration and its log q; ``jax.vmap`` over keys for many."""
        model, q, n = _merged(self.network), self.n_states, self.h.n_sites
        tables, allowed, codes = _tables(self.h), jnp.asarray(allowed_labels(self.h)), _codes(q)

        def draw(carry: Any, at: tuple[Array, Array]) -> tuple[Any, Float[Array, ""]]:
            label, seen, kept, first = carry
            site, site_key = at
            added, kept = model.step(kept, site, seen)
            if self.cyclic:
                added = jnp.where(site == 0, 0.0, _turned(added, first))
            if self.informed:
                added = added - energies_of_site(tables, label, site, q).astype(added.dtype)
            log_q = _normalised(added, allowed[site])
            drawn = random.categorical(site_key, log_q)
            first = jnp.where((site == 0) & self.cyclic, drawn, first)
            seen = seen.at[site].set(codes[(drawn - first) % q])
            return (label.at[site].set(drawn), seen, kept, first), log_q[drawn]

        zero = jnp.zeros((), jnp.int32)
        start = (jnp.zeros(n, jnp.int32), jnp.zeros((n, codes.shape[1])), model.start(), zero)
        sites = jnp.arange(n, dtype=jnp.int32)
        (label, *_), log_q = jax.lax.scan(draw, start, (sites, random.split(key, n)))
        return states_of(self.h, label), jnp.sum(log_q)


def assembled(
    h: Hamiltonian,
    make: Callable[[nnx.Rngs], nnx.Module],
    *,
    informed: bool,
    cyclic: bool,
    key: Key[Array, ""],
) -> AutoregressiveNetwork:
    """The distribution of a causal module that takes ``n_codes`` inputs a site.

    Raises:
      SpaceError: the space of h is not finite.
      SettingError: ``cyclic`` on sites that differ.
      ShapeError: h has no sites.
    """
    space = require_finite(h.space, "an autoregressive network")
    if cyclic and isinstance(space, Product):
        raise SettingError("cyclic takes sites that are alike, got a product of spaces.")
    if not h.n_sites:
        raise ShapeError("an autoregressive network takes at least one site.")
    return AutoregressiveNetwork(build(make, key=key), h, informed=informed, cyclic=cyclic)


def n_codes(h: Hamiltonian) -> tuple[int, int]:
    """Numbers that tell the label of a site, and the most labels it may have."""
    q = int(allowed_labels(h).shape[1])
    return int(code_table(q).shape[1]), q


def _merged(network: Network) -> Any:
    return nnx.merge(network.graphdef, network.params)


def _tables(h: Hamiltonian) -> Sequence[Potential]:
    return ending_tables(jax.lax.stop_gradient(h))


def _codes(q: int) -> Float[Array, "q d"]:
    return jnp.asarray(code_table(q), float)


def _turned(logits: Float[Array, "*n q"], first: Int[Array, ""]) -> Array:
    """What was found for labels relative to the first, for the labels themselves."""
    q = logits.shape[-1]
    return jnp.take(logits, (jnp.arange(q, dtype=jnp.int32) - first) % q, axis=-1)


def _normalised(logits: Float[Array, "*n q"], allowed: Bool[Array, "*n q"]) -> Array:
    """Logarithms of probabilities; equal ones where every allowed state is forbidden."""
    inside = jnp.where(allowed, logits, -jnp.inf)
    dead = jnp.all(jnp.isneginf(inside), axis=-1, keepdims=True)
    return jax.nn.log_softmax(jnp.where(dead & allowed, 0.0, inside), axis=-1)
