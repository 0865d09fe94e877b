r"""Where a path of Hamiltonians begins: a distribution with known log Z that can be drawn from.

    H_b = h0 + b (h - h0)

Without a reference h0 = 0 where that can be normalised, on finite spaces and spheres, and every
site is drawn independently. On the line h0 is a product of normal distributions,

    h0(x) = sum_i (x_i - m_i)^2 / (2 s_i^2),        log Z_0 = sum_i log(2 pi s_i^2) / 2,

with means m_i and widths s_i from a short run of h; any choice is right, a near one is fast. A
reference that is given is exact itself, by ``Auto``, unless its log Z is given too.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key
from numpy.typing import NDArray

from physdl.errors import PhysdlError, SettingError
from physdl.estimators.auto import Auto
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Term
from physdl.pytree import module
from physdl.sampling import HeatBath, Kernel, Metropolis, random_configuration, tune_step_size
from physdl.sampling import _random as random
from physdl.sampling._path import Path, log_z_of_zero, require_single
from physdl.sampling._structure import plan_of
from physdl.spaces import Finite, Line, Product, Sphere

__all__ = ["Start", "started", "swept"]

N_EXPLORERS = 32
N_EXPLORED = 128
N_BURN = 100
ACCEPTANCE = 0.45


@module
class Start:
    """The path to h, the kernel that moves along it, and draws at its beginning.

    Attributes:
      path: from the reference to h.
      kernel: a kernel that moves one configuration under any H_b.
      log_z: log Z of the reference, in nats.
      centre: means of the normal distributions, where these are the reference.
      width: their standard deviations.
    """

    path: Path
    kernel: Kernel
    log_z: Float[Array, ""]
    centre: Float[Array, "*state"] | None
    width: Float[Array, "*state"] | None

    def draw(self, n: int, *, key: Key[Array, ""]) -> Float[Array, " n *state"]:
        """n configurations under the reference: exact, or after sweeps where it was given."""
        drawn: Array = _draws(self, key, n)
        return drawn


def started(
    h: Hamiltonian,
    kernel: Kernel | None,
    reference: Hamiltonian | None,
    reference_log_z: ArrayLike | None,
    *,
    key: Key[Array, ""],
) -> Start:
    """The start of a path to h.

    Raises:
      SettingError: the kernel moves several configurations, or a log Z is given for no reference.
      StructureError: the reference has other sites than h.
      PhysdlError: no exact method knows log Z of the reference.
    """
    if kernel is not None:
        require_single(kernel, "a path of Hamiltonians")
    if reference is None and reference_log_z is not None:
        raise SettingError("reference_log_z is that of a reference: give the reference too.")
    tune_key, explore_key = random.split(key)
    moves = _tuned(h, reference, tune_key) if kernel is None else kernel
    if reference is not None:
        path = Path(h, reference)
        log_z = _known(reference) if reference_log_z is None else reference_log_z
        return Start(path, moves, jnp.asarray(log_z, h.dtype), None, None)
    if not _has_line(h):
        return Start(Path(h), moves, jnp.asarray(log_z_of_zero(h), h.dtype), None, None)
    normal, log_z, centre, width = _normal(h, moves, explore_key)
    return Start(Path(h, normal), moves, log_z, centre, width)


@functools.partial(jax.jit, static_argnames=("n",))
def _draws(start: Start, key: Key[Array, ""], n: int) -> Float[Array, " n *state"]:
    h, reference = start.path.h, start.path.reference
    start_key, burn_key = random.split(key)
    x = jax.vmap(functools.partial(_drawn, h))(random.split(start_key, n))
    if start.centre is not None and start.width is not None:
        normal = start.centre[None] + start.width[None] * random.normal(burn_key, x.shape, x.dtype)
        return jnp.where(_on_line(h), normal, x)
    if reference is None:
        return x
    free = not _has_all_pairs(reference) and plan_of(reference).n_classes == 1
    exact = free and isinstance(start.kernel, HeatBath)
    drawn: Array = swept(start.kernel, reference, x, 1 if exact else N_BURN, key=burn_key)
    return drawn


@jax.jit
def swept(
    kernel: Kernel, h: Hamiltonian, x: Float[Array, " n *state"], n_sweeps: Any, *, key: Array
) -> Float[Array, " n *state"]:
    """Every configuration after some sweeps; their number may be traced."""

    def sweep(t: Array, x: Array) -> Array:
        keys = random.split(random.folded(key, t), x.shape[0])
        after: Array = jax.vmap(lambda x, key: kernel(h, x, key=key)[0])(x, keys)
        return after

    moved: Array = jax.lax.fori_loop(0, n_sweeps, sweep, x)
    return moved


def _drawn(h: Hamiltonian, key: Key[Array, ""]) -> Array:
    return random_configuration(h, key=key)


def _known(reference: Hamiltonian) -> Array:
    try:
        return Auto()(reference).log_z
    except PhysdlError as error:
        raise type(error)(f"log Z of the reference: {error} Or give reference_log_z.") from error


def _has_line(h: Hamiltonian) -> bool:
    kinds = h.space.spaces if isinstance(h.space, Product) else (h.space,)
    return any(isinstance(kind, Line) for kind in kinds)


def _on_line(h: Hamiltonian) -> NDArray[np.bool_]:
    """Which entries of a configuration are fields on the line."""
    if not isinstance(h.space, Product):
        return np.full(h.state_shape, isinstance(h.space, Line))
    flags = np.array([isinstance(kind, Line) for kind in h.space.spaces])
    return flags.reshape(h.state_shape)


@jax.jit
def _tuned(h: Hamiltonian, reference: Hamiltonian | None, key: Key[Array, ""]) -> Kernel:
    """Heat bath where every site can be drawn from its energy, else Metropolis with a good step."""
    if _can_be_drawn(h) and (reference is None or _can_be_drawn(reference)):
        return HeatBath(constrained=True)
    return tune_step_size(Metropolis(constrained=True), h, key=key, target=ACCEPTANCE)[0]


def _has_all_pairs(h: Hamiltonian) -> bool:
    return any(isinstance(t, Dense) and t.blocks is None for t in h.terms.values())


def _can_be_drawn(h: Hamiltonian) -> bool:
    squares = _has_all_pairs(h)
    plan = plan_of(h, together=not squares)
    for k, groups in enumerate(plan.monomials):
        kind = h.space.at(int(plan.order[plan.bounds[k]]))
        power = max((len(group.pattern) for group in groups), default=0)
        if isinstance(kind, Line) and power > 2:
            return False
        if isinstance(kind, Sphere) and (power > 1 or squares):
            return False
    return True


@jax.jit
def _normal(
    h: Hamiltonian, kernel: Kernel, key: Key[Array, ""]
) -> tuple[Hamiltonian, Array, Array, Array]:
    """Normal distributions as wide as those of a short run of h; log Z, means and widths."""
    start_key, key = random.split(key)
    draw = functools.partial(_drawn, h)
    x = jax.vmap(draw)(random.split(start_key, N_EXPLORERS))

    def explore(x: Array, key: Key[Array, ""]) -> tuple[Array, tuple[Array, Array]]:
        x = swept(kernel, h, x, 1, key=key)
        return x, (jnp.mean(x, axis=0), jnp.mean(x**2, axis=0))

    _, (first, second) = jax.lax.scan(explore, x, random.split(key, 2 * N_EXPLORED))
    centre = jnp.mean(first[N_EXPLORED:], axis=0)
    variance = jnp.mean(second[N_EXPLORED:], axis=0) - centre**2
    site = np.flatnonzero(_on_line(h).reshape(-1))
    m, v = centre.reshape(-1)[site], variance.reshape(-1)[site]
    square, linear = np.stack([site, site], axis=1), site[:, None]
    terms: dict[str, Term] = {"square": Sites(0.5 / v, square), "linear": Sites(-m / v, linear)}
    log_z = 0.5 * jnp.sum(jnp.log(2 * math.pi * v) + m**2 / v)
    for i in set(range(h.n_sites)) - set(site.tolist()):
        kind = h.space.at(i)
        assert isinstance(kind, Finite)
        log_z = log_z + math.log(kind.n_states)
    return Hamiltonian(terms, space=h.space, shape=h.shape), log_z, centre, jnp.sqrt(variance)
