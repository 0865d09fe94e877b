r"""Mean field with corrections: log Z of two-state sites at given magnetisations, to third order.

With s_i = -1, +1 and H = c - sum_i h_i s_i - sum_{i<j} J_ij s_i s_j, the constrained free energy is

    Phi(m) = -c + sum_i [S(m_i) + h_i m_i] + sum_{i<j} J_ij m_i m_j                       order 1
           + (1/2) sum_{i<j} J_ij^2 v_i v_j                                               order 2
           + (2/3) sum_{i<j} J_ij^3 m_i v_i m_j v_j + sum_{i<j<k} J_ij J_jk J_ki v_i v_j v_k   3

with v = 1 - m^2 and S the entropy of a bit (T. Plefka, J. Phys. A 15, 1971 (1982); A. Georges and
J. S. Yedidia, J. Phys. A 24, 2173 (1991)). log Z is its value where it is stationary, m_i =
tanh(h_i + dU/dm_i) with U the terms of J: naive mean field, then D. J. Thouless, P. W. Anderson and
R. G. Palmer (Phil. Mag. 35, 593 (1977)), then one order more. Units of 0 and 1 are spins in other
variables, for which the expansion is the same. That of restricted Boltzmann machines is M. Gabrie,
E. W. Tramel and F. Krzakala (arXiv:1506.02914); its third order has the factor v (1 - v)(1/2 - v)
of the means v of both ends, as here (a public implementation has another).

Consequence: cost N^2 an iteration (N^3 at order 3), no samples, no error bar. At order 1 log Z is
bounded from below whatever m (Gibbs, Bogoliubov, Feynman); at order 2 and 3 it is no bound, and the
error is of the next order in J. Where several m are stationary one phase is found.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError, StructureError, TooLargeError
from physdl.estimators._base import Estimate, Status
from physdl.hamiltonian import Hamiltonian, coefficients_of
from physdl.hamiltonian.factors import require_finite
from physdl.hamiltonian.potential import state_counts
from physdl.numerics import full_precision
from physdl.pytree import module, static
from physdl.spaces import SPIN

__all__ = ["TAP"]

MOST_ENTRIES = 2**27
N_POWER = 100
SATURATED = 3.0
SAFETY = 1e-3
TINY = 1e-30
HIGHEST = 3


@cites("plefka1982", "georges1991", "thouless1977")
@module
class TAP:
    """log Z by mean field (order 1), with Onsager's reaction (2), and one order more (3).

    ``info`` holds the ``magnetisation`` of every site, of spins -1 and +1 in the order of the two
    points of its space, and the ``residual`` of its equation. It is solved from the fields and from
    the ordered state of the leading direction of J, and the larger log Z is taken. Derivatives are
    those of the stationary value, to second order, by the implicit function theorem.

    Attributes:
      order: 1, 2 or 3.
      tolerance: of the residual; above it the status is UNCONVERGED.
      max_steps: after how many iterations to stop.

    Raises:
      SettingError: a setting is out of range.
      SpaceError: a site has not two states.
      StructureError: more than two sites interact.
      TooLargeError: the matrix of couplings has more than 2^27 entries.

    >>> from physdl import estimators, models
    >>> h = models.sherrington_kirkpatrick(n_sites=12, beta=0.3)
    >>> exact = estimators.Enumeration()(h).log_z
    >>> [f"{float(TAP(order)(h).log_z - exact):.4f}" for order in (1, 2, 3)]
    ['-0.2154', '-0.0118', '-0.0009']
    """

    order: int = static(default=2)
    tolerance: float = static(default=1e-6)
    max_steps: int = static(default=10_000)

    def __post_init__(self) -> None:
        if self.order not in range(1, HIGHEST + 1):
            raise SettingError(f"the order of the expansion is 1, 2 or 3, got {self.order!r}.")
        if not self.tolerance > 0 or self.max_steps < 1:
            raise SettingError(
                f"tolerance and max_steps are positive, got {self.tolerance!r} and "
                f"{self.max_steps!r}."
            )

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate; deterministic, ``key`` is not used."""
        del key
        estimate: Estimate = _estimate(self, h)
        return estimate


@module
class SpinForm:
    """c, h [n] and J [n, n], symmetric with a diagonal of zeros."""

    constant: Float[Array, ""]
    field: Float[Array, " n"]
    coupling: Float[Array, "n n"]


@full_precision
@functools.partial(jax.jit, static_argnums=0)
def _estimate(settings: TAP, h: Hamiltonian) -> Estimate:
    form = _spins(h)
    held = jax.lax.stop_gradient(form)
    ends = jax.vmap(lambda x: _settled(settings, held, x))(_starts(held))
    values = jax.vmap(lambda x: _stationary(settings.order, held, x))(ends)
    best = ends[jnp.argmax(jnp.where(jnp.isfinite(values), values, -jnp.inf))]
    x = jax.lax.custom_root(
        lambda x: _local_field(settings.order, form, x) - x,
        best,
        lambda _, x: x,
        lambda linear, y: jnp.linalg.solve(jax.jacobian(linear)(jnp.zeros_like(y)), y),
    )
    m = jnp.tanh(x)
    log_z = _stationary(settings.order, form, x)
    residual = jax.lax.stop_gradient(_residual(_local_field(settings.order, form, x), x))
    status = jnp.select(
        [~jnp.isfinite(log_z), ~(residual <= settings.tolerance)],
        [Status.NONFINITE.value, Status.UNCONVERGED.value],
        Status.OK.value,
    ).astype(jnp.int32)
    nan, none = jnp.full_like(log_z, jnp.nan), jnp.full_like(log_z, jnp.inf)
    lower = log_z if settings.order == 1 else -none
    info = {"magnetisation": m.reshape(h.shape), "residual": residual}
    method = f"mean field, order {settings.order}"
    return Estimate(log_z, nan, lower, none, status, info, method, h.n_sites)


