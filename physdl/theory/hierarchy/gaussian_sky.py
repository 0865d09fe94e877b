r"""From a map to a spectrum to parameters: the hierarchy of a Gaussian field.

The paper's example of information distillation is the microwave sky (H. W. Lin, M. Tegmark and D.
Rolnick, J. Stat. Phys. 168, 1223 (2017), section III A): parameters -> power spectrum -> map, and
back. Here the sky is a periodic box of N sites, and the modes phi_k of the unitary Fourier
transform have variances P(k; theta) that depend on k^2 = sum_a (2 - 2 cos k_a) only. So

    ln p(phi | theta) = -1/2 sum_b n_b [ln 2 pi P_b(theta) + S_b / P_b(theta)],

with shells b of n_b modes of equal k^2, and S_b the mean of abs(phi_k)^2 over a shell: the measured
spectrum S is a sufficient statistic, N numbers distilled into a few without loss. n_b S_b / P_b is
chi-squared with n_b degrees of freedom, and the Fisher information of the spectrum is that of the
map,

    F_ij = 1/2 sum_b n_b d_i ln P_b d_j ln P_b = 1/2 tr(C^-1 d_i C C^-1 d_j C),

C the covariance of the map. A coarser map, one without the modes above some k, keeps the part of
the sum that its shells make.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from numpy.typing import NDArray

from physdl.errors import SettingError, ShapeError
from physdl.pytree import module, static

__all__ = ["GaussianSky"]

N_SCORING = 30
STEPS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0)


@module
class GaussianSky:
    """A Gaussian field on a periodic box with the spectrum of a few parameters.

    Attributes:
      spectrum: (theta, k2) -> P > 0, for k2 = sum_a (2 - 2 cos k_a) of any shape.
      shape: of the box.

    Raises:
      SettingError: the box has no site.

    >>> sky = GaussianSky(lambda theta, k2: 1 / (theta[0] + theta[1] * k2), (4, 4))
    >>> sky.k2.round(6).tolist(), sky.multiplicity.tolist()
    ([0.0, 2.0, 4.0, 6.0, 8.0], [1, 4, 6, 4, 1])
    """

    spectrum: Callable[[Array, Array], Array] = static()
    shape: tuple[int, ...] = static()

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise SettingError(f"a box has lengths of 1 or more, got {self.shape}.")

    @property
    def k2(self) -> NDArray[np.float64]:
        """k^2 of every shell, ascending."""
        return self._shells()[0]

    @property
    def multiplicity(self) -> NDArray[np.int64]:
        """n_b, how many modes a shell has; their sum is N."""
        return np.bincount(self._shells()[1])

    def sample(self, theta: Float[Array, " p"], *, key: Key[Array, ""]) -> Float[Array, "*shape"]:
        """A map."""
        white = jax.random.normal(key, self.shape, dtype=theta.dtype)
        _, shell = self._shells()
        amplitude = jnp.sqrt(self._values(theta))[shell].reshape(self.shape)
        modes = jnp.fft.fftn(white)
        field: Array = jnp.fft.ifftn(amplitude.astype(modes.dtype) * modes).real
        return field

    def power_spectrum(self, field: Float[Array, "*shape"]) -> Float[Array, " n_shells"]:
        """S_b, the mean of abs(phi_k)^2 over every shell: the sufficient statistic.

        Raises:
          ShapeError: the field is none of this box.
        """
        if field.shape != self.shape:
            raise ShapeError(f"the sky has the shape {self.shape}, got a map of {field.shape}.")
        power = jnp.abs(jnp.fft.fftn(field, norm="ortho")).reshape(-1) ** 2
        _, shell = self._shells()
        n = jnp.asarray(self.multiplicity, power.dtype)
        return jnp.zeros(len(n), power.dtype).at[shell].add(power) / n

    def log_likelihood(
        self, theta: Float[Array, " p"], power: Float[Array, " n_shells"]
    ) -> Float[Array, ""]:
        """ln p(map | theta), from the spectrum of the map alone."""
        p = self._values(theta)
        n = jnp.asarray(self.multiplicity, p.dtype)
        return -jnp.sum(n * (jnp.log(2 * np.pi * p) + power / p)) / 2

    def estimate(
        self, power: Float[Array, " n_shells"], guess: Float[Array, " p"]
    ) -> Float[Array, " p"]:
        """The parameters of largest likelihood, by Fisher scoring from a guess nearby.

        theta <- theta + t F^-1 d ln p / d theta, thirty times, with t the best of 0, 1, 1/2, ...,
        1/64, so that the likelihood never falls and P stays positive. The last level of the
        hierarchy; its covariance approaches F^-1 (Cramer-Rao) where that is small.
        """

        def value(theta: Array) -> Array:
            p = self._values(theta)
            return jnp.where(jnp.all(p > 0), self.log_likelihood(theta, power), -jnp.inf)

        def step(_: int, theta: Array) -> Array:
            score = jax.grad(self.log_likelihood)(theta, power)
            change = jnp.linalg.solve(self.fisher(theta), score)
            trials = theta[None] + jnp.asarray(STEPS, theta.dtype)[:, None] * change[None]
            best: Array = trials[jnp.argmax(jax.vmap(value)(trials))]
            return best

        out: Array = jax.lax.fori_loop(0, N_SCORING, step, guess)
        return out

    def fisher(
        self, theta: Float[Array, " p"], *, largest_k2: float = np.inf
    ) -> Float[Array, "p p"]:
        """Fisher information of the spectrum of the shells up to a largest k^2.

        With all shells it is that of the map; fewer is what a smoothed map keeps.
        """
        slope = jax.jacfwd(lambda t: jnp.log(self._values(t)))(theta)
        n = jnp.asarray(np.where(self.k2 <= largest_k2, self.multiplicity, 0), slope.dtype)
        return jnp.matmul(slope.T * n[None], slope, precision="highest") / 2

    def covariance(self, theta: Float[Array, " p"]) -> Float[Array, "n n"]:
        """C, the covariance of the N sites of the map: circulant in every axis."""
        _, shell = self._shells()
        values = self._values(theta)[shell].reshape(self.shape)
        row = jnp.fft.ifftn(values).real
        cells = np.stack(np.unravel_index(np.arange(row.size), self.shape))
        apart = (cells[:, :, None] - cells[:, None, :]) % np.array(self.shape)[:, None, None]
        covariance: Array = row[tuple(apart)]
        return covariance

    def fisher_of_map(self, theta: Float[Array, " p"]) -> Float[Array, "p p"]:
        """1/2 tr(C^-1 d_i C C^-1 d_j C), by solves with the covariance of the map."""
        c = self.covariance(theta)
        slopes = jnp.moveaxis(jax.jacfwd(self.covariance)(theta), -1, 0)
        solved = jnp.stack([jnp.linalg.solve(c, s) for s in slopes])
        return jnp.einsum("iab,jba->ij", solved, solved) / 2

    def _values(self, theta: Float[Array, " p"]) -> Float[Array, " n_shells"]:
        return self.spectrum(theta, jnp.asarray(self.k2, theta.dtype))

    def _shells(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """k^2 of every shell, and the shell of every mode in C order."""
        axes = [2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(n)) for n in self.shape]
        k2 = sum(np.meshgrid(*axes, indexing="ij"), start=np.zeros(self.shape)).reshape(-1)
        _, first, shell = np.unique(np.round(k2, 9), return_index=True, return_inverse=True)
        return k2[first], shell.reshape(-1)
