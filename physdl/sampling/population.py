r"""Population annealing: log Z and equilibrium configurations at once, from a cooled population.

R configurations are drawn from the reference exp(-h0) / Z_0 and follow the path H_b = h0 + b (h -
h0). A step from b to b' weighs every configuration by

    w_i = exp(-(b' - b) D_i),        D_i = h(x_i) - h0(x_i),

replaces the population by R copies drawn in proportion to w_i, and moves each by some sweeps under
H_b'. The mean weights multiply to an unbiased estimate of the partition function,

    Z / Z_0 = prod over steps of (1 / R) sum_i w_i.

Sources: K. Hukushima and Y. Iba, AIP Conf. Proc. 690, 200 (2003); J. Machta, Phys. Rev. E 82,
026704 (2010); W. Wang, J. Machta and H. G. Katzgraber, Phys. Rev. E 92, 063307 (2015).

The descendants of one initial configuration are a *family*. With nu_i the fraction of the
population in family i, rho_t = R sum nu_i^2 is the mean square family size and S_f = - sum nu_i log
nu_i the family entropy. Configurations of different families are independent, so R / rho_t tells
how many independent ones there are: it should be above 100.

Consequence: a population too small for its landscape has a large rho_t, and so shows that it is.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import logsumexp
from physdl.pytree import is_traced, module
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info, Kernel, random_configuration
from physdl.sampling._path import Path, log_z_of_zero, places_of, require_single
from physdl.sampling._resampling import RESAMPLING, log_weights, log_z_stderr, longest_stride
from physdl.spaces import Line, Product

__all__ = ["population_annealing"]


@module
class _Population:
    """Configurations at b, where each descends from, and what was learned on the way to b.

    ``betas`` and ``log_ratios`` (log Z_b / Z_0) have an entry for each temperature, NaN where there
    is none yet; ``n_steps`` are done; ``culled`` sums the fractions that died.
    """

    states: Float[Array, " R *state"]
    family: Int[Array, " R"]
    b: Float[Array, ""]
    log_ratio: Float[Array, ""]
    n_steps: Int[Array, ""]
    culled: Float[Array, ""]
    betas: Float[Array, " T"]
    log_ratios: Float[Array, " T"]


@cites("hukushima2003", "machta2010")
def population_annealing(
    h: Hamiltonian,
    *,
    key: Key[Array, ""],
    n_population: int,
    kernel: Kernel,
    betas: ArrayLike | None = None,
    n_sweeps: int = 10,
    reference: Hamiltonian | None = None,
    reference_log_z: ArrayLike | None = None,
    states: Float[Array, " R *state"] | None = None,
    n_burn: int = 100,
    resampling: str = "systematic",
    target: float = 0.9,
    max_steps: int = 1000,
) -> tuple[Ensemble, Info]:
    r"""Anneal a population from the reference to h.

    Without a reference, h0 = 0: the start is drawn exactly. With one, it is made of ``states``, or
    of random configurations after ``n_burn`` sweeps under the reference.

    Without ``betas`` each step goes as far as the effective sample size (sum w)^2 / sum w^2 stays
    above ``target`` times the population (times what is not forbidden, in the first step).

    Args:
      h: the Hamiltonian at b = 1.
      key: a random key.
      n_population: the size R of the population.
      kernel: any kernel whose state is one configuration.
      betas: places on the path, increasing from 0 to 1 (traced ones may repeat the 1 at the end);
        ``None`` chooses them.
      n_sweeps: sweeps of each configuration at every place.
      reference: the Hamiltonian at b = 0; ``None`` is the zero Hamiltonian.
      reference_log_z: its log Z, in nats; known for the zero Hamiltonian.
      states: a population drawn under the reference, [R, *h.state_shape].
      n_burn: sweeps under the reference, where one is given without ``states``.
      resampling: ``"systematic"`` (one random number, least noise) or ``"multinomial"``.
      target: effective sample size of a chosen step, as a fraction.
      max_steps: the most steps to choose; the last goes to b = 1, however far.

    Returns:
      The ensemble of h, equal weights, [R, 1] configurations, with its log Z (NaN if that of the
      reference is not known; ``-inf`` if only forbidden configurations were met), and a dictionary:
      ``"rho_t"``, ``"family_entropy"``; ``"log_z_stderr"``, from the family sizes (NaN where these
      do not tell; for systematic resampling an upper estimate, up to 1.5 times the error);
      ``"n_temperatures"``; ``"betas"``, ``"log_z"`` at each of them, padded with NaN; ``"culled"``,
      the mean fraction that died in a step; ``"reached"``, whether every chosen step kept to the
      target.

    Raises:
      SettingError: a setting outside its range, or a kernel that moves several configurations.
      SpaceError: the line without a reference, where the zero Hamiltonian has no distribution.
      ShapeError: the states are not a population of this size.
      StructureError: the reference has other sites than h.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.chain(8), 1.0)
    >>> ensemble, info = population_annealing(
    ...     h, key=jax.random.key(0), n_population=400, kernel=sampling.HeatBath()
    ... )
    >>> exact = jnp.logaddexp(8 * jnp.log(2 * jnp.cosh(1.0)), 8 * jnp.log(2 * jnp.sinh(1.0)))
    >>> bool(abs(ensemble.log_z - exact) < 4 * info["log_z_stderr"]), bool(info["reached"])
    (True, True)
    """
    _check(n_population, n_sweeps, n_burn, resampling, target, max_steps)
    require_single(kernel, "population annealing")
    places = None if betas is None else places_of(betas).astype(h.dtype)
    kinds = h.space.spaces if isinstance(h.space, Product) else (h.space,)
    if reference is None and any(isinstance(s, Line) for s in kinds):
        raise SpaceError(
            "on the line the zero Hamiltonian cannot be normalised: give a reference, such as "
            "models.gaussian, and its log Z."
        )
    if states is not None and states.shape != (n_population, *h.state_shape):
        raise ShapeError(
            f"a population of {n_population} has the shape {(n_population, *h.state_shape)}, "
            f"got {states.shape}."
        )
    if reference_log_z is None:
        reference_log_z = log_z_of_zero(h) if reference is None else math.nan
    population, reached = _annealed(
        Path(h, reference),
        kernel,
        places,
        None if states is None else states.astype(h.dtype),
        jnp.asarray(target, h.dtype),
        key,
        n_population=n_population,
        n_sweeps=n_sweeps,
        n_burn=0 if reference is None or states is not None else n_burn,
        resampling=resampling,
        max_steps=max_steps,
    )
    return _report(h, population, jnp.asarray(reference_log_z, h.dtype), reached, resampling)


def _check(
    n_population: int, n_sweeps: int, n_burn: int, resampling: str, target: float, max_steps: int
) -> None:
    least = {
        "n_population": (n_population, 2),
        "n_sweeps": (n_sweeps, 1),
        "n_burn": (n_burn, 0),
        "max_steps": (max_steps, 1),
    }
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise SettingError(f"a population takes {name} of {smallest} or more, got {value}.")
    if resampling not in RESAMPLING:
        raise SettingError(f"resampling is 'systematic' or 'multinomial', got {resampling!r}.")
    if not is_traced(target) and not 0 < target < 1:
        raise SettingError(f"the target is a fraction between 0 and 1, got {target}.")


@functools.partial(
    jax.jit, static_argnames=("n_population", "n_sweeps", "n_burn", "resampling", "max_steps")
)
def _annealed(
    path: Path,
    kernel: Kernel,
    betas: Float[Array, " T"] | None,
    states: Float[Array, " R *state"] | None,
    target: Float[Array, ""],
    key: Key[Array, ""],
    *,
    n_population: int,
    n_sweeps: int,
    n_burn: int,
    resampling: str,
    max_steps: int,
) -> tuple[_Population, Array]:
    start_key, burn_key, key = random.split(key, 3)
    if states is None:
        keys = random.split(start_key, n_population)
        states = jax.vmap(lambda key: random_configuration(path.h, key=key))(keys)
    if n_burn and path.reference is not None:
        states = _swept(kernel, path.reference, states, n_burn, burn_key)
    n_places = max_steps + 1 if betas is None else betas.shape[0]
    zero, empty = jnp.zeros((), path.h.dtype), jnp.full(n_places, jnp.nan, path.h.dtype)
    population = _Population(
        states,
        jnp.arange(n_population, dtype=jnp.int32),
        b=zero,
        log_ratio=zero,
        n_steps=jnp.zeros((), jnp.int32),
        culled=zero,
        betas=empty.at[0].set(0),
        log_ratios=empty.at[0].set(0),
    )
    advance = functools.partial(_advanced, path, kernel, n_sweeps, RESAMPLING[resampling])
    if betas is not None:

        def given(k: Array, population: _Population) -> _Population:
            slope = _slopes(path, population)
            return advance(population, slope, betas[k + 1], random.folded(key, k))

        n_steps = jnp.argmax(betas >= betas[-1])
        return jax.lax.fori_loop(0, n_steps, given, population), jnp.asarray(True)

    def chosen(carry: tuple[_Population, Array]) -> tuple[_Population, Array]:
        population, _ = carry
        slope = _slopes(path, population)
        rest = 1 - population.b
        stride = longest_stride(slope, rest, target)
        b = jnp.where(stride == rest, 1, population.b + stride)
        last = population.n_steps == max_steps - 1
        step_key = random.folded(key, population.n_steps)
        after = advance(population, slope, jnp.where(last, 1, b), step_key)
        return after, b >= 1

    def running(carry: tuple[_Population, Array]) -> Array:
        return (carry[0].b < 1) & jnp.isfinite(carry[0].log_ratio)

    end: tuple[_Population, Array] = jax.lax.while_loop(
        running, chosen, (population, jnp.asarray(False))
    )
    return end


def _slopes(path: Path, population: _Population) -> Float[Array, " R"]:
    return jax.vmap(path.slope)(population.states)


def _advanced(
    path: Path,
    kernel: Kernel,
    n_sweeps: int,
    resample: Callable[[Array, Array], Array],
    population: _Population,
    slope: Float[Array, " R"],
    b: Float[Array, ""],
    key: Key[Array, ""],
) -> _Population:
    """The population at the next place: weighed, replaced and moved."""
    resample_key, key = random.split(key)
    n = slope.shape[0]
    log_w = log_weights(slope, b - population.b)
    parents = resample(resample_key, log_w)
    survived = jnp.zeros(n, bool).at[parents].set(True)
    log_ratio = population.log_ratio + logsumexp(log_w) - math.log(n)
    place = population.n_steps + 1
    return _Population(
        _swept(kernel, path(b), population.states[parents], n_sweeps, key),
        population.family[parents],
        b=b,
        log_ratio=log_ratio,
        n_steps=place,
        culled=population.culled + 1 - jnp.mean(survived.astype(slope.dtype)),
        betas=population.betas.at[place].set(b),
        log_ratios=population.log_ratios.at[place].set(log_ratio),
    )


def _swept(
    kernel: Kernel, h: Hamiltonian, states: Float[Array, " R *state"], n: int, key: Key[Array, ""]
) -> Float[Array, " R *state"]:
    """Every configuration after n sweeps."""

    def sweep(x: Array, key: Key[Array, ""]) -> tuple[Array, None]:

        def move(x: Array, key: Key[Array, ""]) -> Array:
            after: Array = kernel(h, x, key=key)[0]
            return after

        return jax.vmap(move)(x, random.split(key, x.shape[0])), None

    swept: Array = jax.lax.scan(sweep, states, random.split(key, n))[0]
    return swept


def _report(
    h: Hamiltonian,
    population: _Population,
    log_z0: Float[Array, ""],
    reached: Array,
    resampling: str,
) -> tuple[Ensemble, Info]:
    n, steps = population.family.shape[0], population.n_steps.astype(h.dtype)
    nu = jnp.zeros(n, h.dtype).at[population.family].add(1 / n)
    square, log_nu = jnp.sum(nu**2), jnp.log(jnp.where(nu > 0, nu, 1))
    info = {
        "rho_t": n * square,
        "family_entropy": -jnp.sum(nu * log_nu),
        "log_z_stderr": log_z_stderr(square, n, steps, resampling),
        "n_temperatures": population.n_steps + 1,
        "betas": population.betas,
        "log_z": log_z0 + population.log_ratios,
        "culled": population.culled / steps,
        "reached": reached,
    }
    log_z = log_z0 + population.log_ratio
    return Ensemble(population.states[:, None], log_z=log_z, h=h), info
