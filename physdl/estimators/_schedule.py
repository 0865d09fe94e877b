r"""Places on a path at constant relative entropy.

Neighbours b and b' of a path H_b have the relative entropy (b' - b)^2 Var_b(D) / 2 to leading
order, D = h - h0. A schedule that keeps it constant spaces its places equally in the thermodynamic
length

    Lambda(b) = integral_0^b sqrt(Var_b'(D)) db',

which makes the variance of annealed weights least for a given number of temperatures (G. E. Crooks,
Phys. Rev. Lett. 99, 100602 (2007); R. Grosse, C. Maddison and R. Salakhutdinov, NIPS 26 (2013)).

A small population annealed by steps of constant effective sample size finds the places: for normal
D a fraction a of it is left after a stride of the length sqrt(-log a).
"""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.estimators._start import Start
from physdl.pytree import module
from physdl.sampling import _random as random
from physdl.sampling import population_annealing

__all__ = ["Schedule", "scheduled"]

TARGET = 0.8
STRIDE = math.sqrt(-math.log(TARGET))
MOST = 1000
N_EXPLORERS = 64
N_SWEEPS = 2


@module
class Schedule:
    """Places from 0 to 1, equally spaced in thermodynamic length.

    Attributes:
      places: b at multiples of a stride, padded with 1.
      n_strides: how many strides reach 1; the last one may be shorter.
    """

    places: Float[Array, " T"]
    n_strides: Float[Array, ""]

    @property
    def length(self) -> Float[Array, ""]:
        """The thermodynamic length of the whole path."""
        return STRIDE * self.n_strides

    def at(self, u: ArrayLike) -> Float[Array, "..."]:
        """b after a fraction u of the length; 0 at 0 and 1 at 1."""
        place = jnp.asarray(u, self.places.dtype) * self.n_strides
        index = jnp.arange(len(self.places), dtype=self.places.dtype)
        inner = jnp.interp(place, index, self.places)
        return jnp.where(jnp.asarray(u) >= 1, 1, inner).astype(self.places.dtype)


@jax.jit
def scheduled(start: Start, *, key: Key[Array, ""]) -> Schedule:
    """The schedule of a path, explored by a small annealed population.

    Where no configuration of it is allowed, as under hard constraints that free sites never meet,
    nothing is known and the places are equally spaced.
    """
    draw_key, key = random.split(key)
    h = start.path.h
    ensemble, info = population_annealing(
        h,
        key=key,
        n_population=N_EXPLORERS,
        kernel=start.kernel,
        n_sweeps=N_SWEEPS,
        reference=start.path.reference,
        reference_log_z=start.log_z,
        states=start.draw(N_EXPLORERS, key=draw_key),
        target=TARGET,
        max_steps=MOST,
    )
    betas = info["betas"]
    places = jnp.where(jnp.isnan(betas), 1, betas)
    n_strides = (info["n_temperatures"] - 1).astype(h.dtype)
    alive = jnp.isfinite(ensemble.log_z)
    straight = jnp.ones_like(places).at[0].set(0)
    return Schedule(jnp.where(alive, places, straight), jnp.where(alive, n_strides, 1))
