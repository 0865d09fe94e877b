r"""Matching of two lattices: the critical point and y_T from equal observables.

A lattice of length L coarsened n times has as many sites as one of length L / b coarsened n - 1
times. At a critical point both end at the fixed point, so every observable agrees,

    <S_a^n>_L = <S_a^(n-1)>_(L/b),

and finite-size effects cancel, as the lattices are the same. Off the critical point the larger one
is a factor b^(y_T) farther away. To first order, at the coupling K that was simulated,

    K_c - K = (<S_a^(n-1)>_(L/b) - <S_a^n>_L) / (d<S_a^n>_L/dK - d<S_a^(n-1)>_(L/b)/dK),

    b^(y_T) = d<S_a^n>_L/dK / d<S_a^(n-1)>_(L/b)/dK,

with d<S>/dK = cov(S, S_K) and S_K the operator on the fine lattice that K multiplies (R. H.
Swendsen, in Real-Space Renormalization, ed. T. W. Burkhardt and J. M. J. van Leeuwen (1982); G. S.
Pawley, R. H. Swendsen, D. J. Wallace and K. G. Wilson, Phys. Rev. B 29, 4030 (1984)). The estimates
of all operators agree after enough steps; where they do not, K is too far off or n too small.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from physdl.errors import PhysdlError, UnknownNameError
from physdl.pytree import module
from physdl.rg._moments import Sums, jackknife
from physdl.rg.monte_carlo import Sector
from physdl.statistics import Mean

__all__ = ["Matching", "matching", "scale_invariance"]


@module
class Matching:
    """What two lattices at one coupling say, by step and operator, [n_steps, n].

    Attributes:
      shift: K_c - K.
      y: y_T.
      deviation: <S^n>_L - <S^(n-1)>_(L/b) in standard errors.
    """

    shift: Mean
    y: Mean
    deviation: Float[Array, "n_steps n"]


def matching(large: Sector, small: Sector, *, coupling: str = "nearest neighbour") -> Matching:
    """K_c and y_T from the even sectors of two lattices, the small one b times shorter.

    Errors are those of the jackknife over the blocks of either lattice, added in squares.

    Args:
      large: of a lattice of length L, n steps.
      small: of one of length L / b at the same coupling, n - 1 steps or more.
      coupling: the operator that the coupling K multiplies.

    Raises:
      PhysdlError: the two have other operators, length ratios, or numbers of steps.
      UnknownNameError: there is no such operator.
    """
    _check(large, small)
    names = large.operators.names
    if coupling not in names:
        raise UnknownNameError("operator", coupling, names)
    at, log_b = names.index(coupling), jnp.log(jnp.array(large.scales))[:, None]
    n = large.n_steps

    def of(a: Sums, b: Sums) -> Array:
        slopes = [_moments(s)[1][..., at] for s in (a, b)]
        far, near = slopes[0][1:], slopes[1][:n]
        gap = _moments(b)[0][:n] + small.centre[:n] - _moments(a)[0][1:] - large.centre[1:]
        return jnp.stack([gap / (far - near), jnp.log(jnp.abs(far / near)) / log_b])

    found = _of_two(of, large.sums, small.sums)
    shift, y = (Mean(found.value[k], found.stderr[k]) for k in (0, 1))
    return Matching(shift, y, scale_invariance(large, small))


def scale_invariance(large: Sector, small: Sector) -> Float[Array, "n_steps n"]:
    """<S^n>_L - <S^(n-1)>_(L/b) in standard errors: of order 1 at a fixed point.

    Every row is a test of the hypothesis that n - 1 steps of the smaller lattice and n of the
    larger have reached the same distribution, as far as the operators tell. It is rejected where
    the numbers are far above 1: at the first steps because irrelevant couplings still flow, at all
    the later ones because the ensemble is not critical.

    Raises:
      PhysdlError: the two have other operators, length ratios, or numbers of steps.

    >>> import jax
    >>> from physdl import lattices, models, rg
    >>> from physdl.ensemble import Ensemble
    >>> def sector(length, n_steps):  # independent spins are a fixed point
    ...     lattice, key = lattices.square(length, length), jax.random.key(length)
    ...     x = jax.random.rademacher(key, (400, 1, length, length))
    ...     free, even = Ensemble(x, h=models.ising(lattice, 0.0)), rg.operator_basis(lattice, 2, 1)
    ...     return rg.mcrg(free, rg.Majority(2), even=even, n_steps=n_steps, key=key).even
    >>> bool(jnp.all(jnp.abs(rg.scale_invariance(sector(12, 2), sector(6, 1))) < 4))
    True
    """
    _check(large, small)
    a, b, n = large.means, small.means, large.n_steps
    error = jnp.sqrt(a.stderr[1:] ** 2 + b.stderr[:n] ** 2)
    return (a.value[1:] - b.value[:n]) / error


def _check(large: Sector, small: Sector) -> None:
    if large.operators != small.operators or large.n_steps > small.n_steps + 1:
        raise PhysdlError(
            f"matching compares n steps of one lattice with n - 1 of another in the same "
            f"operators, got {large.n_steps} steps of {len(large.operators)} and {small.n_steps} "
            f"of {len(small.operators)} operators."
        )
    if large.scales[1:] != small.scales[: large.n_steps - 1]:
        raise PhysdlError(
            f"matching takes equal length ratios, got {large.scales} and {small.scales}."
        )


def _moments(sums: Sums) -> tuple[Array, Array]:
    """Mean deviations [n_levels, n] and d<S_a^l>/dK_b of the fine lattice [n_levels, n, n]."""
    return sums.first / sums.weight, sums.covariances()[2]


def _of_two(f: Callable[[Sums, Sums], Array], a: Sums, b: Sums) -> Mean:
    """A function of two independent sums by jackknife over one and the other."""
    of_a = jackknife(functools.partial(_swapped, f, b.total()), a)
    of_b = jackknife(functools.partial(f, a.total()), b)
    value = f(a.total(), b.total())
    value = of_a.value + of_b.value - value
    return Mean(value, jnp.sqrt(of_a.stderr**2 + of_b.stderr**2))


def _swapped(f: Callable[[Sums, Sums], Array], b: Sums, a: Sums) -> Array:
    return f(a, b)
