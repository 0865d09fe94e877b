"""The driver: many sweeps of a kernel, measured as they go, in constant memory.

``run`` moves ``n_chains`` configurations by ``n_warmup`` sweeps that are discarded and ``n_sweeps``
that count, measuring every ``thin``-th. Sweep t of chain c uses the key fold_in(split(key)[c], t),
so a run that is interrupted and taken up again from its checkpoint ends, bit for bit, where an
undisturbed run ends.

The loop over sweeps is compiled and takes the number of draws as an argument; between its calls the
host adds what was measured to block sums, looks at the clock, and writes checkpoints.
"""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Key

from physdl.errors import PhysdlError, SettingError, StructureError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.pytree import is_traced
from physdl.sampling import _random as random
from physdl.sampling._chains import Chains, Plan, positive, started
from physdl.sampling._checkpoint import Checkpoint, digest
from physdl.sampling._kernel import Kernel
from physdl.sampling._progress import progress_bar
from physdl.sampling._series import FEWEST, Series
from physdl.sampling.observables import Observable, standard_observables
from physdl.sampling.result import Run
from physdl.version import __version__

__all__ = ["run", "sweeps"]


def sweeps(
    kernel: Kernel, h: Hamiltonian, state: Any, *, key: Key[Array, ""], n_sweeps: int
) -> tuple[Any, dict[str, Array]]:
    """n sweeps of one state, compiled or inside what is compiled; the mean of what was reported.

    The pure function behind ``run``, for use under ``jit``, ``vmap`` and ``scan``.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.square(4, 4), 0.3)
    >>> x, info = sweeps(
    ...     sampling.HeatBath(), h, jnp.ones((4, 4)), key=jax.random.key(0), n_sweeps=5
    ... )
    >>> x.shape
    (4, 4)
    """

    def step(state: Any, t: Array) -> tuple[Any, dict[str, Array]]:
        out: tuple[Any, dict[str, Array]] = kernel(h, state, key=random.folded(key, t))
        return out

    state, info = jax.lax.scan(step, state, jnp.arange(n_sweeps))
    return state, jax.tree.map(lambda v: jnp.mean(v, axis=0), info)


