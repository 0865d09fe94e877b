"""The moving part of a run: states, block sums and kept configurations, and the compiled loops."""

import dataclasses
import functools
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Key
from numpy.typing import NDArray

from physdl.ensemble import Ensemble
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.sampling import _random as random
from physdl.sampling._kernel import (
    Kernel,
    configurations,
    n_replicas,
    random_configuration,
    start,
)
from physdl.sampling._series import Blocks, Series
from physdl.sampling.observables import Observable
from physdl.sampling.result import Run

__all__ = ["Chains", "Plan", "positive", "started"]

PATIENCE = 0.5
MOST_BUFFERED = 256
MOST_BYTES = 2**26


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is, in whole numbers."""

    n_sweeps: int
    thin: int
    n_warmup: int
    n_states: int
    n_kept: int

    @classmethod
    def checked(
        cls,
        kernel: Kernel,
        h: Hamiltonian,
        n_sweeps: int,
        thin: int,
        n_chains: int,
        n_warmup: int,
        n_kept: int,
    ) -> "Plan":
        for name, value in {"n_sweeps": n_sweeps, "thin": thin, "n_chains": n_chains}.items():
            positive(value, name)
        for name, value in {"n_warmup": n_warmup, "n_kept": n_kept}.items():
            positive(value, name, least=0)
        if thin > n_sweeps or n_kept > n_sweeps // thin:
            raise SettingError(
                f"{n_sweeps} sweeps with thin={thin} give {n_sweeps // thin} measurements, too few "
                f"for n_kept={n_kept}: take more sweeps."
            )
        if n_sweeps + n_warmup >= 2**31:
            raise SettingError(
                f"a run has fewer than 2^31 sweeps, got {n_sweeps + n_warmup}: start another one "
                f"from the state where it ends."
            )
        per_state = n_yielded(kernel, h)
        if n_chains % per_state:
            raise SettingError(
                f"a state of {type(kernel).__name__} yields {per_state} configurations: n_chains "
                f"is a multiple of {per_state}, got {n_chains}."
            )
        return cls(n_sweeps, thin, n_warmup, n_chains // per_state, n_kept)

    @property
    def n_draws(self) -> int:
        return self.n_sweeps // self.thin

    @property
    def total(self) -> int:
        return self.n_warmup + self.n_draws * self.thin

    def slot(self, draw: int) -> int | None:
        """Where to keep the configuration after a draw: the last of equally many draws each."""
        every = self.n_draws // max(self.n_kept, 1)
        slot, rest = divmod(draw - (self.n_draws - every * self.n_kept), every)
        return slot if self.n_kept and slot >= 0 and rest == every - 1 else None

    def until_kept(self, draw: int) -> int:
        """Draws from this one to the next whose configuration is kept, both counted."""
        every = self.n_draws // max(self.n_kept, 1)
        return every - (draw - self.n_draws) % every

    def rounded(self, target: int) -> int:
        """The next number of sweeps that ends with a measurement, or lies in the warm-up."""
        past = target - self.n_warmup
        return target if past <= 0 else self.n_warmup + -(-past // self.thin) * self.thin


class Chains:
    """The moving part of a run: states, sums and kept configurations after ``done`` sweeps."""

    def __init__(
        self, kernel: Kernel, h: Hamiltonian, measured: dict[str, Any], plan: Plan, states: Any
    ):
        self.kernel, self.h, self.plan, self.states = kernel, h, plan, states
        self.done, self.rate = 0, 1.0
        plain = {n: f for n, f in measured.items() if jax.tree_util.all_leaves([f])}
        self.modules = {n: f for n, f in measured.items() if n not in plain}
        self.functions, self.names = tuple(plain.items()), tuple(measured)
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), plan.n_states))
        draw = functools.partial(_measured, functions=self.functions)
        found = jax.eval_shape(draw, kernel, h, states, keys, 0, self.modules)[1]
        self.shapes = {name: (s.shape, s.dtype) for name, s in found.items()}
        self.sums = {name: Blocks(plan.n_draws, s) for name, (s, _) in self.shapes.items()}
        n_chains = plan.n_states * n_yielded(kernel, h)
        self.kept: NDArray[Any] = np.zeros((n_chains, plan.n_kept, *h.state_shape), h.dtype)
        bytes_per_draw = sum(math.prod(s) * d.itemsize for s, d in self.shapes.values())
        most = min(MOST_BYTES // max(bytes_per_draw, 1), MOST_BUFFERED, plan.n_draws)
        self.size = max(1, most)

    def saved(self) -> Any:
        """All that a checkpoint holds."""
        return jax.tree.leaves(self.states), {n: b.sums for n, b in self.sums.items()}, self.kept

    def restore(self, done: int, saved: Any) -> None:
        """Take up the state of a checkpoint."""
        leaves, sums, self.kept = saved
        arrays = [jnp.asarray(leaf) for leaf in leaves]
        self.states = jax.tree.unflatten(jax.tree.structure(self.states), arrays)
        for name, values in sums.items():
            self.sums[name].sums = np.array(values)
        self.kept, self.done = np.array(self.kept), done

    def advance(self, keys: Key[Array, " n"], target: int, limit: float) -> None:
        """Sweep until ``target`` sweeps are done or the time is over, some at a time."""
        plan = self.plan
        while self.done < target:
            began, before = time.monotonic(), self.done
            ahead = max(1, int(self.rate * PATIENCE))
            if self.done < plan.n_warmup:
                n = min(ahead, target - self.done, plan.n_warmup - self.done)
                self.states = _warm(self.kernel, self.h, self.states, keys, self.done, n)
                jax.tree.map(lambda leaf: leaf.block_until_ready(), self.states)
                self.done += n
            else:
                first = (self.done - plan.n_warmup) // plan.thin
                most = min(self.size, (target - self.done) // plan.thin, plan.until_kept(first))
                self._measure(keys, first, max(1, min(most, ahead // plan.thin)))
            passed = max(time.monotonic() - began, 1e-6)
            self.rate = (self.done - before) / passed if before else 1.0
            if time.monotonic() >= limit:
                break

    def _measure(self, keys: Key[Array, " n"], first: int, n: int) -> None:
        """Draws ``first`` to ``first + n``."""
        plan = self.plan
        self.states, records = _advance(
            self.kernel,
            self.h,
            self.states,
            keys,
            self.done,
            n,
            self.modules,
            functions=self.functions,
            thin=plan.thin,
            shapes=tuple((name, s, d.name) for name, (s, d) in self.shapes.items()),
            size=self.size,
        )
        for name, values in records.items():
            self.sums[name].add(first, np.asarray(values)[:n])
        self.done += n * plan.thin
        slot = plan.slot(first + n - 1)
        if slot is not None:
            self.kept[:, slot] = np.asarray(_configurations(self.kernel, self.h, self.states))

    def series(self) -> dict[str, Series]:
        """What was measured so far."""
        draws = max(0, self.done - self.plan.n_warmup) // self.plan.thin
        return {n: b.series(draws, self.plan.thin) for n, b in self.sums.items()}

    def result(self) -> Run:
        """The result after the sweeps that were done."""
        series = self.series()
        finished = self.done >= self.plan.total
        kept = Ensemble(self.kept, h=self.h) if self.plan.n_kept and finished else None
        return Run(
            {n: series[n] for n in self.names},
            {n: s for n, s in series.items() if n not in self.names},
            self.states,
            kept,
            n_sweeps=max(0, self.done - self.plan.n_warmup),
            finished=finished,
        )


def _step(kernel: Kernel, h: Hamiltonian, states: Any, keys: Key[Array, " n"], t: Array) -> Any:
    """One sweep of every state."""
    own = jax.vmap(random.folded, in_axes=(0, None))(keys, t)
    return jax.vmap(lambda state, key: kernel(h, state, key=key))(states, own)


@functools.partial(jax.jit, donate_argnames=("states",))
def _warm(
    kernel: Kernel, h: Hamiltonian, states: Any, keys: Key[Array, " n"], first: Array, n: Array
) -> Any:
    """Sweeps ``first`` to ``first + n`` without measuring."""
    step = lambda t, states: _step(kernel, h, states, keys, t)[0]
    return jax.lax.fori_loop(first, first + n, step, states)


def _measured(
    kernel: Kernel,
    h: Hamiltonian,
    states: Any,
    keys: Key[Array, " n"],
    t: Array,
    modules: dict[str, Any],
    *,
    functions: tuple[tuple[str, Observable], ...],
) -> tuple[Any, dict[str, Array]]:
    """One sweep and what there is to measure after it, each with an axis of chains."""
    states, info = _step(kernel, h, states, keys, t)
    x = _configurations(kernel, h, states)
    found = {name: jax.vmap(f)(x) for name, f in {**dict(functions), **modules}.items()}
    return states, {**{name: v for name, v in info.items() if name not in found}, **found}


@jax.jit
def _configurations(kernel: Kernel, h: Hamiltonian, states: Any) -> Array:
    """The configurations of all states, [n_chains, *state]."""
    x = jax.vmap(lambda state: configurations(kernel, h, state))(states)
    return x.reshape(-1, *h.state_shape)


@functools.partial(
    jax.jit, static_argnames=("functions", "thin", "shapes", "size"), donate_argnames=("states",)
)
def _advance(
    kernel: Kernel,
    h: Hamiltonian,
    states: Any,
    keys: Key[Array, " n"],
    first: Array,
    n: Array,
    modules: dict[str, Any],
    *,
    functions: tuple[tuple[str, Observable], ...],
    thin: int,
    shapes: tuple[tuple[str, tuple[int, ...], str], ...],
    size: int,
) -> tuple[Any, dict[str, Array]]:
    """n draws of ``thin`` sweeps each, and their measurements in buffers of ``size`` draws."""

    def draw(i: Array, carry: tuple[Any, dict[str, Array]]) -> tuple[Any, dict[str, Array]]:
        states, records = carry
        t = first + i * thin
        step = lambda j, states: _step(kernel, h, states, keys, t + j)[0]
        states = jax.lax.fori_loop(0, thin - 1, step, states) if thin > 1 else states
        states, values = _measured(
            kernel, h, states, keys, t + thin - 1, modules, functions=functions
        )
        return states, {name: r.at[i].set(values[name]) for name, r in records.items()}

    records = {name: jnp.zeros((size, *shape), dtype) for name, shape, dtype in shapes}
    out: tuple[Any, dict[str, Array]] = jax.lax.fori_loop(0, n, draw, (states, records))
    return out


def n_yielded(kernel: Kernel, h: Hamiltonian) -> int:
    """How many configurations a state of the kernel yields."""

    def whole(h: Hamiltonian, key: Key[Array, ""]) -> Array:
        x = jnp.zeros((n_replicas(kernel), *h.state_shape), h.dtype)
        return configurations(kernel, h, start(kernel, h, x, key=key))

    return int(jax.eval_shape(whole, h, jax.eval_shape(lambda: jax.random.key(0))).shape[0])


def started(
    kernel: Kernel, h: Hamiltonian, initial: ArrayLike | None, plan: Plan, key: Key[Array, ""]
) -> Any:
    """The states at the start, with a leading axis."""
    keys = random.split(key)
    n, m = plan.n_states, n_replicas(kernel)
    if initial is None:
        draw = functools.partial(_drawn, h)
        x = jax.vmap(draw)(random.split(keys[0], n * m))
    else:
        given = jnp.asarray(initial).astype(h.dtype)
        if given.shape not in (h.state_shape, (n * m, *h.state_shape)):
            raise ShapeError(
                f"initial configurations have the shape {h.state_shape} or "
                f"{(n * m, *h.state_shape)}, got {given.shape}."
            )
        x = jnp.broadcast_to(given.reshape(-1, *h.state_shape), (n * m, *h.state_shape))
    x = x.reshape(n, m, *h.state_shape)
    make = functools.partial(_made, kernel, h)
    made = jax.vmap(make)(x, random.split(keys[1], n))
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), made)


def _drawn(h: Hamiltonian, key: Key[Array, ""]) -> Array:
    return random_configuration(h, key=key)


def _made(kernel: Kernel, h: Hamiltonian, x: Array, key: Key[Array, ""]) -> Any:
    return start(kernel, h, x, key=key)


def positive(value: Any, name: str, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingError(f"{name} must be an integer >= {least}, got {value!r}.")
    return int(value)
