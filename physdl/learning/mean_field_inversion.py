r"""Couplings from correlations in closed form: the inverse Ising problem of mean-field theories.

With m_i = <s_i>, connected correlations C and B = C^(-1), for i != j:

| method | J_ij | exact |
|---|---|---|
| ``"naive"`` | -B_ij | to first order in J |
| ``"tap"`` | -2 B_ij / (1 + (1 - 8 m_i m_j B_ij)^(1/2)) | to second order |
| ``"pairs"`` | P_ij, that of two spins alone | for two spins |
| ``"bethe"`` | the J of a tree with these m and C | on trees |
| ``"sessak-monasson"`` | -B_ij + P_ij - C_ij / ((1 - m_i^2)(1 - m_j^2) - C_ij^2) | for two spins |

(H. J. Kappen and F. B. Rodriguez, Neural Comput. 10, 1137 (1998); V. Sessak and R. Monasson, J.
Phys. A 42, 055001 (2009); F. Ricci-Tersenghi, J. Stat. Mech. P08015 (2012); review: H. C. Nguyen,
R. Zecchina and J. Berg, Adv. Phys. 66, 197 (2017)). Fields follow from the equations of state,

    h_i = atanh m_i - sum_j J_ij m_j   (+ m_i sum_j J_ij^2 (1 - m_j^2)),

the second sum for all but ``"naive"``, and from cavity magnetisations for ``"bethe"``.

The last adds the loops of ``"naive"`` to ``"pairs"``, and subtracts what both count.

Consequence: no log Z and no iteration, one inverse of a matrix; good where couplings are weak, and
to start from. H = - sum h_i s_i - sum J_ij s_i s_j.
"""

import functools
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import ShapeError, SpaceError, UnknownNameError
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.learning._samples import collected, require_varied
from physdl.pytree import is_traced
from physdl.spaces import SPIN

__all__ = ["MeanField", "mean_field", "mean_field_couplings"]

MeanField: TypeAlias = Literal["naive", "tap", "pairs", "bethe", "sessak-monasson"]


def mean_field(samples: ArrayLike, method: MeanField = "sessak-monasson") -> Hamiltonian:
    """Fields and couplings of spins from samples [n_samples, *shape] by a mean-field theory.

    The terms are those of ``polynomial(shape)``. Where fewer samples than spins make the
    correlations singular, or they lie outside what a theory can do, coefficients are NaN.

    Raises:
      UnknownNameError: there is no such method.
      SpaceError: a sample is no configuration of spins.
      StructureError: a spin never changes.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.chain(6, periodic=False), 0.5)
    >>> x = sampling.exact_sample(h, n=20000, key=jax.random.key(0)).states[:, 0]
    >>> found = mean_field(x, "bethe").terms["degree 2"].coefficient
    >>> bool(abs(found[0] + 0.5) < 0.03)  # the first pair
    True
    """
    data = collected(samples, None, SPIN, 2)
    require_varied(data)
    flat = data.states.reshape(len(data.states), -1)
    mean = data.weights @ flat
    covariance = (flat * data.weights[:, None]).T @ flat - np.outer(mean, mean)
    field, coupling = mean_field_couplings(mean, covariance, method)
    above = np.triu_indices(len(mean), 1)
    coefficients = {"degree 1": -field, "degree 2": -coupling[above]}
    terms = {
        name: Sites(coefficients[name], term.table)
        for name, term in data.family.terms.items()
        if isinstance(term, Sites)
    }
    return Hamiltonian(dict(terms), space=SPIN, shape=data.family.shape)


@cites("kappen1998", "nguyen2017")
def mean_field_couplings(
    mean: ArrayLike, covariance: ArrayLike, method: MeanField = "sessak-monasson"
) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """h [n] and J [n, n], symmetric with a diagonal of zeros, from m and C; differentiable.

    Raises:
      UnknownNameError: there is no such method.
      ShapeError: m is no vector, or C not the matrix that goes with it.
      SpaceError: a mean is not between -1 and 1.

    >>> h, j = mean_field_couplings([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], "pairs")
    >>> bool(jnp.isclose(j[0, 1], jnp.arctanh(0.5)))
    True
    """
    if method not in get_args(MeanField):
        raise UnknownNameError("method", method, get_args(MeanField))
    m, c = jnp.asarray(mean, float), jnp.asarray(covariance, float)
    if m.ndim != 1 or c.shape != (len(m), len(m)):
        raise ShapeError(f"means [n] go with correlations [n, n], got {m.shape} and {c.shape}.")
    if not is_traced(m) and len(m) and np.max(np.abs(np.asarray(m))) >= 1:
        raise SpaceError("a mean of spins is between -1 and 1: a spin that never changes has none.")
    field, coupling = _couplings(m, c, method)
    return field, coupling


@functools.partial(jax.jit, static_argnames="method")
def _couplings(m: Array, c: Array, method: MeanField) -> tuple[Array, Array]:
    product = jnp.outer(m, m)
    wide = jnp.outer(1 - m**2, 1 - m**2)
    apart = ~jnp.eye(len(m), dtype=bool)
    c = jnp.where(apart, c, 0)
    b = jnp.where(apart, jnp.linalg.inv(c + jnp.diag(1 - m**2)), 0)
    if method == "naive":
        j = -b
    elif method == "tap":
        j = -2 * b / (1 + jnp.sqrt(1 - 8 * product * b))
    elif method == "bethe":
        j = _bethe(b, product, wide)
    else:
        j = _pairs(m, c + product)
        if method == "sessak-monasson":
            j = j - b - c / (wide - c**2)
    j = jnp.where(apart, j, 0)
    if method == "bethe":
        return _cavity_fields(m, j), j
    field = jnp.arctanh(m) - j @ m
    return field if method == "naive" else field + m * (j**2 @ (1 - m**2)), j


def _pairs(m: Array, both: Array) -> Float[Array, "n n"]:
    """log(p++ p-- / (p+- p-+)) / 4."""
    one, other = m[:, None], m[None]
    alike = (1 + one + other + both) * (1 - one - other + both)
    unlike = (1 + one - other - both) * (1 - one + other - both)
    off = jnp.eye(len(m), dtype=bool)
    return jnp.log(jnp.where(off, 1, alike) / jnp.where(off, 1, unlike)) / 4


def _bethe(b: Array, product: Array, wide: Array) -> Float[Array, "n n"]:
    """Ricci-Tersenghi, Eq. 23: the tanh J of a link whose inverse correlation is b."""
    none = b == 0
    b = jnp.where(none, 1, b)
    root = jnp.sqrt(1 + 4 * wide * b**2)
    rest = root - 2 * product * b
    tanh = (jnp.sqrt(rest**2 - 4 * b**2) - rest) / (2 * b)
    return jnp.where(none, 0, jnp.arctanh(jnp.where(none, 0, tanh)))


def _cavity_fields(m: Array, j: Array) -> Float[Array, " n"]:
    """h_i = atanh m_i - sum_j atanh(t_ij m_j without i), Ricci-Tersenghi, Eq. 8."""
    t = jnp.tanh(j)
    none = t == 0
    t = jnp.where(none, 0.5, t)
    own, other = m[:, None], m[None]
    a, b = other - own * t, own - other * t
    gap = 1 - t**2
    message = jnp.where(none, 0, 2 * a / (gap + jnp.sqrt(gap**2 - 4 * t * a * b)))
    return jnp.arctanh(m) - jnp.sum(jnp.arctanh(jnp.where(none, 0, t * message)), axis=1)
