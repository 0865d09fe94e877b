r"""The negative phase: what a model believes, against which data are held.

Maximum likelihood of a model p(x) = exp(-F(x)) / Z descends

    <F>_data + log Z,        whose gradient is        <dF>_data - <dF>_model,

F a Hamiltonian, or the free energy of the visible layer of a restricted Boltzmann machine. The
first mean is over data. The second is the negative phase, and here are the ways to have it:

    CD        a few sweeps from the data: cheap, biased (G. E. Hinton, Neural Comput. 14, 1771
              (2002))
    PCD       chains that go on from step to step (T. Tieleman, Proc. ICML 25, 1064 (2008))
    Tempered  the same on a ladder down to independent units, where chains cross between modes
    MeanField a stationary point of a free energy in place of chains
    Exact     log Z itself, where it can be summed

Each is called ``phase(model, batch, state, key=key) -> (number, state)``. The derivative of the
number is -<dF>_model. The number itself is log Z where the phase knows it (``Exact``, ``Tempered``,
``MeanField`` within its approximation), so that the loss is the negative log-likelihood in nats per
sample. ``CD`` and ``PCD`` do not know it: theirs is -<F> of their chains, the loss is the
difference <F>_data - <F>_chains, and its fall or rise means nothing: they are ``surrogate``.

Convention: persistent chains start near equilibrium, wherever the parameters start: for a machine
as walkers of annealed importance sampling from independent units, resampled; for a Hamiltonian from
random configurations and 100 sweeps.
"""

import functools
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.estimators import Auto, Estimator, LayerSum
from physdl.hamiltonian import Hamiltonian
from physdl.learning._machine_path import MachinePath, independent
from physdl.networks import RBM
from physdl.pytree import module, static
from physdl.sampling import EnsembleKernel, HeatBath, Kernel
from physdl.sampling import _random as random
from physdl.sampling._chains import positive
from physdl.sampling._kernel import (
    Info,
    configurations,
    n_replicas,
    random_configuration,
    start,
)
from physdl.sampling._resampling import RESAMPLING

__all__ = [
    "BlockGibbs",
    "CD",
    "Exact",
    "Model",
    "NegativePhase",
    "PCD",
    "log_z_of",
    "walkers",
]

Model: TypeAlias = RBM | Hamiltonian

N_START = 100


@runtime_checkable
class NegativePhase(Protocol):
    """Settings, a state to begin with, and one pure call."""

    @property
    def surrogate(self) -> bool:
        """Whether only the derivative of the number means something."""
        ...

    def start(self, model: Model, batch: Float[Array, " n *x"], *, key: Key[Array, ""]) -> Any:
        """The state before the first step; any pytree."""
        ...

    def __call__(
        self, model: Model, batch: Float[Array, " n *x"], state: Any, *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Any]:
        """A number whose derivative is -<dF>_model, and the next state."""
        ...


@module
class BlockGibbs:
    """A kernel of restricted Boltzmann machines: the hidden layer drawn, then the visible one.

    >>> machine = RBM(jnp.ones((3, 2)))
    >>> v, info = BlockGibbs()(machine, jnp.zeros(3), key=jax.random.key(0))
    >>> v.shape, bool(jnp.all((v == 0) | (v == 1)))
    ((3,), True)
    """

    def __call__(
        self, h: RBM, state: Float[Array, " n_visible *c"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, " n_visible *c"], Info]:
        """The next visible configuration; nothing is reported."""
        hidden_key, visible_key = random.split(key)
        hidden = h.sample_hidden(state, key=hidden_key)
        return h.sample_visible(hidden, key=visible_key), {}


@module
class Exact:
    """log Z by an estimator that can be differentiated: exact maximum likelihood.

    Attributes:
      estimator: ``None`` sums over the smaller layer of a machine (``LayerSum``), and takes
        ``Auto`` for a Hamiltonian.

    >>> machine = RBM(jnp.zeros((3, 2)))
    >>> number, _ = Exact()(machine, jnp.zeros((1, 3)), (), key=jax.random.key(0))
    >>> round(float(number), 6)  # 5 log 2
    3.465736
    """

    estimator: Estimator | None = None

    @property
    def surrogate(self) -> bool:
        """The number is log Z."""
        return False

    def start(
        self, model: Model, batch: Float[Array, " n *x"], *, key: Key[Array, ""]
    ) -> tuple[()]:
        """Nothing."""
        del model, batch, key
        return ()

    def __call__(
        self, model: Model, batch: Float[Array, " n *x"], state: tuple[()], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], tuple[()]]:
        """log Z."""
        del batch, key
        estimator = self.estimator or (LayerSum() if isinstance(model, RBM) else Auto())
        return log_z_of(model, estimator), state


@cites("hinton2002")
@module
class CD:
    """Contrastive divergence: k sweeps from the batch.

    For large k the gradient is that of the likelihood; for small k it is biased towards keeping
    the data where they are.

    Attributes:
      k: sweeps.
      kernel: that leaves the model invariant; ``None`` is ``BlockGibbs`` for a machine and
        ``HeatBath`` for a Hamiltonian.

    Raises:
      SettingError: there is no sweep, or the kernel moves several configurations together.
    """

    k: int = static(default=1)
    kernel: Kernel | None = None

    def __post_init__(self) -> None:
        positive(self.k, "k")
        if isinstance(self.kernel, EnsembleKernel):
            raise SettingError(
                f"contrastive divergence moves one configuration at a time, got "
                f"{type(self.kernel).__name__}: use PCD."
            )

    @property
    def surrogate(self) -> bool:
        """The number is no log Z."""
        return True

    def start(
        self, model: Model, batch: Float[Array, " n *x"], *, key: Key[Array, ""]
    ) -> tuple[()]:
        """Nothing."""
        del model, batch, key
        return ()

    def __call__(
        self, model: Model, batch: Float[Array, " n *x"], state: tuple[()], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], tuple[()]]:
        """-<F> of where the sweeps end."""
        x = moved(_kernel(self.kernel, model), jax.lax.stop_gradient(model), batch, self.k, key)
        return -jnp.mean(jax.vmap(model)(x)), state