def _spins(h: Hamiltonian) -> SpinForm:
    space, n = require_finite(h.space, "mean field"), h.n_sites
    if n and np.any(state_counts(space, n) != 2):
        raise SpaceError(f"this mean field is of two-state sites, got {h.space!r}.")
    if n**2 > MOST_ENTRIES:
        raise TooLargeError(
            f"couplings of {n} sites are a matrix of {n**2:.1e} entries, above {MOST_ENTRIES}."
        )
    constant, field = jnp.zeros((), h.dtype), jnp.zeros(n, h.dtype)
    coupling = jnp.zeros((n, n), h.dtype)
    for potential in h.potentials():
        sites = potential.sites.array
        k = sites.shape[1]
        if k > 2:
            raise StructureError(
                f"this mean field is of pairs, but {k} sites interact: use Contraction, or a "
                f"sampled method."
            )
        c = coefficients_of(potential.batched, (SPIN,) * k).astype(h.dtype)
        constant = constant + jnp.sum(c[(slice(None), *(0,) * k)])
        if k == 1:
            field = field.at[sites[:, 0]].add(-c[:, 1])
        elif k == 2:
            field = field.at[sites[:, 0]].add(-c[:, 1, 0]).at[sites[:, 1]].add(-c[:, 0, 1])
            pair = -c[:, 1, 1]
            coupling = coupling.at[sites[:, 0], sites[:, 1]].add(pair)
            coupling = coupling.at[sites[:, 1], sites[:, 0]].add(pair)
    return SpinForm(constant, field, coupling)


def _settled(settings: TAP, form: SpinForm, start: Array) -> Float[Array, " n"]:
    """x = h + dU/dm at m = tanh x, by steps so short that no direction overshoots."""
    part = _step_length(settings.order, form.coupling)

    def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, _, n = carry
        after = _local_field(settings.order, form, x)
        return x + part * (after - x), _residual(after, x), n + 1

    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        return (carry[1] > settings.tolerance * SAFETY) & (carry[2] < settings.max_steps)

    one = jnp.ones((), start.dtype)
    return jax.lax.while_loop(unfinished, step, (start, one, jnp.zeros((), jnp.int32)))[0]


def _step_length(order: int, j: Float[Array, "n n"]) -> Float[Array, ""]:
    """1 / (1 + a bound of the spectrum of d2U/dm2)."""
    size = jnp.abs(j)
    slopes = size
    if order > 1:
        slopes = slopes + size**2
    if order > 2:
        slopes = slopes + size**3 + size * (size @ size)
    return 1 / (1 + jnp.max(jnp.sum(slopes, axis=1), initial=0))


def _local_field(order: int, form: SpinForm, x: Array) -> Float[Array, " n"]:
    slope: Array = jax.grad(lambda m: _interaction(order, form.coupling, m))(jnp.tanh(x))
    return form.field + slope


def _residual(after: Array, x: Array) -> Float[Array, ""]:
    return jnp.max(jnp.abs(jnp.tanh(after) - jnp.tanh(x)), initial=0)


def _stationary(order: int, form: SpinForm, x: Array) -> Float[Array, ""]:
    m = jnp.tanh(x)
    bound = jnp.vdot(form.field, m) - form.constant
    return _entropy(x) + bound + _interaction(order, form.coupling, m)


def _interaction(order: int, j: Float[Array, "n n"], m: Float[Array, " n"]) -> Float[Array, ""]:
    v = 1 - m**2
    total = jnp.vdot(m, j @ m) / 2
    if order > 1:
        total = total + jnp.vdot(v, j**2 @ v) / 4
    if order > 2:
        weighted = j * v[None]
        triangles = jnp.vdot(weighted.T, weighted @ weighted) / 6
        total = total + jnp.vdot(m * v, j**3 @ (m * v)) / 3 + triangles
    return total


def _entropy(x: Float[Array, " n"]) -> Float[Array, ""]:
    """sum S(tanh x) = sum log(2 cosh x) - x tanh x."""
    size = jnp.abs(x)
    return jnp.sum(size + jnp.log1p(jnp.exp(-2 * size)) - x * jnp.tanh(x))


def _starts(form: SpinForm) -> Float[Array, "2 n"]:
    """The field alone, and the direction that J orders first, saturated."""
    n = len(form.field)
    shift = jnp.max(jnp.sum(jnp.abs(form.coupling), axis=1), initial=0)

    def step(_: int, v: Array) -> Array:
        moved = form.coupling @ v + shift * v
        return moved / jnp.maximum(jnp.max(jnp.abs(moved), initial=0), TINY)

    v = jax.lax.fori_loop(0, N_POWER, step, 1 + jnp.cos(jnp.arange(n, dtype=form.field.dtype)) / 2)
    along = jnp.where(jnp.vdot(v, form.field) < 0, -v, v)
    return jnp.stack([form.field, form.field + SATURATED * along])
