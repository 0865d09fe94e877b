r"""A model's couplings under a map: flow, critical point on its line, fixed point, exponents.

    k, R(k), R(R(k)), ...    t_c: R^n(t_c k) neither grows nor dies    y_i = log lambda_i / log b

The flow from the critical point first slows down near the fixed point that rules it; from there
Newton's method finds it. Where it lies far from all that the flow passed, it is not claimed.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physdl import rg
from physdl.report.maps import Renormalized
from physdl.rg import RGMap, RGStatus

__all__ = ["fixed_point_of", "flow_of"]

LEAST, MOST = 0.01, 8.0
NEAR = 0.2
UNDIVIDED = "No fixed point divides the line of these models."
AWAY = "The critical flow runs away: its fixed point lies at infinite couplings."


def flow_of(start: Renormalized, n_steps: int) -> dict[str, Any]:
    """Rows of couplings step by step, and -log Z per site; nothing for maps without couplings."""
    if start.couplings is None:
        return {}
    found = rg.flow(start.map, start.couplings, n_steps)
    rows = jnp.concatenate([start.couplings[None], found.couplings])
    numbers = {
        "error": float(jnp.max(found.error)),
        "free_energy": float(rg.free_energy(start.bound or start.map, start.couplings)),
    }
    known = {name: value for name, value in numbers.items() if math.isfinite(value)}
    return {"flow": np.asarray(rows).tolist(), **known}


def fixed_point_of(start: Renormalized, *, exponents: bool = True) -> dict[str, Any]:
    """The critical point on the line t k of the model, the fixed point, and its exponents.

    ``status`` is ``"NONE"``, with a ``message``, where there is no such point.
    """
    guess = start.guess
    values: dict[str, Any] = {}
    if guess is None:
        assert start.couplings is not None
        line = start.couplings
        crossing = rg.critical_point(
            start.map, lambda t: t * line, LEAST, MOST, phase=lambda k: k[0]
        )
        status = RGStatus(int(crossing.status))
        if status is not RGStatus.OK:
            return {"status": "NONE", "message": UNDIVIDED}
        values["critical_scale"] = float(crossing.parameter)
        guess = _nearest(start.map, crossing.couplings)
    found = rg.fixed_point(start.map, guess)
    moved = float(jnp.max(jnp.abs(found.couplings - guess)))
    if moved > NEAR * float(jnp.max(jnp.abs(guess))):
        return values | {"status": "NONE", "message": AWAY}
    values["fixed_point"] = np.asarray(found.couplings).tolist()
    values["status"] = RGStatus(int(found.status)).name
    if exponents:
        out = rg.exponents(start.map, found)
        values["y"] = np.asarray(out.y).tolist()
        values["eigenvalues"] = np.real(np.asarray(out.eigenvalues)).tolist()
        values["kinds"] = list(out.kinds())
        values |= {"series": start.series} if start.series else {}
        values["status"] = RGStatus(int(max(found.status, out.status))).name
    return values


def _nearest(map_: RGMap, critical: Float[Array, " n"]) -> Float[Array, " n"]:
    """Where the flow from a critical point first slows down most: near its fixed point."""
    steps = rg.flow(map_, critical, 60).couplings
    path = jnp.concatenate([critical[None], steps])
    moved = np.max(np.abs(np.diff(path, axis=0)), axis=1)
    faster = np.flatnonzero(moved[1:] > moved[:-1])
    return path[faster[0] if len(faster) else -1]
