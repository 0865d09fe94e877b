r"""Hamiltonian Monte Carlo and Langevin moves for continuous fields.

Every site gets a momentum, drawn from exp(-p^2 / 2M); field and momenta then follow

    dx/dt = p / M,    dp/dt = -dH/dx

for a while, integrated by a scheme that is reversible and preserves volume, so that the end y, q is
accepted with probability min(1, exp(-dE)), dE = H(y) + q^2/2M - H(x) - p^2/2M, and exp(-H) is left
invariant exactly, whatever the step (S. Duane, A. D. Kennedy, B. J. Pendleton and D. Roweth, Phys.
Lett. B 195, 216 (1987)).

One step of size eps is, with F = dH/dx,

    leapfrog   p -= eps F / 2;  x += eps p / M;  p -= eps F / 2
    omelyan    p -= l eps F;  x += eps p / 2M;  p -= (1 - 2l) eps F;  x += eps p / 2M;  p -= l eps F

with l = 0.1931833, which minimises the error of second order: a step costs two gradients, and its
energy error is nine times smaller than a leapfrog's at equal step, half of it at equal cost (I. P.
Omelyan, I. M. Mryglod and R. Folk, Comput. Phys. Commun. 151, 272 (2003); T. Takaishi and Ph. de
Forcrand, Phys. Rev. E 73, 036706 (2006)). dE is of order eps^2 sqrt(n_sites), so eps shrinks like
n_sites^(-1/4).

One leapfrog of fresh momenta is a Langevin step (``MALA``). ``tune_step_size`` finds the step.
"""

import dataclasses
import math
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random
from physdl.sampling._barrier import settled
from physdl.sampling._force import force_of, require_line
from physdl.sampling._kernel import Info, Kernel, random_configuration
from physdl.sampling._trajectory import (
    Number,
    check_positive,
    check_trajectory,
    drawn_step,
    flat_mass,
    integrate,
    metropolis,
    normal,
)

__all__ = ["HMC", "MALA", "tune_step_size"]

K = TypeVar("K", bound=Kernel)


@cites("duane1987")
@module
class HMC:
    """Hybrid Monte Carlo: trajectories of ``n_leapfrogs`` steps, accepted on the energy error.

    Aim at an acceptance of 0.65 to 0.9 and at trajectories of a quarter of the slowest period.
    In a harmonic direction of stiffness w^2 a trajectory of length pi / w is a mere reflection;
    ``jitter`` draws the step of each trajectory uniformly from step_size (1 - jitter, 1 + jitter)
    and so avoids this.

    Reported: ``"acceptance"`` (a probability), ``"energy_change"`` and ``"divergent"``, true where
    the change is above 1000 or not finite; such a trajectory is not accepted.

    Attributes:
      step_size: eps, in units of x sqrt(M).
      n_leapfrogs: steps of a trajectory.
      inverse_mass: 1 / M, a number or one per site; best near the variance of the site.
      jitter: relative half-width of the distribution of the step, in [0, 1).
      integrator: ``"leapfrog"`` or ``"omelyan"``.

    Raises:
      SettingError: a setting is outside its range.
      SpaceError: the space is not ``LINE``.
      ShapeError: the inverse mass has another shape.

    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
    >>> move = jax.jit(lambda x, key: HMC(0.1, 10)(h, x, key=key))
    >>> x, info = move(jnp.zeros((4, 4)), jax.random.key(0))
    >>> x.shape, bool(info["acceptance"] > 0.5)
    ((4, 4), True)
    """

    step_size: Number
    n_leapfrogs: int = static()
    inverse_mass: float | Float[Array, "..."] = 1.0
    jitter: float = static(default=0.0)
    integrator: str = static(default="leapfrog")

    def __post_init__(self) -> None:
        check_positive(step_size=self.step_size, inverse_mass=self.inverse_mass)
        check_trajectory(self.n_leapfrogs, self.integrator, self.jitter)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*shape"], Info]:
        """One trajectory."""
        require_line(h, "Hamiltonian Monte Carlo")
        key_step, key_momentum, key_accept = random.split(key, 3)
        step = drawn_step(key_step, self.step_size, self.jitter, h)
        inverse_mass = flat_mass(self.inverse_mass, h)
        weight = settled(step**2 * inverse_mass)
        x = state.reshape(-1)
        u = jnp.sqrt(weight) * normal(key_momentum, x)
        end = integrate(
            force_of(h), lambda gradient: weight * gradient, x, u, self.n_leapfrogs, self.integrator
        )
        kinetic = 0.5 * (end.last**2 - end.first**2) / weight
        change = jnp.sum(end.after - end.before + kinetic)
        new, info = metropolis(key_accept, change, x, end.x)
        return new.reshape(state.shape), info


