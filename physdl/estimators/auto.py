"""The exact method that suits a Hamiltonian, chosen by structure and size.

The choice looks at what is static (space, shape, which sites interact), so it is the same under
``jit``; but tables of known values may be seen to have no field, and to have lost digits. It takes
the first of these that applies:

1. a quadratic field on the line: the Gaussian integral; another one: quadrature, and of its nodes
   what follows;
2. few configurations: enumeration;
3. two layers without couplings inside: the sum over the states of one of them;
4. few operations layer by layer: the transfer matrix;
5. spins without a field on a planar graph or a torus: the Kac-Ward determinant, and the next method
   where its digits turn out to be spoilt;
6. layers along an axis: the transfer matrix, or the contraction of the tensor network where that
   takes far fewer operations;
7. many configurations, but not too many: enumeration again.
"""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from physdl.errors import PhysdlError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, Estimator, Status
from physdl.estimators.contraction import Contraction
from physdl.estimators.enumeration import Enumeration
from physdl.estimators.gaussian import Gaussian
from physdl.estimators.layer_sum import LayerSum, walked_layer
from physdl.estimators.planar import Planar
from physdl.estimators.quadrature import Quadrature, discretised
from physdl.estimators.transfer_matrix import TransferMatrix
from physdl.hamiltonian import Hamiltonian
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.pytree import is_traced, module, static
from physdl.spaces import LINE, Finite, Line, Product, Space

__all__ = ["Auto"]

FEW = 2**16
MOST = 2**36
CHEAP = 1e9
ADVANTAGE = 10.0
MOST_OPERATIONS = 1e12
MOST_DRAWN = 10**5
MOST_OF_NODES = 1e10


@module
class Auto:
    """Exact log Z by the method that suits the Hamiltonian.

    Attributes:
      max_memory: bytes a method may take.
      search_seconds: time to look for a contraction order.

    Raises:
      SpaceError: no exact method knows the space.
      TooLargeError: no exact method can finish.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.2)
    >>> Auto()(h)
    log Z = 11.77147036 (exact) [OK]
    >>> Auto().choose(h)[1]
    'only 65536 configurations'
    """

    max_memory: int = static(default=4 * 2**30)
    search_seconds: float = static(default=5.0)

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate of the chosen method, with the reason in its ``method``."""
        method, reason = self.choose(h)
        estimate = method(h, key=key)
        if isinstance(method, Planar) and _lost_digits(estimate):
            with contextlib.suppress(TooLargeError):
                method, reason = self._choose(h, planar=False)
                estimate = method(h, key=key)
        return dataclasses.replace(estimate, method=f"{estimate.method}; chosen: {reason}")

    def choose(self, h: Hamiltonian) -> tuple[Estimator, str]:
        """The method, and why."""
        return self._choose(h, planar=True)

    def _choose(self, h: Hamiltonian, *, planar: bool) -> tuple[Estimator, str]:
        if h.space == LINE and h.degree <= 2:
            return Gaussian(max_memory=self.max_memory), "the Hamiltonian is quadratic"
        one_layer = _log2_of_a_layer(h)
        summable = one_layer + np.log2(max(h.n_sites, 1)) <= np.log2(MOST_OPERATIONS)
        by_layer = LayerSum(MOST), f"two layers, one of 2^{one_layer:.0f} states"
        if summable and not _is_finite(h):
            return by_layer
        if _is_real(h):
            return self._quadrature(h), "real sites are summed over nodes"
        sizes = state_counts(require_finite(h.space, "exact counting"), h.n_sites)
        log2 = float(np.sum(np.log2(sizes)))
        if log2 <= np.log2(FEW):
            return Enumeration(), f"only {2**log2:.0f} configurations"
        if summable:
            return by_layer
        transfer = TransferMatrix(max_memory=self.max_memory)
        try:
            layers = jax.eval_shape(transfer.layers, h)
        except PhysdlError:
            layers = None
        if layers is not None and layers.operations <= CHEAP:
            return transfer, f"{layers.n_layers} layers of 2^{layers.log2_states:.0f} states"
        if planar and h.n_sites <= MOST_DRAWN:
            with contextlib.suppress(PhysdlError):
                determinant = Planar(max_memory=self.max_memory)
                if determinant.blocks(h).operations <= MOST_OPERATIONS:
                    return determinant, "spins without a field on a planar graph or torus"
        contraction = Contraction(self.max_memory, self.search_seconds)
        refusal = "it would take too many operations"
        try:
            _, plan = contraction.plan(h)
            if layers is not None and layers.operations <= ADVANTAGE * plan.operations:
                return transfer, f"{layers.n_layers} layers of 2^{layers.log2_states:.0f} states"
            if plan.operations <= MOST_OPERATIONS:
                return contraction, f"the network has width {plan.width:.0f}"
        except PhysdlError as error:
            refusal = str(error).rstrip(".")
        if log2 <= np.log2(MOST):
            return Enumeration(MOST), f"2^{log2:.0f} configurations can be enumerated"
        raise TooLargeError(
            f"no exact method can do {h.n_sites} sites with 2^{log2:.0f} configurations "
            f"(contraction: {refusal}): use a smaller system or a sampled method."
        )

    def _quadrature(self, h: Hamiltonian) -> Quadrature:
        real = Quadrature(estimator=self)
        nodes = discretised(h, jnp.ones((), h.dtype), real.n_nodes)
        method, _ = self._choose(nodes, planar=False)
        if isinstance(method, Contraction) and method.plan(nodes)[1].operations > MOST_OF_NODES:
            raise TooLargeError(
                f"quadrature of {h.n_sites} real sites takes too many operations with "
                f"{real.n_nodes} nodes a site: use Quadrature with fewer, or a sampled method."
            )
        return real


def _log2_of_a_layer(h: Hamiltonian) -> float:
    """log2 of the states of the smaller of two layers; ``inf`` where there are none."""
    try:
        return walked_layer(h)[1]
    except StructureError:
        return np.inf


def _is_finite(h: Hamiltonian) -> bool:
    return all(isinstance(kind, Finite) for kind in _kinds(h))


def _is_real(h: Hamiltonian) -> bool:
    kinds = _kinds(h)
    some = any(isinstance(kind, Line) for kind in kinds)
    return some and all(isinstance(kind, Finite | Line) for kind in kinds)


def _kinds(h: Hamiltonian) -> tuple[Space, ...]:
    return h.space.spaces if isinstance(h.space, Product) else (h.space,)


def _lost_digits(estimate: Estimate) -> bool:
    """Whether a known estimate says so; a traced one cannot."""
    return not is_traced(estimate.status) and bool(jnp.any(estimate.status == Status.PRECISION))
