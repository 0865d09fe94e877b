r"""Moves that look at the gradient first: all single-site changes weighed by one backward pass.

H is a polynomial, so its derivative with respect to the state estimates at once what every change
of one site would cost, to first order:

    d(i, s) = g_i . (s - x_i),      g = dH/dx,

for all sites i and all states s of their spaces. The estimate is exact where H is linear in each
site (pair interactions, products of different sites, on any space); elsewhere (x^2 in Blume-Capel)
it is a guide. Tables (``Potential``) have no derivative and give their exact differences, in
which a forbidden change costs +inf and is never proposed.

- ``GibbsWithGradients`` proposes one change (i, s) with probability proportional to
  exp(-d(i, s) / 2): it goes where change is likely and wastes nothing on frozen sites.
  W. Grathwohl, K. Swersky, M. Hashemi, D. Duvenaud and C. J. Maddison, ICML 2021, eqs. 3-5 and
  algorithm 1. With exact differences it is the locally balanced proposal of G. Zanella, J. Am.
  Stat. Assoc. 115, 852 (2020).
- ``DiscreteLangevin`` moves all sites at once, independently, with probabilities proportional to
  exp(-d(i, s) / 2 - |s - x_i|^2 / (2 alpha)). R. Zhang, X. Liu and Q. Liu, ICML 2022, eqs. 3-4.

Both are corrected by Metropolis and Hastings with the proposal of the way back, so both satisfy
detailed balance whatever the quality of the estimate. Consequence: they pay where a sweep of heat
baths is expensive and few sites want to move (dense models, learned energies); on a lattice with
short interactions an update of one site costs a gradient of all.
"""

import math
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key
from numpy.typing import NDArray

from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.hamiltonian.factors import require_finite
from physdl.numerics import logsumexp
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info
from physdl.spaces import labels

__all__ = ["DiscreteLangevin", "GibbsWithGradients"]

T = TypeVar("T")
Landscape: TypeAlias = Callable[[Int[Array, " n"]], tuple[Float[Array, ""], Float[Array, "n q"]]]


@module
class GibbsWithGradients:
    """One site at a time, chosen with its new state by the gradient of H.

    The change (i, s) is proposed with probability proportional to exp(-d(i, s) / 2), over all sites
    and all their other states, and accepted with probability min(1, exp(H(x) - H(y)) q(x | y) /
    q(y | x)). Half of the calls leave out the last proposal: where all are accepted, at infinite
    temperature, a fixed number of flips would conserve the parity of the configuration.

    Attributes:
      n_flips: proposals in one call; ``None`` for as many as there are sites.
      exact: weigh by exact changes of the energy and not by their first order.

    Raises:
      SettingError: ``n_flips`` is not a positive integer.
      SpaceError: the space is not finite.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> x, info = GibbsWithGradients()(h, jnp.ones((4, 4)), key=jax.random.key(0))
    >>> x.shape, bool(0 < info["acceptance"] <= 1)
    ((4, 4), True)
    """

    n_flips: int | None = static(default=None)
    exact: bool = static(default=False)

    def __post_init__(self) -> None:
        if self.n_flips is not None:
            object.__setattr__(self, "n_flips", _count(self.n_flips, "n_flips"))

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """``n_flips`` proposals; the mean probability that one was accepted."""
        label, landscape = _landscape(h, state, exact=self.exact)
        n_flips = h.n_sites if self.n_flips is None else self.n_flips
        key, own = random.split(key)
        skipped = random.bernoulli(own, jnp.full((), 0.5, h.dtype))
        wanted = (jnp.arange(n_flips) < n_flips - 1) | ~skipped
        place = _Place(label, *landscape(label))

        def flip(
            here: tuple[_Place, _Rows], inputs: tuple[Array, Array]
        ) -> tuple[tuple[_Place, _Rows], Array]:
            (place, rows), (key, wanted) = here, inputs
            propose, accept = random.split(key)
            site, new = rows.drawn(place.change.shape, key=propose)
            moved = place.label.at[site].set(new)
            there = _Place(moved, *landscape(moved))
            beyond = _single_changes(there)
            gain = place.change[site, new] - there.change[site, place.label[site]]
            p = _acceptance(place, there, 0.5 * gain + rows.log_sum - beyond.log_sum)
            accepted = random.bernoulli(accept, p) & wanted
            return _chosen(accepted, (there, beyond), (place, rows)), p

        start = place, _single_changes(place)
        (place, _), p = jax.lax.scan(flip, start, (random.split(key, n_flips), wanted))
        return _state(h, place.label), {"acceptance": jnp.mean(p)}


