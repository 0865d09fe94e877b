r"""Hamiltonians from samples by contrastive learning: maximum likelihood where no log Z is known.

The minimum is that of ``maximum_likelihood``, and so are the standard errors, F^(-1) / M with the
Fisher matrix F, the covariance of the monomials. What that method takes from an estimator that can
be differentiated, this one takes from samples of the model: it works on any space, at any size, to
the accuracy that the chains have. At its end annealed importance sampling measures F, log Z, and
whether the moments of the model are those of the data.

The answer is the mean of all iterates of the second half, in which the noise of the chains averages
out (B. T. Polyak and A. B. Juditsky, SIAM J. Control Optim. 30, 838 (1992)).
"""

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.ensemble import Ensemble
from physdl.errors import SettingError, StructureError
from physdl.estimators import AIS
from physdl.hamiltonian import Hamiltonian
from physdl.learning._falling import falling_adam
from physdl.learning._samples import Samples, checked, require_varied
from physdl.learning.contrastive import Contrast, Contrastive, contrastive_objective
from physdl.learning.inverse import InferenceStatus, Inferred
from physdl.learning.negative_phase import CD, PCD, NegativePhase
from physdl.learning.training import train
from physdl.pytree import is_traced, module
from physdl.sampling import _random as random
from physdl.spaces import Finite, Space

__all__ = ["contrastive_divergence"]

N_CHAINS = 200
N_WALKERS = 2048
RATE = 0.05
CERTAIN = 5.0


