r"""Finite-size scaling: critical points and exponents from data at several sizes.

Near a continuous transition an observable of a system of linear size L is

    y(t, L) = L^rho f(z),        z = (t - t_c) L^(1/nu),

plus corrections L^rho L^-omega g(z), with f and g smooth functions that nobody knows (M. E. Fisher
and M. N. Barber, Phys. Rev. Lett. 28, 1516 (1972)). rho is 0 for dimensionless ratios (the Binder
cumulant, xi / L), gamma / nu for the susceptibility, -beta / nu for the order parameter. If the
exponents are right all sizes fall on one curve; the fit makes

    chi^2 = sum_i ((y_i - L_i^rho [f(z_i) + L_i^-omega g(z_i)]) / stderr_i)^2

as small as it can be, with f and g polynomials in asinh(z / z_0), z_0 half the range of z at the
smallest size: polynomials in z at small z, which can also turn into the slow tails of large z.
Given (t_c, nu, rho, omega) the polynomials are a
linear least-squares problem, solved exactly, so the search is over these few numbers alone
(variable projection: G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973)), by
``scipy.optimize.least_squares`` from the best point of a grid.

The errors are those of least squares, sqrt of the diagonal of (J^T J)^-1 with J the derivative of
the projected residuals: right where the data are independent, their errors true, and the fit good,
which chi^2 per degree of freedom says. Choose the window of t and the smallest L so that it is near
1 and the exponents stay where they are when both are narrowed; where they drift, corrections to
scaling are seen. Everything runs in float64 by numpy on the host.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import NDArray
from scipy import optimize, stats

from physdl.errors import SettingError, ShapeError
from physdl.pytree import module, static
from physdl.statistics import Mean

__all__ = ["Collapse", "collapse"]

LEAST_DEGREE, MOST_DEGREE = 2, 16
BOUNDS = {"nu": (0.1, 10.0), "rho": (-4.0, 4.0), "omega": (0.1, 6.0)}
GRID = {
    "nu": (0.45, 0.65, 1.0, 1.5, 2.3),
    "rho": (-1.0, -0.25, 0.25, 0.75, 1.5, 2.25),
    "omega": (0.8, 2.0),
}
GRID_POINTS, GRID_DEGREE = 12, 5
N_STARTS = 4

Data = NDArray[np.float64]


@module
class Collapse:
    """A critical point and exponents, with the curve that all sizes fall on.

    Attributes:
      critical: t_c, in the units of t.
      nu: the exponent of the correlation length.
      rho: the exponent of y in L; stderr 0 where it was given.
      omega: the exponent of the correction to scaling, NaN where there is none.
      covariance: of (critical, nu, rho, omega), [4, 4]; zero for what was given.
      chi2: the sum of squared residuals in standard errors.
      z: (t - t_c) L^(1/nu) of every datum.
      scaled: y L^-rho of every datum, and its standard error; less the correction, where one is
        fitted.
      n_dof: degrees of freedom, data less parameters.
      degree: of the polynomial f.
    """

    critical: Mean
    nu: Mean
    rho: Mean
    omega: Mean
    covariance: Float[Array, "4 4"]
    chi2: Float[Array, ""]
    z: Float[Array, " n"]
    scaled: Mean
    n_dof: int = static()
    degree: int = static()

    @property
    def chi2_per_dof(self) -> Float[Array, ""]:
        """Near 1 for a good fit; far above, the errors of the exponents mean nothing."""
        return self.chi2 / self.n_dof

    @property
    def p_value(self) -> float:
        """The probability of a larger chi^2 if the model is right."""
        return float(stats.chi2.sf(float(self.chi2), self.n_dof))


@dataclass(frozen=True)
class _Fit:
    """The projected least-squares problem of one choice of polynomials.

    The nonlinear parameters are (t_c, 1/nu, rho, omega), with t of zero mean and unit variance;
    ``free`` says which are searched, the others stay at ``given``.
    """

    t: Data
    y: Data
    stderr: Data
    size: Data
    given: Data
    free: tuple[int, ...]
    degree: int
    correction: int | None

    @property
    def n_linear(self) -> int:
        return self.degree + 1 + (0 if self.correction is None else self.correction + 1)

    @property
    def n_dof(self) -> int:
        return len(self.y) - self.n_linear - len(self.free)

    def full(self, p: Data) -> Data:
        out = self.given.copy()
        out[list(self.free)] = p
        return out

    def solved(self, p: Data) -> tuple[Data, Data]:
        """Residuals in standard errors, and the fitted correction in units of y."""
        t_c, inverse_nu, rho, omega = self.full(p)
        near = np.ptp(self.t) / 2 * self.size.min() ** inverse_nu
        w = np.arcsinh((self.t - t_c) * self.size**inverse_nu / near)
        centre, half = (w.max() + w.min()) / 2, (w.max() - w.min()) / 2
        basis = np.polynomial.chebyshev.chebvander((w - centre) / half, self.degree)
        weight = self.size**rho / self.stderr
        columns = [weight[:, None] * basis]
        if self.correction is not None:
            fall = (weight * self.size**-omega)[:, None]
            columns.append(fall * basis[:, : self.correction + 1])
        matrix = np.concatenate(columns, axis=1)
        scale = np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
        coefficients, *_ = np.linalg.lstsq(matrix / scale, self.y / self.stderr, rcond=None)
        parts = (matrix / scale) * coefficients
        correction = parts[:, self.degree + 1 :].sum(axis=1) * self.stderr
        return self.y / self.stderr - parts.sum(axis=1), correction

    def residuals(self, p: Data) -> Data:
        return self.solved(p)[0]


def collapse(
    t: ArrayLike,
    y: ArrayLike,
    stderr: ArrayLike,
    size: ArrayLike,
    *,
    critical: float | None = None,
    nu: float | None = None,
    rho: float | None = 0.0,
    degree: int | None = None,
    correction: int | None = None,
    omega: float | None = None,
) -> Collapse:
    """Fit y = L^rho f((t - t_c) L^(1/nu)) to data at several sizes.

    Args:
      t: temperature, coupling or whatever drives the transition, any shape.
      y: the observable, broadcast with the others.
      stderr: its standard errors, positive.
      size: the linear sizes L, positive, at least two different ones.
      critical: t_c, or ``None`` to fit it; so are the following.
      nu: the exponent of the correlation length.
      rho: the exponent of y in L; 0 unless it is given or ``None``.
      degree: of the polynomial f; ``None`` takes the one of least AICc between 2 and 16.
      correction: the degree of the polynomial g of a correction to scaling; ``None`` for no such
        term.
      omega: the exponent of the correction, or ``None`` to fit it, which needs precise data.

    Raises:
      ShapeError: the data do not broadcast, or are too few for the parameters.
      SettingError: an error or a size is not positive, a value not finite, there is one size only,
        or a degree is out of range.

    References: method, M. E. J. Newman and G. T. Barkema, Monte Carlo Methods in Statistical
    Physics (1999), section 8.3; corrections, M. Hasenbusch, Phys. Rev. B 82, 174433 (2010).

    >>> rng = np.random.default_rng(0)
    >>> L = np.array([[8.0], [16.0], [32.0]])
    >>> t = np.linspace(2.1, 2.5, 15)[None]
    >>> y = np.tanh((t - 2.3) * L) + 0.01 * rng.normal(size=(3, 15))
    >>> fit = collapse(t, y, 0.01, L)
    >>> bool(abs(fit.critical.value - 2.3) < 3 * fit.critical.stderr) and bool(fit.p_value > 0.01)
    True
    """
    data = _data(t, y, stderr, size)
    given = [critical, None if nu is None else 1 / _positive(nu, "nu"), rho, omega]
    free = [k for k, value in enumerate(given) if value is None]
    if correction is None:
        free = [k for k in free if k != 3]
    elif not 0 <= correction <= MOST_DEGREE:
        raise SettingError(f"the degree of a correction is 0 to {MOST_DEGREE}, got {correction}.")
    start = np.array([0.0 if value is None else float(value) for value in given])
    centre, unit = float(data[0].mean()), float(data[0].std())
    if not np.ptp(data[0]) > 0:
        raise SettingError(f"a collapse needs different values of t, got {centre} alone.")
    data = ((data[0] - centre) / unit, *data[1:])
    start[0] = (start[0] - centre) / unit

    def problem(degree: int) -> _Fit:
        own = None if correction is None else min(correction, degree)
        return _Fit(*data, start, tuple(free), degree, own)

    if degree is not None and not 1 <= degree <= 30:
        raise SettingError(f"the degree of the scaling function is 1 to 30, got {degree}.")
    degrees = range(LEAST_DEGREE, MOST_DEGREE + 1) if degree is None else [degree]
    fits = [fit for fit in map(problem, degrees) if fit.n_dof > 0]
    if not fits:
        raise ShapeError(
            f"{len(data[1])} data are too few for a fit of {problem(degrees[0]).n_linear} "
            f"polynomial coefficients and {len(free)} exponents: measure more or lower the degree."
        )
    starts = _starts(min(fits, key=lambda fit: abs(fit.degree - GRID_DEGREE)))
    fit, p, jacobian = min((_minimum(fit, starts) for fit in fits), key=lambda m: _aicc(*m[:2]))
    return _result(fit, p, jacobian, centre, unit)


def _data(*given: ArrayLike) -> tuple[Data, Data, Data, Data]:
    try:
        arrays = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in given))
    except ValueError as error:
        shapes = ", ".join(str(np.shape(v)) for v in given)
        raise ShapeError(f"t, y, stderr and size broadcast together, got {shapes}.") from error
    t, y, stderr, size = (a.reshape(-1) for a in arrays)
    for name, values in (("t", t), ("y", y), ("stderr", stderr), ("size", size)):
        if not np.all(np.isfinite(values)):
            raise SettingError(f"the data of a collapse are finite, got a {name} that is not.")
    for name, values in (("standard errors", stderr), ("sizes", size)):
        if not np.all(values > 0):
            raise SettingError(f"{name} are positive, got {values.min()}.")
    if len(np.unique(size)) < 2:
        raise SettingError(f"a collapse needs two sizes or more, got {np.unique(size).tolist()}.")
    return t, y, stderr, size


def _positive(value: float, name: str) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise SettingError(f"{name} is positive and finite, got {value}.")
    return float(value)


def _starts(fit: _Fit) -> list[Data]:
    """The best points of a grid of the free parameters."""
    middle = np.linspace(fit.t.min(), fit.t.max(), GRID_POINTS + 2)[1:-1]
    grids: list[Iterable[float]] = [middle, 1 / np.array(GRID["nu"]), GRID["rho"], GRID["omega"]]
    chosen = [list(grids[k]) for k in fit.free]
    points = [np.array(p) for p in itertools.product(*chosen)]
    cost = [float(np.sum(fit.residuals(p) ** 2)) for p in points]
    return [points[i] for i in np.argsort(cost)[:N_STARTS]]


def _minimum(fit: _Fit, starts: list[Data]) -> tuple[_Fit, Data, Data]:
    """The lowest minimum found from the starts, and the derivative of the residuals there."""
    if not fit.free:
        return fit, np.empty(0), np.empty((len(fit.y), 0))
    span = float(np.ptp(fit.t))
    bounds = [(fit.t.min() - span, fit.t.max() + span)]
    bounds += [(1 / BOUNDS["nu"][1], 1 / BOUNDS["nu"][0]), BOUNDS["rho"], BOUNDS["omega"]]
    lower, upper = np.array([bounds[k] for k in fit.free]).T
    settings = {"jac": "3-point", "bounds": (lower, upper), "xtol": 1e-10, "ftol": 1e-10}
    found = [optimize.least_squares(fit.residuals, start, **settings) for start in starts]
    best = min(found, key=lambda r: r.cost)
    return fit, best.x, best.jac


def _aicc(fit: _Fit, p: Data) -> float:
    """Akaike's criterion with the correction for few data."""
    k, n = fit.n_linear + len(fit.free), len(fit.y)
    penalty = 2 * k + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else math.inf
    return float(np.sum(fit.residuals(p) ** 2)) + penalty


