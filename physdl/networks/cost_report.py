"""What a compiled network costs and how right it is."""

import dataclasses

from physdl.pytree import module, static

__all__ = ["CostReport"]


@module
class CostReport:
    """Counts of a compiled network, and its error as predicted and as measured.

    Errors are absolute, in the units of the output (k_B T for a Hamiltonian).

    Attributes:
      neurons: applications of the activation; affine maps are free, as is reading an earlier layer.
      synapses: nonzero weights from neurons and inputs into neurons and into the output, when
        consecutive affine maps are multiplied out; biases are not counted.
      depth: hidden layers.
      largest_weight: largest absolute weight of all layers.
      tolerance: the error asked for over the whole domain, or ``None``.
      predicted_error: largest error expected at the test configurations, from Taylor coefficients
        and unit roundoff.
      measured_error: largest difference between the network and the function there.
      precision_floor: the least error bound that any weights of this network reach in its dtype.
      scales: (exponents, bias, lambda) of every kind of gate; for boolean networks
        (exponents, bias, beta).
      status: ``"OK"``, or in a sentence why the tolerance is not kept.
    """

    neurons: int = static()
    synapses: int = static()
    depth: int = static()
    largest_weight: float = static()
    tolerance: float | None = static()
    predicted_error: float = static()
    measured_error: float = static()
    precision_floor: float = static()
    scales: tuple[tuple[tuple[int, ...], float, float], ...] = static()
    status: str = static(default="OK")

    @property
    def ok(self) -> bool:
        """Whether the network keeps what was asked for."""
        return self.status == "OK"

    def __str__(self) -> str:
        fields = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        shown = {k: f"{v:.3g}" if isinstance(v, float) else str(v) for k, v in fields}
        return "\n".join(f"{name.replace('_', ' '):16} {value}" for name, value in shown.items())


def status_of(tolerance: float | None, floor: float, dtype: object) -> str:
    """Whether a tolerance can be kept."""
    if tolerance is None or tolerance >= floor:
        return "OK"
    return (
        f"the tolerance {tolerance:.3g} is below {floor:.3g}, the least error that {dtype} "
        f"arithmetic allows this network: its weights are the best there are."
    )
