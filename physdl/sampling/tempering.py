r"""Parallel tempering: replicas on a path of Hamiltonians exchange their configurations.

Replica k follows H_k = h0 + b_k (h - h0), with b_0 < ... < b_{K-1} = 1. After a sweep of each, the
neighbours k, k + 1 exchange configurations with probability

    min(1, exp((b_{k+1} - b_k) (D_{k+1} - D_k))),        D = h(x) - h0(x),

which leaves the product of all exp(-H_k) / Z_k invariant. Even and odd pairs take turns. So a
configuration that is exchanged goes on in the same direction, and a round trip from the bottom of
the ladder to the top and back takes a time of order K, not K^2: S. Syed, A. Bouchard-Cote,
G. Deligiannidis and A. Doucet, J. R. Stat. Soc. B 84, 321 (2022). Round trips are what counts: each
brings an independent configuration from h0 to h.

With rejections r_k there are 1 / (2 + 2 sum_k r_k / (1 - r_k)) round trips per round, at most 1 /
(2 + 2 Lambda) with the communication barrier Lambda, the sum of the r_k of a fine ladder.
``tune_ladder`` makes all r_k equal, which is best for a given number of replicas; about 2 Lambda +
1 replicas make most round trips for the work.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info, Kernel
from physdl.sampling._path import Path, require_single

__all__ = ["ParallelTempering", "Replicas"]

UP, DOWN = 1, -1


@module
class Replicas:
    """The state of parallel tempering; all arrays are in the order of the ladder.

    Attributes:
      configurations: shape [K, *h.state_shape].
      replica: which replica is at each rung, a permutation, int [K].
      direction: where the replica at each rung is going, int [K]: 1 from the bottom to the top, -1
        from the top back to the bottom, 0 if it has not been at the bottom yet.
      round_trips: round trips bottom - top - bottom completed by all replicas, int.
      n_rounds: rounds of swaps so far, int; its parity says which pairs are next.
      acceptance: mean acceptance probability of each pair so far, [K - 1].
    """

    configurations: Float[Array, " K *state"]
    replica: Int[Array, " K"]
    direction: Int[Array, " K"]
    round_trips: Int[Array, ""]
    n_rounds: Int[Array, ""]
    acceptance: Float[Array, " K-1"]


@cites("syed2022")
@module
class ParallelTempering:
    """One sweep of a kernel at every rung of a ladder, then one round of swaps of neighbours.

    The configurations distributed as exp(-h) are those of the last rung. Information: the kernel's
    own, averaged over the rungs; ``"pair_acceptance"``, [K - 1], the acceptance probability of each
    pair, ``"swap_acceptance"``, their mean, and ``"round_trips"``, how many ended in this round, so
    that its mean over a run is the rate; the totals since the start are in the state.

    Attributes:
      kernel: any kernel whose state is one configuration; a ``Cycle`` for several sweeps a round.
      betas: places on the path, increasing to 1, [K].
      reference: the Hamiltonian at b = 0; ``None`` is the zero Hamiltonian, so that b multiplies h.
      reversible: take even or odd pairs at random, for comparison: it is slower.

    Raises:
      SettingError: the places do not increase to 1, or the kernel moves several configurations.

    >>> from physdl import lattices, models, sampling
    >>> h = models.edwards_anderson(lattices.square(4, 4), 2.0)
    >>> tempering = ParallelTempering(sampling.HeatBath(), jnp.linspace(0.0, 1.0, 5))
    >>> state = tempering.init(h, jnp.ones((5, 4, 4)), key=jax.random.key(0))
    >>> move = jax.jit(lambda h, state, key: tempering(h, state, key=key))
    >>> state, info = move(h, state, jax.random.key(1))
    >>> tempering.configurations(h, state).shape, info["pair_acceptance"].shape
    ((1, 4, 4), (4,))
    """

    kernel: Kernel
    betas: Float[Array, " K"]
    reference: Hamiltonian | None = None
    reversible: bool = static(default=False)

    def __init__(
        self,
        kernel: Kernel,
        betas: ArrayLike,
        reference: Hamiltonian | None = None,
        *,
        reversible: bool = False,
    ):
        places = jnp.asarray(betas, dtype=float)
        require_single(kernel, "parallel tempering")
        if places.ndim != 1 or places.size < 2:
            raise SettingError(f"a ladder has two rungs or more, got shape {places.shape}.")
        if not is_traced(places):
            rungs = np.asarray(places)
            if not (np.all(np.diff(rungs) > 0) and abs(rungs[-1] - 1) < 1e-6):
                raise SettingError(f"the rungs of a ladder increase to 1, got {rungs.tolist()}.")
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "betas", places)
        object.__setattr__(self, "reference", reference)
        object.__setattr__(self, "reversible", bool(reversible))

    @property
    def n_replicas(self) -> int:
        """The number of rungs K."""
        return int(self.betas.shape[0])

    def init(
        self, h: Hamiltonian, x: Float[Array, " K *state"], *, key: Key[Array, ""]
    ) -> Replicas:
        """The replicas at the start, one configuration for each rung.

        Raises:
          ShapeError: x is not K configurations.
          StructureError: the reference has other sites than h.
        """
        del key
        n = self.n_replicas
        Path(h, self.reference)
        if x.shape != (n, *h.state_shape):
            raise ShapeError(
                f"a ladder of {n} rungs takes configurations of shape {(n, *h.state_shape)}, "
                f"got {x.shape}."
            )
        return Replicas(
            x.astype(h.dtype),
            jnp.arange(n, dtype=jnp.int32),
            jnp.zeros(n, jnp.int32).at[0].set(UP),
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
            jnp.zeros(n - 1, h.dtype),
        )

    def configurations(self, h: Hamiltonian, state: Replicas) -> Float[Array, " 1 *state"]:
        """The configuration at b = 1."""
        del h
        return state.configurations[-1:]

    def __call__(
        self, h: Hamiltonian, state: Replicas, *, key: Key[Array, ""]
    ) -> tuple[Replicas, Info]:
        """A sweep of every replica and a round of swaps."""
        keys = random.split(key, self.n_replicas + 1)
        path, betas = Path(h, self.reference), self.betas.astype(h.dtype)

        def sweep(
            b: Float[Array, ""], x: Float[Array, "*state"], key: Key[Array, ""]
        ) -> tuple[Float[Array, "*state"], Info]:
            after: tuple[Float[Array, "*state"], Info] = self.kernel(path(b), x, key=key)
            return after

        x, said = jax.vmap(sweep)(betas, state.configurations, keys[:-1])
        slope = jax.vmap(path.slope)(x)
        acceptance = swap_probability(betas, slope)
        order = self._order(acceptance, state.n_rounds, keys[-1])
        after = _exchanged(dataclasses.replace(state, configurations=x), order, acceptance)
        info = {name: jnp.mean(value, axis=0) for name, value in said.items()}
        info["swap_acceptance"] = jnp.mean(acceptance)
        info["pair_acceptance"] = acceptance
        info["round_trips"] = (after.round_trips - state.round_trips).astype(h.dtype)
        return after, info

    def _order(
        self, acceptance: Float[Array, " K-1"], n_rounds: Int[Array, ""], key: Key[Array, ""]
    ) -> Int[Array, " K"]:
        """The rung from which each rung takes its configuration."""
        parity = n_rounds % 2
        if self.reversible:
            key, parity_key = random.split(key)
            parity = random.integers(parity_key, (), 2).astype(jnp.int32)
        pair = jnp.arange(self.n_replicas - 1, dtype=jnp.int32)
        swapped = random.bernoulli(key, jnp.where(pair % 2 == parity, acceptance, 0))
        step = swapped.astype(jnp.int32)
        return (
            jnp.arange(self.n_replicas, dtype=jnp.int32)
            + jnp.pad(step, (0, 1))
            - jnp.pad(step, (1, 0))
        )


def swap_probability(betas: Float[Array, " K"], slope: Float[Array, " K"]) -> Float[Array, " K-1"]:
    """min(1, exp((b' - b) (D' - D))) of neighbours; 0 where undefined."""
    log_ratio = jnp.diff(betas) * jnp.diff(slope)
    return jnp.where(jnp.isnan(log_ratio), 0, jnp.exp(jnp.minimum(log_ratio, 0)))


def _exchanged(
    state: Replicas, order: Int[Array, " K"], acceptance: Float[Array, " K-1"]
) -> Replicas:
    """The state after configurations have moved, with the books kept."""
    direction = state.direction[order]
    returned = direction[0] == DOWN
    top = jnp.where(direction[-1] == UP, DOWN, direction[-1])
    n_rounds = state.n_rounds + 1
    return Replicas(
        state.configurations[order],
        state.replica[order],
        direction.at[-1].set(top).at[0].set(UP),
        state.round_trips + returned.astype(jnp.int32),
        n_rounds,
        state.acceptance + (acceptance - state.acceptance) / n_rounds.astype(acceptance.dtype),
    )
