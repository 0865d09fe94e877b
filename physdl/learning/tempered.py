r"""Persistent chains on a ladder from independent units to the machine, which exchange places.

At the machine itself block Gibbs moves rarely leave a mode whose weight the training has raised, so
plain persistent chains tell the gradient about the modes where they happen to be. Here copies at

    E_b = (1 - b) E_0 + b E,        0 = b_0 < ... < b_K = 1,

with E_0 the independent units that have the means of the data, exchange their visible layers with
the probability min(1, exp(F_b(v) + F_b'(v') - F_b(v') - F_b'(v))), the hidden layers being summed;
even and odd pairs take turns.

Consequence: log Z needs no history. It is log Z_0, which is exact, and for every pair of neighbours
the mean of log <exp(F_b - F_b')>_b and -log <exp(F_b' - F_b)>_b', whose errors have opposite signs.

Sources: G. Desjardins, A. Courville, Y. Bengio, P. Vincent and O. Delalleau, AISTATS 9, 145 (2010);
K. Cho, T. Raiko and A. Ilin, IJCNN (2010).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, StructureError
from physdl.learning._machine_path import MachinePath
from physdl.learning.negative_phase import Model
from physdl.networks import RBM
from physdl.networks.boltzmann import field_of
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["Rungs", "Tempered"]


@module
class Rungs:
    """The copies, in the order of the ladder.

    Attributes:
      v: visible layers, [n_rungs, n_chains, *visible].
      reference: the independent units below.
      parity: which pairs exchange next, 0 or 1.
      acceptance: of exchanges in the last step, [n_rungs - 1].
    """

    v: Float[Array, "n_rungs n_chains *v"]
    reference: RBM
    parity: Int[Array, ""]
    acceptance: Float[Array, " n_pairs"]


@module
class Tempered:
    """Parallel tempering of a restricted Boltzmann machine, as a negative phase.

    Attributes:
      n_rungs: copies, at equal distances in b.
      n_chains: ladders; ``None`` is as many as a batch has samples.
      k: sweeps and rounds of exchanges a step.

    Raises:
      SettingError: fewer than two rungs, or a number below 1.
      StructureError: the model is no machine: for a Hamiltonian use ``PCD`` with the kernel
        ``sampling.ParallelTempering``.
    """

    n_rungs: int = static(default=10)
    n_chains: int | None = static(default=None)
    k: int = static(default=1)

    def __post_init__(self) -> None:
        positive(self.k, "k")
        if positive(self.n_rungs, "n_rungs") < 2:
            raise SettingError(f"a ladder has two rungs or more, got {self.n_rungs}.")
        if self.n_chains is not None:
            positive(self.n_chains, "n_chains")

    @property
    def surrogate(self) -> bool:
        """The number is log Z, within the noise of the ladder."""
        return False

    def start(self, model: Model, batch: Float[Array, " n *x"], *, key: Key[Array, ""]) -> Rungs:
        """Independent units with the means of the batch on every rung."""
        if not isinstance(model, RBM):
            raise StructureError(
                "the ladder of Tempered is one of restricted Boltzmann machines: for a Hamiltonian "
                "use PCD(kernel=sampling.ParallelTempering(...))."
            )
        bias = field_of(model.visible, batch.astype(model.weights.dtype))
        zero = jnp.zeros_like(model.weights)
        reference = RBM(zero, bias, 0.0, model.visible, model.hidden)
        n = self.n_chains or len(batch)
        keys = random.split(key, self.n_rungs * n)
        path = MachinePath(reference, model)
        v = jax.vmap(lambda key: path.drawn(key=key))(keys)
        return Rungs(
            v.reshape(self.n_rungs, n, *v.shape[1:]),
            reference,
            jnp.zeros((), jnp.int32),
            jnp.zeros(self.n_rungs - 1, v.dtype),
        )

    def __call__(
        self, model: RBM, batch: Float[Array, " n *x"], state: Rungs, *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Rungs]:
        """log Z of the ladder."""
        del batch
        path = MachinePath(state.reference, jax.lax.stop_gradient(model))

        def turn(t: Array, state: Rungs) -> Rungs:
            return _turned(path, state, random.folded(key, t))

        after: Rungs = jax.lax.fori_loop(0, self.k, turn, state)
        log_z = path.log_z + _climbed(_pair_energies(path, after.v))
        slope = -jnp.mean(jax.vmap(model)(after.v[-1]))
        return slope + jax.lax.stop_gradient(log_z - slope), after


def _turned(path: MachinePath, state: Rungs, key: Key[Array, ""]) -> Rungs:
    """A sweep on every rung, and a round of exchanges."""
    n_rungs, n = state.v.shape[:2]
    sweep_key, swap_key = random.split(key)
    keys = random.split(sweep_key, n_rungs * n).reshape(n_rungs, n)

    def moved(v: Array, b: Array, keys: Key[Array, " n"]) -> Array:
        """All copies of a rung."""
        swept: Array = jax.vmap(lambda v, key: path.move(v, b, key=key))(v, keys)
        return swept

    v = jax.vmap(moved)(state.v, _places(n_rungs, state.v.dtype), keys)
    own, up, down = _pair_energies(path, v)
    gain = own[:-1] + own[1:] - up[:-1] - down[1:]
    accepted = jnp.exp(jnp.minimum(gain, 0))
    turn = jnp.arange(n_rungs - 1, dtype=jnp.int32) % 2 == state.parity
    swapped = random.bernoulli(swap_key, jnp.where(turn[:, None], accepted, 0))
    step = swapped.astype(jnp.int32)
    rung = jnp.arange(n_rungs, dtype=jnp.int32)[:, None]
    order = rung + jnp.pad(step, ((0, 1), (0, 0))) - jnp.pad(step, ((1, 0), (0, 0)))
    chain = jnp.arange(n, dtype=jnp.int32)[None]
    return Rungs(v[order, chain], state.reference, 1 - state.parity, jnp.mean(accepted, axis=1))


def _pair_energies(path: MachinePath, v: Array) -> tuple[Array, Array, Array]:
    """F of every layer on its own rung, on the next one, and on the one before, [n_rungs, n]."""
    n_rungs = len(v)
    b = _places(n_rungs, v.dtype)
    three = jnp.stack([b, jnp.roll(b, -1), jnp.roll(b, 1)], axis=1)
    along = jax.vmap(path.energies, (0, None))
    energies = jax.vmap(along)(v, three)
    return energies[..., 0], energies[..., 1], energies[..., 2]


def _climbed(energies: tuple[Array, Array, Array]) -> Float[Array, ""]:
    """log Z - log Z_0."""
    own, up, down = energies
    rise = jax.nn.logsumexp(own[:-1] - up[:-1], axis=1)
    fall = jax.nn.logsumexp(own[1:] - down[1:], axis=1)
    return jnp.sum(rise - fall) / 2


def _places(n_rungs: int, dtype: jnp.dtype) -> Float[Array, " n_rungs"]:
    return jnp.linspace(0.0, 1.0, n_rungs, dtype=dtype)
