r"""What renormalization keeps of the temperature.

A coarse configuration x' drawn from P(x' | x) tells about beta

    I'(beta) = Var(E[E(x) | x']) <= I(beta) = Var(E),

as the score of p_beta(x) is <E> - E(x), and that of the coarse distribution its conditional mean.
So each step is a conditional expectation, and information can only be lost: the data processing
inequality for Fisher information (R. Zamir, IEEE Trans. Inf. Theory 44, 1246 (1998)). Equality is
what an exact renormalization of *thermal* features would reach: E would be a function of x'.

Where the coarse distribution is a Gibbs distribution of one coupling, information is that of this
coupling with a Jacobian: for decimation of the Ising ring, tanh K' = tanh^b K,

    I'(K) = (dK'/dK)^2 Var_K'(E').

``information_kept`` is exact, by a sum over all configurations, for small systems.
``information_bound`` is a lower bound from samples, for large ones: any function f of x' leaves

    I' >= Var(E) - <(E - f(x'))^2>,

with f a linear function of features of x', fitted on other samples than those it is measured on.

Of 4 x 4 critical spins 2 x 2 majorities keep exactly 0.437 and decimation 0.492. Of 16 x 16
critical spins (6000 samples, six even operators of 8 x 8 block spins, two of 4 x 4) majorities keep
at least 0.704(16) in one step and 0.466(15) in two, decimation 0.738(16) and 0.428(14).
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key
from numpy.typing import NDArray

from physdl.errors import ShapeError, SpaceError, StructureError, TooLargeError
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.pytree import module
from physdl.rg import BlockDecimation, BlockMap, Majority
from physdl.rg._blocks import members_of
from physdl.spaces import LINE, Finite
from physdl.statistics import Mean
from physdl.theory.audit import block_kernel

__all__ = ["Kept", "coarsened", "information_bound", "information_kept"]

MOST_STATES = 2**20


@module
class Kept:
    """Fisher information about beta before and after every step of coarse-graining.

    Attributes:
      information: I of the configuration, then after each step, [n_steps + 1].
    """

    information: Float[Array, " n"]

    @property
    def share(self) -> Float[Array, " n"]:
        """What is left of the first, [n_steps + 1]."""
        return self.information / self.information[:1]

    def __repr__(self) -> str:
        try:
            shares = " -> ".join(f"{float(v):.4g}" for v in self.information)
        except TypeError:  # traced or batched: no numbers to show
            return f"Kept(information={self.information})"
        return f"I = {shares}"


def coarsened(x: Array, steps: Sequence[BlockMap], *, key: Key[Array, ""]) -> Array:
    """One configuration after some block maps; ``jax.vmap`` for many.

    >>> from physdl import rg
    >>> x = jnp.ones((8, 8)).at[:4].set(-1)
    >>> coarsened(x, (rg.Majority(2), rg.Majority(2)), key=jax.random.key(0)).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    for step, own in zip(steps, jax.random.split(key, len(steps)) if steps else (), strict=True):
        x = step(x, key=own)
    return x


def information_kept(
    h: Hamiltonian, steps: Sequence[Majority | BlockDecimation], beta: ArrayLike
) -> Kept:
    """Exact Fisher information about beta of the configuration and of its block spins.

    Differentiable in beta and in h; ties of a majority are shared equally, as they are drawn.

    Args:
      h: E, the Hamiltonian at beta = 1, of one finite space, on a box that the blocks divide.
      steps: block maps, applied one after the other.
      beta: inverse temperature, a number.

    Raises:
      ShapeError: a block map does not fit on its box.
      SpaceError: the space is not finite, or differs from that of a block map.
      StructureError: a block map is neither ``Majority`` nor ``BlockDecimation``.
      TooLargeError: there are more than 2^20 configurations, or 2^24 entries of P(x' | x).

    >>> from physdl import lattices, models, rg
    >>> ring = models.ising(lattices.chain(8), 1.0)
    >>> kept = information_kept(ring, (rg.BlockDecimation(2),), 0.5)
    >>> [round(float(v), 3) for v in kept.share]
    [1.0, 0.378]
    """
    space = require_finite(h.space, "the exact information")
    if not isinstance(space, Finite):
        raise SpaceError(f"block spins need one space for all sites, got {h.space!r}.")
    states = _states(space.n_states, h.shape)
    tables, box = [], h.shape
    for step in steps:
        if not isinstance(step, Majority | BlockDecimation):
            raise StructureError(
                f"the exact information needs the probabilities of block spins, which Majority and "
                f"BlockDecimation have, got {type(step).__name__}."
            )
        tables.append(jnp.exp(block_kernel(step, box, space=space)))
        members = functools.partial(members_of, step.blocks, space=LINE)
        box = jax.eval_shape(members, jnp.zeros(box)).shape[1:]
    found: Array = _information(
        h, jnp.asarray(space.array, h.dtype), states, tables, jnp.asarray(beta, h.dtype)
    )
    return Kept(found)


