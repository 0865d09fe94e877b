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

Any observable that is a number without a length will do. Binder's ratio of the magnetization m,

    U = 1 - <m^4> / (3 <m^2>^2)

(K. Binder, Z. Phys. B 43, 119 (1981)), also agrees between the two lattices as they are, up to
corrections to scaling, so it gives a row 0 without any block map: where the curves U_L(K) and
U_(L/b)(K) cross, with the ratio of their slopes there.
"""

from collections.abc import Callable
from typing import TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl import statistics
from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import PhysdlError, SettingError, UnknownNameError
from physdl.pytree import module
from physdl.rg._binder import binder_ratio, magnetic_sums
from physdl.rg._cascade import planned
from physdl.rg._moments import Sums, jackknife
from physdl.rg._sectors import Sector
from physdl.rg.block_spin import BlockMap
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random
from physdl.sampling._chains import positive
from physdl.statistics import Mean

__all__ = ["Matching", "binder_matching", "matching", "scale_invariance"]

S = TypeVar("S")
LEAST_BLOCKS = 8


@module
class Matching:
    """What two lattices at one coupling say, by step and observable, [n_steps, n].

    Attributes:
      shift: K_c - K.
      y: y_T.
      deviation: <S^n>_L - <S^(n-1)>_(L/b) in standard errors.
    """

    shift: Mean
    y: Mean
    deviation: Float[Array, "n_steps n"]


@cites("pawley1984")
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
        slopes = [_means(s)[1][..., at] for s in (a, b)]
        far, near = slopes[0][1:], slopes[1][:n]
        gap = _means(b)[0][:n] + small.centre[:n] - _means(a)[0][1:] - large.centre[1:]
        return jnp.stack([gap / (far - near), jnp.log(jnp.abs(far / near)) / log_b])

    parts = [(jackknife, sector.sums, sector.sums.total()) for sector in (large, small)]
    found = _of_two(of, *parts)
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


def _means(sums: Sums) -> tuple[Array, Array]:
    """Mean deviations [n_levels, n] and d<S_a^l>/dK_b of the fine lattice [n_levels, n, n]."""
    return sums.first / sums.weight, sums.covariances()[2]


@cites("binder1981")
def binder_matching(
    large: Ensemble,
    small: Ensemble,
    blocks: BlockMap,
    *,
    coupling: OperatorBasis,
    n_steps: int = 1,
    key: Key[Array, ""],
    n_blocks: int = 32,
) -> Matching:
    """K_c and y from Binder's ratio of two lattices, the small one b times shorter.

    Row 0 compares them as they are, row n the large one after n steps with the small one after n -
    1; the only column is the ratio. y is that of the slopes at K, and K_c that of a straight line,
    so K is to be near K_c: of 16 x 16 and 8 x 8 Ising spins y is 1.34(6) at K = 0.43, where K_c is
    still found to 0.002, and 1.05(7) at K_c.

    Args:
      large: configurations of a lattice of length L.
      small: of one of length L / b at the same couplings.
      blocks: the block map, with a ``scale`` b.
      coupling: the one operator that the coupling K multiplies.
      n_steps: of the large lattice; the small one takes one less.
      key: for the choices that the block map leaves to chance.
      n_blocks: of the jackknife; draws in order are cut into so many.

    Raises:
      SettingError: there is not one operator, no step, no scale, or fewer draws than blocks.
      ShapeError: blocks or the operator do not fit on the box, or a space has several components.
      LatticeError: blocks are ``Triangles``, which turn the axes of the box.
      PhysdlError: the large lattice is not b times as long.

    >>> import jax
    >>> from physdl import lattices, models, rg, sampling
    >>> def run(length):
    ...     h = models.ising(lattices.square(length, length), 0.43)
    ...     key = jax.random.key(length)
    ...     kernel = sampling.SwendsenWang()
    ...     return sampling.run(kernel, h, key=key, n_sweeps=1000, n_kept=1000).ensemble
    >>> bond = rg.operator_basis(lattices.square(8, 8), 2, 1)
    >>> key = jax.random.key(0)
    >>> found = rg.binder_matching(run(16), run(8), rg.Majority(2), coupling=bond, key=key)
    >>> bool(jnp.all(jnp.abs(0.43 + found.shift.value - 0.4407) < 0.005))
    True
    """
    if len(coupling) != 1:
        raise SettingError(f"one coupling is moved, got {len(coupling)} operators.")
    positive(n_blocks, "n_blocks", LEAST_BLOCKS)
    maps, _, scales = planned(large.h, blocks, coupling, None, n_steps, None)
    coupling.check(small.h.shape)
    b = scales[0]
    if large.h.space != small.h.space or large.h.shape != tuple(b * n for n in small.h.shape):
        raise PhysdlError(
            f"matching takes lattices whose lengths differ by the factor {b:g} of the block map, "
            f"got {large.h.shape} and {small.h.shape}."
        )
    parts = []
    for ensemble, steps, own in zip(
        (large, small), (maps, maps[:-1]), random.split(key, 2), strict=True
    ):
        if ensemble.n_chains * ensemble.n_draws < n_blocks:
            raise SettingError(f"{n_blocks} blocks need as many draws: run longer.")
        sums = magnetic_sums(ensemble, steps, coupling, own, n_blocks=n_blocks)
        parts.append((_over_blocks, sums, jnp.mean(sums, axis=0)))

    def of(one: Array, other: Array) -> Array:
        (u, far), (v, near) = binder_ratio(one), binder_ratio(other)
        v, near = (jnp.concatenate([w[:1], w]) for w in (v, near))
        y = jnp.log(jnp.abs(far / near)) / jnp.log(b)
        return jnp.stack([(v - u) / (far - near), y, u - v])[..., None]

    found = _of_two(of, *parts)
    shift, y = (Mean(found.value[k], found.stderr[k]) for k in (0, 1))
    return Matching(shift, y, found.value[2] / found.stderr[2])


def _over_blocks(f: Callable[[Array], Array], sums: Float[Array, "n_blocks ..."]) -> Mean:
    return statistics.jackknife(lambda v: f(jnp.mean(v, axis=0)), sums, n_blocks=len(sums))


Part = tuple[Callable[[Callable[[S], Array], S], Mean], S, S]


def _of_two(f: Callable[[S, S], Array], a: Part[S], b: Part[S]) -> Mean:
    """A function of two independent sums by jackknife over one and the other."""
    (over_a, blocks_a, all_a), (over_b, blocks_b, all_b) = a, b
    of_a = over_a(lambda own: f(own, all_b), blocks_a)
    of_b = over_b(lambda own: f(all_a, own), blocks_b)
    value = of_a.value + of_b.value - f(all_a, all_b)
    return Mean(value, jnp.sqrt(of_a.stderr**2 + of_b.stderr**2))
