"""What compiled networks cost."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from physdl.errors import SettingError
from physdl.plotting import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from physdl.networks import CostReport

__all__ = ["network_cost"]


def network_cost(
    reports: "CostReport | Mapping[str, CostReport]", *, ax: "Axes | None" = None
) -> "Axes":
    """Neurons and synapses of compiled networks as bars on a logarithmic axis; depth in words.

    Args:
      reports: of ``networks.compile_polynomial``, one or several by name, from the top.
      ax: the axes to draw on.

    Raises:
      SettingError: there is no report.

    >>> from physdl import lattices, models, networks, plotting
    >>> h = models.ising(lattices.chain(3), 0.5)
    >>> _, report = networks.compile_polynomial(h, tolerance=1e-6)
    >>> ax = plotting.network_cost({"chain": report}, ax=plotting.new_axes())
    >>> [int(bar.get_width()) for bar in ax.patches] == [report.neurons, report.synapses]
    True
    """
    named = reports if isinstance(reports, Mapping) else {"network": reports}
    if not named:
        raise SettingError("a picture of costs needs one report or more, got none.")
    ax = _axes.axes_of(ax, figsize=(5.0, 1.0 + 0.55 * len(named)))
    rows = np.arange(len(named))
    counts = {
        "neurons": [r.neurons for r in named.values()],
        "synapses": [r.synapses for r in named.values()],
    }
    for number, (name, numbers) in enumerate(counts.items()):
        bars = ax.barh(rows + 0.38 * (number - 0.5), numbers, 0.36, color=_axes.colour(number))
        bars.set_label(name)
        ax.bar_label(bars, padding=3, fontsize="small")
    words = [f"{n}\ndepth {r.depth}" for n, r in named.items()]
    ax.set_yticks(rows, words)
    ax.set(xscale="log", xlim=(0.8, 3 * max(map(max, counts.values()))), xlabel="number")
    ax.set_ylim(len(named) - 0.5, -0.5)
    _axes.legend(ax)
    return ax
