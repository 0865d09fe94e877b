r"""Runs of parallel tempering on a path, with what free energies need of them: the slopes.

At every rung b_k of a ladder 0 = b_0 < ... < b_{K-1} = 1 the run records the configuration and its
slope D(x) = h(x) - h0(x), so that the energy of any rung at any sample is h0(x) + b D(x).

The lowest rung is the reference itself. Where that can be drawn from, each of its configurations is
a new one, independent of all before, also one that h forbids (D = +inf): the share of those that h
allows is part of log Z. A configuration that h forbids is never passed on to a higher rung. A
reference that was given is moved by the kernel.

Samples are recorded after the sweeps and before the exchanges.
"""

import dataclasses
import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError
from physdl.estimators._sampled import at_least
from physdl.estimators._schedule import scheduled
from physdl.estimators._start import Start
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info
from physdl.sampling._path import places_of
from physdl.sampling.tempering import ParallelTempering, Replicas

__all__ = ["check_settings", "ladder_run", "rungs"]

FEWEST = 16  # draws of a chain that tell whether chains agree

Round: TypeAlias = tuple[Replicas, Array]


@module
class _Still:
    """The kernel that leaves a configuration as it is: tempering with it only exchanges."""

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        del h, key
        return state, {}


@functools.partial(jax.jit, static_argnames=("n_chains", "n_sweeps", "thin", "n_warmup"))
def ladder_run(
    start: Start,
    betas: Float[Array, " K"],
    n_chains: int,
    n_sweeps: int,
    thin: int,
    n_warmup: int,
    key: Key[Array, ""],
) -> tuple[Float[Array, "K n_chains n_draws"], Float[Array, "K n_chains n_draws *state"]]:
    """The slopes D and the configurations of every rung, in independent chains.

    Args:
      start: the path, its kernel and its beginning.
      betas: places on the path, increasing from 0 to 1.
      n_chains: independent runs of the whole ladder.
      n_sweeps: sweeps of every replica after the warm-up, each followed by exchanges.
      thin: every so many sweeps are recorded; ``n_draws = n_sweeps // thin``.
      n_warmup: sweeps before the first record.
      key: a random key.
    """
    places = betas.astype(start.path.h.dtype)
    step = functools.partial(_advanced, start, places)
    begin_key, warm_key, run_key = random.split(key, 3)
    exchange = ParallelTempering(_Still(), places, start.path.reference)
    x = start.draw(n_chains * places.shape[0], key=begin_key)
    x = x.reshape(n_chains, places.shape[0], *x.shape[1:])
    begin = jax.vmap(lambda x: exchange.init(start.path.h, x, key=begin_key))(x)

    def swept(carry: Round, key: Key[Array, ""]) -> tuple[Round, None]:
        return step(carry[0], key), None

    def draw(replicas: Replicas, key: Key[Array, ""]) -> tuple[Replicas, tuple[Array, Array]]:
        (replicas, x), _ = jax.lax.scan(
            swept, (replicas, replicas.configurations), random.split(key, thin)
        )
        return replicas, (jax.vmap(jax.vmap(start.path.slope))(x), x)

    ready = begin
    if n_warmup:
        first = (begin, begin.configurations)
        (ready, _), _ = jax.lax.scan(swept, first, random.split(warm_key, n_warmup))
    _, (slopes, states) = jax.lax.scan(draw, ready, random.split(run_key, n_sweeps // thin))
    return jnp.moveaxis(slopes, 0, 2).swapaxes(0, 1), jnp.moveaxis(states, 0, 2).swapaxes(0, 1)


def _advanced(
    start: Start, betas: Float[Array, " K"], replicas: Replicas, key: Key[Array, ""]
) -> tuple[Replicas, Float[Array, "n_chains K *state"]]:
    """All chains after a sweep and exchanges, and the configurations between the two."""
    path, n_chains = start.path, replicas.configurations.shape[0]
    low_key, sweep_key, swap_key = random.split(key, 3)
    exchange = ParallelTempering(_Still(), betas, path.reference)

    def moved(b: Array, x: Array, key: Key[Array, ""]) -> Array:
        after: Array = start.kernel(path(b), x, key=key)[0]
        return after

    n_moved = betas.shape[0] - 1
    keys = random.split(sweep_key, n_chains * n_moved).reshape(n_chains, n_moved)
    high = jax.vmap(jax.vmap(moved), (None, 0, 0))(betas[1:], replicas.configurations[:, 1:], keys)
    low = _refreshed(start, replicas.configurations[:, 0], low_key)
    x = jnp.concatenate([low[:, None], high], axis=1)

    def exchanged(replicas: Replicas, x: Array, key: Key[Array, ""]) -> Replicas:
        return exchange(path.h, dataclasses.replace(replicas, configurations=x), key=key)[0]

    return jax.vmap(exchanged)(replicas, x, random.split(swap_key, n_chains)), x


def _refreshed(
    start: Start, x: Float[Array, " C *state"], key: Key[Array, ""]
) -> Float[Array, " C *state"]:
    """The next configurations of the reference."""
    reference = start.path.reference
    if reference is None or start.centre is not None:
        return start.draw(x.shape[0], key=key)
    keys = random.split(key, x.shape[0])
    after: Array = jax.vmap(lambda x, key: start.kernel(reference, x, key=key)[0])(x, keys)
    return after


def rungs(
    start: Start, n_states: int, betas: ArrayLike | None, *, key: Key[Array, ""]
) -> Float[Array, " K"]:
    """The ladder that was given, else one of constant thermodynamic length between neighbours."""
    dtype = start.path.h.dtype
    if betas is not None:
        return jnp.asarray(betas, dtype)
    places: Array = scheduled(start, key=key).at(jnp.linspace(0, 1, n_states, dtype=dtype))
    return places


def check_settings(
    n_states: int, n_chains: int, n_sweeps: int, thin: int, n_warmup: int, betas: ArrayLike | None
) -> None:
    """Raise ``SettingError`` for settings that no ladder can be run with."""
    at_least(
        "a ladder",
        n_states=(n_states, 2),
        n_chains=(n_chains, 1),
        n_sweeps=(n_sweeps, 1),
        thin=(thin, 1),
        n_warmup=(n_warmup, 0),
    )
    if n_sweeps // thin < FEWEST:
        raise SettingError(
            f"a ladder takes n_sweeps of {FEWEST} times thin or more, got {n_sweeps} and {thin}."
        )
    if betas is not None:
        places_of(betas)
