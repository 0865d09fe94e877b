"""The one place where Flax meets physdl: a network frozen into a pure pytree.

An ``nnx.Module`` is mutable and its mutations are silently lost under ``jax.jit``. ``Network``
splits it once into structure (``graphdef``) and parameters, so that everything above sees a pure
callable that can be jitted, batched and differentiated like any other noun of physdl.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import ShapeError, StructureError
from physdl.pytree import module, static

__all__ = ["Network", "build", "freeze", "one_configuration"]


@module
class Network:
    """A pure function of one input, differentiable in the input and in ``params``.

    Attributes:
      params: every parameter of the Flax module, a pytree of arrays.
      graphdef: its structure.
    """

    params: nnx.State[Any, Any]
    graphdef: nnx.GraphDef[Any] = static()

    def __call__(self, x: ArrayLike) -> Float[Array, "..."]:
        """Evaluate on one input; ``jax.vmap`` for many."""
        output: Array = nnx.merge(self.graphdef, self.params)(x)
        return output

    @property
    def n_parameters(self) -> int:
        """The number of parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def freeze(model: nnx.Module) -> Network:
    """The module as a pure function: its parameters are data, all else is structure.

    Raises:
      StructureError: the module has state that is no ``nnx.Param`` (running means, counters,
        random numbers), which a pure function cannot change.
    """
    if not isinstance(model, nnx.Module):
        raise StructureError(f"a network is made of an nnx.Module, got {type(model).__name__}.")
    graphdef, params, *rest = nnx.split(model, nnx.Param, ...)
    if jax.tree.leaves(rest):
        kinds = sorted({type(v).__name__ for _, v in nnx.to_flat_state(rest[0])})
        raise StructureError(
            f"a network is a pure function of nnx.Param, but this module also keeps "
            f"{', '.join(kinds)}: leave out layers with running state or dropout."
        )
    return Network(params, graphdef)


def build(make: Callable[[nnx.Rngs], nnx.Module], *, key: Key[Array, ""]) -> Network:
    """Initialise a Flax module and freeze it; ``jax.vmap`` over keys builds an ensemble.

    ``make`` is given the ``nnx.Rngs`` that its layers take. Parameters have the dtype that the
    layers were asked for: pass ``param_dtype=jnp.result_type(float)``, since Flax uses float32
    even in double precision.

    Raises:
      StructureError: ``make`` returns no module, or one with state that is no parameter.

    >>> import jax.numpy as jnp
    >>> line = lambda rngs: nnx.Linear(3, 2, param_dtype=jnp.result_type(float), rngs=rngs)
    >>> network = build(line, key=jax.random.key(0))
    >>> network(jnp.ones(3)).shape, network.n_parameters
    ((2,), 8)
    """
    return freeze(make(nnx.Rngs(key)))


def one_configuration(x: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The input as an array, or ``ShapeError`` where it is none of that shape."""
    state = jnp.asarray(x)
    if state.shape != shape:
        raise ShapeError(
            f"the network takes one configuration of shape {shape}, got {state.shape}: for a "
            f"batch use jax.vmap(network)(batch)."
        )
    return state
