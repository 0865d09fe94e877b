r"""The trace condition, and one number for how far a coarse-graining is from it.

A variational renormalization group (L. P. Kadanoff, A. Houghton and M. C. Yalabik, J. Stat. Phys.
14, 171 (1976)) chooses a kernel T(v, h) and defines the coarse Hamiltonian

    exp(-H'(h)) = Tr_v exp(T(v, h) - H(v)).

It is exact when R(v) = ln Tr_h exp(T(v, h)) is zero for every v: then Z' = Z, and exp(T) is the
conditional probability p(h | v). Otherwise the joint weight exp(T - H) has another marginal
p_lambda(v) than P(v) = exp(-H) / Z, and both failures follow from R:

    Z_lambda / Z = <e^R>_P,        KL(P || p_lambda) = ln <e^R>_P - <R>_P >= 0,

since p_lambda = P e^R / <e^R>_P. The divergence is the Jensen gap of the trace condition: zero
exactly when R is constant where P > 0. The free-energy difference alone is weaker, since one number
can vanish while R does not (``lin_tegmark``), and a constant added to T changes it at will.

A slip of the literature: P. Mehta and D. J. Schwab (arXiv:1410.3831, Eq. 8) write that equal free
energies hold if *and only if* the distribution is exact; in arXiv:1609.03541 they call the "only
if" a typo.

Convention: kernels are matrices [n_v, n_h] of T, ``-inf`` where h cannot follow from v; H is a
Hamiltonian or a vector [n_v] of its energies. All numbers are in nats, differentiable.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.ensemble import Ensemble
from physdl.errors import ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import logsumexp
from physdl.pytree import module
from physdl.statistics import Mean
from physdl.theory.audit.tables import energy_table

__all__ = [
    "FreeEnergies",
    "TraceCondition",
    "coarse_hamiltonian",
    "free_energy_preserving",
    "jensen_gap",
    "sampled_jensen_gap",
    "trace_condition",
]


@module
class TraceCondition:
    """How far Tr_h exp(T) is from one.

    Attributes:
      log_trace: R(v), shape [n_v].
    """

    log_trace: Float[Array, " n_v"]

    @property
    def residual(self) -> Float[Array, ""]:
        """The largest abs(R(v))."""
        return jnp.max(jnp.abs(self.log_trace))


@module
class FreeEnergies:
    """log Z before and after a step.

    Attributes:
      log_z: ln Tr_v exp(-H).
      log_z_coarse: ln Tr_h exp(-H').
    """

    log_z: Float[Array, ""]
    log_z_coarse: Float[Array, ""]

    @property
    def difference(self) -> Float[Array, ""]:
        """ln Z' - ln Z = ln <e^R>_P; what Mehta and Schwab write as F^v - F^h."""
        return self.log_z_coarse - self.log_z


def trace_condition(kernel: ArrayLike) -> TraceCondition:
    """R(v) = ln Tr_h exp(T(v, h)), which vanishes for an exact step.

    Raises:
      ShapeError: the kernel is no matrix.

    >>> fair = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]]))
    >>> bool(trace_condition(fair).residual < 1e-6)
    True
    """
    return TraceCondition(logsumexp(_matrix(kernel), axis=1))


def jensen_gap(kernel: ArrayLike, h: Hamiltonian | ArrayLike) -> Float[Array, ""]:
    """KL(P || p_lambda) = ln <e^R>_P - <R>_P in nats.

    It is infinite where a configuration that P allows has no h at all.

    Raises:
      ShapeError: the kernel does not have one row for each configuration.

    >>> halves = jnp.log(jnp.full((4, 2), 0.5))
    >>> bool(abs(jensen_gap(halves, jnp.arange(4.0))) < 1e-6)
    True
    """
    t, energies = _pair(kernel, h)
    r = logsumexp(t, axis=1)
    log_p = -energies - logsumexp(-energies)
    p = jnp.exp(log_p)
    mean = jnp.sum(jnp.where(p > 0, p, 0.0) * jnp.where(p > 0, r, 0.0))
    return logsumexp(jnp.where(p > 0, log_p + r, -jnp.inf)) - mean


def sampled_jensen_gap(log_trace: Callable[[Array], Array], ensemble: Ensemble) -> Mean:
    """The Jensen gap from configurations drawn under H, with its standard error.

    For an RBM that should have the marginal exp(-H), R(v) = H(v) - E'(v) with E' the energy of
    ``e.marginalise(hidden)``. To first order ln <e^R> - <R> moves with each draw as
    e^{R - ln<e^R>} - R, whose error is that of a time series. Its bias is of the order of one over
    the number of independent draws, and it fails where e^R is dominated by configurations that were
    not drawn.

    Args:
      log_trace: R of one configuration, any constant included or left out.
      ensemble: drawn under H.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.chain(6), 0.4)
    >>> run = sampling.run(sampling.HeatBath(), h, key=jax.random.key(0), n_sweeps=200, n_kept=200)
    >>> wrong = models.ising(lattices.chain(6), 0.3)
    >>> gap = sampled_jensen_gap(lambda v: h(v) - wrong(v), run.ensemble)
    >>> bool(gap.value > 0)
    True
    """
    r = jax.vmap(jax.vmap(log_trace))(ensemble.states)
    level = logsumexp(ensemble.log_weights + r)
    linear = ensemble.expectation(lambda v: jnp.exp(log_trace(v) - level) - log_trace(v))
    return Mean(linear.value - 1 + level, linear.stderr)


def coarse_hamiltonian(kernel: ArrayLike, h: Hamiltonian | ArrayLike) -> Float[Array, " n_h"]:
    """H'(h) = -ln Tr_v exp(T(v, h) - H(v)), shape [n_h]; ``hamiltonian_of`` makes it a Hamiltonian.

    Raises:
      ShapeError: the kernel does not have one row for each configuration.
    """
    t, energies = _pair(kernel, h)
    return -logsumexp(t - energies[:, None], axis=0)


def free_energy_preserving(kernel: ArrayLike, h: Hamiltonian | ArrayLike) -> FreeEnergies:
    """ln Z and ln Z'. That they agree is necessary for an exact step and not sufficient.

    Raises:
      ShapeError: the kernel does not have one row for each configuration.
    """
    _, energies = _pair(kernel, h)
    return FreeEnergies(logsumexp(-energies), logsumexp(-coarse_hamiltonian(kernel, energies)))


def log_joint(kernel: ArrayLike, h: Hamiltonian | ArrayLike) -> Float[Array, "n_v n_h"]:
    """T(v, h) - H(v): the logarithm of the joint weight."""
    t, energies = _pair(kernel, h)
    return t - energies[:, None]


def _matrix(kernel: ArrayLike) -> Float[Array, "n_v n_h"]:
    t = jnp.asarray(kernel, dtype=float)
    if t.ndim != 2 or 0 in t.shape:
        raise ShapeError(f"a kernel T(v, h) is a matrix [n_v, n_h], got shape {t.shape}.")
    return t


def _pair(
    kernel: ArrayLike, h: Hamiltonian | ArrayLike
) -> tuple[Float[Array, "n_v n_h"], Float[Array, " n_v"]]:
    t, energies = _matrix(kernel), energy_table(h)
    if len(energies) != len(t):
        raise ShapeError(
            f"a kernel of {len(t)} rows does not fit a Hamiltonian of {len(energies)} "
            f"configurations."
        )
    return t, energies
