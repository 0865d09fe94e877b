r"""Imitation: a network that computes what a function computes, values and derivatives.

    loss = <|f(x) - g(x)|^2> / <|g - <g>|^2>  +  w <|Df(x) - Dg(x)|^2> / <|Dg|^2>

for a network f and any function g of physdl, an array to an array: a renormalization-group map on a
vector of couplings, a log Z, an energy. Means are over inputs, norms over components; both terms
are 1 for a network that knows the mean value and nothing else. Derivatives matter where they are
used: exponents are eigenvalues of the Jacobian of a map, and close values do not make them close.

The Jacobian is met along random directions v with <v v^T> = 1, by one forward derivative of each
function,

    |Df - Dg|^2 = <|(Df - Dg) v|^2>_v,

which is unbiased and costs what a value costs, however many inputs there are; where there are no
more inputs than directions the whole Jacobian is taken. (Sobolev training: W. M. Czarnecki et al.,
arXiv:1706.04859, which projects likewise, Eq. 4.)

Convention: Df is a plain derivative. Inputs of very different sizes are best scaled first.

Consequence: errors are told on inputs that were not trained on, as fractions of how much the target
varies. An ensemble of imitations is ``jax.vmap`` over keys, building included.
"""

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, ShapeError
from physdl.learning._disagreement import (
    Disagreement,
    Examples,
    Function,
    Sampler,
    drawn,
    real,
    relative_errors,
    scales_of,
)
from physdl.learning.training import (
    TrainingStatus,
    checked_optimizer,
    divided,
    joined,
    trained,
)
from physdl.pytree import is_traced, module
from physdl.sampling import _random as random
from physdl.sampling._chains import positive

__all__ = ["Imitation", "imitate", "imitation_errors"]

N = TypeVar("N", bound=Callable[[Array], Array])
N_SCALE = 1024
HELD_OUT = 10


@module
class Imitation(Generic[N]):
    """A network that imitates a function, and how well.

    Attributes:
      network: the network after the last step that was taken.
      losses: the loss of every batch, [n_steps].
      value_error: on fresh inputs, sqrt(<|f - g|^2> / <|g - <g>|^2>).
      jacobian_error: on fresh inputs, sqrt(<|Df - Dg|^2> / <|Dg|^2>); NaN where Jacobians had the
        weight 0, as the function then need not have any (see ``imitation_errors``).
      status: a ``TrainingStatus`` as int32; CONSTANT where the target does not vary over the inputs
        that were seen, and what should be relative to its variation is not.
    """

    network: N
    losses: Float[Array, " n_steps"]
    value_error: Float[Array, ""]
    jacobian_error: Float[Array, ""]
    status: Int[Array, ""]

    def __repr__(self) -> str:
        try:
            errors = (
                f"value {float(self.value_error):.2g}, Jacobian {float(self.jacobian_error):.2g}"
            )
            return f"relative errors: {errors} [{TrainingStatus(int(self.status)).name}]"
        except TypeError:  # traced or batched: no single number to show
            return f"Imitation(value_error={self.value_error}, status={self.status})"


def imitate(
    function: Function,
    network: N,
    inputs: ArrayLike | Sampler,
    *,
    optimizer: optax.GradientTransformation,
    n_steps: int,
    batch_size: int,
    jacobian_weight: ArrayLike = 1.0,
    n_directions: int = 1,
    n_fresh: int = 1024,
    key: Key[Array, ""],
) -> Imitation[N]:
    """Fit a network to the values and the Jacobians of a function.

    The function is evaluated on every batch. It is data as far as it consists of arrays (a
    Hamiltonian, a map), and a plain function is known by its identity, as is the optimiser: one
    made anew for every call is compiled anew.

    Args:
      function: one input -> an array of any shape; differentiable in forward mode where Jacobians
        have a weight.
      network: a ``Network``, or any pytree of real arrays that is called like one, with outputs of
        the shape of the function's.
      inputs: examples [n, *shape], of which up to a tenth are kept for the errors; or a sampler,
        key -> one input.
      optimizer: of optax.
      n_steps: updates.
      batch_size: inputs of an update, drawn independently.
      jacobian_weight: w; the Python number 0 leaves Jacobians out.
      n_directions: along which a Jacobian is met at every input of a batch.
      n_fresh: inputs on which the errors are measured; of examples at most a tenth.
      key: of everything.

    Raises:
      SettingError: a number is out of range, or the optimiser is none of optax.
      ShapeError: outputs of network and function differ in shape, or there are fewer than two
        examples.
      StructureError: the network has no arrays, or others than real floating-point ones.

    >>> from physdl import networks
    >>> def member(key):
    ...     build_key, key = jax.random.split(key)
    ...     network = networks.mlp(2, 1, widths=(16,), key=build_key)
    ...     return imitate(
    ...         lambda x: jnp.sin(x[:1] + x[1:] ** 2),
    ...         network,
    ...         lambda key: jax.random.uniform(key, (2,), minval=-1.0),
    ...         optimizer=optax.adam(1e-2),
    ...         n_steps=1000,
    ...         batch_size=32,
    ...         key=key,
    ...     )
    >>> member(jax.random.key(0)).value_error < 0.05
    Array(True, dtype=bool)
    >>> ensemble = jax.vmap(member)(jax.random.split(jax.random.key(1), 3))
    >>> values = jax.vmap(lambda network: network(jnp.array([0.3, 0.6])))(ensemble.network)
    >>> values.shape, bool(jnp.all(jnp.abs(values - jnp.sin(0.66)) < 0.1))
    ((3, 1), True)
    """
    checked_optimizer(optimizer)
    numbers = {"n_steps": n_steps, "batch_size": batch_size, "n_directions": n_directions}
    for name, value in {**numbers, "n_fresh": n_fresh}.items():
        positive(value, name)
    with_jacobian = not (isinstance(jacobian_weight, int | float) and jacobian_weight == 0)
    if not is_traced(jacobian_weight) and not np.all(np.asarray(jacobian_weight) >= 0):
        raise SettingError(f"the weight of Jacobians is not negative, got {jacobian_weight}.")
    arrays, rest = divided((function, inputs if callable(inputs) else _examples(inputs)))
    found: Imitation[N] = _imitated(
        arrays,
        network,
        jnp.asarray(jacobian_weight, float),
        key,
        rest=rest,
        optimizer=optimizer,
        n_steps=n_steps,
        batch_size=batch_size,
        n_directions=n_directions if with_jacobian else 0,
        n_fresh=n_fresh,
    )
    return found