def information_bound(
    energies: Float[Array, " n"], features: Float[Array, "n m"]
) -> tuple[Mean, Mean]:
    """A lower bound of the information that x' has about beta, from samples at one beta.

    Half of the samples fit E as a linear function of the features, the others tell how well, and
    the halves are exchanged. The bound holds in expectation and is tight where E[E | x'] is linear
    in the features.

    Args:
      energies: E(x) at beta = 1 of independent configurations, [n].
      features: functions of their block spins, [n, m]; a constant is added.

    Returns:
      The bound of I', and Var(E) from the same samples, each with its standard error.

    Raises:
      ShapeError: there is not one row of features for every energy, or fewer than four rows for
        every feature.

    >>> x = jax.random.normal(jax.random.key(0), (4000, 2))
    >>> kept, all_of_it = information_bound(x @ jnp.array([1.0, 2.0]), x[:, 1:])
    >>> bool(abs(kept.value - 4) < 4 * kept.stderr), bool(abs(all_of_it.value - 5) < 0.5)
    (True, True)
    """
    e, f = jnp.asarray(energies, float), jnp.asarray(features, float)
    if e.ndim != 1 or f.ndim != 2 or len(e) != len(f) or len(e) < 4 * (f.shape[1] + 1):
        raise ShapeError(
            f"energies [n] have features [n, m] with n of 4 (m + 1) at least, got {e.shape} and "
            f"{f.shape}."
        )
    bound, total = _bound(e, f)
    return bound, total


def _states(q: int, box: tuple[int, ...]) -> NDArray[np.int32]:
    """Labels of every configuration of a box, [n, *box]."""
    n_sites = math.prod(box)
    if n_sites * math.log2(q) > math.log2(MOST_STATES):
        raise TooLargeError(
            f"{q}^{n_sites} configurations are too many: take a smaller lattice, or "
            f"information_bound."
        )
    number = np.arange(q**n_sites)[:, None]
    digits = number // q ** np.arange(n_sites)[::-1][None] % q
    return digits.astype(np.int32).reshape(-1, *box)


@jax.jit
def _information(
    h: Hamiltonian,
    values: Float[Array, "q c"],
    states: Array,
    tables: list[Array],
    beta: Float[Array, ""],
) -> Float[Array, " n"]:
    x = values[states].reshape(len(states), *h.state_shape)
    energy = jax.vmap(h)(x)
    p = jax.nn.softmax(-beta * energy)
    off = energy - p @ energy
    found = [p @ off**2]
    weighted = p * off
    for table in tables:
        t = jnp.asarray(table, p.dtype)
        p, weighted = p @ t, weighted @ t
        found.append(jnp.sum(jnp.where(p > 0, weighted**2 / jnp.where(p > 0, p, 1), 0)))
    return jnp.stack(found)


@jax.jit
def _bound(e: Float[Array, " n"], f: Float[Array, "n m"]) -> tuple[Mean, Mean]:
    half = len(e) // 2
    parts = [slice(half), slice(half, 2 * half)]
    scaled = (f - jnp.mean(f, axis=0, keepdims=True)) / jnp.maximum(
        jnp.std(f, axis=0, keepdims=True), float(np.finfo(f.dtype).tiny)
    )
    rows = jnp.concatenate([jnp.ones((len(f), 1), f.dtype), scaled], axis=1)
    explained, squares = [], []
    for fit, test in (parts, parts[::-1]):
        weights = jnp.linalg.lstsq(rows[fit], e[fit])[0]
        off = e[test] - jnp.mean(e[: 2 * half])
        explained.append(off**2 - (e[test] - rows[test] @ weights) ** 2)
        squares.append(off**2)
    return _mean(jnp.concatenate(explained)), _mean(jnp.concatenate(squares))


def _mean(x: Float[Array, " n"]) -> Mean:
    n = len(x)
    return Mean(jnp.mean(x), jnp.std(x, ddof=1) / n**0.5)