def contrastive_divergence(
    samples: ArrayLike,
    family: Hamiltonian | None = None,
    *,
    space: Space | None = None,
    degree: int = 2,
    method: NegativePhase | None = None,
    optimizer: optax.GradientTransformation | None = None,
    n_steps: int = 1000,
    batch_size: int | None = None,
    l2: float = 0.0,
    key: Key[Array, ""],
) -> Inferred:
    """The Hamiltonian under which the samples are likeliest, by chains of the model.

    The start is the zero Hamiltonian where the space is finite, else the family as it is given,
    whose weight must then be integrable.

    Args:
      samples, family, space, degree: as of ``pseudolikelihood``.
      method: ``PCD(n_chains=200)`` by default; ``PCD(kernel=...)`` with any kernel, ``CD(k)``.
      optimizer: of optax; by default Adam at a rate that falls from 0.05 to 0.
      n_steps: updates.
      batch_size: samples a step, from which ``CD`` starts; ``None`` is 200, or all.
      l2: weight of half the sum of squares of all coefficients.
      key: of everything.

    Raises:
      ShapeError, SpaceError, StructureError, SettingError: as ``pseudolikelihood``.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.chain(6), 0.5, 0.2)
    >>> x = sampling.exact_sample(h, key=jax.random.key(0), n=4000).states[:, 0]
    >>> found = contrastive_divergence(x, h, n_steps=300, key=jax.random.key(1))
    >>> bool(abs(found.hamiltonian.terms["site"].coefficient + 0.2) < 0.05)
    True
    """
    if is_traced(samples):
        raise StructureError("samples are checked and counted: infer outside of jit and vmap.")
    if not l2 >= 0:
        raise SettingError(f"the weight l2 is not negative, got {l2!r}.")
    values, known = checked(samples, family, space, degree)
    finite = isinstance(known.space, Finite)
    if finite and not l2:
        require_varied(Samples(values, known))
    start = jax.tree.map(jnp.zeros_like, known) if finite else known
    phase = PCD(n_chains=N_CHAINS) if method is None else method
    data = jnp.asarray(values, start.dtype)
    moments = None if isinstance(phase, CD) else _moments(start, data)
    size = min(len(data), N_CHAINS) if batch_size is None else batch_size
    inner = contrastive_objective(data, phase, batch_size=size, moments=moments, l2=l2)
    objective = Averaged(inner, jnp.asarray(n_steps // 2, start.dtype))
    state_key, train_key, measure_key = random.split(key, 3)
    done = train(
        objective,
        start,
        optimizer=optimizer or falling_adam(RATE, n_steps),
        n_steps=n_steps,
        key=train_key,
        state=objective.start(start, key=state_key),
        surrogate=True,
    )
    h: Hamiltonian = done.state.mean
    out = AIS(n_chains=N_WALKERS)(h, key=measure_key)
    assert out.ensemble is not None
    found: Inferred = _measured(h, data, inner.l2, out.ensemble, out.log_z, done.losses)
    return found


@module
class Mean:
    """The state of ``Averaged``: that of the objective, the mean so far, steps so far."""

    inner: Contrast
    mean: Hamiltonian
    done: Float[Array, ""]


@module
class Averaged:
    """An objective whose state keeps the mean of the parameters from a certain step on."""

    objective: Contrastive
    begin: Float[Array, ""]

    def start(self, h: Hamiltonian, *, key: Key[Array, ""]) -> Mean:
        """The state before the first step."""
        return Mean(self.objective.start(h, key=key), h, jnp.zeros_like(self.begin))

    def __call__(
        self, h: Hamiltonian, state: Mean, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Mean]:
        """The loss, and the mean with these parameters in it."""
        loss, inner = self.objective(h, state.inner, key)
        share = 1 / jnp.maximum(state.done - self.begin + 1, 1)
        mean = jax.tree.map(lambda m, c: m + share * (c - m), state.mean, h)
        return loss, Mean(inner, jax.lax.stop_gradient(mean), state.done + 1)


@jax.jit
def _moments(h: Hamiltonian, data: Float[Array, " n_samples *x"]) -> Hamiltonian:
    """<dH/dc> over the data."""
    moments: Hamiltonian = jax.grad(lambda h: jnp.mean(jax.vmap(h)(data)))(h)
    return moments


@jax.jit
def _measured(
    h: Hamiltonian,
    data: Float[Array, " n_samples *x"],
    l2: Float[Array, ""],
    ensemble: Ensemble,
    log_z: Float[Array, ""],
    losses: Float[Array, " n_steps"],
) -> Inferred:
    """The Fisher matrix, log Z, and how far the moments are apart."""
    flat, unravel = ravel_pytree(h)
    slope = jax.grad(lambda h, x: h(x))
    of_data, of_model = (
        jax.vmap(lambda x: ravel_pytree(slope(h, x))[0])(x) for x in (data, ensemble.states[:, 0])
    )
    p = jnp.exp(ensemble.log_weights[:, 0])
    mean = p @ of_model
    fisher = (of_model * p[:, None]).T @ of_model - jnp.outer(mean, mean)
    second = fisher + l2 * jnp.eye(len(flat), dtype=flat.dtype)
    score = jnp.cov(of_data.T, ddof=0).reshape(second.shape)
    inverse = jnp.linalg.inv(second)
    half = inverse @ score
    n_data = jnp.asarray(len(data), flat.dtype)
    n_model = ensemble.effective_sample_size
    claimed = n_model > 2 * len(flat)
    stderr = jnp.sqrt(jnp.maximum(jnp.diagonal(half @ inverse), 0) / n_data)
    miss = inverse @ (jnp.mean(of_data, axis=0) - mean + l2 * flat)
    wide = CERTAIN * stderr * jnp.sqrt(1 + n_data / n_model)
    good = jnp.all(jnp.abs(miss) <= wide) & jnp.isfinite(losses[-1])
    status = jnp.where(good, InferenceStatus.OK.value, InferenceStatus.UNCONVERGED.value)
    objective = jnp.mean(jax.vmap(h)(data)) + log_z + l2 * jnp.vdot(flat, flat) / 2
    return Inferred(
        h,
        unravel(jnp.where(claimed, stderr, jnp.nan)),
        objective,
        jnp.where(claimed, jnp.trace(half), jnp.nan),
        jnp.asarray(len(losses)),
        status.astype(jnp.int32),
    )
