r"""Monte Carlo renormalization group: exponents from configurations, without any couplings.

Configurations are coarsened n times by a block map. The linearised map of step n obeys the chain
rule d<S^n>/dK^(n-1) = d<S^n>/dK^n . dK^n/dK^(n-1), and derivatives with respect to couplings are
covariances of operators, so with B = cov(S^n, S^n) and A = cov(S^n, S^(n-1))

    T = dK^n / dK^(n-1) = B^(-1) A,        y = log |eigenvalue of T| / log b

(R. H. Swendsen, Phys. Rev. Lett. 42, 859 (1979)). Even operators give y_T = 1 / nu, odd ones y_H =
(d + 2 - eta) / 2. As n grows the trajectory comes near the fixed point and the number does not
depend on n, if the configurations are critical: away from K_c it leaves again. As the number of
operators grows truncation disappears. Both are read off a table: rows are steps, columns numbers of
operators. Too many steps bring the size of the last lattice into play, which has a common effect on
A and B and cancels to a large part.

Errors are those of the jackknife over blocks of draws, which are to be longer than the correlations
in time. A and B are the Jacobian and the Hessian of what an ``Ensemble`` gives by reweighting
(``Ensemble.log_z_of``); here they come from sums, so that a run of any length takes no memory.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.rg import _moments
from physdl.rg._base import RGStatus
from physdl.rg._cascade import planned
from physdl.rg._moments import Sums
from physdl.rg._sectors import MCRG, Sector, sector_of
from physdl.rg.block_spin import BlockMap
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random
from physdl.sampling._chains import Plan, positive, started
from physdl.sampling._kernel import Kernel

__all__ = ["MCRG", "Sector", "mcrg", "mcrg_run"]

FEWEST_BLOCKS = 8
MOST_DRIFT = 6.0


@cites("swendsen1979")
def mcrg(
    ensemble: Ensemble,
    blocks: BlockMap | Sequence[BlockMap],
    *,
    even: OperatorBasis | None = None,
    odd: OperatorBasis | None = None,
    n_steps: int | None = None,
    key: Key[Array, ""],
    scale: float | None = None,
    n_blocks: int = 32,
) -> MCRG:
    """The linearised map of every step, from an ensemble of configurations.

    Args:
      ensemble: configurations, at K_c if the exponents of the fixed point are wanted.
      blocks: the block map, or one for each step.
      even: operators that hold y_T; see ``operator_basis``.
      odd: operators that hold y_H.
      n_steps: how often the map is applied; given unless there is one map for each step.
      key: for the choices that block maps leave to chance.
      scale: the length ratio b, where the block map has no ``scale``.
      n_blocks: of the jackknife; draws in order are cut into so many.

    Raises:
      SettingError: there is no operator, no step, no scale, or fewer draws than blocks.
      ShapeError: blocks or operators do not fit on the box, or a space has several components.
      LatticeError: blocks are ``Triangles``, which turn the axes of the box.

    >>> from physdl import lattices, models, rg, sampling
    >>> lattice = lattices.square(8, 8)
    >>> h = models.ising(lattice, 0.4407)
    >>> run = sampling.run(
    ...     sampling.SwendsenWang(), h, key=jax.random.key(0), n_sweeps=400, n_kept=400
    ... )
    >>> odd = rg.operator_basis(lattice, 1, parity="odd")
    >>> found = rg.mcrg(run.ensemble, rg.Majority(2), odd=odd, n_steps=1, key=jax.random.key(1))
    >>> bool(abs(found.odd.y(1).value - 1.88) < 0.03)
    True
    """
    maps, bases, scales = planned(ensemble.h, blocks, even, odd, n_steps, scale)
    positive(n_blocks, "n_blocks", FEWEST_BLOCKS)
    n_draws = ensemble.n_chains * ensemble.n_draws
    if n_draws < n_blocks:
        raise SettingError(
            f"{n_blocks} blocks need as many draws, the ensemble has {n_draws}: run longer."
        )
    small = _moments.narrow(ensemble.h.space, maps)
    sums, centres = _moments.of_ensemble(ensemble, maps, bases, key, n_blocks=n_blocks, small=small)
    return _result(sums, centres, even, odd, scales)


@cites("swendsen1979")
def mcrg_run(
    kernel: Kernel,
    h: Hamiltonian,
    blocks: BlockMap | Sequence[BlockMap],
    *,
    even: OperatorBasis | None = None,
    odd: OperatorBasis | None = None,
    n_steps: int | None = None,
    key: Key[Array, ""],
    n_sweeps: int,
    thin: int = 1,
    n_chains: int = 16,
    n_warmup: int | None = None,
    n_blocks: int = 32,
    initial: ArrayLike | None = None,
    scale: float | None = None,
) -> MCRG:
    """The same from chains as they run, with nothing kept but the moments of the operators.

    ``status`` sees a drift between the two halves of the run, no slower one; a ``sampling.run`` of
    the same kernel says more. Wolff from random configurations takes long: its first clusters are
    small.

    Args:
      kernel: a move of ``physdl.sampling``; one call is one sweep.
      h: the Hamiltonian, at its critical point if the exponents of the fixed point are wanted.
      blocks, even, odd, n_steps, key, scale: as for ``mcrg``.
      n_sweeps: sweeps of every chain that count.
      thin: sweeps from one measurement to the next.
      n_chains: independent configurations.
      n_warmup: sweeps that are discarded first; a fifth of ``n_sweeps`` by default.
      n_blocks: least number of blocks of the jackknife; every chain is cut into enough of them,
        which must be longer than the correlations in time.
      initial: configurations to start from, one for all or [n_chains, ...]; random by default.

    Raises:
      SettingError: a number is out of range, or there is no operator, step or scale.
      ShapeError: blocks or operators do not fit on the box, or a space has several components.
      LatticeError: blocks are ``Triangles``, which turn the axes of the box.

    >>> from physdl import lattices, models, rg, sampling
    >>> lattice = lattices.square(8, 8)
    >>> h, odd = models.ising(lattice, 0.4407), rg.operator_basis(lattice, 1, parity="odd")
    >>> settings = {"odd": odd, "n_steps": 1, "n_sweeps": 200, "n_chains": 8}
    >>> kernel, blocks = sampling.SwendsenWang(), rg.Majority(2)
    >>> found = rg.mcrg_run(kernel, h, blocks, key=jax.random.key(0), **settings)
    >>> bool(abs(found.odd.y(1).value - 1.88) < 0.03)
    True
    """
    maps, bases, scales = planned(h, blocks, even, odd, n_steps, scale)
    warm = n_sweeps // 5 if n_warmup is None else n_warmup
    plan = Plan.checked(kernel, h, n_sweeps, thin, n_chains, warm, 0)
    per_chain = -(-positive(n_blocks, "n_blocks", FEWEST_BLOCKS) // n_chains)
    if plan.n_draws < per_chain:
        raise SettingError(
            f"{n_chains} chains of {plan.n_draws} draws cannot be cut into {n_blocks} blocks: "
            f"run longer."
        )
    start_key, sweep_key = random.split(key)
    states = started(kernel, h, initial, plan, start_key)
    keys = random.split(sweep_key, plan.n_states)
    small = _moments.narrow(h.space, maps)
    run = functools.partial(_moments.streamed, kernel, h)
    nothing = tuple(jnp.zeros((len(maps) + 1, len(b)), jnp.result_type(float)) for b in bases)
    settings: dict[str, Any] = {"small": small}
    states, early = run(states, maps, bases, keys, nothing, 0, 1, max(warm, 1), **settings)
    reference = tuple(jnp.mean(s.first / s.weight[:, None, None], axis=0) for s in early)
    first, found = max(warm, 1), []
    for draws in np.diff(np.arange(per_chain + 1) * plan.n_draws // per_chain).tolist():
        states, sums = run(states, maps, bases, keys, reference, first, draws, thin, **settings)
        first += draws * thin
        found.append(sums)
    joined = jax.tree.map(lambda *v: jnp.concatenate(v), *found)
    drifts = jnp.any(jnp.stack([_drifts(sums) for sums in joined]))
    status = jnp.where(drifts, RGStatus.UNCONVERGED.value, RGStatus.OK.value).astype(jnp.int32)
    return dataclasses.replace(_result(joined, reference, even, odd, scales), status=status)


def _drifts(sums: Sums) -> Bool[Array, ""]:
    """Whether the first operator differs between the halves of blocks in order of time."""
    means = sums.first[..., 0] / sums.weight[:, None]
    n = len(means) // 2
    early, late = means[:n], means[-n:]
    error = jnp.sqrt((jnp.var(early, 0, ddof=1) + jnp.var(late, 0, ddof=1)) / n)
    return jnp.any(jnp.abs(jnp.mean(early, 0) - jnp.mean(late, 0)) > MOST_DRIFT * error)


def _result(
    sums: tuple[Sums, ...],
    centres: tuple[Array, ...],
    even: OperatorBasis | None,
    odd: OperatorBasis | None,
    scales: tuple[float, ...],
) -> MCRG:
    each = iter(zip(sums, centres, strict=True))

    def sector(basis: OperatorBasis | None) -> Sector | None:
        if basis is None:
            return None
        return sector_of(*next(each), basis, scales)

    return MCRG(sector(even), sector(odd), jnp.int32(RGStatus.OK.value))
