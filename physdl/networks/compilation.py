r"""Hamiltonians as networks: any polynomial by about four neurons a multiplication.

Lin & Tegmark (arXiv:1608.08225) answer why cheap learning works with a construction: Hamiltonians
of physics are polynomials of low degree, a multiplication takes four neurons, so a network of
fixed size computes H to any accuracy. Here the construction is a compiler,

    H(x) = c_0 + sum_m c_m prod_k x_mk    ->    affine maps and activations, with a bill,

for every Hamiltonian of physdl. The number of neurons does not depend on the accuracy; the weights
do, and floating point ends the bargain (``CostReport.precision_floor``).

Layouts differ in how a monomial is multiplied out:

| layout | a product of n different variables | neurons |
|---|---|---|
| ``"tree"`` | pairs, then pairs of pairs | 4 (n - 1), in ceil(log2 n) layers |
| ``"grouped"`` | groups, then groups of groups, at most ``depth`` layers | ``optimal_grouping`` |
| ``"flat"`` | all at once | 2^n, in one layer |
| ``"horner"`` | the whole polynomial as x q + r, again in q and in r | 4 a multiplication |

The tree count for n = 32 is 124; the "160" quoted from the paper (by a reading note) is neither
that nor 4 n. A number that a later layer needs is read from the layer where it is made, so no
neurons are spent on carrying it (``gates.identity`` does it with two).
"""

import math

import jax
import jax.numpy as jnp

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError, StructureError, UnknownNameError
from physdl.hamiltonian import Hamiltonian
from physdl.networks import gates as gate_designs
from physdl.networks._circuit import LAYOUTS, Layout, circuit_of
from physdl.networks._compiled import compiled
from physdl.networks._cost import largest_weight, measured_error, n_neurons, n_synapses
from physdl.networks._domain import configurations, monomials_of, ranges_of
from physdl.networks._precision import Gates, bounds_of, fitted, precision_floor, predicted_error
from physdl.networks.activations import SOFTPLUS, Activation
from physdl.networks.cost_report import CostReport, status_of
from physdl.networks.gates import Bias
from physdl.networks.network import Network, freeze
from physdl.pytree import is_traced
from physdl.spaces import Line, Product

__all__ = ["compile_polynomial"]


@jax.ensure_compile_time_eval()
@cites("lin2017")
def compile_polynomial(
    h: Hamiltonian,
    activation: Activation = SOFTPLUS,
    *,
    layout: Layout = "tree",
    tolerance: float | None = None,
    radius: float | None = None,
    bias: Bias = "auto",
    depth: int = 2,
) -> tuple[Network, CostReport]:
    """A Flax network that computes H(x), and what it costs.

    The network takes a configuration of shape ``h.state_shape`` and is differentiable in it, so
    that minus its gradient is the force. It is compiled from ``h.expand()``: on a finite space it
    computes H at the points of the space. Its coefficients must have values: under a transform of
    them compile first, and differentiate the network.

    ``tolerance`` is the absolute error in k_B T that the network may have on the whole domain, by a
    bound to first order in the errors of its gates; without one the weights are those of least
    error. ``radius`` bounds every variable on a line:
    the domain is abs(x) <= radius. ``depth`` is the most layers of a monomial in the layout
    ``"grouped"``. ``bias`` as in ``gates.monomial``. Errors of the report are measured at 256
    configurations, always the same, drawn uniformly.

    A tolerance below the precision floor is reported in ``CostReport.status``. For the Ising model
    on 6 x 6 sites at K = 0.44 the floor is 2.8e-9 in float64 and 1.9e-3 in float32; for a phi^4
    field on 4 x 4 sites (r = -1, u = 1/2, radius 1.5) 3.6e-8 and 2.4e-2, and 6.4e-6 and 0.41 in the
    layout ``"flat"``, as gates of order n divide by lambda^n.

    Raises:
      SpaceError: the space has a line and no radius is given.
      StructureError: a table holds an infinite energy, a coefficient is not finite, or ``h`` has
        no values yet because it is traced.
      SettingError: the activation has no suitable derivative (the message suggests a bias), or an
        argument is out of its range.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(3, 3), 0.4, field=0.1)
    >>> network, report = compile_polynomial(h, tolerance=1e-6)
    >>> x = jnp.ones((3, 3))
    >>> bool(abs(network(x) - h(x)) < 1e-6), report.neurons, report.depth  # 18 bonds
    (True, 72, 1)
    """
    _check(h, layout, tolerance, radius, depth)
    dtype = jnp.result_type(float)
    n_inputs = math.prod(h.state_shape)
    circuit = circuit_of(monomials_of(h), n_inputs, layout, depth)
    bounds = bounds_of(circuit, ranges_of(h, radius))
    designs: Gates = {
        kind: gate_designs.monomial(activation, kind, bias=bias, scale=1.0)
        for kind in sorted(bounds.amplification)
    }
    floor = precision_floor(designs, bounds, dtype)
    designs = fitted(designs, bounds, tolerance or 0.0, dtype)
    network = freeze(compiled(circuit, designs, bounds, h.state_shape))
    x = configurations(h, radius)
    report = CostReport(
        neurons=n_neurons(circuit, designs),
        synapses=n_synapses(circuit, designs),
        depth=circuit.depth,
        largest_weight=largest_weight(network),
        tolerance=tolerance,
        predicted_error=predicted_error(
            circuit, designs, bounds, x.reshape(len(x), n_inputs), dtype
        ),
        measured_error=measured_error(network, h, x),
        precision_floor=floor,
        scales=tuple((kind, g.bias, g.scale) for kind, g in designs.items()),
        status=status_of(tolerance, floor, dtype),
    )
    return network, report


def _check(
    h: Hamiltonian, layout: str, tolerance: float | None, radius: float | None, depth: int
) -> None:
    if layout not in LAYOUTS:
        raise UnknownNameError("layout", layout, LAYOUTS)
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise SettingError(f"a tolerance is a number > 0 in k_B T, got {tolerance!r}.")
    if depth < 1:
        raise SettingError(f"the depth of a grouping is at least 1, got {depth!r}.")
    if is_traced(h):
        raise StructureError(
            "the coefficients of this Hamiltonian have no values yet: compile outside of jit, "
            "vmap and grad, and differentiate the network."
        )
    spaces = h.space.spaces if isinstance(h.space, Product) else (h.space,)
    if any(isinstance(s, Line) for s in spaces) and radius is None:
        raise SpaceError(
            "a network approximates on a bounded domain, and variables on a line have no bound: "
            "give radius=..., the largest absolute value they take."
        )
    if radius is not None and not 0 < radius < math.inf:
        raise SettingError(f"a radius is a number > 0, got {radius!r}.")
