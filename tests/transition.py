"""Transition matrices of the code that runs, by enumerating the outcomes of its random decisions.

The three decisions of ``physdl.sampling._random`` are replaced: instead of drawing they read their
outcome from a script and note its probability. Summed over all scripts, the probabilities of the
paths from x to y are the transition matrix, exact to rounding.
"""

import contextlib
from unittest import mock

import brute_force
import jax
import jax.numpy as jnp
import numpy as np

from physdl.sampling import _random as random


class Script:
    """Reads the outcomes of decisions from digits, and collects their log probabilities."""

    def __init__(self, digits=None):
        self.digits, self.bases, self.log_p = digits, [], []

    def _read(self, shape, base):
        start, size = len(self.bases), int(np.prod(shape))
        self.bases += [base] * size
        if self.digits is None:  # a first pass that counts the decisions
            return jnp.zeros(shape, int)
        return self.digits[start : start + size].reshape(shape)

    def bernoulli(self, key, p):
        p = jnp.clip(p, 0, 1)
        outcome = self._read(p.shape, 2)
        self.log_p.append(jnp.sum(jnp.log(jnp.where(outcome == 1, p, 1 - p))))
        return outcome == 1

    def categorical(self, key, log_p):
        outcome = self._read(log_p.shape[:-1], log_p.shape[-1])
        chosen = jnp.take_along_axis(jax.nn.log_softmax(log_p), outcome[..., None], axis=-1)
        self.log_p.append(jnp.sum(chosen))
        return outcome

    def integers(self, key, shape, n):
        self.log_p.append(-jnp.log(float(n)) * int(np.prod(shape)))
        return self._read(shape, n)

    @contextlib.contextmanager
    def installed(self):
        names = ("bernoulli", "categorical", "integers")
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(mock.patch.object(random, name, getattr(self, name)))
            yield self


def states_of(h):
    """All configurations [n, *state_shape] of a Hamiltonian on one finite space."""
    states = brute_force.all_states(h.space.points, h.n_sites)
    return states.reshape(len(states), *h.state_shape)


def boltzmann(h, states):
    """exp(-H) / Z of the configurations."""
    energy = np.asarray(jax.vmap(h)(jnp.asarray(states)))
    weight = np.exp(energy.min() - energy)
    return weight / weight.sum()


def transition_matrix(kernel, h, states, *, most=2**24, chunk=2**18):
    """P[x, y] of one call of the kernel; ``most`` bounds states times scripts.

    Decisions may stand anywhere outside of loops whose length depends on values; those in ``scan``
    and ``fori_loop`` need ``jax.disable_jit()`` around the call.
    """
    key, first = jax.random.key(0), Script()
    x = jnp.asarray(states)
    with first.installed():
        jax.eval_shape(lambda s: kernel(h, s, key=key), x[0])
    bases = np.array(first.bases, dtype=np.int64)
    n_scripts = int(np.prod(bases.astype(float)))
    assert n_scripts * len(states) <= most, f"{n_scripts} scripts for {len(states)} states"
    strides = np.concatenate([np.cumprod(bases[::-1])[::-1][1:], [1]]).astype(np.int64)

    def path(code, state):
        script = Script((code // strides) % bases)
        with script.installed():
            after, _ = kernel(h, state, key=key)
        return after, jnp.sum(jnp.stack(script.log_p)) if script.log_p else jnp.zeros(())

    paths = jax.vmap(jax.vmap(path, in_axes=(None, 0)), in_axes=(0, None))
    paths = paths if jax.config.jax_disable_jit else jax.jit(paths)
    matrix, n = np.zeros(len(states) ** 2), len(states)
    find = Finder(states)
    step = max(1, chunk // n)
    for start in range(0, n_scripts, step):
        codes = jnp.arange(start, min(start + step, n_scripts))
        after, log_p = paths(codes, x)
        where = find(np.asarray(after).reshape(len(codes) * n, -1))
        rows = np.tile(np.arange(n), len(codes))
        weights = np.exp(np.asarray(log_p)).reshape(-1)
        matrix += np.bincount(rows * n + where, weights, minlength=n * n)
    return matrix.reshape(n, n)


class Finder:
    """Which of a list of states each of many is, through a random projection."""

    def __init__(self, states):
        flat = np.asarray(states, dtype=float).reshape(len(states), -1)
        self.direction = np.random.default_rng(0).normal(size=flat.shape[1])
        codes = flat @ self.direction
        self.order = np.argsort(codes)
        self.codes = codes[self.order]
        assert np.diff(self.codes).min(initial=1) > 1e-6, "two states look alike"

    def __call__(self, flat):
        codes = flat @ self.direction
        right = np.clip(np.searchsorted(self.codes, codes), 1, len(self.codes) - 1)
        nearer = codes - self.codes[right - 1] < self.codes[right] - codes
        place = np.where(nearer, right - 1, right)
        assert np.abs(self.codes[place] - codes).max() < 1e-7, "a state outside of the space"
        return self.order[place]
