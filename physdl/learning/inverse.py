r"""The inverse problem: which Hamiltonian drew these samples?

    maximum likelihood     minimise  <H(x)>_data + log Z(H)
    pseudolikelihood       minimise  - sum_i < log p(x_i | all others) >_data
    score matching         minimise  < |grad H|^2 / 2 - laplacian H >_data        (on the line)

over the coefficients of a family, all convex. The first is efficient and needs log Z of every
trial, so it is for systems that an estimator can differentiate; at its minimum the moments of the
model are those of the data, which makes it the distribution of largest entropy with these moments
(E. T. Jaynes, Phys. Rev. 106, 620 (1957)). The second needs conditional probabilities alone, works
at any size, and is consistent (J. Besag, The Statistician 24, 179 (1975); P. Ravikumar,
M. J. Wainwright and J. D. Lafferty, Ann. Stat. 38, 1287 (2010)).

Standard errors are those of M-estimators: F^(-1)/M for maximum likelihood with the Fisher matrix F,
and H^(-1) J H^(-1)/M for pseudolikelihood with the Hessian H of its objective and the covariance J
of the score of one sample. Samples are taken as independent: thin a chain first.
"""

import enum
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError, StructureError
from physdl.estimators import Auto, Estimator
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import require_finite
from physdl.learning._convex import Minimum, curvature, minimised
from physdl.learning._objectives import Entropy, Objective, Sampled, roughness, surprise
from physdl.learning._possible import require_possible
from physdl.learning._samples import Samples, collected, require_varied
from physdl.pytree import is_traced, module
from physdl.spaces import LINE, Finite, Space, labels

__all__ = [
    "InferenceStatus",
    "Inferred",
    "maximum_entropy",
    "maximum_likelihood",
    "pseudolikelihood",
    "score_matching",
]

MAX_STEPS = 2000
MOST_ERRORS = 2048
FLAT = 1e-9


class InferenceStatus(enum.IntEnum):
    """Why coefficients are or are not to be trusted; carried as an int32 array."""

    OK = 0
    UNCONVERGED = 1
    UNBOUNDED = 2

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return {
            InferenceStatus.OK: "The minimum was found.",
            InferenceStatus.UNCONVERGED: "The objective still falls: more samples, or l2 > 0.",
            InferenceStatus.UNBOUNDED: "The data leave some coefficients free: l2 > 0, or fewer.",
        }[self]


@module
class Inferred:
    """A Hamiltonian inferred from data.

    Attributes:
      hamiltonian: the family with the coefficients found.
      stderr: the same with their standard errors; nan where none is claimed (with l1, or with more
        than 2048 coefficients).
      objective: its minimum, nats per sample.
      complexity: tr H^-1 J, how many coefficients the samples had to fix: their number for maximum
        likelihood of the true family; nan where no errors are claimed.
      n_steps: of the minimisation.
      status: an ``InferenceStatus`` as int32.
    """

    hamiltonian: Hamiltonian
    stderr: Hamiltonian
    objective: Float[Array, ""]
    complexity: Float[Array, ""]
    n_steps: Int[Array, ""]
    status: Int[Array, ""]

    def __repr__(self) -> str:
        try:
            name = InferenceStatus(int(self.status)).name
            return (
                f"{self.hamiltonian.n_parameters} coefficients, {self.objective:.6g} nats [{name}]"
            )
        except TypeError:  # traced or batched: no single number to show
            return f"Inferred(objective={self.objective})"


@cites("besag1975", "ravikumar2010")
def pseudolikelihood(
    samples: ArrayLike,
    family: Hamiltonian | None = None,
    *,
    space: Space | None = None,
    degree: int = 2,
    l1: float = 0.0,
    l2: float = 0.0,
) -> Inferred:
    """The Hamiltonian whose conditional probabilities suit the samples best.

    Args:
      samples: [n_samples, *shape] or [n_samples, n_sites]; on vector spaces with a component axis,
        or integers that number the states.
      family: a Hamiltonian whose terms say which monomials there are; its coefficients are not
        used. By default ``polynomial`` of the degree.
      space: of the default family; spins and lattice gases are recognised.
      degree: of the default family.
      l1: weight of the sum of absolute values of all coefficients of two or more sites.
      l2: weight of half the sum of squares of all coefficients.

    Raises:
      ShapeError: the samples have no such shape.
      SpaceError: a sample is not in the space, or the space is not finite.
      StructureError: a site never changes and l2 is zero.
      SettingError: a weight is negative.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.chain(6), 0.5, 0.2)
    >>> x = sampling.exact_sample(h, key=jax.random.key(0), n=4000).states[:, 0]
    >>> found = pseudolikelihood(x, h)
    >>> found
    2 coefficients, ... nats [OK]
    """
    data = _checked(samples, family, space, degree, l1, l2)
    finite = require_finite(data.family.space, "pseudolikelihood")
    flat = data.states.reshape(len(data.states), data.family.n_sites, -1)
    indices = jax.vmap(functools.partial(labels, finite))(jnp.asarray(flat))
    return _averaged(surprise, data, (indices,), l1, l2)


