r"""The No-U-Turn sampler for continuous fields, from blackjax.

Trajectories of leapfrog steps are doubled until they turn back on themselves, and the next state is
drawn from all of their points, so that nothing but the step size is left to choose (M. D. Hoffman
and A. Gelman, J. Mach. Learn. Res. 15, 1593 (2014); M. Betancourt, arXiv:1701.02434). ``tune_nuts``
finds the step size and one mass per site by the windows of Stan.

Chains under ``jax.vmap`` wait for the longest of their trajectories. Where one length fits all, as
in a lattice field without disorder, ``HMC`` or ``FourierHMC`` is faster. blackjax is imported by
the first call, since importing it starts the backend of jax.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import MissingDependencyError, SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._force import require_line
from physdl.sampling._kernel import Info, random_configuration
from physdl.sampling._trajectory import Number, check_positive, flat_mass

__all__ = ["NUTS", "tune_nuts"]


def _blackjax() -> Any:
    try:
        import blackjax
    except ImportError as error:
        raise MissingDependencyError("blackjax", "the No-U-Turn sampler") from error
    return blackjax


@contextlib.contextmanager
def _usual_promotion(dtype: jnp.dtype) -> Iterator[None]:
    """blackjax mixes ranks and types of numbers as numpy does, and takes the widest for its own."""
    double = dtype == jnp.float64
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(double),
    ):
        yield


def _log_density(h: Hamiltonian) -> Callable[[Float[Array, " n"]], Float[Array, ""]]:
    return lambda x: -h(x.reshape(h.shape))


@cites("hoffman2014")
@module
class NUTS:
    """No-U-Turn sampling: trajectories that end where they begin to come back.

    Reported: ``"acceptance"``, the mean over the trajectory; ``"n_leapfrogs"``, its steps;
    ``"divergent"``, true where an energy error passed 1000.

    Attributes:
      step_size: eps, in units of x sqrt(M).
      inverse_mass: 1 / M, a number or one per site; best near the variance of the site.
      max_doublings: a trajectory has at most 2^max_doublings - 1 steps.

    Raises:
      SettingError: a setting is outside its range.
      SpaceError: the space is not ``LINE``.
      ShapeError: the inverse mass has another shape.
      MissingDependencyError: blackjax is not installed.

    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.chain(4), r=-4.0, u=6.975)
    >>> move = jax.jit(lambda x, key: NUTS(0.2)(h, x, key=key))
    >>> x, info = move(jnp.zeros(4), jax.random.key(0))
    >>> x.shape, bool(info["acceptance"] > 0.5)
    ((4,), True)
    """

    step_size: Number
    inverse_mass: float | Float[Array, "..."] = 1.0
    max_doublings: int = static(default=10)

    def __post_init__(self) -> None:
        check_positive(step_size=self.step_size, inverse_mass=self.inverse_mass)
        if not isinstance(self.max_doublings, int) or self.max_doublings < 1:
            raise SettingError(
                f"max_doublings is an integer of at least 1, got {self.max_doublings!r}."
            )

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*shape"], Info]:
        """One trajectory."""
        require_line(h, "the No-U-Turn sampler")
        blackjax = _blackjax()
        inverse_mass = jnp.broadcast_to(flat_mass(self.inverse_mass, h), (h.n_sites,))
        step, log_density = jnp.asarray(self.step_size, h.dtype), _log_density(h)
        x = state.reshape(-1).astype(h.dtype)
        with _usual_promotion(h.dtype):
            kernel = blackjax.nuts.build_kernel()
            start = blackjax.nuts.init(x, log_density)
            end, said = kernel(key, start, log_density, step, inverse_mass, self.max_doublings)
        ok = jnp.all(jnp.isfinite(end.position))
        info = {
            "acceptance": said.acceptance_rate,
            "n_leapfrogs": said.num_integration_steps,
            "divergent": said.is_divergent,
        }
        return jnp.where(ok, end.position, x).reshape(state.shape), info


def tune_nuts(
    h: Hamiltonian,
    *,
    key: Key[Array, ""],
    state: Float[Array, "*shape"] | None = None,
    n_steps: int = 1000,
    target: float = 0.8,
) -> tuple[NUTS, Float[Array, "*shape"]]:
    """A ``NUTS`` whose step size and masses are fitted to h by Stan's windowed warm-up.

    The draws made on the way do not follow exp(-H): discard them.

    Args:
      h: what is sampled.
      key: random key.
      state: where to start; a random configuration if left out.
      n_steps: trajectories of the warm-up; the windows are made for 100 and more.
      target: acceptance.

    Returns:
      The kernel, with one inverse mass per site, and the last state.

    Raises:
      SettingError: there are fewer than 20 steps, or the target is not between 0 and 1.
      SpaceError: the space is not ``LINE``.
      MissingDependencyError: blackjax is not installed.

    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.chain(4), r=[0.1, 1.0, 10.0, 100.0], u=0.1, gradient=0.0)
    >>> kernel, x = tune_nuts(h, key=jax.random.key(0), n_steps=200)
    >>> bool(kernel.inverse_mass[0] > 5 * kernel.inverse_mass[3])
    True
    """
    require_line(h, "the No-U-Turn sampler")
    if not isinstance(n_steps, int) or n_steps < 20:
        raise SettingError(f"n_steps is an integer of at least 20, got {n_steps!r}.")
    if not 0 < target < 1:
        raise SettingError(f"a target acceptance is between 0 and 1, got {target}.")
    blackjax = _blackjax()
    key_start, key_run = random.split(key, 2)
    x = random_configuration(h, key=key_start) if state is None else state
    with _usual_promotion(h.dtype):
        warmup = blackjax.window_adaptation(
            blackjax.nuts,
            _log_density(h),
            target_acceptance_rate=target,
            adaptation_info_fn=lambda *_: None,
        )
        result, _ = warmup.run(key_run, x.reshape(-1).astype(h.dtype), num_steps=n_steps)
    inverse_mass = jnp.asarray(result.parameters["inverse_mass_matrix"], h.dtype).reshape(h.shape)
    step = jnp.asarray(result.parameters["step_size"], h.dtype)
    return NUTS(step, inverse_mass), result.state.position.reshape(h.shape)
