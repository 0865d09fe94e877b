r"""Walkers that follow a path of Hamiltonians, and the weights they gather on the way.

A walker at x under f_b = exp(-H_b) goes from b to b' by gathering the factor f_b'(x) / f_b(x) and
then moving by a kernel that leaves f_b' invariant. The product w of the factors is an unbiased
estimate of the ratio of partition functions, in either direction (C. Jarzynski, Phys. Rev. E 56,
5018 (1997); R. M. Neal, Stat. Comput. 11, 125 (2001)):

    E[w] = Z_1 / Z_0    from f_0 upwards,        E[w] = Z_0 / Z_1    from f_1 downwards.

The factor is always taken of the energies at hand, never of remembered ones.
"""

import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from physdl.estimators._schedule import Schedule
from physdl.estimators._start import Start
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._resampling import log_weights

__all__ = ["SingleSite", "Walker", "annealed"]


class Walker(Protocol):
    """How one walker starts, moves and weighs; its state is any pytree."""

    def state(self, x: Float[Array, "*state"]) -> Any:
        """The state of a walker at a configuration."""
        ...

    def log_factor(self, state: Any, b: Float[Array, ""], to: Float[Array, ""]) -> Float[Array, ""]:
        """log f_to - log f_b of the state."""
        ...

    def move(self, state: Any, b: Float[Array, ""], *, key: Key[Array, ""]) -> Any:
        """The state after moves that leave f_b invariant."""
        ...

    def configuration(
        self, state: Any, b: Float[Array, ""], *, key: Key[Array, ""]
    ) -> Float[Array, "*state"]:
        """A configuration of the state, distributed as f_b where the state is."""
        ...


@module
class SingleSite:
    """A walker that is one configuration, moved by sweeps of the kernel.

    Attributes:
      start: the path, its beginning and the kernel.
      n_sweeps: sweeps at every place.
    """

    start: Start
    n_sweeps: int = static(default=1)

    def state(self, x: Float[Array, "*state"]) -> Float[Array, "*state"]:
        """The configuration."""
        return x

    def log_factor(
        self, state: Float[Array, "*state"], b: Float[Array, ""], to: Float[Array, ""]
    ) -> Float[Array, ""]:
        """-(b' - b) D, D = h - h0; ``-inf`` where the path forbids the configuration."""
        return log_weights(self.start.path.slope(state), to - b)

    def move(
        self, state: Float[Array, "*state"], b: Float[Array, ""], *, key: Key[Array, ""]
    ) -> Float[Array, "*state"]:
        """Sweeps under H_b."""
        h, kernel = self.start.path(b), self.start.kernel
        if self.n_sweeps == 1:
            after: Array = kernel(h, state, key=key)[0]
            return after
        sweep = lambda t, x: kernel(h, x, key=random.folded(key, t))[0]
        moved: Array = jax.lax.fori_loop(0, self.n_sweeps, sweep, state)
        return moved

    def configuration(
        self, state: Float[Array, "*state"], b: Float[Array, ""], *, key: Key[Array, ""]
    ) -> Float[Array, "*state"]:
        """The state itself."""
        del b, key
        return state


@jax.jit
def annealed(
    walker: Walker,
    x: Float[Array, " n *state"],
    schedule: Schedule,
    n_steps: Int[Array, ""],
    backwards: Bool[Array, ""],
    key: Key[Array, ""],
) -> tuple[Float[Array, " n *state"], Float[Array, " n"]]:
    """Walkers from one end of the path to the other: where they end, and their log weights."""

    def place(k: Int[Array, ""]) -> Float[Array, ""]:
        u = k.astype(x.dtype) / n_steps.astype(x.dtype)
        return schedule.at(jnp.where(backwards, 1 - u, u))

    def step(k: Int[Array, ""], carry: tuple[Any, ...]) -> tuple[Any, ...]:
        states, log_w, b, to = carry  # places are carried, else XLA finds them anew per element
        log_w = log_w + jax.vmap(walker.log_factor, in_axes=(0, None, None))(states, b, to)
        keys = random.split(random.folded(move_key, k), x.shape[0])
        move = functools.partial(_moved, walker, to)
        return jax.vmap(move)(states, keys), log_w, to, place(k + 2)

    move_key, end_key = random.split(key)
    first = (place(jnp.zeros_like(n_steps)), place(jnp.ones_like(n_steps)))
    begin = (jax.vmap(walker.state)(x), jnp.zeros(x.shape[0], x.dtype), *first)
    states, log_w, *_ = jax.lax.fori_loop(0, n_steps, step, begin)
    end = functools.partial(_configuration, walker, place(n_steps))
    return jax.vmap(end)(states, random.split(end_key, x.shape[0])), log_w


def _moved(walker: Walker, b: Array, state: Any, key: Key[Array, ""]) -> Any:
    return walker.move(state, b, key=key)


def _configuration(walker: Walker, b: Array, state: Any, key: Key[Array, ""]) -> Array:
    return walker.configuration(state, b, key=key)
