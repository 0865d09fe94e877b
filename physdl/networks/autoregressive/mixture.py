r"""The mixture of a distribution over a finite group: symmetric, and still exactly normalised.

    q_G(x) = (1 / |G|) sum_g q(g x),        (g x)_i = x_{g(i)}, with all labels shifted by a number.

It costs |G| passes. Translations average what the order of the sites prefers; shifts of all labels
(the flip of all spins) bring back the states of the other sign, whatever q has lost.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.networks._permutations import permutations_of
from physdl.networks.autoregressive._labelled import labels_of, states_of
from physdl.networks.autoregressive.autoregressive_network import AutoregressiveNetwork
from physdl.networks.network import Network
from physdl.numerics import logsumexp
from physdl.pytree import Table, module, static
from physdl.sampling import _random as random
from physdl.spaces import Product

__all__ = ["Mixture", "mixture"]


@module
class Mixture:
    """The mean of a distribution over transformations of configurations.

    Attributes:
      base: the distribution that is averaged.
      images: for each element the site that is read at every place, int [n_group, n_sites].
      shifts: for each element what is added to every label, int [n_group].
    """

    base: AutoregressiveNetwork
    images: Table = static()
    shifts: Table = static()

    @property
    def network(self) -> Network:
        """What is trained: the network of the base."""
        return self.base.network

    @property
    def h(self) -> Hamiltonian:
        """The Hamiltonian of the base."""
        return self.base.h

    @property
    def n_states(self) -> int:
        """The most states a site has."""
        return self.base.n_states

    def with_parts(self, network: Network, h: Hamiltonian) -> "Mixture":
        """The same distribution with another network and other fields."""
        return Mixture(self.base.with_parts(network, h), self.images, self.shifts)

    def log_prob(self, x: ArrayLike) -> Float[Array, ""]:
        """log q_G of one configuration; ``jax.vmap`` for many."""
        label, q = labels_of(self.h, x), self.base.n_states

        def of_image(image: Int[Array, " n"], shift: Int[Array, ""]) -> Float[Array, ""]:
            return self.base.log_prob(states_of(self.h, (label[image] + shift) % q))

        images, shifts = jnp.asarray(self.images.array), jnp.asarray(self.shifts.array)
        return logsumexp(jax.vmap(of_image)(images, shifts)) - math.log(len(images))

    @jax.jit
    def sample(self, key: Key[Array, ""]) -> tuple[Float[Array, " *state"], Float[Array, ""]]:
        """A configuration and its log q_G; ``jax.vmap`` over keys for many."""
        draw_key, element_key = random.split(key)
        drawn, _ = self.base.sample(draw_key)
        element = random.integers(element_key, (), len(self.shifts.array))
        image = jnp.asarray(self.images.array)[element]
        shift = jnp.asarray(self.shifts.array)[element]
        label = jnp.zeros_like(image).at[image].set(labels_of(self.h, drawn))
        x = states_of(self.h, (label - shift) % self.base.n_states)
        return x, self.log_prob(x)


def mixture(
    base: AutoregressiveNetwork,
    *,
    permutations: NumpyArrayLike | None = None,
    shifts: bool = False,
) -> Mixture:
    """The mixture over site permutations, and over all common shifts of labels.

    ``permutations`` is int [n_permutations, n_sites], as ``lattice.translations()``: all elements
    of a group and not only its generators, or the mixture is normalised but not symmetric. A shift
    by one sends each state to the next in the list of its space, the last to the first: for spins
    it is the flip.

    Raises:
      ShapeError: these are no permutations of the sites.
      SettingError: labels are to be shifted on sites that differ.

    >>> from physdl import lattices, models, networks
    >>> h = models.ising(lattices.chain(4), 0.5)
    >>> q = mixture(networks.made(h, key=jax.random.key(0)), shifts=True)
    >>> x, log_q = q.sample(jax.random.key(1))
    >>> bool(jnp.isclose(q.log_prob(-x), log_q))
    True
    """
    n = base.h.n_sites
    group = permutations_of(np.arange(n)[None] if permutations is None else permutations)
    if group.shape[1] != n:
        raise ShapeError(f"the group acts on {group.shape[1]} sites, the network on {n}.")
    if shifts and isinstance(base.h.space, Product):
        raise SettingError("labels shift together on sites that are alike, got a product.")
    turns = np.arange(base.n_states if shifts else 1)
    images = np.repeat(group, len(turns), axis=0)
    return Mixture(base, Table(images), Table(np.tile(turns, len(group))))
