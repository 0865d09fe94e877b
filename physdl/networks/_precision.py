r"""How wrong a circuit of gates is, from the Taylor coefficients of its activation alone.

Two questions are answered without running the network. *How large can the error be* on the whole
domain: every gate of kind g reads numbers in [-1, 1] and errs by at most d_g(lambda), its
truncation to sixth order and three standard deviations of rounding; to first order errors add, so
that the output errs by at most sum_g A_g d_g with amplifications A_g that depend on the polynomial
and on the range of its variables only. This fixes lambda for a tolerance.
*How large is it* at given configurations: the circuit is replayed in float64 with the error of
every gate to sixth order in lambda, and a variance of rounding beside it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from physdl.networks._circuit import Circuit, GateNode
from physdl.networks.gates.designs import LARGEST_REACH, best, error_bound, rescaled
from physdl.networks.gates.gate import Gate

__all__ = ["Bounds", "bounds_of", "fitted", "precision_floor", "predicted_error"]

Rows: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = tuple[int, ...]
Gates: TypeAlias = Mapping[Kind, Gate]

N_BISECTIONS = 60


class Bounds(NamedTuple):
    """Of every node the largest absolute value; of the output the amplification of each kind."""

    ranges: tuple[float, ...]
    amplification: Mapping[Kind, float]


def bounds_of(circuit: Circuit, ranges: Rows) -> Bounds:
    """Bounds from those of the inputs, shape [n_inputs]."""
    size = [float(r) or 1.0 for r in ranges]
    errors: list[dict[Kind, float]] = [{} for _ in size]
    for _, node in circuit.numbered():
        if isinstance(node, GateNode):
            powers = list(zip(node.nodes, node.exponents, strict=True))
            out = math.prod(size[v] ** r for v, r in powers)
            parts = [(r * out / size[v], errors[v]) for v, r in powers]
            parts.append((out, {node.exponents: 1.0}))
        else:
            parts = [(abs(w), errors[v]) for v, w in zip(node.nodes, node.weights, strict=True)]
            terms = zip(node.nodes, node.weights, strict=True)
            out = abs(node.constant) + sum(abs(w) * size[v] for v, w in terms)
        total: dict[Kind, float] = {}
        for weight, error in parts:
            for kind, value in error.items():
                total[kind] = total.get(kind, 0.0) + weight * value
        size.append(out or 1.0)
        errors.append(total)
    return Bounds(tuple(size), errors[-1])


def precision_floor(gates: Gates, bounds: Bounds, dtype: np.dtype[Any]) -> float:
    """The least error bound of the output that any lambda gives in the precision."""
    amplified = sum(
        bounds.amplification[kind] * error_bound(best(gate, dtype), dtype)
        for kind, gate in gates.items()
    )
    return amplified + _of_the_sum(bounds, dtype)


def _of_the_sum(bounds: Bounds, dtype: np.dtype[Any]) -> float:
    return float(np.finfo(np.dtype(dtype)).eps) * bounds.ranges[-1]


def fitted(
    gates: Gates, bounds: Bounds, tolerance: float, dtype: np.dtype[Any]
) -> dict[Kind, Gate]:
    """The gate of each kind with the largest lambda that keeps the output within the tolerance.

    All kinds share one error; a kind that cannot reach it stays at its best, and so do all
    where the tolerance is below the floor.
    """
    finest = {kind: best(gate, dtype) for kind, gate in gates.items()}
    least = {kind: error_bound(gate, dtype) for kind, gate in finest.items()}
    budget = tolerance - _of_the_sum(bounds, dtype)

    def total(error: float) -> float:
        return sum(bounds.amplification[kind] * max(error, least[kind]) for kind in gates)

    if not gates or not total(0.0) < budget:
        return finest
    error = _largest(lambda e: total(e) <= budget, min(least.values()), 1.0)

    def coarsest(kind: Kind) -> Gate:
        allowed = max(error, least[kind])
        holds = lambda scale: error_bound(rescaled(gates[kind], scale), dtype) <= allowed
        return rescaled(gates[kind], _largest(holds, finest[kind].scale, LARGEST_REACH / sum(kind)))

    return {kind: coarsest(kind) for kind in gates}


def _largest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number between two where a condition that holds at the lower one holds."""
    if holds(high):
        return high
    for _ in range(N_BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


class Replay(NamedTuple):
    """Of one node at every configuration: value, truncation error and variance of rounding."""

    value: Rows
    error: Rows
    variance: Rows


def predicted_error(
    circuit: Circuit, gates: Gates, bounds: Bounds, x: Rows, dtype: np.dtype[Any]
) -> float:
    """The largest error expected at configurations x, shape [n_configurations, n_inputs].

    Truncation at each of them, and the size that the largest of so many normal rounding errors has.
    """
    zero = np.zeros(len(x))
    played = [Replay(column, zero, zero) for column in x.T]
    for number, node in circuit.numbered():
        read = [played[v] for v in node.nodes]
        if isinstance(node, GateNode):
            size = np.array([bounds.ranges[v] for v in node.nodes])
            own = bounds.ranges[number] * gates[node.exponents].rounding(dtype)
            played.append(_through_gate(gates[node.exponents], read, size, own))
        else:
            terms = list(zip(node.weights, read, strict=True))
            played.append(
                Replay(
                    sum((w * r.value for w, r in terms), node.constant + zero),
                    sum((w * r.error for w, r in terms), zero),
                    sum((w**2 * r.variance for w, r in terms), zero),
                )
            )
    _, error, variance = played[-1]
    spread = math.sqrt(2 * math.log(max(len(x), 2)))
    rounding = spread * float(np.sqrt(np.max(variance, initial=0.0)))
    return float(np.max(np.abs(error), initial=0.0)) + rounding + _of_the_sum(bounds, dtype) / 4


def _through_gate(gate: Gate, read: Sequence[Replay], size: Rows, own: float) -> Replay:
    powers = np.array(gate.exponents)
    at = np.stack([r.value for r in read], axis=-1)
    moved = at + np.stack([r.error for r in read], axis=-1)
    exact = np.prod(at**powers, axis=-1)
    error = np.prod(moved**powers, axis=-1) * (1 + gate.truncation(moved / size)) - exact
    variance = np.full(len(at), own**2)
    for k, r in enumerate(read):
        lowered = at ** (powers - (np.arange(len(powers)) == k))
        variance += (powers[k] * np.prod(lowered, axis=-1)) ** 2 * r.variance
    return Replay(exact, error, variance)
