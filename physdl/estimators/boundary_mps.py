r"""log Z of a finite box row by row, its boundary kept as a product of matrices.

Couplings, fields and constraints may differ everywhere, and each axis may be open or closed, so
this reaches where neither symmetry (``TensorRG``) nor a plane without a field (``Planar``) helps:
spin glasses in a field on thousands of sites. The cost is linear in the number of cells and grows
as chi^3.

Small boxes are exact: nothing is cut where the rows from either end fit into chi states. Elsewhere
the error of log Z is systematic, and no standard error is claimed. By how much log Z changes when
chi is halved measures it from above in practice, as errors fall fast with chi; it is no bound.

Derivatives are those of the truncated sum, to second order.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from physdl.bibliography import cites
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status, exact
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.tensors._base import check_chi
from physdl.tensors._box import Box, box
from physdl.tensors.boundary_mps import Contracted, contract_box, is_exact

__all__ = ["BoundaryMPS"]


@cites("schollwoeck2011")
@module
class BoundaryMPS:
    """log Z of open boxes, cylinders and tori of two axes, accurate to a truncation.

    ``info`` holds the change of log Z against a boundary of chi / 2 states (``change``, nats), the
    discarded weight of all rows (``error``: a part of squared norms) and the cosine of the angle
    between the vectors from either end (``overlap``). The status is TRUNCATED where ``change`` is
    above ``tolerance``, and PRECISION where weights of one cell differ by more than floating-point
    numbers hold.

    Attributes:
      chi: the number of states kept between neighbouring sites of the boundary.
      tolerance: the largest ``change`` that is not reported, in nats.

    Raises:
      SettingError: ``chi`` is less than 2, or ``tolerance`` is not positive.
      SpaceError: the space is not finite.
      LatticeError: the shape is not two axes of cells, with perhaps one of sites of a cell.
      StructureError: an interaction reaches beyond the neighbouring cell, or sites of different
        cells have different numbers of states.
      TooLargeError: the tensors of all cells have too many entries.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(20, 20, periodic=False), 0.3, 0.1)
    >>> BoundaryMPS(chi=8)(h)
    log Z = 324.76091 [OK]
    """

    chi: int = static(default=32)
    tolerance: float = static(default=1e-2)

    def __post_init__(self) -> None:
        check_chi(self.chi)
        if not self.tolerance > 0:
            raise SettingError(f"a tolerance is positive, got {self.tolerance}.")

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        estimate: Estimate = _estimate(self, h)
        return estimate


@functools.partial(jax.jit, static_argnums=0)
def _estimate(settings: BoundaryMPS, h: Hamiltonian) -> Estimate:
    network = box(h)
    shape, periodic = network.tensors.shape, network.periodic
    method = f"boundary of {settings.chi} states, {shape[0]} x {shape[1]} cells"
    if is_exact(shape, periodic, settings.chi):
        found = contract_box(network.tensors, periodic, settings.chi)
        return _whole((found.log_z + network.log_scale).astype(h.dtype), h, method, found, network)
    network = box(h, balanced=True)
    found = contract_box(network.tensors, periodic, settings.chi)
    half = contract_box(jax.lax.stop_gradient(network.tensors), periodic, settings.chi // 2)
    change = jnp.abs(jax.lax.stop_gradient(found.log_z) - half.log_z)
    log_z = (found.log_z + network.log_scale).astype(h.dtype)
    return _cut(log_z, h, method, found, change, settings)


def _whole(log_z: Array, h: Hamiltonian, method: str, found: Contracted, network: Box) -> Estimate:
    """Nothing was cut: exact, unless weights are lost that numbers cannot hold."""
    precise = max(network.tensors.shape[:2]) * network.spread < -math.log(np.finfo(h.dtype).tiny)
    out = exact(log_z, h, method, precise=precise, info=_info(found))
    lost = ~precise & jnp.isneginf(log_z)
    status = jnp.where(lost, Status.PRECISION, out.status).astype(jnp.int32)
    return dataclasses.replace(out, status=status)


def _cut(
    log_z: Array,
    h: Hamiltonian,
    method: str,
    found: Contracted,
    change: Array,
    settings: BoundaryMPS,
) -> Estimate:
    """Something was cut: no error is claimed."""
    info = {**_info(found), "change": change}
    status = jnp.select(
        [~jnp.isfinite(info["error"]), ~(jnp.isfinite(log_z) & (change <= settings.tolerance))],
        [Status.NONFINITE.value, Status.TRUNCATED.value],
        Status.OK.value,
    ).astype(jnp.int32)
    unclaimed, none = jnp.full_like(log_z, jnp.nan), jnp.full_like(log_z, jnp.inf)
    return Estimate(log_z, unclaimed, -none, none, status, info, method, h.n_sites)


def _info(found: Contracted) -> dict[str, Array]:
    return {"error": jnp.sum(found.discarded), "overlap": found.overlap}
