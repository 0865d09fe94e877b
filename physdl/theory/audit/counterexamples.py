r"""The dispute of 2014-2016 as three constructions, each a kernel to be audited.

*The identity* (P. Mehta and D. J. Schwab, arXiv:1410.3831, Eqs. 18 and 21). For any Boltzmann
machine E(v, h) and any H(v) the kernel T = H - E has H' = H_RBM(h) = -ln Tr_v exp(-E): coarse
Hamiltonian and hidden free energy are the same function by construction. It holds for every value
of the parameters, trained or not, and therefore cannot select a coarse-graining.

*Equal free energies are not enough* (H. W. Lin and M. Tegmark, arXiv:1608.08225v1, App. A; dropped
in v3). For any H(y) and K(y)

    H(y, y') = H(y) + H(y') + K(y) + ln Z~,        Z~ = sum_y exp(-H(y) - K(y)),

has Z_tot = Z, but the marginal of y is exp(-H - K) / Z~, at the distance <K>_P + ln(Z~ / Z) from P.
D. J. Schwab and P. Mehta (arXiv:1609.03541) answer that it violates the trace condition; indeed
Tr_{y'} exp(T) = Z exp(-K) / Z~, which is one only for constant K.

*The trace condition is not enough either* (arXiv:1608.08225v2, App. B). E = H(v) + H'(h) + ln Z'
gives R(v) = 0 for every v, and the coarse Hamiltonian is H' whatever H is, "a cat in a thermal
bath". As Z is preserved it is H' + ln(Z' / Z): equal to H' up to that constant, which the sources
drop. The hidden variables then know nothing of the visible ones, I(v; h) = 0, and that is what
``audit`` reports: the condition says that nothing false is added, not that anything is kept.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.numerics import logsumexp
from physdl.pytree import is_traced
from physdl.theory.audit.tables import energy_table, joint_table

__all__ = ["lin_tegmark", "mehta_schwab", "noninteracting"]


@cites("mehta2014")
def mehta_schwab(
    e: Hamiltonian | ArrayLike,
    h: Hamiltonian | ArrayLike,
    *,
    visible: NumpyArrayLike | None = None,
) -> Float[Array, "n_v n_h"]:
    """T(v, h) = H(v) - E(v, h), the kernel whose coarse Hamiltonian is that of the hidden units.

    arXiv:1410.3831, Eq. 18. Its trace is exp(R) = Tr_h exp(T) = exp(H(v) - H_RBM(v)).

    Args:
      e: a Hamiltonian over visible and hidden sites, or its energies [n_v, n_h].
      h: the Hamiltonian of the visible sites, or its energies [n_v].
      visible: the visible sites of ``e``, where it is a Hamiltonian.

    Raises:
      SettingError: ``e`` is a Hamiltonian and no visible sites are named.
      ShapeError: the numbers of visible configurations differ.

    >>> from physdl import lattices, models
    >>> from physdl.theory.audit import coarse_hamiltonian
    >>> machine = models.rbm(jnp.array([[0.3, 0.1], [-0.2, 0.7]]), jnp.array([0.1, 0.4]))
    >>> t = mehta_schwab(machine, jnp.array([0.0, 1.0, 2.0, 0.5]), visible=[0, 1])
    >>> hidden = machine.marginalise([0, 1])
    >>> h_rg = coarse_hamiltonian(t, jnp.array([0.0, 1.0, 2.0, 0.5]))
    >>> bool(jnp.allclose(h_rg, energy_table(hidden), rtol=1e-5))
    True
    """
    if isinstance(e, Hamiltonian):
        if visible is None:
            raise SettingError(
                f"a joint Hamiltonian of {e.n_sites} sites needs its visible sites: give visible="
                f"[...]."
            )
        joint = joint_table(e, visible)
    else:
        joint = jnp.asarray(e, dtype=float)
    energies = energy_table(h)
    if joint.ndim != 2 or len(joint) != len(energies):
        raise ShapeError(
            f"the energies of a machine have shape [{len(energies)}, n_h] to fit the visible "
            f"Hamiltonian, got {joint.shape}."
        )
    return energies[:, None] - joint


@cites("lin2017")
def lin_tegmark(h: Hamiltonian | ArrayLike, k: ArrayLike) -> Float[Array, "n n"]:
    """The kernel T(y, y') = -H(y') - K(y) - ln Z~: equal free energies, another distribution.

    Its coarse Hamiltonian is H itself, and y' is independent of y.

    Args:
      h: H(y), of n configurations.
      k: K(y), shape [n], not constant.

    Raises:
      ShapeError: K is not given for every configuration.
      SettingError: K is constant, and the example shows nothing.

    >>> from physdl.theory.audit import free_energy_preserving, jensen_gap
    >>> h, k = jnp.array([0.0, 1.0, 0.3]), jnp.array([0.5, -0.5, 0.0])
    >>> t = lin_tegmark(h, k)
    >>> bool(abs(free_energy_preserving(t, h).difference) < 1e-6), bool(jensen_gap(t, h) > 0.05)
    (True, True)
    """
    energies, extra = energy_table(h), jnp.asarray(k, dtype=float)
    if extra.shape != energies.shape:
        raise ShapeError(
            f"K has one number for each of {len(energies)} configurations, got {extra.shape}."
        )
    if not is_traced(extra) and np.ptp(np.asarray(extra)) == 0:
        raise SettingError("a constant K changes no distribution: give one that varies.")
    level = logsumexp(-energies - extra)
    return -(extra + level)[:, None] - energies[None, :]


def noninteracting(n_visible: int, coarse: Hamiltonian | ArrayLike) -> Float[Array, "n_v n_h"]:
    """T(v, h) = -H'(h) - ln Z': any coarse Hamiltonian one likes, from any H.

    Args:
      n_visible: the number of visible configurations.
      coarse: H'(h), any.

    Raises:
      SettingError: there is no visible configuration.

    >>> from physdl.theory.audit import trace_condition
    >>> bool(trace_condition(noninteracting(4, jnp.array([0.3, 2.0]))).residual < 1e-6)
    True
    """
    if n_visible < 1:
        raise SettingError(f"there is at least one visible configuration, got {n_visible}.")
    energies = energy_table(coarse)
    log_p = -energies - logsumexp(-energies)
    return jnp.broadcast_to(log_p, (n_visible, len(energies)))
