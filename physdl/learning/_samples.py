"""Samples as the methods take them: distinct configurations of a known space, with weights."""

from typing import Any

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian
from physdl.learning.polynomials import polynomial
from physdl.spaces import BINARY, SPIN, Finite, Space

__all__ = ["Samples", "checked", "collected", "require_varied"]

CLOSE = 1e-6


class Samples:
    """Distinct configurations and how often each was seen.

    Filled up to a power of two by the first with weight zero, so that other samples of about the
    same number compile nothing again.

    Attributes:
      states: [n, *state_shape].
      weights: [n], their sum one.
      n_samples: how many there were.
      family: the Hamiltonian whose coefficients are asked for.
    """

    def __init__(self, states: NDArray[np.float64], family: Hamiltonian):
        flat = states.reshape(len(states), -1)
        distinct, counts = np.unique(flat, axis=0, return_counts=True)
        missing = 2 ** (len(distinct) - 1).bit_length() - len(distinct)
        filled = np.concatenate([distinct, np.repeat(distinct[:1], missing, axis=0)])
        self.states = filled.reshape(-1, *states.shape[1:])
        self.weights = np.pad(counts / len(states), (0, missing))
        self.n_samples = len(states)
        self.family = family


def collected(
    samples: ArrayLike, family: Hamiltonian | None, space: Space | None, degree: int
) -> Samples:
    """The distinct ones of checked samples; see ``checked``."""
    return Samples(*checked(samples, family, space, degree))


def checked(
    samples: ArrayLike, family: Hamiltonian | None, space: Space | None, degree: int
) -> tuple[NDArray[np.float64], Hamiltonian]:
    """Checked samples; without a family, all polynomials of the degree on their space.

    A configuration may be flat, and states of a vector space may be numbers.

    Raises:
      ShapeError: there are no samples, or they have another shape than the family's configurations.
      SpaceError: a value is not in the space, or the space cannot be told from the values.
    """
    known = space if family is None else family.space
    values = _points(np.asarray(samples), known, family).astype(np.float64)
    if values.ndim < 2 or len(values) == 0:
        raise ShapeError(
            f"samples have the shape [n_samples, *shape of a configuration], got {values.shape}."
        )
    if not np.all(np.isfinite(values)):
        bad = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
        raise SpaceError(f"sample {bad} has a value that is not finite: leave it out.")
    if family is None:
        known = _told(values) if known is None else known
        shape = values.shape[1:]
        family = polynomial(shape[: len(shape) - len(known.event_shape)], known, degree=degree)
    if values.shape[1:] == (family.n_sites, *family.space.event_shape):
        values = values.reshape(-1, *family.state_shape)
    if values.shape[1:] != family.state_shape:
        raise ShapeError(
            f"samples of the shape {values.shape[1:]} are no configurations of the shape "
            f"{family.state_shape}."
        )
    _require_inside(values, family)
    return values, family


def _points(values: NDArray[Any], space: Space | None, family: Hamiltonian | None) -> NDArray[Any]:
    """States of a vector space, where integers number them."""
    if not isinstance(space, Finite) or not space.event_shape or values.dtype.kind not in "iu":
        return values
    if family is None:
        rows = values.reshape(-1, values.shape[-1] if values.ndim else 1)
        numbers = values.shape[-1:] != space.event_shape or not _inside(rows, space).all()
    else:
        numbers = values.shape[1:] in (family.shape, (family.n_sites,))
    if not numbers:
        return values
    if values.size and not 0 <= values.min() <= values.max() < space.n_states:
        raise SpaceError(
            f"states of {space!r} are numbered 0 to {space.n_states - 1}, got numbers from "
            f"{values.min()} to {values.max()}."
        )
    found: NDArray[Any] = space.array[values]
    return found


def _told(values: NDArray[np.float64]) -> Space:
    seen = set(np.unique(values).tolist())
    for space in (SPIN, BINARY):
        if seen <= {v for point in space.points for v in point}:
            return space
    shown = ", ".join(f"{v:g}" for v in sorted(seen)[:4])
    raise SpaceError(
        f"samples of -1 and 1 are spins and of 0 and 1 a lattice gas, but these hold {shown}, ...: "
        f"give space=..."
    )


def _require_inside(values: NDArray[np.float64], family: Hamiltonian) -> None:
    c = family.space.n_components
    sites = values.reshape(len(values), family.n_sites, c)
    for site in range(family.n_sites):
        space = family.space.at(site)
        if isinstance(space, Finite):
            inside = _inside(sites[:, site], space)
            if not inside.all():
                bad = int(np.argmin(inside))
                raise SpaceError(
                    f"sample {bad} has {sites[bad, site].tolist()} at site {site}, which is none "
                    f"of the values of {space!r}."
                )


def _inside(rows: NDArray[Any], space: Finite) -> NDArray[np.bool_]:
    """Which rows [n, c] are points of the space."""
    apart = np.abs(rows[:, None] - space.array).max(-1).min(-1)
    found: NDArray[np.bool_] = apart <= CLOSE
    return found


def require_varied(samples: Samples) -> None:
    """Raise ``StructureError`` where a site has the same value in all samples."""
    flat = samples.states.reshape(len(samples.states), samples.family.n_sites, -1)
    still = np.flatnonzero((flat == flat[:1]).all(axis=(0, 2)))
    if still.size:
        raise StructureError(
            f"site {still[0]} has one value in all samples, and no finite field says so: "
            f"leave it out (condition the Hamiltonian), or give l2 > 0."
        )
