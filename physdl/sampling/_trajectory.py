r"""Reversible trajectories in phase space, and what the kernels that follow them share.

The momentum p is kept as the displacement of one step, u = eps p / M. A step is then

    u -= kick(F(x)) / 2;  x += u;  u -= kick(F(x)) / 2,        kick(F) = eps^2 F / M,  F = dH/dx

for the leapfrog; step size and mass enter by ``kick`` alone, which may be any positive operator,
and u = sqrt(kick) xi with xi standard normal is a momentum drawn from exp(-p^2 / 2M).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced
from physdl.sampling import _random as random
from physdl.sampling._barrier import settled
from physdl.sampling._force import Force, Vector
from physdl.sampling._kernel import Info
from physdl.sampling._normal import quantile

__all__ = ["Number", "Trajectory", "integrate", "metropolis"]

Number: TypeAlias = float | Float[Array, ""]
Kick: TypeAlias = Callable[[Vector], Vector]

MINIMUM_NORM = 0.1931833275037836
DIVERGENT = 1000.0

# fraction of the first kick, then (drift, kick) in turn; the last kick closes this step and opens
# the next one
INTEGRATORS: dict[str, tuple[float, tuple[tuple[float, float], ...]]] = {
    "leapfrog": (0.5, ((1.0, 1.0),)),
    "omelyan": (MINIMUM_NORM, ((0.5, 1 - 2 * MINIMUM_NORM), (0.5, 2 * MINIMUM_NORM))),
}


class Trajectory(NamedTuple):
    """The end of a trajectory and what its ends weigh.

    Attributes:
      x: the end.
      first, last: the displacement at the first and the last point.
      before, after: the energy density there, up to a common constant.
    """

    x: Vector
    first: Vector
    last: Vector
    before: Vector
    after: Vector


def integrate(
    force: Force, kick: Kick, x: Vector, u: Vector, n: int, integrator: str
) -> Trajectory:
    """Follow the equations of motion for n steps."""
    edge, stages = INTEGRATORS[integrator]

    def step(x: Vector, u: Vector, last: float) -> tuple[Vector, Vector, Vector]:
        density = x
        for i, (drift, weight) in enumerate(stages):
            x = x + (u if drift == 1 else drift * u)
            gradient, density = force(x)
            weight = last if i == len(stages) - 1 else weight
            u = u - (kick(gradient) if weight == 1 else weight * kick(gradient))
        return x, u, density

    gradient, before = force(x)
    half = edge * kick(gradient)
    u = u - half
    first = u + half  # read off what the loop starts from, so that u is computed once

    def inner(_: int, at: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        x, u, _density = step(*at, 2 * edge)
        return x, u

    x, u = jax.lax.fori_loop(0, n - 1, inner, (x, u))
    x, u, after = step(x, u, edge)
    return Trajectory(x, first, u, before, after)


def metropolis(
    key: Key[Array, ""], change: Float[Array, ""], old: Vector, new: Vector
) -> tuple[Vector, Info]:
    """Accept with probability min(1, exp(-change)); never where the change is not finite."""
    finite = jnp.isfinite(change)
    probability = jnp.where(finite, jnp.exp(-jnp.maximum(change, 0)), 0.0).astype(change.dtype)
    accepted: Bool[Array, ""] = random.bernoulli(key, probability)
    info = {
        "acceptance": probability,
        "energy_change": change,
        "divergent": ~finite | (change > DIVERGENT),
    }
    return jnp.where(accepted, new, old), info


def normal(key: Key[Array, ""], x: Vector) -> Vector:
    """Standard normal numbers, one per entry of x."""
    return quantile(random.uniform(key, x.shape, x.dtype))


def check_positive(**settings: Any) -> None:
    """Raise ``SettingError`` unless all values known now are finite and positive."""
    for name, value in settings.items():
        if is_traced(value) or not isinstance(value, int | float | np.ndarray | jax.Array):
            continue
        array = np.asarray(value)
        if not np.all(np.isfinite(array) & (array > 0)):
            worst = array.reshape(-1)[~(np.isfinite(array) & (array > 0)).reshape(-1)][0]
            raise SettingError(f"{name} is finite and positive, got {worst}.")


def check_trajectory(n_leapfrogs: int, integrator: str, jitter: float) -> None:
    """Raise ``SettingError`` for settings no trajectory can have."""
    if not isinstance(n_leapfrogs, int) or n_leapfrogs < 1:
        raise SettingError(f"n_leapfrogs is an integer of at least 1, got {n_leapfrogs!r}.")
    if integrator not in INTEGRATORS:
        raise SettingError(f"the integrator is 'leapfrog' or 'omelyan', got {integrator!r}.")
    if not 0 <= jitter < 1:
        raise SettingError(f"jitter is at least 0 and below 1, got {jitter}.")


def flat_mass(inverse_mass: Any, h: Hamiltonian) -> Float[Array, "..."]:
    """The inverse mass as a number or one number per site, flat."""
    value = jnp.asarray(inverse_mass, h.dtype)
    if value.shape not in ((), h.shape):
        raise ShapeError(
            f"an inverse mass has shape () or that of a configuration, {h.shape}, "
            f"got {value.shape}."
        )
    return value.reshape(-1) if value.ndim else value


def drawn_step(key: Key[Array, ""], step_size: Any, jitter: float, h: Hamiltonian) -> Array:
    """The step of one trajectory: uniform within a fraction ``jitter`` about ``step_size``."""
    step = jnp.asarray(step_size, h.dtype)
    if not jitter:
        return step
    factor = 1 + jitter * (2 * random.uniform(key, (), h.dtype) - 1)
    return settled(step * factor)
