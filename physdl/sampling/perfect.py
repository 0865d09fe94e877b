r"""Perfect sampling: independent configurations from exp(-H) / Z itself, without equilibration.

``exact_sample`` eliminates the sites one after another and draws them in reverse order. It serves
any model on finite spaces, hard constraints and disorder included, wherever the elimination
is narrow: chains, strips, trees, sparse graphs. log Z comes with it, exactly.

    log_weight(x_v | rest) = J_v(x_v, rest) - log sum_{x_v} exp(J_v(x_v, rest))

All tables are logarithms, so no temperature is too low.

``coupling_from_the_past`` runs heat baths from the highest and the lowest configuration at once,
with the same random numbers, from ever earlier times up to time 0, reusing what was drawn for each
time. In an attractive model they bound all other chains; where they meet, a chain from the infinite
past would be there too, so its state at time 0 is an exact draw (J. G. Propp and D. B. Wilson,
Random Struct. Alg. 9, 223 (1996)). It serves ferromagnets of any width, in any fields, and what can
be turned into one: bipartite antiferromagnets, Mattis disorder, hard squares. Time grows with the
relaxation time: below the critical temperature of a large ferromagnet without field, beyond bounds.
"""

import functools
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from numpy.typing import NDArray

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError, StructureError, TooLargeError
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import is_traced
from physdl.sampling import _random as random
from physdl.sampling._elimination import (
    Elimination,
    Scope,
    best_elimination,
    flat_index,
    joint_tables,
)
from physdl.sampling._kernel import Info
from physdl.sampling._local import Local, sweep
from physdl.sampling._monotone import highest_labels

__all__ = ["coupling_from_the_past", "exact_sample"]

MOST_BYTES = 1e18
BLOCK_SITES = 4096


def exact_sample(
    h: Hamiltonian, *, key: Key[Array, ""], n: int, max_memory: int = 4 * 2**30
) -> Ensemble:
    """n independent configurations from the exact distribution, and the exact log Z.

    A Hamiltonian with known coefficients is treated by numpy at once (10^3 sites a second); under
    ``jit``, ``vmap`` or ``grad`` the same steps are traced, site by site, which takes long to
    compile beyond some hundred sites. Memory is q^(w + 1) numbers for each site, where w is the
    width of the elimination: the width of a strip, twice that with periodic sides.

    Args:
      h: any Hamiltonian on finite spaces.
      key: of the draws.
      n: how many draws.
      max_memory: bytes the tables of the elimination may take.

    Returns:
      An ensemble of n chains of one draw each, of equal weights, with log Z. Traced coefficients
      that forbid everything or are NaN show in its log Z.

    Raises:
      SettingError: ``n`` or ``max_memory`` is not positive.
      SpaceError: the space is not finite.
      StructureError: every configuration is forbidden, or an energy is NaN or ``-inf``.
      TooLargeError: the elimination takes more memory in every order that was tried.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(6, 50, periodic=False), 0.44)
    >>> draws = exact_sample(h, key=jax.random.key(0), n=100)
    >>> draws.states.shape, round(float(draws.log_z), 6)
    ((100, 1, 6, 50), 269.238655)
    """
    _require_draws(n)
    if not max_memory > 0:
        raise SettingError(f"max_memory is a positive number of bytes, got {max_memory}.")
    scopes, tables, constant = _log_tables(h)
    sizes = state_counts(require_finite(h.space, "exact sampling"), h.n_sites)
    plan = best_elimination(scopes, tuple(sizes.tolist()), h.shape)
    needed = (plan.entries + 4 * plan.largest) * h.dtype.itemsize
    if not needed <= min(max_memory, MOST_BYTES):
        raise TooLargeError(
            f"an elimination of width {plan.width}, the narrowest found, takes {needed:.1e} bytes "
            f"of tables, above max_memory={max_memory}: raise it, take a narrower system, or use a "
            f"Markov chain."
        )
    xp = jnp if is_traced(tables) else np
    with np.errstate(divide="ignore"):
        joints, log_z = joint_tables(plan, scopes, tables, xp)
    log_z = log_z + constant
    if xp is np and not np.isfinite(log_z):
        reason = "every configuration is forbidden" if np.isneginf(log_z) else "an energy is NaN"
        raise StructureError(f"there is nothing to draw: {reason} (log Z = {log_z}).")
    draw = _traced_labels if is_traced([log_z, key]) else _labels
    return Ensemble(_states(h, draw(plan, joints, sizes, n, key)), log_z=log_z, h=h)


