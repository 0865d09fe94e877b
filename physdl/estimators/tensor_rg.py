r"""log Z of a lattice by coarse-graining its tensors.

A translation-invariant model on a periodic box is a torus of equal tensors. A scheme of
``physdl.tensors`` makes the torus smaller until it is a ring, whose trace is Z. The error is that
of truncated bond dimensions: systematic, not known beyond the discarded weight, and smaller for
larger chi, so no standard error is claimed. Derivatives are those of the truncated sum itself.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from physdl.errors import LatticeError
from physdl.estimators._base import Estimate, Status
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module
from physdl.tensors import ATRG, BTRG, HOTRG, Scheme, log_z
from physdl.tensors.bulk_tensors import dimension, scaled_bulk

__all__ = ["TensorRG"]


@module
class TensorRG:
    """log Z of a torus, accurate to the truncation of a scheme.

    ``info`` holds the discarded part of every step (``error``), the kept singular values
    (``spectrum``), and log Z per site of the infinite lattice (``infinite``, from as many steps as
    the torus takes). The status is TRUNCATED where a step divided equal singular values.

    Attributes:
      scheme: a ``Scheme``, such as ``tensors.TRG(chi=16)``. By default ``HOTRG(chi=64)`` on a
        chain, ``BTRG(chi=24)`` in two dimensions and ``ATRG(chi=10)`` in three.

    Raises:
      SpaceError: the space is not finite.
      StructureError: coefficients or boundaries differ from place to place, or interactions reach
        too far.
      LatticeError: the box cannot be halved to a ring.
      ShapeError: the model needs a larger bond dimension than the scheme has.

    >>> from physdl import lattices, models, reference, tensors
    >>> estimate = TensorRG(tensors.TRG(chi=16))(models.ising(lattices.square(32, 32), 0.4))
    >>> bool(jnp.isclose(estimate.log_z, reference.kaufman_log_z(32, 32, 0.4), rtol=1e-6))
    True
    """

    scheme: Scheme | None = None

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        estimate: Estimate = _estimate(self.scheme or _default(dimension(h)), h)
        return estimate


def _default(dim: int) -> Scheme:
    defaults: dict[int, Scheme] = {1: HOTRG(chi=64), 2: BTRG(chi=24), 3: ATRG(chi=10)}
    if dim not in defaults:
        raise LatticeError(f"no scheme coarsens {dim} dimensions: use a sampled method.")
    return defaults[dim]


@jax.jit
def _estimate(scheme: Scheme, h: Hamiltonian) -> Estimate:
    dim = dimension(h)
    tensor, log_scale = scaled_bulk(h, dim)
    box = h.shape[:dim]
    n_tensors = jnp.asarray(float(math.prod(box)), tensor.dtype)
    found, history = log_z(scheme, tensor, box)
    value = (found + n_tensors * log_scale).astype(h.dtype)
    infinite = (history.log_z_per_tensor + log_scale) * n_tensors / h.n_sites
    none = jnp.full_like(value, jnp.inf)
    status = jnp.select(
        [~jnp.isfinite(value), jnp.any(history.cut)],
        [Status.NONFINITE.value, Status.TRUNCATED.value],
        Status.OK.value,
    )
    info = {"error": history.error, "spectrum": history.spectrum, "infinite": infinite}
    method = f"{type(scheme).__name__}, bond dimension {scheme.chi}"
    unclaimed = jnp.full_like(value, jnp.nan)
    return Estimate(
        value, unclaimed, -none, none, status.astype(jnp.int32), info, method, h.n_sites
    )
