r"""Weighted configurations, and the identity that makes all that is known about them a derivative.

An ensemble is a list of configurations x_i drawn under a Hamiltonian h by anything (an enumeration,
a Markov chain, annealing, a flow), with normalised weights w_i. For any Hamiltonian h' on the same
sites

    log Z(h') = log Z(h) + log sum_i w_i exp(h(x_i) - h'(x_i)),

with h held fixed. At h' = h the value is trivial and the derivatives are not: the gradient is minus
the moments, the Hessian their covariance, the Jacobian of two ensembles' moments Swendsen's matrix.
So no covariance is written by hand: specific heats and susceptibilities are ``jax.hessian``.

Away from h it is reweighting (A. M. Ferrenberg and R. H. Swendsen, Phys. Rev. Lett. 61, 2635
(1988)), good while the effective sample size stays large.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import FormatError, PhysdlError, SettingError, ShapeError
from physdl.files._storage import PathLike
from physdl.files.native import read_archive, write_archive
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import logsumexp
from physdl.pytree import is_traced, module
from physdl.statistics import Mean
from physdl.statistics import mean as mean_of_chains

__all__ = ["Ensemble", "concatenate", "load"]

ENTRIES = ("states", "log_weights", "log_z")
FEWEST_DRAWS = 4


@module
class Ensemble:
    """Weighted configurations drawn under a Hamiltonian, in independent chains of ordered draws.

    Independent configurations are chains of one draw each.

    Attributes:
      states: shape [n_chains, n_draws, *h.state_shape].
      log_weights: logarithms of the weights, [n_chains, n_draws]; normalised when built.
      log_z: log Z of ``h`` in nats; NaN where unknown, which leaves every derivative as it is.
      h: the Hamiltonian they were drawn under.

    Raises:
      ShapeError: the states are not configurations of ``h``, or the weights have another shape.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.chain(3), 0.5)
    >>> spins = jnp.array([[1, 1, 1], [-1, 1, 1]])[:, None]
    >>> pair = Ensemble(spins, jnp.log(jnp.array([[3.0], [1.0]])), h=h)
    >>> round(float(pair.expectation(jnp.sum).value), 6)  # (3 * 3 + 1) / 4
    2.5
    """

    states: Float[Array, "n_chains n_draws *state"]
    log_weights: Float[Array, "n_chains n_draws"]
    log_z: Float[Array, ""]
    h: Hamiltonian

    def __init__(
        self,
        states: ArrayLike,
        log_weights: ArrayLike | None = None,
        log_z: ArrayLike = jnp.nan,
        *,
        h: Hamiltonian,
    ):
        x = jnp.asarray(states).astype(h.dtype)
        if x.ndim < 2 or x.shape[2:] != h.state_shape or 0 in x.shape[:2]:
            raise ShapeError(
                f"the states of an ensemble have the shape [n_chains, n_draws, "
                f"{', '.join(map(str, h.state_shape))}], got {list(x.shape)}."
            )
        given = jnp.zeros(x.shape[:2], h.dtype) if log_weights is None else jnp.asarray(log_weights)
        if given.shape != x.shape[:2]:
            raise ShapeError(
                f"the weights of an ensemble have the shape {list(x.shape[:2])} of its chains and "
                f"draws, got {list(given.shape)}."
            )
        object.__setattr__(self, "states", x)
        object.__setattr__(self, "log_weights", given - logsumexp(given))
        object.__setattr__(self, "log_z", jnp.asarray(log_z, h.dtype))
        object.__setattr__(self, "h", h)

    @property
    def n_chains(self) -> int:
        """The number of chains."""
        return int(self.states.shape[0])

    @property
    def n_draws(self) -> int:
        """The number of draws of each chain."""
        return int(self.states.shape[1])

    @property
    def effective_sample_size(self) -> Float[Array, ""]:
        """1 / sum w^2: how many equal weights are worth as much; correlation in time aside."""
        return jnp.exp(-logsumexp(2 * self.log_weights))

    def _log_factors(self, h: Hamiltonian) -> Float[Array, "n_chains n_draws"]:
        if (h.space, h.shape) != (self.h.space, self.h.shape):
            raise PhysdlError(
                f"an ensemble of {self.h.space!r} of shape {self.h.shape} says nothing about "
                f"{h.space!r} of shape {h.shape}."
            )
        x, weights, own = jax.lax.stop_gradient((self.states, self.log_weights, self.h))
        change = jax.vmap(jax.vmap(own))(x) - jax.vmap(jax.vmap(h))(x)
        return jnp.where(jnp.isneginf(weights), -jnp.inf, weights + change)

    def log_z_of(self, h: Hamiltonian) -> Float[Array, ""]:
        """log Z of another Hamiltonian on the same sites, from the weights it gives these states.

        Differentiable to all orders in ``h``; at ``h`` equal to the ensemble's own, the gradient is
        minus the moments and the Hessian their covariance.

        Raises:
          PhysdlError: ``h`` has another space or shape.

        >>> from physdl import lattices, models
        >>> h = models.ising(lattices.chain(2, periodic=False), 0.5)
        >>> states = jnp.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[:, None]
        >>> every = Ensemble(states, -jax.vmap(h)(states[:, 0])[:, None], 2.0, h=h)
        >>> gradient = jax.grad(every.log_z_of)(h)  # a Hamiltonian
        >>> bool(jnp.isclose(-gradient.terms["bond"].coefficient, jnp.tanh(0.5), rtol=1e-6))
        True
        """
        return jax.lax.stop_gradient(self.log_z) + logsumexp(self._log_factors(h))

    def reweighted(self, h: Hamiltonian) -> "Ensemble":
        """The same configurations with the weights of another Hamiltonian on the same sites.

        Raises:
          PhysdlError: ``h`` has another space or shape.
        """
        factors = self._log_factors(h)
        return Ensemble(self.states, factors, self.log_z + logsumexp(factors), h=h)

    def expectation(self, f: Callable[[Array], Array]) -> Mean:
        """The mean of a scalar function of one configuration, with its standard error.

        The error is that of a ratio of means, autocorrelation within chains included; chains of
        fewer than four draws are taken as independent draws.

        >>> from physdl import lattices, models
        >>> h = models.ising(lattices.chain(4), 0.0)
        >>> spins = jax.random.rademacher(jax.random.key(0), (400, 1, 4))
        >>> m = Ensemble(spins, h=h).expectation(lambda x: jnp.mean(x) ** 2)
        >>> bool(abs(m.value - 0.25) < 4 * m.stderr) and bool(m.stderr < 0.025)
        True
        """
        values = jax.vmap(jax.vmap(f))(self.states)
        weights = jnp.exp(self.log_weights)
        value = jnp.sum(weights * values)
        deviations = weights.size * weights * (values - value)
        if self.n_draws >= FEWEST_DRAWS:
            return Mean(value, mean_of_chains(deviations).stderr)
        n = deviations.size
        return Mean(
            value, jnp.std(deviations) / np.sqrt(max(n - 1, 1)) if n > 1 else jnp.nan * value
        )

    def thinned(self, every: int) -> "Ensemble":
        """Every so many draws of each chain, the last one kept.

        Raises:
          SettingError: ``every`` is not between 1 and the number of draws.
        """
        if not 1 <= every <= self.n_draws:
            raise SettingError(f"thinning keeps every 1 to {self.n_draws} draws, got {every}.")
        kept = slice((self.n_draws - 1) % every, None, every)
        return Ensemble(self.states[:, kept], self.log_weights[:, kept], self.log_z, h=self.h)

    def save(self, path: PathLike) -> None:
        """Write states, weights, log Z and the Hamiltonian as one ``.npz`` file, never a pickle.

        The file is the native format of ``physdl.files`` with three more arrays, so ``files.load``
        reads its Hamiltonian. It is written beside its place and moved there.

        Raises:
          SettingError: an array is traced.
          FormatError: the file cannot be written there.

        >>> import pathlib, tempfile
        >>> from physdl import lattices, models
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "ones.npz"
        >>> Ensemble(jnp.ones((2, 5, 3)), h=models.ising(lattices.chain(3), 0.5)).save(file)
        >>> load(file).states.shape
        (2, 5, 3)
        """
        if is_traced(self):
            raise SettingError("save needs arrays that have values: call it outside jit and grad.")
        arrays = (self.states, self.log_weights, self.log_z)
        write_archive(path, self.h, dict(zip(ENTRIES, map(np.asarray, arrays), strict=True)))


def load(path: PathLike) -> Ensemble:
    """The ensemble of a file that ``Ensemble.save`` wrote.

    Raises:
      FormatError: the file is no such archive or is damaged.
    """
    h, arrays = read_archive(path, ENTRIES)
    states, log_weights, log_z = (arrays[name] for name in ENTRIES)
    try:
        return Ensemble(states, log_weights, log_z, h=h)
    except ShapeError as error:
        raise FormatError(f"{Path(path)} is no readable ensemble: {error}") from error


def concatenate(ensembles: Sequence[Ensemble]) -> Ensemble:
    """The chains of several ensembles of the same Hamiltonian and length as one ensemble.

    Each counts for as much as it has chains; log Z is their mean in the same sense.

    Raises:
      PhysdlError: there is none, or they differ in space, shape, length or (known) coefficients.

    >>> from physdl import lattices, models
    >>> one = Ensemble(jnp.ones((2, 5, 3)), h=models.ising(lattices.chain(3), 0.5))
    >>> concatenate([one, one]).states.shape
    (4, 5, 3)
    """
    kinds = {(e.h.space, e.h.shape, e.n_draws) for e in ensembles}
    if len(kinds) != 1:
        raise PhysdlError(
            f"ensembles are joined that share space, shape and number of draws, got {len(kinds)} "
            f"kinds: thin or cut them first."
        )
    own = ensembles[0].h
    if not is_traced([e.h for e in ensembles]) and any(e.h != own for e in ensembles):
        raise PhysdlError(
            "ensembles are joined that were drawn under equal coefficients: bring them to one "
            "Hamiltonian with reweighted first."
        )
    shares = np.array([e.n_chains for e in ensembles]) / sum(e.n_chains for e in ensembles)
    weights = [
        e.log_weights + float(np.log(share)) for e, share in zip(ensembles, shares, strict=True)
    ]
    log_z = sum(
        (share * e.log_z for e, share in zip(ensembles, shares.tolist(), strict=True)),
        start=jnp.zeros((), own.dtype),
    )
    states = jnp.concatenate([e.states for e in ensembles])
    return Ensemble(states, jnp.concatenate(weights), log_z, h=own)
