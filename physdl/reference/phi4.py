r"""Exact ln Z of the lattice :math:`\varphi^4` field on small periodic chains and squares.

.. math:: H = \sum_{\langle xy\rangle} g(\varphi_x - \varphi_y)^2
              + \sum_x (r\varphi_x^2 + u\varphi_x^4),
          \qquad Z = \int\prod_x d\varphi_x\, e^{-H}.

Collect the terms of one site into a weight
:math:`w(\varphi) = e^{-(2dg + r)\varphi^2 - u\varphi^4}`; what is left is
:math:`e^{2g\varphi\varphi'}` on each bond. Gauss quadrature with respect to w turns the field into
a variable of n values, exactly for polynomials of degree 2n - 1, and Z into the trace of a transfer
matrix whose error falls geometrically in n. On a square the trace is taken over one configuration
of a row for each orbit under translation, reflection and change of sign.

Convention: ln Z in nats, whole lattice; a side of length 2 counts its bonds twice. The action of
lattice field theory papers is H with g = 1, r = m^2, u = lambda. Consequence: a yardstick for flows
and samplers of lattice fields that is independent of any of them. Everything here is numpy in
float64: numbers, with an estimate of their own error.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.reference._arguments import integer

__all__ = ["Phi4LogZ", "phi4_log_z", "phi4_single_site_log_z"]

_N_STATES_LIMIT = 1_000_000
_BATCH_ENTRIES = 4_000_000
_N_GRID = 4001


class Phi4LogZ(NamedTuple):
    """A value of ln Z and its change on going from two nodes fewer to the nodes used."""

    log_z: float
    error: float


def phi4_single_site_log_z(r: float, u: float) -> float:
    r"""ln of :math:`\int d\varphi\,e^{-r\varphi^2 - u\varphi^4}`, by modified Bessel functions.

    With :math:`x = r^2/8u`: :math:`Z = \tfrac12\sqrt{r/u}\,e^xK_{1/4}(x)` for r > 0 and
    :math:`Z = \tfrac\pi2\sqrt{|r|/2u}\,e^x[I_{1/4}(x) + I_{-1/4}(x)]` for r < 0.

    Args:
      r: coefficient of the square.
      u: coefficient of the fourth power, positive; 0 is allowed for r > 0.

    Raises:
      SettingError: the integral diverges.

    Source: I. S. Gradshteyn and I. M. Ryzhik, Table of Integrals, Series, and Products, 3.323.

    >>> print(f"{phi4_single_site_log_z(0.0, 1.0):.12f} {math.log(2 * math.gamma(1.25)):.12f}")
    0.594875344138 0.594875344138
    """
    from scipy.special import gammaln, ive, kve

    _check_bounded(r, u)
    if u == 0:
        return 0.5 * math.log(math.pi / r)
    if r == 0:
        return math.log(2) + float(gammaln(1.25)) - math.log(u) / 4
    x = r * r / (8 * u)
    if r > 0:
        return math.log(r / (4 * u)) / 2 + float(np.log(kve(0.25, x)))
    bessel = ive(0.25, x) + ive(-0.25, x)
    return 2 * x + math.log(math.pi / 2) + math.log(-r / (2 * u)) / 2 + float(np.log(bessel))


@cites("kramers1941", "golub1969")
def phi4_log_z(
    shape: tuple[int, ...], r: float, u: float, gradient: float = 1.0, n_nodes: int | None = None
) -> Phi4LogZ:
    r"""ln Z of the periodic lattice field of shape (N,) or (rows, cols); formula above.

    Args:
      shape: (N,) for a ring, (rows, cols) for a torus.
      r: coefficient of the square; m^2 of an action with the gradient term written as above.
      u: coefficient of the fourth power, positive; 0 is allowed for r > 0.
      gradient: g, the weight of the squared difference on a bond, not negative.
      n_nodes: nodes of the quadrature, at least 3; 40 on a ring and 12 on a torus if left out.
        Strong coupling between sites or wide wells need more: look at ``error``.

    Returns:
      ``Phi4LogZ(log_z, error)``; the error is the change from n_nodes - 2 to n_nodes, usually far
      larger than what is left.

    Raises:
      ShapeError: the shape has neither one nor two axes.
      SettingError: a side or n_nodes is too small, g is negative, or the integral diverges.
      TooLargeError: the shorter side has more than 10^6 configurations of nodes.

    Sources: the transfer matrix, H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941); Gauss
    quadrature from the weight, G. H. Golub and J. H. Welsch, Math. Comp. 23, 221 (1969).

    >>> print(f"{phi4_log_z((2, 2), -4.0, 6.975).log_z:.10f}")
    1.1731847108
    """
    if len(shape) not in (1, 2):
        raise ShapeError(
            f"shape must be (N,) or (rows, cols), got {shape}: no transfer matrix for more axes."
        )
    sides = sorted(integer(side, "a side of the lattice", 1) for side in shape)
    if not gradient >= 0:
        raise SettingError(f"gradient must not be negative, got {gradient!r}: give g >= 0.")
    _check_bounded(r, u)
    default = 40 if len(sides) == 1 else 12
    nodes = integer(default if n_nodes is None else n_nodes, "n_nodes", 3)
    if len(sides) == 2 and nodes ** sides[0] > _N_STATES_LIMIT:
        raise TooLargeError(
            f"{nodes} nodes on a side of {sides[0]} sites make {nodes ** sides[0]} configurations, "
            f"more than {_N_STATES_LIMIT}: use fewer nodes or a shorter side."
        )
    coefficient = 2 * len(sides) * gradient + r
    log_z = []
    for n in (nodes - 2, nodes):
        points, weights, log_mass = _gauss_rule(coefficient, u, n)
        bond = np.exp(2 * gradient * np.outer(points, points))
        log_trace = (
            _ring_log_trace(bond, weights, sides[0])
            if len(sides) == 1
            else _torus_log_trace(bond, weights, sides[0], sides[1])
        )
        log_z.append(math.prod(sides) * log_mass + log_trace)
    return Phi4LogZ(log_z[1], abs(log_z[1] - log_z[0]))


def _check_bounded(r: float, u: float) -> None:
    if not (u > 0 or (u == 0 and r > 0)):
        raise SettingError(
            f"exp(-r x^2 - u x^4) is not integrable for r = {r!r}, u = {u!r}: give u > 0, or u = 0 "
            "with r > 0."
        )


def _gauss_rule(
    r: float, u: float, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Nodes, weights (sum 1) and ln of the total mass of the Gauss rule for exp(-r x^2 - u x^4).

    The three-term recurrence of the orthogonal polynomials is found by the Stieltjes procedure on a
    fine trapezoid, which is exact to rounding for a weight that decays like this one.
    """
    minimum = max(0.0, -r / (2 * u)) if u else 0.0
    depth = r * minimum + u * minimum**2
    tail = 80.0
    if u:
        shifted = r + 2 * u * minimum
        reach = minimum + 2 * tail / (shifted + math.sqrt(shifted**2 + 4 * u * tail))
    else:
        reach = tail / r
    x = np.linspace(-math.sqrt(reach), math.sqrt(reach), _N_GRID)
    weight = np.exp(depth - r * x**2 - u * x**4)
    log_mass = math.log(weight.sum() * (x[1] - x[0])) - depth
    weight /= weight.sum()
    previous, current = np.zeros_like(x), np.ones_like(x)
    off_diagonal = np.zeros(n)
    for k in range(1, n + 1):
        following = x * current - off_diagonal[k - 1] * previous
        norm = math.sqrt(float(weight @ following**2))
        if k < n:
            off_diagonal[k] = norm
        previous, current = current, following / norm
    jacobi = np.diag(off_diagonal[1:], 1) + np.diag(off_diagonal[1:], -1)
    points, vectors = np.linalg.eigh(jacobi)
    return points, vectors[0] ** 2, log_mass