@cites("hyvarinen2005")
def score_matching(
    samples: ArrayLike,
    family: Hamiltonian | None = None,
    *,
    degree: int = 2,
    l1: float = 0.0,
    l2: float = 0.0,
) -> Inferred:
    r"""The Hamiltonian on the line whose gradient suits the samples best.

    Minimises <|grad H|^2 / 2 - laplacian H>_data, which up to a constant is half the mean square
    difference between the gradient of H and that of the true one; no Z, one quadratic problem
    (A. Hyvarinen, J. Mach. Learn. Res. 6, 695 (2005)). Of quadratic families it is maximum
    likelihood. Arguments and errors are those of ``pseudolikelihood``, of real variables.

    >>> from physdl.spaces import LINE
    >>> x = 0.5 * jax.random.normal(jax.random.key(0), (20000, 1))
    >>> found = score_matching(x, degree=2).hamiltonian.terms["degree 2"].coefficient
    >>> bool(abs(found[0] - 2) < 0.1)  # 1 / (2 sigma^2)
    True
    """
    data = _checked(samples, family, LINE, degree, l1, l2)
    if data.family.space != LINE:
        raise SpaceError(
            f"score matching differentiates by real variables, got {data.family.space!r}: use "
            f"pseudolikelihood."
        )
    return _averaged(roughness, data, (), l1, l2)


def maximum_likelihood(
    samples: ArrayLike,
    family: Hamiltonian | None = None,
    *,
    estimator: Estimator | None = None,
    space: Space | None = None,
    degree: int = 2,
    l1: float = 0.0,
    l2: float = 0.0,
) -> Inferred:
    """The Hamiltonian under which the samples are likeliest.

    Arguments and errors are those of ``pseudolikelihood``, and ``estimator`` a differentiable
    estimator of log Z that needs no key (``estimators.Auto`` by default).

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.chain(6), 0.5, 0.2)
    >>> x = sampling.exact_sample(h, key=jax.random.key(0), n=4000).states[:, 0]
    >>> found = maximum_likelihood(x, h)
    >>> bool(abs(found.hamiltonian.terms["site"].coefficient + 0.2) < 0.05)
    True
    """
    data = _checked(samples, family, space, degree, l1, l2)

    def mean_energy(h: Hamiltonian) -> Array:
        return jnp.vdot(
            jnp.asarray(data.weights, h.dtype), jax.vmap(h)(jnp.asarray(data.states, h.dtype))
        )

    moments = jax.jit(jax.grad(mean_energy))(data.family)
    return _matched(moments, estimator, l1, l2, data.n_samples)


@cites("jaynes1957")
def maximum_entropy(
    moments: Hamiltonian, *, estimator: Estimator | None = None, l1: float = 0.0, l2: float = 0.0
) -> Inferred:
    r"""The distribution of largest entropy with given moments: Jaynes' principle.

    ``moments`` is a Hamiltonian whose coefficients are the wanted expectation values of its
    monomials, as ``-jax.grad(log_z)`` is. The answer has the same terms; ``objective`` is its
    entropy in nats. No standard errors are claimed, since moments have none here.

    Raises:
      SettingError: a weight is negative, or no distribution has these moments.

    >>> from physdl import estimators, lattices, models
    >>> h = models.ising(lattices.chain(5), 0.4, 0.1)
    >>> log_z = lambda h: estimators.Enumeration()(h).log_z
    >>> moments = jax.tree.map(jnp.negative, jax.grad(log_z)(h))
    >>> found = maximum_entropy(moments).hamiltonian
    >>> bool(abs(found.terms["site"].coefficient - h.terms["site"].coefficient) < 1e-8)
    True
    """
    _require_weights(l1, l2)
    require_possible(moments)
    return _matched(moments, estimator, l1, l2, None)