def run(
    kernel: Kernel,
    h: Hamiltonian,
    *,
    key: Key[Array, ""],
    n_sweeps: int,
    thin: int = 1,
    observables: Mapping[str, Observable] | None = None,
    n_chains: int = 4,
    n_warmup: int | None = None,
    initial: ArrayLike | None = None,
    n_kept: int = 0,
    checkpoint: str | Path | None = None,
    every: int | None = None,
    max_seconds: float | None = None,
    progress: bool = False,
) -> Run:
    """Run chains of a kernel and measure them as they go.

    Args:
      kernel: the move; one call is one sweep.
      h: the Hamiltonian; its coefficients must be finite.
      key: the same key gives the same answer, however often the run is interrupted.
      n_sweeps: sweeps of every chain that are measured.
      thin: sweeps from one measurement to the next.
      observables: name -> function of one configuration, of any shape; a Hamiltonian is one (its
        energy). By default the energy, and the powers 1, 2 and 4 of ``OrderParameter``.
      n_chains: independent configurations; a multiple of what one state of the kernel yields (32
        for spins packed in words).
      n_warmup: sweeps that are discarded first; a fifth of ``n_sweeps`` by default.
      initial: configurations to start from, one for all or [n_chains, ...]; random by default.
      n_kept: configurations of every chain to keep, evenly spaced, as an ``Ensemble``.
      checkpoint: a folder; where it holds checkpoints of this very run, the run goes on from there.
      every: sweeps between checkpoints; a twentieth of the run by default.
      max_seconds: stop after this time, compilation included, but not before something is done.
      progress: show a bar with rate, R-hat and effective sample size on standard error.

    Raises:
      SettingError: a number is out of range, or a coefficient is NaN or infinite.
      ShapeError: the initial configurations have another shape.
      StructureError: configurations are forbidden (``+inf``) and the kernel changes single sites.
      CheckpointError: the folder holds checkpoints of another run, or something else.

    >>> from physdl import lattices, models, reference, sampling
    >>> h = models.ising(lattices.square(8, 8), 0.3)
    >>> out = run(sampling.HeatBath(), h, key=jax.random.key(1), n_sweeps=500)
    >>> exact = 0.3 * reference.kaufman_energy(8, 8, 0.3)
    >>> bool(abs(out["energy"].mean.value - exact) < 4 * out["energy"].mean.stderr)
    True
    """
    began = time.monotonic()
    warm = n_sweeps // 5 if n_warmup is None else n_warmup
    plan = Plan.checked(kernel, h, n_sweeps, thin, n_chains, warm, n_kept)
    _refuse_values(kernel, h)
    measured = dict(standard_observables(h) if observables is None else observables)
    start_key, sweep_key = random.split(key)
    chains = Chains(kernel, h, measured, plan, started(kernel, h, initial, plan, start_key))
    folder = None
    if checkpoint is not None:
        words = [__version__, dataclasses.astuple(plan), sorted(measured), h.dtype]
        run_digest = digest((kernel, h, key, initial), words)
        folder = Checkpoint(checkpoint, run_digest, "model, kernel, key, length, observable")
        found = folder.load(chains.saved())
        if found is not None:
            chains.restore(*found)
    keys = random.split(sweep_key, plan.n_states)
    limit = np.inf if max_seconds is None else began + max_seconds
    stride = max(1, plan.total // 20) if every is None else positive(every, "every")
    with progress_bar(plan.total if progress else None, "warm-up", _told) as show:
        while chains.done < plan.total:
            target = min(plan.total, (chains.done // stride + 1) * stride)
            chains.advance(keys, plan.rounded(target), limit)
            show(chains)
            if folder is not None:
                folder.save(chains.done, chains.saved())
            if time.monotonic() >= limit:
                break
    if folder is not None:
        folder.close()
    return chains.result()


def _refuse_values(kernel: Kernel, h: Hamiltonian) -> None:
    """Refuse coefficients that are not numbers, and moves that constraints would block."""
    if is_traced((kernel, h)):
        raise PhysdlError(
            "run is a loop on the host and takes known coefficients: inside jit, vmap or grad use "
            "sampling.sweeps."
        )
    for name, term in h.terms.items():
        leaf = np.asarray(jax.tree.leaves(term)[0])
        hard = isinstance(term, Potential)
        bad = ~np.isfinite(leaf) & ~(np.isposinf(leaf) if hard else np.zeros(leaf.shape, bool))
        if np.any(bad):
            raise SettingError(
                f"term {name!r} has the coefficient {leaf[bad][0]}: give finite numbers."
            )
        if np.any(np.isposinf(leaf)) and not getattr(kernel, "constrained", False):
            raise StructureError(
                f"term {name!r} forbids configurations (+inf), and {type(kernel).__name__} may not "
                f"reach all others: where single-site changes connect them, use "
                f"HeatBath(constrained=True) or Metropolis(constrained=True) with an allowed "
                f"initial configuration."
            )


def _told(chains: Chains) -> tuple[int, str]:
    return chains.done, f"{chains.rate:.3g}/s  {_convergence(chains)}"


def _convergence(chains: Chains) -> str:
    """R-hat and effective sample size of the first observable that is a number.

    They are those of the first 2^k blocks: a new length would be compiled anew.
    """
    for name, series in chains.series().items():
        n_blocks = series.blocks.shape[1]
        if name in chains.names and series.blocks.ndim == 2 and n_blocks >= FEWEST:
            n = 2 ** (n_blocks.bit_length() - 1)
            known = Series(series.blocks[:, :n], series.squares[:, :n], series.block, series.thin)
            ess = float(known.effective_sample_size) * n_blocks / n
            return f"R-hat {float(known.r_hat):.3f}  ESS {ess:.0f}"
    return "warm-up"
