"""What renormalization measures: couplings by name, exponents by step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from physdl.errors import SettingError
from physdl.plotting import _axes
from physdl.rg import Couplings
from physdl.rg.monte_carlo import Sector
from physdl.statistics import Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["couplings", "exponents"]


def couplings(
    found: Couplings | Mapping[str, Mean],
    *,
    known: Mapping[str, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Named couplings with their standard errors, one a row.

    Args:
      found: of ``rg.pseudolikelihood``, or name -> value and error, in the order of the rows.
      known: name -> a value to compare with, a cross.
      ax: the axes to draw on.

    Raises:
      SettingError: there is no coupling, or a known one has another name.

    >>> import jax.numpy as jnp
    >>> from physdl import plotting, statistics
    >>> found = {"nearest": statistics.Mean(jnp.array(0.41), jnp.array(0.02))}
    >>> ax = plotting.couplings(found, known={"nearest": 0.44}, ax=plotting.new_axes())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['nearest']
    """
    rows = {n: found[n] for n in found.operators.names} if isinstance(found, Couplings) else found
    unknown = set(known or {}) - set(rows)
    if not rows or unknown:
        raise SettingError(f"couplings {list(rows)} were given, known ones of {sorted(unknown)}.")
    ax = _axes.axes_of(ax, figsize=(5.0, 0.9 + 0.28 * len(rows)))
    place = np.arange(len(rows))
    values = [float(m.value) for m in rows.values()]
    errors = np.nan_to_num([float(m.stderr) for m in rows.values()])
    ax.axvline(0, color=_axes.GREY, lw=0.8, zorder=0)
    ax.errorbar(values, place, xerr=errors, fmt="o", ms=4, capsize=2, color=_axes.colour(0))
    if known:
        at = [list(rows).index(name) for name in known]
        ax.plot(list(known.values()), at, "x", ms=7, color=_axes.colour(1), label="known")
    ax.set_yticks(place, list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel("coupling")
    _axes.legend(ax)
    return ax


def exponents(
    sector: Sector,
    *,
    expected: float | None = None,
    index: int = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """An exponent y of a Monte Carlo renormalization group, by step and number of operators.

    Args:
      sector: of ``rg.mcrg``, its ``even`` or ``odd``.
      expected: the value to compare with, a line.
      index: which exponent, from the largest on.
      ax: the axes to draw on.

    Raises:
      SettingError: there are not so many exponents.

    >>> import jax
    >>> from physdl import lattices, models, plotting, rg, sampling
    >>> h = models.ising(lattices.square(8, 8), 0.44)
    >>> basis = rg.operator_basis(lattices.square(4, 4), max_range={2: 1.5})
    >>> found = rg.mcrg_run(
    ...     sampling.SwendsenWang(), h, rg.Majority(2), even=basis, n_steps=1, n_sweeps=40,
    ...     key=jax.random.key(0),
    ... )
    >>> ax = plotting.exponents(found.even, expected=1.0, ax=plotting.new_axes())
    >>> len(ax.containers)  # 1 and 2 operators
    2
    """
    n = len(sector.operators)
    if not 0 <= index < n:
        raise SettingError(f"{n} operators have exponents 0 to {n - 1}, got index={index}.")
    ax = _axes.axes_of(ax)
    if expected is not None:
        ax.axhline(expected, color=_axes.GREY, lw=1, ls="--", zorder=0, label="expected")
    value, stderr = np.asarray(sector.table.value), np.asarray(sector.table.stderr)
    steps = np.arange(1, sector.n_steps + 1)
    counts = [k for k in range(1, n + 1) if k > index]
    for number, count in enumerate(counts):
        ax.errorbar(
            steps + 0.06 * (number - (len(counts) - 1) / 2),
            value[:, count - 1, index],
            np.nan_to_num(stderr[:, count - 1, index]),
            fmt=_axes.marker(number),
            ms=4,
            capsize=2,
            color=_axes.colour(number),
            label=f"{count} operator" + ("s" if count > 1 else ""),
        )
    ax.set(xlabel="step", ylabel=f"$y_{{{index + 1}}}$")
    ax.set_xlim(0.5, sector.n_steps + 0.5)
    ax.xaxis.set_major_locator(_axes.matplotlib().ticker.MaxNLocator(integer=True))
    _axes.legend(ax, n_columns=2)
    return ax
