r"""Couplings of blocked configurations: which Hamiltonian of a basis would have drawn them.

Given configurations x of any origin, here of block spins, and operators S_a, the couplings of
p(x) = exp(sum_a K_a S_a(x)) / Z are those that make every site most likely given all others
(*pseudolikelihood*, J. Besag, J. R. Stat. Soc. B 36, 192 (1974)):

    max_K  sum_i log p(x_i | rest),      p(x_i = s | rest) ~ exp(s sum_a K_a g_a(i)),

with g_a(i) the derivative of S_a with respect to x_i. It is concave, knows no Z, and its equations

    sum_i < g_a(i) (x_i - <s>_(K, i)) > = 0

are for spins, where <s> = tanh(sum_a K_a g_a), those of R. H. Swendsen (Phys. Rev. Lett. 52, 1165
(1984)) from H. B. Callen's identity (Phys. Lett. 4, 161 (1963)). At infinitely many draws they are
exact where the operators suffice.

Errors are those of the sandwich H^-1 V H^-1, with H the Hessian and V the covariance of the scores
over blocks of draws: right whether or not the basis suffices. Convention: the sign of couplings is
that of ``rg.operators``, K > 0 favours its operator.

Consequence: this audits a block map. After one majority step of the critical Ising model nearest
neighbours alone do not do: the fit says how many bodies, how far apart, and with what errors.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key
from numpy.typing import NDArray

from physdl.ensemble import Ensemble
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian
from physdl.lattices import Lattice
from physdl.pytree import is_traced, module, static
from physdl.rg._base import RGStatus
from physdl.rg._fixed_point import root
from physdl.rg._moments import as_modules
from physdl.rg.block_spin import BlockMap
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random
from physdl.spaces import SPIN, Finite, Space
from physdl.statistics import Mean

__all__ = ["Couplings", "blocked", "pseudolikelihood"]

BATCH = 16
LEAST_ROWS = 256
FLAT = 1e-9


@module
class Couplings:
    """Couplings K_a in a basis of operators.

    Attributes:
      value: K_a, [n].
      covariance: of their errors, [n, n].
      status: an ``RGStatus``; DEGENERATE where the configurations do not tell couplings apart.
      operators: the basis.
      space: what each site may be.
    """

    value: Float[Array, " n"]
    covariance: Float[Array, "n n"]
    status: Int[Array, ""]
    operators: OperatorBasis = static()
    space: Space = static(default=SPIN)

    @property
    def stderr(self) -> Float[Array, " n"]:
        """The standard error of each."""
        return jnp.sqrt(jnp.diagonal(self.covariance))

    def __getitem__(self, name: str) -> Mean:
        """The coupling of the operator of this name."""
        at = self.operators.names.index(self.operators.take([name])[0].name)
        return Mean(self.value[at], self.stderr[at])

    def hamiltonian(self, lattice: Lattice | tuple[int, ...]) -> Hamiltonian:
        """H = -sum_a K_a S_a on a periodic box."""
        return self.operators.hamiltonian(self.value, lattice, space=self.space)

    def __repr__(self) -> str:
        rows = [
            f"{o.name:28s}{o.body:3d} sites  range {o.diameter:.3f}  {k:+.6f} +/- {e:.6f}"
            for o, k, e in zip(
                self.operators, self.value.tolist(), self.stderr.tolist(), strict=True
            )
        ]
        return "\n".join(rows)


def blocked(
    ensemble: Ensemble,
    blocks: BlockMap | Sequence[BlockMap],
    n_steps: int = 1,
    *,
    key: Key[Array, ""],
) -> Float[Array, "n_chains n_draws *coarse"]:
    """The configurations of an ensemble after so many steps of a block map, or one map each.

    >>> from physdl import lattices, models, rg
    >>> ones = Ensemble(jnp.ones((2, 3, 8, 8)), h=models.ising(lattices.square(8, 8), 0.4))
    >>> blocked(ones, rg.Majority(2), 2, key=jax.random.key(0)).shape
    (2, 3, 2, 2)
    """
    maps = as_modules(blocks if isinstance(blocks, Sequence) else [blocks] * n_steps)
    flat = ensemble.states.reshape(-1, *ensemble.h.state_shape)
    out: Array = _blocked(flat, maps, random.split(key, len(flat)))
    return jnp.reshape(out, (ensemble.n_chains, ensemble.n_draws, *out.shape[1:]))


@jax.jit
def _blocked(x: Array, maps: tuple[BlockMap, ...], keys: Key[Array, " n"]) -> Array:
    def coarse(args: tuple[Array, Array]) -> Array:
        y, key = args
        for step, own in zip(maps, random.split(key, len(maps)), strict=True):
            y = step(y, key=own)
        return y

    out: Array = jax.lax.map(coarse, (x, keys), batch_size=min(BATCH, len(x)))
    return out


def pseudolikelihood(
    states: ArrayLike,
    operators: OperatorBasis,
    *,
    space: Space = SPIN,
    log_weights: ArrayLike | None = None,
    n_blocks: int | None = None,
) -> Couplings:
    """The couplings that make every site most likely given the others, by Newton's method.

    Args:
      states: configurations [n_chains, n_draws, *box] of a periodic box.
      operators: the operators whose couplings are not zero.
      space: what each site may be, a finite space of numbers; operators are products of different
        sites.
      log_weights: logarithms of the weights [n_chains, n_draws]; equal by default.
      n_blocks: the draws in order are cut into so many blocks, which are to be independent, for the
        errors; by default every configuration counts as independent.

    Raises:
      SpaceError: the space is not a finite set of numbers.
      ShapeError: an operator does not fit on the box, or weights have another shape.
      SettingError: there are fewer than two blocks, or the states are traced.

    >>> from physdl import lattices, rg
    >>> lattice = lattices.chain(4)
    >>> h = rg.operator_basis(lattice, 2, 1).hamiltonian([0.3], lattice)
    >>> every = jnp.array(np.indices((2, 2, 2, 2)).reshape(4, 16).T * 2.0 - 1)
    >>> fit = pseudolikelihood(
    ...     every[:, None],
    ...     rg.operator_basis(lattice, 2, 1),
    ...     log_weights=-jax.vmap(h)(every)[:, None],
    ... )
    >>> round(float(fit["nearest neighbour"].value), 6)
    0.3
    """
    if is_traced((states, log_weights)):
        raise SettingError("pseudolikelihood sorts its data and takes values: call it outside jit.")
    if not isinstance(space, Finite) or not space.scalar:
        raise SpaceError(f"pseudolikelihood takes a finite set of numbers, got {space!r}.")
    x = np.asarray(states)
    operators.check(x.shape[2:])
    if x.ndim < 3 or 0 in x.shape:
        raise ShapeError(f"states have the shape [n_chains, n_draws, *box], got {x.shape}.")
    log_w = np.zeros(x.shape[:2]) if log_weights is None else np.asarray(log_weights)
    if log_w.shape != x.shape[:2]:
        raise ShapeError(f"weights have the shape {x.shape[:2]} of the draws, got {log_w.shape}.")
    n = math.prod(x.shape[:2])
    n_parts = n if n_blocks is None else n_blocks
    if not 2 <= n_parts <= n:
        raise SettingError(f"errors need 2 to {n} blocks of {n} draws, got {n_parts}.")
    weight = np.exp(log_w - log_w.max()).reshape(-1)
    weight = weight / weight.sum()
    kind = jnp.int8 if space == SPIN else jnp.result_type(float)
    flat = jnp.asarray(x.reshape(n, *x.shape[2:])).astype(kind)
    rows, counts = _rows(_derivatives(flat, operators), x.reshape(n, -1), weight)
    points = jnp.asarray(space.array[:, 0], jnp.result_type(float))
    k, status = _solved(rows, counts, points)
    scores, hessian = _scores(flat, operators, k, points), _hessian(k, rows, counts, points)
    part = np.arange(n) * n_parts // n
    sums = np.zeros((n_parts, len(operators)))
    np.add.at(sums, part, weight[:, None] * np.asarray(scores))
    inverse = np.linalg.pinv(np.asarray(hessian))
    spread = sums.T @ sums * n_parts / (n_parts - 1)
    return Couplings(k, jnp.asarray(inverse @ spread @ inverse), status, operators, space)


def _site_derivatives(x: Float[Array, "*box"], operators: OperatorBasis) -> Array:
    """g_a(i) = dS_a / dx_i, [n_sites, n]: all monomials with i, without x_i."""
    axes = tuple(range(x.ndim))
    out = []
    for operator in operators:
        total = jnp.zeros_like(x)
        for sites in operator.offsets.array:
            for k, here in enumerate(sites):
                others = [
                    jnp.roll(x, tuple(int(v) for v in here - o), axes)
                    for j, o in enumerate(sites)
                    if j != k
                ]
                total = total + functools.reduce(jnp.multiply, others, jnp.ones_like(x))
        out.append(total.reshape(-1))
    return jnp.stack(out, axis=-1)


@functools.partial(jax.jit, static_argnames="operators")
def _derivatives(x: Array, operators: OperatorBasis) -> Array:
    look = functools.partial(_site_derivatives, operators=operators)
    out: Array = jax.lax.map(look, x, batch_size=min(BATCH, len(x)))
    return out


def _rows(
    g: Array, x: NDArray[Any], weight: NDArray[np.float64]
) -> tuple[Float[Array, "m n_and_1"], Float[Array, " m"]]:
    """The different (g, x) of all sites with their weights; padded, so that shapes repeat."""
    table = np.concatenate([np.asarray(g), x[..., None].astype(g.dtype)], axis=-1)
    table = np.ascontiguousarray(table.reshape(-1, table.shape[-1]))
    whole = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    counts = np.bincount(inverse.reshape(-1), np.repeat(weight, x.shape[1]), len(first))
    size = max(LEAST_ROWS, 2 ** math.ceil(math.log2(len(first))))
    rows = np.zeros((size, table.shape[1]))
    rows[: len(first)] = table[first]
    padded = np.zeros(size)
    padded[: len(first)] = counts
    return jnp.asarray(rows), jnp.asarray(padded)


def _score(g: Array, x: Array, k: Array, points: Array) -> Array:
    """g_a(i) (x_i - <s>), [n_sites, n]."""
    p = jax.nn.softmax((g @ k)[:, None] * points[None], axis=1)
    return g * (x - p @ points)[:, None]


@jax.jit
def _solved(rows: Array, counts: Array, points: Array) -> tuple[Array, Array]:
    g, x = rows[:, :-1], rows[:, -1]
    equations = lambda k: counts @ _score(g, x, k, points)
    k, (_, _, status) = root(equations, jnp.zeros(g.shape[1], rows.dtype))
    told = jnp.linalg.svd(jax.jacfwd(equations)(k), compute_uv=False)
    size = jnp.linalg.norm((g * counts[:, None]).T @ g)
    frozen = ~(jnp.min(told) > FLAT * size * jnp.max(points**2))
    status = jnp.where(frozen, RGStatus.DEGENERATE.value, status)
    return k, status.astype(jnp.int32)


@jax.jit
def _hessian(k: Array, rows: Array, counts: Array, points: Array) -> Array:
    g, x = rows[:, :-1], rows[:, -1]
    hessian: Array = jax.jacfwd(lambda v: counts @ _score(g, x, v, points))(k)
    return hessian


@functools.partial(jax.jit, static_argnames="operators")
def _scores(x: Array, operators: OperatorBasis, k: Array, points: Array) -> Array:
    """The score of every configuration, [n_draws, n]."""

    def score(y: Array) -> Array:
        g = _site_derivatives(y, operators).astype(k.dtype)
        return jnp.sum(_score(g, y.reshape(-1).astype(k.dtype), k, points), axis=0)

    out: Array = jax.lax.map(score, x, batch_size=min(BATCH, len(x)))
    return out