def imitation_errors(
    function: Function,
    network: Function,
    inputs: ArrayLike,
    *,
    key: Key[Array, ""],
    n_directions: int = 1,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The relative errors of values and of Jacobians on given inputs, [n, *shape].

    sqrt(<|f - g|^2> / <|g - <g>|^2>) and sqrt(<|Df - Dg|^2> / <|Dg|^2>), the latter along random
    directions at every input, or exactly where there are at least as many as components of it.

    Raises:
      SettingError: there is no direction.
      ShapeError: outputs differ in shape, or there are fewer than two inputs.

    >>> x = jnp.linspace(-1.0, 1.0, 101)[:, None]
    >>> value, slope = imitation_errors(
    ...     lambda x: 2.0 * x, lambda x: 2.2 * x + 1.0, x, key=jax.random.key(0)
    ... )
    >>> round(float(slope), 6)
    0.1
    """
    positive(n_directions, "n_directions")
    arrays, rest = divided((function, network))
    value, jacobian = _errors_of(arrays, _examples(inputs).inputs, key, rest=rest, k=n_directions)
    return value, jacobian


@functools.partial(
    jax.jit,
    static_argnames=("rest", "optimizer", "n_steps", "batch_size", "n_directions", "n_fresh"),
)
def _imitated(
    arrays: list[Any],
    network: N,
    weight: Float[Array, ""],
    key: Key[Array, ""],
    *,
    rest: tuple[Any, ...],
    optimizer: optax.GradientTransformation,
    n_steps: int,
    batch_size: int,
    n_directions: int,
    n_fresh: int,
) -> Imitation[N]:
    function, inputs = joined(arrays, rest)
    split_key, scale_key, train_key, fresh_key = random.split(key, 4)
    if isinstance(inputs, Examples):
        kept, fresh = _parted(inputs, n_fresh, split_key)
        draw: Sampler = Examples(kept)
    else:
        draw, fresh = inputs, drawn(inputs, split_key, n_fresh)
    seen_key, v_key = random.split(scale_key)
    seen = drawn(draw, seen_key, N_SCALE)
    _same_shapes(function, network, seen[0])
    scales, constant = scales_of(function, seen, v_key, n_directions)
    loss = Disagreement(function, draw, scales, weight, batch_size, n_directions)
    done = trained(loss, network, train_key, optimizer=optimizer, n_steps=n_steps)
    value, jacobian = relative_errors(function, done.result, fresh, fresh_key, n_directions)
    healthy = done.status == TrainingStatus.OK.value
    status = jnp.where(healthy & constant, TrainingStatus.CONSTANT.value, done.status)
    return Imitation(done.result, done.losses, value, jacobian, status.astype(jnp.int32))


@functools.partial(jax.jit, static_argnames=("rest", "k"))
def _errors_of(
    arrays: list[Any], x: Array, key: Key[Array, ""], *, rest: tuple[Any, ...], k: int
) -> tuple[Array, Array]:
    function, network = joined(arrays, rest)
    _same_shapes(function, network, x[0])
    return relative_errors(function, network, x, key, k)


def _examples(inputs: ArrayLike) -> Examples:
    x = jnp.asarray(inputs)
    if x.ndim < 1 or len(x) < 2:
        raise ShapeError(
            f"examples are inputs [n, *shape] with n of two at least, got an array of shape "
            f"{x.shape}."
        )
    return Examples(real(x))


def _parted(examples: Examples, n_fresh: int, key: Key[Array, ""]) -> tuple[Array, Array]:
    """Examples to train on, and examples to measure errors on."""
    x = jax.random.permutation(key, examples.inputs)
    n = len(x) - min(n_fresh, max(1, len(x) // HELD_OUT))
    return x[:n], x[n:]


def _same_shapes(function: Function, network: Function, x: Array) -> None:
    shapes = [jax.eval_shape(f, x).shape for f in (function, network)]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"the network has outputs of shape {shapes[1]} and the function of {shapes[0]}: build "
            f"the network for the latter."
        )
