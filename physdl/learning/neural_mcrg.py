r"""Block spins by a learned filter: the neural Monte Carlo renormalization group.

A block spin feels a weighted sum of the spins in a window around its block,

    P(x'_B | x) = exp(x'_B f_B) / (2 cosh f_B),        f_B = sum_o w_o x_(b B + o),

which is the hidden layer of a restricted Boltzmann machine with one filter in all places, of
visible distribution p(x) ~ prod_B 2 cosh f_B (J.-H. Chung and Y.-J. Kao, Phys. Rev. Research 3,
023230 (2021)). There is no bias, so that up and down are equal. Windows may overlap; equal weights
in a window of size b are a majority whose doubt is drawn, and the majority itself as they grow.

Two ways to learn w:

    learn_filter    likelihood of samples under p(x), by contrastive divergence, as in that paper:
                    what the blocks then say is what the machine needs to generate spins
    match_filter    the operators of the block spins of a lattice b times larger are to have the
                    means that they have in the model itself, <S_a(x')>_(bL) = <S_a(x)>_L: the
                    renormalized couplings start where the couplings are, near the fixed point, and
                    irrelevant ones have little to decay (block
                    spins are tuned for the same end, by other means, by D. Ron, A. Brandt and
                    R. H. Swendsen, arXiv:1703.02430)

Given x the spins of different blocks are independent, so the mean of an operator is the operator of
the means tanh f_B: no draw, and an objective that can be differentiated.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import ShapeError
from physdl.lattices import Lattice
from physdl.learning.training import Training, train
from physdl.pytree import IntArray, module, static
from physdl.rg import OperatorBasis
from physdl.rg._blocks import checked, lattice_of
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["SpinFilter", "learn_filter", "match_filter"]

RATE = 1e-2


@module
class SpinFilter:
    """A block map of spins: drawn from the field of a filter, usable where ``rg.Majority`` is.

    Attributes:
      weights: w, [w, ..., w], one axis for each of the box; the window is centred on the block.
      scale: b.

    Raises:
      SettingError: b is not a whole number above 1.
      ShapeError: when called, windows or blocks do not fit on the box.

    >>> x = jnp.ones((4, 4)).at[0].set(-1).at[1, 0].set(-1)
    >>> spins = SpinFilter(jnp.full((2, 2), 0.5))
    >>> [round(float(p), 3) for p in spins.probabilities(x)[0]]  # fields 0.5 (1 - 3)
    [0.881, 0.119]
    >>> SpinFilter(jnp.full((2, 2), 20.0))(x, key=jax.random.key(0))[:, 0].tolist()
    [-1.0, 1.0]
    """

    weights: Float[Array, "..."]
    scale: int = static(default=2)

    def __post_init__(self) -> None:
        checked(self.scale)

    def lattice(self, lattice: Lattice) -> Lattice:
        """The lattice of the blocks.

        Raises:
          LatticeError: the lattice has no such blocks.
        """
        return lattice_of(self.scale, lattice)

    def fields(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f_B, of the shape of the blocks."""
        b = self.scale
        if x.ndim != self.weights.ndim or any(n % b for n in x.shape):
            raise ShapeError(
                f"a filter of {self.weights.ndim} axes and scale {b} takes a box of as many "
                f"lengths that {b} divides, got {x.shape}."
            )
        seen = x.reshape(-1)[_windows(x.shape, self.weights.shape, b)]
        field: Array = seen.astype(self.weights.dtype) @ self.weights.reshape(-1)
        return field.reshape(tuple(n // b for n in x.shape))

    def probabilities(self, x: Float[Array, "..."]) -> Float[Array, "n_blocks 2"]:
        """P(-1) and P(+1) of every block, as ``theory.audit.block_kernel`` takes them."""
        f = self.fields(x).reshape(-1)
        return jax.nn.sigmoid(jnp.stack([-2 * f, 2 * f], axis=1))

    def free_energy(self, x: Float[Array, "..."]) -> Float[Array, ""]:
        """-log p(x) - log Z = -sum_B log 2 cosh f_B."""
        size = jnp.abs(self.fields(x))
        return -jnp.sum(size + jnp.log1p(jnp.exp(-2 * size)))

    def __call__(self, x: Array, *, key: Key[Array, ""]) -> Array:
        """The configuration of the blocks."""
        return _drawn(self.fields(x), key).astype(x.dtype)

    def symmetrised(self) -> "SpinFilter":
        """The filter averaged over reflections and exchanges of the axes.

        Raises:
          ShapeError: windows are not cubes, or cannot be centred on blocks.
        """
        w, dim = self.weights, self.weights.ndim
        if len(set(w.shape)) > 1 or any((n - self.scale) % 2 for n in w.shape):
            raise ShapeError(
                f"symmetric windows are equally wide along all axes, and wider than blocks of "
                f"{self.scale} by an even number, got {w.shape}."
            )
        turned = [jnp.transpose(w, axes) for axes in itertools.permutations(range(dim))]
        mean = jnp.mean(jnp.stack(turned), axis=0)
        for axis in range(dim):
            mean = (mean + jnp.flip(mean, axis)) / 2
        return SpinFilter(mean, self.scale)

    def generate(self, hidden: Float[Array, "..."], *, key: Key[Array, ""]) -> Float[Array, "..."]:
        """Spins given the block spins, from the same machine: the way back."""
        fine = jnp.zeros(tuple(self.scale * n for n in hidden.shape), self.weights.dtype)
        back = jax.linear_transpose(self.fields, fine)
        (field,) = back(hidden.astype(self.weights.dtype))
        return _drawn(field, key).astype(hidden.dtype)


@module
class Contrast:
    """<F>_samples - <F>_chains a spin, chains started at samples: (spins, key) -> number."""

    samples: Float[Array, "n ..."]
    n_sweeps: int = static()
    batch_size: int = static()
    symmetric: bool = static()

    def __call__(self, spins: SpinFilter, key: Key[Array, ""]) -> Float[Array, ""]:
        spins = spins.symmetrised() if self.symmetric else spins
        choice_key, chain_key = random.split(key)
        chosen = jax.random.randint(choice_key, (self.batch_size,), 0, len(self.samples))
        x = self.samples[chosen]
        held = jax.lax.stop_gradient(spins)

        def chain(x: Array, key: Array) -> Array:
            for own in random.split(key, self.n_sweeps):
                down_key, up_key = random.split(own)
                x = held.generate(held(x, key=down_key), key=up_key)
            return x

        moved = jax.vmap(chain)(x, random.split(chain_key, self.batch_size))
        energy = jax.vmap(spins.free_energy)
        return jnp.mean(energy(x) - energy(moved)) / x[0].size


@module
class Mismatch:
    """sum_a (<S_a(x')> - <S_a>)^2, S per cell, without bias: (spins, key) -> number.

    The square of a mean is the product of the means of two halves of a batch.
    """

    samples: Float[Array, "n ..."]
    target: Float[Array, " n_operators"]
    operators: OperatorBasis
    batch_size: int = static()
    symmetric: bool = static()

    def __call__(self, spins: SpinFilter, key: Key[Array, ""]) -> Float[Array, ""]:
        spins = spins.symmetrised() if self.symmetric else spins
        chosen = jax.random.randint(key, (2 * self.batch_size,), 0, len(self.samples))

        def means(x: Array) -> Array:
            m = jnp.tanh(spins.fields(x))
            return self.operators(m) / m.size

        off = jax.vmap(means)(self.samples[chosen]) - self.target[None]
        first, second = off[: self.batch_size], off[self.batch_size :]
        return jnp.sum(jnp.mean(first, axis=0) * jnp.mean(second, axis=0))


@cites("chung2021")
def learn_filter(
    samples: ArrayLike,
    start: SpinFilter,
    *,
    optimizer: optax.GradientTransformation | None = None,
    n_steps: int = 2000,
    batch_size: int = 32,
    n_sweeps: int = 3,
    symmetric: bool = True,
    key: Key[Array, ""],
) -> Training[SpinFilter]:
    """Fit the machine of a filter to samples, by contrastive divergence.

    The losses are differences of free energies, whose rise or fall means nothing.

    Args:
      samples: configurations of spins, [n, *box].
      start: a filter, as equal weights on the block and little on the rest of the window.
      optimizer: of optax; Adam with a rate that falls from 0.01 to zero by default.
      n_steps, batch_size: updates, and samples of each.
      n_sweeps: of the chains, both layers a sweep.
      symmetric: whether weights are averaged over reflections and exchanges of the axes.
      key: of everything.

    Raises:
      SettingError: a number is out of range.
      ShapeError: samples, windows and blocks do not fit, or windows cannot be symmetric.

    >>> x = jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (50, 1)), 1.0, -1.0)
    >>> x = jnp.broadcast_to(x, (50, 8))  # all up or all down
    >>> found = learn_filter(x, SpinFilter(jnp.full(2, 0.1)), n_steps=200, key=jax.random.key(1))
    >>> bool(jnp.all(found.result.weights > 0.5))
    True
    """
    x = _checked(samples, start)
    positive(n_sweeps, "n_sweeps")
    objective = Contrast(x, n_sweeps, positive(batch_size, "batch_size"), symmetric)
    return _trained(objective, start, optimizer, n_steps, key)


def match_filter(
    large: ArrayLike,
    small: ArrayLike,
    start: SpinFilter,
    operators: OperatorBasis,
    *,
    optimizer: optax.GradientTransformation | None = None,
    n_steps: int = 1000,
    batch_size: int = 64,
    symmetric: bool = True,
    key: Key[Array, ""],
) -> Training[SpinFilter]:
    """Tune a filter until block spins look like spins.

    Args:
      large: configurations of the model on a lattice b times larger than that of ``small``.
      small: configurations of the same model.
      start: a filter.
      operators: the S_a whose means are matched.
      optimizer: of optax; Adam with a rate that falls from 0.01 to zero by default.
      n_steps, batch_size: updates, and half the samples of each.
      symmetric: whether weights are averaged over reflections and exchanges of the axes.
      key: of the batches.

    Raises:
      SettingError: a number is out of range.
      ShapeError: samples, windows, blocks and operators do not fit, or windows cannot be symmetric.

    >>> from physdl import lattices, models, rg, sampling
    >>> def critical(length):
    ...     h = models.ising(lattices.square(length, length), 0.4407)
    ...     return sampling.exact_sample(h, n=200, key=jax.random.key(length)).states[:, 0]
    >>> basis = rg.operator_basis(lattices.square(4, 4), 2, 1.0)
    >>> start = SpinFilter(jnp.full((2, 2), 0.3))
    >>> found = match_filter(
    ...     critical(8), critical(4), start, basis, n_steps=100, key=jax.random.key(1)
    ... )
    >>> bool(found.losses[-1] < found.losses[0])
    True
    """
    x, y = _checked(large, start), jnp.asarray(small, float)
    coarse = jax.eval_shape(start.fields, x[0]).shape
    if y.ndim != x.ndim or y.shape[1:] != coarse or not len(y):
        raise ShapeError(
            f"blocks of samples of shape {x.shape[1:]} have the shape {coarse}, so the small "
            f"samples have the shape [n, *{coarse}], got {y.shape}."
        )
    operators.check(coarse)
    target = jnp.mean(jax.vmap(operators)(y), axis=0) / y[0].size
    objective = Mismatch(x, target, operators, positive(batch_size, "batch_size"), symmetric)
    return _trained(objective, start, optimizer, n_steps, key)


def _trained(
    objective: Contrast | Mismatch,
    start: SpinFilter,
    optimizer: optax.GradientTransformation | None,
    n_steps: int,
    key: Key[Array, ""],
) -> Training[SpinFilter]:
    rule = optimizer or _standard(positive(n_steps, "n_steps"))
    done = train(objective, start, optimizer=rule, n_steps=n_steps, key=key)
    if not objective.symmetric:
        return done
    return dataclasses.replace(done, result=done.result.symmetrised())


@functools.cache
def _windows(box: tuple[int, ...], window: tuple[int, ...], b: int) -> IntArray:
    """The sites in the window of every block, [n_blocks, n_window]; as in ``rg.LinearFilter``."""
    along = []
    for n, w in zip(box, window, strict=True):
        first = -((w - b + 1) // 2)
        along.append((b * np.arange(n // b)[:, None] + first + np.arange(w)[None]) % n)
    index = np.zeros((1, 1), np.int32)
    for n, sites in zip(box, along, strict=True):
        joined = index[:, None, :, None] * n + sites[None, :, None, :]
        index = joined.reshape(len(index) * len(sites), -1).astype(np.int32)
    return index


def _drawn(fields: Float[Array, "..."], key: Key[Array, ""]) -> Float[Array, "..."]:
    up = random.uniform(key, fields.shape, fields.dtype) < jax.nn.sigmoid(2 * fields)
    return jnp.where(up, 1, -1).astype(fields.dtype)


def _checked(samples: ArrayLike, start: SpinFilter) -> Float[Array, "n ..."]:
    x = jnp.asarray(samples, float)
    if x.ndim != start.weights.ndim + 1 or not len(x):
        raise ShapeError(
            f"a filter of {start.weights.ndim} axes is learned from samples [n, *box] with as many "
            f"axes of the box, got shape {x.shape}."
        )
    jax.eval_shape(start.fields, x[0])
    return x


@functools.cache
def _standard(n_steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(RATE, n_steps))
