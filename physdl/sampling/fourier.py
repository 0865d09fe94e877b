r"""Hamiltonian Monte Carlo with a kinetic energy that moves all Fourier modes at one speed.

A translation-invariant Hamiltonian has a quadratic part that is diagonal in Fourier space,

    H_2 = (1 / 2N) sum_k A(k) |x(k)|^2,    A(k) = 2 sum_m c_m cos(k . d_m)

for monomials c_m x(cell) x(cell + d_m) repeated over the periodic box of N sites; a lattice field
with gradient g and square r has A = 2 g khat^2 + 2 r, khat^2 = sum_mu 4 sin^2(k_mu / 2). In plain
Hamiltonian Monte Carlo mode k has the frequency sqrt(A(k)): the step is set by the fastest and the
length of trajectories by the slowest, a ratio that grows with the correlation length. With momenta
of mass

    M(k) = A(k) - min_k A + mass,      kinetic energy (1 / 2N) sum_k |p(k)|^2 / M(k),

all frequencies of a free field are one (for ``mass`` = min_k A), and critical slowing down is gone:
a trajectory of length pi / 2 forgets where it began. With interaction the argument holds to the
extent that the modes see an effective A + const; the choice changes the speed, never the
distribution. ``mass`` is what the softest mode feels, best 1 / (N <m^2>) with m the mean of x.

Source: G. G. Batrouni et al., Phys. Rev. D 32, 2736 (1985), section III (Fourier acceleration).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.sampling._force import Vector, force_of, require_line
from physdl.sampling._kernel import Info
from physdl.sampling._trajectory import (
    Number,
    check_positive,
    check_trajectory,
    drawn_step,
    integrate,
    metropolis,
    normal,
)

__all__ = ["FourierHMC", "quadratic_spectrum"]

MOST_AXES = 3


def _forward(x: Float[Array, "*box"]) -> Array:
    """The real Fourier transform over all axes."""
    last = tuple(range(x.ndim))[-MOST_AXES:]
    out = jnp.fft.rfftn(x, axes=last)
    for axis in range(x.ndim - len(last)):
        out = jnp.fft.fft(out, axis=axis)
    return out


def _backward(f: Array, box: tuple[int, ...]) -> Float[Array, "*box"]:
    last = tuple(range(f.ndim))[-MOST_AXES:]
    for axis in range(f.ndim - len(last)):
        f = jnp.fft.ifft(f, axis=axis)
    out: Array = jnp.fft.irfftn(f, box[-MOST_AXES:], axes=last)
    return out


def quadratic_spectrum(h: Hamiltonian) -> Float[Array, "*modes"]:
    r"""A(k) of the quadratic part of H, on the grid of ``jnp.fft.rfftn``.

    Raises:
      SpaceError: the space is not ``LINE``.
      StructureError: the quadratic part is not translation invariant on a periodic box.

    >>> from physdl import lattices, models
    >>> h = models.gaussian(lattices.chain(4), r=0.5)
    >>> jnp.round(quadratic_spectrum(h), 6).tolist()  # 2 khat^2 + 2 r
    [1.0, 5.0, 9.0]
    """
    require_line(h, "Fourier acceleration")
    row = jnp.zeros(h.shape, h.dtype)
    for name, term in h.terms.items():
        if term.degree(h.space) != 2:
            continue
        if not isinstance(term, Stencil) or term.coefficient.ndim > 1:
            raise StructureError(
                f"Fourier acceleration needs quadratic terms that are the same everywhere in a "
                f"periodic box, term {name!r} is {_structure(term)}: use HMC."
            )
        offsets = term.offsets.array
        distance = offsets[:, 1] - offsets[:, 0]
        both = np.concatenate([distance, -distance]) % np.array(h.shape)
        coefficient = jnp.broadcast_to(term.coefficient, distance.shape[:1])
        row = row.at[tuple(both.T)].add(jnp.concatenate([coefficient, coefficient]))
    return _forward(row).real


def _structure(term: object) -> str:
    return "disordered" if isinstance(term, Stencil) else f"of type {type(term).__name__}"


@cites("batrouni1985", "duane1987")
@module
class FourierHMC:
    """HMC on a periodic box with all modes at one speed; formulas above.

    The step has no unit: the period of every mode is about 2 pi, so that step_size n_leapfrogs near
    pi / 2 is a good length. A step costs two Fourier transforms on top of the gradient. Terms of
    other degrees may be disordered.

    Reported: as ``HMC``.

    Attributes:
      step_size: eps, dimensionless.
      n_leapfrogs: steps of a trajectory.
      mass: stiffness given to the softest mode, in units of 1 / x^2.
      jitter: relative half-width of the distribution of the step, in [0, 1).
      integrator: ``"leapfrog"`` or ``"omelyan"``.

    Raises:
      SettingError: a setting is outside its range.
      SpaceError: the space is not ``LINE``.
      StructureError: the quadratic part is disordered or not on a periodic box.

    >>> import jax
    >>> from physdl import lattices, models
    >>> h = models.phi4(lattices.square(8, 8), r=-1.0, u=0.7)
    >>> move = jax.jit(lambda x, key: FourierHMC(0.15, 10)(h, x, key=key))
    >>> x, info = move(jnp.zeros((8, 8)), jax.random.key(0))
    >>> x.shape, bool(info["acceptance"] > 0.5)
    ((8, 8), True)
    """

    step_size: Number
    n_leapfrogs: int = static()
    mass: Number = 1.0
    jitter: float = static(default=0.0)
    integrator: str = static(default="leapfrog")

    def __post_init__(self) -> None:
        check_positive(step_size=self.step_size, mass=self.mass)
        check_trajectory(self.n_leapfrogs, self.integrator, self.jitter)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*shape"], Info]:
        """One trajectory."""
        key_step, key_momentum, key_accept = random.split(key, 3)
        step = drawn_step(key_step, self.step_size, self.jitter, h)
        spectrum = quadratic_spectrum(h)
        stiffness = spectrum - jnp.min(spectrum) + jnp.asarray(self.mass, h.dtype)

        def filtered(v: Vector, gain: Float[Array, "*modes"]) -> Vector:
            modes = _forward(v.reshape(h.shape))
            return _backward(gain.astype(modes.dtype) * modes, h.shape).reshape(-1)

        x = state.reshape(-1)
        xi = normal(key_momentum, x)
        u = filtered(xi, step / jnp.sqrt(stiffness))
        response = step**2 / stiffness
        end = integrate(
            force_of(h),
            lambda gradient: filtered(gradient, response),
            x,
            u,
            self.n_leapfrogs,
            self.integrator,
        )
        kinetic = 0.5 * (end.last * filtered(end.last, 1 / response) - xi**2)
        change = jnp.sum(end.after - end.before + kinetic)
        new, info = metropolis(key_accept, change, x, end.x)
        return new.reshape(state.shape), info
