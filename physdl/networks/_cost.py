"""Counts and measurements of a compiled network."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.networks._circuit import Circuit, GateNode
from physdl.networks._precision import Gates
from physdl.networks.network import Network

__all__ = ["largest_weight", "measured_error", "n_neurons", "n_synapses"]


def measured_error(
    network: Network, function: Callable[[Array], Array], x: NDArray[np.float64]
) -> float:
    states = jnp.asarray(x, jnp.result_type(float))

    def difference(state: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.abs(network(state) - function(state).astype(states.dtype))

    return float(jnp.max(jax.jit(jax.vmap(difference))(states)))


def n_neurons(circuit: Circuit, designs: Gates) -> int:
    nodes = (node for node in circuit.nodes if isinstance(node, GateNode))
    return sum(designs[node.exponents].n_neurons for node in nodes)


def n_synapses(circuit: Circuit, designs: Gates) -> int:
    """Nonzero weights when sums are multiplied out: of a gate to all neurons of what it reads."""
    reads: list[frozenset[int]] = [frozenset([v]) for v in range(circuit.n_inputs)]
    fan_out = [1] * circuit.n_inputs
    total = 0
    for number, node in circuit.numbered():
        if isinstance(node, GateNode):
            gate = designs[node.exponents]
            for neuron in gate.grid.T:
                used = (reads[v] for v, step in zip(node.nodes, neuron, strict=True) if step)
                total += sum(fan_out[source] for source in frozenset().union(*used))
            reads.append(frozenset([number]))
            fan_out.append(gate.n_neurons)
        else:
            reads.append(frozenset().union(*(reads[v] for v in node.nodes)))
            fan_out.append(0)
    return total + sum(fan_out[source] for source in reads[-1])


def largest_weight(network: Network) -> float:
    leaves = map(np.asarray, jax.tree.leaves(network.params))
    return max((float(np.abs(leaf).max()) for leaf in leaves if leaf.size), default=0.0)
