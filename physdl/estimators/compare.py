r"""Do methods agree? A report over any set of estimators.

Two estimates a and b with errors s_a and s_b are apart by

    pull = (a - b) / sqrt(s_a^2 + s_b^2 + rounding^2)

standard errors, with the rounding error of an extensive number added, so that exact methods can be
compared too. What can be trusted is joined: the mean weighted by 1 / s^2, the greatest lower and
the least upper bound.

Methods that share a mistake agree too: set side by side such as cannot.
"""

import itertools
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.errors import PhysdlError, SettingError
from physdl.estimators._base import Estimate, Estimator, Status
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import _random as random

__all__ = ["Agreement", "Compare"]

ROUNDING = 64.0


@module
class Agreement:
    """What several estimators say of one Hamiltonian.

    Attributes:
      estimates: name -> estimate.
      refused: (name, reason) of the estimators that do not apply.
      n_sigma: how many standard errors count as disagreement.
    """

    estimates: dict[str, Estimate]
    refused: tuple[tuple[str, str], ...] = static(default=())
    n_sigma: float = static(default=4.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimators that gave an estimate, in the order of ``pulls``."""
        return tuple(self.estimates)

    @property
    def trusted(self) -> Float[Array, " n"]:
        """1 for the estimates with the status OK and a known error, else 0."""
        status, stderr = self._stacked("status"), self._stacked("stderr")
        return ((status == Status.OK) & jnp.isfinite(stderr)).astype(stderr.dtype)

    @property
    def pulls(self) -> Float[Array, "n n"]:
        """(a - b) / sqrt(s_a^2 + s_b^2): by how many standard errors each pair is apart."""
        value, stderr = self._stacked("log_z"), self._errors()
        return (value[:, None] - value[None]) / jnp.sqrt(stderr[:, None] ** 2 + stderr[None] ** 2)

    @property
    def disagreements(self) -> list[tuple[str, str, float]]:
        """(name, name, pull) of all pairs further apart than ``n_sigma``, the furthest first."""
        pulls = np.asarray(self.pulls)
        pairs = itertools.combinations(range(len(self.names)), 2)
        far = [(self.names[i], self.names[j], float(pulls[i, j])) for i, j in pairs]
        return sorted((p for p in far if abs(p[2]) > self.n_sigma), key=lambda p: -abs(p[2]))

    @property
    def estimate(self) -> Estimate:
        """The trusted estimates joined; with the status of the first one where none is trusted.

        ``UNCONVERGED`` where trusted ones are further apart than ``n_sigma``.
        """
        trusted, first = self.trusted, self.estimates[self.names[0]]
        weight = trusted / self._errors() ** 2
        total = jnp.sum(weight)
        value = jnp.where(trusted > 0, self._stacked("log_z"), 0)
        any_trusted = total > 0
        mean = jnp.sum(weight * value) / jnp.where(any_trusted, total, 1)
        exact = jnp.any((trusted > 0) & (self._stacked("stderr") == 0))
        stderr = jnp.where(exact, 0, 1 / jnp.sqrt(jnp.where(any_trusted, total, 1)))
        far = jnp.abs(jnp.nan_to_num(self.pulls)) > self.n_sigma
        apart = jnp.any(far & (trusted[:, None] * trusted[None] > 0))
        agreed = jnp.where(apart, Status.UNCONVERGED, Status.OK).astype(jnp.int32)
        sure = self._stacked("status") == Status.OK
        return Estimate(
            jnp.where(any_trusted, mean, first.log_z),
            jnp.where(any_trusted, stderr, first.stderr),
            jnp.max(jnp.where(sure, self._stacked("lower"), -jnp.inf)),
            jnp.min(jnp.where(sure, self._stacked("upper"), jnp.inf)),
            jnp.where(any_trusted, agreed, first.status),
            {"pulls": self.pulls},
            method="agreement of " + ", ".join(self.names),
            n_sites=first.n_sites,
        )

    def _stacked(self, field: str) -> Array:
        return jnp.stack([getattr(e, field) for e in self.estimates.values()])

    def _errors(self) -> Float[Array, " n"]:
        """Standard errors with rounding; infinite where no claim is made."""
        stderr, value = self._stacked("stderr"), self._stacked("log_z")
        digits = float(np.finfo(value.dtype).eps) * ROUNDING
        rounding = digits * jnp.maximum(jnp.abs(jnp.where(jnp.isfinite(value), value, 0)), 1)
        return jnp.where(jnp.isnan(stderr), jnp.inf, jnp.sqrt(stderr**2 + rounding**2))

    def __repr__(self) -> str:
        width = max(map(len, [*self.names, *(name for name, _ in self.refused)]), default=0)
        joined = self.estimate
        lines = [f"{'method':{width}s}  {'log Z':>18s}  {'stderr':>9s}  {'pull':>6s}  status"]
        for name, e in self.estimates.items():
            apart = float(e.log_z - joined.log_z)
            error = float(e.stderr)
            pull = f"{apart / error:6.1f}" if error > 0 else f"{'':6s}"
            lines.append(
                f"{name:{width}s}  {float(e.log_z):18.8f}  {error:9.2g}  {pull}  "
                f"{Status(int(e.status)).name}"
            )
        lines += [f"{name:{width}s}  refused: {reason}" for name, reason in self.refused]
        lines.append(f"{'joined':{width}s}  {joined!r}")
        if np.isfinite(float(joined.lower)) or np.isfinite(float(joined.upper)):
            lines.append(f"bounds: {float(joined.lower):.8f} <= log Z <= {float(joined.upper):.8f}")
        for a, b, pull_ab in self.disagreements:
            lines.append(f"{a} and {b} are {abs(pull_ab):.1f} standard errors apart")
        return "\n".join(lines)


@module
class Compare:
    """Runs several estimators on one Hamiltonian and says whether they agree.

    An estimator that does not apply is listed with its reason. The pull shown in the table is that
    from the joined value.

    Attributes:
      estimators: name -> estimator.
      n_sigma: how many standard errors count as disagreement.

    Raises:
      SettingError: there is no estimator, or ``n_sigma`` is not positive.
      PhysdlError: none of them applies.

    >>> from physdl import estimators, lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> import jax
    >>> methods = {"exact": estimators.Auto(), "ais": estimators.AIS()}
    >>> agreement = Compare(methods)(h, key=jax.random.key(0))
    >>> agreement.disagreements, agreement.estimate
    ([], log Z = 14.56109302 (exact) [OK])
    """

    estimators: dict[str, Estimator]
    n_sigma: float = static(default=4.0)

    def __init__(self, estimators: Mapping[str, Estimator], *, n_sigma: float = 4.0):
        if not estimators or not n_sigma > 0:
            raise SettingError(
                f"a comparison takes one estimator or more and a positive n_sigma, got "
                f"{len(estimators)} and {n_sigma!r}."
            )
        object.__setattr__(self, "estimators", dict(estimators))
        object.__setattr__(self, "n_sigma", float(n_sigma))

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""]) -> Agreement:
        """The report; every estimator has a key of its own."""
        estimates: dict[str, Estimate] = {}
        refused: list[tuple[str, str]] = []
        keys = random.split(key, len(self.estimators))
        for (name, estimator), own in zip(self.estimators.items(), keys, strict=True):
            try:
                estimates[name] = estimator(h, key=own)
            except PhysdlError as error:
                refused.append((name, str(error)))
        if not estimates:
            raise PhysdlError(f"no estimator applies: {refused[0][0]} says: {refused[0][1]}")
        return Agreement(estimates, tuple(refused), self.n_sigma)
