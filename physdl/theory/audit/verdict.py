r"""The audit: is this coarse-graining a renormalization?

Five questions, each a number of this package, because each was at some time taken for the whole:

| question | number | what it does not tell |
|---|---|---|
| is the free energy preserved? | ln Z' - ln Z | the distribution (``lin_tegmark``) |
| does it leave the fine distribution alone? | Jensen gap | whether h knows v (``noninteracting``) |
| does h know v? | I(v; h) | whether it knows what matters |
| is the coarse Hamiltonian local? | range, m-bodyness | |
| does it keep what is far away? | I(H; E) / I(V; E) | |

Consequence: "H_RG = H_RBM" is not among them. It holds for every Boltzmann machine.
"""

import math

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.hamiltonian import Hamiltonian
from physdl.lattices import Lattice
from physdl.pytree import module
from physdl.spaces import SPIN, Finite
from physdl.theory.audit.bodies import Locality, locality
from physdl.theory.audit.retained import InformationKept
from physdl.theory.audit.trace import (
    coarse_hamiltonian,
    free_energy_preserving,
    jensen_gap,
    log_joint,
    trace_condition,
)
from physdl.theory.hierarchy.information import log_mutual_information

__all__ = ["Audit", "audit"]


@module
class Audit:
    """What is known of one coarse-graining step; information in nats.

    Attributes:
      residual: the largest abs(R(v)) of the trace condition.
      free_energy_difference: ln Z' - ln Z.
      jensen_gap: KL(P || p_lambda).
      information: I(v; h) under the joint weight exp(T - H).
      locality: of the coarse Hamiltonian, or ``None``.
      kept: information about the environment, or ``None``.
    """

    residual: Float[Array, ""]
    free_energy_difference: Float[Array, ""]
    jensen_gap: Float[Array, ""]
    information: Float[Array, ""]
    locality: Locality | None
    kept: InformationKept | None

    @property
    def tolerance(self) -> float:
        """What counts as zero: the square root of the precision."""
        return math.sqrt(float(np.finfo(self.residual.dtype).eps))

    @property
    def is_exact(self) -> bool:
        """Whether the fine distribution is the marginal of the joint one."""
        return bool(abs(self.jensen_gap) < self.tolerance)

    @property
    def preserves_free_energy(self) -> bool:
        """Whether Z' = Z."""
        return bool(abs(self.free_energy_difference) < self.tolerance)

    @property
    def is_informative(self) -> bool:
        """Whether the coarse variables depend on the fine ones."""
        return bool(self.information > self.tolerance)

    @property
    def is_renormalization(self) -> bool:
        """Exact, free energy preserved, and coarse variables that know the fine ones.

        Every block rule is that much; whether it is a good one, ``locality`` and ``kept`` tell.
        """
        return self.is_exact and self.preserves_free_energy and self.is_informative

    @property
    def verdict(self) -> str:
        """The audit as sentences."""
        lines = [
            f"{'An exact step' if self.is_renormalization else 'No exact step'} of a "
            f"renormalization group.",
            "The trace condition holds."
            if bool(self.residual < self.tolerance)
            else f"The trace condition is violated by up to {float(self.residual):.3g}.",
            "The fine distribution is unchanged."
            if self.is_exact
            else f"The fine distribution is another one, KL = {float(self.jensen_gap):.4g} nats.",
            "The free energy is preserved."
            if self.preserves_free_energy
            else f"ln Z changes by {float(self.free_energy_difference):.4g}.",
            f"Coarse variables know {float(self.information):.4g} nats of the fine ones."
            if self.is_informative
            else "Coarse variables know nothing of the fine ones.",
        ]
        if self.locality is not None:
            lines.append(
                f"Coarse couplings: range {float(self.locality.rangeness):.3g}, m-bodyness "
                f"{float(self.locality.m_bodyness):.3g}."
            )
        if self.kept is not None:
            lines.append(
                f"Of what a block knows of its environment {float(self.kept.share):.4g} is kept."
            )
        return " ".join(lines)

    def __repr__(self) -> str:
        try:
            return self.verdict
        except (TypeError, ValueError):  # traced or batched: no single number to show
            return f"Audit(jensen_gap={self.jensen_gap})"


def audit(
    kernel: ArrayLike,
    h: Hamiltonian | ArrayLike,
    *,
    lattice: Lattice | None = None,
    space: Finite = SPIN,
    kept: InformationKept | None = None,
) -> Audit:
    """Audit the step with kernel T(v, h) from the Hamiltonian H(v), exactly.

    Args:
      kernel: T(v, h), [n_v, n_h]: from ``block_kernel``, ``mehta_schwab``, or any other.
      h: the Hamiltonian of v, or its energies [n_v].
      lattice: of the coarse sites, where the coarse Hamiltonian's locality is asked for.
      space: of a coarse site.
      kept: from ``information_kept``, to be part of the report.

    Raises:
      ShapeError: the kernel does not fit the Hamiltonian, or the coarse lattice the kernel.
      TooLargeError: the Hamiltonian has more than 2^24 configurations.

    >>> import jax.numpy as jnp
    >>> from physdl import lattices, models, rg
    >>> from physdl.theory.audit import block_kernel, noninteracting
    >>> ring = models.ising(lattices.chain(8), 1.0)
    >>> every_other = block_kernel(rg.BlockDecimation(2), (8,))
    >>> audit(every_other, ring, lattice=lattices.chain(4)).is_renormalization
    True
    >>> audit(noninteracting(256, jnp.array([0.0, 1.0])), ring).is_informative
    False
    """
    local = None
    if lattice is not None:
        local = locality(coarse_hamiltonian(kernel, h), lattice, space=space)
    return Audit(
        residual=trace_condition(kernel).residual,
        free_energy_difference=free_energy_preserving(kernel, h).difference,
        jensen_gap=jensen_gap(kernel, h),
        information=log_mutual_information(log_joint(kernel, h)),
        locality=local,
        kept=kept,
    )