@cites("roberts1996")
@module
class MALA:
    r"""Langevin dynamics, Metropolis adjusted: y = x - eps^2 D F(x) / 2 + eps sqrt(D) xi.

    F = dH/dx, D is the inverse mass and xi is standard normal. y is accepted with probability
    min(1, exp(-H(y)) q(x | y) / (exp(-H(x)) q(y | x))), where q is the normal density of the
    proposal. The best acceptance is 0.574 in many dimensions, and eps shrinks like n_sites^(-1/6).

    Reported: as ``HMC``, with minus the logarithm of that ratio as ``"energy_change"``.

    Attributes:
      step_size: eps.
      inverse_mass: D, a number or one per site.

    Raises:
      SettingError: a setting is not positive.
      SpaceError: the space is not ``LINE``.
      ShapeError: the inverse mass has another shape.

    Sources: G. O. Roberts and R. L. Tweedie, Bernoulli 2, 341 (1996), section 1.4; G. O. Roberts
    and J. S. Rosenthal, J. R. Stat. Soc. B 60, 255 (1998).

    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
    >>> move = jax.jit(lambda x, key: MALA(0.1)(h, x, key=key))
    >>> x, info = move(jnp.zeros((4, 4)), jax.random.key(0))
    >>> x.shape, bool(info["acceptance"] > 0.5)
    ((4, 4), True)
    """

    step_size: Number
    inverse_mass: float | Float[Array, "..."] = 1.0

    def __post_init__(self) -> None:
        check_positive(step_size=self.step_size, inverse_mass=self.inverse_mass)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*shape"], Info]:
        """One Langevin step."""
        require_line(h, "Langevin dynamics")
        key_noise, key_accept = random.split(key, 2)
        step, inverse_mass = jnp.asarray(self.step_size, h.dtype), flat_mass(self.inverse_mass, h)
        x = state.reshape(-1)
        gradient, _ = force_of(h)(x)
        noise = normal(key_noise, x) * jnp.sqrt(inverse_mass)
        y = x - 0.5 * step**2 * inverse_mass * gradient + step * noise
        log_ratio = self.log_acceptance(h, state, y.reshape(state.shape))
        new, info = metropolis(key_accept, -log_ratio, x, y)
        return new.reshape(state.shape), info

    def log_acceptance(
        self, h: Hamiltonian, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        """log of exp(-H(y)) q(x | y) / (exp(-H(x)) q(y | x)), before it is cut at 0."""
        force, inverse_mass = force_of(h), flat_mass(self.inverse_mass, h)
        half = 0.5 * jnp.asarray(self.step_size, h.dtype) ** 2
        x, y = x.reshape(-1), y.reshape(-1)
        (at_x, before), (at_y, after) = force(x), force(y)
        there = (y - x + half * inverse_mass * at_x) ** 2
        back = (x - y + half * inverse_mass * at_y) ** 2
        return jnp.sum(before - after + (there - back) / (4 * half * inverse_mass))


@cites("hoffman2014")
def tune_step_size(
    kernel: K,
    h: Hamiltonian,
    *,
    key: Key[Array, ""],
    state: Float[Array, "*shape"] | None = None,
    n_steps: int = 500,
    target: float | None = None,
) -> tuple[K, Float[Array, "*shape"]]:
    r"""Run the kernel while its step size is driven to an acceptance, by dual averaging.

    With eta_t = target - acceptance_t and eps_0 the step size of the kernel given,

        log eps_{t+1} = log(10 eps_0) - sqrt(t) / (gamma (t + t_0)) sum_{s <= t} eta_s

    and the result is the mean of log eps_t with weights t^-kappa taken recursively; gamma = 0.05,
    t_0 = 10, kappa = 0.75. What a quarter of the steps finds is eps_0 of the others. The draws made
    on the way do not follow exp(-H): discard them. Since the step is averaged and acceptance falls
    ever faster with it, the acceptance reached is often some percent above the target.

    Args:
      kernel: a kernel with a ``step_size`` that reports ``"acceptance"``.
      h: what is sampled.
      key: random key.
      state: where to start; a random configuration if left out.
      n_steps: calls of the kernel.
      target: acceptance; 0.574 for ``MALA`` and 0.8 for the others if left out.

    Returns:
      The kernel with the new step size, and the last state.

    Raises:
      SettingError: there is no step, or the target is not between 0 and 1.

    Source: M. D. Hoffman and A. Gelman, J. Mach. Learn. Res. 15, 1593 (2014), section 3.2.1.

    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
    >>> tune = jax.jit(lambda key: tune_step_size(MALA(1.0), h, key=key))
    >>> kernel, x = tune(jax.random.key(0))
    >>> bool(0.1 < kernel.step_size < 0.5)
    True
    """
    wanted = (0.574 if isinstance(kernel, MALA) else 0.8) if target is None else target
    if not isinstance(n_steps, int) or n_steps < 1:
        raise SettingError(f"n_steps is an integer of at least 1, got {n_steps!r}.")
    if not is_traced(wanted) and not 0 < wanted < 1:
        raise SettingError(f"a target acceptance is between 0 and 1, got {wanted}.")
    key_start, key_run = random.split(key, 2)
    x = random_configuration(h, key=key_start) if state is None else state
    aim = jnp.asarray(wanted, h.dtype)
    gamma, t_0, kappa = 0.05, 10.0, 0.75

    def advance(carry: Any, at: Any) -> tuple[Any, None]:
        x, centre, log_step, mean, excess = carry
        t, key = at
        now = dataclasses.replace(kernel, step_size=jnp.exp(log_step))  # type: ignore[type-var]
        x, info = now(h, x, key=key)
        excess = excess + aim - info["acceptance"]
        log_step = centre - jnp.sqrt(t) / (gamma * (t + t_0)) * excess
        weight = t**-kappa
        return (x, centre, log_step, weight * log_step + (1 - weight) * mean, excess), None

    log_step = jnp.log(jnp.asarray(kernel.step_size, h.dtype))  # type: ignore[attr-defined]
    keys, first = random.split(key_run, n_steps), n_steps // 4
    for own in (keys[:first], keys[first:]):
        times = jnp.arange(1, len(own) + 1).astype(h.dtype)
        start = (x, log_step + math.log(10), log_step, log_step, jnp.zeros_like(log_step))
        (x, _, _, log_step, _), _ = jax.lax.scan(advance, start, (times, own))
    return dataclasses.replace(kernel, step_size=jnp.exp(log_step)), x  # type: ignore[type-var]