def _checked(
    samples: ArrayLike,
    family: Hamiltonian | None,
    space: Space | None,
    degree: int,
    l1: float,
    l2: float,
) -> Samples:
    _require_weights(l1, l2)
    if is_traced(samples):
        raise StructureError("samples are checked and counted: infer outside of jit and vmap.")
    data = collected(samples, family, space, degree)
    if not l2 and isinstance(data.family.space, Finite):
        require_varied(data)
    return data


def _require_weights(l1: float, l2: float) -> None:
    if not (l1 >= 0 and l2 >= 0):
        raise SettingError(f"the weights l1 and l2 are not negative, got {l1!r} and {l2!r}.")


def _averaged(
    term: Callable[..., Array], data: Samples, extra: tuple[Array, ...], l1: float, l2: float
) -> Inferred:
    dtype = data.family.dtype
    examples = (jnp.asarray(data.states, dtype), *extra)
    objective = Sampled(examples, jnp.asarray(data.weights, dtype), jnp.asarray(l2, dtype), term)
    found: Inferred = _inferred(
        objective, data.family, jnp.asarray(l1, dtype), data.n_samples, sparse=l1 > 0
    )
    return found


def _matched(
    moments: Hamiltonian, estimator: Estimator | None, l1: float, l2: float, n_samples: int | None
) -> Inferred:
    objective = Entropy(moments, jnp.asarray(l2, moments.dtype), estimator or Auto())
    found: Inferred = _inferred(
        objective, moments, jnp.asarray(l1, moments.dtype), n_samples, sparse=l1 > 0
    )
    return found


@functools.partial(jax.jit, static_argnames=("n_samples", "sparse"))
def _inferred(
    objective: Objective,
    family: Hamiltonian,
    l1: Array,
    n_samples: int | None,
    *,
    sparse: bool,
) -> Inferred:
    start, unravel = ravel_pytree(objective.start(family))

    def f(v: Array) -> Array:
        return objective(unravel(v))

    penalties = l1 * _of_many_sites(family) if sparse else None
    found: Minimum = minimised(f, start, penalties, MAX_STEPS)
    converged = found.slope < float(np.finfo(start.dtype).eps) ** 0.4
    status = jnp.where(converged, InferenceStatus.OK, InferenceStatus.UNCONVERGED)
    stderr, complexity = jnp.full_like(start, jnp.nan), jnp.full((), jnp.nan, start.dtype)
    if len(start) <= MOST_ERRORS and not sparse:
        second = curvature(f, found.point)
        least = jnp.min(jnp.linalg.eigvalsh(second), initial=jnp.inf)
        status = jnp.where(least < FLAT, InferenceStatus.UNBOUNDED, status)
        if n_samples is not None:
            half = jnp.linalg.solve(second, objective.score(unravel(found.point)))
            complexity = jnp.trace(half)
            variance = jnp.diagonal(jnp.linalg.solve(second, half.T))
            stderr = jnp.sqrt(jnp.maximum(variance, 0) / n_samples)
    return Inferred(
        unravel(found.point),
        unravel(stderr),
        found.value,
        complexity,
        found.n_steps,
        status.astype(jnp.int32),
    )


def _of_many_sites(family: Hamiltonian) -> Float[Array, " m"]:
    """One for every coefficient of a monomial of two or more sites, zero for others."""
    c = family.space.n_components
    marks = {}
    for name, term in family.terms.items():
        (coefficient,) = jax.tree.leaves(term)
        if isinstance(term, Potential):
            many = np.asarray(term.sites.array.shape[1] > 1)
        else:
            rows = term.to_sites(family.shape, family.space).rows // c
            each = np.any(rows != rows[:, :1], axis=1)
            many = each if coefficient.shape == each.shape else np.asarray(np.any(each))
        marks[name] = jnp.asarray(np.broadcast_to(many, coefficient.shape), coefficient.dtype)
    flat: Array = ravel_pytree([marks[name] for name in sorted(marks)])[0]
    return flat
