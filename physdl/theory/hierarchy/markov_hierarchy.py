r"""A hierarchy of causes: each level is drawn from the one above it.

    p_n = M_n ... M_2 M_1 p_0,        M_k[j, i] = P(y_k = j | y_{k-1} = i)

(H. W. Lin, M. Tegmark and D. Rolnick, J. Stat. Phys. 168, 1223 (2017), Eq. 15). y_0 is what one
wants to know (which animal, which cosmological parameters), y_n what one sees (pixels, a map).
Inference runs the other way, P(y_i | y_j) = P(y_j | y_i) p_i / p_j, and every level loses
information, I(y_0; y_k) >= I(y_0; y_{k+1}).

Convention: levels are 0, ..., n and there are n matrices, with columns that sum to one. Everything
is differentiable in matrices and prior.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError, ShapeError
from physdl.numerics import full_precision
from physdl.pytree import is_traced, module

__all__ = ["MarkovHierarchy", "binary_symmetric_cascade", "random_hierarchy"]

ROUNDING = 1e-5


@module
class MarkovHierarchy:
    """A Markov chain of levels, from causes down to data.

    Attributes:
      matrices: M_1, ..., M_n, of shapes [n_k, n_{k-1}].
      prior: p_0, shape [n_0].

    Raises:
      ShapeError: the matrices do not follow on each other.
      SettingError: a probability is negative, or a column or the prior does not sum to one.

    >>> flip = jnp.array([[0.9, 0.1], [0.1, 0.9]])
    >>> cascade = MarkovHierarchy((flip, flip), jnp.array([0.5, 0.5]))
    >>> cascade.transition(0, 2).round(6).tolist()
    [[0.82, 0.18], [0.18, 0.82]]
    """

    matrices: tuple[Float[Array, "n_next n"], ...]
    prior: Float[Array, " n_0"]

    def __post_init__(self) -> None:
        prior = jnp.asarray(self.prior, dtype=float)
        matrices = tuple(jnp.asarray(m, dtype=float) for m in self.matrices)
        object.__setattr__(self, "prior", prior)
        object.__setattr__(self, "matrices", matrices)
        shapes = [m.shape for m in matrices]
        sizes = [prior.shape, *shapes]
        if prior.ndim != 1 or any(len(s) != 2 for s in shapes):
            raise ShapeError(f"a hierarchy has a prior vector and matrices, got shapes {sizes}.")
        for k, (above, below) in enumerate(zip(sizes, shapes, strict=False), start=1):
            if below[1] != above[0]:
                raise ShapeError(
                    f"M_{k} of shape {below} does not follow on a level of {above[0]} states."
                )
        if not is_traced(self):
            for name, p in [("prior", prior), *((f"M_{k + 1}", m) for k, m in enumerate(matrices))]:
                if jnp.any(p < 0) or jnp.any(jnp.abs(jnp.sum(p, axis=0) - 1) > ROUNDING):
                    raise SettingError(f"{name} is no probability: columns are >= 0 and sum to 1.")

    @property
    def n_levels(self) -> int:
        """n, the number of steps; the levels are 0, ..., n."""
        return len(self.matrices)

    def marginal(self, level: int) -> Float[Array, " n"]:
        """p_k of a level."""
        return self._product(0, level, self.prior)

    def transition(self, above: int, below: int) -> Float[Array, "n_below n_above"]:
        """P(y_below | y_above).

        Raises:
          SettingError: the levels do not exist in this order.
        """
        size = self.prior.shape[0] if above == 0 else self.matrices[above - 1].shape[0]
        return self._product(above, below, jnp.eye(size, dtype=self.prior.dtype))

    def joint(self, above: int, below: int) -> Float[Array, "n_above n_below"]:
        """p(y_above, y_below)."""
        return self.marginal(above)[:, None] * self.transition(above, below).T

    def posterior(self, above: int, below: int | None = None) -> Float[Array, "n_below n_above"]:
        """P(y_above | y_below), a row for each y_below; that is level n where none is named.

        NaN where y_below cannot occur.
        """
        joint = self.joint(above, self.n_levels if below is None else below).T
        return joint / jnp.sum(joint, axis=1, keepdims=True)

    @full_precision
    def _product(self, above: int, below: int, start: Array) -> Array:
        if not 0 <= above <= below <= self.n_levels:
            raise SettingError(
                f"levels are 0 to {self.n_levels} from causes to data, got {above} and {below}."
            )
        return functools.reduce(lambda p, m: m @ p, self.matrices[above:below], start)


def binary_symmetric_cascade(flip: ArrayLike, n_levels: int) -> MarkovHierarchy:
    """A fair bit, passed down through channels that each flip it with the same probability.

    I(y_0; y_n) = 1 - h2((1 - (1 - 2p)^n) / 2) bits.

    >>> float(binary_symmetric_cascade(0.25, 2).transition(0, 2)[0, 1])
    0.375
    """
    p = jnp.asarray(flip, dtype=float)
    channel = jnp.stack([jnp.stack([1 - p, p]), jnp.stack([p, 1 - p])])
    return MarkovHierarchy((channel,) * n_levels, jnp.full(2, 0.5))


def random_hierarchy(n_levels: int, *, n_values: int = 2, key: Key[Array, ""]) -> MarkovHierarchy:
    """A random chain whose levels have something to forget.

    A generic chain has none: all posteriors differ, and every minimal statistic is the identity.
    Here y_k is made of k + 1 independent variables, the youngest of them born at level k, the
    others passed down, half of the time as they are and else through random channels; the v^(k+1)
    states are shuffled. What is born at level k says nothing of levels above, so the minimal
    statistic of y_i has v^(i+1) values.

    Args:
      n_levels: n.
      n_values: v, of each variable.
      key: for channels and shuffles.

    Raises:
      SettingError: there is no level, or fewer than two values.

    >>> random_hierarchy(3, key=jax.random.key(0)).marginal(3).shape
    (16,)
    """
    if n_levels < 1 or n_values < 2:
        raise SettingError(
            f"a hierarchy has n >= 1 levels of v >= 2 values, got {n_levels} and {n_values}."
        )
    keys = jax.random.split(key, 2 * n_levels + 1)
    prior = _distributions(keys[0], 1, n_values)[0]
    order = np.arange(n_values)
    matrices = []
    for k in range(1, n_levels + 1):
        rows = _distributions(keys[2 * k - 1], k * n_values + 1, n_values)
        noise = rows[:-1].reshape(k, n_values, n_values)
        passed = (jnp.eye(n_values, dtype=rows.dtype)[None] + noise) / 2
        channel = functools.reduce(jnp.kron, jnp.matrix_transpose(passed))
        step = jnp.kron(channel, rows[-1][:, None])
        shuffled = np.asarray(jax.random.permutation(keys[2 * k], n_values ** (k + 1)))
        matrices.append(step[shuffled][:, order])
        order = shuffled
    return MarkovHierarchy(tuple(matrices), prior)


def _distributions(key: Key[Array, ""], n: int, n_values: int) -> Float[Array, "n n_values"]:
    weights = jax.random.uniform(key, (n, n_values), dtype=float, minval=0.1, maxval=1.0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)
