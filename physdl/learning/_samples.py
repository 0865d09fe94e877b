"""Samples as the methods take them: distinct configurations of a known space, with weights."""

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from physdl.errors import ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian
from physdl.learning.polynomials import polynomial
from physdl.spaces import BINARY, SPIN, Finite, Space

__all__ = ["Samples", "collected", "require_varied"]


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
    """Checked samples; without a family, all polynomials of the degree on their space.

    Raises:
      ShapeError: there are no samples, or they have another shape than the family's configurations.
      SpaceError: a value is not in the space, or the space cannot be told from the values.
    """
    values = np.asarray(samples, np.float64)
    if values.ndim < 2 or len(values) == 0:
        raise ShapeError(
            f"samples have the shape [n_samples, *shape of a configuration], got {values.shape}."
        )
    if not np.all(np.isfinite(values)):
        bad = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
        raise SpaceError(f"sample {bad} has a value that is not finite: leave it out.")
    if family is None:
        known = _told(values) if space is None else space
        shape = values.shape[1:]
        family = polynomial(shape[: len(shape) - len(known.event_shape)], known, degree=degree)
    if values.shape[1:] != family.state_shape:
        raise ShapeError(
            f"samples of the shape {values.shape[1:]} are no configurations of the shape "
            f"{family.state_shape}."
        )
    _require_inside(values, family)
    return Samples(values, family)


def _told(values: NDArray[np.float64]) -> Space:
    seen = set(np.unique(values[:10_000]).tolist()) | set(np.unique(values).tolist())
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
            apart = np.abs(sites[:, site, None] - space.array).max(-1).min(-1)
            if apart.max() > 1e-6:
                bad = int(np.argmax(apart))
                raise SpaceError(
                    f"sample {bad} has {sites[bad, site].tolist()} at site {site}, which is none "
                    f"of the values of {space!r}."
                )


def require_varied(samples: Samples) -> None:
    """Raise ``StructureError`` where a site has the same value in all samples."""
    flat = samples.states.reshape(len(samples.states), samples.family.n_sites, -1)
    still = np.flatnonzero((flat == flat[:1]).all(axis=(0, 2)))
    if still.size:
        raise StructureError(
            f"site {still[0]} has one value in all samples, and no finite field says so: "
            f"leave it out (condition the Hamiltonian), or give l2 > 0."
        )