@cites("tieleman2008")
@module
class PCD:
    """Persistent contrastive divergence: chains that go on where the last step left them.

    Attributes:
      k: sweeps a step.
      n_chains: ``None`` is as many as a batch has samples.
      kernel: as of ``CD``; for a Hamiltonian it may be ``ParallelTempering``.

    Raises:
      SettingError: a number is below 1.
    """

    k: int = static(default=1)
    n_chains: int | None = static(default=None)
    kernel: Kernel | None = None

    def __post_init__(self) -> None:
        positive(self.k, "k")
        if self.n_chains is not None:
            positive(self.n_chains, "n_chains")

    @property
    def surrogate(self) -> bool:
        """The number is no log Z."""
        return True

    def start(self, model: Model, batch: Float[Array, " n *x"], *, key: Key[Array, ""]) -> Any:
        """States of the kernel, with a leading axis of chains."""
        kernel = _kernel(self.kernel, model)
        n, per_chain = self.n_chains or len(batch), n_replicas(kernel)
        draw_key, start_key, warm_key = random.split(key, 3)
        if isinstance(model, RBM):
            x = walkers(model, n * per_chain, key=draw_key)
        else:
            keys = random.split(draw_key, n * per_chain)
            x = jax.vmap(lambda key: random_configuration(model, key=key))(keys)
        groups = x.reshape(n, per_chain, *x.shape[1:])
        keys = random.split(start_key, n)
        states = jax.vmap(functools.partial(_begun, kernel, model))(groups, keys)
        return states if isinstance(model, RBM) else moved(kernel, model, states, N_START, warm_key)

    def __call__(
        self, model: Model, batch: Float[Array, " n *x"], state: Any, *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Any]:
        """-<F> of the chains."""
        del batch
        kernel, held = _kernel(self.kernel, model), jax.lax.stop_gradient(model)
        after = moved(kernel, held, state, self.k, key)
        return -jnp.mean(jax.vmap(model)(_configurations(kernel, held, after))), after


def moved(kernel: Kernel, model: Model, states: Any, k: int, key: Key[Array, ""]) -> Any:
    """The states after k sweeps of each."""
    n = len(jax.tree.leaves(states)[0])

    def sweep(t: Array, states: Any) -> Any:
        keys = random.split(random.folded(key, t), n)
        return jax.vmap(functools.partial(_moved, kernel, model))(states, keys)

    if k == 1:
        return sweep(jnp.asarray(0), states)
    return jax.lax.fori_loop(0, k, sweep, states)


def log_z_of(
    model: Model, estimator: Estimator, *, key: Key[Array, ""] | None = None
) -> Float[Array, ""]:
    """log Z of a Hamiltonian, or of a machine by an estimator that knows machines or not."""
    if isinstance(model, RBM) and not isinstance(estimator, LayerSum):
        return estimator(model.hamiltonian, key=key).log_z
    return estimator(model, key=key).log_z  # type: ignore[arg-type]


@functools.partial(jax.jit, static_argnames="n")
def walkers(machine: RBM, n: int, *, key: Key[Array, ""]) -> Float[Array, " n n_visible *c"]:
    """n walkers of annealed importance sampling from independent units, resampled."""
    path = MachinePath(independent(machine), machine)
    start_key, walk_key, choose_key = random.split(key, 3)

    def step(t: Array, walk: tuple[Array, Array]) -> tuple[Array, Array]:
        v, log_w = walk
        ends = (t + jnp.arange(2)).astype(log_w.dtype) / N_START
        energy = jax.vmap(path.energies, (0, None))(v, ends)
        keys = random.split(random.folded(walk_key, t), n)
        v = jax.vmap(lambda v, key: path.move(v, ends[1], key=key))(v, keys)
        return v, log_w + energy[:, 0] - energy[:, 1]

    keys = random.split(start_key, n)
    v = jax.vmap(lambda key: path.drawn(key=key))(keys)
    begin = (v, jnp.zeros(n, machine.weights.dtype))
    v, log_w = jax.lax.fori_loop(0, N_START, step, begin)
    found: Array = v[RESAMPLING["systematic"](choose_key, log_w)]
    return found


def _begun(kernel: Kernel, model: Model, x: Array, key: Key[Array, ""]) -> Any:
    return start(kernel, model, x, key=key)  # type: ignore[arg-type]


def _moved(kernel: Kernel, model: Model, state: Any, key: Key[Array, ""]) -> Any:
    return kernel(model, state, key=key)[0]  # type: ignore[arg-type]


def _kernel(given: Kernel | None, model: Model) -> Kernel:
    if given is not None:
        return given
    return BlockGibbs() if isinstance(model, RBM) else HeatBath()  # type: ignore[return-value]


def _configurations(kernel: Kernel, model: Model, states: Any) -> Float[Array, " n *x"]:
    if not isinstance(kernel, EnsembleKernel):
        return states  # type: ignore[no-any-return]
    x = jax.vmap(lambda state: configurations(kernel, model, state))(states)  # type: ignore[arg-type]
    return x.reshape(-1, *x.shape[2:])
