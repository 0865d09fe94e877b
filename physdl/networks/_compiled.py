r"""The Flax module of a circuit: levels of gates, each a gather, a small product and a sum.

Values are kept in one vector, inputs first; every level reads any of them and appends its own. A
level of gates of equal exponents is three arrays with the gates on the last axis, so that a large
lattice needs no matrix between levels:

    z_mg = bias_mg + sum_k inner_kmg v[table_gk],        v'_g = sum_m outer_mg s(z_mg).
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.networks._circuit import Circuit, GateNode, SumNode
from physdl.networks._precision import Bounds, Gates
from physdl.networks.activations import Activation
from physdl.networks.network import one_configuration
from physdl.pytree import Table

Weights: TypeAlias = NDArray[Any]

__all__ = ["CompiledPolynomial", "GateLevel", "SumLevel", "compiled"]


class GateLevel(nnx.Module):
    """Gates of one kind, one a column; weights of shape [n_read, n_neurons, n_gates] and less."""

    def __init__(
        self, activation: Activation, table: Weights, inner: Weights, outer: Weights, bias: Weights
    ):
        dtype = jnp.result_type(float)
        self.activation = activation
        self.table = Table(table)
        self.inner = nnx.Param(jnp.asarray(inner, dtype))
        self.bias = nnx.Param(jnp.asarray(bias, dtype))
        self.outer = nnx.Param(jnp.asarray(outer, dtype))

    def __call__(self, values: Float[Array, " n"]) -> Float[Array, " gates"]:
        """The monomials of the values so far."""
        read = values[self.table.array]
        steps = jnp.sum(self.inner[...] * read[:, None, :], axis=0)
        return jnp.sum(self.outer[...] * self.activation(self.bias[...] + steps), axis=0)


class SumLevel(nnx.Module):
    """Sums of values with weights, by a sparse matrix."""

    def __init__(self, nodes: Sequence[SumNode], place: Mapping[int, int]):
        dtype = jnp.result_type(float)
        self.table = Table([place[v] for node in nodes for v in node.nodes])
        self.row = Table(np.repeat(np.arange(len(nodes)), [len(node.nodes) for node in nodes]))
        self.weight = nnx.Param(jnp.asarray([w for node in nodes for w in node.weights], dtype))
        self.constant = nnx.Param(jnp.asarray([node.constant for node in nodes], dtype))

    @property
    def dtype(self) -> jnp.dtype:
        """Floating type of the weights."""
        return self.constant[...].dtype

    def __call__(self, values: Float[Array, " n"]) -> Float[Array, " sums"]:
        """The sums of the values so far."""
        constant = self.constant[...]
        products = self.weight[...] * values[self.table.array]
        if len(constant) == 1:
            return constant + jnp.sum(products)
        return constant + jax.ops.segment_sum(
            products, self.row.array, len(constant), indices_are_sorted=True
        )


class CompiledPolynomial(nnx.Module):
    """A configuration to its energy, through levels of gates and sums."""

    def __init__(
        self,
        levels: Sequence[GateLevel | SumLevel],
        output: SumLevel,
        state_shape: tuple[int, ...],
    ):
        self.levels = nnx.List(levels)
        self.output = output
        self.state_shape = state_shape

    def __call__(self, x: ArrayLike) -> Float[Array, ""]:
        """The energy of one configuration."""
        state = one_configuration(x, self.state_shape)
        values = state.astype(self.output.dtype).reshape(-1)
        for level in self.levels:
            values = jnp.concatenate([values, level(values)])
        return self.output(values)[0]


def compiled(
    circuit: Circuit,
    gates: Gates,
    bounds: Bounds,
    state_shape: tuple[int, ...],
) -> CompiledPolynomial:
    """The module of a circuit whose last node is the output."""
    place = {v: v for v in range(circuit.n_inputs)}
    groups: dict[tuple[int, bool, tuple[int, ...]], list[int]] = {}
    for number, node in itertools.islice(circuit.numbered(), len(circuit.nodes) - 1):
        exponents = node.exponents if isinstance(node, GateNode) else ()
        key = (circuit.levels[number], not exponents, exponents)
        groups.setdefault(key, []).append(number)
    levels: list[GateLevel | SumLevel] = []
    for _, numbers in sorted(groups.items()):
        nodes = [circuit.nodes[number - circuit.n_inputs] for number in numbers]
        sums = [node for node in nodes if isinstance(node, SumNode)]
        products = [node for node in nodes if isinstance(node, GateNode)]
        levels.append(
            SumLevel(sums, place) if sums else _gate_level(products, place, gates, bounds)
        )
        for number in numbers:
            place[number] = len(place)
    output = circuit.nodes[-1]
    assert isinstance(output, SumNode)
    return CompiledPolynomial(levels, SumLevel([output], place), state_shape)


def _gate_level(
    nodes: Sequence[GateNode],
    place: Mapping[int, int],
    gates: Gates,
    bounds: Bounds,
) -> GateLevel:
    read = np.array([node.nodes for node in nodes]).T
    gate = gates[nodes[0].exponents]
    size = np.array(bounds.ranges)[read]
    return GateLevel(
        gate.activation,
        np.vectorize(place.__getitem__)(read),
        inner=gate.scale * gate.grid[:, :, None] / size[:, None, :],
        outer=gate.outer[:, None] * np.prod(size ** np.array(gate.exponents)[:, None], axis=0),
        bias=np.full((gate.n_neurons, len(nodes)), gate.bias),
    )
