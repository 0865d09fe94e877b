r"""Classification is physics: the class with the least free energy wins.

With H_y(x) = -log p(x | y), the surprisal of an input under a class, and mu_y = -log p(y),

    p(y | x) = exp(-H_y(x) - mu_y) / sum_y' exp(-H_y'(x) - mu_y') = softmax(-H(x) - mu)

(Lin & Tegmark, arXiv:1608.08225, Eq. 8). So a network whose hidden layers compute the H_y needs no
more than a softmax at its end, whose biases are the mu_y. A Hamiltonian without its normalisation
does as well, when mu_y = log Z_y - log p(y).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import ShapeError
from physdl.pytree import module

__all__ = ["HamiltonianClassifier"]


@module
class HamiltonianClassifier:
    """p(y | x) from an energy for every class.

    Attributes:
      energies: a tuple of one Hamiltonian or network a class, each x -> H_y(x) in k_B T; or one
        callable pytree x -> all H_y(x), shape [n_classes].
      mu: -log p(y), shape [n_classes], in nats; plus log Z_y where H_y is not normalised.

    Raises:
      ShapeError: mu is no vector, or has another length than the tuple of energies.

    >>> from physdl import lattices, models
    >>> ring = lattices.chain(4)
    >>> cold, hot = (models.ising(ring, k) for k in (1.0, 0.1))
    >>> log_z = jnp.array([jnp.log((2 * jnp.cosh(k)) ** 4 + (2 * jnp.sinh(k)) ** 4)
    ...                    for k in (1.0, 0.1)])
    >>> which = HamiltonianClassifier((cold, hot), mu=log_z + jnp.log(2.0))
    >>> [round(float(p), 3) for p in which(jnp.ones(4))]
    [0.831, 0.169]
    """

    energies: (
        tuple[Callable[[Array], Float[Array, ""]], ...] | Callable[[Array], Float[Array, " y"]]
    )
    mu: Float[Array, " y"]

    def __post_init__(self) -> None:
        mu = jnp.asarray(self.mu, float)
        n = len(self.energies) if isinstance(self.energies, tuple) else mu.size
        if mu.shape != (n,):
            raise ShapeError(f"{n} classes take mu of shape ({n},), got {mu.shape}.")
        object.__setattr__(self, "mu", mu)

    def logits(self, x: ArrayLike) -> Float[Array, " y"]:
        """-H_y(x) - mu_y of one input: log p(y | x) up to a constant, in nats."""
        state = jnp.asarray(x)
        if isinstance(self.energies, tuple):
            return -jnp.stack([h(state) for h in self.energies]) - self.mu
        return -self.energies(state) - self.mu

    def __call__(self, x: ArrayLike) -> Float[Array, " y"]:
        """p(y | x) of one input; ``jax.vmap`` for many."""
        return jax.nn.softmax(self.logits(x))

    def surprisals(self, x: ArrayLike) -> Float[Array, " y"]:
        """-log p(y | x) in nats: H_y(x) + mu_y + log N(x)."""
        return -jax.nn.log_softmax(self.logits(x))
