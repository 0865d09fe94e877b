r"""The flattening cost, measured: how much larger a network must be with fewer layers.

For a function f that a deep network computes with N(f) neurons, the flattening cost at l hidden
layers (Lin, Tegmark & Rolnick, arXiv:1608.08225, Eqs. 25 and 26) is

    C(f, l, eps) = min over networks of l hidden layers within eps of f of N(flat) / N(f),

C_n where N counts neurons and C_s where it counts synapses, the nonzero weights. A no-flattening
theorem is a lower bound above 1. What training can give is the other side: a flat network that was
found is an *upper* bound of the minimum. None found says nothing, since training may have failed.

Convention: "within eps" means the largest absolute error at test inputs that no training saw. It is
measured, not proved, between them.

For the product of four numbers in [-1, 1] within 0.1 (12 neurons and 52 synapses as a tree of
gates), 6000 steps of Adam from three starts find one layer of 32 tanh neurons and not of 16:
C_n <= 2.67, C_s <= 3.08, though 16 neurons have the Taylor coefficients (``shallow_rank``). The
flat networks have biases, which are not counted.

Consequence: natural Hamiltonians have degree at most 4, so that one layer costs at most 2^4 neurons
for each of their monomials and the exponential advantage of depth does not apply to them. Depth
must be justified otherwise (``physdl.theory.hierarchy``), and no theorem of this kind is known.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError, ShapeError
from physdl.learning import imitate
from physdl.networks import TANH, Activation, CostReport, Network, mlp
from physdl.pytree import module, static

__all__ = ["Flattening", "flattening_cost"]

MOST_AT_ONCE = 2**12


@module
class Flattening:
    """Flat networks of growing width against one deep network.

    Attributes:
      network: the best of the last width, from the flattened input to one number: the certificate.
      widths: neurons of each hidden layer of the networks that were trained, in this order.
      errors: the largest absolute error at the test inputs of the best start at each width.
      tolerance: what was asked for.
      n_layers: hidden layers of the flat networks.
      synapses: weights of ``network`` that are not zero; biases are not counted.
      deep: counts of the deep network.
    """

    network: Network
    widths: tuple[int, ...] = static()
    errors: tuple[float, ...] = static()
    tolerance: float = static()
    n_layers: int = static()
    synapses: int = static()
    deep: CostReport = static()

    @property
    def found(self) -> bool:
        """Whether a flat network kept the tolerance."""
        return self.errors[-1] <= self.tolerance

    @property
    def neurons(self) -> int:
        """Of ``network``."""
        return self.n_layers * self.widths[-1]

    @property
    def neuron_cost(self) -> float:
        """Upper bound of C_n; infinite where nothing was found, which proves nothing."""
        return self.neurons / self.deep.neurons if self.found else float("inf")

    @property
    def synapse_cost(self) -> float:
        """Upper bound of C_s; infinite where nothing was found."""
        return self.synapses / self.deep.synapses if self.found else float("inf")

    def __repr__(self) -> str:
        layers = f"{self.n_layers} layer{'s' if self.n_layers > 1 else ''}"
        if not self.found:
            return (
                f"no network of {layers} found within {self.tolerance:.3g} "
                f"(least error {min(self.errors):.3g})"
            )
        return (
            f"C_n <= {self.neuron_cost:.3g}, C_s <= {self.synapse_cost:.3g} at {layers} "
            f"within {self.tolerance:.3g}"
        )


@module
class _Standardised:
    """The function of a flattened input, shifted and scaled to mean 0 and variance 1."""

    function: Callable[[Array], Float[Array, ""]]
    centre: Float[Array, ""]
    spread: Float[Array, ""]
    shape: tuple[int, ...] = static()

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, "1"]:
        return ((self.function(x.reshape(self.shape)) - self.centre) / self.spread).reshape(1)


def flattening_cost(
    function: Callable[[Array], Float[Array, ""]],
    deep: CostReport,
    inputs: ArrayLike,
    n_layers: int,
    *,
    tolerance: float,
    widths: Sequence[int],
    optimizer: Any,
    n_steps: int,
    batch_size: int = 256,
    n_starts: int = 4,
    activation: Activation = TANH,
    key: Key[Array, ""],
) -> Flattening:
    """Train flat networks of growing width (``learning.imitate``) until one keeps the tolerance.

    Args:
      function: what the deep network computes, of one input; the network itself, or the polynomial.
      deep: its counts, as ``compile_polynomial`` reports them.
      inputs: the domain as examples, [n, *shape]; every fourth is for testing.
      n_layers: hidden layers of the flat networks.
      tolerance: eps, the largest absolute error at the test inputs.
      widths: of every hidden layer, in the order of trials; trials end with the first success.
      optimizer: of optax.
      n_steps: updates of each training.
      batch_size: inputs of an update.
      n_starts: networks trained at once for each width.
      activation: of the flat networks.
      key: of initial weights and batches.

    Raises:
      SettingError: a number is out of its range, or the optimizer is none of optax.
      ShapeError: there are fewer than 8 inputs, or the function does not return one number.

    >>> import optax
    >>> from physdl import lattices, models
    >>> from physdl.networks import compile_polynomial
    >>> h = models.ising(lattices.chain(3), 0.5)
    >>> network, deep = compile_polynomial(h, tolerance=1e-3)
    >>> spins = jax.random.choice(jax.random.key(0), jnp.array([-1.0, 1.0]), (64, 3))
    >>> trained = dict(optimizer=optax.adam(0.02), n_steps=400, n_starts=2)
    >>> cost = flattening_cost(
    ...     h, deep, spins, 1, tolerance=0.1, widths=[2, 4, 8], key=jax.random.key(1), **trained
    ... )
    >>> cost.found, cost.neuron_cost < 1  # 12 neurons as compiled
    (True, True)
    """
    if not tolerance > 0 or n_layers < 1 or batch_size < 1 or n_starts < 1 or not widths:
        raise SettingError(
            f"tolerance, n_layers, batch_size and n_starts are positive and there are widths, got "
            f"{tolerance!r}, {n_layers!r}, {batch_size!r}, {n_starts!r}, {list(widths)!r}."
        )
    x = jnp.asarray(inputs, jnp.result_type(float))
    if x.ndim < 2 or len(x) < 8:
        raise ShapeError(f"inputs have shape [n, *shape] with n >= 8, got {x.shape}.")
    y = jnp.asarray(_values(function, x))
    if y.ndim != 1:
        raise ShapeError(f"the function returns one number, got shape {y.shape[1:]}.")
    flat = x.reshape(len(x), -1)
    test = np.arange(len(x)) % 4 == 3
    centre, spread = jnp.mean(y), jnp.maximum(jnp.std(y), np.finfo(y.dtype).tiny)
    target = _Standardised(function, centre, spread, x.shape[1:])
    errors: list[float] = []
    for position, width in enumerate(widths):
        hidden = (int(width),) * n_layers

        def trained(
            key: Key[Array, ""], hidden: tuple[int, ...] = hidden
        ) -> tuple[Network, Float[Array, ""]]:
            start, steps = jax.random.split(key)
            begin = mlp(flat.shape[1], 1, widths=hidden, activation=activation, key=start)
            after = imitate(
                target,
                begin,
                flat[~test],
                optimizer=optimizer,
                n_steps=n_steps,
                batch_size=batch_size,
                jacobian_weight=0,
                key=steps,
            )
            network = _in_units(after.network, n_layers, centre, spread)
            found = _values(network, flat[test])[:, 0]
            return network, jnp.max(jnp.abs(found - y[test]))

        starts = jax.random.split(jax.random.fold_in(key, position), n_starts)
        networks, error = jax.vmap(trained)(starts)
        best = int(jnp.argmin(jnp.where(jnp.isnan(error), jnp.inf, error)))
        errors.append(float(error[best]))
        network = jax.tree.map(operator.itemgetter(best), networks)
        if errors[-1] <= tolerance:
            break
    return Flattening(
        network,
        widths=tuple(int(w) for w in widths[: len(errors)]),
        errors=tuple(errors),
        tolerance=float(tolerance),
        n_layers=n_layers,
        synapses=sum(
            int(np.count_nonzero(v)) for v in jax.tree.leaves(network.params) if v.ndim == 2
        ),
        deep=deep,
    )


def _in_units(
    network: Network, last: int, centre: Float[Array, ""], spread: Float[Array, ""]
) -> Network:
    """The network with its last layer scaled from standardised outputs to those of the function."""

    def scaled(path: tuple[Any, ...], leaf: Array) -> Array:
        if path[1].key != last:
            return leaf
        return leaf * spread + (centre if leaf.ndim == 1 else jnp.zeros_like(centre))

    return Network(jax.tree_util.tree_map_with_path(scaled, network.params), network.graphdef)


def _values(function: Callable[[Array], Array], x: Float[Array, "n ..."]) -> Array:
    """The function at all inputs, a few at a time."""
    values: Array = jax.lax.map(function, x, batch_size=min(len(x), MOST_AT_ONCE))
    return values