def _require_draws(n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise SettingError(f"the number of draws is a positive integer, got {n!r}.")


def _log_tables(h: Hamiltonian) -> tuple[tuple[Scope, ...], list[Any], Any]:
    """Log weights over groups of sites, at least one for each site, and the constant."""
    space = require_finite(h.space, "exact sampling")
    traced = is_traced(h)
    with nullcontext() if traced else jax.ensure_compile_time_eval():
        potentials = h.potentials()
    xp = jnp if traced else np
    scopes: list[Scope] = []
    tables: list[Any] = []
    constant = xp.zeros((), h.dtype)
    for potential in potentials:
        weights = -xp.asarray(potential.table)
        if potential.sites.array.shape[1] == 0:
            constant = constant + xp.sum(weights)
        else:
            scopes += [tuple(s) for s in potential.sites.array.tolist()]
            tables += list(weights)
    bare = sorted(set(range(h.n_sites)).difference(*scopes))
    sizes = state_counts(space, h.n_sites)
    scopes += [(i,) for i in bare]
    tables += [xp.zeros(sizes[i], h.dtype) for i in bare]
    return tuple(scopes), tables, constant


def _labels(
    plan: Elimination, joints: list[Any], sizes: NDArray[Any], n: int, key: Key[Array, ""]
) -> NDArray[np.int32]:
    """Labels [n_sites, n], drawn by numpy from uniform numbers of the key."""
    n_sites = len(plan.steps)
    uniform = np.asarray(jax.random.uniform(key, (n_sites, n), joints[0].dtype))
    labels = np.zeros((n_sites, n), dtype=np.int32)
    for step, joint, u in zip(reversed(plan.steps), reversed(joints), uniform, strict=True):
        table = joint.reshape(len(joint), -1)
        log_p = table[:, flat_index(step, sizes, labels)].reshape(len(joint), -1)
        below = np.cumsum(np.exp(log_p - log_p.max(axis=0)), axis=0)
        labels[step.site] = np.sum(below[:-1] <= u * below[-1], axis=0)
    return labels


def _traced_labels(
    plan: Elimination, joints: list[Any], sizes: NDArray[Any], n: int, key: Key[Array, ""]
) -> Array:
    """The same by jax."""
    labels: list[Any] = [jnp.zeros(n, jnp.int32)] * len(plan.steps)
    keys = random.split(key, len(plan.steps))
    for step, joint, own in zip(reversed(plan.steps), reversed(joints), keys, strict=True):
        table = jnp.asarray(joint).reshape(joint.shape[0], -1)
        index = jnp.broadcast_to(jnp.asarray(flat_index(step, sizes, labels)), (n,))
        labels[step.site] = random.categorical(own, table[:, index].T).astype(jnp.int32)
    return jnp.stack(labels)


def _states(h: Hamiltonian, labels: Any) -> Float[Array, "n 1 *state"]:
    points = require_finite(h.space, "exact sampling").padded(h.n_sites)
    xp = jnp if is_traced(labels) else np
    own = xp.asarray(points, h.dtype)[xp.arange(h.n_sites)[:, None], labels]  # [n_sites, n, c]
    return jnp.asarray(xp.moveaxis(own, 1, 0).reshape(labels.shape[1], 1, *h.state_shape))


@cites("propp1996")
def coupling_from_the_past(
    h: Hamiltonian, *, key: Key[Array, ""], n: int, max_doublings: int = 16
) -> tuple[Ensemble, Info]:
    """n independent exact configurations of an attractive two-state model.

    A model is attractive if the sites of some set can be turned over so that all pairs attract;
    fields are free.

    Args:
      h: a Hamiltonian on two-state sites with known coefficients.
      key: of the draws; it may be traced.
      n: how many draws.
      max_doublings: runs start at most 2^max_doublings sweeps before time 0.

    Returns:
      An ensemble of n chains of one draw each, log Z unknown, and for each draw whether it
      ``"coalesced"`` and how many ``"sweeps"`` before time 0 its last run began. Where the key is
      traced, draws that did not coalesce are NaN; else they are an error.

    Raises:
      SettingError: ``n`` is not positive, or ``max_doublings`` not between 0 and 30.
      SpaceError: a site has not two states.
      StructureError: the interactions are frustrated or not known, or the highest or the lowest
        configuration is forbidden.
      TooLargeError: a draw did not coalesce.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(8, 8), 0.3)
    >>> draws, info = coupling_from_the_past(h, key=jax.random.key(0), n=5)
    >>> draws.states.shape, bool(jnp.all(info["coalesced"]))
    ((5, 1, 8, 8), True)
    """
    _require_draws(n)
    if isinstance(max_doublings, bool) or not 0 <= max_doublings <= 30:
        raise SettingError(f"max_doublings is 0 to 30, got {max_doublings!r}.")
    top = highest_labels(h)
    with jax.ensure_compile_time_eval():
        ends = _states(h, np.stack([top, 1 - top], axis=1))[:, 0]
        energies = np.asarray(jax.vmap(h)(ends))
    for name, energy in zip(("highest", "lowest"), energies, strict=True):
        if not np.isfinite(energy):
            raise StructureError(
                f"coupling from the past starts from the {name} configuration, whose energy is "
                f"{energy}: use exact_sample or a Markov chain."
            )
    x, met, sweeps = _coalesced(h, ends, random.split(key, n), max_doublings)
    if not is_traced(met) and not np.all(met):
        raise TooLargeError(
            f"{int(np.sum(~np.asarray(met)))} of {n} draws did not coalesce in "
            f"2^{max_doublings} sweeps: raise max_doublings, or use exact_sample, a cluster "
            f"algorithm or tempering where relaxation is slow."
        )
    return Ensemble(x[:, None], h=h), {"coalesced": met, "sweeps": sweeps}


@functools.partial(jax.jit, static_argnums=3)
def _coalesced(
    h: Hamiltonian, ends: Float[Array, "2 ..."], keys: Key[Array, " n"], max_doublings: int
) -> tuple[Array, Array, Array]:
    """States at time 0, NaN where they are not known; whether they are; and the time it took.

    Draws run in blocks, each as long as its slowest, and the ends in cache.
    """
    n = keys.shape[0]
    block = min(n, -(-BLOCK_SITES // h.n_sites))
    padded = keys[np.arange(-(-n // block) * block) % n].reshape(-1, block)
    out = jax.lax.map(lambda own: _coalesced_block(h, ends, own, max_doublings), padded)
    x, met, sweeps = (v.reshape(-1, *v.shape[2:])[:n] for v in out)
    return jnp.where(met.reshape(n, *(1,) * (x.ndim - 1)), x, jnp.nan), met, sweeps


def _coalesced_block(
    h: Hamiltonian, ends: Float[Array, "2 ..."], keys: Key[Array, " n"], max_doublings: int
) -> tuple[Array, Array, Array]:
    n = keys.shape[0]

    def swept(x: Float[Array, "2 ..."], key: Key[Array, ""]) -> Array:
        """Both ends moved with the same random numbers."""
        moved: Array = jax.vmap(lambda end: sweep(h, end, _heat_bath, key=key)[0])(x)
        return moved

    def run(start: Array) -> Array:
        def step(s: Array, x: Array) -> Array:
            own = jax.vmap(random.folded, in_axes=(0, None))(keys, start - s)
            moved: Array = jax.vmap(swept)(x, own)
            return moved

        x = jnp.broadcast_to(ends, (n, *ends.shape))
        out: Array = jax.lax.fori_loop(0, start, step, x)
        return out

    def longer(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        doublings, _, _, sweeps = carry
        start = jnp.left_shift(jnp.int32(1), doublings)
        x = run(start)
        met = jnp.all((x[:, 0] == x[:, 1]).reshape(n, -1), axis=1)
        return doublings + 1, x[:, 0], met, jnp.where(met & (sweeps == 0), start, sweeps)

    def unfinished(carry: tuple[Any, ...]) -> Array:
        wanted: Array = (carry[0] <= max_doublings) & ~jnp.all(carry[2])
        return wanted

    x = jnp.broadcast_to(ends[0], (n, *ends.shape[1:]))
    begin: tuple[Any, ...] = (jnp.int32(0), x, jnp.zeros(n, bool), jnp.zeros(n, jnp.int32))
    out: tuple[Any, ...] = jax.lax.while_loop(unfinished, longer, begin)
    return out[1], out[2], out[3]


def _heat_bath(local: Local, old: Float[Array, "m c"], key: Key[Array, ""]) -> Float[Array, "m c"]:
    """The second of two states where a uniform number lies below its probability: monotone."""
    up = random.bernoulli(key, jax.nn.sigmoid(-local.gap()))
    return local.state(up.astype(jnp.int32))