@module
class DiscreteLangevin:
    r"""All sites at once, each drawn near its state and down the gradient of H.

    Site i takes the state s with probability proportional to

        exp(-d(i, s) / 2 - |s - x_i|^2 / (2 alpha_i)),

    all sites independently, and the whole move is accepted or not. A smaller step alpha moves fewer
    sites and is accepted more often; acceptance near one half is a good choice. A step for each
    site is the diagonal preconditioner of the paper.

    Attributes:
      step_size: alpha > 0, in squared units of the states; a number or one per site, ``h.shape``.
      n_steps: moves in one call.
      exact: weigh by exact changes of the energy and not by their first order.

    Raises:
      SettingError: a step is not positive and finite, or ``n_steps`` not a positive integer.
      ShapeError: the steps have another shape than the sites.
      SpaceError: the space is not finite.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.2)
    >>> x, info = DiscreteLangevin(1.0)(h, jnp.ones((4, 4)), key=jax.random.key(0))
    >>> x.shape, bool(0 < info["acceptance"] <= 1)
    ((4, 4), True)
    """

    step_size: Float[Array, "..."]
    n_steps: int = static(default=1)
    exact: bool = static(default=False)

    def __init__(self, step_size: ArrayLike, n_steps: int = 1, exact: bool = False):
        alpha = jnp.asarray(step_size, float)
        if not is_traced(alpha) and not bool(jnp.all((alpha > 0) & jnp.isfinite(alpha))):
            raise SettingError(f"a step size is positive and finite, got {step_size}.")
        object.__setattr__(self, "step_size", alpha)
        object.__setattr__(self, "n_steps", _count(n_steps, "n_steps"))
        object.__setattr__(self, "exact", exact)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """``n_steps`` moves; their mean acceptance and the mean share of sites that changed."""
        label, landscape = _landscape(h, state, exact=self.exact)
        reluctance = self._reluctance(h)
        sites = jnp.arange(h.n_sites, dtype=jnp.int32)
        place = _Place(label, *landscape(label))

        def log_proposal(place: _Place) -> Float[Array, "n q"]:
            return jax.nn.log_softmax(-0.5 * place.change - reluctance[sites, place.label], axis=1)

        def step(place: _Place, key: Array) -> tuple[_Place, tuple[Array, Array]]:
            propose, accept = random.split(key)
            log_q = log_proposal(place)
            moved = random.categorical(propose, log_q).astype(jnp.int32)
            there = _Place(moved, *landscape(moved))
            forth = jnp.sum(log_q[sites, moved])
            back = jnp.sum(log_proposal(there)[sites, place.label])
            p = _acceptance(place, there, back - forth)
            after = _chosen(random.bernoulli(accept, p), there, place)
            moves = jnp.mean(after.label != place.label, dtype=h.dtype)
            return after, (p, moves)

        place, (p, moves) = jax.lax.scan(step, place, random.split(key, self.n_steps))
        return _state(h, place.label), {"acceptance": jnp.mean(p), "moved": jnp.mean(moves)}

    def _reluctance(self, h: Hamiltonian) -> Float[Array, "n q q"]:
        """|s - s'|^2 / (2 alpha_i) between any two states of a site."""
        if self.step_size.shape not in ((), h.shape):
            raise ShapeError(
                f"a step size is one number or one per site, shape {h.shape}, got shape "
                f"{self.step_size.shape}."
            )
        points, _ = _points(h)
        square = np.sum((points[:, :, None] - points[:, None]) ** 2, axis=-1)
        alpha = jnp.broadcast_to(self.step_size, h.shape).astype(h.dtype)
        return jnp.asarray(square, h.dtype) / (2 * alpha.reshape(-1, 1, 1))


@module
class _Place:
    """A configuration by the labels of its states, its energy, and the cost of every change."""

    label: Int[Array, " n"]
    energy: Float[Array, ""]
    change: Float[Array, "n q"]


