"""What a Monte Carlo renormalization group measured: tables of exponents of either parity."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physdl.errors import SettingError
from physdl.pytree import module, static
from physdl.rg._base import RGStatus
from physdl.rg._exponents import Exponents, exponents_of_matrix
from physdl.rg._moments import Sums, jackknife
from physdl.rg.operators import OperatorBasis
from physdl.statistics import Mean

__all__ = ["MCRG", "Sector", "sector_of"]


@module
class Sector:
    """The linearised map among the operators of one parity, for every step.

    Steps are numbered from 1. ``n_operators`` takes the first so many of the basis, all by default.

    Attributes:
      sums: moments of the operators in blocks of draws, about ``centre``.
      centre: [n_steps + 1, n].
      table: exponents by step, number of operators, and index from the largest on, with jackknife
        errors over blocks, [n_steps, n, n]; NaN where there are fewer operators than the index.
      operators: the basis.
      scales: the length ratio b of each step.
    """

    sums: Sums
    centre: Float[Array, "n_levels n"]
    table: Mean
    operators: OperatorBasis = static()
    scales: tuple[float, ...] = static()

    @property
    def n_steps(self) -> int:
        """The number of steps."""
        return len(self.scales)

    def matrix(self, step: int, n_operators: int | None = None) -> Float[Array, "n n"]:
        """T = dK^n_a / dK^(n-1)_b of a step.

        Raises:
          SettingError: there is no such step, or not so many operators.
        """
        step, n = self._checked(step, n_operators)
        return _matrices(self.sums.total())[step - 1, n - 1, :n, :n]

    def exponents(self, step: int, n_operators: int | None = None) -> Exponents:
        """Eigenvalues, eigenvectors and exponents of T, without errors."""
        return exponents_of_matrix(self.matrix(step, n_operators), self.scales[step - 1])

    def y(self, step: int, n_operators: int | None = None, *, index: int = 0) -> Mean:
        """The exponent of that index, descending, with its jackknife error.

        Raises:
          SettingError: there is no such step, or not so many operators.
        """
        step, n = self._checked(step, n_operators)
        if not 0 <= index < n:
            raise SettingError(f"{n} operators have exponents 0 to {n - 1}, got index={index}.")
        at = (step - 1, n - 1, index)
        return Mean(self.table.value[at], self.table.stderr[at])

    @property
    def means(self) -> Mean:
        """<S_a> at every level, the fine lattice first, with errors, [n_steps + 1, n]."""
        per_block = self.sums.first / self.sums.weight[:, None, None]
        share = self.sums.weight / jnp.sum(self.sums.weight)
        mean = jnp.tensordot(share, per_block, 1)
        spread = jnp.tensordot(share**2, (per_block - mean[None]) ** 2, 1)
        n = len(share)
        return Mean(self.centre + mean, jnp.sqrt(spread * n / (n - 1)))

    def _checked(self, step: int, n_operators: int | None) -> tuple[int, int]:
        n = len(self.operators) if n_operators is None else n_operators
        if not 1 <= step <= self.n_steps or not 1 <= n <= len(self.operators):
            raise SettingError(
                f"there are steps 1 to {self.n_steps} and 1 to {len(self.operators)} operators, "
                f"got step={step}, n_operators={n_operators}."
            )
        return step, n

    def __repr__(self) -> str:
        values, errors = np.asarray(self.table.value[..., 0]), np.asarray(self.table.stderr[..., 0])
        head = "step" + "".join(f"{n + 1:>14d}" for n in range(len(self.operators)))
        rows = [
            f"{step + 1:4d}" + "".join(f"{_short(v, e):>14s}" for v, e in zip(*row, strict=True))
            for step, row in enumerate(zip(values, errors, strict=True))
        ]
        return "\n".join([head, *rows, f"operators: {', '.join(self.operators.names)}"])


@module
class MCRG:
    """What a Monte Carlo renormalization group measured.

    Attributes:
      even: the sector of y_T, or ``None``.
      odd: the sector of y_H, or ``None``.
      status: an ``RGStatus``; UNCONVERGED where the first operator of a sector, at some level,
        differs between the halves of a run by more than 6 standard errors. An ensemble is taken as
        it is.
    """

    even: Sector | None
    odd: Sector | None
    status: Int[Array, ""]

    def __repr__(self) -> str:
        parts = {"even: y_T": self.even, "odd: y_H": self.odd}
        tables = [f"{name}\n{s!r}" for name, s in parts.items() if s is not None]
        status = RGStatus(int(self.status))
        said = [] if status is RGStatus.OK else [f"status {status.name}: {status.message}"]
        return "\n".join(tables + said)


def sector_of(
    sums: Sums,
    centre: Float[Array, "n_levels n"],
    operators: OperatorBasis,
    scales: tuple[float, ...],
) -> Sector:
    """A sector with its table, from moments about ``centre``."""
    return Sector(sums, centre, _table(sums, jnp.array(scales)), operators, scales)


def _matrices(sums: Sums) -> Float[Array, "n_steps n n n"]:
    """T of every step among the first 1, ..., n operators, zero beyond these."""
    own, cross, _ = sums.covariances()
    n = own.shape[-1]
    taken = np.tri(n)[:, :, None] * np.tri(n)[:, None, :]
    a = cross[:, None] * taken[None]
    b = own[1:, None] * taken[None] + np.eye(n) * (1 - taken)[None]
    matrices: Array = jnp.linalg.solve(b, a)
    return matrices


@jax.jit
def _table(sums: Sums, scales: Float[Array, " n_steps"]) -> Mean:
    """All exponents of all matrices."""

    def exponents(total: Sums) -> Array:
        y: Array = jax.vmap(jax.vmap(of_matrix, (0, None)))(_matrices(total), scales)
        return y

    def of_matrix(matrix: Array, scale: Array) -> Array:
        return exponents_of_matrix(matrix, scale).y

    return jackknife(exponents, sums)


def _short(value: float, error: float) -> str:
    """A value with its error in units of the last digits: 1.0008(14)."""
    if not error > 0 or not math.isfinite(error):
        return f"{value:.4f}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f}({round(error * 10**digits)})"
