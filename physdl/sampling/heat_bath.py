r"""Heat bath (Gibbs sampling): every site is drawn from its conditional distribution.

    p(s_i = s | rest) = exp(-E_i(s)) / sum_s' exp(-E_i(s'))

On finite spaces the distribution is summed, for any Hamiltonian. On spheres a linear field F leaves
the von Mises-Fisher distribution exp(-F . s), drawn by rejection (A. T. A. Wood, Commun. Stat.
Simul. 23, 157 (1994)); on the line a quadratic energy a s^2 + b s leaves a normal distribution.
Sites that share no term are drawn at once, class after class.

Each update is reversible; a sweep through the classes in a fixed order leaves exp(-H) invariant
without being reversible.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.errors import StructureError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info
from physdl.sampling._local import Local, sweep
from physdl.spaces import Finite, Line

__all__ = ["HeatBath"]

TINY = 1e-30


@module
class HeatBath:
    """One sweep of heat bath over all sites.

    Attributes:
      constrained: set it where forbidden configurations exist (``+inf`` energies) and you know that
        single-site changes connect all allowed ones; ``run`` refuses such models otherwise.

    Raises:
      StructureError: a site of a sphere has more than a linear energy, or one of the line more than
        a quadratic one.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.square(8, 8), 0.3)
    >>> x, info = sampling.HeatBath()(h, jnp.ones((8, 8)), key=jax.random.key(0))
    >>> bool(jnp.all(jnp.abs(x) == 1)), 0 < float(info["changed"]) < 1
    (True, True)
    """

    constrained: bool = static(default=False)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """The next configuration, and the fraction of sites that ``"changed"``."""
        x, changed = sweep(h, state, _draw, key=key)
        return x, {"changed": changed}


def _draw(local: Local, old: Float[Array, "m c"], key: Key[Array, ""]) -> Float[Array, "m c"]:
    if local.is_binary:
        up = random.bernoulli(key, random.logistic(-local.gap()))
        return local.state(up.astype(jnp.int32))
    if isinstance(local.space, Finite):
        return local.state(random.categorical(key, -local.energies()))
    if isinstance(local.space, Line):
        return _gaussian(local, old, key)
    return _von_mises_fisher(-linear_field(local, old), key)


def linear_field(local: Local, old: Float[Array, "m c"]) -> Float[Array, "m c"]:
    """The vector F of an energy F . s.

    Raises:
      StructureError: the energy has other terms.
    """
    other = [p for p in local.fields if len(p) != 1]
    if other:
        raise StructureError(
            f"the field on a site of {local.space!r} must be linear here, but the energy has the "
            f"monomial of components {other[0]}: use Metropolis."
        )
    zero = jnp.zeros_like(old[:, 0])
    return jnp.stack([local.fields.get((a,), zero) for a in range(old.shape[1])], axis=1)


def quadratic_form(local: Local, old: Float[Array, "m 1"]) -> tuple[Array, Array]:
    """a and b of an energy a s^2 + b s on the line.

    Raises:
      StructureError: the energy has other powers.
    """
    higher = [p for p in local.fields if len(p) > 2]
    if higher:
        raise StructureError(
            f"the energy of a site on the line must be quadratic here, but it has the power "
            f"{len(higher[0])}: use Metropolis or HMC."
        )
    zero = jnp.zeros_like(old[:, 0])
    return local.fields.get((0, 0), zero), local.fields.get((0,), zero)


def _gaussian(local: Local, old: Float[Array, "m 1"], key: Key[Array, ""]) -> Float[Array, "m 1"]:
    a, b = quadratic_form(local, old)
    noise = random.normal(key, a.shape, a.dtype)
    return ((noise * jnp.sqrt(2 * a) - b) / (2 * a))[:, None]


def _von_mises_fisher(field: Float[Array, "m c"], key: Key[Array, ""]) -> Float[Array, "m c"]:
    """Unit vectors with density proportional to exp(field . s)."""
    strength = jnp.sqrt(jnp.sum(field**2, axis=1))
    first = jnp.zeros_like(field).at[:, 0].set(1.0)
    axis = jnp.where((strength > 0)[:, None], field / jnp.maximum(strength, TINY)[:, None], first)
    angular, around = random.split(key)
    cosine = _cosine(strength, field.shape[1], angular)
    s = cosine[:, None] * axis + jnp.sqrt(jnp.maximum(1 - cosine**2, 0))[:, None] * _across(
        axis, around
    )
    unit: Array = s / jnp.sqrt(jnp.sum(s**2, axis=1, keepdims=True))
    return unit


def _across(axis: Float[Array, "m c"], key: Key[Array, ""]) -> Float[Array, "m c"]:
    """Unit vectors orthogonal to ``axis``, uniform among them."""
    m, n = axis.shape
    if n == 2:
        sign = jnp.where(random.uniform(key, (m,), axis.dtype) < 0.5, -1.0, 1.0).astype(axis.dtype)
        return jnp.stack([-axis[:, 1], axis[:, 0]], axis=1) * sign[:, None]
    other = random.normal(key, axis.shape, axis.dtype)
    other = other - jnp.sum(other * axis, axis=1, keepdims=True) * axis
    unit: Array = other / jnp.sqrt(jnp.sum(other**2, axis=1, keepdims=True))
    return unit


def _cosine(strength: Float[Array, " m"], n: int, key: Key[Array, ""]) -> Float[Array, " m"]:
    """w in [-1, 1] with density proportional to exp(strength w) (1 - w^2)^((n - 3) / 2)."""
    if n == 3:
        u = random.uniform(key, strength.shape, strength.dtype)
        small = strength < 1e-3
        k = jnp.where(small, 1, strength)
        exact = 1 + jnp.log(jnp.maximum(u + (1 - u) * jnp.exp(-2 * k), TINY)) / k
        y = 2 * u - 1
        return jnp.where(small, y + strength * (1 - y**2) / 2, exact)
    b = (n - 1) / (2 * strength + jnp.sqrt(4 * strength**2 + (n - 1) ** 2))
    start = (1 - b) / (1 + b)
    offset = strength * start + (n - 1) * jnp.log1p(-(start**2))

    def attempt(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        w, done, key = carry
        key, shape_key, accept_key = random.split(key, 3)
        z = (1 + _coordinate(shape_key, strength, n)) / 2
        proposed = (1 - (1 + b) * z) / (1 - (1 - b) * z)
        height = strength * proposed + (n - 1) * jnp.log1p(-start * proposed) - offset
        u = random.uniform(accept_key, strength.shape, strength.dtype)
        accepted = jnp.log1p(-u) <= height
        return jnp.where(done, w, proposed), done | accepted, key

    begin = (jnp.zeros_like(strength), ~jnp.isfinite(strength), key)
    cosine, _, _ = jax.lax.while_loop(lambda c: ~jnp.all(c[1]), attempt, begin)
    return jnp.where(jnp.isfinite(strength), cosine, jnp.nan)


def _coordinate(key: Key[Array, ""], like: Float[Array, " m"], n: int) -> Float[Array, " m"]:
    """One coordinate of uniform points of the sphere in R^n."""
    if n == 2:
        return jnp.cos(2 * math.pi * random.uniform(key, like.shape, like.dtype))
    y = random.normal(key, (*like.shape, n), like.dtype)
    coordinate: Array = y[:, 0] / jnp.sqrt(jnp.sum(y**2, axis=1))
    return coordinate