@module
class _Rows:
    """Log weights in rows, so that one is drawn by first its row and then its place in it.

    Two draws among sqrt(n) take a fraction of the time of one among n.
    """

    log_w: Float[Array, "r k"]
    sums: Float[Array, " r"]

    @property
    def log_sum(self) -> Float[Array, ""]:
        """The logarithm of the sum of all weights."""
        return logsumexp(self.sums)

    def drawn(self, shape: tuple[int, ...], *, key: Key[Array, ""]) -> tuple[Array, Array]:
        """The position of one weight in an array [n, q]."""
        row_key, own = random.split(key)
        row = random.categorical(row_key, self.sums)
        log_w = jnp.where(jnp.isneginf(self.sums[row]), 0.0, self.log_w[row])
        column = random.categorical(own, log_w)
        position = (row * self.log_w.shape[1] + column).astype(jnp.int32)
        site, state = jnp.divmod(jnp.minimum(position, np.int32(np.prod(shape) - 1)), shape[1])
        return site, state


def _single_changes(place: _Place) -> _Rows:
    """Minus half the cost of every change of one site."""
    n, q = place.change.shape
    states = jnp.arange(q, dtype=jnp.int32)
    same = place.label[:, None] == states[None, :]
    log_w = jnp.where(same, -jnp.inf, -0.5 * place.change)
    width = math.isqrt(max(n * q - 1, 0)) + 1
    n_rows = -(-n * q // width)
    padded = jnp.pad(log_w.reshape(-1), (0, n_rows * width - n * q), constant_values=-jnp.inf)
    table = padded.reshape(n_rows, width)
    return _Rows(table, logsumexp(table, axis=1))


def _chosen(accepted: Array, there: T, here: T) -> T:
    tree: T = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), there, here)
    return tree


def _acceptance(here: _Place, there: _Place, log_odds: Array) -> Float[Array, ""]:
    """min(1, exp(H(x) - H(y)) q(x | y) / q(y | x)); a forbidden state is always left."""
    log_p = jnp.where(jnp.isposinf(here.energy), 0.0, here.energy - there.energy + log_odds)
    return jnp.exp(jnp.where(jnp.isnan(log_p), -jnp.inf, jnp.minimum(log_p, 0.0)))


def _points(h: Hamiltonian) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points of every site [n, q, c], zero where missing, and which are missing [n, q]."""
    padded = require_finite(h.space, "a move along the gradient").padded(h.n_sites)
    return np.where(np.isinf(padded), 0.0, padded), np.isinf(padded[..., 0])


def _landscape(
    h: Hamiltonian, state: Float[Array, "*state"], *, exact: bool
) -> tuple[Int[Array, " n"], Landscape]:
    """The labels of a configuration, and the function from labels to energy and costs of change."""
    table, missing = _points(h)
    points = jnp.asarray(table, h.dtype)
    if state.shape != h.state_shape:
        raise ShapeError(
            f"the kernel moves one configuration of shape {h.state_shape}, got {state.shape}: for "
            f"many use jax.vmap."
        )
    space, sites, c = h.space, jnp.arange(h.n_sites, dtype=jnp.int32), points.shape[2]
    listed = [t for t in h.terms.values() if exact or isinstance(t, Potential)]
    smooth = [t for t in h.terms.values() if not (exact or isinstance(t, Potential))]

    def polynomial(x: Float[Array, "n_sites c"]) -> Float[Array, ""]:
        box = x.reshape(*h.shape, c)
        return sum((t.energy(box, space) for t in smooth), start=jnp.zeros((), h.dtype))

    def landscape(label: Int[Array, " n"]) -> tuple[Array, Array]:
        x = points[sites, label]
        energy, slope = jax.value_and_grad(polynomial)(x)
        change = jnp.sum(slope[:, None] * (points - x[:, None]), axis=-1)
        box = x.reshape(*h.shape, c)
        for term in listed:
            energy = energy + term.energy(box, space)
            change = change + _relative(term.conditional(box, sites, points), label)
        return energy, jnp.where(jnp.asarray(missing), jnp.inf, change)

    label = labels(require_finite(space, "a move along the gradient"), state.reshape(-1, c))
    return label.astype(jnp.int32), landscape


def _relative(energies: Float[Array, "n q"], label: Int[Array, " n"]) -> Float[Array, "n q"]:
    """Energies relative to that of the own state; what is forbidden stays so from anywhere."""
    own = jnp.take_along_axis(energies, label[:, None], axis=1)
    change = energies - jnp.where(jnp.isposinf(own), 0.0, own)
    return jnp.where(jnp.isposinf(energies), jnp.inf, change)


def _state(h: Hamiltonian, label: Int[Array, " n"]) -> Float[Array, "*state"]:
    points, _ = _points(h)
    return jnp.asarray(points, h.dtype)[jnp.arange(h.n_sites), label].reshape(h.state_shape)


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise SettingError(f"{name} is a positive integer, got {value!r}.")
    return int(value)