def _ring_log_trace(bond: NDArray[np.float64], weights: NDArray[np.float64], length: int) -> float:
    root = np.sqrt(weights)
    eigenvalues = np.linalg.eigvalsh(root[:, None] * bond * root)
    largest = eigenvalues[-1]
    return length * math.log(largest) + math.log(np.sum((eigenvalues / largest) ** length))


def _torus_log_trace(
    bond: NDArray[np.float64], weights: NDArray[np.float64], width: int, length: int
) -> float:
    r"""ln Tr T^length of the transfer matrix between rows of ``width`` sites.

    With T = S B S symmetric, Tr T^N = sum over a of <T^k a, T^{N-k} a>, k = N // 2, where only one
    row a of each orbit is needed; B, a product over sites, is applied one site at a time.
    """
    n = len(weights)
    index = np.indices((n,) * width).reshape(width, -1)
    in_row = sum(np.log(bond)[index[i], index[(i + 1) % width]] for i in range(width))
    root = np.exp((in_row + np.log(weights)[index].sum(0)) / 2)
    representatives, sizes = _orbits(index, n)

    def transfer(
        rows: NDArray[np.float64], log_scale: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = (rows * root).reshape(-1, *(n,) * width)
        for _ in range(width):
            rows = np.tensordot(rows, bond, axes=(1, 0))
        rows = rows.reshape(len(rows), -1) * root
        largest = rows.max(1)
        return rows / largest[:, None], log_scale + np.log(largest)

    log_terms = []
    batch = max(1, _BATCH_ENTRIES // n**width)
    for start in range(0, len(representatives), batch):
        chosen = representatives[start : start + batch]
        near, near_scale = np.zeros((len(chosen), n**width)), np.zeros(len(chosen))
        near[np.arange(len(chosen)), chosen] = 1
        for _ in range(length // 2):
            near, near_scale = transfer(near, near_scale)
        far, far_scale = transfer(near, near_scale) if length % 2 else (near, near_scale)
        overlap = sizes[start : start + batch] * np.einsum("ij,ij->i", near, far)
        log_terms.append(np.log(overlap) + near_scale + far_scale)
    return float(np.logaddexp.reduce(np.concatenate(log_terms)))


def _orbits(index: NDArray[np.intp], n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One number and the size of each orbit of rows under shifts, reflection and change of sign."""
    width = len(index)
    place = n ** np.arange(width - 1, -1, -1)
    smallest = np.full(index.shape[1], n**width)
    for row in (index, n - 1 - index):
        for directed in (row, row[::-1]):
            for shift in range(width):
                smallest = np.minimum(smallest, place @ np.roll(directed, shift, axis=0))
    return np.unique(smallest, return_counts=True)
