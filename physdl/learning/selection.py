r"""Which monomials do the data need? Families of Hamiltonians compared by what they predict.

A larger family always fits better. On new samples of the same kind, an M-estimator with minimum L
of its objective, Hessian H and covariance J of the score of one sample has on average

    L + tr(H^-1 J) / M

nats per sample (K. Takeuchi, Suri-Kagaku 153, 12 (1976)); for likelihoods of a true family
tr(H^-1 J) is the number of coefficients, and this is Akaike's criterion. To find the true family
among the candidates as M grows, every coefficient has to cost (log M) / 2 instead of one (G.
Schwarz, Ann. Stat. 6, 461 (1978); for composite likelihoods X. Gao and P. X.-K. Song, J. Am. Stat.
Assoc. 105, 1531 (2010)).
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import SettingError, UnknownNameError
from physdl.hamiltonian import Hamiltonian
from physdl.learning.inverse import Inferred, pseudolikelihood
from physdl.pytree import module, static

__all__ = ["Criterion", "Selection", "select"]

Criterion: TypeAlias = Literal["schwarz", "takeuchi"]


@module
class Selection:
    """Families by what they cost.

    Attributes:
      scores: the criterion of every family, nats per sample; the least is best, nan where there is
        no standard error and hence no criterion.
      fits: the Hamiltonians inferred, in the same order.
      names: of the families.
    """

    scores: Float[Array, " n"]
    fits: tuple[Inferred, ...]
    names: tuple[str, ...] = static()

    @property
    def name(self) -> str:
        """Of the best family."""
        return self.names[int(np.nanargmin(np.asarray(self.scores)))]

    @property
    def best(self) -> Inferred:
        """The fit of the best family."""
        return self.fits[self.names.index(self.name)]

    def __repr__(self) -> str:
        least = np.nanmin(np.asarray(self.scores))
        rows = zip(self.names, np.asarray(self.scores) - least, strict=True)
        return ", ".join(f"{name}: +{score:.4g}" for name, score in rows)


def select(
    samples: ArrayLike,
    families: Mapping[str, Hamiltonian],
    *,
    method: Callable[[ArrayLike, Hamiltonian], Inferred] = pseudolikelihood,
    criterion: Criterion = "schwarz",
) -> Selection:
    """Infer a Hamiltonian of each family and score it.

    Args:
      samples: independent ones, as for ``pseudolikelihood``.
      families: by name, as ``polynomial`` makes them.
      method: ``pseudolikelihood``, ``maximum_likelihood``, or with "takeuchi" ``score_matching``.
      criterion: "schwarz" to find the true family, "takeuchi" to predict best.

    Raises:
      SettingError: there is no family.
      UnknownNameError: there is no such criterion.

    >>> import jax
    >>> from physdl import lattices, models, sampling
    >>> from physdl.learning import polynomial
    >>> ring = lattices.chain(8)
    >>> h = models.ising(ring, 0.5)
    >>> x = sampling.exact_sample(h, n=3000, key=jax.random.key(0)).states[:, 0]
    >>> families = {f"reach {r}": polynomial((8,), lattice=ring, reach=r) for r in (1, 2)}
    >>> select(x, families).name
    'reach 1'
    """
    if not families:
        raise SettingError("there is nothing to select from: give families by name.")
    if criterion not in get_args(Criterion):
        raise UnknownNameError("criterion", criterion, get_args(Criterion))
    n = len(np.asarray(samples))
    price = 1.0 if criterion == "takeuchi" else math.log(n) / 2
    fits = tuple(method(samples, family) for family in families.values())
    scores = jnp.stack([fit.objective + price / n * fit.complexity for fit in fits])
    return Selection(scores, fits, tuple(families))
