r"""Thermometers that are learned from configurations of known temperature.

    p(beta_b | x) = softmax_b(-k_b . S(x) - mu_b)

with S(x) one number or a few, such as the output of a symmetric network or the operators of block
spins. This is the form of the exact posterior, so what is learned has a meaning: a network S learns
the energy, k_b its inverse temperature, mu_b = log Z(beta_b). For operators S_a of block spins the
k_b are renormalized couplings at beta_b, up to what all temperatures share, and the posterior is
exact once the operators are complete.

What is minimised is the cross-entropy -<log p(beta | x)>. It starts at the discriminant of
Gaussians of one covariance (R. A. Fisher, Ann. Eugenics 7, 179 (1936)), is convex where S is not
learned, and is least, at the entropy of the posterior, for all sufficient S.

The reading is the posterior mean, which averaged over the prior has the least square error.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.learning import Training, train
from physdl.pytree import module, static
from physdl.sampling import Kernel, random_configuration, sweeps
from physdl.theory.thermometer.reading import Reading, reading

__all__ = ["Thermometer", "calibrate", "thermal_states"]

Statistic = Callable[[Array], Array]
JITTER = 1e-9


@module
class Scale:
    """What is learned besides the statistic: k_b and mu_b of the statistic made white."""

    couplings: Float[Array, "n_betas m"]
    mu: Float[Array, " n_betas"]


@module
class Thermometer:
    """p(beta_b | x) = softmax_b(-k_b . z - mu_b), z = (S(x) - centre) white.

    Attributes:
      statistic: S, x -> a number or a vector [m].
      scale: k_b and mu_b.
      centre: [m].
      white: [m, m], z = white (S - centre) has unit covariance at fixed beta.
      betas: the grid, [n_betas].
    """

    statistic: Statistic
    scale: Scale
    centre: Float[Array, " m"]
    white: Float[Array, "m m"]
    betas: Float[Array, " n_betas"]

    def logits(self, x: ArrayLike) -> Float[Array, " n_betas"]:
        """log p(beta_b | x) up to a constant."""
        s = jnp.atleast_1d(self.statistic(jnp.asarray(x)))
        return _logits(self.scale, self.white @ (s - self.centre))

    def __call__(self, x: ArrayLike) -> Float[Array, " n_betas"]:
        """p(beta_b | x) of one configuration; ``jax.vmap`` for many."""
        return jax.nn.softmax(self.logits(x))

    def read(self, x: ArrayLike) -> Reading:
        """Mean and standard deviation of beta under p; EDGE where an end is the likeliest."""
        p = self(x)
        mean = p @ self.betas
        deviation = jnp.sqrt(p @ (self.betas - mean) ** 2)
        best = jnp.argmax(p)
        return reading(mean, deviation, (best == 0) | (best == len(p) - 1))


@module
class CrossEntropy:
    """-<log p(beta | x)> over a batch of examples, or over all of them.

    With ``fixed`` the examples are the statistics themselves, made white.
    """

    examples: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    centre: Float[Array, " m"]
    white: Float[Array, "m m"]
    fixed: bool = static()
    batch_size: int | None = static()

    def __call__(self, learned: tuple[Any, Scale], key: Key[Array, ""]) -> Float[Array, ""]:
        statistic, scale = learned
        x, y = self.examples, self.labels
        if self.batch_size is not None:
            chosen = jax.random.randint(key, (self.batch_size,), 0, len(y))
            x, y = x[chosen], y[chosen]
        z = x if self.fixed else _whitened(_statistics(statistic, x), self.centre, self.white)
        log_p = jax.nn.log_softmax(jax.vmap(_logits, (None, 0))(scale, z))
        return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))


def thermal_states(
    h: Hamiltonian,
    betas: ArrayLike,
    *,
    kernel: Kernel,
    n_sweeps: int,
    key: Key[Array, ""],
) -> Float[Array, "n ..."]:
    """One configuration of exp(-beta h) for every beta, each from a chain of its own.

    Chains start at random and are independent; ``n_sweeps`` must be many relaxation times.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.square(8, 8), 1.0)
    >>> kernel = sampling.SwendsenWang()
    >>> thermal_states(h, [0.2, 0.6], kernel=kernel, n_sweeps=20, key=jax.random.key(0)).shape
    (2, 8, 8)
    """
    grid = jnp.asarray(betas, h.dtype)
    if grid.ndim != 1 or not grid.size:
        raise ShapeError(f"one beta for every configuration is a vector, got shape {grid.shape}.")
    found: Array = _thermal_states(h, grid, jax.random.split(key, len(grid)), kernel, n_sweeps)
    return found


def _thermal(h: Hamiltonian, betas: Array, keys: Array, kernel: Kernel, n_sweeps: int) -> Array:
    def one(beta: Array, key: Array) -> Array:
        start_key, sweep_key = jax.random.split(key)
        x = random_configuration(h, key=start_key)
        moved: Array = sweeps(kernel, beta * h, x, key=sweep_key, n_sweeps=n_sweeps)[0]
        return moved

    return jax.vmap(one)(betas, keys)


_thermal_states = jax.jit(_thermal, static_argnames=("n_sweeps",))


def calibrate(
    statistic: Statistic,
    states: Float[Array, "n ..."],
    labels: ArrayLike,
    betas: ArrayLike,
    *,
    optimizer: Any,
    n_steps: int,
    batch_size: int | None = None,
    key: Key[Array, ""],
) -> Training[Thermometer]:
    """Learn a thermometer from configurations of known temperature.

    Args:
      statistic: S, a callable pytree, x -> a number or a vector: a network, whose arrays are
        trained, or ``rg.operator_basis(...)``, which has none.
      states: configurations, or their block spins.
      labels: which beta of the grid each comes from; their frequencies are the prior.
      betas: the grid, [n_betas].
      optimizer: of optax; without batches ``optax.lbfgs()`` serves operators well.
      n_steps: updates.
      batch_size: examples of an update; all of them where it is left out.
      key: of the batches.

    Returns:
      A ``learning.Training`` whose result is the ``Thermometer``.

    Raises:
      SettingError: a label names no beta, or a number is out of range.
      ShapeError: there is not one label for every state, or the grid is no vector of two or more.

    >>> import optax
    >>> from physdl import lattices, rg, sampling
    >>> from physdl.theory.thermometer import ising_torus
    >>> betas, labels = jnp.array([0.1, 0.3, 0.5]), jnp.arange(300) % 3
    >>> h, kernel = ising_torus(8, 8).h, sampling.SwendsenWang()
    >>> x = thermal_states(h, betas[labels], kernel=kernel, n_sweeps=20, key=jax.random.key(0))
    >>> found = calibrate(
    ...     rg.operator_basis(lattices.square(8, 8), 2, 1.0),
    ...     x,
    ...     labels,
    ...     betas,
    ...     optimizer=optax.lbfgs(),
    ...     n_steps=30,
    ...     key=jax.random.key(1),
    ... )
    >>> hits = jnp.argmax(jax.vmap(found.result)(x), axis=1) == labels
    >>> bool(jnp.mean(hits) > 0.85)
    True
    """
    x, y, grid = jnp.asarray(states), np.asarray(labels), jnp.asarray(betas, float)
    if grid.ndim != 1 or grid.size < 2:
        raise ShapeError(f"a grid of beta is a vector of two or more, got shape {grid.shape}.")
    if y.ndim != 1 or len(y) != len(x):
        raise ShapeError(f"{len(x)} states have as many labels, got the shape {y.shape}.")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= grid.size:
        raise SettingError(
            f"labels are integers from 0 to {grid.size - 1}, got {y.dtype} from {y.min()} to "
            f"{y.max()}."
        )
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"a batch has one example at least, got {batch_size}.")
    targets = jnp.asarray(y, jnp.int32)
    s = _all_statistics(statistic, x)
    centre, white, scale = _discriminant(s, targets, grid)
    fixed = not jax.tree.leaves(statistic)
    examples = _whitened(s, centre, white) if fixed else x
    loss = CrossEntropy(examples, targets, centre, white, fixed, batch_size)
    done = train(loss, (statistic, scale), optimizer=optimizer, n_steps=n_steps, key=key)
    learned, learned_scale = done.result
    thermometer = Thermometer(learned, learned_scale, centre, white, grid)
    return Training(thermometer, done.losses, done.skipped, done.status)


def _logits(scale: Scale, z: Float[Array, " m"]) -> Float[Array, " n_betas"]:
    return -(scale.couplings @ z) - scale.mu


def _statistics(statistic: Statistic, x: Float[Array, "n ..."]) -> Float[Array, "n m"]:
    return jax.vmap(lambda one: jnp.atleast_1d(statistic(one)))(x)


_all_statistics = jax.jit(_statistics)


def _whitened(s: Float[Array, "n m"], centre: Array, white: Array) -> Float[Array, "n m"]:
    return (s - centre[None]) @ white.T


@jax.jit
def _discriminant(
    s: Float[Array, "n m"], labels: Int[Array, " n"], betas: Float[Array, " n_betas"]
) -> tuple[Array, Array, Scale]:
    """Centre and whitening at fixed beta, and the scale of Gaussians whose mean is linear in beta.

    With z = a t + noise of unit covariance, t = beta - <beta>: -|z - a t|^2 / 2 = a t . z - ...
    """
    t = betas - jnp.mean(betas[labels])
    own = t[labels]
    centre = jnp.mean(s, axis=0)
    slope = jnp.mean(own[:, None] * (s - centre[None]), axis=0) / jnp.mean(own**2)
    rest = s - centre[None] - own[:, None] * slope[None]
    covariance = rest.T @ rest / len(s)
    floor = JITTER * jnp.mean(jnp.diagonal(covariance)) + float(np.finfo(s.dtype).tiny)
    factor = jnp.linalg.cholesky(covariance + floor * jnp.eye(len(centre), dtype=s.dtype))
    white = jax.scipy.linalg.solve_triangular(
        factor, jnp.eye(len(centre), dtype=s.dtype), lower=True
    )
    a = white @ slope
    counts = jnp.bincount(labels, length=len(betas))
    prior = jnp.log(jnp.maximum(counts, 1) / len(labels)).astype(s.dtype)
    return centre, white, Scale(-t[:, None] * a[None], t**2 * (a @ a) / 2 - prior)