def _result(fit: _Fit, p: Data, jacobian: Data, centre: float, unit: float) -> Collapse:
    residuals, correction = fit.solved(p)
    covariance = np.zeros((4, 4))
    covariance[np.ix_(fit.free, fit.free)] = np.linalg.pinv(jacobian.T @ jacobian, hermitian=True)
    t_c, inverse_nu, rho, omega = fit.full(p)
    back = np.array([unit, -1 / inverse_nu**2, 1.0, 1.0])
    covariance = covariance * np.outer(back, back)
    error = np.sqrt(np.diagonal(covariance))
    omega = math.nan if fit.correction is None else omega
    values = (centre + unit * t_c, 1 / inverse_nu, rho, omega)
    mean = [Mean(jnp.asarray(v), jnp.asarray(e)) for v, e in zip(values, error, strict=True)]
    scale = fit.size**-rho
    return Collapse(
        mean[0],
        mean[1],
        mean[2],
        mean[3],
        jnp.asarray(covariance),
        jnp.asarray(np.sum(residuals**2)),
        jnp.asarray(unit * (fit.t - t_c) * fit.size**inverse_nu),
        Mean(jnp.asarray((fit.y - correction) * scale), jnp.asarray(fit.stderr * scale)),
        n_dof=fit.n_dof,
        degree=fit.degree,
    )
