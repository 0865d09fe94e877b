"""What cannot be drawn is refused in a sentence."""

import jax.numpy as jnp
import numpy as np
import pytest
from plotting import drawn

from physdl import plotting
from physdl.errors import SettingError, ShapeError
from physdl.estimators import DensityOfStates

ONE = drawn.ESTIMATES["exact"]
REFUSED = {
    "no estimate": (lambda: plotting.estimates({}), SettingError, "got none"),
    "a batch": (
        lambda: plotting.estimates({"a": drawn.estimate(np.zeros(3))}),
        ShapeError,
        r"'a' is a batch of shape \(3,\)",
    ),
    "no sites": (lambda: plotting.estimates({"a": ONE}, n_sites=0), SettingError, "n_sites=0"),
    "one name": (lambda: plotting.flow_field(drawn.FIELD, ["K"]), ShapeError, "got 1 names"),
    "names": (lambda: plotting.flow(drawn.STEPS, ["K"]), ShapeError, r"given the names \['K'\]"),
    "start": (lambda: plotting.flow(drawn.STEPS, start=[1.0]), ShapeError, "the start has 1"),
    "a tensor": (lambda: plotting.flow(np.zeros((3, 4, 16))), ShapeError, "got 64: choose"),
    "sizes": (lambda: plotting.collapse(drawn.FIT, [8.0, 16.0]), ShapeError, "18 data"),
    "no series": (lambda: plotting.autocorrelation({}), SettingError, "got none"),
    "times": (
        lambda: plotting.autocorrelation({"a": drawn.SERIES, "b": drawn.NOISE}),
        SettingError,
        "different times",
    ),
    "vectors": (lambda: plotting.trace(np.zeros((2, 9, 3))), ShapeError, "take one component"),
    "no states": (
        lambda: plotting.density_of_states(
            DensityOfStates(jnp.zeros(1), jnp.array([-jnp.inf]), jnp.zeros(1))
        ),
        SettingError,
        "without any state",
    ),
    "spectrum": (lambda: plotting.spectrum(1.0), ShapeError, r"got \(\)"),
    "no tower": (lambda: plotting.conformal_tower([]), SettingError, "got none"),
    "steps": (
        lambda: plotting.conformal_tower([drawn.TOWER], steps=(1, 2)),
        ShapeError,
        "1 conformal data were given for 2 steps",
    ),
    "pixels": (
        lambda: plotting.receptive_fields(drawn.MACHINE, (2, 2)),
        ShapeError,
        r"2 x 2 visible units are drawn, got \(6, 5\)",
    ),
    "columns": (
        lambda: plotting.receptive_fields(drawn.MACHINE, (2, 3), n_columns=0),
        SettingError,
        "n_columns=0",
    ),
    "every": (lambda: plotting.training(drawn.TRAINING, every=0), SettingError, "every=0"),
    "no report": (lambda: plotting.network_cost({}), SettingError, "got none"),
    "a curve": (
        lambda: plotting.free_energy_curve([0.0, 1.0], [ONE]),
        ShapeError,
        r"1 estimates were given for couplings of shape \(2,\)",
    ),
    "no coupling": (lambda: plotting.couplings({}), SettingError, r"couplings \[\]"),
    "unknown": (
        lambda: plotting.couplings(drawn.COUPLINGS, known={"far": 1.0}),
        SettingError,
        "'far'",
    ),
    "index": (lambda: plotting.exponents(drawn.SECTOR, index=2), SettingError, "index=2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name):
    draw, error, said = REFUSED[name]
    with pytest.raises(error, match=said):
        draw()
