r"""Flows: a map applied again and again, and the free energy that its steps sum up.

    f = -sum_n b^(-d n) w(k_n),        k_(n+1) = R(k_n),

in k_B T per site of the first lattice: every step sums w out of the sites that are left (K. G.
Wilson, Rev. Mod. Phys. 47, 773 (1975)). What remains after the last step weighs b^(-d n).
"""

import functools
import math
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.errors import SettingError
from physdl.pytree import is_traced
from physdl.rg._base import RGMap, RGStep

__all__ = ["flow", "free_energy"]

S = TypeVar("S")


def flow(rg: RGMap, couplings: S, n_steps: int) -> RGStep[S]:
    """The steps of a map from these couplings; each field gains a leading axis of ``n_steps``.

    Raises:
      SettingError: ``n_steps`` is less than one.

    >>> from physdl import rg
    >>> steps = rg.flow(rg.MigdalKadanoff(scale=2, dim=1), jnp.array([1.0]), 3)
    >>> steps.couplings.shape
    (3, 1)
    """
    if n_steps < 1:
        raise SettingError(f"a flow has one or more steps, got n_steps={n_steps}.")
    steps: RGStep[S] = _flow(rg, couplings, n_steps)
    return steps


@functools.partial(jax.jit, static_argnames="n_steps")
def _flow(rg: RGMap, couplings: S, n_steps: int) -> RGStep[S]:
    def step(k: S, _: None) -> tuple[S, RGStep[S]]:
        out = rg(k)
        return out.couplings, out

    steps: RGStep[S] = jax.lax.scan(step, couplings, length=n_steps)[1]
    return steps


def free_energy(rg: RGMap, couplings: S, n_steps: int | None = None) -> Float[Array, ""]:
    """-log Z per site, in k_B T, of the infinite lattice, from the steps of a flow.

    Without ``n_steps`` there are as many as leave less than one site in 2^53.

    Raises:
      SettingError: ``n_steps`` is missing while ``scale`` or ``dim`` is traced.

    >>> from physdl import rg
    >>> f = rg.free_energy(rg.MigdalKadanoff(scale=2, dim=1), jnp.array([0.7]))
    >>> bool(jnp.isclose(f, -jnp.log(2 * jnp.cosh(0.7)), rtol=1e-6))
    True
    """
    if n_steps is None:
        if is_traced((rg.scale, rg.dim)):
            raise SettingError("give n_steps where the scale or dimension of the map is traced.")
        n_steps = math.ceil(53 * math.log(2) / (float(rg.dim) * math.log(float(rg.scale))))
    weights = flow(rg, couplings, n_steps).log_weight
    shares = (1.0 * rg.scale) ** (-rg.dim * jnp.arange(n_steps).astype(weights.dtype))
    return -jnp.sum(shares * weights)
