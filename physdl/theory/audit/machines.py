r"""Restricted Boltzmann machines as coarse-grainings: their kernels, and how exact they are.

Two kernels belong to a machine with energy E. Its conditional p(h | v) is a stochastic map, which
leaves every distribution of v alone. That of P. Mehta and D. J. Schwab (arXiv:1410.3831, Eq. 18),

    T = H - E,        R(v) = log Tr_h exp(T) = H(v) - F(v),        F = -log sum_h exp(-E),

does so where R is constant, which is to say where the machine has learned exp(-H). On lattices that
cannot be enumerated the Jensen gap is known from both log Z, since <e^R>_P = Z_machine / Z:

    KL(P || p_machine) = log Z_machine - log Z - <R>_P,

for which configurations drawn under H suffice: no average of e^R is taken, which few
configurations would dominate.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.ensemble import Ensemble
from physdl.errors import SpaceError
from physdl.estimators import Estimate
from physdl.networks import RBM
from physdl.spaces import Finite
from physdl.statistics import Mean
from physdl.theory.audit.block_kernels import block_kernel

__all__ = ["jensen_gap_of_log_z", "machine_kernel", "machine_trace"]


def machine_kernel(machine: RBM) -> Float[Array, "n_v n_h"]:
    """log p(h | v) of every visible and hidden configuration.

    Raises:
      SpaceError: a layer is not finite.
      TooLargeError: the kernel has more than 2^24 entries.

    >>> machine = RBM(jnp.array([[1.0], [-1.0]]))
    >>> [round(float(t), 4) for t in machine_kernel(machine)[:, 1]]  # log sigma(v_1 - v_2)
    [-0.6931, -1.3133, -0.3133, -0.6931]
    """
    hidden = machine.hidden
    if not isinstance(machine.visible, Finite) or not isinstance(hidden, Finite):
        raise SpaceError(
            f"a kernel has finitely many rows and columns, got units {machine.visible!r} and "
            f"{hidden!r}."
        )
    states = jnp.asarray(hidden.array[:, 0])

    def probabilities(v: Array) -> Array:
        return jax.nn.softmax(machine.hidden_fields(v)[:, None] * states[None, :], axis=1)

    return block_kernel(probabilities, (machine.n_visible,), space=machine.visible)


def machine_trace(machine: RBM, h: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """R(v) = H(v) - F(v), a function of one configuration of the shape that H takes.

    Above the first level of a stack H is ``hidden_free_energy`` of the machine below.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.chain(2, periodic=False), 0.5)
    >>> blind = RBM(jnp.zeros((2, 1)), visible=h.space)
    >>> round(float(machine_trace(blind, h)(jnp.ones(2))), 4)  # -0.5 + log 2
    0.1931
    """
    return lambda v: h(v) - machine.free_energy(v.reshape(machine.visible_bias.shape))


def jensen_gap_of_log_z(
    log_trace: Callable[[Array], Array],
    ensemble: Ensemble,
    *,
    log_z: Estimate,
    log_z_coarse: Estimate,
) -> Mean:
    """KL(P || p_lambda) = log Z' - log Z - <R>_P in nats, with the errors of all three.

    Args:
      log_trace: R of one configuration.
      ensemble: drawn under H.
      log_z: of H.
      log_z_coarse: log Z' of the joint weight exp(T - H); of a machine its log Z.

    >>> from physdl import lattices, models, sampling
    >>> from physdl.estimators import Enumeration, LayerSum
    >>> h = models.ising(lattices.chain(4), 0.5)
    >>> machine = RBM(jnp.zeros((4, 1)), visible=h.space)
    >>> found = jensen_gap_of_log_z(
    ...     machine_trace(machine, h),
    ...     sampling.exact_sample(h, n=2000, key=jax.random.key(0)),
    ...     log_z=Enumeration()(h),
    ...     log_z_coarse=LayerSum()(machine),
    ... )
    >>> exact = 4 * jnp.log(2.0) - Enumeration()(h).log_z + 4 * 0.5 * 0.5363  # <s s'>
    >>> bool(abs(found.value - exact) < 4 * found.stderr)
    True
    """
    r = ensemble.expectation(log_trace)
    errors = jnp.stack([log_z.stderr, log_z_coarse.stderr, r.stderr])
    value = log_z_coarse.log_z - log_z.log_z - r.value
    return Mean(value, jnp.sqrt(jnp.sum(errors**2)))
