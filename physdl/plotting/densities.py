"""The density of states, and the distributions of the energy that it holds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from physdl.errors import SettingError
from physdl.estimators import DensityOfStates
from physdl.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["density_of_states"]


def density_of_states(
    density: DensityOfStates, betas: Sequence[float] = (), *, ax: "Axes | None" = None
) -> "Axes":
    """ln g(E) with its standard error, and the canonical distributions g(E) exp(-b E) / Z_b.

    The distributions stand on an axis of their own to the right, each as the probability of a bin.

    Args:
      density: of an estimator's ``density``, or exact.
      betas: the places b of the distributions; those without any are not drawn.
      ax: the axes to draw on.

    Raises:
      SettingError: no bin has a state.

    >>> import jax.numpy as jnp
    >>> from physdl import estimators, plotting
    >>> log_g = jnp.log(jnp.array([2.0, 12.0, 2.0]))
    >>> density = estimators.DensityOfStates(jnp.array([-4.0, 0.0, 4.0]), log_g, jnp.zeros(3))
    >>> ax = plotting.density_of_states(density, betas=(0.0, 0.5), ax=plotting.new_axes())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['$\\\\ln g$', '$b = 0$', '$b = 0.5$']
    """
    met = np.isfinite(np.asarray(density.log_g))
    if not met.any():
        raise SettingError("a density of states without any state cannot be drawn.")
    e, log_g, stderr = (
        np.asarray(a, dtype=np.float64)[met]
        for a in (density.energies, density.log_g, density.stderr)
    )
    ax = _axes.axes_of(ax)
    (line,) = ax.plot(e, log_g, ".-", ms=3, lw=1, color=_axes.colour(0), label=r"$\ln g$")
    known = np.where(np.isfinite(stderr), stderr, 0.0)
    ax.fill_between(e, log_g - known, log_g + known, color=_axes.colour(0), alpha=0.3, lw=0)
    ax.set(xlabel="$E$", ylabel=r"$\ln g(E)$ (nats)")
    lines = [line]
    if len(betas):
        right = ax.twinx()
        for number, b in enumerate(betas, 1):
            p = np.exp(log_g - b * e - float(density.log_z(b)))
            lines += right.plot(e, p, lw=1, color=_axes.colour(number), label=f"$b = {b:.4g}$")
        right.set(ylabel="$P_b(E)$", ylim=(0, None))
        right.spines["right"].set_visible(True)
    _axes.legend(ax, n_columns=5, lines=lines)
    return ax
