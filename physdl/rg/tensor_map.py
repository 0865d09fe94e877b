r"""Coarse-graining of tensors as a renormalization-group map.

The couplings are the network of a scheme of ``physdl.tensors``: a tensor, or a tensor and weights.
A step takes out log_norm / b^d nats per tensor,

    Z(T) = exp(N w) Z(T'),        w = log_norm / b^d,

so flows, the free energy and critical points are those of any other map. The fixed point of such a
map is a tensor up to rotations of its legs, which need not come back the same; so exponents are
read from the spectrum of a transfer matrix (``tensors.conformal_data``) and not from its Jacobian.
"""

from typing import Any

from jaxtyping import Array, Float

from physdl.errors import SettingError
from physdl.pytree import module, static
from physdl.rg._base import RGStep
from physdl.tensors import Scheme

__all__ = ["TensorRG"]


@module
class TensorRG:
    """A scheme as an ``RGMap``.

    Attributes:
      scheme: a ``Scheme``, such as ``tensors.HOTRG(chi=16)``.
      dim: the dimension d of the lattice.

    Raises:
      SettingError: ``dim`` is less than one.

    >>> from physdl import lattices, models, reference, rg, tensors
    >>> hotrg = rg.TensorRG(tensors.HOTRG(chi=8))
    >>> start = hotrg.start(tensors.bulk(models.ising(lattices.square(2, 2), 0.3)))
    >>> f = rg.free_energy(hotrg, start)
    >>> bool(abs(f + reference.onsager_log_z(0.3)) < 1e-6)
    True
    """

    scheme: Scheme
    dim: int = static(default=2)

    def __post_init__(self) -> None:
        if not self.dim >= 1:
            raise SettingError(f"a lattice has one dimension or more, got dim={self.dim}.")

    @property
    def scale(self) -> float:
        """The length ratio b of one step."""
        return self.scheme.scale

    def start(self, tensor: Float[Array, "..."]) -> Any:
        """The couplings of a bulk tensor."""
        return self.scheme.start(tensor)

    def __call__(self, couplings: Any) -> RGStep[Any]:
        """The network of the coarser lattice."""
        step = self.scheme.step(couplings)
        return RGStep(step.network, step.log_norm / self.scale**self.dim, step.error)
