r"""Straight paths of Hamiltonians.

    H_b = h0 + b (h - h0),        0 <= b <= 1

A Hamiltonian is linear in its coefficients, so every H_b has the terms of h0 and h, and what is
conjugate to b is the *slope* D(x) = h(x) - h0(x). Without a reference h0 = 0: b is an inverse
temperature. With h0 = h without its field, b is the field; and so for any coupling.

Hard constraints of either end hold along the whole path, so the reference must not forbid what h
allows.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.errors import SettingError, StructureError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import is_traced, module
from physdl.sampling._kernel import EnsembleKernel, Kernel
from physdl.spaces import Finite, Product, Sphere

__all__ = ["Path", "log_z_of_zero", "places_of", "require_single"]


@module
class Path:
    """The Hamiltonians reference + b (h - reference).

    Attributes:
      h: the end, b = 1.
      reference: the start, b = 0; ``None`` is the zero Hamiltonian.

    Raises:
      StructureError: the reference has other sites than h.

    >>> from physdl import lattices, models
    >>> ring = lattices.chain(4)
    >>> path = Path(models.ising(ring, 1.0, 0.5), models.ising(ring, 1.0))
    >>> [float(path(b)(jnp.ones(4))) for b in (0.0, 0.5, 1.0)]
    [-4.0, -5.0, -6.0]
    """

    h: Hamiltonian
    reference: Hamiltonian | None = None

    def __post_init__(self) -> None:
        h0 = self.reference
        if h0 is None:
            return
        if not isinstance(h0, Hamiltonian) or (h0.space, h0.shape) != (self.h.space, self.h.shape):
            raise StructureError(
                f"a path joins Hamiltonians of the same sites, {self.h.space!r} of shape "
                f"{self.h.shape}, but the reference is {h0!r}."
            )
        cast = jax.tree.map(lambda leaf: leaf.astype(self.h.dtype), h0)
        object.__setattr__(self, "reference", cast)

    def __call__(self, b: Float[Array, ""]) -> Hamiltonian:
        """H_b; a batch of them with ``jax.vmap``."""
        b = jnp.asarray(b, self.h.dtype)
        h = b * self.h if self.reference is None else (1 - b) * self.reference + b * self.h
        cast: Hamiltonian = jax.tree.map(lambda leaf: leaf.astype(self.h.dtype), h)
        return cast

    def slope(self, x: Float[Array, "*state"]) -> Float[Array, ""]:
        """dH_b(x) / db = h(x) - h0(x); ``+inf`` where the path forbids x."""
        end = self.h(x)
        if self.reference is None:
            return end
        start = self.reference(x)
        return jnp.where(jnp.isposinf(start), jnp.inf, end - start)


def log_z_of_zero(h: Hamiltonian) -> float:
    """log Z of the zero Hamiltonian on the sites of h: log of the volume; NaN on the line.

    >>> from physdl import lattices, models
    >>> round(log_z_of_zero(models.ising(lattices.chain(3), 1.0)) / math.log(2), 12)
    3.0
    """
    space = h.space
    if isinstance(space, Finite):
        return h.n_sites * math.log(space.n_states)
    if isinstance(space, Sphere):
        return h.n_sites * space.log_volume
    if isinstance(space, Product) and all(isinstance(s, Finite) for s in space.spaces):
        return sum(math.log(s.n_states) for s in space.spaces if isinstance(s, Finite))
    return math.nan


def require_single(kernel: Kernel, purpose: str) -> None:
    """Raise ``SettingError`` unless the kernel's state is one configuration."""
    if isinstance(kernel, EnsembleKernel):
        raise SettingError(
            f"{purpose} takes a kernel that moves one configuration, got {type(kernel).__name__}: "
            f"use HeatBath or another such kernel."
        )


def places_of(betas: ArrayLike) -> Float[Array, " T"]:
    """Places on a path as an array; ``SettingError`` unless they increase from 0 to 1."""
    places = jnp.asarray(betas, float)
    if places.ndim != 1 or places.size < 2:
        raise SettingError(f"a path has two places or more, got betas of shape {places.shape}.")
    if not is_traced(places):
        values = np.asarray(places)
        if not (values[0] == 0 and np.all(np.diff(values) > 0) and abs(values[-1] - 1) < 1e-6):
            raise SettingError(f"the places increase from 0 to 1, got betas={values.tolist()}.")
    return places
